"""With how few replicas a job goes on: when nodes are lacking, or as a policy says."""

from __future__ import annotations

import math

from computeplan.specs.fields import Count, Duration, Fraction, Frozen, instead

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
    )

    efficiency: Fraction
    """Over the sum of what its chips of each kind train apart; ``computeplan mix`` prices it."""


class OnLoss(Frozen):
    """How to go on without the nodes that are lacking."""

    shrink: Shrink
    """Go on with the replicas that have all nodes."""
