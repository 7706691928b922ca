"""What slows training down without stopping it: stragglers, and a pool that throttles by day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from computeplan.specs.durations import DurationLaw
from computeplan.specs.fields import Frozen, refuse

if TYPE_CHECKING:
    from computeplan.specs.faults import FaultKind

__all__ = ["Slows", "Throttle", "check_slowing"]

Share = Annotated[float, Field(gt=0, lt=1)]


class Slows(Frozen):
    """A node that holds its job back for a while, and stops nothing."""

    to: Share
    """Share of its speed at which the job of the node trains."""
    lasts: DurationLaw
    """How long, unless the node goes to repair before."""


class Throttle(Frozen):
    """A speed of training that goes up and down with the time of day."""

    diurnal: Share
    """Share of the speed lost when it is hottest, 12 h after the start of the run, which is when
    it is coolest; half of it on average. Llama 3 saw 1 to 2 % (arXiv:2407.21783)."""


def check_slowing(kind: FaultKind) -> None:
    """Refuse what says nothing beside `slows`, and a kind that says neither that nor a restart."""
    if kind.slows is None:
        if kind.restart is None:
            refuse("restart is missing: how long from the fault to the first new step (or slows)")
        return
    if kind.replay is not None:
        refuse("slows is drawn and not replayed: a log says when nodes were down")
    said = [
        name
        for name in ("restart", "takes", "repair", "automatic", "relapse", "found")
        if getattr(kind, name) is not None
    ]
    said += ["law"] if kind.law.name != "expon" else []
    said += ["clock"] if kind.clock != "wall" else []
    if said:
        refuse(f"slows stops nothing and takes nothing: drop {', '.join(said)}, or write two kinds")
