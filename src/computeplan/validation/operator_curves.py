"""Fits the curves of matrix products and collectives to measured tables.

Run as ``python -m computeplan.validation.operator_curves`` it writes ``data/operators.yaml`` anew.
Nothing here looks at a training run: these are properties of chips, from measurements of single
operators. Only sizes that training meets are fitted: products of at least 1,024 rows and sides from
512 to 16,384, messages from 4 MiB; the loss is soft-L1 of the logarithm of predicted over measured.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from computeplan.arrays import FloatArray
from computeplan.physics.steptime.operators import GemmCurve

__all__ = ["MEASURED_AS", "fit_gemm", "fit_link", "operators_yaml"]

MEASURED_AS = {
    "nvidia/a100-80gb": ("a100_sxm", 300e9),
    "nvidia/h100-sxm": ("h100_sxm", 450e9),
    "nvidia/h200": ("h200_sxm", 450e9),
    "nvidia/b200": ("b200_sxm", 900e9),
    "nvidia/b300": ("b300_sxm", 900e9),
    "nvidia/gb200": ("gb200", 900e9),
    "nvidia/gb300": ("gb300", 900e9),
    "nvidia/l40s": ("l40s", None),
}
"""Name of a chip in the tables, and the rate of its links in one direction [B/s]. The L40S was
measured in a host whose GPUs do not reach one another: its messages are not fitted."""
OPERATIONS = {
    "all_reduce": "all_reduce",
    "all_gather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "all_to_all": "alltoall",
}
FEWEST_BYTES = 4 << 20
FEWEST_ROWS, SHORTEST_SIDE, LONGEST_SIDE = 1024, 512, 16_384
HEAD = """\
# Made by python -m computeplan.validation.operator_curves from data/measured/: do not edit.
# gemm: share of the dense peak = best m/(m+m_half) n/(n+n_half) k/(k+k_half); error: mean |log|.
# links: time = call_s + rank_s (n-1) + bytes on the wire / (frac x one-direction rate of links).
"""


def fit_gemm(chip: str, precision: str) -> tuple[GemmCurve, float, int]:
    """Return the curve of a chip, its mean absolute log error, and how many shapes it rests on.

    Parameters
    ----------
    chip : str
        A key of `MEASURED_AS`.
    precision : str
        bf16 or fp8.

    Raises
    ------
    ValueError
        If nothing was measured.
    """
    system = MEASURED_AS[chip][0]
    rows = _table("gemm_efficiency.csv", system=system, precision=precision)
    m, n, k, measured = (_column(rows, name) for name in ("m", "n", "k", "efficiency"))
    used = (m >= FEWEST_ROWS) & (np.minimum(n, k) >= SHORTEST_SIDE)
    used &= np.maximum(n, k) <= LONGEST_SIDE
    if not used.any():
        raise ValueError(f"no matrix product of {chip} in {precision} was measured")
    m, n, k, measured = m[used], n[used], k[used], measured[used]

    def error(curve: FloatArray) -> FloatArray:
        frac: FloatArray = GemmCurve(*curve).frac(m, n, k)
        logs: FloatArray = np.log(frac / measured)
        return logs

    curve, residual = _fit(error, [0.8, 200.0, 200.0, 200.0], highest=1.0)  # never above the peak
    return GemmCurve(*curve), float(np.abs(residual).mean()), int(used.sum())


def fit_link(chip: str, operation: str) -> tuple[dict[str, float], float, int]:
    """Return `frac`, `call_s`, `rank_s` of a collective, its error and how many times it rests on.

    Parameters
    ----------
    chip : str
        A key of `MEASURED_AS` with a link rate.
    operation : str
        A key of `OPERATIONS`.
    """
    system, bytes_per_s = MEASURED_AS[chip]
    assert bytes_per_s is not None
    rows = _table("collective_latency.csv", system=system, operation=OPERATIONS[operation])
    n, n_bytes, measured = (_column(rows, name) for name in ("chips", "bytes", "latency_us"))
    used = n_bytes >= FEWEST_BYTES
    n, n_bytes, measured = n[used], n_bytes[used], measured[used] * 1e-6
    on_wire = (2 if operation == "all_reduce" else 1) * (n - 1) / n * n_bytes

    def error(link: FloatArray) -> FloatArray:
        frac, call_s, rank_s = link
        predicted = call_s + rank_s * (n - 1) + on_wire / (frac * bytes_per_s)
        logs: FloatArray = np.log(predicted / measured)
        return logs

    link, residual = _fit(error, [0.7, 1e-5, 2e-6], lowest=1e-8)
    names = ("frac", "call_s", "rank_s")
    return dict(zip(names, link, strict=True)), float(np.abs(residual).mean()), int(used.sum())


def operators_yaml() -> str:
    """Return the text of ``data/operators.yaml``."""
    lines = [HEAD + "chips:"]
    for chip, (_, rate) in MEASURED_AS.items():
        lines.append(f"  {chip}:\n    gemm:")
        for precision in ("bf16", "fp8"):
            if (chip, precision) == ("nvidia/a100-80gb", "fp8"):
                continue
            curve, error, n = fit_gemm(chip, precision)
            sides = ", ".join(f"{s}_half: {getattr(curve, f'{s}_half'):.4g}" for s in "mnk")
            numbers = f"best: {curve.best:.4g}, {sides}, error: {error:.2g}, n: {n}"
            lines.append(f"      {precision}: {{{numbers}}}")
        lines.append("    links:" if rate else "    links: null")
        for operation in OPERATIONS if rate else ():
            link, error, n = fit_link(chip, operation)
            numbers = ", ".join(f"{name}: {value:.3g}" for name, value in link.items())
            lines.append(f"      {operation}: {{{numbers}, error: {error:.2g}, n: {n}}}")
    return "\n".join(lines) + "\n"


def _fit(
    error: Callable[[FloatArray], FloatArray],
    start: list[float],
    lowest: float = 1e-3,
    highest: float = 1e5,
) -> tuple[list[float], FloatArray]:
    """Return the positive numbers that make the error least, and what is left of it.

    `highest` bounds the first of them.
    """

    def of_logs(logs: FloatArray) -> FloatArray:
        return error(np.exp(logs))

    upper = np.full(len(start), np.log(1e5))
    upper[0] = np.log(highest)
    bounds = (np.full(len(start), np.log(lowest)), upper)
    found = least_squares(of_logs, np.log(start), loss="soft_l1", f_scale=0.1, bounds=bounds)
    return [float(x) for x in np.exp(found.x)], of_logs(found.x)


def _table(name: str, **wanted: str) -> list[dict[str, str]]:
    return [row for row in _read(name) if all(row[key] == value for key, value in wanted.items())]


@cache
def _read(name: str) -> tuple[dict[str, str], ...]:
    with _data().joinpath("measured", name).open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def _column(rows: list[dict[str, str]], name: str) -> FloatArray:
    return np.array([float(row[name]) for row in rows])


def _data() -> Any:
    return Path(str(resources.files("computeplan"))) / "data"


if __name__ == "__main__":
    _data().joinpath("operators.yaml").write_text(operators_yaml(), "utf-8")
