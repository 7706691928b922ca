"""One job on chips of several kinds: how its layers or its batch are split, and how fast it is.

Each kind's stages and its ends are priced as those of any step (`physics.steptime`), the line they
make by `physics.mixed`. A job is split in one of two ways. As one *pipeline*: every replica runs
through stages of all kinds, each kind with its own tensor parallel ranks and micro-batch, and the
layers are dealt by the exact search. Or by *batch*: each kind trains whole replicas in the layout
that `auto` finds for its share, and gradients are summed across kinds at the end of the step.

Long because all that is searched, and the bounds it is held against, stand together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from computeplan.analytic.step_price import default_batch
from computeplan.arrays import FloatArray
from computeplan.compiler.hardware import INTERVAL, Band, band_of, device_of, fabric_of
from computeplan.compiler.published import marks_of
from computeplan.compiler.software import software_of
from computeplan.compiler.speed import Priced, beyond_context, price
from computeplan.errors import InfeasibleError, Problem, ScenarioError
from computeplan.notes import Note, Notes, note
from computeplan.physics.mixed import (
    Efficiency,
    Route,
    Split,
    Stages,
    best_split,
    bytes_held,
    even_split,
    hop_s,
    line_s,
    summed_s,
)
from computeplan.physics.steptime.collectives import Fabric
from computeplan.physics.steptime.layout import RECOMPUTE, Layout, Software
from computeplan.physics.steptime.memory import memory_of_stage
from computeplan.physics.steptime.operators import Device
from computeplan.physics.steptime.search import HEADROOM
from computeplan.physics.steptime.step import Training, slowest_rank, stage_end_s, stage_time
from computeplan.physics.steptime.transformer import n_parameters, shape_of
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.lookup import find_chip, find_model
from computeplan.specs.catalogue.models import Transformer
from computeplan.specs.catalogue.software import stack_of
from computeplan.specs.fields import MAX_COUNT
from computeplan.specs.software import Switches

__all__ = ["ByBatch", "Group", "Kind", "Link", "MixPrice", "price_mix"]

Link = Literal["direct", "host"]
"""How chips of two kinds send to one another: directly, or through the memory of both hosts."""

MOST_KINDS = 4
MICRO_BATCHES = (1, 2, 4, 8)
"""Sequences at a time that are tried."""
MOST_TP = 64
SHARES, NEAR = 64, 3
"""By batch: in how many parts the batch is cut at most, and how many parts from its proportional
share each kind is tried."""
BISECTIONS = 30
GRID = {2: 41, 3: 15, 4: 9}
"""Quantiles of each kind's error that the band looks at, by the number of kinds."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Some chips of one kind, and what they would do without the others."""

    chip: str
    """Full name."""
    n: int
    alone_s: float
    """A step of the whole batch on these chips alone, in the layout `auto` finds; inf if the model
    does not fit them. [s]"""
    equal_s: float
    """The same on as many chips of this kind as there are of all kinds. [s]"""
    band: Band
    """Around its times."""
    marks: tuple[str, ...]
    framework: str
    notes: Notes


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The stages of one kind, neighbours in the pipeline; arrays have one entry a stage."""

    chip: str
    tp: int
    dp: int
    micro_batch: int
    layers: tuple[int, ...]
    recompute: tuple[str, ...]
    stage_s: FloatArray
    """One micro-batch. [s]"""
    end_s: FloatArray
    """Summing gradients and the update. [s]"""
    held_bytes: FloatArray
    memory_bytes: float
    """What the fullest rank of each stage holds, and what it has. [B]"""
    n_used: int
    """Chips that the stages use."""


@dataclass(frozen=True, slots=True)
class ByBatch:
    """The share of one kind that trains whole replicas."""

    chip: str
    batch: int
    """Sequences of a step."""
    step_s: float
    """Without the sum across kinds. [s]"""
    layout: Layout
    held_bytes: float
    memory_bytes: float
    """Of a rank, and what it has. [B]"""
    n_used: int


@dataclass(frozen=True, slots=True, eq=False)
class MixPrice:
    """How one job runs on chips of several kinds."""

    model: str
    precision: str
    seq: int
    batch: int
    """Tokens of a sequence, sequences of a step."""
    kinds: tuple[Kind, ...]
    link: Link
    split: tuple[Group, ...] | tuple[ByBatch, ...]
    """Stages from the first to the last, or shares of the batch."""
    n_micro: int
    """Micro-batches of the pipeline; 0 by batch."""
    step_s: float
    low_s: float
    high_s: float
    """Of a step; ends of the 90 % band. [s]"""
    across_s: float
    """Of it: what shows of messages between kinds, at most. [s]"""
    efficiency: Efficiency
    """Over the sum of what each kind trains alone."""
    efficiency_low: float
    efficiency_high: float
    """Ends of its 90 % band."""
    baselines: tuple[Efficiency, ...]
    """Over as many chips of each kind, and over the same chips with equal shares."""
    other_s: float
    """A step with the best split of the other way: by batch, or as a pipeline; inf if none fits.
    [s]"""
    n_priced: int
    """Pipelines whose splits were searched."""
    notes: Notes

    @property
    def is_pipeline(self) -> bool:
        """Whether layers are split, not the batch."""
        return self.n_micro > 0

    @property
    def tok_per_s(self) -> float:
        """Tokens per second of all chips. [tok/s]"""
        return self.seq * self.batch / self.step_s

    @property
    def n_chips(self) -> int:
        """Chips there are."""
        return sum(kind.n for kind in self.kinds)

    def __repr__(self) -> str:
        """Return one line."""
        chips = " + ".join(f"{kind.n:,} {kind.chip}" for kind in self.kinds)
        return (
            f"<MixPrice {self.model} on {chips}: {self.step_s:.4g} s"
            f" ({self.low_s:.3g} to {self.high_s:.3g}), {self.tok_per_s:,.0f} tokens/s,"
            f" {self.efficiency.value:.1%} of the {self.efficiency.bound}>"
        )


class _Part(NamedTuple):
    """Chips of one kind, as the physics takes them."""

    chip: Chip
    n: int
    device: Device
    fabric: Fabric
    software: Software
    framework: str
    only_tp: int | None
    """Tensor parallel ranks, if they are given."""

    @property
    def n_ranks(self) -> int:
        return self.n * self.chip.ranks_per_chip


class _Option(NamedTuple):
    """One way to cut a kind for some sequences at a time."""

    place: int
    """Of the kind."""
    tp: int
    dp: int
    micro_batch: int
    n_stages: int
    layer_s: FloatArray
    """By what is recomputed. [s]"""
    head_s: float
    message_s: float


class _Line(NamedTuple):
    """One pipeline, split."""

    options: tuple[_Option, ...]
    stages: Stages
    split: Split
    n_micro: int
    step_s: float


class _Asked(NamedTuple):
    """What is asked, with names looked up."""

    training: Training
    parts: tuple[_Part, ...]
    kinds: tuple[Kind, ...]
    precision: str
    switches: Switches
    link: Link
    link_bytes_per_s: float | None

    @property
    def lost(self) -> float:
        """Time of the slowest rank over the mean."""
        return float(slowest_rank(sum(part.n_ranks for part in self.parts)))


def price_mix(
    model: str,
    chips: Sequence[tuple[str, int]],
    *,
    seq: int = 8192,
    batch: int | None = None,
    precision: str = "bf16",
    link: Link = "direct",
    link_bytes_per_s: float | None = None,
    tp: Mapping[str, int] | None = None,
    way: Literal["best", "pipeline", "batch"] = "best",
    framework: Switches | str | None = None,
) -> MixPrice:
    """Return how one job runs on chips of several kinds at once.

    The fastest of all pipelines that use the chips of every kind, with the exact best split of the
    layers for each, and of the splits of the batch near the one by speed. Pipelines are priced
    without virtual stages, context parallelism or weights that ranks share out, which `auto` may
    use for one kind alone: what that loses is in the efficiency.

    Long because all that is asked is checked and answered here.

    Parameters
    ----------
    model : str
        Any name in the catalogue, a YAML file, a Hugging Face config.json; without experts.
    chips : sequence of (str, int)
        Two to four kinds by any name in the catalogue, and how many of each.
    seq : int
        Tokens of a sequence. [token]
    batch : int, optional
        Sequences of a step; see `default_batch`.
    precision : str
        Of the linear layers.
    link : "direct" or "host"
        How chips of two kinds send to one another.
    link_bytes_per_s : float, optional
        Of the network between two kinds, for each pair of chips, instead of the slower of their
        data sheets. [B/s]
    tp : mapping of str to int, optional
        Tensor parallel ranks of kinds, by the names in `chips`; those left out are found.
    way : {"best", "pipeline", "batch"}
        What is split.
    framework : Switches or str, optional
        Whose switches to take.

    Raises
    ------
    ScenarioError
        If a name is unknown, a figure is not published, or the question contradicts itself.
    InfeasibleError
        If no split fits the memory.

    Examples
    --------
    >>> found = price_mix("llama-3.1-8b", [("H100-SXM", 8), ("910B2", 16)], seq=8192, batch=128)
    >>> found.efficiency.bound, f"{found.efficiency.value:.2f}"
    ('sum of homogeneous', '0.96')
    """
    _check(chips, seq, batch, link, link_bytes_per_s)
    switches = framework if isinstance(framework, Switches) else Switches(name=framework)
    sequences = default_batch(sum(n for _, n in chips), seq) if batch is None else batch
    try:
        network, of_model = find_model(model)
        training = _training(network, seq, sequences)
        parts, of_names = _parts(chips, tp or {}, precision, switches, training)
        kinds = _kinds(parts, training, precision, switches)
        asked = _Asked(training, parts, kinds, precision, switches, link, link_bytes_per_s)
        line, n_priced = (None, 0) if way == "batch" else _best_line(asked)
        shares = None if way == "pipeline" else _best_shares(asked)
    except ScenarioError:
        raise
    except ValueError as error:
        raise ScenarioError.of(str(error)) from None
    of_model = (*of_model, *of_names, *beyond_context(network.name, network, seq))
    if line is not None and (shares is None or line.step_s <= shares.step_s):
        found = _of_line(asked, line)
        other_s = math.inf if shares is None else shares.step_s
    elif shares is not None:
        found = _of_shares(asked, shares)
        other_s = math.inf if line is None else line.step_s
    else:
        raise InfeasibleError(
            f"no split of {network.name} with {sequences:,} sequences of {seq:,} tokens over"
            f" {' + '.join(f'{part.n:,} {part.chip.name}' for part in parts)} fits the memory and"
            " divides the batch: more chips, another batch, or chips with more memory"
        )
    notes = dict.fromkeys((*of_model, *found.notes, *(n for kind in kinds for n in kind.notes)))
    return replace(
        found, model=network.name, other_s=other_s, n_priced=n_priced, notes=tuple(notes)
    )


def _check(
    chips: Sequence[tuple[str, int]],
    seq: int,
    batch: int | None,
    link: str,
    link_bytes_per_s: float | None,
) -> None:
    """Refuse what is no question, with everything that is wrong with it."""
    counts = {"seq": seq, **{f"chips of {name}": n for name, n in chips}}
    counts |= {} if batch is None else {"batch": batch}
    wrong = [
        f"{name} must be a whole number from 1 to {MAX_COUNT:,}, got {value!r}"
        for name, value in counts.items()
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_COUNT
    ]
    if not 2 <= len(chips) <= MOST_KINDS:
        wrong.append(f"chips must be of 2 to {MOST_KINDS} kinds, got {len(chips)}")
    if link not in ("direct", "host"):
        wrong.append(f"link must be direct or host, got {link!r}")
    if link_bytes_per_s is not None and not 0 < link_bytes_per_s < math.inf:
        wrong.append(f"the bandwidth of the link must be > 0 and finite, got {link_bytes_per_s}")
    if wrong:
        raise ScenarioError(Problem(message) for message in wrong)


def _training(network: Transformer, seq: int, batch: int) -> Training:
    shape = shape_of(network.architecture())
    if shape.moe is not None:
        raise ValueError(
            f"{network.name} has experts: on chips of several kinds only models without are priced;"
            " computeplan step prices it on one kind"
        )
    return Training(shape, seq, batch)


def _parts(
    chips: Sequence[tuple[str, int]],
    tp: Mapping[str, int],
    precision: str,
    switches: Switches,
    training: Training,
) -> tuple[tuple[_Part, ...], Notes]:
    """Return the kinds of chips, and notes on their names."""
    if unknown := set(tp) - {name for name, _ in chips}:
        raise ValueError(f"tp names {', '.join(sorted(unknown))}, which is none of the chips")
    parts: list[_Part] = []
    notes: list[Note] = []
    for name, n in chips:
        chip, of_name = find_chip(name)
        software, kernel, taken = software_of(switches, precision, "1f1b", chip.kin)
        stack = stack_of(switches.name, precision)
        device = device_of(chip, precision, kernel, stack).device
        fabric = fabric_of(chip)[0]
        only = tp.get(name)
        if only is not None and (only < 1 or training.shape.heads % only):
            raise ValueError(f"tp {only} does not divide the {training.shape.heads} heads")
        parts.append(_Part(chip, n, device, fabric, software, taken, only))
        notes += of_name
    if len({part.chip.name for part in parts}) < len(parts):
        raise ValueError("every kind of chips is named once")
    return tuple(parts), tuple(notes)


def _kinds(
    parts: Sequence[_Part], training: Training, precision: str, switches: Switches
) -> tuple[Kind, ...]:
    """Return what each kind does without the others."""
    n_all = sum(part.n for part in parts)
    found = []
    for part in parts:
        alone = _alone(part.chip, part.n, training, precision, switches)
        equal = _alone(part.chip, n_all, training, precision, switches)
        stack = stack_of(switches.name, precision)
        notes = () if alone is None else alone.notes
        if alone is None:
            notes = (note("does_not_fit_alone", chip=part.chip.name, n=part.n),)
        found.append(
            Kind(
                chip=part.chip.name,
                n=part.n,
                alone_s=_step_s(alone),
                equal_s=_step_s(equal),
                band=band_of(part.chip, precision, n_all, stack),
                marks=tuple(mark for one in notes for mark in marks_of(one)),
                framework=part.framework,
                notes=notes,
            )
        )
    return tuple(found)


def _alone(
    chip: Chip, n: int, training: Training, precision: str, switches: Switches
) -> Priced | None:
    """Return the price of a step on chips of one kind, or None if it does not fit."""
    try:
        return price(chip, training, precision, "auto", n, switches)
    except InfeasibleError:
        return None


def _step_s(found: Priced | None) -> float:
    return math.inf if found is None else float(found.choices.time.step_s.flat[0])


# As one pipeline


def _best_line(asked: _Asked) -> tuple[_Line | None, int]:
    """Return the fastest pipeline, and how many were split.

    They are looked at by the least that each could take. Once that is more than the best so far
    takes, no other can be better.
    """
    n_layers, n_batch = asked.training.shape.layers, asked.training.batch
    todo: list[tuple[int, tuple[_Option, ...]]] = []
    times = [_stage_times(asked, part) for part in asked.parts]
    for at_once in (n for n in range(1, n_batch + 1) if n_batch % n == 0):
        ways = [_options(place, asked, times[place], at_once) for place in range(len(times))]
        todo += [
            (n_batch // at_once, options)
            for options in itertools.product(*ways)
            if sum(option.n_stages for option in options) <= n_layers
        ]
    if not todo:
        return None, 0
    least_s = asked.lost * _least_s(todo, n_layers)
    best: _Line | None = None
    n_priced = 0
    for place in np.argsort(least_s, kind="stable"):
        if best is not None and least_s[place] >= best.step_s:
            break
        n_micro, options = todo[place]
        for ordered in itertools.permutations(options):
            n_priced += 1
            line = _line(asked, ordered, n_micro)
            if line is not None and (best is None or line.step_s < best.step_s):
                best = line
    return best, n_priced


def _least_s(todo: Sequence[tuple[int, tuple[_Option, ...]]], n_layers: int) -> FloatArray:
    """Return what each pipeline takes at least, whatever its memory and its end. [s]

    With layers that can be cut anywhere, the fastest j kinds are filled up to one beat and the
    others nearly empty, for some j; with whole layers, the beat is the least in which all stages
    together take all layers.
    """
    n_micro = np.array([n for n, _ in todo], dtype=np.float64)
    facts = [
        [(float(one.layer_s.min()), one.n_stages, one.message_s) for one in options]
        for _, options in todo
    ]
    layer_s, n_stages, message_s = np.moveaxis(np.array(facts, dtype=np.float64), 2, 0)
    order = layer_s.argsort(axis=1)
    by_speed = np.take_along_axis(n_stages, order, axis=1)
    rate = by_speed / np.take_along_axis(layer_s, order, axis=1)
    filled = (by_speed.cumsum(axis=1) + n_micro[:, None] - 1.0) * n_layers / rate.cumsum(axis=1)
    messages = (n_stages * message_s).sum(axis=1)
    cut_anywhere = filled.min(axis=1) + messages + (n_micro - 1.0) * message_s.min(axis=1)
    low, high = np.zeros(len(todo)), n_layers * layer_s.max(axis=1) + message_s.max(axis=1)
    for _ in range(BISECTIONS):
        beat = (low + high) / 2.0
        each = np.floor(np.maximum(beat[:, None] - message_s, 0.0) / layer_s)
        enough = (n_stages * each).sum(axis=1) >= n_layers
        low, high = np.where(enough, low, beat), np.where(enough, beat, high)
    whole = n_layers * layer_s.min(axis=1) + messages + (n_micro - 1.0) * low
    least: FloatArray = np.maximum(cut_anywhere, whole)
    return least


def _choices(part: _Part) -> tuple[int, ...]:
    """Return what a stage may recompute, places in `RECOMPUTE`."""
    nothing_selective = part.software.flash and part.software.selective == ("core_attn",)
    return (0, 2) if nothing_selective else (0, 1, 2)


def _stage_times(asked: _Asked, part: _Part) -> dict[tuple[int, int], _Option]:
    """Return what a stage takes by tensor parallel ranks and micro-batch; for `_options`."""
    shape = asked.training.shape
    n_all = sum(one.n_ranks for one in asked.parts)
    most = min(MOST_TP, part.fabric.domain, part.n_ranks)
    powers = [2**k for k in range(MOST_TP.bit_length()) if 2**k <= most]
    wide = [n for n in powers if shape.heads % n == 0] if part.only_tp is None else [part.only_tp]
    found = {}
    for tp, micro_batch in itertools.product(wide, MICRO_BATCHES):
        layout = Layout.of(
            tp=tp, pp=max(2, n_all // tp), micro_batch=micro_batch, recompute=_choices(part)
        )
        took = stage_time(asked.training, part.device, part.fabric, layout, part.software)
        found[tp, micro_batch] = _Option(
            0, tp, 0, micro_batch, 0, took.layer_s, float(took.head_s), float(took.message_s)
        )
    return found


def _options(
    place: int, asked: _Asked, times: Mapping[tuple[int, int], _Option], at_once: int
) -> list[_Option]:
    """Return the ways in which a kind takes some sequences at a time, over all its replicas."""
    n_ranks = asked.parts[place].n_ranks
    found = []
    for (tp, micro_batch), took in times.items():
        dp, rest = divmod(at_once, micro_batch)
        if not rest and (n_stages := n_ranks // (tp * dp)) > 0:
            found.append(took._replace(place=place, dp=dp, n_stages=n_stages))
    return found


def _line(asked: _Asked, options: tuple[_Option, ...], n_micro: int) -> _Line | None:
    """Return one pipeline with its best split; None if none fits."""
    stages = _stages(asked, options, n_micro)
    split = best_split(stages, asked.training.shape.layers, n_micro)
    if split is None:
        return None
    step_s = asked.lost * (split.time_s + float(_ends_s(asked, options, split).max()))
    return _Line(options, stages, split, n_micro, step_s)


def _stages(asked: _Asked, options: Sequence[_Option], n_micro: int) -> Stages:
    """Return the stages of kinds one behind the other."""
    n = sum(option.n_stages for option in options)
    n_choices = max(len(_choices(asked.parts[option.place])) for option in options)
    fixed, links = [], []
    layers, capacity = [], []
    held = []
    for option, first in zip(options, _firsts(options), strict=True):
        part = asked.parts[option.place]
        layer_s, sizes = _pad(option.layer_s, n_choices), _sizes(asked, option, first, n)
        layers += [layer_s] * option.n_stages
        fixed += [option.message_s] * option.n_stages
        links += [0.0] * option.n_stages
        held.append([_pad(one, n_choices) for one in sizes])
        capacity += [part.device.memory_bytes * (1.0 - HEADROOM)] * option.n_stages
    for (one, other), behind in zip(itertools.pairwise(options), _firsts(options)[1:], strict=True):
        hop = 2.0 * _across_s(asked, one, other)
        fixed[behind - 1] = asked.parts[one.place].software.pp_exposed * hop
        links[behind - 1] = hop
    fixed[-1] += options[-1].head_s
    kept = np.minimum(n_micro, n - np.arange(n))[:, None]
    return Stages.of(
        layers,
        fixed_s=fixed,
        kept_bytes=np.concatenate([each for _, each in held]) / kept,
        fixed_bytes=np.concatenate([beside for beside, _ in held]),
        capacity_bytes=capacity,
        link_s=links[:-1],
    )


def _firsts(options: Sequence[_Option]) -> list[int]:
    """Return the first stage of each kind."""
    ends = itertools.accumulate(option.n_stages for option in options)
    return [end - option.n_stages for end, option in zip(ends, options, strict=True)]


def _pad(values: FloatArray, n: int) -> FloatArray:
    """Return columns up to a number of them, the last one again."""
    more = [(0, 0)] * (values.ndim - 1) + [(0, n - values.shape[-1])]
    return np.pad(values, more, mode="edge")


def _sizes(
    asked: _Asked, option: _Option, first: int, n_stages: int
) -> tuple[FloatArray, FloatArray]:
    """Return what stages of a kind hold beside their layers, and for each layer; by choice. [B]

    What a stage holds is a constant and so much for every layer, from one layer on.
    """
    part = asked.parts[option.place]
    layout = _layout(option, n_stages, _choices(part))
    stage = (first + np.arange(option.n_stages, dtype=np.float64))[:, None]
    one, two = (
        np.broadcast_to(
            memory_of_stage(asked.training, layout, stage, layers, part.software).total,
            (option.n_stages, len(_choices(part))),
        )
        for layers in (1.0, 2.0)
    )
    return 2.0 * one - two, two - one


def _layout(option: _Option, n_stages: int, recompute: object) -> Layout:
    return Layout.of(
        tp=option.tp,
        pp=n_stages,
        dp=option.dp,
        micro_batch=option.micro_batch,
        recompute=recompute,
    )


def _across_s(asked: _Asked, one: _Option, other: _Option) -> float:
    """Return the time of one message between stages of two kinds, in one direction. [s]

    The pairs of chips that send are as many as the kind with fewer chips in a stage has.
    """
    n_bytes = 2.0 * one.dp * one.micro_batch * asked.training.seq * asked.training.shape.hidden
    n_pairs = min(one.tp * one.dp, other.tp * other.dp)
    route = _route(asked, asked.parts[one.place], asked.parts[other.place])
    return float(hop_s(route, n_bytes / n_pairs))


def _route(asked: _Asked, one: _Part, other: _Part) -> Route:
    rate = asked.link_bytes_per_s or min(one.fabric.out_rate, other.fabric.out_rate)
    hosts = (one.device.host_bytes_per_s, other.device.host_bytes_per_s)
    return Route(rate, hosts if asked.link == "host" else (), one.fabric.out_step_s)


def _ends_s(asked: _Asked, options: Sequence[_Option], split: Split) -> FloatArray:
    """Return what every stage takes for its gradients and its update. [s]"""
    ends = []
    for option, first in zip(options, _firsts(options), strict=True):
        part = asked.parts[option.place]
        own = slice(first, first + option.n_stages)
        again = [_choices(part)[choice] for choice in split.choice[own]]
        layout = _layout(option, len(split.layers), again)
        ends.append(
            stage_end_s(
                asked.training,
                part.device,
                part.fabric,
                layout,
                split.layers[own],
                part.software,
            )
        )
    return np.concatenate(ends)


def _of_line(asked: _Asked, line: _Line) -> MixPrice:
    """Return the price of a pipeline."""
    split, options = line.split, line.options
    ends_s = _ends_s(asked, options, split)
    held = bytes_held(line.stages, split.layers, line.n_micro)
    held = held[np.arange(line.stages.n), list(split.choice)]
    groups, kind_of = [], []
    for option, first in zip(options, _firsts(options), strict=True):
        part, own = asked.parts[option.place], slice(first, first + option.n_stages)
        kind_of += [option.place] * option.n_stages
        groups.append(
            Group(
                chip=part.chip.name,
                tp=option.tp,
                dp=option.dp,
                micro_batch=option.micro_batch,
                layers=split.layers[own],
                recompute=tuple(RECOMPUTE[_choices(part)[c]] for c in split.choice[own]),
                stage_s=split.stage_s[own],
                end_s=ends_s[own],
                held_bytes=held[own],
                memory_bytes=part.device.memory_bytes,
                n_used=-(-option.n_stages * option.tp * option.dp // part.chip.ranks_per_chip),
            )
        )
    links = line.stages.link_s
    exposed = np.array([asked.parts[kind].software.pp_exposed for kind in kind_of])
    shown_s = exposed * np.append(links, 0.0)
    without = line_s(split.stage_s - shown_s, line.n_micro) + float(ends_s.max())
    errors = _errors(asked.kinds)
    factor = errors[:, kind_of]
    steps = line_s((split.stage_s - shown_s) * factor + shown_s, line.n_micro, links)
    steps = asked.lost * (steps + (ends_s * factor).max(axis=1))
    even = even_split(line.stages, asked.training.shape.layers, line.n_micro)
    even_s = math.nan
    if even is not None:
        even_s = asked.lost * (even.time_s + float(_ends_s(asked, options, even).max()))
    across_s = line.step_s - asked.lost * float(without)
    return _priced(asked, tuple(groups), line.n_micro, line.step_s, across_s, steps, even_s)


# By batch


class _Shares(NamedTuple):
    """A batch dealt among kinds that train whole replicas."""

    batches: tuple[int, ...]
    found: tuple[Priced, ...]
    across_s: float
    step_s: float


def _best_shares(asked: _Asked) -> _Shares | None:
    """Return the fastest of the splits of the batch near the one by speed; None if none fits."""
    n_batch = asked.training.batch
    speeds = [1.0 / kind.alone_s for kind in asked.kinds]
    if n_batch < len(speeds) or not all(speeds):
        return None
    n_parts = max(n for n in range(1, min(SHARES, n_batch) + 1) if n_batch % n == 0)
    size = n_batch // n_parts
    near = [
        [
            n * size
            for n in range(round(n_parts * speed / sum(speeds)) - NEAR, n_parts)
            if 0 < n <= round(n_parts * speed / sum(speeds)) + NEAR
        ]
        for speed in speeds[:-1]
    ]
    best: _Shares | None = None
    for batches in itertools.product(*near):
        rest = n_batch - sum(batches)
        if rest > 0:
            found = _dealt(asked, (*batches, rest))
            if found is not None and (best is None or found.step_s < best.step_s):
                best = found
    return best


def _dealt(asked: _Asked, batches: tuple[int, ...]) -> _Shares | None:
    """Return one split of the batch, each kind in its best layout; None if one does not fit."""
    found = []
    for part, batch in zip(asked.parts, batches, strict=True):
        training = replace(asked.training, batch=batch)
        one = _alone(part.chip, part.n, training, asked.precision, asked.switches)
        if one is None:
            return None
        found.append(one)
    across_s = _summed_s(asked)
    slowest = max(_step_s(one) for one in found)
    return _Shares(batches, tuple(found), across_s, slowest + across_s)


def _summed_s(asked: _Asked) -> float:
    """Return the time to sum gradients across kinds, which each kind holds once in all. [s]

    Nothing hides it, as the other kind may just have ended: at most.
    """
    n = len(asked.parts)
    n_bytes = max(part.software.grad_bytes for part in asked.parts)
    n_bytes *= n_parameters(asked.training.shape) / min(part.n_ranks for part in asked.parts)
    hops = [
        float(summed_s(_route(asked, one, other), n_bytes, n))
        for one, other in itertools.combinations(asked.parts, 2)
    ]
    return max(hops)


def _of_shares(asked: _Asked, shares: _Shares) -> MixPrice:
    """Return the price of a batch that is dealt."""
    split = tuple(
        ByBatch(
            chip=part.chip.name,
            batch=batch,
            step_s=_step_s(one),
            layout=one.choices.layout.flat().at(0),
            held_bytes=float(one.choices.memory.total.flat[0]),
            memory_bytes=part.device.memory_bytes,
            n_used=one.n_chips,
        )
        for part, batch, one in zip(asked.parts, shares.batches, shares.found, strict=True)
    )
    steps_s = np.array([_step_s(one) for one in shares.found])
    steps = (steps_s * _errors(asked.kinds)).max(axis=1) + shares.across_s
    even = _dealt(asked, _even(asked))
    even_s = math.nan if even is None else even.step_s
    return _priced(asked, split, 0, shares.step_s, shares.across_s, steps, even_s)


def _even(asked: _Asked) -> tuple[int, ...]:
    """Return as many sequences for every chip, whole ones for every kind."""
    n_batch, n_all = asked.training.batch, sum(part.n for part in asked.parts)
    ends = itertools.accumulate(part.n for part in asked.parts)
    upto = [0, *(round(n_batch * end / n_all) for end in ends)]
    return tuple(max(1, end - start) for start, end in itertools.pairwise(upto))


# What is said of it


def _errors(kinds: Sequence[Kind]) -> FloatArray:
    """Return by how much the times of kinds may be wrong together; shape (n_looked_at, n_kinds).

    Errors of kinds are taken independent, and each is lognormal with its band from its 5th to its
    95th percentile; what is looked at is a grid of their quantiles, equally likely each.
    """
    from scipy.special import ndtri  # slow to import

    n = GRID[len(kinds)]
    normal = ndtri((np.arange(n) + 0.5) / n)
    logs = []
    for kind in kinds:
        low, high = math.log(kind.band.low), math.log(kind.band.high)
        logs.append((low + high) / 2 + (high - low) / (2 * INTERVAL) * normal)
    factors: FloatArray = np.exp(np.stack([one.ravel() for one in np.meshgrid(*logs)], axis=1))
    return factors


def _priced(
    asked: _Asked,
    split: tuple[Group, ...] | tuple[ByBatch, ...],
    n_micro: int,
    step_s: float,
    across_s: float,
    steps_s: FloatArray,
    even_s: float,
) -> MixPrice:
    """Return a price with its bounds; model, other ways and names are still to be filled in."""
    kinds, training = asked.kinds, asked.training
    alone = np.array([kind.alone_s for kind in kinds])
    together = float((1.0 / alone).sum())
    efficiencies = np.full(1, math.nan)
    if together > 0:
        efficiencies = 1.0 / (steps_s * (1.0 / (alone * _errors(kinds))).sum(axis=1))
    low_s, high_s = np.quantile(steps_s, (0.05, 0.95))
    low, high = np.quantile(efficiencies, (0.05, 0.95))
    value = 1.0 / (step_s * together) if together > 0 else math.nan
    used = {one.chip: one.n_used for one in split}
    return MixPrice(
        model="",
        precision=asked.precision,
        seq=training.seq,
        batch=training.batch,
        kinds=kinds,
        link=asked.link,
        split=split,
        n_micro=n_micro,
        step_s=step_s,
        low_s=float(low_s),
        high_s=float(high_s),
        across_s=across_s,
        efficiency=Efficiency(value, "sum of homogeneous"),
        efficiency_low=float(low),
        efficiency_high=float(high),
        baselines=(
            *(Efficiency(kind.equal_s / step_s, "equal count", kind.chip) for kind in kinds),
            Efficiency(even_s / step_s, "even split"),
        ),
        other_s=math.inf,
        n_priced=0,
        notes=tuple(
            note("mixed_chips_unused", chip=kind.chip, n=kind.n - used[kind.chip], n_chips=kind.n)
            for kind in kinds
            if used[kind.chip] < kind.n
        ),
    )
