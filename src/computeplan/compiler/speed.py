"""How fast a job trains on a pool: as given, as measured elsewhere, or as priced.

A job that gives `mfu`, `achieved` or `step` trains at that. Else one that gives `parallelism` is
priced: the layout it names, or with `auto` the best that fits. One that gives neither has the
utilisation measured on such a chip with such a model. Where a job gives both, its layout must fit,
and what it would be priced at stands beside the speed that it has.

Long because what gives a speed and what prices a layout ask each other.

A speed has a band if one is stated, or follows from what prices it: that of the step time, over its
nominal value.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import Literal, NamedTuple

from computeplan.compiler.hardware import (
    Band,
    band_of,
    device_of,
    fabric_of,
    peak_of,
    software_factor,
)
from computeplan.compiler.job_on_pool import JobOnPool
from computeplan.compiler.published import (
    above_published,
    as_items,
    layout_of,
    new_in_kind,
    outside_measured,
    practice_on,
    within_error,
)
from computeplan.compiler.software import software_of
from computeplan.compiler.stages import stages_of
from computeplan.errors import InfeasibleError
from computeplan.notes import Note, Notes, note
from computeplan.physics.steptime.collectives import Fabric
from computeplan.physics.steptime.layout import OFFLOAD, Software
from computeplan.physics.steptime.memory import memory_of
from computeplan.physics.steptime.operators import Device
from computeplan.physics.steptime.practice import Practice
from computeplan.physics.steptime.search import Choices, best_layouts, check_fits
from computeplan.physics.steptime.step import Training, step_time
from computeplan.physics.steptime.transformer import Shape, size_class
from computeplan.specs.catalogue.chips import Chip, Precision
from computeplan.specs.catalogue.fitted_speed import (
    ExpertNumbers,
    Family,
    experts_of,
    family_of,
    launch_of,
)
from computeplan.specs.catalogue.mfu import default_mfu
from computeplan.specs.catalogue.models import Transformer
from computeplan.specs.catalogue.software import software_table, stack_of, switches_of
from computeplan.specs.jobs import Parallelism
from computeplan.specs.sites import Network
from computeplan.specs.software import Switches
from computeplan.specs.uncertain import Factor

__all__ = [
    "Priced",
    "Speed",
    "beyond_context",
    "binary_batch",
    "layout_problem",
    "of_decimal_batch",
    "price",
    "speed_on",
]

GIVEN = "given"
PRICED = "priced"
LONG_SEQUENCE = 65_536
"""Beyond it, context parallelism is known to be said too fast. [token]"""


class Speed(NamedTuple):
    """How fast a job trains on a pool."""

    n_chips: int
    """Chips it uses."""
    flop_per_s: float
    """Model FLOP/s of one of them; nan if unknown. [FLOP/s]"""
    mfu: float
    """nan if unknown."""
    kind: str
    """Where it comes from, to tell which speeds may be compared; empty if unknown."""
    priced: Note | None = None
    """Seconds of a step and the layout; None if not priced."""
    factor: Factor = Factor()
    """How many times its nominal value the time of a step may be."""
    exposed_frac: float = math.nan
    """Share of a step in which chips wait; nan if its layout is not priced."""


class Priced(NamedTuple):
    """What a step takes on a chip."""

    choices: Choices
    """The layout given, or the fastest ones."""
    device: Device
    """One rank of the chip."""
    n_chips: int
    """Chips that the first layout uses."""
    band: Band
    """Around the time of the first layout."""
    family: str
    rows: Family | ExpertNumbers
    """The published runs behind it: their name, how many, how large."""
    framework: str
    """Whose switches were used."""
    notes: Notes

    @property
    def exposed_frac(self) -> float:
        """Share of a step of the first layout in which chips wait."""
        return float(self.choices.time.exposed_frac.flat[0])


def speed_on(at: JobOnPool, batch: float) -> tuple[Speed, Notes]:
    """Return how fast a job trains on a pool, with a batch in whole sequences. [token]

    Raises
    ------
    ScenarioError
        If the speed is not known and not given, or the layout contradicts itself.
    InfeasibleError
        If the layout does not fit the memory of the chip, or none does.
    """
    job, chip = at.job, at.chip
    if job.is_priced:
        return _priced(at, batch)
    unknown = Speed(at.n_chips, math.nan, math.nan, "")
    try:
        peak = peak_of(chip, job.precision)
    except ValueError as error:
        if job.achieved is None and job.step is None:
            if job.train_for is not None and job.model is None:
                return unknown, ()
            raise at.error(str(error), "precision") from None
        peak = math.nan
    if (given := _given(at, batch, peak)) is not None:
        above = above_published(chip, job.precision, given.mfu)
        exposed_frac, of_layout = _check(at, batch, given)
        notes = (*_peak_notes(chip, job.precision), *above, *of_layout)
        return given._replace(exposed_frac=exposed_frac), notes
    if at.model is None:
        if job.train_for is not None:
            return unknown, ()
        raise at.error("mfu or achieved is missing: work without a model has no default speed")
    model_class = size_class(at.shape)
    found = default_mfu(chip.name, model_class, job.precision)
    if found is None:
        message = (
            f"no sourced MFU for {model_class} on {chip.name} in {job.precision}:"
            f" give parallelism: auto, or mfu: 0.4, or one by pool: mfu: {{{at.pool.name}: 0.4}}"
        )
        raise at.error(message, "model")
    notes = (found.note, *_peak_notes(chip, job.precision))
    return Speed(at.n_chips, peak * found.mfu, found.mfu, found.like), notes


def _given(at: JobOnPool, batch: float, peak: float) -> Speed | None:
    """Return the speed that a job gives, on a chip of a peak, nan if that is not known; or None."""
    job = at.job
    if job.achieved is not None:
        speed, key, factor = job.achieved.nominal, "achieved", job.achieved.nominal_over()
    elif job.step is not None:
        speed = _training(at, batch).flop / (job.step.nominal * at.n_chips)
        key, factor = "step", job.step.over_nominal()
    else:
        mfu = job.mfu.get(at.pool.name) if isinstance(job.mfu, dict) else job.mfu
        if mfu is None:
            return None
        return Speed(at.n_chips, peak * mfu.nominal, mfu.nominal, GIVEN, None, mfu.nominal_over())
    if speed > peak:
        message = (
            f"is more than the dense {job.precision} peak of {at.chip.name}, {peak:.4g} FLOP/s:"
            f" {speed:.4g} FLOP/s a chip"
        )
        raise at.error(message, key)
    return Speed(at.n_chips, speed, speed / peak, GIVEN, None, factor)


def _training(at: JobOnPool, batch: float) -> Training:
    assert at.job.seq is not None  # validated
    return Training(at.shape, at.job.seq, round(batch / at.job.seq), at.job.mtp)


def _check(at: JobOnPool, batch: float, given: Speed) -> tuple[float, Notes]:
    """Return how its layout would wait, and how the speed that a job gives lies to its price.

    An InfeasibleError if that does not fit the memory.
    """
    job = at.job
    if job.parallelism is None or job.model is None or job.batch is None:
        return math.nan, ()
    training = _training(at, batch)
    try:
        found = _price(at, training)
    except ValueError as error:
        not_priced = note("layout_not_priced", job=at.name, chip=at.chip.name, why=str(error))
        return math.nan, (not_priced,)
    step = _step_note(at, found)
    given_s = training.flop / (given.flop_per_s * given.n_chips)
    checks = note("layout_checks_speed", job=at.name, given_s=given_s, step=step.items)
    return found.exposed_frac, (checks,)


def _price(at: JobOnPool, training: Training) -> Priced:
    job = at.job
    assert job.parallelism is not None
    try:
        return price(
            at.chip,
            training,
            job.precision,
            job.parallelism,
            at.n_chips,
            at.switches,
            at.network,
        )
    except InfeasibleError as error:
        raise InfeasibleError(f"jobs.{at.name} on {at.chip.name}: {error}") from None


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
    try:
        stages_of(given, shape.layers)
    except ValueError as error:
        return str(error)
    n_extra = (given.stages or "").count("m")
    if n_extra not in (0, training.mtp):
        return f"stages has {n_extra} extra prediction layers (m), and mtp is {training.mtp}"
    return _experts_problem(shape, given)


def _experts_problem(shape: Shape, given: Parallelism) -> str:
    """Return what makes it impossible to share out the experts so, empty if nothing does."""
    if given.ep == given.etp == 1:
        return ""
    if shape.moe is None:
        return f"ep {given.ep}, etp {given.etp} ask for experts, and the model has none"
    holders = given.tp * given.cp * given.dp
    if shape.moe.experts % given.ep or holders % (given.ep * given.etp):
        return (
            f"ep {given.ep} must divide the {shape.moe.experts} experts, and ep x etp"
            f" ({given.ep * given.etp}) the {holders} ranks of tp x cp x dp"
        )
    if shape.moe.expert_ffn % given.etp:
        return f"etp {given.etp} does not divide the {shape.moe.expert_ffn} columns of an expert"
    return ""


def binary_batch(batch: float, seq: int) -> tuple[int, str, int] | None:
    """Return the batch that is whole sequences where a decimal prefix was meant as a binary one.

    Parameters
    ----------
    batch : float
        As given, not whole sequences. [token]
    seq : int
        Tokens of a sequence.

    Returns
    -------
    tuple or None
        How many times the prefix, its letter, and the sequences with the binary prefix.

    Examples
    --------
    >>> binary_batch(4e6, 8192), binary_batch(5e6, 6000)
    ((4, 'M', 512), None)
    """
    letter, decimal, binary = ("M", 10**6, 2**20) if batch >= 10**6 else ("k", 10**3, 2**10)
    if batch % decimal or batch % seq == 0:
        return None
    times = int(batch) // decimal
    return None if times * binary % seq else (times, letter, times * binary // seq)


def of_decimal_batch(job: str, batch: float, seq: int) -> Notes:
    """Return that a batch with a binary prefix would be whole sequences, if it would."""
    meant = binary_batch(batch, seq)
    if meant is None:
        return ()
    times, prefix, n_binary = meant
    return (
        note(
            "batch_of_decimal_prefix",
            job=job,
            times=times,
            prefix=prefix,
            n=round(batch / seq),
            seq=seq,
            n_binary=n_binary,
        ),
    )


def beyond_context(job: str, model: Transformer, seq: int) -> Notes:
    """Return that sequences are longer than a model is published for, if they are."""
    longest = model.n_context
    if longest is None or seq <= longest:
        return ()
    return (note("seq_beyond_context", job=job, seq=seq, model=model.name, context=longest),)


def _peak_notes(chip: Chip, precision: Precision) -> Notes:
    """Say so where the peak that a speed rests on was recalled, not read."""
    figure = chip.peak_dense.get(precision)
    if figure is None or not figure.is_estimate or chip.is_estimate:
        return ()
    values = {"chip": chip.name, "precision": precision, "confidence": figure.confidence}
    return (note("peak_is_estimate", **values),)


def price(
    chip: Chip,
    training: Training,
    precision: str,
    parallelism: Parallelism | Literal["auto"],
    n_chips: int,
    framework: Switches = Switches(),  # noqa: B008 - frozen
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
    framework : Switches
        Training software and its switches.
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
    software, kernel, taken = software_of(framework, precision, schedule, chip.kin)
    if framework.name is not None and taken == "default" != framework.name:
        known = ", ".join(software_table().frameworks)
        raise ValueError(f"no framework {framework.name!r}; known: {known}")
    stack = stack_of(framework.name, precision)
    device, family, of_chip = device_of(chip, precision, kernel, stack)
    fabric, of_links = fabric_of(chip, network.per_chip, network.oversubscription, n_chips)
    n_ranks = n_chips * chip.ranks_per_chip
    if parallelism == "auto":
        choices = _search(training, device, fabric, n_ranks, software, practice_on(chip))
    else:
        choices = _given_layout(training, device, fabric, software, parallelism, chip, n_chips)
    if framework.date is not None and training.shape.moe is None:  # else the switches say it
        of_date = software_factor(framework.date, launch_of(chip.kin, stack)[1])
        choices = replace(choices, time=choices.time.times(of_date))
    used = -(-int(choices.layout.n_ranks.flat[0]) // chip.ranks_per_chip)
    experts = training.shape.moe is not None
    band = band_of(chip, precision, used, stack, experts=experts)
    notes = [*of_chip, *of_links, *_software_notes(chip, stack, taken, framework, experts=experts)]
    notes += _of_host(chip, choices) if parallelism == "auto" else ()
    if choices.layout.cp.flat[0] > 1 and training.seq > LONG_SEQUENCE:
        notes.append(note("long_sequences"))
    first = choices.layout.flat().at(0)
    at_one = float(choices.time.step_s.flat[0]) * float(first.n_ranks) * device.flop_per_s
    mfu = training.flop / at_one
    notes += [*new_in_kind(chip, first), *above_published(chip, precision, mfu)]
    if parallelism == "auto":
        notes += within_error(chip, choices)
        notes += outside_measured(chip, training, precision, taken, mfu, band)
    rows = experts_of(chip.kin)[1] if experts else family_of(chip.kin, precision)[1]
    family = f"{experts_of(chip.kin)[0]}, with experts" if experts else family
    return Priced(choices, device, used, band, family, rows, taken, tuple(notes))


def _given_layout(
    training: Training,
    device: Device,
    fabric: Fabric,
    software: Software,
    given: Parallelism,
    chip: Chip,
    n_chips: int,
) -> Choices:
    """Return a layout by numbers, priced; a ValueError if it contradicts itself."""
    problem, n_ranks = layout_problem(training, given), n_chips * chip.ranks_per_chip
    if not problem and given.n_ranks > n_ranks:
        problem = (
            f"tp x pp x dp x cp is {given.n_ranks} ranks, and {n_chips} x {chip.name} are {n_ranks}"
        )
    if problem:
        raise ValueError(problem)
    layout = layout_of(given, training.shape.layers).flat()
    check_fits(training, device, layout.at(0), software)
    time = step_time(training, device, fabric, layout, software)
    return Choices(layout, time, memory_of(training, layout, software), 1, 1)


def _software_notes(
    chip: Chip, stack: str, framework: str, given: Switches, *, experts: bool
) -> Notes:
    """Return what is taken of software, and which fitted numbers are of other software or chips."""
    notes: list[Note] = []
    found, _ = launch_of(chip.kin, stack)
    if found != stack and not experts and given.name is not None:
        notes.append(note("software_not_fitted", framework=framework, stack=stack, other=found))
    name, _, own = experts_of(chip.kin)
    if experts:
        taken = switches_of(stack, chip.kin, given)
        notes.append(
            note(
                "expert_switches",
                framework=framework,
                dispatcher=taken.dispatcher,
                overlap=taken.expert_overlap,
                graphs=tuple(sorted(taken.graphs or ())),
                grouped=taken.grouped,
            )
        )
    if experts and not own:
        notes.append(note("experts_not_fitted", chip=chip.name, other=name))
    return tuple(notes)


def _of_host(chip: Chip, choices: Choices) -> Notes:
    """Return that a layout that was found uses the memory of the host, if it does."""
    what = OFFLOAD[int(choices.layout.offload.flat[0])]
    return () if what == "none" else (note("few_fit_without_host", chip=chip.name, what=what),)


def _batch_of_all(at: JobOnPool, training: Training, n_used: int) -> int | None:
    """Return the batch at which a layout uses all chips, each as much as now; None if none does.

    [token]
    """
    job = at.job
    sequences, rest = divmod(training.batch * at.n_chips, n_used)
    if rest or job.parallelism is None:
        return None
    larger = replace(training, batch=sequences)
    try:
        found = price(
            at.chip, larger, job.precision, job.parallelism, at.n_chips, at.switches, at.network
        )
    except (InfeasibleError, ValueError):
        return None
    return sequences * training.seq if found.n_chips == at.n_chips else None


def _priced(at: JobOnPool, batch: float) -> tuple[Speed, Notes]:
    job, chip, training = at.job, at.chip, _training(at, batch)
    try:
        found = _price(at, training)
    except ValueError as error:
        raise at.error(f"{error}{_other_batch(at, training)}", "parallelism") from None
    notes = []
    if found.n_chips < at.n_chips:
        unused = note(
            "chips_unused",
            job=at.name,
            n_used=found.n_chips,
            n_chips=at.n_chips,
            chip=chip.name,
            n_sequences=training.batch,
            batch_of_all=_batch_of_all(at, training, found.n_chips),
        )
        notes.append(unused)
    notes += [*_peak_notes(chip, job.precision), *found.notes]
    rests_on = note(
        "step_rests_on",
        chip=chip.name,
        precision=job.precision,
        n_runs=found.rows.rows,
        family=found.family,
        largest=found.rows.largest_chips,
    )
    step_s = float(found.choices.time.step_s.flat[0])
    flop_per_s = training.flop / (step_s * found.n_chips)
    mfu = flop_per_s / chip.peak_flop_per_s(job.precision)
    factor = Factor(found.band.low, found.band.high, "lognormal")
    step = _step_note(at, found)
    speed = Speed(found.n_chips, flop_per_s, mfu, PRICED, step, factor, found.exposed_frac)
    return speed, (*notes, rests_on)


def _step_note(at: JobOnPool, found: Priced) -> Note:
    step_s, band = float(found.choices.time.step_s.flat[0]), found.band
    layout = found.choices.layout.flat().at(0)
    return note(
        "step",
        step_s=step_s,
        low_s=step_s * band.low,
        high_s=step_s * band.high,
        extrapolated=band.extrapolated,
        n_chips=found.n_chips,
        chip=at.chip.name,
        layout=as_items(layout),
    )


def _other_batch(at: JobOnPool, training: Training) -> str:
    """Return that a batch with a binary prefix would be divided by a layout, if it would."""
    layout, meant = at.job.layout, binary_batch(at.job.batch or 0.0, training.seq)
    if layout is None or meant is None:
        return ""
    (times, letter, n), at_once = meant, layout.dp * layout.micro_batch
    is_it = training.batch % at_once and n % at_once == 0
    return f"; so would batch: {times} {letter.upper()}itoken, {n} sequences" if is_it else ""


@lru_cache(maxsize=1024)
def _search(
    training: Training,
    device: Device,
    fabric: Fabric,
    n_ranks: int,
    software: Software,
    practice: Practice,
) -> Choices:
    """Cases of a scenario, and jobs alike, ask the same again and again."""
    return best_layouts(training, device, fabric, n_ranks, software, practice=practice)
