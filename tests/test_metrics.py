"""Measures of tenants: a schedule played by hand, and sums that must be those of the scenario."""

from __future__ import annotations

import csv
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.event import engine as event
from computeplan.metrics import measure, measure_jobs, measure_tenants
from computeplan.report.result_views import tenants
from computeplan.world import jobs as world_jobs

ADDS_UP = (
    *("n_unfinished", "n_deadlines_missed", "n_preemptions", "kept_gtok", "held_chip_h"),
    *("effective_chip_h", "service_chip_h", "service_lacked_chip_h", "train_chip_h"),
    *("lost_chip_h", "save_chip_h", "restart_chip_h", "blocked_chip_h", "energy_jobs_kwh"),
    *("energy_services_kwh", "cost_jobs_usd", "carbon_jobs_kg", "held_frac", "effective_frac"),
)


def scenario_of(jobs: dict[str, Any], **more: object) -> dict[str, Any]:
    """Return a scenario of eight nodes of one chip each, without faults."""
    pools = {"p": {"chip": "nvidia/h100-sxm", "chips_per_node": 1, "chips": 8}}
    site = {"pue": 1.5, "price": "0.1 USD/kWh", "carbon": "400 g/kWh", "pools": pools}
    found = {"computeplan": 1, "name": "shared", "sites": {"s": site}, "jobs": jobs}
    return found | {"simulate": {"runs": 1}} | more


BY_HAND = scenario_of(
    {
        "a": {"tenant": "big", "chips": 6, "train_for": "4 h"},
        "b": {"tenant": "big", "chips": 6, "train_for": "2 h", "arrival": "1 h"},
        "c": {
            "tenant": "small",
            "chips": 2,
            "train_for": "1 h",
            "arrival": "1 h",
            "deadline": "30 min",
        },
    }
)


def test_each_tenant_has_the_measures_of_its_jobs():
    """The big one's second job waits from 1 h to 4 h and ends at 6 h; the small one's runs at once.

    Alone they take 4, 2 and 1 h. With an equal share of the 8 nodes, of one of so many jobs as are
    there on average while each is: a 2 in 4 h, b 9/5 in 5 h, c 3 in 1 h, but no more than a job of
    2 nodes of 8 can use, a fourth.
    """
    (case,) = cp.run(cp.load(BY_HAND)).cases.values()
    assert list(case.tenants) == ["big", "small"]
    rho = [4 * (8 / 6 / 4) / 2, 5 * (8 / 6 / 2) / (9 / 5)]
    by_hand = {
        "mean_wait_h": (1.5, 0.0),
        "mean_jct_h": (4.5, 1.0),
        "jct_p50_h": (4.5, 1.0),
        "jct_p95_h": (4.95, 1.0),
        "mean_slowdown_x": (1.75, 1.0),
        "fairness_p95_x": (rho[0] + 0.95 * (rho[1] - rho[0]), 1.0),
        "held_chip_h": (36.0, 2.0),
        "held_frac": (36 / 48, 2 / 48),
        "goodput_frac": (36 / 54, 1.0),
        "n_deadlines_missed": (0.0, 1.0),
        "n_unfinished": (0.0, 0.0),
        "n_preemptions": (0.0, 0.0),
    }
    for name, (big, small) in by_hand.items():
        assert case.tenants["big"][name] == pytest.approx([big]), name
        assert case.estimate(name, "small").mean == pytest.approx(small), name
    world = compile_world(cp.load(BY_HAND))
    pool = world.pools[0]
    kwh = 36 * (pool.chip_w[0] + pool.node_overhead_w[0] + pool.network_w[0]) * 1.5 / 1000
    assert case.tenants["big"]["energy_jobs_kwh"] == pytest.approx([kwh])
    assert case.tenants["big"]["cost_jobs_usd"] == pytest.approx([0.1 * kwh])
    assert case.tenants["big"]["carbon_jobs_kg"] == pytest.approx([0.4 * kwh])


def test_the_idle_share_is_what_nodes_draw_without_work_by_hand():
    """4 of 8 chips train for 10 h, the others idle: 150 W of a chip, 2 kW around eight of them."""
    watts = {"compute": "600 W", "idle": "150 W", "node_overhead": "1.6 kW", "network": "400 W"}
    pool = {"chip": "nvidia/h100-sxm", "chips_per_node": 4, "chips": 8, "power": watts}
    job = {"chips": 4, "train_for": "10 h", "checkpoint": {"every": "never"}}
    (case,) = cp.run(
        cp.load(scenario_of({"j": job}, sites={"s": {"pue": 1.5, "pools": {"p": pool}}}))
    ).cases.values()
    by_hand = {
        "energy_kwh": (4 * (0.6 + 0.5) + 4 * (0.15 + 0.5)) * 10 * 1.5,
        "energy_floor_kwh": 8 * (0.15 + 0.5) * 10 * 1.5,
        "energy_jobs_floor_kwh": 4 * (0.15 + 0.5) * 10 * 1.5,
        "energy_idle_kwh": 4 * (0.15 + 0.5) * 10 * 1.5,
        "energy_it_floor_kwh": 8 * (0.15 + 0.5) * 10,
        "energy_chip_floor_kwh": 8 * 0.15 * 10,
    }
    for name, kwh in by_hand.items():
        assert case.values[name] == pytest.approx(kwh), name


def test_a_job_on_a_slow_pool_holds_less_in_effect():
    """On b it takes twice as long as on a: half of what it holds there counts."""
    pools = {n: {"chip": "nvidia/h100-sxm", "chips_per_node": 1, "chips": 4} for n in "ab"}
    one = {"chips": 4, "model": "meta/llama-3.1-8b", "tokens": "1 Gtoken"}
    one |= {"batch": "1 Mitoken", "seq": 8192, "mfu": {"a": 0.4, "b": 0.2}}
    jobs = {"x": {"tenant": "t", **one}, "y": {"tenant": "u", **one}}
    data = scenario_of(jobs, sites={"s": {"pue": 1.0, "pools": pools}})
    (case,) = cp.run(cp.load(data)).cases.values()
    held, effective = case.values["held_chip_h"], case.values["effective_chip_h"]
    first, second = (case.tenants[who] for who in "tu")
    assert second["held_chip_h"] == pytest.approx(2 * first["held_chip_h"], rel=0.01)
    assert first["effective_chip_h"] == pytest.approx(first["held_chip_h"])
    assert second["effective_chip_h"] == pytest.approx(second["held_chip_h"] / 2)
    assert effective == pytest.approx(held * 2 / 3, rel=0.01)
    assert case.values["effective_frac"] == pytest.approx([0.5], rel=0.01)


def test_a_service_is_of_its_tenant():
    """It has a tenant of its own, without jobs, and needs 2 chips for 6 h, then 4 for 18 h."""
    services = {"web": {"pool": "p", "chips": [2] * 6 + [4] * 18, "tenant": "seller"}}
    data = BY_HAND | {"services": services, "simulate": {"horizon": "24 h", "runs": 1}}
    (case,) = cp.run(cp.load(data)).cases.values()
    assert list(case.tenants) == ["big", "small", "seller"]
    seller = case.tenants["seller"]
    assert seller["service_chip_h"] == pytest.approx([12 + 72])
    assert seller["held_chip_h"] == [0.0]
    assert np.isnan(seller["mean_jct_h"]).all()
    assert seller["energy_services_kwh"] == pytest.approx(case.values["energy_services_kwh"])
    assert case.tenants["big"]["service_chip_h"] == [0.0]


def test_what_is_known_of_no_pool_is_unknown_of_a_tenant_that_holds_none():
    """Nothing times an unknown carbon is not 0, as beside a tenant whose carbon is unknown."""
    pools = {"p": {"chip": "nvidia/h100-sxm", "chips_per_node": 1, "chips": 8}}
    sites = {"s": {"pue": 1.5, "price": "0.1 USD/kWh", "pools": pools}}
    services = {"web": {"pool": "p", "chips": 2, "tenant": "seller"}}
    data = BY_HAND | {"services": services, "simulate": {"horizon": "24 h", "runs": 1}}
    (case,) = cp.run(cp.load(data | {"sites": sites})).cases.values()
    for who in ("big", "seller"):
        assert np.isnan(case.tenants[who]["carbon_jobs_kg"]).all()
    assert case.tenants["seller"]["cost_jobs_usd"] == [0.0]


def test_where_all_have_one_tenant_there_is_no_table():
    alone = {name: {**one, "tenant": "big"} for name, one in BY_HAND["jobs"].items()}
    result = cp.run(cp.load(BY_HAND | {"jobs": alone}))
    assert result.tenants() is None
    assert result.to_json().keys() == {"name", "cases"}
    assert not next(iter(result.cases.values())).tenants


SHARES = {"x": 0.5, "y": 0.3, "z": 0.2}
CLOUD = {
    "computeplan": 1,
    "name": "cloud",
    "sites": {
        "s": {
            "pue": 1.2,
            "price": "0.1 USD/kWh",
            "carbon": "400 g/kWh",
            "pools": {
                "a": {"chip": "nvidia/h100-sxm", "chips": 64},
                "b": {"chip": "huawei/ascend-910b2", "chips": 128},
            },
        }
    },
    "faults": {
        "f": {"mtbf": "900 h", "per": "node", "takes": "node", "restart": "5 min", "repair": "2 h"}
    },
    "workloads": {
        "w": {
            "jobs": 40,
            "arrivals": {"every": "10 min"},
            "chips": {8: 0.7, 64: 0.3},
            "length": {"expon": {"mean": "2 h"}},
            "tenants": SHARES,
            "checkpoint": {"every": "10 min", "stall": "30 s"},
            "deadline": {"slack": 3},
        }
    },
}


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 99), st.sampled_from(["first-fit", "shortest-remaining", "capacity"]))
def test_what_tenants_take_adds_up_to_what_all_take(seed, policy):
    ends = {"runs": 2, "seed": seed, "horizon": "12 h"}
    services = {"web": {"pool": "a", "chips": [8] * 4 + [24] * 20, "tenant": "y", "priority": 1}}
    data = CLOUD | {"policy": policy, "simulate": ends, "services": services}
    (case,) = cp.run(cp.load(data)).cases.values()
    assert set(case.tenants) <= SHARES.keys()
    for name in ADDS_UP:
        total = np.sum([of[name] for of in case.tenants.values()], axis=0)
        assert total == pytest.approx(case.values[name], rel=1e-9, nan_ok=True), name


def test_means_and_percentiles_are_those_over_the_jobs_of_a_tenant():
    """An oracle: the quantities of single jobs, chosen by the tenant of each."""
    world = compile_world(cp.load(CLOUD))
    ledger = event.play(world, 1, 0, 3)
    by_job, by_tenant = measure_jobs(ledger, world), measure_tenants(ledger, world)
    whose = np.array([job.tenant for job in world.jobs])
    assert set(by_tenant) == set(whose)
    for who, found in by_tenant.items():
        jct_h, wait_h = (by_job[name][:, whose == who] for name in ("jct_h", "wait_h"))
        assert found["mean_jct_h"] == pytest.approx(jct_h.mean(axis=1))
        assert found["jct_p99_h"] == pytest.approx(np.percentile(jct_h, 99, axis=1))
        assert found["mean_wait_h"] == pytest.approx(wait_h.mean(axis=1))
        missed = (by_job["done_by_deadline_frac"][:, whose == who] == 0).sum(axis=1)
        assert found["n_deadlines_missed"].tolist() == missed.tolist()


def test_tenants_of_many_jobs_have_the_measures_of_jobs_with_books_of_their_own(monkeypatch):
    world = compile_world(cp.load(CLOUD))
    ledger = event.play(world, 0, 0, 2)
    apart, all_apart = measure_tenants(ledger, world), measure(ledger, world)
    monkeypatch.setattr(world_jobs, "MOST_BOOKED_APART", 10)
    many = compile_world(cp.load(CLOUD))
    pairs = set(zip(many.jobs.kind.tolist(), many.jobs.tenant.tolist(), strict=True))
    assert many.jobs.n_groups == len(pairs) < len(many.jobs)
    books = event.play(many, 0, 0, 2)
    assert books.booked.shape[1] == len(pairs) + 1
    together = measure_tenants(books, many)
    for who, found in {**apart, "": all_apart}.items():
        others = measure(books, many) if who == "" else together[who]
        assert others.keys() == found.keys()
        for name, values in found.items():
            assert others[name] == pytest.approx(values, nan_ok=True), (who, name)


def test_tenants_are_saved_and_read_again(tmp_path):
    data = BY_HAND | {"cases": {"as it is": {}, "one pool more": {"sites.s.pools.p.chips": 16}}}
    result = cp.run(cp.load(data))
    cp.save_result(result, tmp_path / "r")
    with (tmp_path / "r" / "tenants.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["run"], row["tenant"]) for row in rows] == [
        (case, "0", who) for case in data["cases"] for who in ("big", "small")
    ]
    assert float(rows[0]["held_chip_h"]) == 36.0
    read = cp.load_result(tmp_path / "r")
    for name, case in result.cases.items():
        for who, values in case.tenants.items():
            for quantity, array in values.items():
                np.testing.assert_array_equal(read.cases[name].tenants[who][quantity], array)
    assert read.tenants().text() == result.tenants().text()
    summary = json.loads((tmp_path / "r" / "summary.json").read_text("utf-8"))
    assert summary["tenants"]["as it is"]["small"]["held_chip_h"]["mean"] == 2.0
    assert summary["tenants"] == result.to_json()["tenants"]
    cp.save_result(read, tmp_path / "again")
    for path in (tmp_path / "r").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    (tmp_path / "r" / "tenants.csv").unlink()
    with pytest.raises(cp.ComputePlanError, match=r"tenants.csv is missing"):
        cp.load_result(tmp_path / "r")


def test_a_table_shows_what_differs_and_says_the_rest_once():
    result = cp.run(cp.load(BY_HAND))
    table = tenants(result)
    assert [row[:2] for row in table.rows] == [("shared: big", "2"), ("shared: small", "1")]
    assert "Mean wait [h]" in table.header
    assert table.notes == ("Same in all cases: Preemptions 0; Unfinished jobs 0.",)
    few = result.tenants(["held_frac"])
    assert [row[2] for row in few.rows] == ["0.750", "0.0417"]
    with pytest.raises(cp.ComputePlanError, match="no quantity 'speed'"):
        result.tenants(["speed"])
    assert "租户" in tenants(result, language="zh").text()
