"""The file of published reliability figures: what it may say, and how it is read."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import Field

from computeplan.errors import Problem, ScenarioError
from computeplan.specs.catalogue.chips import Source
from computeplan.specs.documents.document import Document, load_document
from computeplan.specs.documents.validation import validate
from computeplan.specs.fields import Count, Duration, Fraction, Frozen, Positive, PositiveDuration
from computeplan.units import DAY_S

__all__ = [
    "NODE_DAYS",
    "AgeCase",
    "LemonCase",
    "MakespanCase",
    "MttfCase",
    "ReliabilityCases",
    "RunCase",
    "rate_of",
    "read_reliability",
]

NODE_DAYS = 1000.0


class RunCase(Frozen):
    """One job on all nodes, and the share of time it should keep."""

    id: str
    source: str
    nodes: Count
    rate: Positive | None = None
    """Faults per 1,000 node-days; or mtbf."""
    mtbf: PositiveDuration | None = None
    """Of the job."""
    interval: PositiveDuration
    save: Duration
    restart: Duration
    published: str | Fraction
    at_least: Fraction | None = None
    exact: Fraction
    within: Positive
    stops: Count | None = None
    """Planned stops in the 54 days, each as long as a restart."""
    stopped_at_least: Fraction | None = None
    """What is kept with them, at least."""
    saving: Fraction | None = None
    """Time of saving over that of training, where it is known."""


class MakespanCase(Frozen):
    """The work of one job, and how long it needs with faults."""

    mtbf: PositiveDuration
    work: PositiveDuration
    interval: PositiveDuration
    save: PositiveDuration
    restart: PositiveDuration
    exact_min: Positive


class MttfCase(Frozen):
    """The mean time between faults of a job on so many chips."""

    chips: Count
    rate: Positive
    """Faults per 1,000 node-days of nodes of 8 chips."""
    published_h: Positive


class LemonCase(Frozen):
    """A fleet of unequal nodes, the worst of which are retired."""

    nodes: Count
    faults_per_node: Positive
    variance_over_mean: Annotated[float, Field(gt=1)]
    retire: Annotated[float, Field(gt=0, lt=1)]
    in_sample: Fraction
    later: tuple[Fraction, Fraction]
    within: Positive


class AgeCase(Frozen):
    """A fleet whose nodes have lifetimes of a law with memory."""

    shape: Positive
    """Of a Weibull law of lifetimes; the fleet is steady."""
    nodes: Count
    mtbf: PositiveDuration
    """Of one node."""
    within: Fraction
    """How far faults may be from nodes / mean lifetime, relatively."""


class ReliabilityCases(Frozen):
    """The file of published reliability figures."""

    sources: dict[str, Source] = Field(default_factory=dict)
    llama3_causes: dict[str, Count] = Field(default_factory=dict)
    cases: list[RunCase] = Field(default_factory=list)
    makespans: list[MakespanCase] = Field(default_factory=list)
    mttf: list[MttfCase] = Field(default_factory=list)
    lemons: LemonCase | None = None
    ages: list[AgeCase] = Field(default_factory=list)


def read_reliability(path: Path | None = None) -> ReliabilityCases:
    """Return the shipped cases, or those of a file of the same format.

    Raises
    ------
    ScenarioError
        With every problem and its place.

    Examples
    --------
    >>> len(read_reliability().cases)
    8
    """
    if path is None:
        folder = Path(str(resources.files("computeplan"))) / "data" / "published"
        return validate(ReliabilityCases, load_document(folder / "reliability.yaml"))
    document = load_document(path, str(path))
    found = validate(ReliabilityCases, document)
    problems = [
        _wrong_rate(document, i) for i, run in enumerate(found.cases) if rate_of(run) is None
    ]
    if problems:
        raise ScenarioError(problems)
    return found


def rate_of(run: RunCase) -> float | None:
    """Return the fault rate of a node [1/s], None unless it is stated exactly once."""
    if (run.rate is None) == (run.mtbf is None):
        return None
    if run.rate is not None:
        return float(run.rate / (NODE_DAYS * DAY_S))
    assert run.mtbf is not None
    return float(1.0 / (run.mtbf * run.nodes))


def _wrong_rate(document: Document, place: int) -> Problem:
    return document.problem(("cases", place), "state the fault rate once, as rate or mtbf")
