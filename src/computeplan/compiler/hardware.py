"""Where chips and models of the catalogue meet the physics of a step.

Per rank, in SI: a package that shows two devices to software is two ranks, each with half of its
peak, memory and links. What a chip does not publish is a `ScenarioError` that names the figure;
what it takes from a relative is said in a note.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

from computeplan.notes import Notes, note
from computeplan.physics.steptime.collectives import Fabric, Link, Operation
from computeplan.physics.steptime.memory import GIB
from computeplan.physics.steptime.operators import Device, GemmCurve
from computeplan.specs.catalogue.chips import Chip, Figure
from computeplan.specs.catalogue.fitted_speed import (
    HALF,
    Stack,
    attention_frac,
    experts_of,
    family_of,
    launch_of,
    lineage,
    share_of,
    speed_tables,
)
from computeplan.specs.catalogue.lookup import is_of_catalogue

__all__ = [
    "INTERVAL",
    "Band",
    "Numbers",
    "RankDevice",
    "band_of",
    "capacity_of",
    "device_of",
    "fabric_of",
    "half_peak",
    "needed_figure",
    "numbers_of",
    "operand_bytes",
    "peak_of",
    "software_factor",
]

OPERATIONS: tuple[Operation, ...] = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")


SOFTWARE_PER_YEAR = 0.03
"""How much less time the same run takes a year later, relative. An estimate: MLPerf's GPT-3 on 512
H100 lost 8.6 % in five months of 2023, published runs of Llama 3 70B on 64 H100 5 % between 24.07
and 25.11; the rows of the H100 in FP8 alone would say 0.04."""
SAME_DIE_SPREAD, RELATIVE_SPREAD, DECADE_SPREAD = 0.08, 0.15, 0.10
"""Standard deviation of the logarithm of a prediction, on top of its family's: for a chip of the
same die, for any other relative, for ten times the chips of the largest run that was fitted.
Estimates."""
SOFTWARE_SPREAD = 0.10
"""The same for software of which no row was fitted, or none at the precision. An estimate: leaving
a whole stack out shifts its rows by -9 to +5 %."""
LEAST_FACTOR = 1.5
"""Ends of the band of a chip of which a data sheet is all that is known, at least. A choice."""
GROUPED_FP8, GROUPED_HALF = 0.66, 128.0
"""Share of the FP8 peak that grouped products reach, and the rows and columns at which each factor
is one half: within 8 % of 1,288 and 1,093 TFLOP/s on the H800 (deepseek-ai/DeepGEMM) and 2,672 on
the GB200 (NVIDIA/Megatron-LM, roadmap)."""
INTERVAL = 1.645
"""Standard deviations from the middle to the ends of a 90 % interval."""


class Band(NamedTuple):
    """Where the truth is expected nine times out of ten, relative to a prediction."""

    low: float
    high: float
    """Ends of the band, over the prediction."""
    extrapolated: float
    """Chips over those of the largest run that was fitted; at most 1 where it is none."""


class Numbers(NamedTuple):
    """The fitted numbers of a chip with some software."""

    gemm_frac: float
    launch_s: float
    traffic: float
    op_s: float


class RankDevice(NamedTuple):
    """A device and what to tell about it."""

    device: Device
    family: str
    notes: Notes


def numbers_of(chip: str, stack: str) -> Numbers:
    """Return the fitted numbers of a chip, by its full name, with some software."""
    experts = experts_of(chip)[1]
    return Numbers(
        gemm_frac=share_of(chip)[1].gemm_frac,
        launch_s=launch_of(chip, stack)[1].launch_s,
        traffic=experts.traffic,
        op_s=experts.op_s,
    )


def band_of(
    chip: Chip,
    precision: str,
    n_chips: int,
    stack: str,
    *,
    experts: bool = False,
    unseen: Collection[str] = (),
) -> Band:
    """Return the 90 % band around a predicted time.

    Parameters
    ----------
    chip : Chip
    precision, stack : str
        Of the linear layers, of the framework.
    n_chips : int
    experts : bool
        Whether the model has some.
    unseen : collection of str
        What to take for unknown though rows of it were fitted: ``software``, ``chip``.

    Examples
    --------
    >>> from computeplan.specs.catalogue.lookup import load_chip
    >>> band_of(load_chip("H100-SXM")[0], "fp8", 21504, "megatron-core").extrapolated
    2.0
    """
    tables = speed_tables()
    _, family, own = family_of(chip.kin, precision)
    extrapolated = n_chips / family.largest_chips
    variance = family.spread**2
    if experts:
        _, numbers, own = experts_of(chip.kin)
        extrapolated = n_chips / numbers.largest_chips
        variance = _expert_spread(chip.kin) ** 2
    if "software" in unseen or not _is_fitted(chip.kin, stack, precision, experts=experts):
        variance += SOFTWARE_SPREAD**2
    variance += (DECADE_SPREAD * max(0.0, math.log10(extrapolated))) ** 2
    own = own and chip.relative is None and "chip" not in unseen
    known = own or chip.name in tables.same_die or chip.name in tables.operators
    if not known:  # a data sheet, and the numbers of another chip
        spread = math.sqrt(variance + tables.unseen_chip.spread**2)
        least = math.log(LEAST_FACTOR)
        low = min(-least, -tables.unseen_chip.bias - INTERVAL * spread)
        high = max(least, -tables.unseen_chip.bias + INTERVAL * spread)
        return Band(math.exp(low), math.exp(high), extrapolated)
    if not own:
        same = chip.name in tables.same_die
        variance += (SAME_DIE_SPREAD if same else RELATIVE_SPREAD) ** 2
    factor = math.exp(INTERVAL * math.sqrt(variance))
    return Band(1.0 / factor, factor, extrapolated)


def _is_fitted(chip: str, stack: str, precision: str, *, experts: bool) -> bool:
    """Return whether rows of such software at such a precision were fitted for a chip's maker."""
    if experts:
        return stack in experts_of(chip)[1].stacks
    name, entry = launch_of(chip, stack)
    return name == stack and precision in entry.precisions


def _expert_spread(chip: str) -> float:
    """Return the spread of layers with experts; wider for makers to whose rows none is fitted."""
    _, numbers, _ = experts_of(chip)
    makers = {known.partition("/")[0] for known in numbers.chips}
    return numbers.spread if chip.partition("/")[0] in makers else numbers.other_spread


def software_factor(year: float | None, stack: Stack) -> float:
    """Return the time of a step with software of a year over that of the rows that were fitted.

    Examples
    --------
    >>> software_factor(None, launch_of("nvidia/h100-sxm", "eager")[1])
    1.0
    """
    if year is None:
        return 1.0
    return math.exp(-SOFTWARE_PER_YEAR * (year - stack.software_year))


def device_of(
    chip: Chip, precision: str, kernel: str, stack: str, numbers: Numbers | None = None
) -> RankDevice:
    """Return what one rank of a chip computes with.

    Parameters
    ----------
    chip : Chip
    precision, kernel, stack : str
        Of the linear layers, of the attention core, of the framework.
    numbers : Numbers, optional
        Fitted numbers instead of the catalogue's.

    Raises
    ------
    ValueError
        If the chip publishes no such peak, no half-precision peak, or no memory.

    Examples
    --------
    >>> from computeplan.specs.catalogue.lookup import load_chip
    >>> rank = device_of(load_chip("H100-SXM")[0], "fp8", "flash-3", "megatron-core")
    >>> rank.family, f"{rank.device.flop_per_s:.4g}"
    ('H100 FP8', '1.979e+15')
    """
    peak = peak_of(chip, precision)
    half = half_peak(chip, precision)
    name, _, own = family_of(chip.kin, precision)
    own = own and chip.relative is None
    fitted = numbers_of(chip.kin, stack) if numbers is None else numbers
    curve, measured_on = _curve(chip.kin, precision)
    half_curve, _ = _curve(chip.kin, "bf16")
    ranks = chip.ranks_per_chip
    device = Device(
        flop_per_s=peak / ranks,
        half_flop_per_s=half / ranks,
        gemm=curve,
        half_gemm=half_curve,
        attention_frac=attention_frac(kernel, chip.kin),
        memory_bytes=capacity_of(chip) / ranks,
        memory_bytes_per_s=needed_figure(chip, chip.memory.bandwidth, "memory.bandwidth", "2 TB/s")
        / ranks,
        operand_bytes=operand_bytes(precision),
        gemm_frac=fitted.gemm_frac,
        launch_s=fitted.launch_s,
        grouped_gemm=_grouped(curve, half_curve, precision, fitted.gemm_frac),
        traffic=fitted.traffic,
        op_s=fitted.op_s,
    )
    notes = []
    if not own:
        notes.append(
            note("numbers_of_other_family", chip=chip.name, precision=precision, family=name)
        )
    if measured_on != chip.name:
        notes.append(note("products_of_other_chip", chip=chip.name, other=measured_on))
    return RankDevice(device, name, tuple(notes))


def fabric_of(
    chip: Chip,
    out_bytes_per_s: float | None = None,
    oversubscription: float = 1.0,
    n_chips: float = math.inf,
) -> tuple[Fabric, Notes]:
    """Return the links of one rank of a chip, and notes.

    Parameters
    ----------
    chip : Chip
    out_bytes_per_s : float, optional
        Out of the scale-up domain, per chip, instead of the data sheet's. [B/s]
    oversubscription : float
        Rate of all NICs over that of the network's core.
    n_chips : float
        Chips of the job; one that stays in a domain needs nothing between domains.

    Raises
    ------
    ValueError
        If the chip publishes no rate of the links it needs.
    """
    ranks = chip.ranks_per_chip
    up = chip.scale_up
    domain = 1 if up.domain is None or up.domain.value is None else up.domain.value
    if domain > 1 or ranks > 1:
        up_rate = needed_figure(chip, up.bandwidth, "scale_up.bandwidth", "400 GB/s") / ranks
    else:
        up_rate = 1.0  # no domain: never used
    pair = up.pair_bandwidth
    pair_rate = up_rate if pair is None or pair.value is None else pair.value / ranks
    if out_bytes_per_s is None and n_chips <= domain:
        out_bytes_per_s = up_rate
    if out_bytes_per_s is None:
        out = chip.scale_out.bandwidth
        out_bytes_per_s = needed_figure(chip, out, "scale_out.bandwidth", "200 Gbit/s")
    tables = speed_tables()
    like = next(name for name in lineage(chip.kin) if _links(name))
    links = tables.operators[like].links
    assert links is not None
    is_own = like == chip.name
    notes = () if is_own else (note("links_of_other_chip", chip=chip.name, other=like),)
    fabric = Fabric(
        domain=domain * ranks,
        up_bytes_per_s=up_rate,
        pair_bytes_per_s=min(pair_rate, up_rate),
        out_bytes_per_s=out_bytes_per_s / ranks,
        oversubscription=oversubscription,
        links={
            operation: Link(links[operation].frac, links[operation].call_s, links[operation].rank_s)
            for operation in OPERATIONS
        },
    )
    return fabric, notes


def operand_bytes(precision: str) -> float:
    """Return the bytes of one number that the linear layers multiply."""
    return 1.0 if precision == "fp8" else 2.0


def half_peak(chip: Chip, precision: str) -> float:
    """Return the dense peak that attention runs at: of `precision` if it is one of 16 bits."""
    for name in (*((precision,) if precision in HALF else ()), *HALF):
        figure = chip.peak_dense.get(name)
        if figure is not None and figure.value is not None:
            return float(figure.value)
    message = f"{chip.name} has no dense bf16 or fp16 peak, which attention runs in"
    raise ValueError(f"{message}{_to_write(chip, 'bf16')}")


def peak_of(chip: Chip, precision: str) -> float:
    """Return the dense peak of a chip. [FLOP/s]

    Raises
    ------
    ValueError
        If it has none, with what to write where the chip is the user's own.
    """
    try:
        return chip.peak_flop_per_s(precision)
    except ValueError as error:
        raise ValueError(f"{error}{_to_write(chip, precision)}") from None


def _to_write(chip: Chip, precision: str) -> str:
    how = f"; write in your chip peak_dense: {{{precision}: 400 TFLOP/s}}"
    return "" if is_of_catalogue(chip) else how


def _curve(chip: str, precision: str) -> tuple[GemmCurve, str]:
    """Return the curve of a chip or its nearest relative that was measured, and of which."""
    tables = speed_tables()
    wanted = "fp8" if precision == "fp8" else "bf16"
    for name in (*lineage(chip), "nvidia/h100-sxm"):
        measured = tables.operators.get(name)
        if measured is not None and wanted in measured.gemm:
            found = measured.gemm[wanted]
            return GemmCurve(found.best, found.m_half, found.n_half, found.k_half), name
    raise ValueError(f"no matrix product was measured in {precision}")


def _grouped(
    curve: GemmCurve, half_curve: GemmCurve, precision: str, gemm_frac: float
) -> GemmCurve:
    """Return the curve of grouped products: tiles of many experts fill the chip together."""
    if precision == "fp8":
        return GemmCurve(GROUPED_FP8, GROUPED_HALF, GROUPED_HALF, half_curve.k_half)
    return GemmCurve(gemm_frac * curve.best, GROUPED_HALF, curve.n_half, curve.k_half)


def capacity_of(chip: Chip) -> float:
    """Return the memory of a chip; what is sold as GB of it are GiB.

    The A100 of 80 GB shows 81,920 MiB to software, the H200 of 141 GB 143,771, the 910B of 64 GB
    65,536.
    """
    figure = chip.memory.capacity
    capacity = needed_figure(chip, figure, "memory.capacity", "80 GB")
    assert figure is not None
    return capacity / 1e9 * GIB if figure.text.strip().endswith(" GB") else capacity


def _links(chip: str) -> bool:
    measured = speed_tables().operators.get(chip)
    return measured is not None and measured.links is not None


def needed_figure(chip: Chip, figure: Figure[float] | None, path: str, example: str) -> float:
    """Return a figure of a chip, or say that it is missing and how to give it."""
    if figure is None or figure.value is None:
        outer, inner = path.split(".")
        figure_ = f"{outer}: {{{inner}: {example}}}"
        if not is_of_catalogue(chip):
            raise ValueError(f"{chip.name}: {path} is missing; write in your chip {figure_}")
        raise ValueError(
            f"{chip.name}: {path} is not published; give it in a chip of your own:"
            f" {{extends: {chip.name}, {figure_}}}"
        )
    return figure.value
