"""Instances, head-room and spares of services, worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from worlds import world_of

from computeplan.compiler.service_plans import (
    InstanceOn,
    Planned,
    busiest_minutes,
    demand_of,
    gives_of,
)
from computeplan.specs.services import Service
from computeplan.world.load import Lengths, Load, RequestTrace

ONE = Lengths(100, 0, 1000)


def service(**fields):
    written = {
        "model": "meta/llama-3.1-8b",
        "requests": {"per_s": 1, "tokens": {"in": 10, "out": 10}},
        "pools": {"a": {"engine": "vllm", "precision": "fp8"}},
        **fields,
    }
    return Service.model_validate(written)


def load(*per_s, cv=1e-9):
    return Load(np.array(per_s, dtype=float), cv, ONE, ONE, 0.0)


def instance(n_chips=4, per_s=2.0):
    return InstanceOn(n_chips, per_s, 400.0, 200.0, 0.3, 30.0)


def pool_of(**changes):
    return world_of(planned={}, **changes).pools[0]


def test_a_minute_of_an_hour_is_the_highest_of_sixty_counts():
    """Counts of a minute are normal; sixty of them are drawn, many times over."""
    (found,) = busiest_minutes(load(10.0, cv=1.0))
    rng = np.random.default_rng(1)
    highest = rng.poisson(600, size=(20_000, 60)).max(axis=1).mean() / 600
    assert found == pytest.approx(highest, abs=0.003)
    (bursts,) = busiest_minutes(load(10.0, cv=3.0))
    assert bursts - 1 == pytest.approx(3 * (found - 1))


def test_a_minute_of_a_trace_is_its_own():
    times = np.concatenate([np.arange(60.0), 60 + np.arange(0, 60, 0.25), 120 + np.arange(61.0)])
    ones = np.ones(len(times), dtype=np.int64)
    trace = RequestTrace(times, ones, ones)
    here = Load(np.array([trace.rate_per_s]), 1.0, ONE, ONE, 0.0, trace)
    assert busiest_minutes(here)[0] == pytest.approx(240 / (60 * trace.rate_per_s))


def test_nodes_by_hand_and_spares_as_the_binomial_tail():
    """Two instances of 4 on a node of 8 give 2.8/s; 28/s take 10 nodes, 14/s take 5."""
    spec = service(slo={"availability": 0.999})
    gives, group, balance = gives_of(spec, [instance()], ["x"], [8], [100], 28.0)
    assert (gives, group, balance) == ((pytest.approx(2.8),), (1,), 1.0)
    plan = Planned(load(*[14.0] * 12, *[28.0] * 12), ("a",), (instance(),))
    pool = _wide(pool_of())
    demand, nodes, spares = demand_of(spec, plan, [pool], gives, group)
    assert nodes.tolist() == [10]
    kinds = [k for k in pool.kinds if k.interrupt is not None]
    rate = sum(k.rate_per_node_s for k in kinds)
    down = sum(k.rate_per_node_s * k.down_s for k in kinds)
    up = 1 / (1 + down)
    assert rate > 0
    r = next(r for r in range(99) if stats.binom.sf(r, 10 + r, 1 - up) <= 0.001)
    assert spares.tolist() == [r]
    assert demand.most == pytest.approx((10 + r) * 2.8)
    assert demand.least == demand.most  # nothing is lent


def test_what_is_lent_leaves_the_least():
    spec = service(lend=True, scale={"start": "3 min"}, least=20)
    gives, group, _ = gives_of(spec, [instance()], ["x"], [8], [100], 28.0)
    plan = Planned(load(*[14.0] * 12, *[28.0] * 12), ("a",), (instance(),))
    demand, _, _ = demand_of(spec, plan, [_wide(pool_of())], gives, group)
    assert demand.least == pytest.approx(3 * 2.8)  # 20 chips are three nodes of 8
    assert (demand.start_s, demand.drain_s) == (180, 30)  # as long as its longest answer
    assert demand.at(0.0) == pytest.approx(14.0)
    assert demand.at(13 * 3600.0) == pytest.approx(28.0)


def test_an_instance_of_several_nodes_is_held_as_a_whole():
    spec = service()
    gives, group, _ = gives_of(spec, [instance(24, 6.0)], ["x"], [8], [100], 5.0)
    assert group == (3,)
    assert gives[0] == pytest.approx(6.0 * 0.7 / 3)
    _, nodes, _ = demand_of(
        spec, Planned(load(5.0), ("a",), (instance(24, 6.0),)), [_wide(pool_of())], gives, group
    )
    assert nodes.tolist() == [6]  # 5.0 / 4.2 = 1.2 instances


def _wide(pool):
    return replace(pool, n_nodes=100, chips_per_node=8)
