"""How fast a job trains on a pool: as given, as measured elsewhere, or as priced.

A job that gives `mfu` or `achieved` trains at that. One that gives `parallelism` is priced: the
layout it names, or with `auto` the fastest that fits. One that gives neither takes the utilisation
somebody measured on such a chip with such a model.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, NamedTuple

from computeplan.compiler.hardware import Band, band_of, device_of, fabric_of, software_of
from computeplan.errors import InfeasibleError, ScenarioError
from computeplan.physics.steptime.collectives import Fabric
from computeplan.physics.steptime.layout import RECOMPUTE, Layout, Software
from computeplan.physics.steptime.memory import memory_of
from computeplan.physics.steptime.operators import Device
from computeplan.physics.steptime.search import Choices, best_layouts, check_fits, in_words
from computeplan.physics.steptime.step import Training, step_time
from computeplan.physics.steptime.transformer import shape_of, size_class
from computeplan.specs.catalogue.chips import Chip, Figure
from computeplan.specs.catalogue.fitted_speed import family_of, speed_tables
from computeplan.specs.catalogue.mfu import default_mfu
from computeplan.specs.jobs import Job as JobSpec
from computeplan.specs.jobs import Parallelism
from computeplan.specs.scenario import Scenario
from computeplan.specs.sites import Network
from computeplan.world.pools import Pool

__all__ = [
    "Priced",
    "Speed",
    "chips_wanted",
    "layout_of",
    "layout_problem",
    "note_estimate",
    "price",
    "speed_on",
]

GIVEN = "given in the scenario"
PRICED = "priced by its layout"
LONG_SEQUENCE = 65_536
"""Beyond it, context parallelism is known to be said too fast. [token]"""


class Speed(NamedTuple):
    """How fast a job trains on a pool.

    Parameters
    ----------
    n_chips : int
        Chips it uses.
    flop_per_s : float
        Model FLOP/s of one of them; nan if unknown. [FLOP/s]
    mfu : float
        nan if unknown.
    kind : str
        Where it comes from, to tell which speeds may be compared.
    priced : str
        Seconds of a step and the layout, in words; empty if not priced.
    """

    n_chips: int
    flop_per_s: float
    mfu: float
    kind: str
    priced: str = ""


class Priced(NamedTuple):
    """What a step takes on a chip.

    Parameters
    ----------
    choices : Choices
        The layout given, or the fastest ones.
    device : Device
    n_chips : int
        Chips that the first layout uses.
    band : Band
    family, framework : str
        Whose fitted numbers and whose switches were taken.
    notes : tuple of str
    """

    choices: Choices
    device: Device
    n_chips: int
    band: Band
    family: str
    framework: str
    notes: tuple[str, ...]


def chips_wanted(job: JobSpec, chip: Chip) -> int:
    """Return how many chips a job asks for, by number or by its layout."""
    if job.chips is not None:
        return job.chips
    assert job.layout is not None  # validated
    return -(-job.layout.n_ranks // chip.ranks_per_chip)


def speed_on(
    scenario: Scenario, pool: Pool, name: str, job: JobSpec, batch: float, notes: list[str]
) -> Speed:
    """Return how fast a job trains on a pool.

    Parameters
    ----------
    scenario : Scenario
    pool : Pool
    name : str
        Of the job.
    job : Job
    batch : float
        Tokens of a step, in whole sequences.
    notes : list of str
        Gets what a reader of the numbers must know.

    Raises
    ------
    ScenarioError
        If the speed is not known and not given, or the layout contradicts itself.
    InfeasibleError
        If the layout does not fit the memory of the chip, or none does.
    """
    chip = scenario.chip_of(pool.name)
    if job.is_priced:
        return _priced(scenario, pool, name, job, batch, notes)
    document, at = scenario.document, ("jobs", name)
    n_chips = chips_wanted(job, chip)
    try:
        peak = chip.peak_flop_per_s(job.precision)
    except ValueError as error:
        if job.achieved is not None:
            return Speed(n_chips, job.achieved, math.nan, GIVEN)
        if job.train_for is not None and job.model is None:
            return Speed(n_chips, math.nan, math.nan, "")
        raise ScenarioError([document.problem((*at, "precision"), str(error))]) from None
    if job.achieved is not None:
        if job.achieved > peak:
            message = (
                f"is more than the dense {job.precision} peak of {chip.name}, {peak:.4g} FLOP/s"
            )
            raise ScenarioError([document.problem((*at, "achieved"), message)])
        return Speed(n_chips, job.achieved, job.achieved / peak, GIVEN)
    mfu = job.mfu.get(pool.name) if isinstance(job.mfu, dict) else job.mfu
    if mfu is not None:
        note_estimate(chip, f"{job.precision} peak", chip.peak_dense[job.precision], notes)
        return Speed(n_chips, peak * mfu, mfu, GIVEN)
    if job.model is None:
        if job.train_for is not None:
            return Speed(n_chips, math.nan, math.nan, "")
        message = "mfu or achieved is missing: work without a model has no default speed"
        raise ScenarioError([document.problem(at, message)])
    model_class = size_class(shape_of(scenario.catalogue.models[job.model].architecture()))
    found = default_mfu(chip.name, model_class, job.precision)
    if found is None:
        message = (
            f"no sourced MFU for {model_class} on {chip.name} in {job.precision}:"
            f" give parallelism: auto, or mfu: 0.4, or one by pool: mfu: {{{pool.name}: 0.4}}"
        )
        raise ScenarioError([document.problem((*at, "model"), message)])
    from computeplan.report.words import sentence

    notes.append(sentence(found.note))
    note_estimate(chip, f"{job.precision} peak", chip.peak_dense[job.precision], notes)
    return Speed(n_chips, peak * found.mfu, found.mfu, found.like)


def layout_of(given: Parallelism) -> Layout:
    """Return a layout as the physics takes it."""
    return Layout.of(
        tp=given.tp,
        pp=given.pp,
        dp=given.dp,
        cp=given.cp,
        ep=given.ep,
        micro_batch=given.micro_batch,
        pieces=given.virtual_stages,
        recompute=RECOMPUTE.index(given.recompute),
        sequence_parallel=given.sequence_parallel,
        zero=given.zero,
        shard=given.shard,
    )


def layout_problem(training: Training, given: Parallelism) -> str:
    """Return what makes a layout impossible for a model and batch, empty if nothing does.

    Examples
    --------
    >>> from computeplan.physics.steptime.transformer import Shape
    >>> shape = Shape(layers=4, hidden=64, ffn=256, heads=4, kv_heads=4, head_dim=16, vocab=100)
    >>> layout_problem(Training(shape, 1024, 8), Parallelism(dp=3))
    'dp x micro_batch is 3, which does not divide the 8 sequences of a batch; 6 or 9 would do'
    """
    shape, at_once = training.shape, given.dp * given.micro_batch
    if training.batch % at_once:
        fewer = training.batch // at_once * at_once
        near = " or ".join(str(n) for n in (fewer, fewer + at_once) if n)
        return (
            f"dp x micro_batch is {at_once}, which does not divide the {training.batch} sequences"
            f" of a batch; {near} would do"
        )
    if shape.heads % given.tp:
        return f"tp {given.tp} does not divide the {shape.heads} heads"
    if given.pp > shape.layers or given.virtual_stages > -(-shape.layers // given.pp):
        return f"pp x virtual_stages is more than the {shape.layers} layers"
    if training.seq % given.cp:
        return f"cp {given.cp} does not divide the {training.seq} tokens of a sequence"
    if given.virtual_stages > 1 and (training.batch // at_once) % given.pp:
        return (
            f"virtual_stages ask for micro-batches in whole rounds of {given.pp} stages,"
            f" and there are {training.batch // at_once}"
        )
    if given.virtual_stages > 1 and (given.pp == 1 or given.schedule != "1f1b"):
        return f"virtual_stages {given.virtual_stages} asks for several stages and schedule: 1f1b"
    if given.shard is not None and (given.zero < 3 or (given.dp * given.cp) % given.shard):
        return (
            f"shard {given.shard} asks for zero: 3 and must divide the {given.dp * given.cp} ranks"
            " of dp x cp"
        )
    if given.ep == 1:
        return ""
    if shape.moe is None:
        return f"ep {given.ep} asks for experts, and the model has none"
    holders = given.tp * given.cp * given.dp
    if shape.moe.experts % given.ep or holders % given.ep:
        return (
            f"ep {given.ep} must divide the {shape.moe.experts} experts and the"
            f" {holders} ranks of tp x cp x dp"
        )
    return ""


def note_estimate(chip: Chip, what: str, figure: Figure[float] | None, notes: list[str]) -> None:
    """Say so where a figure that a number rests on was recalled, not read."""
    if figure is not None and figure.is_estimate and not chip.is_estimate:
        notes.append(f"{chip.name}: its {what} is an estimate ({figure.confidence})")


def price(
    chip: Chip,
    training: Training,
    precision: str,
    parallelism: Parallelism | Literal["auto"],
    n_chips: int,
    framework: str | None = None,
    network: Network = Network(),  # noqa: B008 - frozen
) -> Priced:
    """Return the layout of a job on a chip, or the ten best, with time and memory.

    Parameters
    ----------
    chip : Chip
    training : Training
    precision : str
        Of the linear layers.
    parallelism : Parallelism or "auto"
    n_chips : int
        Chips there are.
    framework : str, optional
        Whose switches to take.
    network : Network
        Between servers.

    Raises
    ------
    ValueError
        If the chip does not publish what is needed, or the layout contradicts itself.
    InfeasibleError
        If the layout does not fit the memory of the chip, or none does.
    """
    schedule = "1f1b" if parallelism == "auto" else parallelism.schedule
    software, kernel, taken = software_of(framework, precision, schedule)
    if framework is not None and taken == "default" != framework:
        known = ", ".join(speed_tables().frameworks)
        raise ValueError(f"no framework {framework!r}; known: {known}")
    device, family, _, of_chip = device_of(chip, precision, kernel)
    fabric, of_links = fabric_of(chip, network.per_chip, network.oversubscription, n_chips)
    n_ranks = n_chips * chip.ranks_per_chip
    if parallelism == "auto":
        choices = _search(training, device, fabric, n_ranks, software)
    else:
        problem = layout_problem(training, parallelism)
        if not problem and parallelism.n_ranks > n_ranks:
            problem = (
                f"tp x pp x dp x cp is {parallelism.n_ranks} ranks, and {n_chips} x {chip.name} are"
                f" {n_ranks}"
            )
        if problem:
            raise ValueError(problem)
        layout = layout_of(parallelism).flat()
        check_fits(training, device, layout.at(0), software)
        time = step_time(training, device, fabric, layout, software)
        choices = Choices(layout, time, memory_of(training, layout, software), 1, 1)
    used = -(-int(choices.layout.n_ranks.flat[0]) // chip.ranks_per_chip)
    experts = training.shape.moe is not None
    band = band_of(chip, precision, used, experts=experts)
    notes = [*of_chip, *of_links]
    if experts:
        notes.append("models with experts: no run is fitted, six were compared (0.6 to 1.5 times)")
    if choices.layout.cp.flat[0] > 1 and training.seq > LONG_SEQUENCE:
        notes.append(
            "long sequences over several context parallel ranks: public runs of torchtitan took up"
            " to 1.9 times what is said"
        )
    return Priced(choices, device, used, band, family, taken, tuple(notes))


def _priced(
    scenario: Scenario, pool: Pool, name: str, job: JobSpec, batch: float, notes: list[str]
) -> Speed:
    chip, at = scenario.chip_of(pool.name), ("jobs", name, "parallelism")
    assert job.model is not None  # validated
    assert job.seq is not None
    assert job.parallelism is not None
    shape = shape_of(scenario.catalogue.models[job.model].architecture())
    training = Training(shape, job.seq, round(batch / job.seq))
    n_wanted = chips_wanted(job, chip)
    network = scenario.pool(pool.name).network
    try:
        found = price(
            chip, training, job.precision, job.parallelism, n_wanted, job.framework, network
        )
    except InfeasibleError as error:
        message = f"jobs.{name} on {chip.name}: {error}"
        raise InfeasibleError(message) from None
    except ValueError as error:
        raise ScenarioError([scenario.document.problem(at, str(error))]) from None
    if found.n_chips < n_wanted:
        notes.append(
            f"{name} uses {found.n_chips:,} of {n_wanted:,} chips of {chip.name}:"
            f" {training.batch} sequences and the layers divide no better; another batch may"
        )
    numbers = family_of(chip.kin, job.precision)[1]
    note_estimate(chip, f"{job.precision} peak", chip.peak_dense[job.precision], notes)
    notes += found.notes
    notes.append(
        f"{chip.name} {job.precision}: step times rest on {numbers.rows} published runs"
        f" ({found.family}) of at most {numbers.largest_chips:,} chips"
    )
    step_s, band = float(found.choices.time.step_s.flat[0]), found.band
    beyond = f", extrapolated x {band.extrapolated:.3g}" if band.extrapolated > 1 else ""
    words = (
        f"{step_s:.4g} s (90 % band {step_s * band.low:.3g} to {step_s * band.high:.3g}{beyond}) on"
        f" {found.n_chips:,} x {chip.name}: {in_words(found.choices.layout.flat().at(0))}"
    )
    flop_per_s = training.flop / (step_s * found.n_chips)
    mfu = flop_per_s / chip.peak_flop_per_s(job.precision)
    return Speed(found.n_chips, flop_per_s, mfu, PRICED, words)


@lru_cache(maxsize=1024)
def _search(
    training: Training, device: Device, fabric: Fabric, n_ranks: int, software: Software
) -> Choices:
    """Cases of a scenario, and jobs alike, ask the same again and again."""
    return best_layouts(training, device, fabric, n_ranks, software)
