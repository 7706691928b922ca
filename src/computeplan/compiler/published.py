"""What published runs say of a layout and a speed: what is new in kind, what nobody reached."""

from __future__ import annotations

from typing import Any

from computeplan.compiler.hardware import Band
from computeplan.compiler.stages import stages_of
from computeplan.notes import Note, Notes, note
from computeplan.physics.steptime.kept import known
from computeplan.physics.steptime.layout import OFFLOAD, RECOMPUTE, Layout
from computeplan.physics.steptime.practice import Practice
from computeplan.physics.steptime.search import Choices
from computeplan.physics.steptime.step import Training
from computeplan.physics.steptime.transformer import size_class
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.fitted_speed import is_measured
from computeplan.specs.catalogue.mfu import default_mfu
from computeplan.specs.catalogue.practice import best_mfu, practice_of, practice_table
from computeplan.specs.jobs import FullLayers, Parallelism

__all__ = [
    "above_published",
    "as_items",
    "layout_of",
    "marks_of",
    "new_in_kind",
    "outside_measured",
    "practice_on",
    "within_error",
]


def practice_on(chip: Chip) -> Practice:
    """Return what published runs of the class of a chip did, as the search takes it.

    Examples
    --------
    >>> from computeplan.specs.catalogue.lookup import load_chip
    >>> sorted(practice_on(load_chip("910B2")[0]).splits)
    ['cp', 'ep', 'pieces', 'pp', 'tp']
    """
    runs = practice_of(chip.kin).runs
    return Practice(
        splits=frozenset(runs.splits),
        zero=frozenset(runs.zero),
        recompute=frozenset(RECOMPUTE.index(name) for name in runs.recompute),
        error=practice_table().error,
    )


def new_in_kind(chip: Chip, layout: Layout) -> Notes:
    """Return in what a single layout is of a kind that no published run of such chips had."""
    new = tuple(name for name, is_new in practice_on(chip).new(layout).items() if is_new)
    if not new:
        return ()
    chips, runs = practice_of(chip.kin)
    return (
        note(
            "new_in_kind",
            chip=chip.name,
            chips=chips,
            n_runs=runs.runs,
            new=new,
            layout=as_items(layout),
        ),
    )


def as_items(layout: Layout) -> tuple[tuple[str, Any], ...]:
    """Return a single layout as the value of a note."""
    return tuple(layout.numbers().items())


def layout_of(given: Parallelism, layers: int) -> Layout:
    """Return a layout of a model with so many layers as the physics takes it."""
    other = {"virtual_stages", "recompute", "schedule", "offload"}
    other |= {"first_stage_layers", "last_stage_layers", "stages"}
    same = given.model_dump(exclude=other)
    again: dict[str, Any] = {}
    if isinstance(given.recompute, FullLayers):
        word, again["full_layers"] = "full", given.recompute.full
    elif isinstance(given.recompute, tuple):
        word, again["modules"] = "selective", known(given.recompute)
    else:
        word = given.recompute
    return Layout.of(
        pieces=given.virtual_stages,
        recompute=RECOMPUTE.index(word),
        offload=OFFLOAD.index(given.offload),
        stages=stages_of(given, layers),
        **again,
        **same,
    )


def marks_of(said: Note) -> tuple[str, ...]:
    """Return what a note puts beside the name of a case: a speed that nobody has shown.

    An MFU that nobody published, or a chip of which there is no measurement, only a data sheet.
    """
    if said.code == "mfu_above_published":
        return (said.code,)
    if said.code == "numbers_of_other_family" and not is_measured(str(said.values["chip"])):
        return ("data_sheet_only",)
    return ()


def within_error(chip: Chip, choices: Choices) -> Notes:
    """Return how many layouts the model cannot tell from the fastest, if there are several."""
    if choices.n_within < 2:
        return ()
    slower = float(choices.time.step_s.flat[0]) / choices.fastest_s - 1.0
    return (
        note(
            "within_error",
            chip=chip.name,
            chips=practice_of(chip.kin).chips,
            n=choices.n_within,
            error=practice_table().error,
            slower=slower,
        ),
    )


def above_published(chip: Chip, precision: str, mfu: float) -> Notes:
    """Return that an MFU is above the best one published for chips of a class, if it is."""
    chips, best = best_mfu(chip.kin, precision)
    if not mfu > best.mfu:
        return ()
    return (
        note(
            "mfu_above_published",
            chip=chip.name,
            mfu=mfu,
            best=best.mfu,
            of=best.of,
            chips=chips,
        ),
    )


def outside_measured(
    chip: Chip, training: Training, precision: str, framework: str, mfu: float, band: Band
) -> Notes:
    """Return that the MFU measured on a chip with such a model is outside the band, if it is.

    With what of that run is not as here: its layout, its software.
    """
    found = default_mfu(chip.name, size_class(training.shape), precision)
    if found is None or mfu / band.high <= found.mfu <= mfu / band.low:
        return ()
    layers = training.shape.layers
    measured = None if found.layout is None else layout_of(found.layout, layers)
    return (
        note(
            "mfu_outside_band",
            chip=chip.name,
            mfu=found.mfu,
            like=found.like,
            software=found.software,
            layout=None if measured is None else as_items(measured),
            low=mfu / band.high,
            high=mfu / band.low,
            framework=framework,
        ),
    )
