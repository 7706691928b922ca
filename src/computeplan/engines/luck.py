"""The luck of one run, as the event engine reads it: plain lists, and one fault at a time."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from computeplan.pools import Pool
from computeplan.strikes import Luck, Strikes

__all__ = ["Fault", "RunLuck", "is_over"]


class Fault(NamedTuple):
    """One fault, of one run."""

    nodes: list[int]
    takes: bool
    restart_s: float
    automatic_s: float
    repairs_s: list[float]  # of each node
    life_s: float
    chain: int
    nth: int
    level: int
    found_s: float
    generation: int = 0  # of its node; 0 also where any generation is struck alike


class RunLuck:
    """The luck of one run as plain lists; a column that the pool does not need is empty."""

    def __init__(self, found: Strikes | Luck | None, run: int) -> None:
        def column(name: str) -> list[Any]:
            values = getattr(found, name, None)
            return [] if values is None else values[:, run].tolist()

        self.time_s, self.kind, self.node = column("time_s"), column("kind"), column("node")
        self.takes, self.restart_s = column("takes"), column("restart_s")
        self.automatic_s, self.repair_s = column("automatic_s"), column("repair_s")
        self.life_s, self.chain = column("life_s"), column("chain")
        self.is_member, self.level = column("is_member"), column("level")
        self.found_s = column("found_s")

    def fault(self, i: int, n: int) -> Fault:
        """Return the fault in row `i`, which takes up `n` rows."""
        return Fault(
            self.node[i : i + n],
            self.takes[i],
            self.restart_s[i],
            self.automatic_s[i] if self.automatic_s else 0.0,
            self.repair_s[i : i + n],
            self.life_s[i] if self.life_s else math.inf,
            self.chain[i] if self.chain else -1,
            0,
            self.level[i],
            self.found_s[i] if self.found_s else 0.0,
        )


def is_over(pool: Pool, n_played: int) -> bool:
    """Return whether a pool's strikes come to an end, and are played to it."""
    n_times = [None if kind.log is None else len(kind.log.start_s) for kind in pool.kinds]
    known = [n for n in (*n_times, *(stop.n_times for stop in pool.stops)) if n is not None]
    return len(known) == len(pool.kinds) + len(pool.stops) and n_played >= sum(known)
