"""One question about one step: how fast a model trains on some chips, and whether it fits.

What ``computeplan step`` and notebooks ask, without a scenario: no faults, no energy, no schedule.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import Literal

from computeplan.compiler.hardware import Band
from computeplan.compiler.published import marks_of
from computeplan.compiler.speed import beyond_context, price
from computeplan.errors import Problem, ScenarioError
from computeplan.notes import Notes
from computeplan.physics.steptime.layout import Layout
from computeplan.physics.steptime.memory import RankMemory
from computeplan.physics.steptime.search import in_words
from computeplan.physics.steptime.step import StepTime, Training
from computeplan.physics.steptime.transformer import shape_of
from computeplan.specs.catalogue.fitted_speed import ExpertNumbers, Family
from computeplan.specs.catalogue.lookup import find_chip, find_model
from computeplan.specs.fields import MAX_COUNT
from computeplan.specs.jobs import Parallelism
from computeplan.specs.sites import Network
from computeplan.specs.software import Switches

__all__ = ["StepPrice", "default_batch", "price_step"]

TOKENS_PER_CHIP, LEAST_TOKENS = 1024, 2**20
PRECISIONS = ("bf16", "fp16", "fp8")
"""Precisions whose matrix products were measured."""


@dataclass(frozen=True, slots=True, repr=False)
class StepPrice:
    """What a step takes; arrays are of the layouts found, best first."""

    model: str
    chip: str
    precision: str
    framework: str
    """Full names; the entry of the software table that was used."""
    chips: int
    chips_used: int
    """Chips there are, and those that the first layout uses."""
    seq: int
    batch: int
    """Tokens of a sequence, sequences of a step."""
    layout: Layout
    time: StepTime
    memory: RankMemory
    """Of the layouts found."""
    memory_bytes: float
    """What a rank has. [B]"""
    flop: float
    """Model FLOP of a step."""
    peak_flop_per_s: float
    """Dense peak of one rank. [FLOP/s]"""
    band: Band
    family: str
    numbers: Family | ExpertNumbers
    """Band around the time; the published runs it rests on: their name, and how many."""
    n_priced: int
    n_fitting: int
    """Layouts looked at and those that fit; 1 and 1 where the layout was given."""
    n_within: int
    """Those whose times are within the error of the fastest one's."""
    notes: Notes

    @property
    def step_s(self) -> float:
        """Seconds of a step with the first layout. [s]"""
        return float(self.time.step_s[0])

    @property
    def marks(self) -> tuple[str, ...]:
        """What stands beside its name; see `compiler.published.marks_of`."""
        return tuple(mark for note in self.notes for mark in marks_of(note))

    @property
    def tok_per_s(self) -> float:
        """Tokens per second of all chips. [tok/s]"""
        return self.seq * self.batch / self.step_s

    @property
    def mfu(self) -> float:
        """Model FLOP over what the ranks in use could do at the dense peak."""
        return self.flop / (self.step_s * float(self.layout.n_ranks[0]) * self.peak_flop_per_s)

    def words(self, place: int = 0) -> str:
        """Return a layout as a person would write it."""
        return in_words(self.layout.at(place))

    def __repr__(self) -> str:
        """Return one line."""
        low, high = self.step_s * self.band.low, self.step_s * self.band.high
        return (
            f"<StepPrice {self.model} on {self.chips:,} {self.chip}: {self.step_s:.4g} s"
            f" ({low:.3g} to {high:.3g}), {self.tok_per_s:,.0f} tokens/s, MFU {self.mfu:.3f},"
            f" {self.words()}>"
        )

    def _repr_html_(self) -> str:
        views = importlib.import_module("computeplan.report.steps")  # a floor above, to show
        return str(views.step_table([self])._repr_html_())


def default_batch(chips: int, seq: int) -> int:
    """Return the sequences of a batch that is not given: 1,024 tokens a chip, at least 2**20.

    Rounded to a power of two, which layouts divide well.

    Examples
    --------
    >>> default_batch(16384, 8192)
    2048
    """
    tokens = max(TOKENS_PER_CHIP * chips, LEAST_TOKENS)
    return int(2 ** max(0, round(math.log2(tokens / seq))))


def price_step(
    model: str,
    chip: str,
    chips: int,
    *,
    seq: int = 8192,
    batch: int | None = None,
    precision: str = "bf16",
    parallelism: Parallelism | Literal["auto"] = "auto",
    framework: Switches | str | None = None,
    mtp: int = 0,
    out_bytes_per_s: float | None = None,
    oversubscription: float = 1.0,
) -> StepPrice:
    """Return what a step of training takes.

    Long because it takes all that a step depends on.

    Parameters
    ----------
    model, chip : str
        Any name in the catalogue, or a YAML file; a model may be a Hugging Face config.json too.
    chips : int
        Chips there are; a layout by numbers may use fewer.
    seq : int
        Tokens of a sequence. [token]
    batch : int, optional
        Sequences of a step; see `default_batch`.
    precision : str
        Of the linear layers.
    parallelism : Parallelism or "auto"
        A layout, or the best that fits; see `search.best_layouts`.
    framework : Switches or str, optional
        Whose switches to take, and its switches where they are not the usual ones.
    mtp : int
        Extra prediction layers that are trained too.
    out_bytes_per_s : float, optional
        Out of the scale-up domain, per chip, instead of the data sheet's. [B/s]
    oversubscription : float
        Rate of all NICs over that of the network's core.

    Raises
    ------
    ScenarioError
        If a name is unknown, a figure is not published, or the layout contradicts itself.
    InfeasibleError
        If the layout does not fit the memory, or none does.

    Examples
    --------
    >>> price = price_step("llama-3.1-8b", "H100-SXM", 8, batch=128)
    >>> price.words(), f"{price.step_s:.1f}"
    ('dp 8, micro-batch 1, zero 3', '12.4')
    """
    _check_arguments(chips, seq, batch, precision, parallelism)
    fabric = _network(out_bytes_per_s, oversubscription)
    try:
        network, of_model = find_model(model)
        part, of_name = find_chip(chip)
        sequences = default_batch(chips, seq) if batch is None else batch
        training = Training(shape_of(network.architecture()), seq, sequences, mtp)
        software = framework if isinstance(framework, Switches) else Switches(name=framework)
        found = price(part, training, precision, parallelism, chips, software, fabric)
    except ScenarioError:
        raise
    except ValueError as error:
        raise ScenarioError.of(str(error)) from None

    choices, of_seq = found.choices, beyond_context(network.name, network, seq)
    return StepPrice(
        model=network.name,
        chip=part.name,
        precision=precision,
        framework=found.framework,
        chips=chips,
        chips_used=found.n_chips,
        seq=seq,
        batch=training.batch,
        layout=choices.layout.flat(),
        time=choices.time,
        memory=choices.memory,
        memory_bytes=found.device.memory_bytes,
        flop=training.flop,
        peak_flop_per_s=found.device.flop_per_s,
        band=found.band,
        family=found.family,
        numbers=found.rows,
        n_priced=choices.n_priced,
        n_fitting=choices.n_fitting,
        n_within=choices.n_within,
        notes=tuple(dict.fromkeys((*of_model, *of_name, *of_seq, *found.notes))),
    )


def _check_arguments(
    chips: object, seq: object, batch: object, precision: object, parallelism: object
) -> None:
    """Refuse what is no question, with everything that is wrong with it."""
    counts = {"chips": chips, "seq": seq} | ({} if batch is None else {"batch": batch})
    wrong = [
        f"{name} must be a whole number from 1 to {MAX_COUNT:,}, got {value!r}"
        for name, value in counts.items()
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_COUNT
    ]
    if precision not in PRECISIONS:
        wrong.append(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if parallelism != "auto" and not isinstance(parallelism, Parallelism):
        wrong.append(f"parallelism must be 'auto' or a Parallelism, got {parallelism!r}")
    if wrong:
        raise ScenarioError(Problem(message) for message in wrong)


def _network(out_bytes_per_s: float | None, oversubscription: float) -> Network:
    """Return the links between servers; numbers in SI, as the physics takes them."""
    if out_bytes_per_s is not None and not 0 < out_bytes_per_s < math.inf:
        raise ScenarioError.of(f"network must be > 0 and finite, got {out_bytes_per_s}")
    if not 1 <= oversubscription <= 1000:
        raise ScenarioError.of(f"oversubscription must be 1 to 1000, got {oversubscription}")
    return Network(oversubscription=oversubscription).model_copy(
        update={"per_chip": out_bytes_per_s}
    )
