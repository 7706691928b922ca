"""Published runs of one job on several kinds of chips, beside what is predicted for what is known.

Sources name four different bounds, and few name their chips. A run is priced only with the chips it
names, or with stand-ins that are declared as assumptions; what is anonymous is not priced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, Self

from pydantic import model_validator

from computeplan.analytic.mixed_price import Link, MixPrice, price_mix
from computeplan.physics.mixed import Bound, Efficiency
from computeplan.specs.documents.document import DATA, load_document
from computeplan.specs.documents.validation import validate
from computeplan.specs.fields import Count, Frozen, Positive, refuse

__all__ = ["MixedRun", "Predicted", "mixed_runs", "predict_mixed"]


NAME = "published mixed_chips.yaml"


class _Ours(Frozen):
    """Which of our bounds a published one is."""

    bound: Bound
    of: str = ""


class _Published(Frozen):
    """What a source says."""

    text: str
    low: Positive | None
    high: Positive | None


class _Priced(Frozen):
    """What stands for a run."""

    name: str
    model: str
    chips: tuple[tuple[str, Count], ...]
    seq: Count
    batch: Count
    way: Literal["best", "pipeline", "batch"] = "best"
    link: Link = "direct"
    assumed: str
    """What of it the source does not say."""


class MixedRun(Frozen):
    """A published run."""

    id: str
    year: int
    work: str
    source: str
    chips: str
    model: str
    published: _Published
    bound: str
    """As the source names it."""
    ours: _Ours | None = None
    priced: tuple[_Priced, ...] = ()
    why: str = ""
    """Why it is not priced."""

    @model_validator(mode="after")
    def _says_why_not(self) -> Self:
        if bool(self.priced) == bool(self.why):
            refuse("a run is priced, or says why it is not")
        if self.priced and self.ours is None:
            refuse("a run that is priced says which of our bounds its own is")
        return self


class _Runs(Frozen):
    runs: tuple[MixedRun, ...]


@dataclass(frozen=True, slots=True)
class Predicted:
    """A published run beside one prediction, or none."""

    run: MixedRun
    name: str
    """What was priced; empty if nothing was."""
    price: MixPrice | None
    efficiency: Efficiency | None
    """Of the bound that the source names."""


@cache
def mixed_runs() -> tuple[MixedRun, ...]:
    """Return the published runs.

    Examples
    --------
    >>> [run.published.text for run in mixed_runs() if run.id == "hethub"]
    ['97.49 %']
    """
    return validate(_Runs, load_document(DATA / "published" / "mixed_chips.yaml", NAME)).runs


def predict_mixed(runs: Sequence[MixedRun]) -> tuple[Predicted, ...]:
    """Return every run with its predictions, in the order of the runs."""
    found: list[Predicted] = []
    for run in runs:
        if not run.priced:
            found.append(Predicted(run, "", None, None))
        for one in run.priced:
            price = price_mix(
                one.model,
                one.chips,
                seq=one.seq,
                batch=one.batch,
                link=one.link,
                way=one.way,
            )
            assert run.ours is not None  # validated
            asked = run.ours.bound, run.ours.of
            (ratio,) = (
                each
                for each in (price.efficiency, *price.baselines)
                if (each.bound, each.of) == asked
            )
            found.append(Predicted(run, one.name, price, ratio))
    return tuple(found)
