"""The samples of one run, for an engine that plays one at a time: lists, and single faults."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from computeplan.trace.arrivals import Arrivals, FaultSamples

__all__ = ["Fault", "RunSamples"]


class Fault(NamedTuple):
    """One fault, of one run."""

    nodes: tuple[int, ...]
    takes: bool
    restart_s: float
    automatic_s: float
    repairs_s: tuple[float, ...]  # of each node
    lifetime_s: float
    chain: int
    level: int
    found_s: float
    lasts_s: float
    origin: int = -1  # node whose fault it is, if it takes a group
    nth: int = 0
    generation: int = 0  # of its node; 0 also where any generation may fault


class RunSamples:
    """The samples of one run, row by row; a column that the pool does not need is empty."""

    def __init__(self, found: Arrivals | FaultSamples | None, run: int) -> None:
        def column(name: str) -> list[Any]:
            values = getattr(found, name, None)
            return [] if values is None else values[:, run].tolist()

        def missing(name: str, default: float) -> Iterable[Any]:
            return column(name) or itertools.repeat(default)

        self.time_s, self.kind, self.node = column("time_s"), column("kind"), column("node")
        self.takes, self.restart_s = column("takes"), column("restart_s")
        self.lasts_s, self.is_member = column("lasts_s"), column("is_member")
        self.repair_s = column("repair_s")
        # In the order of `Fault`, whose objects are made only of what is played.
        self.rows = list(
            zip(
                zip(self.node, strict=False) if self.node else itertools.repeat(()),
                self.takes,
                self.restart_s,
                missing("automatic_s", 0.0),
                zip(self.repair_s, strict=False),
                missing("lifetime_s", math.inf),
                missing("chain", -1),
                column("level"),
                missing("found_s", 0.0),
                missing("lasts_s", 0.0),
                missing("origin", -1),
                strict=False,
            )
        )

    def fault(self, i: int, n: int) -> Fault:
        """Return the fault in row `i`, which takes up `n` rows."""
        fault = Fault(*self.rows[i])
        if n == 1:
            return fault
        nodes, repairs_s = tuple(self.node[i : i + n]), tuple(self.repair_s[i : i + n])
        return fault._replace(nodes=nodes, repairs_s=repairs_s)
