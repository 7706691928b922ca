"""What each kind of chip takes for its work: by hand, and parts that add up to the whole."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import THREE_CHIPS
from strategies import eventful_scenarios, tiered_scenarios

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import batch, event
from computeplan.metrics import by_site, measure
from computeplan.results.window import by_chip
from computeplan.world import jobs as world_jobs

JOB = {
    "model": "meta/llama-3.1-8b",
    "seq": 8192,
    "batch": "1 Mitoken",
    "checkpoint": {"every": "never"},
    "mfu": 0.4,
}


def steady(watts):
    return {"meter": "node", **dict.fromkeys(("compute", "load", "wait", "idle", "repair"), watts)}


def data_of(**more):
    """Two H100 pools at two sites and one of 910B2, each with one job; nothing fails."""
    h100 = {"chip": "nvidia/h100-sxm", "chips": 8, "power": steady("1 kW")}
    ascend = {"chip": "huawei/ascend-910b2", "chips": 16, "power": steady("500 W")}
    pools = {"a": h100, "b": {**h100, "chips": 24}, "c": ascend}
    jobs = {
        name: {**JOB, "home": name, "chips": chips, "tokens": tokens}
        for name, chips, tokens in (
            ("a", 8, "2 Gtoken"),
            ("b", 8, "1 Gtoken"),
            ("c", 16, "1 Gtoken"),
        )
    }
    return {
        "computeplan": 1,
        "name": "s",
        "sites": {
            "east": {"pue": 1.5, "carbon": "400 g/kWh", "pools": {"a": pools["a"]}},
            "west": {"pue": 1.0, "carbon": "600 g/kWh", "pools": {k: pools[k] for k in "bc"}},
        },
        "jobs": jobs,
        "policy": "silo",
        "simulate": {"runs": 1},
        **more,
    }


def test_energy_per_token_and_per_job_by_hand():
    case = cp.run(cp.load(data_of())).cases["s"]
    found = {key: {n: float(v[0]) for n, v in of.items()} for key, of in case.by_chip().items()}
    assert [*found] == [
        ("nvidia/h100-sxm", ""),
        ("nvidia/h100-sxm", "a"),
        ("nvidia/h100-sxm", "b"),
        ("huawei/ascend-910b2", ""),
    ]
    a_h, b_h, c_h = (float(h) for h in case.jobs["jct_h"][0])
    assert a_h == pytest.approx(2 * b_h)
    on_a, on_b, on_c = 8 * 1.5 * a_h, 8 * b_h, 16 * 0.5 * c_h
    h100, a, b, ascend = found.values()
    assert a["kwh_per_gtok"] == pytest.approx(on_a / 2)
    assert b["kwh_per_gtok"] == pytest.approx(on_b)
    assert h100["kwh_per_gtok"] == pytest.approx((on_a + on_b) / 3)
    assert ascend["kwh_per_gtok"] == pytest.approx(on_c)
    assert h100["kwh_per_job"] == pytest.approx((on_a + on_b) / 2)
    assert (h100["kept_jobs"], h100["kept_gtok"]) == pytest.approx((2, 3))
    assert h100["carbon_kg"] == pytest.approx(0.4 * a["energy_kwh"] + 0.6 * b["energy_kwh"])
    longest_h = max(a_h, c_h)
    assert a["energy_idle_kwh"] == pytest.approx(8 * 1.5 * (longest_h - a_h), abs=1e-9)
    assert b["energy_idle_kwh"] == pytest.approx(24 * longest_h - on_b)
    assert b["held_frac"] == pytest.approx(on_b / 24 / longest_h)


def test_all_chips_are_counted_to_the_window_of_the_cases():
    """A second case at a hundredth of the speed: idle chips of the first go on for as long."""
    slow = {f"jobs.{name}.mfu": 0.004 for name in "abc"}
    result = cp.run(cp.load(data_of(cases={"fast": {}, "slow": slow})))
    fast = result.cases["fast"]
    of_c = fast.by_chip()["huawei/ascend-910b2", ""]
    hours = float(fast.values["window_days"][0]) * 24
    assert hours > 50 * float(fast.values["wall_days"][0]) * 24
    assert of_c["energy_kwh"][0] == pytest.approx(16 * 0.5 * hours)


@given(
    st.one_of(eventful_scenarios(), tiered_scenarios()),
    st.sampled_from([batch, event]),
    st.floats(0, 5),
)
def test_chips_add_up_to_the_case(data, engine, later_days):
    loaded = cp.load(data)
    world = compile_world(loaded)
    ledger = engine.play(world, loaded.simulate.seed, 0, 3)
    taken, whole = by_site(ledger, world), measure(ledger, world)
    parts = by_chip(taken, ledger.wall_s + later_days * 86_400)
    of_all = [values for (_, pool), values in parts.items() if not pool]
    kept_jobs = sum(values["kept_jobs"] for values in of_all)
    assert kept_jobs == pytest.approx(ledger.kept_frac.sum(axis=1), rel=1e-6, abs=1e-9)
    kept_gtok = sum(values["kept_gtok"] for values in of_all)
    assert kept_gtok == pytest.approx(whole["kept_gtok"], rel=1e-9, nan_ok=True)
    held = sum(values["held_chip_h"] for values in of_all)
    assert held == pytest.approx(whole["held_chip_h"], rel=1e-9)


def test_a_job_that_moves_counts_on_each_chip_with_what_it_kept_there():
    """Rounds move jobs between chips; in the end all jobs are whole, and their energy is there."""
    rounds = {"name": "max-min-fairness", "round": "2 h", "restart_cost": "5 min"}
    scenario = cp.load(THREE_CHIPS).with_({"simulate.runs": 2, "cases": {"r": {"policy": rounds}}})
    case = cp.run(scenario).cases["r"]
    chips = case.by_chip()
    assert (case.values["n_preemptions"] > 0).all()
    assert any((of["kept_jobs"] % 1 > 1e-3).any() for of in chips.values())
    assert sum(of["kept_jobs"] for of in chips.values()) == pytest.approx(len(case.job_names))
    for name in ("energy_kwh", "energy_jobs_kwh", "cost_usd", "carbon_kg", "kept_gtok"):
        assert sum(of[name] for of in chips.values()) == pytest.approx(case.values[name])


def test_jobs_on_two_pools_at_once_count_on_both():
    """At 0.8 of its speed the job takes 125 s; of its work 3/5 are kept on p."""
    pools = {
        name: {"chip": chip, "chips": n, "chips_per_node": 1, "power": steady("1 kW")}
        for name, chip, n in (("p", "nvidia/h100-sxm", 3), ("q", "nvidia/h200", 2))
    }
    job = {
        "train_for": "100 s",
        "chips": 5,
        "checkpoint": {"every": "never"},
        "mixed": {"efficiency": 0.8},
    }
    data = data_of(sites={"s": {"pue": 1, "pools": pools}}, jobs={"j": job}, policy="mixed-fifo")
    p, q = cp.run(cp.load(data)).cases["s"].by_chip().values()
    assert (p["kept_jobs"][0], q["kept_jobs"][0]) == pytest.approx((0.6, 0.4))
    assert p["kwh_per_job"][0] == pytest.approx(3 * 125 / 3600 / 0.6)
    assert np.isnan(p["kwh_per_gtok"]).all()  # a time of training has no tokens


def test_many_jobs_of_a_kind_count_as_those_with_books_of_their_own(monkeypatch):
    """Work of jobs that are booked together is split over chips as their time."""
    workload = {
        "jobs": 30,
        "arrivals": "at once",
        "chips": {"8": 1.0},
        "length": {"lognormal": {"median": "1 h", "p95": "3 h"}},
        "checkpoint": {"every": "never"},
    }
    loaded = cp.load(data_of(jobs={}, workloads={"w": workload}, policy="first-fit"))
    apart = compile_world(loaded)
    ledger = event.play(apart, 0, 0, 1)
    monkeypatch.setattr(world_jobs, "MOST_BOOKED_APART", 10)
    together = compile_world(loaded)
    assert together.jobs.n_groups < 30
    kept = by_site(event.play(together, 0, 0, 1), together).kept["kept_jobs"]
    assert kept.sum() == pytest.approx(30)
    by_one = by_site(ledger, apart)
    assert by_one.kept["kept_jobs"].sum() == pytest.approx(30)
    np.testing.assert_allclose(kept / kept.sum(), (h := by_one.jobs["chip_h"]) / h.sum())


def test_chips_are_shown_and_saved_and_read_again(tmp_path):
    result = cp.run(cp.load(data_of(cases={"one": {}, "two": {"sites.east.pools.a.chips": 16}})))
    cp.save_result(result, tmp_path / "r")
    with (tmp_path / "r" / "chips.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["run"], row["chip"], row["pool"]) for row in rows] == [
        (case, "0", *key) for case in ("one", "two") for key in result.cases[case].by_chip()
    ]
    summary = json.loads((tmp_path / "r" / "summary.json").read_text("utf-8"))
    assert summary["chips"] == result.to_json()["chips"]
    of_b = summary["chips"]["one"]["nvidia/h100-sxm, b"]
    assert of_b["kwh_per_gtok"]["mean"] == pytest.approx(float(rows[2]["kwh_per_gtok"]))
    read = cp.load_result(tmp_path / "r")
    assert read.chips().text() == result.chips().text()
    table = result.chips(["kwh_per_gtok", "kwh_per_job"])
    assert [row[0] for row in table.rows][2:4] == [
        "one: nvidia/h100-sxm, b",
        "one: huawei/ascend-910b2",
    ]
    cp.save_result(read, tmp_path / "again")
    for path in (tmp_path / "r").iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_results_of_earlier_versions_have_no_chips_and_the_same_energy(tmp_path):
    result = cp.run(cp.load(data_of()))
    cp.save_result(result, tmp_path / "r")
    path = tmp_path / "r" / "sites.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [n for n in rows[0] if n not in ("pool", "chip", "kept_gtok", "kept_jobs")]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    read = cp.load_result(tmp_path / "r")
    assert read.chips() is None
    week_s = np.full(1, 7 * 86_400.0)
    now, then = (one.cases["s"].counted_to(week_s).values for one in (result, read))
    assert now["energy_kwh"] == pytest.approx(then["energy_kwh"])


def test_one_pool_is_no_comparison_of_chips():
    data = data_of()
    del data["sites"]["west"], data["jobs"]["b"], data["jobs"]["c"]
    assert cp.run(cp.load(data)).chips() is None
