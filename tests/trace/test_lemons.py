"""Nodes of unlike rates, and nodes that are retired for their faults.

The oracle of the faults is two lines of NumPy: a gamma rate for each node, a Poisson count of it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from oracle import HOUR_S, scenario_of
from scipy import stats
from worlds import BOTH

from computeplan.analytic.expected import why_no_closed_form
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.report.words import sentence
from computeplan.trace import Trace

N_NODES, SPAN_H, MEAN = 60, 1000.0, 1.5  # faults per node expected
CVS = pytest.mark.parametrize("cv", [0.3, 1.2, 3.0])


def fleet_of(cv: float | None, n_nodes: int = N_NODES, **changes: object) -> Any:
    """A fleet on which no repair takes time, so that every fault that is drawn is counted."""
    return compile_world(
        scenario_of(
            **{
                "sites__s__pools__p__chips": n_nodes,
                "sites__s__pools__p__spares": "0 nodes",
                "jobs__j__chips": n_nodes,
                "simulate__horizon": f"{SPAN_H} h",
                "jobs__j__train_for": "10 years",
                "faults__f__mtbf": f"{SPAN_H / MEAN} h",
                "faults__f__takes": "nothing",
                "faults__f__restart": "1 min",
                **({"faults__f__lemons": {"cv": cv}} if cv else {}),
                **changes,
            },
        )
    )


def counts_of(world: Any, n_runs: int, from_h: float = 0.0, to_h: float = SPAN_H) -> Any:
    """Return faults by node and run, shape (n_nodes, n_runs)."""
    found = Trace(world, 11, 0, n_runs).arrivals(0, SPAN_H * HOUR_S)
    due = (found.time_s > from_h * HOUR_S) & (found.time_s <= to_h * HOUR_S)
    runs = np.broadcast_to(np.arange(n_runs), due.shape)
    n_nodes = world.pools[0].n_nodes
    flat = np.bincount(found.node[due] * n_runs + runs[due], minlength=n_nodes * n_runs)
    return flat.reshape(n_nodes, n_runs)


def oracle(cv: float, n_fleets: int, seed: int = 3) -> Any:
    """Draw the rates, then the counts."""
    rng = np.random.default_rng(seed)
    shape = cv**-2
    rates = rng.gamma(shape, MEAN / shape, (N_NODES, n_fleets))
    return rng.poisson(rates)


# Rates that differ between nodes


@CVS
def test_counts_of_nodes_are_as_dispersed_as_theory_says(cv):
    """Mean m and variance m (1 + m cv^2), whichever node; 4 standard errors, from the runs."""
    counts = counts_of(fleet_of(cv), 1024)
    squares = (counts - MEAN) ** 2 / MEAN
    for values, expected in ((counts, MEAN), (squares, 1 + MEAN * cv**2)):
        by_run = values.mean(axis=0)
        error = by_run.std(ddof=1) / math.sqrt(by_run.size)
        assert abs(by_run.mean() - expected) < 4 * error


@CVS
def test_counts_are_those_of_rates_drawn_first(cv):
    """Total, worst node and nodes without a fault, over fleets: Kolmogorov and Smirnov."""
    ours, theirs = counts_of(fleet_of(cv), 1024), oracle(cv, 1024)
    for what in (
        lambda counts: counts.sum(axis=0),
        lambda counts: counts.max(axis=0),
        lambda counts: (counts == 0).sum(axis=0),
        lambda counts: np.sort(counts, axis=0)[-6:].sum(axis=0),
    ):
        mine, other = what(ours), what(theirs)
        error = math.hypot(mine.std() / 32, other.std() / 32)
        assert abs(mine.mean() - other.mean()) < 4 * error
        assert stats.ks_2samp(mine, other).pvalue > 1e-4


def test_faults_of_a_node_are_spread_evenly_whatever_their_number():
    """Given its count, a mixed Poisson process is even in time."""
    found = Trace(fleet_of(1.2), 11, 0, 256).arrivals(0, SPAN_H * HOUR_S)
    for run in range(0, 256, 64):
        at = found.time_s[:, run]
        nodes, times_s = found.node[at <= SPAN_H * HOUR_S, run], at[at <= SPAN_H * HOUR_S]
        assert (np.diff(times_s) > 0).all()
        worst = np.bincount(nodes).argmax()
        for some in (nodes == worst, nodes != worst):
            assert stats.kstest(times_s[some] / (SPAN_H * HOUR_S), "uniform").pvalue > 1e-4


@CVS
def test_past_faults_tell_of_later_ones_as_bayes_says(cv):
    """A node with k faults by half time has (a + k) / (a + m) times the mean of the others."""
    world, half_h = fleet_of(cv), SPAN_H / 2
    first, later = counts_of(world, 2048, to_h=half_h), counts_of(world, 2048, from_h=half_h)
    shape, mean = cv**-2, MEAN / 2
    for k in range(4):
        which = first == k
        seen = later[which]
        error = seen.std(ddof=1) / math.sqrt(seen.size)
        assert abs(seen.mean() - mean * (shape + k) / (shape + mean)) < 4 * error


def test_any_node_may_be_the_lemon():
    """The node of the first, the fourth and the last fault, over 4,096 fleets."""
    found = Trace(fleet_of(2.0), 5, 0, 4096).arrivals(0, SPAN_H * HOUR_S)
    for row in (0, 3, 30):
        assert stats.chisquare(np.bincount(found.node[row], minlength=N_NODES)).pvalue > 1e-4
    again = (found.node[1] == found.node[0]).mean()  # 1 / (n a + 1), or by chance
    shape = 0.25
    expected = (1 + shape) / (N_NODES * shape + 1)
    assert abs(again - expected) < 4 * math.sqrt(expected / 4096)


def test_hardly_unlike_nodes_fault_as_equal_ones_do():
    plain, lemons = (Trace(fleet_of(cv), 7, 0, 64).arrivals(0, 1e6) for cv in (None, 1e-7))
    n = min(len(plain.time_s), len(lemons.time_s))
    assert n > 30
    assert lemons.time_s[:n] == pytest.approx(plain.time_s[:n], rel=1e-9)
    assert (lemons.node[:n] == plain.node[:n]).mean() > 0.999


@pytest.mark.parametrize("cv", [1.2, 9.0])
def test_looking_further_changes_nothing_before(cv):
    world = fleet_of(cv)
    trace = Trace(world, 7, 0, 64)
    near = trace.arrivals(0, 100 * HOUR_S)
    far = trace.arrivals(0, 900 * HOUR_S)
    n = len(near.time_s)
    assert len(far.time_s) > n
    assert (far.time_s[:n] == near.time_s).all()
    assert (far.node[:n] == near.node).all()
    alone = Trace(world, 7, 13, 1).arrivals(0, 900 * HOUR_S)
    assert (alone.node[:, 0] == far.node[: len(alone.node), 13]).all()


def test_lemons_of_a_large_fleet_cost_their_faults():
    world = fleet_of(1.2, 125_000, faults__f__mtbf=f"{SPAN_H * 125_000 / 400} h")
    found = Trace(world, 1, 0, 64).arrivals(0, SPAN_H * HOUR_S)
    assert len(found.time_s) < 600
    assert (found.time_s <= SPAN_H * HOUR_S).sum() / 64 == pytest.approx(400, rel=0.03)


@BOTH
def test_lemons_that_wait_in_repair_keep_their_rate(engine):
    """A node that is away for a time is away the longer, the worse it is: E[L / (1 + L r)]."""
    world = fleet_of(
        1.2,
        faults__f__takes="node",
        faults__f__repair="100 h",
        sites__s__pools__p__spares="60 nodes",
        simulate__horizon="4000 h",
    )
    ledger = engine.play(world, 5, 0, 256 if engine is batch else 32)
    n_faults = ledger.counts["repairs"][:, 0]
    shape = 1.2**-2
    rates = stats.gamma.ppf((np.arange(2000) + 0.5) / 2000, shape, scale=MEAN / SPAN_H / shape)
    expected = 120 * expected_renewals(rates, 100.0, 4000.0).mean()
    assert expected < 0.9 * 120 * MEAN * 4 / (1 + MEAN * 100 / SPAN_H)  # were they equal
    error = n_faults.std(ddof=1) / math.sqrt(n_faults.size)
    assert abs(n_faults.mean() - expected) < 4 * error + 1e-3 * expected


def expected_renewals(rates: Any, repair_h: float, span_h: float) -> Any:
    """Return the mean number of faults of nodes that live by rates and are away for a constant.

    The k-th fault comes before the end if k lives take no more than what k - 1 repairs leave.
    """
    total = np.zeros_like(rates)
    for k in range(1, int(span_h / repair_h) + 2):
        left_h = span_h - (k - 1) * repair_h
        if left_h > 0:
            total += stats.gamma.cdf(left_h * rates, k)
    return total


def test_no_closed_form_for_lemons():
    why = why_no_closed_form(fleet_of(1.2))
    assert sentence(why) == "no closed form: f: rates that differ between nodes"
