"""The table of what published runs were like is what they say, and measured MFUs are met."""

import dataclasses
from functools import cache
from pathlib import Path

import pytest

import computeplan as cp
from computeplan.analytic.step_price import price_step
from computeplan.compiler.compile import compile_world
from computeplan.compiler.published import layout_of
from computeplan.physics.steptime.layout import Layout
from computeplan.physics.steptime.search import in_parts
from computeplan.specs.catalogue.fitted_speed import lineage
from computeplan.specs.catalogue.lookup import chip_names, find_model
from computeplan.specs.catalogue.mfu import mfu_table
from computeplan.specs.catalogue.practice import best_mfu, practice_of, practice_table
from computeplan.study.facts import facts_of
from computeplan.validation.practice import layout_error, practice_yaml, runs


@cache
def predictions():
    return runs()


def test_the_table_is_what_the_published_runs_say():
    """The error is of the fitted numbers; the last digit may differ between machines."""
    shipped = (Path(cp.__file__).parent / "data" / "practice.yaml").read_text("utf-8")
    made = practice_yaml(predictions())

    def rest(text):
        return [line for line in text.splitlines() if not line.startswith("error:")]

    assert rest(made) == rest(shipped)
    assert layout_error(predictions()).error == pytest.approx(practice_table().error, rel=0.05)


def test_the_error_between_two_layouts_is_how_far_their_errors_are_apart():
    """Two layouts of each of two models: the differences are e ** 0.1 and e ** 0.3."""
    rows = [p for p in predictions() if p.case.id in ("vtrain-3.6B-0", "vtrain-3.6B-5")]
    rows += [p for p in predictions() if p.case.id in ("korth22-175B-full", "korth22-175B-seqsel")]
    factors = dict(
        zip([row.case.id for row in rows], (1.0, 1.1051709, 1.0, 1.3498588), strict=True)
    )
    changed = [
        dataclasses.replace(row, predicted_s=row.case.measured_s * factors[row.case.id])
        for row in rows
    ]
    found = layout_error(changed)
    assert found.error == pytest.approx(((0.1**2 + 0.3**2) / 2) ** 0.5, rel=1e-6)
    assert (found.layouts, found.groups) == (4, 2)
    with pytest.raises(ValueError, match="no model has two layouts"):
        layout_error(changed[:1])


def test_no_published_run_of_an_ascend_shares_out_its_weights():
    for chip in ("huawei/ascend-910c", "hygon/k100-ai", "metax/c500"):
        chips, found = practice_of(chip)
        assert chips == "Chinese accelerators"
        assert 3 not in found.zero
    assert 3 in practice_of("nvidia/h200").runs.zero


def test_every_chip_has_a_best_published_mfu():
    for chip in chip_names():
        for precision in ("bf16", "fp8"):
            chips, best = best_mfu(chip, precision)
            assert 0.3 < best.mfu < 0.7
            assert chips in {practice_of(name).chips for name in lineage(chip)}


@pytest.mark.parametrize(("mfu", "is_above"), [(0.53, False), (0.54, True)])
def test_an_mfu_above_the_best_published_is_a_fact_of_its_case(mfu, is_above):
    scenario = cp.load("910b-fault-rate").with_({"jobs.train-70b.mfu": mfu})
    world = compile_world(scenario.with_({"jobs.train-70b.parallelism": None}))
    facts = facts_of(world)
    assert ("mfu_above_published" in facts) == is_above
    if is_above:
        said = facts["mfu_above_published"].values
        chips, best = best_mfu(said["chip"], "bf16")
        assert (said["mfu"], said["best"], said["chips"]) == (mfu, best.mfu, chips)


# Measured MFUs -----------------------------------------------------------------------------------

ENTRIES = mfu_table().entries


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.chip}-{e.model}")
def test_the_measured_mfu_lies_in_the_band_of_auto_or_a_note_says_why(entry):
    price = price_step(
        entry.model, entry.chip, entry.chips, seq=entry.seq, precision=entry.precision
    )
    low, high = price.mfu / price.band.high, price.mfu / price.band.low
    said = [note for note in price.notes if note.code == "mfu_outside_band"]
    assert bool(said) == (not low <= entry.mfu <= high)
    if said:
        values = said[0].values
        assert values["mfu"] == entry.mfu
        assert values["software"] == entry.software
        layout = None if entry.layout is None else published_layout(entry)
        assert (values["layout"] and Layout.of(**dict(values["layout"]))) == layout


def published_layout(entry):
    return layout_of(entry.layout, find_model(entry.model)[0].layers)


@pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if e.layout], ids=lambda e: f"{e.chip}-{e.model}"
)
def test_the_layout_of_a_measured_mfu_is_that_of_its_published_run(entry):
    rows = [
        p
        for p in predictions()
        if p.chip == entry.chip
        and p.case.question.n_chips == entry.chips
        and p.mfu_flop_s / p.case.measured_s == pytest.approx(entry.mfu, rel=0.02)
        and in_parts(p.case.question.layout) == in_parts(published_layout(entry))
    ]
    assert rows
