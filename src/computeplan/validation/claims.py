"""Often-quoted figures beside the like-for-like ones, with a verdict that a rule gives.

A claim is fair only where both sides are of one kind: dense with dense, one direction with one
direction, energy at one meter. What stands behind each claim is computed from the catalogue, from
other published rows, or from numbers with a source. What we compute of serving itself stands
beside, in no range. The verdict follows from the claimed figure
and the range of fair ones: above it overstated, below it understated, inside a wide one contested,
inside a narrow one it holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from computeplan.specs.catalogue.chips import Source
from computeplan.specs.catalogue.lookup import load_chip
from computeplan.specs.documents.document import DATA, load_document
from computeplan.specs.documents.validation import validate
from computeplan.specs.fields import Frozen, Positive, refuse, said_once
from computeplan.validation.energy import predict_energy
from computeplan.validation.energy_cases import read_energy
from computeplan.validation.reliability_cases import read_reliability
from computeplan.validation.serving_figures import Asked, figures_of

__all__ = [
    "Claim",
    "ClaimRow",
    "Claims",
    "FigureRow",
    "Verdict",
    "judge",
    "published_claims",
    "verdict_of",
]

NAME = "published claims.yaml"
Verdict = Literal["holds", "contested", "overstated", "understated"]


Simulated = Literal["tokens_per_s_chip", "tokens_per_s_user", "wh_per_request"]


class _Served(Frozen):
    """A model on chips at a batch, at rest, and which of its figures."""

    model: str
    chip: str
    engine: str
    precision: str
    tp: Annotated[int, Field(ge=1)]
    n_in: Positive = Field(alias="in")
    n_out: Positive = Field(alias="out")
    batch: Annotated[int, Field(ge=1)] | None = None
    """What there is room for if left out."""
    quantity: Simulated


class _Term(Frozen):
    """A factor: a figure of a chip, a computed quantity, the sum of a table, or a number."""

    value: Positive | None = None
    source: str | None = None
    """Of the number, a key under sources."""
    chip: str | None = None
    figure: str | None = None
    """A path in the chip's entry, such as peak_dense.fp16."""
    energy: str | None = None
    quantity: str | None = None
    """A row of published energy, and which of its quantities."""
    reliability: Literal["llama3_causes"] | None = None
    served: _Served | None = None
    """What is computed of serving."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        said_once(self, "a term is one of", "value", "chip", "energy", "reliability", "served")
        if (self.value is None) != (self.source is None):
            refuse("a value has a source, and nothing else has one")
        if (self.chip is None) != (self.figure is None):
            refuse("chip and figure go together")
        if (self.energy is None) != (self.quantity is None):
            refuse("energy and quantity go together")
        return self


class _Figure(Frozen):
    """One way to see a claim."""

    name: str
    name_zh: str
    kind: Annotated[Literal["like", "range", "aside", "simulated"], Field(alias="is")]
    of: Annotated[tuple[_Term, ...], Field(min_length=1)]
    over: tuple[_Term, ...] = ()


class Claim(Frozen):
    """A figure as it is quoted, and what stands behind."""

    id: str
    claim: str
    claim_zh: str
    claimed: Positive
    unit: str = "x"
    source: str | None = None
    """Where it is quoted, if one place is."""
    figures: tuple[_Figure, ...]

    @model_validator(mode="after")
    def _has_one_like(self) -> Self:
        if sum(figure.kind == "like" for figure in self.figures) != 1:
            refuse("a claim has one figure that is like for like")
        return self


class Claims(Frozen):
    """The file."""

    slack: Annotated[float, Field(ge=0, lt=1)]
    """How far a quoted figure may be outside its range by rounding, relatively."""
    widest: Annotated[float, Field(ge=1)]
    """High over low of a range, up to which what lies inside holds."""
    sources: dict[str, Source]
    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def _checked(self) -> Self:
        for claim in self.claims:
            terms = [t for figure in claim.figures for t in (*figure.of, *figure.over)]
            for key in (claim.source, *(term.source for term in terms)):
                if key is not None and key not in self.sources:
                    refuse(f"{claim.id}: no source '{key}' under sources")
        return self


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One way to see a claim, computed."""

    name: str
    name_zh: str
    kind: str
    value: Annotated[float, "in the unit of the claim"]


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A claim beside the like-for-like figure."""

    id: str
    claim: str
    claim_zh: str
    unit: str
    claimed: Annotated[float, "in its unit"]
    like_for_like: Annotated[float, "in its unit"]
    low: Annotated[float, "in its unit"]
    high: Annotated[float, "in its unit"]
    verdict: Verdict
    source: str
    """Titles of all that the figures rest on."""
    figures: tuple[FigureRow, ...]

    @property
    def simulated(self) -> tuple[float, ...]:
        """What we compute of serving itself, in no range."""
        return tuple(figure.value for figure in self.figures if figure.kind == "simulated")


@cache
def published_claims() -> Claims:
    """Return the shipped claims.

    Examples
    --------
    >>> len(published_claims().claims)
    12
    """
    return validate(Claims, load_document(DATA / "published" / "claims.yaml", NAME))


def judge(file: Claims) -> tuple[ClaimRow, ...]:
    """Return every claim with its like-for-like figure, range and verdict.

    Raises
    ------
    ScenarioError
        If a chip is not in the catalogue.
    ValueError
        If a figure or a quantity is not known.

    Examples
    --------
    >>> row = judge(published_claims())[0]
    >>> row.id, row.claimed, round(row.like_for_like, 2), row.verdict
    ('h100-over-910b', 5.2, 2.63, 'overstated')
    """
    return tuple(_judged(claim, file) for claim in file.claims)


def verdict_of(claimed: float, low: float, high: float, slack: float, widest: float) -> Verdict:
    """Return what a rule says of a claimed figure and the range of fair ones.

    Parameters
    ----------
    claimed, low, high : float
        The figure, and the ends of the range.
    slack : float
        How far it may be outside by rounding, relatively.
    widest : float
        High over low, up to which what lies inside holds.

    Examples
    --------
    >>> verdict_of(5.2, 2.4, 3.5, slack=0.02, widest=1.5)
    'overstated'
    >>> verdict_of(3.0, 1.0, 3.5, slack=0.02, widest=1.5)
    'contested'
    """
    if claimed > high * (1 + slack):
        return "overstated"
    if claimed < low * (1 - slack):
        return "understated"
    return "contested" if high > low * widest else "holds"


def _judged(claim: Claim, file: Claims) -> ClaimRow:
    titles = dict.fromkeys([file.sources[claim.source].title] if claim.source else [])
    figures = []
    for figure in claim.figures:
        above, over = (_product(terms, file, titles) for terms in (figure.of, figure.over))
        figures.append(FigureRow(figure.name, figure.name_zh, figure.kind, above / over))
    like = next(figure.value for figure in figures if figure.kind == "like")
    fair = [figure.value for figure in figures if figure.kind in ("like", "range")]
    return ClaimRow(
        id=claim.id,
        claim=claim.claim,
        claim_zh=claim.claim_zh,
        unit=claim.unit,
        claimed=claim.claimed,
        like_for_like=like,
        low=min(fair),
        high=max(fair),
        verdict=verdict_of(claim.claimed, min(fair), max(fair), file.slack, file.widest),
        source="; ".join(titles),
        figures=tuple(figures),
    )


def _product(terms: Sequence[_Term], file: Claims, titles: dict[str, None]) -> float:
    return math.prod(_value(term, file, titles) for term in terms)


def _value(term: _Term, file: Claims, titles: dict[str, None]) -> float:
    """Return a factor in SI, and note where it comes from."""
    if term.value is not None:
        assert term.source is not None  # validated
        titles[file.sources[term.source].title] = None
        return term.value
    if term.chip is not None:
        return _of_chip(term.chip, term.figure or "", titles)
    if term.energy is not None:
        return _of_energy(term.energy, term.quantity or "", titles)
    if term.served is not None:
        return _of_serving(term.served, titles)
    published = read_reliability()
    titles[published.sources["llama3"].title] = None
    return float(sum(published.llama3_causes.values()))


def _of_chip(name: str, path: str, titles: dict[str, None]) -> float:
    """Return a figure of the catalogue, and note its source."""
    chip, _ = load_chip(name)
    found: Any = chip
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else getattr(found, part, None)
    value = getattr(found, "value", None)
    if value is None:
        raise ValueError(f"{name} has no figure {path}")
    source = getattr(found, "source", None)
    titles[chip.sources[source].title if source in chip.sources else f"{name}: recalled"] = None
    return float(value)


def _of_energy(row: str, quantity: str, titles: dict[str, None]) -> float:
    """Return a computed quantity of published energy, and note the source of its row."""
    cases, gates = read_energy()
    chosen = [case for case in cases if case.id == row]
    for found in predict_energy(chosen, gates):
        if found.quantity == quantity and found.predicted is not None:
            titles[chosen[0].source] = None
            return found.predicted
    raise ValueError(f"published energy has no {quantity} of {row}")


def _of_serving(served: _Served, titles: dict[str, None]) -> float:
    """Return a figure that we compute of serving, and note that."""
    names = ("model", "chip", "engine", "precision", "tp", "n_in", "n_out", "batch")
    asked = Asked(*(getattr(served, name) for name in names))
    titles["computeplan: a batch at rest"] = None
    return float(getattr(figures_of(asked), served.quantity))
