"""Services beside jobs: days played by hand, and laws that hold whatever happens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matplotlib.text import Text
from strategies import Script, scripted
from worlds import check

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.event import engine as event
from computeplan.errors import InfeasibleError, ScenarioError, UnsupportedByEngine
from computeplan.ledger import FIRST_SERVICE, Ledger
from computeplan.metrics import by_site
from computeplan.report.figures import save_figures
from computeplan.scheduling.registry import load_policy, needs_of, policy_names
from computeplan.scheduling.rounds import SharePolicy
from computeplan.world.world import World

H = 3600.0
FAULT = {"mtbf": "1 year", "per": "node", "takes": "node", "restart": "1 s", "repair": "1 s"}


def data_of(
    services: dict[str, Any],
    jobs: dict[str, Any] | None = None,
    *,
    pools: dict[str, int] | None = None,
    horizon_h: float = 24.0,
) -> dict[str, Any]:
    """Return a scenario of pools of nodes of one chip each, without faults."""
    pools = {"p": 8} if pools is None else pools
    chip = {"chip": "nvidia/h100-sxm", "chips_per_node": 1}
    found = {name: {**chip, "chips": n} for name, n in pools.items()}
    return {
        "computeplan": 1,
        "name": "served",
        "sites": {"s": {"pue": 1.5, "price": "0.1 USD/kWh", "pools": found}},
        "services": services,
        "jobs": jobs or {},
        "simulate": {"horizon": f"{horizon_h} h", "runs": 1},
    }


def job(chips: int, hours: float, **more: object) -> dict[str, object]:
    """Return a job that saves in a minute, and never but for a stop within its first 20 h."""
    saves = {"every": "20 h", "stall": "1 min"}
    return {"chips": chips, "train_for": f"{hours!r} h", "checkpoint": saves, **more}


def world_of(data: dict[str, Any]) -> World:
    """Return the world of a scenario."""
    return compile_world(cp.load(data))


def play(world: World) -> Ledger:
    """Return the checked ledger of one run."""
    ledger = event.play(world, 0, 0, 1)
    check(ledger, world)
    return ledger


def needed_chip_s(world: World) -> list[float]:
    """Return the chip-seconds that each service needs, added up hour by hour."""
    hours = np.arange(int(np.ceil(world.horizon_s / H)))
    lasts_s = np.minimum(world.horizon_s - hours * H, H)
    return [
        float(sum(one.demand.hourly[h % len(one.demand.hourly)] * s for h, s in
                  zip(hours, lasts_s, strict=True)))
        for one in world.services
    ]  # fmt: skip


# By hand


def test_a_job_has_the_night_and_waits_by_day():
    """The service needs 6 of 8 nodes from 8 h to 20 h; a job of 4 nodes needs 10 h.

    It trains 8 h, saves for a minute while 2 nodes lack, waits until 20 h, trains 2 h, and saves.
    """
    day = [2] * 8 + [6] * 12 + [2] * 4
    world = world_of(
        data_of({"web": {"pool": "p", "chips": day, "priority": 1}}, {"j": job(4, 10)})
    )
    ledger = play(world)
    assert ledger.end_s[0, 0] == pytest.approx(22 * H + 60)
    assert ledger.counts["stays"][0, 0] == 2
    assert ledger.job_s[0, 0, -1] == pytest.approx(12 * H - 60)
    assert ledger.lacked_chip_s[0] == pytest.approx([2 * 60])
    assert ledger.served[0, 0, 0, 0] == pytest.approx((12 * 2 + 12 * 6) * H - 2 * 60)


def test_a_job_of_the_same_priority_keeps_its_nodes_but_not_from_the_least():
    """The least of 3 is taken from a job that holds 6 of 8 nodes, what is beyond is not."""
    day = [3] * 8 + [6] * 16
    service = {"pool": "p", "chips": day, "priority": 5}
    keeps = play(world_of(data_of({"web": service}, {"j": job(5, 20, priority=5)})))
    assert keeps.end_s[0, 0] == pytest.approx(20 * H + 60)
    assert keeps.lacked_chip_s[0] == pytest.approx([3 * (12 * H + 60)])
    late = {**service, "chips": [0] * 8 + [3] * 16}
    stays = play(world_of(data_of({"web": late}, {"j": job(6, 20, priority=5)})))
    assert stays.end_s[0, 0] == pytest.approx(20 * H + 60)
    assert stays.lacked_chip_s[0] == pytest.approx([12 * H + 60])


def test_the_least_is_taken_from_any_job_and_held_through_a_fault(monkeypatch):
    """A fault takes a node of the service at 1 h for 2 h; its least comes from a job above it.

    The job of 5 nodes saves in a minute, and waits until 3 h for all its nodes.
    """
    trace = Script(scripted((H, 0, 0, True, 1.0, 2 * H)))
    monkeypatch.setattr(event, "Trace", lambda *_: trace)
    data = data_of({"web": {"pool": "p", "chips": 3, "least": 3}}, {"j": job(5, 4, priority=9)})
    world = world_of({**data, "faults": {"f": FAULT}})
    ledger = play(world)
    assert ledger.lacked_chip_s[0] == pytest.approx([60.0])
    assert ledger.end_s[0, 0] == pytest.approx(6 * H + 60)
    assert ledger.counts["idle_faults"][0].tolist() == [1]
    assert ledger.counts["interruptions"][0].tolist() == [0]


def test_a_service_of_higher_priority_takes_from_a_lower_one_down_to_its_least():
    """8 nodes; low needs 6, at least 1; high needs 4 from 8 h to 16 h: low keeps 4 of its 6."""
    high = [0] * 8 + [4] * 8 + [0] * 8
    services = {
        "low": {"pool": "p", "chips": 6, "least": 1},
        "high": {"pool": "p", "chips": high, "priority": 2},
        "top": {"pool": "p", "chips": [0] * 12 + [4] * 4 + [0] * 8, "priority": 3},
    }
    ledger = play(world_of(data_of(services)))
    # from 12 h to 16 h: top 4, high 3, low its least of 1
    assert ledger.lacked_chip_s[0] == pytest.approx([2 * 4 * H + 5 * 4 * H, 1 * 4 * H, 0.0])


def test_the_job_that_started_last_is_stopped_first():
    jobs = {"first": job(4, 12), "second": job(4, 12, arrival="1 h")}
    day = [0] * 8 + [3] * 16
    ledger = play(world_of(data_of({"web": {"pool": "p", "chips": day, "priority": 1}}, jobs)))
    assert ledger.counts["stays"][0].tolist() == [1, 2]
    assert ledger.end_s[0, 0] == pytest.approx(12 * H + 60)


def test_the_job_of_lower_priority_is_stopped_before_the_one_that_started_last():
    jobs = {"first": job(4, 12), "second": job(4, 12, arrival="1 h", priority=1)}
    day = [0] * 8 + [3] * 16
    ledger = play(world_of(data_of({"web": {"pool": "p", "chips": day, "priority": 2}}, jobs)))
    assert ledger.counts["stays"][0].tolist() == [2, 1]


def test_a_service_takes_the_pools_in_the_order_it_names_them():
    service = {"pools": ["b", "a"], "chips": [3] * 12 + [7] * 12}
    ledger = play(world_of(data_of({"web": service}, pools={"a": 4, "b": 5})))
    held = ledger.served[0, 0, :, 0] / (12 * H)
    assert held.tolist() == [2.0, 3 + 5.0]


def test_without_jobs_energy_is_that_of_busy_and_idle_chips():
    data = data_of({"web": {"pool": "p", "chips": [2] * 12 + [8] * 12}})
    (case,) = cp.run(cp.load(data)).cases.values()
    world = world_of(data)
    around_w = world.pools[0].chip_w + world.pools[0].node_overhead_w + world.pools[0].network_w
    kwh = around_w * 1.5 * 12 / 1000
    assert case.values["energy_services_kwh"] == pytest.approx([kwh[0] * 10])
    assert case.values["energy_idle_kwh"] == pytest.approx([kwh[5] * 6])
    assert case.values["energy_kwh"] == pytest.approx([kwh[0] * 10 + kwh[5] * 6])
    assert case.values["cost_usd"] == pytest.approx(0.1 * case.values["energy_kwh"])
    assert case.values["service_chip_h"] == pytest.approx([120.0])
    assert case.values["service_lacked_chip_h"] == pytest.approx([0.0])
    assert np.isnan(case.values["ettr"]).all()


def test_a_result_without_jobs_is_saved_and_read_again(tmp_path):
    result = cp.run(cp.load(data_of({"web": {"pool": "p", "chips": 2}})))
    cp.save_result(result, tmp_path / "out")
    (case,), (read,) = result.cases.values(), cp.load_result(tmp_path / "out").cases.values()
    assert read.by_site.services["energy_kwh"] == pytest.approx(case.by_site.services["energy_kwh"])
    assert not any(note.code == "beside_failed" for note in result.notes)


def test_what_is_lacking_ends_with_the_hour_that_needs_it():
    """Jobs of the same priority hold all nodes; the service needs 1 from 2 h to 3 h only."""
    day = [0, 0, 1] + [0] * 21
    ledger = play(world_of(data_of({"web": {"pool": "p", "chips": day}}, {"j": job(8, 10)})))
    assert ledger.lacked_chip_s[0] == pytest.approx([H])
    assert ledger.served.sum() == 0


def test_what_a_service_holds_is_of_the_quota_of_its_tenant():
    """u's service holds all of u's own 4 nodes: u's job is on v's 4, and gives them back at 2 h.

    It saves for a minute, in which it violates v's quota; then v trains for an hour and saves.
    """
    jobs = {"mine": job(4, 10, tenant="u"), "yours": job(4, 1, tenant="v", arrival="2 h")}
    data = data_of({"web": {"pool": "p", "chips": 4, "least": 4, "tenant": "u"}}, jobs)
    data |= {"tenants": {who: {"quota": {"p": 4}} for who in "uv"}, "policy": "capacity"}
    world = world_of(data)
    ledger = play(world)
    assert ledger.first_start_s[0].tolist() == [0.0, 2 * H + 60]
    assert ledger.counts["stays"][0].tolist() == [2, 1]
    u, v = (world.tenants.names.index(who) for who in "uv")
    assert ledger.over_quota_chip_s[0, [u, v]] == pytest.approx([4 * 60, 0])
    assert ledger.counts["quota_violations"][0, [u, v]].tolist() == [1, 0]
    alone = play(world_of(data | {"policy": {"name": "capacity", "borrow": False}}))
    assert np.isinf(alone.first_start_s[0, 0])


def test_without_horizon_a_run_ends_with_its_last_job():
    day = [2] * 6 + [6] * 18
    data = data_of({"web": {"pool": "p", "chips": day, "priority": 1}}, {"j": job(2, 30)})
    ledger = play(world_of(data | {"simulate": {"runs": 1}}))
    assert ledger.wall_s[0] == ledger.end_s[0, 0] == pytest.approx(30 * H + 2 * 60)
    assert ledger.served[0, 0, 0, 0] == pytest.approx((2 * 12 + 6 * 18) * H + 6 * 2 * 60)


def test_a_run_without_horizon_that_cannot_end_is_said():
    """The service never leaves four of the eight nodes."""
    day = [5] * 12 + [6] * 12
    data = data_of({"web": {"pool": "p", "chips": day, "priority": 1}}, {"j": job(4, 1)})
    world = world_of(data | {"simulate": {"runs": 1}})
    with pytest.raises(InfeasibleError, match=r"jobs.j: still not done after .* beside the serv"):
        event.play(world, 0, 0, 1)
    cut = world_of(data | {"simulate": {"runs": 1, "at_most": "48 h"}})
    assert play(cut).wall_s[0] == 48 * H


def test_after_the_end_of_a_case_services_draw_on(tmp_path):
    """One case is done at 24 h, the other at 48 h; the service needs 2 of 8 chips, by day 4.

    No chip is cheaper for the case that ends first, but those of its job.
    """
    services = {"web": {"pool": "p", "chips": [2] * 12 + [4] * 12, "tenant": "u", "priority": 1}}
    data = data_of(services, {"j": {"chips": 4, "train_for": "24 h", "tenant": "v"}})
    cases = {"short": {}, "long": {"jobs.j.train_for": "48 h"}}
    result = cp.run(cp.load(data | {"simulate": {"runs": 1}, "cases": cases}))
    world = world_of(data)
    around_w = world.pools[0].chip_w + world.pools[0].node_overhead_w + world.pools[0].network_w
    train_kwh, idle_kwh = around_w[[0, 5]] * 1.5 / 1000
    for case in result.cases.values():
        assert case.values["window_days"] == pytest.approx([2.0])
        assert case.values["energy_services_kwh"] == pytest.approx([train_kwh * 3 * 48])
    short, long = (case.values for case in result.cases.values())
    assert long["energy_idle_kwh"] == pytest.approx([idle_kwh * 1 * 48])
    assert short["energy_idle_kwh"] == pytest.approx([idle_kwh * (24 + 5 * 24)])
    assert short["held_frac"] == pytest.approx([4 * 24 / (8 * 48)])
    for values in (short, long):
        assert values["service_chip_h"] == pytest.approx([3 * 48])
        assert values["service_serving_chip_h"] == pytest.approx([3 * 48])
    cp.save_result(result, tmp_path / "out")
    read = cp.load_result(tmp_path / "out")
    week_s = np.array([7 * 24 * H])
    for name, case in result.cases.items():
        later, again = case.counted_to(week_s), read.cases[name].counted_to(week_s)
        assert later.values["energy_services_kwh"] == pytest.approx([train_kwh * 3 * 7 * 24])
        assert later.tenants["v"]["held_frac"] == pytest.approx(later.values["held_frac"])
        for quantity, array in later.values.items():
            np.testing.assert_array_equal(again.values[quantity], array)


def test_where_services_compete_the_mean_after_the_end_is_what_the_engine_gives():
    """By day the higher priority has all but the least of the other; without jobs, for a week."""
    services = {
        "low": {"pools": ["p", "q"], "chips": [7] + [8] * 23, "least": 1},
        "high": {"pool": "p", "chips": [0] * 8 + [6] * 16, "priority": 2},
    }
    ledger = play(world_of(data_of(services, pools={"p": 6, "q": 2}, horizon_h=168)))
    short = {"j": {"chips": 1, "train_for": "1 h", "priority": 9}}
    world = world_of(data_of(services, short, pools={"p": 6, "q": 2}) | {"simulate": {"runs": 1}})
    after = by_site(play(world), world).services_per_day
    assert after["chip_h"][0].sum() == pytest.approx(ledger.served[..., 0].sum() / H / 7)


def test_services_stand_in_the_timeline_and_in_the_picture_of_pools(tmp_path):
    """A service of the name of a job, and one that changes its size at noon."""
    services = {
        "j": {"pool": "p", "chips": 1},
        "web": {"pool": "p", "chips": [2] * 12 + [4] * 12, "priority": 1},
    }
    result = cp.run(cp.load(data_of(services, {"j": job(2, 5), "k": job(1, 5)})))
    (case,) = result.cases.values()
    assert case.service_names == ("j", "web")
    told = [(s.job, s.start_s, s.end_s, s.n_chips) for s in case.spans if s.job <= FIRST_SERVICE]
    day = [(-3, 0.0, 12 * H, 2.0), (-2, 0.0, 24 * H, 1.0), (-3, 12 * H, 24 * H, 4.0)]
    assert sorted(told) == sorted(day)
    cp.save_result(result, tmp_path / "out")
    read = cp.load_result(tmp_path / "out")
    (other,) = read.cases.values()
    assert (other.spans, other.service_names) == (case.spans, case.service_names)
    ax = result.plot.pools()
    assert "Services" in [text.get_text() for text in ax.figure.findobj(Text)]
    (found,) = [c for c in ax.collections if c.get_label() == "Services"]
    assert len(found.get_paths()) == 3
    names = [text.get_text() for text in ax.texts]
    assert names.count("web") == 2
    (tmp_path / "figures").mkdir()
    save_figures(cp.run(cp.load(data_of(services))), tmp_path / "figures")
    drawn = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert "pools" in drawn
    assert "timeline" not in drawn


# What is refused


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"services.web.pool": "q"}, ScenarioError, r"services.web.pool.*no pool 'q'"),
        ({"simulate.horizon": None}, ScenarioError, "horizon is missing: services have no end"),
        ({"services": None}, ScenarioError, "jobs, workloads or services"),
        ({"services.web.least": 9, "services.web.chips": 9}, InfeasibleError, "no room for 1 of"),
        (
            {"services.b": {"pool": "p", "chips": 8, "least": 7}},
            InfeasibleError,
            r"services.b.least.*7 chips at all hours, and no room for 1 .* leaves: p 6\)",
        ),
    ],
)
def test_what_cannot_be_is_said(changes, error, message):
    data = data_of({"web": {"pool": "p", "chips": 4, "least": 2}})
    with pytest.raises(error, match=message):
        compile_world(cp.load(data).with_(changes))


def test_the_batch_engine_refuses_services_with_their_line():
    data = data_of({"web": {"pool": "p", "chips": 4}}, {"j": job(4, 1)})
    with pytest.raises(UnsupportedByEngine, match=r"services.web: engine batch cannot"):
        cp.run(cp.load(data).with_({"simulate.engine": "batch"}))


# Laws

# Those that divide time shares plan with all nodes of a pool, whoever holds them.
POLICIES = [
    name
    for name in policy_names()
    if not isinstance(load_policy(name), SharePolicy)
    and not {"carbon", "water", "prices"} & needs_of(name)
]

hourly = st.one_of(
    st.integers(1, 4).map(lambda n: [n]),
    st.lists(st.integers(0, 5), min_size=24, max_size=24).filter(any),
)


@st.composite
def worlds(draw: Any) -> World:
    """Return a world of services and jobs on two pools, with faults or without."""
    services = {}
    for name in ("web", "chat")[: draw(st.integers(1, 2))]:
        chips = draw(hourly)
        services[name] = {
            "pools": draw(st.sampled_from([["p"], ["q"], ["p", "q"], ["q", "p"]])),
            "chips": chips,
            "least": draw(st.integers(0, min(chips))),
            "priority": draw(st.integers(0, 2)),
        }
    jobs = {
        f"j{i}": job(
            draw(st.integers(1, 4)),
            draw(st.floats(0.5, 12.0)),
            arrival=f"{draw(st.integers(0, 20))} h",
            priority=draw(st.integers(0, 2)),
            home=draw(st.sampled_from("pq")),
        )
        for i in range(draw(st.integers(0, 6)))
    }
    data = data_of(
        services, jobs, pools={"p": 4, "q": 5}, horizon_h=draw(st.sampled_from([30, 48.5]))
    )
    data["policy"] = draw(st.sampled_from(POLICIES))
    if draw(st.booleans()):
        takes = draw(st.sampled_from(["node", "job"]))
        fault = {"mtbf": "60 h", "per": "node", "takes": takes, "restart": "5 min"}
        data["faults"] = {"f": fault | ({"repair": "3 h"} if takes == "node" else {})}
        data["faults"]["slow"] = {
            "mtbf": "90 h",
            "per": "node",
            "slows": {"to": 0.5, "lasts": "2 h"},
        }
        data["sites"]["s"]["pools"]["p"]["spares"] = f"{draw(st.integers(0, 2))} nodes"
        data["planned"] = {
            "m": {"every": "17 h", "lasts": "1 h", "rolling": "2 nodes", "restart": "5 min"}
        }
    try:
        return world_of(data)
    except InfeasibleError:
        assume(False)
        raise


@settings(deadline=None, max_examples=40)
@given(worlds())
def test_what_services_hold_and_lack_is_what_they_need(world):
    """Nodes have one chip, so none is held in excess; every chip-second is booked once."""
    ledger = event.play(world, 3, 0, 2, timeline=True)
    check(ledger, world)
    held = ledger.served[..., 0].sum(axis=2)
    for run in range(2):
        np.testing.assert_allclose(held[run] + ledger.lacked_chip_s[run], needed_chip_s(world))
    again = event.play(world, 3, 0, 2)
    for name in ("booked", "served", "lacked_chip_s", "end_s", "job_s"):
        np.testing.assert_array_equal(getattr(ledger, name), getattr(again, name))


@settings(deadline=None, max_examples=40)
@given(worlds())
def test_without_faults_and_stops_the_least_is_always_held(world):
    assume(not any(pool.kinds or pool.stops for pool in world.pools))
    ledger = event.play(world, 0, 0, 1)
    needed = needed_chip_s(world)
    for i, one in enumerate(world.services):  # rounding is of what is subtracted
        held = needed[i] - ledger.lacked_chip_s[0, i]
        assert held >= one.demand.least * world.horizon_s - 1e-9 * needed[i]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 3),
    st.sampled_from(POLICIES),
    st.lists(
        st.tuples(st.integers(1, 5), st.floats(0.5, 12.0), st.integers(0, 20)),
        min_size=1,
        max_size=6,
    ),
)
def test_a_service_that_never_changes_is_a_smaller_pool(held, policy, asked):
    """All jobs come after the service has its nodes, and fit beside it."""
    jobs = {
        f"j{i}": job(chips, hours, arrival=f"{at} h", home="p", deadline=f"{at + 40} h")
        for i, (chips, hours, at) in enumerate(asked)
    }
    beside = data_of({"web": {"pool": "p", "chips": held}}, jobs, horizon_h=60)
    alone = {**data_of({}, jobs, pools={"p": 8 - held}, horizon_h=60)}
    one, other = (play(world_of({**data, "policy": policy})) for data in (beside, alone))
    for name in ("first_start_s", "end_s", "job_s"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-9)
    assert one.lacked_chip_s[0] == pytest.approx([0.0])
