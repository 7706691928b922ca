"""Two results side by side: what differs in the scenarios, and in what came out.

Cases of one name are compared, or two that are named. They are compared run by run where both met
the same samples: the same seed, number of runs, and version of what draws. Otherwise their means
are compared. Both are counted to one window, as `Result.differences` does, so that two folders
give what the cases of one run give. What does not compare is refused: other work, another
currency, unfinished work against finished.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from computeplan.errors import ComputePlanError, ScenarioError
from computeplan.notes import Note, Notes, note
from computeplan.results.cases import CaseResult, differences, in_one_window
from computeplan.results.estimates import Estimate
from computeplan.specs.catalogue.fault_mixes import with_mix
from computeplan.specs.documents.document import KeyPath, dotted, nearest, parse_document
from computeplan.specs.documents.paths import change
from computeplan.specs.model import ScenarioFields
from computeplan.study.result import Result
from computeplan.units import parse

__all__ = ["Change", "Comparison", "Pair", "compare"]

SAMPLES = ("seed", "runs", "computeplan", "numpy")
"""What both must have in common, in their provenance, to have met the same samples."""
WORK = {"tokens": "token", "work": "FLOP", "train_for": "s"}
"""Keys of a job that say how much is to be done, with their units."""
UNSAID = {"name", "about", "cases", "sweep", "asks", "extends"}
"""Keys of a scenario that change no number."""


@dataclass(frozen=True, slots=True)
class Change:
    """One value in which two scenarios differ, as written; None where it is not."""

    path: str
    a: object
    b: object


@dataclass(frozen=True, eq=False)
class Pair:
    """Two cases that are compared, both counted to one window."""

    a_name: str
    b_name: str
    a: CaseResult
    b: CaseResult
    differences: Mapping[str, Estimate]
    """Of B to A, by quantity."""
    changes: tuple[Change, ...]
    """What differs in the scenarios of the two."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two results side by side; A is what B is compared with."""

    a: str
    b: str
    """What they are called."""
    is_paired: bool
    """Whether runs of one number met the same samples."""
    unlike: tuple[Change, ...]
    """Of seed, runs and versions, what differs: why they are not paired."""
    pairs: Mapping[str, Pair]
    """By the name of the case, or by both names."""
    refused: Mapping[str, Note] = field(default_factory=dict)
    """What does not compare, and why."""
    alone: Notes = ()
    """Cases that only one of them has."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON; differences are of B to A."""
        return {
            "a": self.a,
            "b": self.b,
            "paired": self.is_paired,
            "unlike": [_plain(change) for change in self.unlike],
            "cases": {
                name: {
                    "a": pair.a_name,
                    "b": pair.b_name,
                    "changes": [_plain(change) for change in pair.changes],
                    "quantities": {
                        quantity: {
                            "a": pair.a.estimate(quantity).to_json(),
                            "b": pair.b.estimate(quantity).to_json(),
                            "difference": found.to_json(),
                        }
                        for quantity, found in pair.differences.items()
                        if found.n
                    },
                }
                for name, pair in self.pairs.items()
            },
            "refused": {
                name: {"code": why.code, "values": dict(why.items)}
                for name, why in self.refused.items()
            },
            "alone": [dict(one.items) for one in self.alone],
        }


def _plain(change: Change) -> dict[str, object]:
    return {"path": change.path, "a": change.a, "b": change.b}


def compare(
    a: Result,
    b: Result,
    *,
    case: str | None = None,
    with_case: str | None = None,
    names: tuple[str, str] | None = None,
) -> Comparison:
    """Return two results side by side.

    Parameters
    ----------
    a, b : Result
        Differences are of B to A.
    case : str, optional
        The case of A to compare; without, all that B has too, or the only one of each.
    with_case : str, optional
        The case of B; the one of the same name if left out.
    names : (str, str), optional
        What the two are called, if not by the names of their scenarios.

    Raises
    ------
    ComputePlanError
        If there is no such case, or the two have none in common.

    Examples
    --------
    >>> import computeplan as cp
    >>> scenario = cp.load("spares").with_({"sweep": None, "simulate.runs": 64})
    >>> fewer = scenario.with_({"sites.here.pools.h100.spares": "40 nodes"})
    >>> found = cp.compare(cp.run(scenario), cp.run(fewer))
    >>> found.is_paired, found.pairs["spares"].changes[0].b
    (True, '40 nodes')
    """
    unlike = tuple(_unlike(a, b))
    chosen = _chosen(a, b, case, with_case)
    documents = _Documents(a), _Documents(b)
    pairs, refused = {}, {}
    for one, other in chosen:
        name = one if one == other else f"{one} / {other}"
        sides = a.cases[one], b.cases[other]
        data = documents[0].of(one, sides[0]), documents[1].of(other, sides[1])
        why = _incomparable(sides, data)
        if why is not None:
            refused[name] = why
            continue
        of_a, of_b = in_one_window(sides, run_by_run=not unlike)
        found = differences(of_b, of_a, is_paired=not unlike)
        pairs[name] = Pair(one, other, of_a, of_b, found, tuple(_changes(*data)))
    is_all = case is None and with_case is None
    alone = [
        note("case_alone", case=name, of=label)
        for label, own, others in (("A", a, b), ("B", b, a))
        for name in own.cases
        if is_all and name not in others.cases and name not in {n for both in chosen for n in both}
    ]
    labels = names or (a.name, b.name)
    return Comparison(*labels, not unlike, unlike, pairs, refused, tuple(alone))


def _unlike(a: Result, b: Result) -> Iterator[Change]:
    """Yield what makes the samples of two results differ."""
    for key in SAMPLES:
        of_a, of_b = (result.provenance.get(key) for result in (a, b))
        if key == "runs":
            of_a, of_b = a.n_runs, b.n_runs
        if of_a != of_b:
            yield Change(key, of_a, of_b)


def _chosen(a: Result, b: Result, case: str | None, with_case: str | None) -> list[tuple[str, str]]:
    """Return the names of the cases to compare."""
    if case is None and with_case is None:
        both = [(name, name) for name in a.cases if name in b.cases]
        if both:
            return both
        if len(a.cases) == len(b.cases) == 1:
            return [(next(iter(a.cases)), next(iter(b.cases)))]
        listed = "; ".join(
            f"{label}: {', '.join(map(repr, result.cases))}"
            for label, result in (("A", a), ("B", b))
        )
        raise ComputePlanError(
            f"no case has the same name in both: name two by --case X --with Y. Cases of {listed}"
        )
    one = case if case is not None else with_case
    other = with_case if with_case is not None else case
    assert one is not None
    assert other is not None
    for name, result, option in ((one, a, "--case"), (other, b, "--with")):
        if name not in result.cases:
            raise ComputePlanError(
                f"{option}: no case {name!r}.{nearest(name, result.cases)}  Cases:"
                f" {', '.join(map(repr, result.cases))}"
            )
    return [(one, other)]


class _Documents:
    """The scenario of a result, and what it is in each case: plain data."""

    def __init__(self, result: Result) -> None:
        self.whole = parse_document(result.scenario_yaml or "name: x\n", result.name)
        self.base = change(ScenarioFields, self.whole, {"cases": None, "sweep": None})

    def of(self, name: str, case: CaseResult) -> dict[str, Any]:
        """Return the scenario of a case."""
        cases = self.whole.data.get("cases") or {}
        known = [key for key in cases if name == key or name.startswith(f"{key}, ")]
        own = cases[max(known, key=len)] if known else None
        changes = {**(own or {}), **case.axes}
        try:
            return change(ScenarioFields, self.base, changes, settle=with_mix).data
        except ScenarioError:  # written by a version that knew other paths
            return self.base.data


def _changes(a: Any, b: Any, path: KeyPath = ()) -> Iterator[Change]:
    """Yield the values in which plain data differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(key for key in b if key not in a)]:
            if path or key not in UNSAID:
                yield from _changes(a.get(key), b.get(key), (*path, key))
    elif a != b:
        yield Change(dotted(path), a, b)


def _incomparable(
    sides: tuple[CaseResult, CaseResult], data: tuple[dict[str, Any], dict[str, Any]]
) -> Note | None:
    """Return why two cases do not compare, or None."""
    currencies = [one.get("currency", "USD") for one in data]
    if currencies[0] != currencies[1]:
        return note("other_currency", a=currencies[0], b=currencies[1])
    for (size_a, job_a), (size_b, job_b) in _works(sides, data):
        if size_a != size_b:
            return note("other_work", a=job_a, b=job_b)
    unfinished = [side.is_unfinished for side in sides]
    if unfinished[0] != unfinished[1]:
        cut = _cut(data[unfinished[1]])
        return note("one_unfinished", which="AB"[unfinished[1]], key=cut.key)
    a, b = map(_cut, data)
    if unfinished[0] and a.at_s != b.at_s:
        return note("other_end", key_a=a.key, a=a.written, key_b=b.key, b=b.written)
    return None


class _Cut(NamedTuple):
    """Where runs of a case are cut."""

    key: str
    written: str
    at_s: float


def _cut(data: dict[str, Any]) -> _Cut:
    simulate = data.get("simulate") or {}
    for key in ("horizon", "at_most"):
        if (written := simulate.get(key)) is not None:
            return _Cut(f"simulate.{key}", str(written), parse(str(written), "s"))
    return _Cut("simulate.horizon", "-", math.inf)


Work = tuple[str, str]
"""What a job is to do: the same text for the same work, and as it is written."""
NO_JOB: Work = ("", "-")


def _works(
    sides: tuple[CaseResult, CaseResult], data: tuple[dict[str, Any], dict[str, Any]]
) -> Iterator[tuple[Work, Work]]:
    """Yield what the jobs of two cases are to do, the same jobs side by side."""
    works = []
    for side, written in zip(sides, data, strict=True):
        models = dict(zip(side.job_names, side.job_facts.get("model", ()), strict=False))
        jobs = written.get("jobs") or {}
        works.append({name: _work(models.get(name, ""), jobs.get(name)) for name in side.job_names})
    if len(works[0]) == len(works[1]) and works[0].keys() != works[1].keys():  # renamed
        yield from zip(*(sorted(of.values()) for of in works), strict=True)
        return
    for name in dict.fromkeys((*works[0], *works[1])):
        yield works[0].get(name, NO_JOB), works[1].get(name, NO_JOB)


def _work(model: str, job: Any) -> Work:
    for key, unit in WORK.items():
        if isinstance(job, dict) and (written := job.get(key)) is not None:
            size = f"{parse(str(written), unit):.12g} {unit}"
            return f"{size} {model}", f"{written} {model}".strip()
    return model, model
