"""What a policy returns: starts, stops, power caps, and when to ask again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["NOTHING", "NO_CAPS", "Decision", "Start"]

NO_CAPS: Mapping[int, float] = MappingProxyType({})


class Start(NamedTuple):
    """Let a job that waits hold its nodes of a pool.

    A job that has run before goes on from where it saved, after `restart_s` and the time to load.
    """

    job: int
    pool: int
    lease_s: float = math.inf
    """How long it may train: then it saves, gives its nodes back and waits again. [s]"""
    restart_s: float = 0.0
    """How long a job that has run before takes to begin again, without loading. [s]"""
    n_nodes: int = 0
    """Nodes of an elastic job, from the least it can train with; 0 for all that it wants. Of a job
    on several pools, its nodes of this one."""
    more: Sequence[tuple[int, int]] = ()
    """Further pools, and the nodes of each, that a mixed job holds at the same time. All its nodes
    together make a whole job (`view.Mixing`), and it holds all of them or none."""


class Decision(NamedTuple):
    """What is to happen at a moment: stops, jobs that shrink, starts, jobs that grow."""

    start: Sequence[Start] = ()
    stop: Sequence[int] = ()
    """Running jobs that save, give their nodes back, and wait again."""
    resize: Sequence[tuple[int, int]] = ()
    """Running elastic jobs, and the nodes that each is to hold from now on. It gives nodes back
    once it has saved; it is given free ones at once, then saves, and trains with them."""
    cap_w: Mapping[int, float] = NO_CAPS
    """By pool, what its jobs may draw at the facility from now on; inf lifts a cap, and who is not
    named keeps its own. They train at ``min(1, cap / draw)`` of their speed, if all nodes that jobs
    hold there would draw more. A policy that caps says so with `registry.may`. [W]"""
    again_s: float = math.inf
    """The policy is asked again at this time, if nothing happens before. [s]"""
    memory: object = None
    """What `View.memory` is when the policy is asked next in this run."""


NOTHING = Decision()
