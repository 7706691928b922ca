"""The repair shop of one pool in one run: first what needs no crew, then the crews.

Nodes that one fault took together are mended by one crew. Crews take them in the order in which
they come. No event queue: what is to happen later goes through a function that the engine gives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

__all__ = ["Crews", "Taken"]

Taken = list[tuple[int, float]]
"""Nodes that were taken together, and how long the repair of each takes. [s]"""


class Crews:
    """The crews of a pool.

    Parameters
    ----------
    n_crews : int or None
        None without limit.
    later : callable
        Of a time [s] and a function of an event that has `time_s`.
    is_back : callable
        Of a node and a time: what happens when it is whole. [s]
    """

    def __init__(
        self,
        n_crews: int | None,
        later: Callable[[float, Callable[[Any], None]], None],
        is_back: Callable[[int, float], None],
    ) -> None:
        self.has_limit, self.n_free = n_crews is not None, n_crews or 0
        self.waiting: deque[Taken] = deque()
        self.later, self.is_back = later, is_back

    def repair(self, taken: Taken, automatic_s: float, now_s: float) -> None:
        """Repair nodes that were taken together."""
        if automatic_s:
            self.later(now_s + automatic_s, partial(self._tried, taken))
        else:
            self._call(taken, now_s)

    def _tried(self, taken: Taken, event: Any) -> None:
        self._call(taken, event.time_s)

    def _call(self, taken: Taken, now_s: float) -> None:
        needs_crew = self.has_limit and taken[0][1] > 0  # 0: what was tried first has mended it
        if needs_crew and not self.n_free:
            self.waiting.append(taken)
            return
        self.n_free -= needs_crew
        for i, (node, repair_s) in enumerate(taken):
            self.later(now_s + repair_s, partial(self._mended, node, needs_crew and i == 0))

    def _mended(self, node: int, frees_crew: bool, event: Any) -> None:
        if frees_crew:
            self.n_free += 1
            if self.waiting:
                self._call(self.waiting.popleft(), event.time_s)
        self.is_back(node, event.time_s)
