"""The power of a site over time: its integral is the energy in the books, its swings as counted."""

import dataclasses
import itertools

import numpy as np
import pytest
from agreement.test_combinations import combined
from hypothesis import given
from hypothesis import strategies as st
from strategies import crowded, scenarios
from worlds import world_of

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import event
from computeplan.ledger import IDLE, PHASES, SAVE, TRAIN, Span
from computeplan.metrics import by_site
from computeplan.results.power_series import RAMPS_S, PowerSeries, power_of, together

KWH_J = 3.6e6


def booked_j(ledger, world):
    """Return the energy of each site in the first run, as the books have it, by its name."""
    found = by_site(ledger, world)
    parts = [p["energy_kwh"][0] for p in (found.jobs, found.idle, found.services) if p]
    booked = dict.fromkeys(found.sites, 0.0)
    for site, kwh in zip(found.sites, sum(parts).tolist(), strict=True):
        booked[site] += kwh * KWH_J
    return booked


def check_integral(world, seed):
    """Check that the curve of every site adds up to its energy, and is nowhere below 0."""
    ledger = event.play(world, seed, 0, 1, timeline=True)
    found = power_of(ledger, world)
    assert {site: one.energy_j.sum() for site, one in found.items()} == pytest.approx(
        booked_j(ledger, world), rel=1e-9
    )
    for one in found.values():
        assert (one.watts >= 0).all()
        assert (one.seconds > 0).all()
        assert (one.edges_s[0], one.edges_s[-1]) == (0.0, ledger.wall_s[0])


@given(st.one_of(scenarios(), crowded()))
def test_the_integral_is_the_energy_in_the_books(data):
    scenario = cp.load(data)
    check_integral(compile_world(scenario), scenario.simulate.seed)


@given(combined(), st.booleans())
def test_the_integral_is_the_energy_whatever_meets(data, share_spares):
    data["sites"]["s"]["share_spares"] = share_spares and len(data["sites"]["s"]["pools"]) > 1
    scenario = cp.load(data)
    check_integral(compile_world(scenario), scenario.simulate.seed)


@given(st.one_of(scenarios(), crowded()), st.integers(0, 9))
def test_the_integral_is_the_energy_where_the_pue_varies(data, hour):
    """By the hour, so that saves and training meet different hours."""
    hours = [{"hours": [[hour, hour + 9]], "factor": 1.3}]
    for site in data["sites"].values():
        site["varies"] = {"pue": hours}
    scenario = cp.load(data)
    check_integral(compile_world(scenario), scenario.simulate.seed)


def test_services_draw_as_in_training_and_each_site_has_a_curve_of_its_own():
    pool = {"chip": "nvidia/h100-sxm", "chips_per_node": 1}
    data = {
        "computeplan": 1,
        "name": "served",
        "sites": {
            "a": {"pue": 1.5, "pools": {"p": {**pool, "chips": 4}}},
            "b": {"pue": 1, "pools": {"q": {**pool, "chips": 2}}},
        },
        "services": {"s": {"chips": [1] * 9 + [3] * 8 + [1] * 7, "pools": ["p"]}},
        "jobs": {
            "j": {"train_for": "5 h", "chips": 2, "home": "q", "checkpoint": {"every": "never"}}
        },
        "policy": "silo",
        "simulate": {"horizon": "24 h"},
    }
    world = compile_world(cp.load(data))
    check_integral(world, 0)
    found = power_of(event.play(world, 0, 0, 1, timeline=True), world)
    train_w, idle_w = (world.node_w[:, phase] for phase in (TRAIN, IDLE))
    served = dict(zip((found["a"].edges_s[:-1] / 3600).tolist(), found["a"].total_w, strict=True))
    assert served[9.0] == pytest.approx(3 * train_w[0] + idle_w[0])
    assert found["b"].edges_s.tolist() == [0.0, 5 * 3600.0, 24 * 3600.0]
    assert found["b"].total_w.tolist() == pytest.approx([2 * train_w[1], 2 * idle_w[1]])


def test_by_hand():
    """4 of 5 nodes train 10 s and save 1 s in turn, ten times; the last save ends with the job."""
    world = world_of(faults={}, planned={}, **{"simulate.horizon": "200 s"})
    series = power_of(event.play(world, 0, 0, 1, timeline=True), world)["s"]
    train_w, save_w, idle_w = (world.node_w[0, phase] for phase in (TRAIN, SAVE, IDLE))
    assert series.seconds.tolist() == pytest.approx([10.0, 1.0] * 10 + [90.0])
    assert series.total_w[0] == pytest.approx(4 * train_w + idle_w)
    assert series.peak_w == series.total_w.max()
    assert series.largest_step_w == pytest.approx(4 * max(train_w - save_w, save_w - idle_w))
    assert series.largest_ramp_w(60.0) == pytest.approx(4 * (train_w - idle_w))
    levels = (5 * idle_w, 4 * save_w + idle_w, 4 * train_w + idle_w)  # 90, 10 and 100 s
    for percent, level in ((5, 0), (44, 0), (46, 1), (49, 1), (51, 2), (95, 2)):
        assert series.percentile_w(percent) == pytest.approx(levels[level])


def test_nothing_is_told_without_a_timeline_or_watts():
    world = world_of()
    assert power_of(event.play(world, 0, 0, 1), world) == {}
    world = world_of(**{"sites.s.pools.p.chip": "google/tpu-v5p"})
    assert power_of(event.play(world, 0, 0, 1, timeline=True), world) == {}


steps = st.lists(st.tuples(st.integers(1, 200), st.integers(0, 9)), min_size=1, max_size=30)


@given(steps)
def test_swings_are_those_of_every_second(rows):
    """An oracle of one second per second."""
    seconds, watts = np.array(rows, dtype=float).T
    series = PowerSeries(np.concatenate([[0.0], np.cumsum(seconds)]), watts[:, None])
    each = np.repeat(watts, seconds.astype(int))
    for percent in (5, 50, 95):
        under, least = np.mean(each < series.percentile_w(percent)), percent / 100
        assert under <= least + 1e-9
        assert np.mean(each <= series.percentile_w(percent)) >= least - 1e-9
    assert series.largest_step_w == np.abs(np.diff(each)).max(initial=0)
    for within_s in (1, *map(int, RAMPS_S)):
        pairs = itertools.pairwise(range(min(within_s, len(each)) + 2))
        apart = [np.abs(each[k:] - each[:-k]).max(initial=0) for k, _ in pairs if k]
        assert series.largest_ramp_w(within_s) == max(apart, default=0), within_s
    edges_s = np.arange(0, len(each) + 60, 60.0)
    longer = np.concatenate([each, np.zeros(int(edges_s[-1]) - len(each))])
    np.testing.assert_allclose(series.means_w(edges_s)[:, 0], longer.reshape(-1, 60).mean(axis=1))


def test_the_curve_reads_the_share_that_a_cap_leaves():
    """A span with half of its power counts half."""
    world = world_of(faults={}, planned={})
    ledger = event.play(world, 0, 0, 1, timeline=True)
    halved = [
        Span(s.job, s.pool, s.phase, s.start_s, s.end_s, s.n_chips, 0.5) for s in ledger.spans
    ]
    (one,) = power_of(ledger, world).values()
    (half,) = power_of(dataclasses.replace(ledger, spans=halved), world).values()
    held = np.arange(len(PHASES)) != IDLE
    np.testing.assert_allclose(half.energy_j[held], one.energy_j[held] / 2)


def test_sites_together_have_the_sum_of_their_limits_if_each_has_one():
    one = PowerSeries(np.array([0.0, 9.0]), np.ones((1, 1)), limit_w=np.array([5.0]))
    edges_s, limits_w = np.array([0.0, 4.0, 9.0]), np.array([2.0, 3.0])
    other = PowerSeries(edges_s, np.ones((2, 1)), limit_w=limits_w)
    assert together([one, other]).limit_w.tolist() == [7.0, 8.0]
    free = PowerSeries(edges_s, np.ones((2, 1)))
    assert together([one, free]).limit_w is None
