"""Closed forms of restarts, spares and whole runs, against oracles that share no code with them."""

from __future__ import annotations

import copy
import heapq
import json
import math
from typing import Any

import numpy as np
import pytest
from bounds import ends_within
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import computeplan as cp
from computeplan.analytic.agreement import warnings_of
from computeplan.analytic.expected import expect, why_no_closed_form
from computeplan.compiler.compile import compile_world
from computeplan.distributions import Law, frozen_law, law_discount, law_mean_s, law_mean_until_s
from computeplan.physics.checkpoint import even_restart_s, expected_wall_s
from computeplan.physics.reliability import (
    down_frac_over_time,
    erlang_b,
    lacking_share,
    short_share,
    stalled_share,
)
from computeplan.report.words import sentence, sentences
from computeplan.study.cases import compile_cases
from computeplan.study.run import run

HOUR_S, DAY_S = 3600.0, 86_400.0
LAWS = [
    Law("const", (), 600.0),
    Law("expon", (), 600.0),
    *(Law("lognorm", (sigma,), 600.0) for sigma in (0.01, 0.5, 1.0, 3.0)),
    Law("weibull_min", (0.4,), 600.0),
    Law("weibull_min", (3.0,), 600.0),
    Law("gamma", (0.1,), 600.0),
    Law("gamma", (50.0,), 600.0),
    Law("lomax", (1.2,), 600.0),
    Law("loglaplace", (1.5,), 600.0),
]
by_name = pytest.mark.parametrize("law", LAWS, ids=lambda law: f"{law.name} {law.shapes}")


def sf(law: Law, time_s: Any) -> Any:
    """Return the probability that a duration is not over."""
    if law.name == "const":
        return (np.asarray(time_s) < law.scale_s) * 1.0
    return frozen_law(law).sf(time_s)


# Laws


@pytest.mark.parametrize("rate", [1e-12, 1e-7, 1e-4, 1e-2, 1.0, 1e4])
@by_name
def test_discount_of_any_law_at_any_rate(law, rate):
    """By parts, ``1 - L = integral of exp(-y) P(rate x > y) dy``, in ln y: another integral."""
    if law.name == "const":
        assert law_discount(law, rate) == math.exp(-rate * 600)
        return
    y = np.exp(np.linspace(-45, 5, 400_001))
    oracle = 1 - np.trapezoid(np.exp(-y) * sf(law, y / rate) * y, np.log(y))
    assert law_discount(law, rate) == pytest.approx(oracle, abs=1e-9)


@by_name
def test_discount_falls_from_one_and_never_below_that_of_the_mean(law):
    """Jensen: a spread of durations is survived more often than their mean."""
    found = [law_discount(law, rate) for rate in (0.0, 1e-6, 1e-4, 1e-2)]
    assert found[0] == 1
    assert found == sorted(found, reverse=True)
    assert found[2] >= math.exp(-1e-4 * law_mean_s(law)) - 1e-12


def test_discount_refuses_a_negative_rate():
    with pytest.raises(ValueError, match="rate_per_s must be >= 0, got -1"):
        law_discount(Law("expon", (), 1.0), -1.0)


@by_name
def test_mean_of_a_duration_cut_short(law):
    times_s = np.linspace(0, 40_000.0, 41)
    fine_s = np.linspace(0, 40_000.0, 400_001)
    steps = (sf(law, fine_s)[1:] + sf(law, fine_s)[:-1]) / 2 * 0.1
    oracle = np.concatenate([[0.0], np.cumsum(steps)])[::10_000]
    assert law_mean_until_s(law, times_s) == pytest.approx(oracle, abs=0.1)


# Restarts of random length


def test_random_restarts_agree_with_playing_the_faults_one_by_one():
    """Two kinds of fault with restarts of their own, often cut short: the mean would be 12 % off.

    The oracle draws gaps and restarts, and walks the timeline.
    """
    interval_s, save_s, mtbf_s, share = 1200.0, 60.0, 2760.0, 0.3
    long, short = Law("lognorm", (1.2,), 900.0), Law("const", (), 300.0)
    rng = np.random.default_rng(20261122)

    def wall_s_of_one_segment() -> float:
        wall, todo = 0.0, interval_s + save_s
        while (gap := rng.exponential(mtbf_s)) < todo:
            restart = 900.0 * math.exp(1.2 * rng.normal()) if rng.random() < share else 300.0
            wall, todo = wall + gap, restart + interval_s + save_s
        return wall + todo

    wall_s = np.array([wall_s_of_one_segment() for _ in range(40_000)])
    kept = share * law_discount(long, 1 / mtbf_s) + (1 - share) * law_discount(short, 1 / mtbf_s)
    expected = float(expected_wall_s(interval_s, save_s, even_restart_s(kept, mtbf_s), mtbf_s))
    standard_error = wall_s.std(ddof=1) / np.sqrt(wall_s.size)
    assert abs(wall_s.mean() - expected) < 4 * standard_error  # 1 false alarm in 16,000
    mean_s = share * law_mean_s(long) + (1 - share) * 300.0
    assert (
        float(expected_wall_s(interval_s, save_s, mean_s, mtbf_s)) > expected + 8 * standard_error
    )


@given(st.floats(0.0, 1e5), st.floats(60.0, 1e6))
def test_a_constant_restart_is_itself(restart_s, mtbf_s):
    kept = law_discount(Law("const", (), restart_s), 1 / mtbf_s)
    if kept > 1e-300:
        found = float(even_restart_s(kept, mtbf_s))
        assert found == pytest.approx(restart_s, rel=1e-9, abs=1e-12 * mtbf_s)


def test_even_restart_refuses_what_is_no_share():
    with pytest.raises(ValueError, match=r"within \[0, 1\], got 1.5"):
        even_restart_s(1.5, 60.0)


# Spares


def test_erlang_b_has_the_published_values():
    """Table values: 1 erlang on 5 lines, 5 on 10; 100 need 117 lines to lose at most 1 %."""
    assert erlang_b(5, 1.0) == pytest.approx(0.003067, abs=1e-6)
    assert erlang_b(10, 5.0) == pytest.approx(0.018385, abs=1e-6)
    assert erlang_b(117, 100.0) < 0.01 < erlang_b(116, 100.0)


@given(st.integers(0, 300), st.floats(0.01, 300.0))
def test_erlang_b_is_a_poisson_law_cut_off(n_servers, load):
    n = np.arange(n_servers + 1)
    log_terms = n * math.log(load) - np.array([math.lgamma(k + 1) for k in n])
    oracle = math.exp(log_terms[-1] - log_terms.max()) / np.exp(log_terms - log_terms.max()).sum()
    assert erlang_b(n_servers, load) == pytest.approx(oracle, rel=1e-9, abs=1e-300)


@given(st.integers(0, 300), st.floats(1e-3, 1e3))
def test_erlang_b_follows_its_recursion(n_servers, load):
    inverse = 1.0
    for n in range(1, n_servers + 1):
        inverse = 1 + n / load * inverse
    assert erlang_b(n_servers, load) == pytest.approx(1 / inverse, rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("load", [1.0, 9.999e7, 1e8, 1.0001e8, 1e12])
def test_erlang_b_of_many_servers_takes_no_time(load):
    """By the central limit theorem, where servers and load are as many: sqrt(2 / (pi n))."""
    with ends_within(10):
        found = erlang_b(100_000_000, load)
    if load == 1e8:
        assert found == pytest.approx(math.sqrt(2 / (math.pi * load)), rel=1e-3)
    assert found >= max(0.0, 1 - 1e8 / load)


def test_limits_and_refusals_of_spares():
    assert erlang_b(0, 3.0) == 1.0
    assert (erlang_b(4, 0.0), erlang_b(0, 0.0), erlang_b(10**5, 1e-9)) == (0.0, 1.0, 0.0)
    assert stalled_share(8, 0, 0.25) == pytest.approx(2 / 3)  # one up and down in turn
    poisson = stats.poisson.sf(110, 1e5 * 1e-3)  # of many nodes
    assert short_share(10**5, 110, 1e-3) == pytest.approx(poisson, rel=0.02)
    with pytest.raises(ValueError, match="must be >= 0, got"):
        erlang_b(3, -1.0)
    with pytest.raises(ValueError, match="nodes >= 1"):
        stalled_share(0, 1, 0.1)


@pytest.mark.parametrize("law", [Law("const", (), DAY_S), Law("lognorm", (1.0,), 0.6065 * DAY_S)])
def test_stalled_share_on_the_busy_clock(law):
    """Nodes fail only while all of them work: an oracle of one heap of repairs."""
    n_nodes, n_spares, rate = 40, 2, 0.03 / DAY_S
    rng = np.random.default_rng(7)

    def share_of_a_run() -> float:
        now_s = stalled_s = 0.0
        back_s = list[float]()
        while now_s < 3000 * DAY_S:
            now_s += rng.exponential(1 / (n_nodes * rate))
            while back_s and back_s[0] <= now_s:
                heapq.heappop(back_s)
            repair_s = law.scale_s * math.exp(law.shapes[0] * rng.normal()) if law.shapes else DAY_S
            heapq.heappush(back_s, now_s + repair_s)
            if len(back_s) > n_spares:  # stands still until the first is back
                stalled_s += back_s[0] - now_s
                now_s = heapq.heappop(back_s)
        return stalled_s / now_s

    shares = np.array([share_of_a_run() for _ in range(40)])
    expected = stalled_share(n_nodes, n_spares, rate * law_mean_s(law))
    error = shares.std(ddof=1) / math.sqrt(shares.size)
    assert abs(shares.mean() - expected) < 4 * error
    assert short_share(n_nodes, n_spares, rate * law_mean_s(law)) > expected + 8 * error


def test_nodes_that_start_whole_are_down_as_often_as_played():
    """Up and down in turn, on the wall clock, with repairs of a heavy tail."""
    law, up_s, step_s = Law("lognorm", (1.5,), DAY_S), 20 * DAY_S, DAY_S / 4
    times_s = np.arange(241) * step_s
    down = down_frac_over_time(1 / up_s, law_mean_until_s(law, times_s))
    rng = np.random.default_rng(11)
    n = 40_000
    now_s, is_down = np.zeros(n), np.zeros((n, len(times_s)), dtype=bool)
    while (now_s < times_s[-1]).any():
        fails_s = now_s + rng.exponential(up_s, n)
        now_s = fails_s + DAY_S * np.exp(1.5 * rng.normal(size=n))
        is_down |= (times_s >= fails_s[:, None]) & (times_s < now_s[:, None])
    found = is_down.mean(axis=0)
    assert np.abs(found - down).max() < 4.5 * math.sqrt(0.13 * 0.87 / n)  # the largest of many
    assert 0.1 < down[-1] < law_mean_s(law) / (up_s + law_mean_s(law))
    assert (np.diff(down) > 0).all()
    assert lacking_share(8, 1, down)[0] == 0


def test_a_constant_hazard_of_repair_is_solved_by_hand():
    """Up and down without memory: ``p = a / (a + b) (1 - exp(-(a + b) t))``."""
    times_s = np.linspace(0, 30.0, 401)
    down = down_frac_over_time(0.1, law_mean_until_s(Law("expon", (), 5.0), times_s))
    assert down == pytest.approx(0.1 / 0.3 * -np.expm1(-0.3 * times_s), abs=2e-5)


# Whole runs

PLAIN: dict[str, Any] = {
    "computeplan": 1,
    "name": "plain",
    "sites": {
        "s": {
            "pue": 1,
            "pools": {
                "p": {"chip": "H100-SXM", "chips": 64, "chips_per_node": 1, "spares": "8 nodes"}
            },
        }
    },
    "faults": {
        "f": {
            "mtbf": "640 h",
            "per": "node",
            "takes": "node",
            "restart": {"lognormal": {"median": "0.3 h", "sigma": 1}},
            "repair": "2 h",
        }
    },
    "jobs": {
        "j": {"train_for": "150 h", "chips": 64, "checkpoint": {"every": "1 h", "stall": "2 min"}}
    },
    "simulate": {"runs": 200, "seed": 3},
}


def plain(**changes: Any) -> Any:
    """Return a scenario of one job, with changes by path; dots are written as two underscores."""
    return cp.load(copy.deepcopy(PLAIN)).with_(
        {path.replace("__", "."): value for path, value in changes.items()}
    )


HEAVY = {"lognormal": {"median": "20.4 h", "mean": "5.53 d"}}
BUSY = {
    "sites__s__pools__p__spares": "6 nodes",
    "faults__f__mtbf": "1200 h",
    "faults__f__repair": HEAVY,
}
COLD = {"cold": {"nodes": "4 nodes", "ready": "2 h"}}  # 5 points of ETTR less than ready ones
STOPS = {"planned__m": {"every": "20 h", "lasts": "1 h"}}


def warned(result: Any) -> list[str]:
    """Return the warnings among the notes."""
    return [note for note in sentences(result.notes) if note.startswith("WARNING")]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"simulate__horizon": "5 d"},
        {**STOPS},
        {**STOPS, "simulate__horizon": "5 d"},
        {"planned__m": {**STOPS["planned__m"], "first": "1 h"}, "simulate__horizon": "5 d"},
        {"planned__m": {**STOPS["planned__m"], "first": "19 h"}, "simulate__horizon": "5 d"},
        {"simulate__runs": 2},
        {"simulate__runs": 1},
        {"faults__f__mtbf": "500 kh"},  # hardly anything happens, and a few runs see none of it
        {"faults__f__restart": {"lognormal": {"median": "1 min", "sigma": 3}}},
        {"jobs__j__checkpoint__every": "never", "jobs__j__train_for": "8 h"},
        {"jobs__j__checkpoint__write": "50 min", "jobs__j__train_for": "20 min"},
    ],
)
def test_runs_agree_with_their_closed_form(changes):
    result = run(plain(**changes))
    (case,) = result.cases.values()
    assert warned(result) == []
    assert "by closed form" in sentence(case.facts["expected"])


def test_stops_and_blocking_stand_in_the_expectation():
    """The product of three shares, each against the books of the simulation."""
    nodes = {"faults__f__repair": "50 h", "sites__s__pools__p__spares": "2 nodes"}
    changes = {**STOPS, **nodes, "faults__f__mtbf": "4000 h", "simulate__horizon": "30 d"}
    scenario = plain(**changes, jobs__j__train_for="100 d")
    expected = expect(compile_world(scenario))
    (case,) = run(scenario).cases.values()
    assert expected.stopped_frac == pytest.approx(61 / 60 / 20)
    assert expected.blocked_frac > 0.02
    available = case.estimate("available_frac")
    blocked = 1 - available.mean
    assert blocked == pytest.approx(expected.blocked_frac, abs=3 * available.ci95)
    assert expected.ettr == pytest.approx(case.estimate("ettr").mean, abs=0.01)
    text = sentence(case.facts["expected"])
    assert "outside planned stops (each its mean length and half a save)" in text
    assert f"ettr {expected.ettr:.4f} and {expected.days_to_train:,.4g} days to train" in text


def test_repairs_that_have_not_filled_up_is_told():
    """Repairs with a heavy tail, few spares: the long run is far away."""
    scenario = plain(**BUSY, simulate__horizon="10 d", jobs__j__train_for="100 d")
    (told,) = warned(result := run(scenario))
    (case,) = result.cases.values()
    expected = expect(compile_world(scenario))
    assert told.startswith("WARNING: not the long run: runs start with every node up")
    assert f"ettr {case.estimate('ettr').mean:.4f} simulated" in told
    assert f"{expected.long_run_ettr:.4f} in the long run by closed form" in told
    assert case.estimate("ettr").mean > expected.long_run_ettr + 0.1
    assert "which start with every node up; if no repair waits" in sentence(case.facts["spares"])


def test_a_wrong_simulation_is_told():
    """The books of another world: restarts of twice the length."""
    right = compile_world(plain())
    (case,) = run(
        plain(faults__f__restart={"lognormal": {"median": "0.6 h", "sigma": 1}})
    ).cases.values()
    (told,) = map(sentence, warnings_of([("mine", right, case)]))
    expected = expect(right)
    simulated = case.estimate("wall_days").mean
    assert "departs from the closed form: mine: " in told
    assert f"{simulated:,.4g} days to train simulated, {expected.days_to_train:,.4g} by" in told
    (told,) = warnings_of([(f"case {i}", right, case) for i in range(5)])
    assert len(told.values["cases"]) == 5
    assert " | and 2 more." in sentence(told)


@pytest.mark.parametrize(("runs", "seed"), [(3, 1), (60, 2)])
@pytest.mark.parametrize(
    ("name", "is_told"),
    [
        ("910b-fault-rate", False),
        ("checkpoint-interval", False),
        ("h100-h200-910b", True),
        ("llama3-405b", True),
        ("one-cloud-many-chips", False),
        ("spares", True),
    ],
)
def test_no_shipped_scenario_departs(name, is_told, runs, seed):
    """Those with few spares say that their runs are kinder than the long run, which is so."""
    if name == "one-cloud-many-chips":  # is never compared; its queues take long to play
        assert all(expect(case.world) is None for case in compile_cases(cp.load(name)).cases)
        return
    told = warned(run(cp.load(name).with_({"simulate.runs": runs, "simulate.seed": seed})))
    assert not [note for note in told if "departs" in note]
    assert is_told or not told
    if runs > 3:
        assert bool(told) == is_told


def test_a_fleet_of_910b_has_the_ettr_of_its_closed_form():
    """A fault every 46 minutes and less: means of restarts were 0.7 to 1.8 points too low here."""
    often = {"faults.unexpected.observed.interruptions": 8 * 419}
    scenario = cp.load("910b-fault-rate").with_(
        {"cases": {"x 8": often, "x 10": {key: n * 10 // 8 for key, n in often.items()}}}
    )
    cases = compile_cases(scenario).cases
    result = run(scenario)
    assert len(cases) == 2
    for case in cases:
        ettr = result.cases[case.name].estimate("ettr")
        assert expect(case.world).ettr == pytest.approx(ettr.mean, abs=1.5 * ettr.ci95)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"jobs__k": {**PLAIN["jobs"]["j"], "train_for": "1 h", "chips": 8}}, "2 jobs"),
        ({"jobs__j__arrival": "1 h"}, "comes later"),
        ({"sites__s__pools__q": {"chip": "H100-SXM", "chips": 64}}, "2 pools could hold the job"),
        ({"jobs__j__checkpoint__every": "never", "simulate__horizon": "1 d"}, "never saves"),
        ({"planned__m": {"every": "1 h", "lasts": "1 h"}, "simulate__horizon": "1 d"}, "no time"),
        ({"sites__s__pools__p__spares": COLD}, "spares take time until they can train"),
        ({"planned__m": {"at": ["9 h"], "lasts": "1 h"}}, "m: planned stops at times of their own"),
        (
            {"planned__m": {"every": "9 h", "first": "10 h", "lasts": "1 h"}},
            "m: the first planned stop comes late",
        ),
        (
            {
                "planned__m": {
                    "every": "9 h",
                    "rolling": "1 nodes",
                    "lasts": "1 h",
                    "restart": "1 min",
                }
            },
            "m: nodes are taken out in turn",
        ),
    ],
)
def test_where_no_closed_form_applies_one_line_says_why(changes, reason):
    scenario = plain(**changes, simulate__runs=2)
    assert reason in sentence(why_no_closed_form(compile_world(scenario)))
    (case,) = run(scenario).cases.values()
    assert sentence(case.facts["expected"]).startswith("no closed form: ")
    assert reason in sentence(case.facts["expected"])


def test_a_replayed_log_has_no_closed_form(tmp_path):
    (tmp_path / "log.csv").write_text("node,start_s,end_s\n1,100,200\n")
    text = json.dumps(PLAIN | {"faults": {"f": {"replay": "log.csv", "restart": "1 min"}}})
    (tmp_path / "plain.yaml").write_text(text)
    scenario = cp.load(tmp_path / "plain.yaml")
    assert sentence(why_no_closed_form(compile_world(scenario))).endswith(
        ": f: replayed from a log"
    )


@pytest.mark.parametrize("hours", range(1, 20))
def test_a_share_that_is_nothing_is_never_below_it(hours):
    """A run so short that its spares last: the share blocked was -2e-16, of which a root is taken.

    In the long run it is a fifth, so that it is not taken for nothing.
    """
    changes = {"jobs__j__train_for": f"{hours} h", "sites__s__pools__p__spares": "16 nodes"}
    expected = expect(compile_world(plain(**changes, faults__f__repair=HEAVY)))
    assert expected.blocked_frac >= 0
    assert expected.noise_frac > 0


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("computeplan.study.facts.expect", "the closed form"),
        ("computeplan.study.run.warnings_of", "the comparison with the closed form"),
        ("computeplan.study.cases.break_evens", "the break-even of chips"),
    ],
)
def test_what_stands_beside_a_result_never_loses_it(path, told, monkeypatch):
    def fails(*_):
        return math.sqrt(-1.0)

    monkeypatch.setattr(path, fails)
    result = run(plain(simulate__runs=2))
    (case,) = result.cases.values()
    assert case.n_runs == 2
    said = sentences([*result.notes, *case.facts.values()])
    assert [text for text in said if f"{told} could not be computed (ValueError" in text]


def test_a_job_that_gets_nowhere_is_not_promised_an_end():
    scenario = plain(faults__f__mtbf="1 h", simulate__horizon="1 d", simulate__runs=2)
    (case,) = run(scenario).cases.values()
    assert (
        sentence(case.facts["expected"]) == "no end by closed form; saving every 60 min of training"
    )


def test_a_rate_next_to_nothing_has_nothing_to_expect():
    scenario = plain(faults__f__mtbf="1e300 years", simulate__runs=2)
    assert expect(compile_world(scenario)) is None
    (case,) = run(scenario).cases.values()
    assert "expected" not in case.facts
