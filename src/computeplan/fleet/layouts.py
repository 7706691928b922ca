"""Layouts of a chip that may serve a load within limits, and what none of them can exceed.

Layouts are ranked by their steady state, which costs next to nothing, over the engines and
precisions of which most is known of the chip. Of the first ones the times of steps are tabulated,
from which a layout's rate is bounded from above: no arrivals can be kinder than a batch that never
varies, whose prompts come in at their best, and whose steps are no longer than the limit.

Long because what holds and why nothing does stand together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from computeplan.analytic.serving import mean_prompt_s
from computeplan.arrays import FloatArray
from computeplan.compiler.serving import Served as Compiled
from computeplan.compiler.serving import served
from computeplan.engines.serve.policy import ServePolicy, Slo
from computeplan.fleet.roles import Role, cached_frac_of, handed_over
from computeplan.notes import Note, note
from computeplan.physics.serving.instance import Instance, Speculation, Split
from computeplan.physics.serving.layouts import Held, at, best_batches, holding, splits
from computeplan.physics.serving.room import cache_tokens, need_of
from computeplan.physics.serving.steady import continuous, least_s, terms_of
from computeplan.physics.serving.steps import FIRST_TOKEN_S, StepTimes
from computeplan.physics.serving.tabulate import step_times, times_of_table
from computeplan.physics.steptime.memory import GIB
from computeplan.physics.steptime.transformer import shape_of
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.models import Transformer
from computeplan.specs.catalogue.serving import (
    KNOWN,
    OTHER,
    engine_of,
    engines_of,
    serving_tables,
    share_of,
)
from computeplan.world.load import Load

__all__ = [
    "AS_USUAL",
    "Bound",
    "Candidate",
    "NoneHolds",
    "Settings",
    "bound_of",
    "candidates",
    "engines_on",
    "measured",
    "scaled",
]

MOST_LAYOUTS = 24
"""Layouts, of all engines and precisions, whose steps are tabulated; and half as many besides that
share out experts over more ranks than hold the model."""
MOST_RANKS = 64
"""Of an instance that is looked for, where less holds the model."""
MOST_WIDE_RANKS = 256
"""Of an instance that shares out experts; 320 at most are published, 256 is the power of two."""
SURE_FRAC = 0.9
"""Share of requests from which a limit holds for the mean too."""
PLAIN = ("bf16", "fp16", "fp8")
"""Precisions that are tried where nothing was measured of a chip."""
ASKED = ("int4", "w4a8")
"""Precisions that are taken only where they are asked for: answers change, and no chip multiplies
them as they are."""


class NoneHolds(Exception):  # noqa: N818 - what is found, not what went wrong
    """No layout of a chip holds the load within its limits; says why."""

    def __init__(self, why: Note) -> None:
        super().__init__(why.code)
        self.why = why


@dataclass(frozen=True, slots=True)
class Settings:
    """What is said of an instance instead of being looked for."""

    cache: str | None = None
    """Precision of the cache; that of the engine if left out."""
    max_batch: int | None = None
    """Sequences at once, at most; that of the engine if left out."""
    split: Split | None = None
    """Of one number each; all are tried if left out."""
    speculation: Speculation | None = None
    """Tokens drafted and accepted a step; none if left out."""
    role: Role = "both"
    """What instances do of each request; loads and limits are given as of that role."""


AS_USUAL = Settings()


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A layout that holds the model and a batch, with the times of its steps."""

    compiled: Compiled
    precision: str
    split: Split
    """Of one number each."""
    n_chips: int
    """Of an instance."""
    times: StepTimes
    policy: ServePolicy
    bound_per_s: float
    """What no simulation can exceed within the limits. [1/s]"""
    bound_batch: int
    """Sequences that decode at that rate."""
    role: Role = "both"
    """What it does of each request."""

    @property
    def layout(self) -> str:
        """The layout as it is written."""
        named = ((name, int(getattr(self.split, name))) for name in ("tp", "pp", "dp", "ep"))
        return " ".join(f"{name}{n}" for name, n in named if n > 1 or name == "tp")


def scaled(times: StepTimes, factor: float) -> StepTimes:
    """Return step times that are all longer by a factor, but for the first token's way out."""
    return replace(
        times,
        decode_s=times.decode_s * factor,
        context_s=times.context_s * factor,
        window_s=times.window_s * factor,
        prefill_s=times.prefill_s * factor,
        prompt_context_s=times.prompt_context_s * factor,
    )


class Bound(NamedTuple):
    """What an instance cannot exceed within limits."""

    per_s: float
    """Requests a second. [1/s]"""
    batch: int
    """Sequences that decode at that rate."""


def bound_of(times: StepTimes, load: Load, slo: Slo, *, has_prompts: bool = True) -> Bound:
    """Return requests a second that an instance cannot exceed within limits, and their batch.

    Parameters
    ----------
    times : StepTimes
    load : Load
    slo : Slo
    has_prompts : bool, optional
        Whether it takes in prompts, rather than getting requests with their cache.

    Examples
    --------
    A step of 10 ms for up to two sequences, an answer of 51 tokens after a prompt of 0.1 s: two of
    them take 0.1 + 0.1 + 0.5 s.

    >>> from computeplan.world.load import Lengths
    >>> decode, knots = np.array([0.0, 0.01, 0.01]), np.array([0.0, 100.0])
    >>> times = StepTimes(decode, 0.0, 0.0, np.inf, knots, np.array([0.0, 0.1]), 0.0, 1e4)
    >>> load = Load(np.ones(1), 1.0, Lengths(100, 0, 100), Lengths(51, 0, 51), 0.0)
    >>> round(1 / bound_of(times, load, Slo(1.0, 0.05)).per_s, 3)  # 0.7 s for two
    0.35
    >>> bound_of(times, load, Slo(1.0, 0.011)).batch  # no prompt beside another answer
    1
    """
    n_steps = max(load.output_tokens.mean - 1.0, 1e-9)
    knots, seconds = times.prompt_tokens, times.prefill_s
    fresh = load.input_tokens.mean * (1.0 - load.cached_frac)
    alone = mean_prompt_s(times, load)
    whole = float(np.interp(fresh, knots, seconds)) if fresh <= knots[-1] else math.inf
    best = fresh * float((seconds[1:] / knots[1:]).min())
    prompt_s = max(0.0, alone - max(0.0, min(whole, alone) - best)) if has_prompts else 0.0
    context = load.input_tokens.mean + load.output_tokens.mean / 2.0
    most = min(times.max_batch, int(times.cache_tokens / load.input_tokens.mean))
    if most < 1:
        return Bound(0.0, 0)
    batch = np.arange(1, most + 1)
    read_s = times.context_s * context + times.window_s * min(context, times.window)
    step_s = times.decode_s[1 : most + 1] + batch * read_s
    tpot_s = step_s + (batch - 1) / n_steps * prompt_s
    per_s = 1.0 / (prompt_s + n_steps * step_s / batch)
    allowed = tpot_s <= slo.tpot_s if slo.tpot_frac >= SURE_FRAC else step_s < math.inf
    if not allowed.any():
        return Bound(0.0, 0)
    best = int(np.where(allowed, per_s, 0.0).argmax())
    if load.output_tokens.mean <= 1.0:  # nothing decodes
        best = 0
    return Bound(float(per_s[best]), best + 1)


def engines_on(
    chip: Chip, model: Transformer, *, engine: str | None = None, precision: str | None = None
) -> list[list[tuple[str, str]]]:
    """Return engines with precisions by what is known of them on a chip, the most first.

    Parameters
    ----------
    chip, model : Chip, Transformer
    engine, precision : str, optional
        Where one is given, no other is returned. Weights of four bits are taken by themselves only
        where the chip multiplies them, or the model is published in them.

    Raises
    ------
    ValueError
        If the engine does not run on the chip.
    """
    tables, experts = serving_tables(), shape_of(model.architecture()).moe is not None
    names = engines_of(chip.kin) if engine is None else [engine_of(engine, chip.kin)]
    found: dict[int, list[tuple[str, str]]] = {}
    for name in names:
        for weights in tables.precisions if precision is None else [precision]:
            known = KNOWN.index(share_of(name, weights, chip.kin, experts=experts).known)
            if precision is None and not _may(chip, model, weights, measured=known == 0):
                continue
            found.setdefault(known, []).append((name, weights))
    return [found[known] for known in sorted(found)]


def _may(chip: Chip, model: Transformer, weights: str, *, measured: bool) -> bool:
    """Return whether weights of a precision are tried on a chip that nobody asked for."""
    tables = serving_tables()
    first = tables.precisions[weights].products[0]
    peaks = chip.peak_dense.items()
    is_native = any(name == first and figure.value is not None for name, figure in peaks)
    if weights == "fp4":
        is_native = is_native or any(part in model.name for part in tables.mxfp4)
    if weights in ASKED or (weights == "fp4" and not is_native):
        return False
    return measured or (weights in PLAIN and is_native)


def candidates(
    chip: Chip,
    model: Transformer,
    load: Load,
    slo: Slo,
    pairs: Iterable[tuple[str, str]],
    settings: Settings = AS_USUAL,
    most: int = MOST_LAYOUTS,
) -> tuple[list[Candidate], int]:
    """Return layouts that hold a load and may hold the limits, the best bound first; and how many.

    Parameters
    ----------
    chip, model : Chip, Transformer
    load : Load
    slo : Slo
    pairs : iterable of (engine, precision)
    settings : Settings, optional
    most : int, optional
        Layouts whose steps are tabulated, and half as many wide ones.

    Raises
    ------
    NoneHolds
        If no layout holds the model, or none can keep the limits whatever the load.
    ValueError
        If a figure of the chip is missing.
    """
    n_in, n_out = load.input_tokens.mean, load.output_tokens.mean
    ranked: list[tuple[float, str, str, Split]] = []
    ranked_wide: list[tuple[float, str, str, Split]] = []
    held, n_layouts = [], 0
    for engine, precision in pairs:
        some = _splits(chip, model, engine, precision, n_in, n_out, settings)
        n_layouts += len(some.split.tp)
        if not len(some.split.tp):
            continue
        held.append(some)
        wide = _wide(chip, model, some, n_in, n_out, settings)
        n_layouts += len(wide.split.tp)
        ranked += _ranked(some, engine, load, slo, settings.role)
        ranked_wide += _ranked(wide, engine, load, slo, settings.role)
    if not held:
        raise NoneHolds(_no_room(chip, model, list(pairs), load, settings))
    if not ranked and not ranked_wide:
        raise NoneHolds(_too_slow(chip, held, load, slo, settings.role))
    ranked.sort(key=lambda one: -one[0])
    first = ranked[:most]
    smallest = min(ranked or ranked_wide, key=lambda one: float(one[3].n_ranks))
    if smallest not in first:
        first.append(smallest)
    ranked_wide.sort(key=lambda one: -one[0])
    first += [one for one in ranked_wide[: most // 2] if one not in first]
    made = [
        _candidate(chip, model, engine, precision, split, load, slo, settings)
        for _, engine, precision, split in first
    ]
    good = [one for one in made if one is not None and one.bound_per_s > 0]
    if not good:
        raise NoneHolds(_too_slow(chip, held, load, slo, settings.role))
    return sorted(good, key=lambda one: -one.bound_per_s / one.n_chips), n_layouts


def measured(
    chip: Chip,
    model: Transformer,
    load: Load,
    slo: Slo,
    pair: tuple[str, str],
    settings: Settings,
    steps: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
) -> Candidate:
    """Return a layout with measured times of its steps.

    Parameters
    ----------
    chip, model, load, slo : Chip, Transformer, Load, Slo
    pair : (engine, precision)
        Of an engine that is not known, the memory is that of the usual one on the chip.
    settings : Settings
        With the layout.
    steps : tuple of ndarray
        Batch, context, prompt tokens and seconds, as of `times_of_table`.

    Raises
    ------
    ValueError
        If the layout does not hold the model, or the table lacks a kind of steps.
    """
    engine, precision = pair
    if engine not in serving_tables().engines:
        engine = next(iter(engines_of(chip.kin)), OTHER)
    split = settings.split
    assert split is not None
    compiled = _served(chip, model, engine, precision, split, settings)
    n_in, n_out = load.input_tokens.mean, load.output_tokens.mean
    if not len(holding(replace(compiled.instance, split=at(split, np.newaxis)), n_in, n_out)):
        raise NoneHolds(_no_room(chip, model, [(engine, precision)], load, settings))
    room = float(cache_tokens(compiled.instance, n_in + n_out))
    times = times_of_table(*steps, cache_tokens=room)
    if settings.max_batch is not None:
        times = replace(times, decode_s=times.decode_s[: settings.max_batch + 1])
    return _in_role(chip, compiled._replace(borrowed=None), precision, times, load, slo, settings)


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """Layouts of one engine and precision that hold the model and one request."""

    compiled: Compiled
    precision: str
    split: Split

    @property
    def instance(self) -> Instance:
        """The instance with these layouts."""
        return replace(self.compiled.instance, split=self.split)


def _served(
    chip: Chip,
    model: Transformer,
    engine: str,
    precision: str,
    split: Split,
    settings: Settings,
) -> Compiled:
    """Return a model on ranks of a chip, with what is said of it."""
    found = served(
        chip,
        model,
        engine,
        precision,
        split,
        cache=settings.cache,
        speculation=settings.speculation,
    )
    if settings.max_batch is None:
        return found
    most = min(found.instance.engine.max_batch, settings.max_batch)
    policy = replace(found.instance.engine, max_batch=most)
    return found._replace(instance=replace(found.instance, engine=policy))


def _splits(
    chip: Chip,
    model: Transformer,
    engine: str,
    precision: str,
    n_in: float,
    n_out: float,
    settings: Settings,
) -> _Held:
    """Return the layouts that hold the model: of a domain, or beyond it where none does.

    Pipelines only where no layout without one holds it: published ones are predicted within a
    factor of two only, and no single prompt is faster for its stages.
    """
    if settings.split is not None:
        only = at(settings.split, np.newaxis)
        compiled = _served(chip, model, engine, precision, only, settings)
        return _Held(compiled, precision, holding(compiled.instance, n_in, n_out).split)
    shape = shape_of(model.architecture())
    one = served(chip, model, engine, precision, Split.of())
    domain = max(1, int(one.instance.fabric.domain))
    most = min(domain, MOST_RANKS)
    while True:
        split = splits(shape, domain, most)
        whole = split.n_ranks % chip.ranks_per_chip == 0
        compiled = _served(chip, model, engine, precision, at(split, whole), settings)
        found = holding(compiled.instance, n_in, n_out)
        if (found.split.pp == 1.0).any():
            found = Held(at(found.split, found.split.pp == 1.0), found.batch)
        if len(found.split.tp) or most >= max(MOST_RANKS, domain):
            return _Held(compiled, precision, found.split)
        most = min(2 * most, max(MOST_RANKS, domain))


def _wide(
    chip: Chip, model: Transformer, some: _Held, n_in: float, n_out: float, settings: Settings
) -> _Held:
    """Return layouts of more ranks than those that hold the model, over which experts are shared.

    Each rank reads fewer experts for its share of a larger batch; attention is data parallel.
    """
    shape = shape_of(model.architecture())
    split = some.split
    if settings.split is not None or shape.moe is None:
        return replace(some, split=at(split, np.zeros(len(split.tp), dtype=bool)))
    domain = max(1, int(some.instance.fabric.domain))
    wide = splits(shape, domain, MOST_WIDE_RANKS)
    n_ranks = wide.n_ranks
    keep = (wide.pp == 1.0) & (wide.dp > 1.0) & (n_ranks > split.n_ranks.max())
    wide = at(wide, keep & (n_ranks % chip.ranks_per_chip == 0))
    if not len(wide.tp):
        return replace(some, split=wide)
    compiled = _served(chip, model, some.compiled.engine, some.precision, wide, settings)
    return _Held(compiled, some.precision, holding(compiled.instance, n_in, n_out).split)


def _ranked(
    some: _Held, engine: str, load: Load, slo: Slo, role: Role
) -> list[tuple[float, str, str, Split]]:
    """Return layouts that keep the limits in a steady state, with tokens a second of a rank."""
    if not len(some.split.tp):
        return []
    found, rates = best_batches(
        some.instance,
        load.input_tokens.mean,
        load.output_tokens.mean,
        tpot_s=slo.tpot_s if slo.tpot_frac >= SURE_FRAC else math.inf,
        ttft_s=slo.ttft_s - FIRST_TOKEN_S,
        cached_frac=cached_frac_of(load, role),
    )
    return [
        (float(rate), engine, some.precision, at(found.split, i)) for i, rate in enumerate(rates)
    ]


def _candidate(
    chip: Chip,
    model: Transformer,
    engine: str,
    precision: str,
    split: Split,
    load: Load,
    slo: Slo,
    settings: Settings,
) -> Candidate | None:
    compiled = _served(chip, model, engine, precision, split, settings)
    try:
        times = step_times(compiled.instance, load.input_tokens.mean, load.output_tokens.mean)
    except ValueError:  # no room for a batch of one
        return None
    return _in_role(chip, compiled, precision, times, load, slo, settings)


def _in_role(
    chip: Chip,
    compiled: Compiled,
    precision: str,
    times: StepTimes,
    load: Load,
    slo: Slo,
    settings: Settings,
) -> Candidate:
    """Return a layout with the times of its steps, in its role."""
    instance, role = compiled.instance, settings.role
    policy = ServePolicy.of(instance, times.max_batch)
    if role == "prefill":
        times = handed_over(times, instance, load.input_tokens.mean)
    policy = replace(policy, has_prompts=role != "decode")
    n_chips = math.ceil(float(instance.split.n_ranks) / chip.ranks_per_chip)
    bound = bound_of(times, load, slo, has_prompts=policy.has_prompts)
    return Candidate(compiled, precision, instance.split, n_chips, times, policy, *bound, role)


def _no_room(
    chip: Chip,
    model: Transformer,
    pairs: list[tuple[str, str]],
    load: Load,
    settings: Settings,
) -> Note:
    """Return how much memory the roomiest layout lacks."""
    shape = shape_of(model.architecture())
    least = math.inf
    values: dict[str, str | float | int] = {}
    for engine, precision in pairs:
        one = served(chip, model, engine, precision, Split.of())
        domain = max(1, int(one.instance.fabric.domain))
        split = splits(shape, domain, max(MOST_RANKS, domain))
        if settings.split is not None:
            split = at(settings.split, np.newaxis)
        compiled = _served(chip, model, engine, precision, split, settings)
        need = need_of(compiled.instance, 1.0, load.input_tokens.mean, load.output_tokens.mean)
        if float(need.min()) < least:
            least = float(need.min())
            values = {
                "n_ranks": int(split.n_ranks[int(need.argmin())]),
                "need_gib": least / GIB,
                "has_gib": compiled.instance.rank.memory_bytes / GIB,
                "precision": precision,
            }
    return note("serve_no_room", chip=chip.name, **values)


def _too_slow(chip: Chip, held: list[_Held], load: Load, slo: Slo, role: Role) -> Note:
    """Return the least times of all layouts for a request that meets no other.

    By what is fitted, and by bandwidth and peak alone, which no engine goes below.
    """
    least: tuple[list[tuple[float, str]], ...] = ([], [])
    floors: tuple[list[tuple[float, str]], ...] = ([], [])
    for some in held:
        split = some.split
        pairs = zip(split.tp, split.pp, strict=True)
        layouts = [f"tp{int(tp)} pp{int(pp)} {some.precision}" for tp, pp in pairs]
        terms = terms_of(
            some.instance,
            1.0,
            load.input_tokens.mean,
            load.output_tokens.mean,
            cached_frac=cached_frac_of(load, role),
        )
        steady = continuous(some.compiled.instance.speed, terms)
        fitted = (steady.tpot_s, steady.prompt_s + FIRST_TOKEN_S)
        for found, times in ((least, fitted), (floors, least_s(terms))):
            for one, seconds in zip(found, times, strict=True):
                whole = np.broadcast_to(seconds, len(layouts)).tolist()
                one += zip(whole, layouts, strict=True)
    best, bare = ([min(one) for one in found] for found in (least, floors))
    for place, asked in enumerate((slo.tpot_s, slo.ttft_s)):
        if best[place][0] <= asked:
            continue
        values: dict[str, str | float] = {
            "chip": chip.name,
            "limit_s": best[place][0],
            "layout": best[place][1],
            "floor_s": bare[place][0],
            "floor_layout": bare[place][1],
            "later_s": FIRST_TOKEN_S if place else 0.0,
            "asked_s": asked,
        }
        if place:
            return note("serve_ttft_limit", **values)
        return note("serve_tpot_limit", **values)
    return note("serve_both_limits", chip=chip.name, tpot_s=best[0][0], ttft_s=best[1][0])
