"""What a job does when it lacks nodes and no spare is idle: it waits, or goes on without them."""

from __future__ import annotations

from computeplan.specs.fields import Count, Duration, Frozen

__all__ = ["OnLoss", "Shrink"]


class Shrink(Frozen):
    """Going on with the data parallel replicas that are whole, at the same global batch."""

    replicas: Count | None = None
    """Data parallel replicas of the job; dp of its parallelism if left out."""
    least: Count = 1
    """Replicas without which it does not go on: with fewer it waits."""
    resize: Duration
    """From a save to training with more replicas, when nodes have come back."""


class OnLoss(Frozen):
    """A way to go on without the nodes that are lacking."""

    shrink: Shrink
    """Go on with the replicas that are whole."""
