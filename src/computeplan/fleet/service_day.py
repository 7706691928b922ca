"""What users of a service see over its day: times by hour, and requests beyond a limit.

An instance is simulated at a few loads between that of the calmest and the busiest hour, more of
them near the latter, where times rise; hours lie between. Each hour has its mean rate, on the
instances that are there for it, none of them down: what faults and busier minutes add is not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.scheduling.services import nodes_on_pools

__all__ = ["Seen", "hours_on_pools", "seen_by_hour"]

N_LOADS = 5
"""That are simulated. Of 13 services of 24 hours the share of a day's requests beyond a limit was
0.0001 below to 0.0002 above that of all hours simulated."""


class Seen(NamedTuple):
    """What users of a pool see in each hour."""

    missed_frac: FloatArray
    """Share of requests beyond a limit."""
    ttft_s: FloatArray
    tpot_s: FloatArray
    """At the percentiles of the limits. [s]"""


def hours_on_pools(
    per_s: FloatArray,
    wanted_per_s: FloatArray,
    room: Sequence[int],
    gives: Sequence[float],
    group: Sequence[int],
) -> tuple[FloatArray, FloatArray]:
    """Return the load of instances in each hour, and the requests of each pool.

    Parameters
    ----------
    per_s : ndarray, shape (n_hours,)
        Requests. [1/s]
    wanted_per_s : ndarray, shape (n_hours,)
        What instances are held for. [1/s]
    room, gives, group : sequence
        Nodes of each pool, what one gives [1/s], and nodes of an instance.

    Returns
    -------
    load_frac : ndarray, shape (n_hours,)
        Of what instances hold.
    per_s : ndarray, shape (n_hours, n_pools)
        In proportion to what the instances of each pool hold. [1/s]

    Examples
    --------
    Nodes of 2/s are held for 8/s at all hours, or for what each hour needs:

    >>> rates = np.array([4.0, 7.0])
    >>> hours_on_pools(rates, np.full(2, 8.0), [9], [2.0], [1])[0].tolist()
    [0.5, 0.875]
    >>> hours_on_pools(rates, rates, [9], [2.0], [1])[0].tolist()
    [1.0, 0.875]
    """
    nodes = [nodes_on_pools(wanted, room, gives, group)[0] for wanted in wanted_per_s.tolist()]
    given = np.array(nodes) * np.array(gives)
    in_all = np.where(given.any(axis=1), given.sum(axis=1), np.inf)
    load_frac = np.minimum(1.0, per_s / in_all)
    return load_frac, per_s[:, None] * given / in_all[:, None]


def seen_by_hour(
    load_frac: FloatArray, seen_at: Callable[[float], tuple[float, float, float]]
) -> Seen:
    """Return what users of a pool see in each hour; nan in hours without requests.

    Parameters
    ----------
    load_frac : ndarray, shape (n_hours,)
        Of what an instance holds.
    seen_at : callable
        Returns the fields of `Seen` at a load.

    Examples
    --------
    >>> seen = seen_by_hour(np.array([0.2, 0.0, 0.4]), lambda load: (0.1 * load, load, 2 * load))
    >>> seen.ttft_s.tolist()
    [0.2, nan, 0.4]
    """
    loads = np.unique(load_frac[load_frac > 0])
    if len(loads) > N_LOADS:
        low, high = loads[0], loads[-1]
        loads = high - (high - low) * np.linspace(1.0, 0.0, N_LOADS) ** 2
    is_asked, found = load_frac > 0, np.full((len(Seen._fields), len(load_frac)), np.nan)
    if len(loads):
        for i, column in enumerate(np.array([seen_at(load) for load in loads.tolist()]).T):
            found[i, is_asked] = np.interp(load_frac[is_asked], loads, column)
    return Seen(*found)
