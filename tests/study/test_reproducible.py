"""Same version, scenario and seed: same bytes, on any number of workers; faults are paired."""

from __future__ import annotations

import math
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from scipy import stats

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.study.cases import expand
from computeplan.trace import Trace
from computeplan.trace.streams import BLOCK

NAMES = ("runs.csv", "jobs.csv", "summary.csv", "summary.json", "timeline.csv", "provenance.json")


def small(name, runs):
    return cp.load(name).with_({"simulate.runs": runs})


@pytest.mark.parametrize("name", ["llama3-405b", "one-cloud-many-chips"])
def test_same_bytes_on_one_worker_and_on_two(name, tmp_path):
    # more than one piece of work: 64 runs for the event engine, 2048 for the batch engine
    runs = 130 if name == "one-cloud-many-chips" else 2200
    keep = dict(list(cp.load(name).cases.items())[:1])
    scenario = small(name, runs).with_({"cases": None}).with_({"cases": keep})
    cp.save_result(cp.run(scenario), tmp_path / "one")
    with ProcessPoolExecutor(2) as executor:
        cp.save_result(cp.run(scenario, executor=executor), tmp_path / "two")
    for file in NAMES:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), (
            file
        )


def test_the_resolved_scenario_gives_the_same_bytes(tmp_path):
    cp.save_result(cp.run(small("h100-h200-910b", 70)), tmp_path / "one")
    again = cp.load(tmp_path / "one" / "scenario.yaml")
    cp.save_result(cp.run(again), tmp_path / "two")
    for file in (*NAMES, "scenario.yaml"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), (
            file
        )


def arrivals_of(world, first_run, n_runs, until_s=1e6, seed=5):
    return Trace(world, seed, first_run, n_runs).arrivals(0, until_s)


def test_what_a_run_meets_depends_on_its_number_alone():
    world = compile_world(cp.load("llama3-405b"))
    many = arrivals_of(world, 0, 3 * BLOCK)
    few = arrivals_of(world, BLOCK + 3, 7)
    rows = min(len(many.time_s), len(few.time_s))
    columns = slice(BLOCK + 3, BLOCK + 10)
    for name in ("time_s", "kind", "node", "takes", "restart_s", "repair_s"):
        a, b = getattr(many, name)[:rows, columns], getattr(few, name)[:rows]
        due = many.time_s[:rows, columns] <= 1e6
        np.testing.assert_array_equal(a[due], b[due], err_msg=name)


def test_a_longer_look_begins_with_the_same_arrivals():
    world = compile_world(cp.load("llama3-405b"))
    trace = Trace(world, 5, 0, 4)
    short, long = trace.arrivals(0, 5e5), trace.arrivals(0, 3e6)
    due = short.time_s <= 5e5
    np.testing.assert_array_equal(short.time_s[due], long.time_s[: len(due)][due])
    assert (long.time_s[-1] > 3e6).all()
    assert (np.diff(long.time_s, axis=0) >= 0).all()


def test_a_kind_that_is_added_shifts_no_other():
    base = cp.load("llama3-405b").with_({"planned": None})
    extra = base.with_(
        {"faults.rare": {"mtbf": "5000 h", "per": "node", "takes": "nothing", "restart": "1 h"}}
    )
    one, two = (arrivals_of(compile_world(scenario), 0, 5) for scenario in (base, extra))
    for run in range(5):
        theirs = two.time_s[:, run][two.kind[:, run] == 0]
        np.testing.assert_array_equal(one.time_s[:200, run], theirs[:200])


def test_all_cases_meet_the_same_faults():
    variants = list(expand(cp.load("llama3-405b")).values())[:3]
    one, *others = (arrivals_of(compile_world(variant.scenario), 0, 3) for variant in variants)
    for other in others:
        np.testing.assert_array_equal(one.time_s, other.time_s)


def test_seeds_and_runs_differ():
    world = compile_world(cp.load("llama3-405b"))
    one, other = arrivals_of(world, 0, 2, seed=1), arrivals_of(world, 0, 2, seed=2)
    assert one.time_s[0, 0] != other.time_s[0, 0]
    assert one.time_s[0, 0] != one.time_s[0, 1]


def test_faults_follow_their_laws():
    """Gaps, nodes, shares, restarts and repairs of 64 runs against scipy; p > 1e-4 each."""
    scenario = cp.load("llama3-405b").with_({"planned": None})
    world = compile_world(scenario)
    found = arrivals_of(world, 0, 64, until_s=3e6)
    gaps_s = np.diff(found.time_s[:200], axis=0).ravel()
    n_nodes = 2048 + 64
    mean_gap_s = 54 * 86_400 / 419 * 2048 / n_nodes
    tests = {
        "gaps": stats.kstest(gaps_s, stats.expon(scale=mean_gap_s).cdf),
        "nodes": stats.chisquare(np.bincount(found.node[:200].ravel() // 132, minlength=16)),
        "restarts": stats.kstest(
            found.restart_s[:200].ravel(),
            stats.lognorm(s=math.log(3) / stats.norm.ppf(0.95), scale=300).cdf,
        ),
        "repairs": stats.kstest(
            found.repair_s[:200].ravel(),
            stats.lognorm(s=math.sqrt(2 * math.log(5.53 * 24 / 20.4)), scale=20.4 * 3600).cdf,
        ),
    }
    taken = found.takes[:200]
    tests["takes"] = stats.binomtest(int(taken.sum()), taken.size, 0.78)
    assert found.node.min() >= 0
    assert found.node.max() < n_nodes
    # whether a node is taken must not depend on which node it is
    tests["independent"] = stats.ks_2samp(found.node[:200][taken], found.node[:200][~taken])
    assert all(test.pvalue > 1e-4 for test in tests.values()), tests


@pytest.mark.parametrize(
    "law", [{"gamma": {"a": 2.0, "mean": "3 h"}}, {"expon": {"mean": "3 h"}}, "3 h"]
)
def test_every_law_is_drawn_with_its_mean(law):
    scenario = cp.load("llama3-405b").with_({"planned": None, "faults.unexpected.repair": law})
    repair_s = arrivals_of(compile_world(scenario), 0, 64).repair_s
    standard_error = repair_s.std() / math.sqrt(repair_s.size)
    assert abs(repair_s.mean() - 3 * 3600) <= 4 * standard_error + 1e-6
