"""What a job does when nodes are lacking and no spare is idle: wait, or go on without them."""

from __future__ import annotations

from computeplan.specs.fields import Count, Duration, Frozen

__all__ = ["OnLoss", "Shrink"]


class Shrink(Frozen):
    """Going on with the data parallel replicas that have all nodes, at the same global batch."""

    replicas: Count | None = None
    """Data parallel replicas of the job; dp of its parallelism if left out."""
    least: Count = 1
    """Fewest replicas with which it goes on; with fewer it waits."""
    resize: Duration
    """From a save to training with more replicas, when nodes are restored."""


class OnLoss(Frozen):
    """How to go on without the nodes that are lacking."""

    shrink: Shrink
    """Go on with the replicas that have all nodes."""
