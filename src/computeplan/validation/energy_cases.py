"""The file of published energy: rows, the meter at which each is read, and the gates.

Sources write their meters in words; one table maps them to the six of computeplan. A row whose
meter is none of the table is listed and not compared: energy at different meters differs up to
threefold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError

from computeplan.errors import ScenarioError
from computeplan.notes import Note, note
from computeplan.specs.documents.document import DATA, load_document
from computeplan.specs.fields import Frozen

__all__ = ["METERS", "METER_TEXTS", "EnergyCase", "Gate", "meter_of", "read_energy"]

METERS = ("chip", "accelerator", "node", "node+network", "it", "facility")
"""Where power is read, from the chip outwards; accelerator: a chip with its share of the host."""

METER_TEXTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        **{meter: (meter, "") for meter in METERS},
        "gpu": ("chip", ""),
        "gpu x pue": ("chip", "times PUE"),
        "gpu (dynamic) and cluster (idle), pue not applied to dynamic": ("chip", "idle apart"),
        "gpu (grace-hopper module)": ("chip", "module"),
        "accelerator_system": ("accelerator", ""),
        "node (dc)": ("node", "DC"),
        "server nameplate": ("node", "nameplate"),
        "node+network (dc)": ("node+network", "DC"),
        "system at the rectifier input incl. cdu pumps": ("it", "with pumps"),
        "facility-like (basis not stated)": ("facility", "basis not stated"),
    }
)
"""What sources write, in small letters: the meter, and what to know of it."""


class _Loose(Frozen):
    """A part of the file; what it states beyond the fields is not used."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Gate(Frozen):
    """How near predictions of one kind must be."""

    within: Annotated[float, Field(ge=0)]
    """Relative; of caps, of the speed without one."""
    set_by: tuple[str, ...] = ()
    """The measurements that set the model; they gate nothing."""


class _Case(_Loose):
    """A row as it is written."""

    id: str
    meter: str
    inputs: dict[str, Any]
    expect: dict[str, Any]
    role: str = "visible"
    kind: str = ""
    tolerance: Annotated[float, Field(ge=0)] | None = None
    confidence: str = ""
    source: str = ""
    calibrates: str | None = None
    erratum: dict[str, str] = Field(default_factory=dict)


class _Gates(_Loose):
    gates: dict[str, Gate]


@dataclass(frozen=True, slots=True)
class EnergyCase:
    """One row, and what is known of it."""

    id: str
    meter: str
    """One of the six, empty where the row's words are none of the table."""
    meter_note: str
    inputs: Mapping[str, Any]
    expect: Mapping[str, Any]
    tolerance: Annotated[float | None, "relative"]
    """The row's own; None: that of the gate."""
    judged: bool
    """Whether a prediction is held against it: neither sanity, nor what a model is set to."""
    recalled: bool
    """Whether its figures were not read: judged, but nothing fails by them."""
    erratum: Mapping[str, str]
    """Rows of it that contradict themselves, and how."""
    source: str
    skipped: Note | None
    """Why nothing of it is compared."""


def meter_of(text: str) -> tuple[str, str] | None:
    """Return the meter that words mean, and what to know of it; None if the table lacks them.

    Examples
    --------
    >>> meter_of("node + network (DC)")
    ('node+network', 'DC')
    """
    words = re.sub(r"\s*\+\s*", "+", " ".join(text.casefold().split()))
    return METER_TEXTS.get(words)


def read_energy(path: Path | None = None) -> tuple[tuple[EnergyCase, ...], Mapping[str, Gate]]:
    """Return the rows of a file, or the shipped ones, and the gates.

    A bad row is listed with the reason. A file without gates has the shipped ones.

    Raises
    ------
    ScenarioError
        If the file cannot be read or holds no list of rows, or its gates are wrong.

    Examples
    --------
    >>> cases, gates = read_energy()
    >>> len(cases), gates["node"].within
    (20, 0.12)
    """
    shipped = DATA / "published" / "energy.yaml"
    name = "published energy.yaml" if path is None else str(path)
    document = load_document(path or shipped, name)
    rows = document.data.get("cases")
    if not isinstance(rows, list):
        raise ScenarioError([document.problem((), "needs a list of rows under 'cases'")])
    data = document.data if "gates" in document.data else load_document(shipped).data
    try:
        gates = _Gates.model_validate(data).gates
    except ValidationError as error:
        raise ScenarioError([document.problem(("gates",), _first(error))]) from None
    return tuple(_case(row, place) for place, row in enumerate(rows)), gates


def _case(written: Any, place: int) -> EnergyCase:
    try:
        row = _Case.model_validate(written)
    except ValidationError as error:
        name = written.get("id") if isinstance(written, dict) else None
        name = name if isinstance(name, str) else f"row {place + 1}"
        wrong = note("energy_row_wrong", why=_first(error))
        return EnergyCase(name, "", "", {}, {}, None, False, False, {}, "", wrong)
    found = meter_of(row.meter)
    skipped = None
    if found is None:
        known = ", ".join(METER_TEXTS)
        skipped = note("energy_meter_unknown", meter=row.meter, known=known)
    return EnergyCase(
        id=row.id,
        meter="" if found is None else found[0],
        meter_note="" if found is None else found[1],
        inputs=row.inputs,
        expect=row.expect,
        tolerance=row.tolerance,
        judged=row.role == "visible" and row.calibrates is None,
        recalled=row.confidence == "memory",
        erratum=row.erratum,
        source=row.source,
        skipped=skipped,
    )


def _first(error: ValidationError) -> str:
    """Return the problems of a row, each with its place."""
    return "; ".join(
        f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}".removeprefix(": ")
        for found in error.errors()
    )
