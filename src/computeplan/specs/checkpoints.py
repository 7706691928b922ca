"""How a job saves: to one place, waiting or going on while it is written, or to several tiers."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from computeplan.specs.fields import (
    Bandwidth,
    Count,
    Duration,
    Frozen,
    Name,
    PositiveDuration,
    SaveInterval,
    StateBytes,
    instead,
    refuse,
)

__all__ = ["SURVIVES", "Checkpoint", "Tier"]

SURVIVES = ("nothing", "node", "group", "all")
"""What a fault may take so that a tier can still be read, from least to most."""
BYTES_MISSING = "bandwidth goes with state: what is written at it; state: auto, or 5.6 TB"
WHOLE = 1e-9  # a ratio this near to a whole number is one: 0.1 s goes ten times into 1 s


def _no_optimum(value: object) -> object:
    if value in ("optimal", "never"):
        refuse(
            f"must be a duration, not {value}: several tiers have no closed form to find the best"
            " of; write '5 min', and compare durations with sweep:"
        )
    return value


def _minutes(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else f"{seconds / 60:g} min"


class Tier(Frozen):
    """One place that checkpoints are saved to, such as memory, a peer's memory or disk."""

    every: Annotated[PositiveDuration, BeforeValidator(_no_optimum)]
    """Training time between saves; a whole multiple of that of the next more frequent tier."""
    stall: Duration
    """How long training stands still for one save; adds to that of other tiers due with it."""
    write: Duration | None = None
    """How long after its stall a save is complete, while training goes on; 0 if left out, and with
    state of the checkpoint as long as writing its bytes."""
    load: Duration | None = None
    """How long reading the state back takes; adds to the restart; left out, as write."""
    bandwidth: Bandwidth | None = None
    """Bandwidth at which state is written and read; the storage of the site if left out."""
    survives: Literal["nothing", "node", "group", "all"]
    """The worst that a fault may take so that the tier can still be read."""

    @model_validator(mode="after")
    def _writes_one_at_a_time(self) -> Tier:
        _one_at_a_time(self.every, self.stall, self.write or 0.0)
        return self


def _one_at_a_time(every: float, stall: float, write: float) -> None:
    if every + stall < write:
        refuse(
            f"a save takes {_minutes(write)} to write, but the next is due"
            f" {_minutes(every + stall)} after it (every + stall): save at least every"
            f" {_minutes(write - stall)}"
        )


class Checkpoint(Frozen):
    """Saving the state so that a fault does not cost everything."""

    alternatives: ClassVar[tuple[tuple[frozenset[str], ...], ...]] = (
        (frozenset({"every", "stall", "write", "load", "bandwidth"}), frozenset({"tiers"})),
    )
    tried = instead(
        ("interval period frequency save_interval each", "write every: 30 min (or optimal, never)"),
        (
            "duration time save_time cost overhead save lasts",
            "write stall: 5 s, how long training stands still for a save",
        ),
        ("size bytes state_size checkpoint_size", "write state: 5.6 TB (or auto)"),
        (
            "async asynchronous background",
            "write stall: 5 s with write: 60 s, done in the background",
        ),
        ("restore restore_time read load_time recovery", "write load: 2 min"),
        ("storage storage_bandwidth", "write bandwidth: 100 GB/s, or give the site a storage"),
    )

    every: SaveInterval | None = None
    """Training time between saves: a duration, optimal (least loss for the fault rate), never."""
    stall: Duration | None = None
    """How long training stands still for one save; with state, as long as writing it if left out.
    """
    write: Duration | None = None
    """How long after its stall a save is complete, while training goes on; 0 if left out."""
    load: Duration | None = None
    """How long reading the state back takes; adds to the restart; 0 if left out, and with state as
    long as reading its bytes."""
    state: StateBytes | None = None
    """Bytes of one save, or auto for weights and Adam's state; they and a bandwidth give the time
    that write, or stall without write, leaves out, and that of load."""
    bandwidth: Bandwidth | None = None
    """Bandwidth at which this job alone writes and reads its state; if left out the storage of the
    site, which it shares with other jobs."""
    keep: Count | None = None
    """Completed checkpoints that are kept, of the least frequent tier; needed where a fault has
    found, because the newest may hold its damage."""
    tiers: Annotated[dict[Name, Tier], Field(min_length=1)] | None = None
    """Several places to save to, by name, instead of every and stall."""

    @property
    def is_sized(self) -> bool:
        """Whether the time of a save follows from its bytes."""
        return self.state is not None

    @property
    def asks_storage(self) -> bool:
        """Whether some time of it follows from its bytes and the storage of the site."""
        if not self.is_sized:
            return False
        if self.tiers is None:
            return self.bandwidth is None
        return any(
            tier.bandwidth is None and (tier.write is None or tier.load is None)
            for tier in self.tiers.values()
        )

    @property
    def by_interval(self) -> list[tuple[str, Tier]]:
        """The tiers, most frequent first."""
        tiers = (self.tiers or {}).items()
        return sorted(tiers, key=lambda one: (one[1].every, SURVIVES.index(one[1].survives)))

    @model_validator(mode="after")
    def _consistent(self) -> Checkpoint:
        if self.tiers is not None:
            names = ("every", "stall", "write", "load", "bandwidth")
            if any(getattr(self, name) is not None for name in names):
                refuse("each tier says that for itself; drop every, stall, write, load, bandwidth")
            if not self.is_sized and any(tier.bandwidth for tier in self.tiers.values()):
                refuse(BYTES_MISSING)
            self._nested()
            return self
        if self.every is None:
            refuse(
                "every is missing: how often to save, such as 30 min, optimal or never; or tiers"
            )
        if self.bandwidth is not None and not self.is_sized:
            refuse(BYTES_MISSING)
        if self.is_sized and self.write is not None:
            refuse("write and state give the same value twice; keep one")
        if self.every != "never" and self.stall is None and not self.is_sized:
            refuse("stall is missing: how long training stands still for one save, such as 5 s")
        is_free = not self.stall and not self.write and not self.is_sized
        if self.every == "optimal" and is_free:
            refuse("every: optimal needs a stall > 0; saves that cost nothing have no optimum")
        if isinstance(self.every, float):
            _one_at_a_time(self.every, self.stall or 0.0, self.write or 0.0)
        return self

    def _nested(self) -> None:
        tiers = self.by_interval
        for (finer_name, finer), (name, tier) in itertools.pairwise(tiers):
            ratio = tier.every / finer.every
            if abs(ratio - round(ratio)) > WHOLE * ratio:
                below, above = (f(ratio) * finer.every for f in (math.floor, math.ceil))
                refuse(
                    f"tiers save together: every of {name} must be a whole multiple of the"
                    f" {_minutes(finer.every)} of {finer_name}, such as {_minutes(below)} or"
                    f" {_minutes(above)}, not {_minutes(tier.every)}"
                )
        name, slowest = tiers[-1]
        if slowest.survives != "all":
            refuse(
                f"the least frequent tier, {name}, survives {slowest.survives}: some fault would"
                " cost the whole run; it must survive all"
            )
