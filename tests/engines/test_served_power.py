"""What services draw by their load, under limits, in peaks and in the curve of power."""

from dataclasses import replace

import numpy as np
import pytest
from engines.test_power_caps import NODE
from engines.test_power_limits import check_limit
from hypothesis import given
from hypothesis import strategies as st
from results.test_power_series import booked_j
from worlds import check

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import event
from computeplan.ledger import IDLE, TRAIN
from computeplan.metrics import by_site
from computeplan.results.power_series import power_of
from computeplan.scheduling.services import Demand
from computeplan.world.limits import Battery, PowerLimit
from computeplan.world.services import Drawn, Service
from computeplan.world.signals import Signal

HOUR_S = 3600.0
FAULT = {"mtbf": "40 h", "per": "node", "takes": "node", "restart": "1 min", "repair": "30 min"}
AGAIN = {"mtbf": "40 h", "per": "node", "takes": "nothing", "restart": "5 min"}
SAVES = {"every": "20 min", "stall": "20 s"}
WARM = [{"hours": [[3, 5]], "factor": 1.3}, {"hours": [[7, 9]], "factor": 0.9}]


def world_of(jobs=(), faults=None, saves=None, pue=None, n_nodes=(4, 3), priority=0):
    """Return a site with two pools of nodes of one chip, and jobs (arrival, nodes, work) [s]."""
    pools = {
        name: {"chip": "nvidia/h100-sxm", "chips_per_node": 1, "chips": n, "power": NODE}
        for name, n in zip("ab", n_nodes, strict=True)
    }
    varies = {"varies": {"pue": pue}} if pue else {}
    charged = {"price": "0.1 USD/kWh", "demand_charge": "10 USD/kW"}
    data = {
        "computeplan": 1,
        "name": "served",
        "sites": {"s": {"pue": 1.25, **varies, **charged, "pools": pools}},
        "faults": faults or {},
        "services": {"chat": {"chips": 1, "pools": ["a"]}},
        "jobs": {
            f"j{i}": {
                "arrival": f"{arrival} s",
                "chips": nodes,
                "train_for": f"{work} s",
                "checkpoint": saves or {"every": "never"},
                "priority": priority,
            }
            for i, (arrival, nodes, work) in enumerate(jobs)
        },
        "policy": "first-fit",
        "simulate": {"horizon": "12 h", "start": "2026-01-31T18:00"},
    }
    return compile_world(cp.load(data))


def served_by(world, *services):
    """Return a world with other services, whose watts are of one chip."""
    return replace(world, services=services)


def service(demand, drawn, gives=(10.0, 4.0), group=(1, 1), pools=(0, 1), name="chat"):
    return Service(name, "", pools, demand, gives, group, "request/s", drawn)


def chip_w(it_w, it_more_w):
    return Drawn(it_w, it_more_w, it_w, it_more_w)


# -- by hand ---------------------------------------------------------------------------------------


def test_a_charge_for_a_service_alone_is_the_closed_form():
    """Every hour: nodes held, and the share of what they give that is needed, at its PUE.

    The run begins at 18:00 on 31 January, so that its first 6 hours are of January.
    """
    hourly = (5.0, 12.0, 39.0, 20.0, 3.0, 41.0, 40.0, 44.0, 0.0, 10.0, 25.0, 5.0) * 2
    one = service(Demand(hourly), (chip_w(300.0, 400.0), chip_w(200.0, 900.0)))
    world = served_by(world_of(pue=WARM), one)
    ledger = event.play(world, 0, 0, 1, timeline=True)
    pue = np.full(24, 1.25)
    pue[3:5] *= 1.3
    pue[7:9] *= 0.9
    idle_w = world.node_w[0, IDLE] / 1.25
    watts_w = []
    for h, need in enumerate(hourly[:12]):
        n_a = min(4, int(np.ceil(need / 10)))
        n_b = int(np.ceil((need - 10 * n_a) / 4)) if need > 40 else 0
        share = need / (10 * n_a + 4 * n_b) if need else 0.0
        served_w = n_a * (300 + 400 * share) + n_b * (200 + 900 * share)
        watts_w.append((served_w + (7 - n_a - n_b) * idle_w) * pue[(18 + h) % 24])
    months = [max(watts_w[:6]), max(watts_w[6:])]
    assert ledger.month_peak_w[0, 0].tolist() == pytest.approx(months, rel=1e-12)
    assert ledger.peak_w[0] == pytest.approx(max(months), rel=1e-12)
    taken = by_site(ledger, world)
    usd = sum(part["demand_usd"].sum() for part in (taken.jobs, taken.idle, taken.services))
    share = [6 / (31 * 24), 6 / (28 * 24)]
    assert usd == pytest.approx(10 * np.dot(months, share) / 1e3, rel=1e-12)


def test_a_job_trains_with_what_a_service_leaves_of_a_limit():
    """The service holds 2 nodes, half used, then wholly, then not at all; the job has 3 nodes."""
    demand = Demand((10.0, 20.0, *[0.0] * 22), least=20.0)
    one = service(demand, (chip_w(100.0, 600.0),), gives=(10.0,), group=(1,), pools=(0,))
    free = served_by(world_of([(0, 3, 3 * 3600)], n_nodes=(5, 1)), one)
    idle_w, train_w = free.node_w[0, IDLE], free.node_w[0, TRAIN]
    assert (idle_w, train_w) == pytest.approx((1.25 * 300, 1.25 * 1000))
    over_w = 3 * train_w + 2 * 1.25 * (100 + 300) + idle_w
    world = replace(
        free, limits=(PowerLimit("s", (0, 1), over_w, Signal(np.zeros(1), np.ones(1)), "slow"),)
    )
    ledger = event.play(world, 0, 0, 1, timeline=True)
    check(ledger, world)
    series = power_of(ledger, world)["s"]
    check_limit(ledger, series, world.limits[0])
    lacks_w = 2 * 1.25 * 300  # in the second hour
    slowed = 1 - lacks_w / (3 * train_w)
    assert ledger.end_s[0, 0] == pytest.approx(3 * HOUR_S + HOUR_S * (1 - slowed))
    assert ledger.peak_w[0] == pytest.approx(over_w)
    assert series.taken_w.max() == pytest.approx(over_w)


def test_a_limit_knows_when_an_instance_has_started():
    """Between two hours: the service waits for a node of the first job, and that for its start.

    The first job ends at 5,400 s, the node that it leaves serves from 6,000 s to 7,200 s, and only
    meanwhile the other job lacks 250 W of 1,250.
    """
    one = service(
        Demand((0.0, 20.0, *[0.0] * 22), start_s=600.0),
        (chip_w(100.0, 600.0),), gives=(10.0,), group=(1,), pools=(0,),
    )  # fmt: skip
    free = served_by(world_of([(0, 3, 5400), (0, 1, 10_800)], n_nodes=(5, 1), priority=5), one)
    idle_w, train_w = free.node_w[0, IDLE], free.node_w[0, TRAIN]
    low_w = train_w + 2 * 1.25 * (100 + 600) + 3 * idle_w - 250
    signal = Signal(np.array([0.0, 5400.0]), np.array([1e5, low_w]))
    world = replace(free, limits=(PowerLimit("s", (0, 1), 1.0, signal, "slow"),))
    ledger = event.play(world, 0, 0, 1, timeline=True)
    check(ledger, world)
    check_limit(ledger, power_of(ledger, world)["s"], world.limits[0])
    assert ledger.end_s[0] == pytest.approx([5400, 10_800 + 1200 * 250 / train_w])


def test_a_service_elsewhere_keeps_no_site_from_going_dark():
    """Nodes of a site without power are switched off, whoever serves at another."""
    pool = {"chip": "nvidia/h100-sxm", "chips_per_node": 1, "chips": 2, "power": NODE}
    data = {
        "computeplan": 1,
        "name": "dark",
        "sites": {site: {"pue": 1.25, "pools": {f"p{site}": pool}} for site in "ab"},
        "services": {"v": {"chips": 1, "pools": ["pb"]}},
        "jobs": {"j": {"train_for": "2 h", "chips": 2, "home": "pa", "checkpoint": SAVES}},
        "policy": "silo",
        "simulate": {"horizon": "6 h"},
    }
    free = compile_world(cp.load(data))
    signal = Signal(np.arange(3) * HOUR_S, np.array([1e4, 0.0, 1e4]))
    world = replace(free, limits=(PowerLimit("a", (0,), 1.0, signal, "pause"),))
    ledger = event.play(world, 0, 0, 1, timeline=True)
    check_limit(ledger, power_of(ledger, world)["a"], world.limits[0])
    assert ledger.kept_frac == pytest.approx(1.0)


# -- laws ------------------------------------------------------------------------------------------

# Hours that take as many nodes and another load; hours that take more.
needs = st.lists(st.sampled_from([0.0, 3.0, 8.0, 11.0, 19.5, 26.5]), min_size=24, max_size=24)
minutes = st.sampled_from([0.0, 180.0, 1500.0, 5000.0])
watts_of = st.builds(chip_w, st.floats(100.0, 500.0), st.floats(100.0, 1500.0))
services = st.builds(
    lambda hourly, least, start_s, drain_s, drawn, group, n: service(
        Demand(tuple(hourly), least, 1, start_s, drain_s),
        drawn[:n],
        (10.0, 4.0)[:n],
        group[:n],
        (0, 1)[:n],
    ),
    needs,
    st.sampled_from([0.0, 8.0, 30.0]),
    minutes,
    minutes,
    st.tuples(watts_of, watts_of),
    st.sampled_from([(1, 1), (2, 1), (1, 3)]),
    st.integers(1, 2),
)
arrivals = st.lists(
    st.tuples(st.integers(0, 9000), st.integers(1, 4), st.integers(5000, 60_000)),
    min_size=1,
    max_size=3,
)
batteries = st.one_of(
    st.none(), st.builds(Battery, st.floats(1e4, 1e8), st.floats(50.0, 5e3), st.floats(0.3, 1.0))
)


def limited(world, fracs, yields, battery):
    """Return the world with a limit above what idle nodes and a service draw at most."""
    n_nodes, (one,) = np.array([pool.n_nodes for pool in world.pools]), world.services
    served = np.zeros(2)
    for p, each, size in zip(one.pools, one.gives, one.group, strict=True):
        served[p] = min(n_nodes[p], size * np.ceil(one.demand.most / each / size))
    served_w = np.maximum(world.served_w[0].sum(axis=1) - world.rest_w, 0.0)
    facility = world.signals["energy"][0].values_frac.max() if world.signals else 1.0
    least_w = n_nodes @ world.rest_w + served @ served_w
    more_w = n_nodes @ (world.full_w - world.rest_w)
    watts_w = (least_w + np.array(fracs) * more_w) * facility
    over_time = Signal(np.arange(len(fracs)) * 3.3 * HOUR_S, watts_w)
    return replace(world, limits=(PowerLimit("s", (0, 1), 1.0, over_time, yields, battery),))


@given(
    one=services, jobs=arrivals, has_faults=st.booleans(), saves=st.booleans(),
    varies=st.booleans(), fracs=st.lists(st.floats(0.02, 0.4), min_size=1, max_size=3),
    battery=batteries, yields=st.sampled_from(["slow", "shrink", "pause"]),
)  # fmt: skip
def test_a_limit_holds_and_the_curve_is_below_the_peak(
    one, jobs, has_faults, saves, varies, fracs, battery, yields
):
    """With services beside jobs, whatever they do; the curve adds up to the books' energy."""
    faults = {"f": FAULT, "again": AGAIN} if has_faults else {}
    saves = saves or yields != "slow"
    parts = (faults, SAVES if saves else None, WARM if varies else None)
    world = limited(served_by(world_of(jobs, *parts), one), fracs, yields, battery)
    ledger = event.play(world, 5, 0, 1, timeline=True)
    check(ledger, world)
    series = power_of(ledger, world)["s"]
    assert series.energy_j.sum() == pytest.approx(booked_j(ledger, world)["s"], rel=1e-9)
    check_limit(ledger, series, world.limits[0])
    most_w = series.taken_w.max()
    if saves or has_faults:  # what saves or lacks a node is counted as if it trained
        assert ledger.peak_w[0] >= most_w * (1 - 1e-9)
    else:
        assert ledger.peak_w[0] == pytest.approx(most_w, rel=1e-9)
    assert ledger.month_peak_w[0].max() == pytest.approx(ledger.peak_w[0], rel=1e-12)
