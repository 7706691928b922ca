"""The answer line: which case, by how much, and what is not told apart."""

import numpy as np
import pytest

from computeplan.notes import note
from computeplan.report.answer import answer, question_of
from computeplan.report.notes import all_notes, as_markdown, chief
from computeplan.report.words.english import SENTENCES
from computeplan.report.words.weights import _WEIGHTS
from computeplan.results.cases import CaseResult
from computeplan.study.result import Result

N_RUNS = 400
CHANCE = np.random.default_rng(11).normal(size=N_RUNS)
"""What all cases share."""
OWN = np.random.default_rng(12).normal(size=(9, N_RUNS))


def result_of(asks=None, jobs=("j",), **cases):
    """Return a result whose cases have the days given, and what is shared by chance."""
    found = {}
    for name, values in cases.items():
        if not isinstance(values, dict):
            values = {"time_to_train_days": np.asarray(values, float)}
        n = len(next(iter(values.values())))
        found[name.replace("_", " ")] = CaseResult(
            {"n_unfinished": np.zeros(n), "ettr": np.full(n, 0.9), **values},
            {"kept_frac": np.ones((n, len(jobs)))},
            jobs,
        )
    return Result("q", "", found, asks=asks)


def days(mean, noise=0.0, seed=0):
    return mean + 2 * CHANCE + noise * OWN[seed]


def test_the_best_case_its_difference_and_how_often_it_is_better():
    lines = answer(result_of(base=days(60), fast=days(55, 1.0)))
    assert lines[0].startswith("Fastest of 2 cases: fast, 55")
    difference = days(55, 1.0) - days(60)
    low, high = difference.mean() + np.array([-1.966, 1.966]) * difference.std() / N_RUNS**0.5
    assert f"{difference.mean():.2f} d (95 % interval {low:.2f} to {high:.2f})" in lines[1]
    assert f"{100 * difference.mean() / days(60).mean():.1f} %" in lines[1]
    assert f"better in {(difference < 0).sum()} of {difference.size} runs" in lines[1]
    assert lines[1].startswith("Against base, the first case:")
    assert len(lines) == 2


def test_what_cannot_be_told_apart_is_said_of_the_first_case_and_of_runners_up():
    lines = answer(result_of(base=days(60), same=days(59.9, 1.0, 1), slow=days(70)))
    assert lines[0].startswith("Fastest of 3 cases: same")
    assert lines[1].startswith("Against base, the first case: mean -0.10")
    lines = answer(result_of(base=days(60), same=days(59.95, 1.0, 1), slow=days(70)))
    assert lines[1].startswith(
        "Cannot be told apart from base, the first case: mean difference -0.05"
    )
    cases = {f"case_{i}": days(50, 1.0, i) for i in range(3)}
    lines = answer(result_of(base=days(60), **cases))
    assert sum(name in lines[-1] for name in ("case 0", "case 1", "case 2")) == 2
    assert lines[-1].startswith("Not told apart from the best: ")


def test_the_next_best_is_named_where_the_first_case_is_the_best():
    lines = answer(result_of(base=days(50), other=days(60), third=days(55)))
    assert lines[0].startswith("Fastest of 3 cases: base")
    assert lines[1].startswith("Against third, the next best: mean -5.00 d")


def test_a_single_case_tells_its_middle_and_range():
    (line,) = answer(result_of(only=days(56)))
    low, middle, high = np.percentile(days(56), (5, 50, 95))
    assert line == f"Time to train {middle:.1f} d ({low:.0f} to {high:.0f} in 90 % of the runs)."


def test_a_single_case_with_a_deadline_tells_its_probability_with_an_interval():
    found = {"time_to_train_days": days(56), "done_by_deadline_frac": (days(56) < 57) * 1.0}
    (line,) = answer(result_of(only=found))
    assert "Time to train 5" in line
    assert f"Done by the deadline {100 * (days(56) < 57).mean():.0f} % (95 % interval " in line


def test_cases_that_are_always_in_time_are_told_apart_by_their_time():
    always = np.ones(N_RUNS)
    found = {
        name: {"time_to_train_days": days(mean), "done_by_deadline_frac": done}
        for name, mean, done in (("a", 60, always), ("b", 50, always), ("c", 70, always * 0))
    }
    lines = answer(result_of(**found))
    assert lines[0].startswith("In time in all of 400 runs (95 % interval 99.1 to 100 %): a; b.")
    assert lines[1].startswith("Fastest of 3 cases: b")


def test_a_probability_differs_by_points():
    found = {
        name: {"done_by_deadline_frac": (days(mean) < 57) * 1.0}
        for name, mean in (("a", 58), ("b", 56))
    }
    lines = answer(result_of(**found))
    assert lines[0].startswith("Likeliest to be done in time of 2 cases: b, ")
    assert "points (95 % interval +" in lines[1]


@pytest.mark.parametrize(
    ("asks", "name", "best"),
    [
        ("energy", "energy_kwh", "Least energy of 2 cases: b"),
        ("cost", "cost_cny", "Lowest electricity bill of 2 cases: b"),
        ("carbon", "carbon_kg", "Least carbon of 2 cases: b"),
        ("availability", "available_frac", "Most available of 2 cases: a"),
    ],
)
def test_what_is_asked_decides(asks, name, best):
    found = {
        case: {"time_to_train_days": days(time), name: days(much) / 100}
        for case, time, much in (("a", 50, 90), ("b", 60, 80))
    }
    assert answer(result_of(asks, **found))[0].startswith(best)
    assert answer(result_of(**found))[0].startswith("Fastest of 2 cases: a")


def test_unfinished_work_is_compared_per_token():
    found = {
        case: {
            "energy_kwh": days(much),
            "kwh_per_gtok": days(100 - much),
            "n_unfinished": CHANCE**0,
        }
        for case, much in (("a", 50), ("b", 60))
    }
    assert answer(result_of("energy", **found))[0].startswith("Least energy of 2 cases: b")
    assert question_of(result_of("energy", **found)).quantity.name == "kwh_per_gtok"


def test_a_time_that_is_not_known_is_no_time():
    cut = np.full(N_RUNS, 54.0)
    never = {"time_to_train_days": cut * np.inf, "wall_days": cut, "ettr": cut / 100}
    whole = {"time_to_train_days": days(50), "wall_days": days(50)}
    lines = answer(result_of(base=never, other=whole))
    assert lines[0].startswith("Fastest of 2 cases: other, 5")
    assert lines[1] == "Against base, the first case: > 54 d."
    # As far as it went, the case that was cut was the faster one: times do not tell.
    pace = {"goodput_tok_per_s": 1e6 + CHANCE, "ettr": cut / 54.5}
    lines = answer(result_of(base={**never, **pace}, other=whole))
    assert lines[0].startswith("Fastest of 2 cases: base, 1.00 Mtok/s")


def test_the_makespan_is_asked_of_several_jobs_and_the_pace_where_no_time_is_known():
    several = result_of(jobs=("j", "k"), base={"makespan_days": days(9), "mean_jct_h": days(3)})
    assert question_of(several).quantity.name == "makespan_days"
    none = np.full(N_RUNS, np.inf)
    pace = {"time_to_train_days": none, "goodput_tok_per_s": days(50), "ettr": days(0.9)}
    assert question_of(result_of(base=pace)).quantity.name == "goodput_tok_per_s"
    assert answer(result_of(base={"n_unexpected": CHANCE, "ettr": none * np.nan})) == []


def test_cases_that_are_alike_are_not_ranked():
    (line,) = answer(result_of(a=days(50), b=days(50)))
    assert line.startswith("Time to train is 50")
    assert line.endswith("in each of 2 cases.")


def test_in_chinese_no_case_is_renamed():
    lines = answer(result_of(base=days(60), fast_one=days(55, 1.0)), "zh")
    assert lines[0].startswith("2 个方案中最快：fast one，55")
    assert "“base”" in lines[1]
    assert "天" in lines[1]


# Notes -------------------------------------------------------------------------------------------


def test_weights_are_of_notes_that_there_are():
    assert set(_WEIGHTS) - set(SENTENCES) == {"lacking_seldom"}  # of a line for several notes


def lacking(long_run, run=0.0):
    return {
        "spares": note(
            "lacking", long_run_frac=long_run, long_run_ettr=0.5, run_frac=run, run_s=1e6
        )
    }


def test_a_note_that_repeats_per_case_is_one_line():
    facts = {"24 spares": lacking(0.94), "32 spares": lacking(0.55), "64 spares": lacking(1e-6)}
    (line,) = chief([], facts, "en")
    assert "24 spares 94 %; 32 spares 55 %. Runs start" in line
    assert "64" not in line


def test_speeds_of_all_chips_are_one_line_and_estimates_are_named():
    notes = []
    for chip, largest, family in (("a/1", 128, "H100"), ("a/2", 128, "H100"), ("b/1", 96, "910B")):
        notes.append(
            note(
                "step_rests_on",
                chip=chip,
                precision="bf16",
                n_runs=3,
                family=family,
                largest=largest,
            )
        )
    notes.append(note("chip_is_estimate", chip="b/1"))
    notes.append(note("links_of_other_chip", chip="b/1", other="a/1"))
    (line,) = chief(notes, {}, "en")
    assert "128 (H100), 96 (910B)" in line
    assert line.endswith("Estimates in part: b/1.")


def test_notes_of_several_chips_are_one_line_and_none_is_repeated():
    notes = [note("chip_is_estimate", chip=chip) for chip in ("a/1", "a/2", "a/1")]
    (line,) = all_notes(notes, {}, "en")
    assert line.text == "a/1; a/2: its profile is an estimate"


def test_three_notes_are_shown_those_that_could_change_the_answer_first():
    notes = [
        note("watts_by_state", chip="a/1", estimates=("comm",)),
        note("tiers_alone", job="j"),
        note("no_price", site="s"),
        note("chips_unused", job="j", n_used=1, n_chips=2, chip="c", n_sequences=3),
        note("departs_from_closed_form", cases=(("a", "ettr", 0.5, 0.9),), sigmas=4.0),
    ]
    shown = chief(notes, {}, "en")
    assert len(shown) == 3
    assert shown[0].startswith("WARNING")
    assert "watts" not in " ".join(shown)
    assert any("watts" in text for text in chief(notes, {}, "en", "energy"))


def test_a_note_of_a_later_version_is_not_hidden():
    assert chief([note("written_later", n=1)], {}, "en") == ["written_later, n: 1"]


def test_the_page_of_notes_has_all_of_them_chip_by_chip_and_facts_last():
    facts = {"saves": note("saves_at_best", interval_s=330.0)} | lacking(0.5, 0.1)
    case = CaseResult({"ettr": np.ones(3)}, facts=facts)
    of_watts = note("watts_by_state", chip="a/1", estimates=("comm",))
    notes = (note("chip_is_estimate", chip="a/1"), of_watts, note("no_price", site="s"))
    page = as_markdown(Result("q", "What it shows.", {"a": case}, notes=notes))
    heads = [line for line in page.splitlines() if line.startswith("#")]
    assert heads == ["# q", "## What to know", "## a/1", "## Facts of the cases"]
    assert page.startswith("# q\n\nWhat it shows.\n")
    for text in ("watts by state", "its profile is an estimate", "saves every 5.5 min", "lacking"):
        assert page.count(text) == 1


def test_a_case_that_is_done_in_some_runs_only_is_not_compared_by_those():
    """A paired difference over the runs that are done would praise what hardly ever ends."""
    seldom = np.where(np.arange(400) < 100, days(59), np.inf)
    seldom = {"time_to_train_days": seldom, "wall_days": np.minimum(seldom, 90.0)}
    lines = answer(result_of(base=days(60), best=days(55), seldom=seldom))
    assert lines[-1] == "Not compared, as at most 100 of 400 runs are done: seldom."
    assert not any("told apart" in line for line in lines)
    lines = answer(result_of(seldom=seldom, best=days(55)))
    assert lines[1].startswith("Against seldom, the first case: > ")


def test_a_speed_that_nobody_has_shown_is_marked_wherever_its_case_is_named():
    above = note("mfu_above_published", chip="x", mfu=0.6, best=0.5, of="r", chips="c")
    result = result_of(base=days(60), fast=days(40, 1.0), same=days(60, 1.0, 2))
    result.cases["fast"].facts["mfu_above_published"] = above
    lines = answer(result)
    assert lines[0].startswith("Fastest of 3 cases: fast [MFU above any published], 40")
    result.cases["base"].facts["data_sheet_only"] = above
    result.cases["fast"].facts["data_sheet_only"] = above
    assert "fast [MFU above any published; data sheet only], 40" in answer(result)[0]
    assert answer(result)[1].startswith("Against base [data sheet only], the first case:")
    assert "fast【MFU 高于已发表的最高值、仅有规格书】" in answer(result, "zh")[0]
    table = " ".join(result.summary().text().split())
    assert "(MFU above any published; data sheet only)" in table
