"""A log of real faults, to be replayed instead of drawn.

CSV with a header: ``node`` (any name), ``start_s`` and optionally ``end_s``, in seconds from the
start of the simulation. Nodes are numbered in the order of their sorted names.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from computeplan.checks import FloatArray, IntArray
from computeplan.errors import ComputePlanError

__all__ = ["FaultLog", "load_fault_log"]

MAX_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class FaultLog:
    """Faults in the order of time.

    Parameters
    ----------
    start_s : ndarray, shape (n_faults,)
        Time of each fault. [s]
    repair_s : ndarray, shape (n_faults,)
        How long the node stays away; nan where the log does not say. [s]
    node : ndarray, shape (n_faults,)
        Index of the node.
    n_nodes : int
        Nodes that appear in the log.
    """

    start_s: FloatArray
    repair_s: FloatArray
    node: IntArray
    n_nodes: int


def load_fault_log(name: str, folder: Path | None) -> FaultLog:
    """Return the fault log in a CSV file beside the scenario.

    Raises
    ------
    ComputePlanError
        If the file lies elsewhere, cannot be read, or a row is wrong.
    """
    if folder is None:
        raise ComputePlanError("replay needs a scenario file: the log stands beside it")
    if "\0" in name:
        raise ComputePlanError(f"{name!r} is not the name of a file")
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise ComputePlanError(f"{name!r} lies outside the scenario's folder; copy it there")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ComputePlanError(f"{name!r} is larger than {MAX_BYTES // 1_000_000} MB")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ComputePlanError(f"{name!r} cannot be read: {reason}") from None
    if not rows:
        raise ComputePlanError(f"{name!r} holds no fault")
    missing = {"node", "start_s"} - set(reader.fieldnames or ())
    if missing:
        raise ComputePlanError(f"{name!r} lacks the column {' and '.join(sorted(missing))}")
    start_s, repair_s = [], []
    for number, row in rows:
        if not row["node"]:
            raise ComputePlanError(f"{name!r} line {number}: node is empty")
        start, end = _number(name, number, row["start_s"]), row.get("end_s")
        repair = _number(name, number, end) - start if end else math.nan
        if repair < 0:
            raise ComputePlanError(f"{name!r} line {number}: ends before it starts")
        start_s.append(start)
        repair_s.append(repair)
    names = {node: i for i, node in enumerate(sorted({row["node"] for _, row in rows}))}
    order = np.argsort(start_s, kind="stable")
    nodes = np.array([names[row["node"]] for _, row in rows])
    return FaultLog(np.array(start_s)[order], np.array(repair_s)[order], nodes[order], len(names))


def _number(name: str, line: int, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ComputePlanError(f"{name!r} line {line}: {text!r} is not a time in seconds >= 0")
    return value
