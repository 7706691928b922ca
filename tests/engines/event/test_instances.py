"""What instances of services do, hour by hour and through faults, beside jobs: days by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import Script, scripted
from worlds import check

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.event import engine as event
from computeplan.engines.event.instances import Instances
from computeplan.errors import InfeasibleError
from computeplan.ledger import (
    BLOCKED,
    IDLE,
    LOST,
    REPAIR,
    RESTART,
    SAVE,
    SERVICE_STATES,
    TRAIN,
    Ledger,
)
from computeplan.metrics import by_site, measure, measure_tenants
from computeplan.scheduling.services import Demand, lacking
from computeplan.world.services import Answers, Service
from computeplan.world.world import World

H = 3600.0
SERVING, STARTING, DRAINING, STANDING_BY = range(len(SERVICE_STATES))
FAULT = {"mtbf": "1 year", "per": "node", "restart": "1 s"}
SAVES = {"every": "never", "stall": "1 min"}


def data_of(
    jobs: dict[str, Any] | None = None, *, nodes: dict[str, int] | None = None, **more: Any
) -> dict[str, Any]:
    """Return a day of pools of nodes of eight chips, with a service that `serving` replaces."""
    pools = {
        name: {"chip": "nvidia/h100-sxm", "chips_per_node": 8, "chips": 8 * n}
        for name, n in (nodes or {"p": 16}).items()
    }
    return {
        "computeplan": 1,
        "name": "served",
        "sites": {"s": {"pue": 1.0, "storage": "10 TB/s", "pools": pools}},
        "services": {"chat": {"pools": list(pools), "chips": 8}},
        "jobs": jobs or {},
        "simulate": {"horizon": "24 h", "runs": 1},
        **more,
    }


def serving(data: dict[str, Any], *services: Service) -> World:
    """Return the world of a scenario with these services."""
    return replace(compile_world(cp.load(data)), services=services)


def chat(demand: Demand, gives: float = 5.0, group: int = 1, pool: int = 0) -> Service:
    """Return a service on one pool, which states requests/s."""
    return Service("chat", "", (pool,), demand, (gives,), (group,), "request/s")


def play(world: World, seed: int = 0, n_runs: int = 1) -> Ledger:
    """Return the checked ledger of some runs."""
    ledger = event.play(world, seed, 0, n_runs, timeline=True)
    check(ledger, world)
    return ledger


def in_chips(node_s: float) -> float:
    return 8 * node_s


# By hand


def test_a_day_beside_an_elastic_job():
    """16 nodes of 5 requests/s each: 4 by night, 12 from 8 h to 20 h; a job has what is left.

    At 8 h - 180 s the service asks for 8 nodes more. The job, on 12, saves for 60 s, gives back 8,
    stands for 20 s, and goes on with its least of 4. The nodes have started at 8 h + 60 s. From
    20 h they drain for 120 s; then the job saves for 60 s, while they wait, stands for 20 s, and
    goes on with all.
    """
    rates = (20.0,) * 8 + (60.0,) * 12 + (20.0,) * 4
    elastic = {"replicas": 12, "least": 4, "resize": "20 s"}
    job = {"chips": 96, "train_for": "90 h", "checkpoint": SAVES, "elastic": elastic}
    data = data_of({"j": job}, policy="elastic-fifo")
    world = serving(data, chat(Demand(rates, priority=1, start_s=180, drain_s=120)))
    ledger = play(world)
    does = ledger.by_state_chip_s[0, 0, 0]
    assert does[SERVING] == pytest.approx(in_chips(4 * 24 * H + 8 * (12 * H - 60)))
    assert does[STARTING] == pytest.approx(in_chips(8 * 180))
    assert does[DRAINING] == pytest.approx(in_chips(8 * 120))
    assert does[STANDING_BY] == 0
    assert ledger.served[0, 0, 0, 0] == pytest.approx(in_chips(4 * 24 * H + 8 * (12 * H + 240)))
    assert ledger.lacked_chip_s[0, 0] == 0
    chip_s = ledger.chip_s[0, 0, 0]
    small_s, large_s = 20 * H + 120 - (8 * H - 100), (8 * H - 180) + (4 * H - 200)
    assert chip_s[TRAIN] == pytest.approx(in_chips(12 * large_s + 4 * small_s))
    assert chip_s[SAVE] == pytest.approx(in_chips(12 * 60 + 4 * 60))
    assert chip_s[RESTART] == pytest.approx(in_chips(4 * 20 + 12 * 20))
    assert chip_s[BLOCKED] == pytest.approx(in_chips(8 * 60))
    assert chip_s[[LOST, IDLE, REPAIR]].tolist() == [0, 0, 0]
    assert ledger.chip_s[0, -1].sum() == pytest.approx(0, abs=1e-6)
    values = measure(ledger, world)
    assert values["service_starting_chip_h"] == pytest.approx([64 * 180 / H])
    assert values["service_draining_chip_h"] == pytest.approx([64 * 120 / H])
    assert values["service_standing_by_chip_h"] == pytest.approx([0])
    assert values["service_serving_chip_h"] == pytest.approx([32 * 24 + 64 * (12 - 60 / H)])
    assert values["beside_chip_h"] == pytest.approx([chip_s.sum() / H])
    lent_s = (8 * H - 120) + (4 * H - 120)  # eight nodes: four are there that no hour asks for
    assert values["lent_chip_h"] == pytest.approx([64 * lent_s / H])
    assert values["beside_kept_chip_h"] == pytest.approx([chip_s[TRAIN] / H])
    overheads = chip_s[[SAVE, RESTART, BLOCKED]].sum() / H
    assert values["beside_paid_chip_h"] == pytest.approx([overheads])
    missed = 60 * 40 / (12 * H * 20 + 12 * H * 60)
    assert values["requests_missed_frac"] == pytest.approx([missed])


def test_a_service_that_is_asked_in_time_misses_nothing():
    """Without a job in the way the nodes are ready at the hour to the second."""
    rates = (20.0,) * 8 + (60.0,) * 12 + (20.0,) * 4
    ledger = play(serving(data_of(), chat(Demand(rates, start_s=180, drain_s=120))))
    does = ledger.by_state_chip_s[0, 0, 0] / 8
    assert does.tolist() == pytest.approx([4 * 24 * H + 8 * 12 * H, 8 * 180, 8 * 120, 0])
    assert ledger.missed_unit_s[0, 0] == 0
    assert ledger.needed_unit_s[0, 0] == pytest.approx(12 * H * 80)


def test_what_is_held_beyond_the_need_stands_by():
    """A least of 7 nodes, 2 more than the need of 12 by day, all of the time."""
    rates = (20.0,) * 8 + (60.0,) * 12 + (20.0,) * 4
    service = chat(Demand(rates, least=35.0, extra=(10.0,) * 24, start_s=180))
    does = play(serving(data_of(), service)).by_state_chip_s[0, 0, 0] / 8
    assert does[SERVING] == pytest.approx(4 * 12 * H + 12 * 12 * H)
    assert does[STARTING] == pytest.approx(7 * 180)
    assert does[STANDING_BY] == pytest.approx(3 * 12 * H + 2 * 12 * H)
    assert does[DRAINING] == 0


@pytest.mark.parametrize(
    ("takes", "group", "n_starting", "n_less"),
    [(True, 1, 1, 1), (False, 1, 1, 1), (True, 2, 2, 2), (False, 2, 2, 2)],
)
def test_an_instance_goes_with_its_weakest_node(monkeypatch, takes, group, n_starting, n_less):
    """A fault on a node at 1 h: its instance starts again, on another node if that one is taken."""
    trace = Script(scripted((H, 0, 1, takes, 1.0, 2 * H)))
    monkeypatch.setattr(event, "Trace", lambda *_: trace)
    repair = {"takes": "node", "repair": "1 s"}
    data = data_of(faults={"f": FAULT | (repair if takes else {"takes": "job"})})
    ledger = play(serving(data, chat(Demand((20.0,), start_s=180), group=group)))
    does = ledger.by_state_chip_s[0, 0, 0] / 8
    assert does[STARTING] == pytest.approx(n_starting * 180)
    assert does[SERVING] == pytest.approx(4 * 24 * H - n_starting * 180)
    assert ledger.missed_unit_s[0, 0] == pytest.approx(n_less * 5 * 180)
    assert ledger.lacked_chip_s[0, 0] == 0


@pytest.mark.parametrize("takes", [True, False])
def test_requests_of_an_instance_that_a_fault_takes_begin_again(monkeypatch, takes):
    """Ten at once at 5 requests/s each; half of that is needed of those that are held: 5.

    The second fault comes while the instance on that node starts: nothing more is lost.
    """
    trace = Script(scripted((H, 0, 1, takes, 1.0, 2 * H), (H + 60, 0, 1, False, 1.0, 2 * H)))
    monkeypatch.setattr(event, "Trace", lambda *_: trace)
    repair = {"takes": "node", "repair": "1 s"}
    data = data_of(faults={"f": FAULT | (repair if takes else {"takes": "job"})})
    demand = Demand((10.0,), least=20.0, start_s=180)
    one = replace(chat(demand), answers=Answers(100, 100, prompt_frac=(0.5,), at_once=(10.0,)))
    world = serving(data, one)
    ledger = play(world)
    assert ledger.n_again.tolist() == [[5.0]]
    found = measure(ledger, world)["requests_again_per_m"]
    assert found == pytest.approx([5e6 / (10 * 24 * H)])


@pytest.mark.parametrize(("gives", "again"), [((5.0, 10.0), (9, 0)), ((10.0, 5.0), (0, 9))])
def test_requests_whose_prompts_or_answers_a_fault_takes_begin_again(monkeypatch, gives, again):
    """Prompts on p, answers on q, at full load: a fault takes the second node, which one holds."""
    trace = Script(scripted((H, 0, 1, False, 1.0, 2 * H)))
    monkeypatch.setattr(event, "Trace", lambda *_: trace)
    data = data_of(nodes={"p": 2, "q": 2}, faults={"f": FAULT | {"takes": "job"}})
    demand = Demand((10.0,), start_s=180)
    world = serving(data, *apart(*(chat(demand, gives[p], pool=p) for p in (0, 1))))
    ledger = play(world)
    assert ledger.n_again.tolist() == [[*again]]
    found = measure(ledger, world)["requests_again_per_m"]
    assert found == pytest.approx([9e6 / (10 * 24 * H)])


@pytest.mark.parametrize("is_apart", [False, True])
def test_what_is_lent_is_of_what_services_hold_together(is_apart):
    """Two services on both pools of four nodes: a node each by night, to 6 h, and four each by day.

    Each alone would have four of p, and none of q. Together they lend six to the jobs by night:
    two of p, four of q.
    """
    jobs = {
        name: {"chips": 8 * n, "train_for": "90 h", "home": pool, "tenant": tenant}
        | {"checkpoint": {"every": "never", "stall": "0 s"}}
        for name, n, pool, tenant in (("j", 2, "p", "v"), ("k", 4, "q", "w"))
    }
    demand = Demand((5.0,) * 6 + (20.0,) * 18, priority=1)
    both = {"pools": (0, 1), "gives": (5.0, 5.0), "group": (1, 1)}
    pair = [replace(chat(demand), **both) for _ in range(2)]
    data = data_of(jobs, nodes={"p": 4, "q": 4})
    world = serving(data, *(apart(*pair) if is_apart else pair))
    ledger = play(world)
    values = measure(ledger, world)
    assert values["lent_chip_h"] == pytest.approx([288])
    tenants = measure_tenants(ledger, world)
    assert {*tenants} == {"", "v", "w"}
    for name in set[str]().union(*tenants.values()) & {n for n in values if n.endswith("_chip_h")}:
        if not np.isnan(values[name]).any() and name != "effective_chip_h":
            summed = np.nansum([of[name] for of in tenants.values()], axis=0)
            np.testing.assert_allclose(summed, values[name], rtol=1e-9, err_msg=name)


def test_nodes_that_make_no_instance_are_given_back(monkeypatch):
    """4 nodes, one instance of 4: a fault takes one for 2 h; the other three are idle meanwhile."""
    trace = Script(scripted((H, 0, 0, True, 1.0, 2 * H)))
    monkeypatch.setattr(event, "Trace", lambda *_: trace)
    faults = {"f": FAULT | {"takes": "node", "repair": "1 s"}}
    data = data_of(nodes={"p": 4}, faults=faults)
    ledger = play(serving(data, chat(Demand((20.0,), start_s=180), group=4)))
    does = ledger.by_state_chip_s[0, 0, 0] / 8
    assert does.tolist() == pytest.approx([4 * (22 * H - 180), 4 * 180, 0, 0])
    assert ledger.chip_s[0, -1, 0, [IDLE, REPAIR]] / 8 == pytest.approx([3 * 2 * H, 2 * H])
    assert ledger.missed_unit_s[0, 0] == pytest.approx(20 * (2 * H + 180))
    assert ledger.lacked_chip_s[0, 0] == pytest.approx(32 * 2 * H)


def test_jobs_are_not_stopped_for_part_of_an_instance(monkeypatch):
    """5 nodes; the service needs an instance of 4 from 1 h on, and a job of 2 keeps one in repair.

    With 4 whole nodes the job gives way; with 3 it trains on.
    """
    job = {"chips": 16, "train_for": "90 h", "checkpoint": SAVES}
    faults = {"f": FAULT | {"takes": "node", "repair": "1 s"}}
    data = data_of({"j": job}, nodes={"p": 5}, faults=faults)
    demand = Demand((0.0, *(20.0,) * 23), priority=1)
    for events, stays in ((), 1), ([(60.0, 0, 3, True, 1.0, 90 * H)], 1):
        trace = Script(scripted(*events))
        monkeypatch.setattr(event, "Trace", lambda *_, trace=trace: trace)
        ledger = play(serving(data, chat(demand, group=4)))
        assert ledger.counts["stays"][0].tolist() == [stays]
        trains_s = ledger.chip_s[0, 0, 0, TRAIN] / 16
        assert trains_s == pytest.approx(H)  # in both the four others are whole
    twice = [(60.0, 0, 3, True, 1.0, 90 * H), (61.0, 0, 4, True, 1.0, 90 * H)]
    trace = Script(scripted(*twice))
    monkeypatch.setattr(event, "Trace", lambda *_: trace)
    ledger = play(serving(data, chat(demand, group=4)))
    assert ledger.chip_s[0, 0, 0, TRAIN] / 16 == pytest.approx(24 * H)
    assert ledger.served.sum() == 0


def test_free_nodes_are_kept_for_those_that_come():
    """Of 4 nodes a job has one, saves for a minute, and gives it back for an instance of four."""
    job = {"chips": 8, "train_for": "90 h", "checkpoint": SAVES}
    data = data_of({"j": job, "k": {**job, "arrival": "3610 s"}}, nodes={"p": 4})
    service = chat(Demand((0.0, *(20.0,) * 23), priority=1), group=4)
    ledger = play(serving(data, service))
    does = ledger.by_state_chip_s[0, 0, 0] / 8
    assert does[STARTING] == pytest.approx(3 * 60)
    assert does[SERVING] == pytest.approx(4 * (23 * H - 60))
    assert ledger.first_start_s[0, 1] == np.inf


def test_instances_are_formed_anew_from_those_that_are_left():
    """Two instances of 3 from 10 s on; each loses a node at 50 s: the four others make one."""
    found = Instances(3, start_s=5.0)
    for node in range(6):
        found.take(node, 10.0)
    found.leave(1, 50.0)
    found.leave(4, 50.0)
    assert found.held == {10.0: 6, 50.0: -2}
    assert found.ready == {15.0: 2, 50.0: -2}
    assert found.ready_to(60.0) == {15.0: 2, 50.0: -2, 55.0: 1, 60.0: -1}
    assert found.ready_to(52.0) == {15.0: 2, 50.0: -2}
    assert len(found.loose) == 1
    assert found.last(1, 60.0) == found.loose


def test_what_starts_is_given_back_before_what_serves():
    found = Instances(1, start_s=5.0)
    for node, now_s in ((7, 10.0), (2, 20.0), (9, 0.0)):
        found.take(node, now_s)
    assert found.last(1, 21.0) == [2]
    assert found.last(1, 30.0) == [9]
    assert found.last(2, 21.0) == [2, 9]


@given(
    st.integers(1, 3),
    st.sampled_from([0.0, 5.0]),
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 7), st.booleans()), max_size=40),
)
def test_nodes_that_serve_are_those_of_instances_that_have_started(size, start_s, changes):
    """However they are taken, lost and started anew; what has started is not looked at again."""
    found, held, now_s = Instances(size, start_s), set[int](), 0.0
    for after_s, node, is_fault in changes:
        now_s += after_s
        if node not in held:
            found.take(node, now_s)
            held.add(node)
        elif is_fault:
            found.begin_again(node, now_s)
        else:
            found.leave(node, now_s)
            held.remove(node)
        started = [one for one in found.by_node.values() if one.ready_s <= now_s]
        assert found.n_ready(now_s) == len(started)
        assert all(time_s > now_s for time_s in found.due)


# A service that lends nothing


JOB_NUMBERS = ("booked", "job_s", "first_start_s", "end_s", "kept_frac")


def test_a_service_that_lends_nothing_changes_no_number_of_the_job_beside_it():
    """Its least is the most it needs: whatever the hours say, the job meets the same day."""
    job = {"chips": 32, "train_for": "9 h", "checkpoint": {"every": "1 h", "stall": "10 s"}}
    data = data_of({"j": job})
    rates = tuple(float(1 + (7 * h) % 60) for h in range(24))
    flat, varies = (
        play(serving(data, chat(Demand(hourly, max(rates), 3, start_s=180, drain_s=120))))
        for hourly in ((max(rates),), rates)
    )
    alone = play(serving(data))
    for name in JOB_NUMBERS:
        one, other, free = (getattr(ledger, name)[:, :1] for ledger in (flat, varies, alone))
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, free)
    assert varies.served[0, 0, 0, 0] == flat.served[0, 0, 0, 0] == pytest.approx(8 * 12 * 24 * H)


@pytest.mark.parametrize("group", [1, 3])
def test_a_service_on_another_pool_changes_no_number_of_the_job(group):
    """Through faults of both pools."""
    job = {"chips": 64, "train_for": "90 h", "home": "p"}
    job["checkpoint"] = {"every": "1 h", "stall": "10 s"}
    faults = {"f": {"mtbf": "90 h", "per": "node", "takes": "node", "restart": "5 min"}}
    faults["f"]["repair"] = "3 h"
    data = data_of({"j": job}, nodes={"p": 9, "q": 7}, faults=faults)
    rates = tuple(float(1 + (7 * h) % 30) for h in range(24))
    service = chat(Demand(rates, 0, 3, start_s=180, drain_s=120), group=group, pool=1)
    beside, alone = (play(serving(data, *some), 5, 3) for some in ((service,), ()))
    for name in JOB_NUMBERS:
        one, other = (getattr(ledger, name)[:, :1] for ledger in (beside, alone))
        np.testing.assert_array_equal(one, other)
    assert beside.by_state_chip_s[..., STARTING].sum() > 0


def apart(prompts: Service, answers: Service) -> tuple[Service, Service]:
    """Return services whose instances take in prompts, and answer them."""
    n = len(prompts.pools), len(answers.pools)
    prefill = replace(
        prompts, name="s.prefill", answers=Answers(100.0, 0.0, (1.0,) * n[0], (9.0,) * n[0])
    )
    of_decode = Answers(0.0, 50.0, (0.0,) * n[1], (9.0,) * n[1])
    return prefill, replace(answers, name="s.decode", answers=of_decode, prompts=0)


@pytest.mark.parametrize(("first", "missed"), [((30.0, 10.0), 10 + 14), ((10.0, 30.0), 14)])
def test_a_request_is_missed_once_where_prompts_or_answers_lack(first, missed):
    """30 requests/s for half a day: 4 nodes take in 20 of them, 4 others answer 16."""
    rates = tuple(x for x in first for _ in range(12)), (10.0,) * 12 + (30.0,) * 12
    pair = (chat(Demand(rates[0])), chat(Demand(rates[1]), gives=4.0, pool=1))
    world = serving(data_of(nodes={"p": 4, "q": 4}), *apart(*pair))
    ledger = play(world)
    assert ledger.missed_unit_s[0] == pytest.approx([10 * 12 * H, missed * 12 * H])
    values = measure(ledger, world)
    assert values["requests_answered"] == pytest.approx([(40 - missed) * 12 * H])
    assert values["requests_missed_frac"] == pytest.approx([missed / 40])
    after = by_site(ledger, world).served_per_day
    assert after["requests_answered"].sum() == pytest.approx((40 - missed) * 12 * H)


# Laws


@st.composite
def worlds(draw: Any) -> World:
    """Return a world of services with times to start and drain, and jobs, with faults or not."""
    jobs = {}
    for i in range(draw(st.integers(0, 4))):
        n = draw(st.integers(1, 4))
        jobs[f"j{i}"] = {
            "chips": 8 * n,
            "train_for": f"{draw(st.floats(0.5, 20.0))!r} h",
            "arrival": f"{draw(st.integers(0, 12))} h",
            "priority": draw(st.integers(0, 2)),
            "home": draw(st.sampled_from("pq")),
            "checkpoint": {"every": "1 h", "stall": "30 s"},
        }
        if draw(st.booleans()) and n > 1:
            jobs[f"j{i}"]["elastic"] = {"replicas": n, "least": 1, "resize": "20 s"}
    data = data_of(jobs, nodes={"p": 5, "q": 6}, policy=draw(
        st.sampled_from(["elastic-fifo", "fifo-backfill", "first-fit", "priority"])
    ))  # fmt: skip
    if draw(st.booleans()):
        takes = draw(st.sampled_from(["node", "job"]))
        fault = {"mtbf": "40 h", "per": "node", "takes": takes, "restart": "5 min"}
        data["faults"] = {"f": fault | ({"repair": "3 h"} if takes == "node" else {})}
    services = []
    for i in range(draw(st.integers(1, 3))):
        is_beside = i > 0 and draw(st.booleans())  # on the pools of another
        pools = services[-1].pools if is_beside else draw(
            st.sampled_from([(0,), (1,), (0, 1), (1, 0)])
        )  # fmt: skip
        hourly = tuple(draw(st.lists(st.floats(0.1, 40.0), min_size=24, max_size=24)))
        times_s = st.sampled_from([0.0, 120.0, 180.5, 4000.0])
        demand = Demand(
            hourly,
            draw(st.sampled_from([0.0, 5.0])),
            draw(st.integers(0, 3)),
            draw(times_s),
            draw(times_s),
            draw(st.sampled_from([(), (3.0,) * 24])),
        )
        gives = tuple(draw(st.floats(1.0, 9.0)) for _ in pools)
        group = tuple(draw(st.integers(1, 3)) for _ in pools)
        services.append(Service(f"s{i}", "", pools, demand, gives, group, "request/s"))
    try:
        return serving(data, *services)
    except InfeasibleError:
        assume(False)
        raise


@settings(deadline=None, max_examples=60)
@given(worlds(), st.integers(0, 5))
def test_all_chip_hours_are_in_one_state(world, seed):
    """Served, lent, starting, draining, standing by, idle and lost make all, to 1e-9."""
    ledger = play(world, seed, 2)
    values = measure(ledger, world)
    of_services = sum(values[f"service_{name}_chip_h"] for name in SERVICE_STATES)
    np.testing.assert_allclose(of_services, values["service_chip_h"], rtol=1e-9)
    here = sorted({p for one in world.services for p in one.pools})
    nobody = ledger.chip_s[:, -1, here].sum(axis=1) / H
    total = of_services + values["beside_chip_h"] + nobody[:, IDLE] + nobody[:, REPAIR]
    everything = sum(world.pools[p].n_chips for p in here) * 24
    np.testing.assert_allclose(total, everything, rtol=1e-9)
    assert (ledger.by_state_chip_s >= -1e-6).all()
    missed = values["requests_missed_frac"]
    assert ((missed >= 0) & (missed <= 1)).all()
    for i, one in enumerate(world.services):
        needed = sum(one.demand.hourly) * H
        np.testing.assert_allclose(ledger.needed_unit_s[:, i], needed, rtol=1e-12)
        has = ledger.by_state_chip_s[:, i, list(one.pools), SERVING] / 8 @ np.array(one.gives)
        assert (has >= needed - ledger.missed_unit_s[:, i] - 1e-6 * needed).all()
        if one.demand.start_s == 0 and set(one.group) == {1}:
            assert ledger.by_state_chip_s[:, i, :, STARTING].sum() == pytest.approx(0, abs=1e-3)


def asked(world: World) -> list[int]:
    """Return the nodes of each pool that services hold where each needs most, one by one."""
    room, has = [pool.n_nodes for pool in world.pools], [0.0] * len(world.services)
    order = sorted(enumerate(world.services), key=lambda each: -each[1].demand.priority)
    for is_least in (True, False):
        for i, one in order:
            wanted = one.demand.least if is_least else one.demand.most
            for p, each, size in zip(one.pools, one.gives, one.group, strict=True):
                while lacking(wanted, has[i]) and room[p] >= size:
                    room[p] -= size
                    has[i] += size * each
    return [pool.n_nodes - n for pool, n in zip(world.pools, room, strict=True)]


def lent_chip_s(ledger: Ledger, world: World) -> float:
    """Return what services lend, from who holds what on the timeline of run 0."""
    assert ledger.spans is not None
    assert ledger.serving is not None
    found = 0.0
    for p, n_asked in enumerate(asked(world)):
        rows = ledger.serving[ledger.serving[:, 0] == p]
        served = [(*row[1:3], row[3 : 3 + len(SERVICE_STATES)].sum()) for row in rows]
        of_jobs = [
            (one.start_s, one.end_s, one.n_chips)
            for one in ledger.spans
            if one.pool == p and one.job >= 0
        ]
        times_s = np.unique([time_s for one in (*served, *of_jobs) for time_s in one[:2]])
        for from_s, to_s in pairwise(times_s):
            n_served, n_of_jobs = (
                sum(n for start_s, end_s, n in held if start_s <= from_s and to_s <= end_s) / 8
                for held in (served, of_jobs)
            )
            never_asked = world.pools[p].n_nodes - n_asked
            lent = min(n_asked - n_served, n_of_jobs - never_asked)
            found += 8 * max(lent, 0.0) * (to_s - from_s)
    return found


@settings(deadline=None, max_examples=40)
@given(worlds(), st.integers(0, 5))
def test_what_is_lent_is_what_the_timeline_shows(world, seed):
    """Of what services hold together where each needs most, and not then, what jobs hold there."""
    ledger = play(world, seed)
    found = measure(ledger, world)["lent_chip_h"]
    np.testing.assert_allclose(found, lent_chip_s(ledger, world) / H, rtol=1e-9, atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(worlds())
def test_of_chips_what_is_missed_is_what_is_lacking(world):
    """Nodes of eight chips that give eight, without a time to start."""
    services = [
        replace(
            one,
            demand=replace(one.demand, start_s=0.0),
            gives=(8.0,) * len(one.pools),
            group=(1,) * len(one.pools),
            unit="chip",
        )
        for one in world.services
    ]
    world = replace(world, services=tuple(services))
    ledger = play(world, 1)
    np.testing.assert_allclose(ledger.missed_unit_s, ledger.lacked_chip_s, rtol=1e-9, atol=1e-3)
    assert np.isnan(measure(ledger, world)["requests_missed_frac"]).all()


@settings(deadline=None, max_examples=20)
@given(worlds(), st.integers(0, 5))
def test_books_of_prompts_and_answers_apart_add_up(world, seed):
    """They are two services, but that a request is counted once, and missed where either lacks."""
    prompts, answers = world.services[0], world.services[-1]
    demand = replace(answers.demand, hourly=prompts.demand.hourly)
    pair = apart(prompts, replace(answers, demand=demand))
    world = replace(world, services=pair)
    ledger = play(world, seed, 2)
    plain = play(replace(world, services=(pair[0], replace(pair[1], prompts=None))), seed, 2)
    for name in ("booked", "served", "by_state_chip_s", "lacked_chip_s", "needed_unit_s", "end_s"):
        np.testing.assert_array_equal(getattr(ledger, name), getattr(plain, name))
    missed, of_each, needed = ledger.missed_unit_s, plain.missed_unit_s, ledger.needed_unit_s
    rounding = 1e-9 * needed[:, 1]
    np.testing.assert_array_equal(missed[:, 0], of_each[:, 0])
    assert (missed[:, 1] >= of_each.max(axis=1) - rounding).all()
    assert (missed[:, 1] <= np.minimum(of_each.sum(axis=1), needed[:, 1]) + rounding).all()
    values, taken = measure(ledger, world), by_site(ledger, world)
    n = values["requests_answered"]
    np.testing.assert_allclose(n, needed[:, 1] - missed[:, 1], rtol=1e-9)
    np.testing.assert_allclose(taken.served["requests_answered"].sum(axis=1), n, rtol=1e-9)
    kwh = taken.services["energy_kwh"].sum(axis=1)
    tokens = 100 * (needed - missed)[:, 0], 50 * (needed - missed)[:, 1]
    parts = [values[f"kwh_per_mtok_{end}"] / 1e6 for end in ("in", "out")]
    with np.errstate(all="ignore"):
        summed = sum(np.nan_to_num(kwh_each * n) for kwh_each, n in zip(parts, tokens, strict=True))
    some = n > 0
    np.testing.assert_allclose(summed[some], kwh[some], rtol=1e-9)
    np.testing.assert_allclose((values["wh_per_request"] * n / 1e3)[some], kwh[some], rtol=1e-9)
