"""Who gives way where nodes or power are lacking: which job first, and how much it leaves.

There is one order for all who ask, services that need nodes and sites that need power: the lowest
priority first; of one priority elastic jobs shrink before any job leaves; of those that do the
same, the one that started last. A job that shrinks can be asked for more in its next turn, where it
leaves. A site may also let all elastic jobs shrink before anybody leaves, whatever its priority.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import NamedTuple

from computeplan.engines.event.calendar import Then
from computeplan.scheduling.view import Running, View

__all__ = ["GivingWay", "Turn"]

SHRINKS, LEAVES = 1, 2  # of one priority, in this order; 0 is what services hold beyond their least


class Turn(NamedTuple):
    """One way in which a job can give way."""

    order: tuple[float, ...]
    """When its turn comes: the smaller, the sooner; first its priority, unless all shrink first."""
    run: Running
    n_least: int
    """Nodes that it holds after that, at least; 0 if it leaves."""


@dataclass(frozen=True, slots=True)
class GivingWay:
    """What lets the jobs of a run shrink or leave, once they have saved."""

    view: View
    stop: Callable[[int, float], None]
    resize: Callable[[int, int, float], None]
    ask: Then
    """Asks the policy once all else is done."""

    def leaving(self) -> dict[int, int]:
        """Return how many nodes each job will hold that saves before it shrinks or leaves."""
        return self.view.shrinking | dict.fromkeys(self.view.stopping, 0)

    def turns(
        self, pools: Container[int], but: Container[int], *, all_shrink_first: bool = False
    ) -> list[Turn]:
        """Return how jobs on some pools, but for some jobs, can give way, in their order."""
        view, found = self.view, list[Turn]()
        for run in view.running.values():
            if run.job in but or all(p not in pools for p, _ in run.parts):
                continue
            priority, last = view.priority[run.job], (-run.start_s, -run.job)
            least = run.n_nodes if run.more else view.least_nodes(run.job, run.pool)
            for how, n_least in ((SHRINKS, least), (LEAVES, 0)):
                if n_least < run.n_nodes:
                    both = (how, priority) if all_shrink_first else (priority, how)
                    found.append(Turn((*both, *last), run, n_least))
        return sorted(found, key=lambda turn: turn.order)

    def take(self, run: Running, n_left: int, now_s: float) -> None:
        """Let a job hold fewer nodes once it has saved, or none."""
        if n_left:
            self.resize(run.job, n_left, now_s)
        else:
            self.stop(run.job, now_s)
