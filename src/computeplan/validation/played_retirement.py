"""V11 with the faults that engines play: what retiring the worst nodes gains, drawn and played.

Twice the same span: in the first, faults tell which nodes are worst; in the second they are gone.
Share of faults on the worst is what is gained if nothing came in their place; new nodes come, which
are as likely to be bad as any, and have their share of faults.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import nbinom

from computeplan.compiler.compile import compile_world
from computeplan.engines import batch, event
from computeplan.fitting.retirement import top_share
from computeplan.ledger import Ledger
from computeplan.specs.scenario import load
from computeplan.trace import Trace
from computeplan.world.world import World

__all__ = ["drawn_shares", "faults_to_retire", "played_gain"]

SPAN_D = 348  # of the log whose dispersion the mixture has


def drawn_shares(
    nodes: int, faults_per_node: float, cv: float, share: float, seed: int, n_fleets: int
) -> tuple[float, float]:
    """Return the share of faults on the worst nodes, when they were chosen and later.

    Parameters
    ----------
    nodes : int
    faults_per_node : float
        In each span.
    cv : float
        Of the rates.
    share : float
        Of the nodes that are called worst.
    seed, n_fleets : int
        Of the random numbers, and how many fleets are drawn.
    """
    world = _world(nodes, faults_per_node, cv, 2)
    found = Trace(world, seed, 0, n_fleets).arrivals(0, world.horizon_s)
    n_top = max(1, round(share * nodes))
    shares = []
    for run in range(n_fleets):
        times_s, node = found.time_s[:, run], found.node[:, run]
        first = times_s <= world.horizon_s / 2
        later = ~first & (times_s <= world.horizon_s)
        one, two = (
            np.bincount(node[w], minlength=nodes).astype(np.float64) for w in (first, later)
        )
        shares.append((top_share(one, one, n_top), top_share(one, two, n_top)))
    in_sample, out_of_sample = np.mean(shares, axis=0)
    return float(in_sample), float(out_of_sample)


def faults_to_retire(faults_per_node: float, cv: float, share: float) -> int:
    """Return the most faults that at least a share of the nodes has in a span.

    Examples
    --------
    >>> faults_to_retire(1.46, 1.04, 0.05)
    5
    """
    shape = cv**-2
    counts = np.arange(1, 1000)
    at_least = nbinom.sf(counts - 1, shape, shape / (shape + faults_per_node))
    return int(max(1, np.sum(at_least >= share)))


def played_gain(
    nodes: int, faults_per_node: float, cv: float | None, share: float, seed: int, n_fleets: int
) -> float:
    """Return the share of the second span's faults that is saved by retiring nodes in the first.

    Played by the event engine; `cv` is None for equal nodes.
    """
    n_faults = faults_to_retire(faults_per_node, cv or 1.0, share)
    rule = {
        "after": f"{n_faults} faults",
        "within": f"{SPAN_D} d",
        "replaced_in": "1 min",
        "most": f"{max(1, round(share * nodes))} nodes",
    }
    kept, retired = (
        [_world(nodes, faults_per_node, cv, n_spans, r) for n_spans in (1, 2)] for r in (None, rule)
    )
    before = _n_faults(batch.play(kept[1], seed, 0, n_fleets))
    before -= _n_faults(batch.play(kept[0], seed, 0, n_fleets))
    after = _n_faults(event.play(retired[1], seed, 0, n_fleets))
    after -= _n_faults(event.play(retired[0], seed, 0, n_fleets))
    return 1 - after / before


def _n_faults(ledger: Ledger) -> float:
    return float(ledger.counts["interruptions"].sum() + ledger.counts["idle_faults"].sum())


def _world(
    nodes: int,
    faults_per_node: float,
    cv: float | None,
    n_spans: int,
    rule: dict[str, str] | None = None,
) -> World:
    """Return a world in which repairs are so short that they do not matter."""
    kind = {
        "mtbf": f"{SPAN_D / faults_per_node!r} d",
        "per": "node",
        "takes": "node",
        "restart": "5 min",
        "repair": "1 min",
    }
    pool = {"chip": "nvidia/h100-sxm", "chips": 8 * nodes}
    document = {
        "computeplan": 1,
        "name": "lemons",
        "sites": {
            "here": {"pue": 1.0, "pools": {"pool": pool | ({"retire": rule} if rule else {})}}
        },
        "faults": {"fault": kind | ({"lemons": {"cv": cv}} if cv else {})},
        "jobs": {
            "job": {"train_for": "10000 d", "chips": 8 * nodes, "checkpoint": {"every": "never"}}
        },
        "simulate": {"horizon": f"{n_spans * SPAN_D} d"},
    }
    return compile_world(load(document))
