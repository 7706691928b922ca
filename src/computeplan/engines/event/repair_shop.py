"""The repair shop of one pool in one run: first what needs no crew, then the crews.

Nodes that one fault sent together are mended by one crew. Crews take them in the order in which
they come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

__all__ = ["RepairShop", "SentTogether"]

SentTogether = list[tuple[int, float]]
"""Nodes that were sent to repair together, and how long the repair of each takes. [s]"""


class RepairShop:
    """The crews of a pool.

    Parameters
    ----------
    n_crews : int or None
        None without limit.
    later : callable
        Of a time [s], a node, and what then happens.
    restored : callable
        Of a node and a time: what happens when it is whole again. [s]
    """

    def __init__(
        self,
        n_crews: int | None,
        later: Callable[[float, int, Callable[[float], None]], None],
        restored: Callable[[int, float], None],
    ) -> None:
        self.has_limit, self.n_free = n_crews is not None, n_crews or 0
        self.waiting: deque[SentTogether] = deque()
        self.later, self.restored = later, restored

    def repair(self, sent: SentTogether, automatic_s: float, now_s: float) -> None:
        """Repair nodes that were sent together."""
        if automatic_s:
            self.later(now_s + automatic_s, sent[0][0], partial(self._call, sent))
        else:
            self._call(sent, now_s)

    def _call(self, sent: SentTogether, now_s: float) -> None:
        needs_crew = self.has_limit and sent[0][1] > 0  # 0: what was tried first has mended it
        if needs_crew and not self.n_free:
            self.waiting.append(sent)
            return
        self.n_free -= needs_crew
        for i, (node, repair_s) in enumerate(sent):
            then = partial(self._mended, node, needs_crew and i == 0)
            self.later(now_s + repair_s, node, then)

    def _mended(self, node: int, frees_crew: bool, now_s: float) -> None:
        if frees_crew:
            self.n_free += 1
            if self.waiting:
                self._call(self.waiting.popleft(), now_s)
        self.restored(node, now_s)
