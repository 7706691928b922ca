"""With how few replicas a job goes on: when nodes are lacking, or as a policy says."""

from __future__ import annotations

import math

from pydantic import model_validator

from computeplan.specs.fields import (
    Count,
    Distance,
    Duration,
    Fraction,
    Frozen,
    instead,
    refuse,
)

__all__ = ["Mixed", "OnLoss", "Shrink", "ShrinkShare"]


class Shrink(Frozen):
    """Going on with the data parallel replicas that have all nodes, at the same global batch."""

    replicas: Count | None = None
    """Data parallel replicas of the job; dp of its parallelism if left out."""
    least: Count = 1
    """Fewest replicas with which it goes on; with fewer it waits."""
    resize: Duration
    """From a save to training with another number of replicas; none where a node is lost."""


class ShrinkShare(Frozen):
    """The same for jobs of any size, of which every chip is a replica."""

    least: Fraction
    """The share of its chips with which a job can train; rounded up to whole chips."""
    resize: Duration
    """From a save to training with another number of chips."""

    def of(self, n_chips: int) -> Shrink:
        """Return it for a job with a number of chips."""
        least = math.ceil(self.least * n_chips)
        return Shrink.model_construct(replicas=n_chips, least=least, resize=self.resize)


class Mixed(Frozen):
    """Running on nodes of several pools at once, under a policy that places jobs so."""

    tried = instead(
        ("pools chips kinds parts split", "the policy chooses pools; only: [h100, 910b2] pins"),
        ("speed factor loss bound", "write efficiency: 0.9"),
        ("latency delay rtt ping", "write distance: 1200 km, the length of the line between sites"),
        ("bandwidth link uplink", "belongs to sites: sites.NAME.uplink: 400 Gbit/s"),
    )

    efficiency: Fraction | None = None
    """Over the sum of what its chips of each kind train apart; ``computeplan mix`` prices it. If
    left out, pools are one a site, and every step waits until all gradients are summed over the
    uplinks."""
    distance: Distance = 0.0
    """Of the line from one site to the next, for its latency; only without an efficiency."""

    @model_validator(mode="after")
    def _has_one(self) -> Mixed:
        if self.efficiency is not None and self.distance:
            refuse("efficiency says it all: drop distance, or efficiency")
        return self


class OnLoss(Frozen):
    """How to go on without the nodes that are lacking."""

    shrink: Shrink
    """Go on with the replicas that have all nodes."""
