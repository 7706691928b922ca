"""Where chips, models and engines of the catalogue meet the physics of serving.

A chip, a model, an engine, a precision and a split over ranks become an `Instance`: peaks and bytes
of the precision, links, the engine's policy, and the shares it reaches, with whose they are.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from computeplan.compiler.hardware import (
    INTERVAL,
    capacity_of,
    fabric_of,
    half_peak,
    needed_figure,
    peak_of,
)
from computeplan.notes import Notes
from computeplan.physics.serving.instance import (
    Engine,
    Formats,
    Instance,
    Rank,
    Speculation,
    Speed,
    Split,
)
from computeplan.physics.steptime.transformer import Shape, shape_of
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.models import Transformer
from computeplan.specs.catalogue.serving import (
    OTHER,
    Borrowed,
    EngineEntry,
    HostEntry,
    Share,
    engine_of,
    serving_tables,
    share_of,
)

__all__ = ["Served", "cache_bytes", "instance_of", "served", "speed_of"]


class Served(NamedTuple):
    """An instance, and what its numbers rest on."""

    instance: Instance
    engine: str
    """The entry of the catalogue."""
    borrowed: Borrowed | None
    """Whose shares it takes; none where a user gave them."""
    notes: Notes

    @property
    def band(self) -> tuple[float, float]:
        """Where times are expected nine times out of ten, over those predicted."""
        if self.borrowed is None:
            return 1.0, 1.0
        factor = math.exp(INTERVAL * self.borrowed.spread)
        return 1.0 / factor, factor


def served(
    chip: Chip,
    model: Transformer,
    engine: str,
    precision: str,
    split: Split,
    *,
    cache: str | None = None,
    share: Share | None = None,
    speculation: Speculation | None = None,
    out_bytes_per_s: float | None = None,
) -> Served:
    """Return a model on ranks of a chip, by an engine.

    Parameters
    ----------
    chip : Chip
    model : Transformer
    engine : str
        As people call it, or an entry of the catalogue.
    precision : str
        Of the weights that multiply.
    split : Split
        Over ranks, of which a chip may have several.
    cache : str, optional
        Precision of the cache; if left out, of 8 bits with weights of floating 8 bits or fewer.
    share : Share, optional
        What is reached, instead of the catalogue's.
    speculation : Speculation, optional
    out_bytes_per_s : float, optional
        Out of the scale-up domain, per chip, instead of the data sheet's. [B/s]

    Raises
    ------
    ValueError
        If the engine does not run on the chip, the chip lacks a figure, or the precision is
        unknown.
    """
    key = engine if engine == OTHER else engine_of(engine, chip.kin)
    shape = shape_of(model.architecture())
    borrowed = None
    if share is None:
        borrowed = share_of(key, precision, chip.kin, experts=shape.moe is not None)
        share = borrowed.share
    instance, notes = instance_of(
        chip, model, key, precision, split, cache, out_bytes_per_s=out_bytes_per_s
    )
    speed = speed_of(key, shape, share)
    found = replace(instance, speed=speed, speculation=speculation or Speculation())
    return Served(found, key, borrowed, notes)


def instance_of(
    chip: Chip,
    model: Transformer,
    engine: str,
    precision: str,
    split: Split,
    cache: str | None = None,
    *,
    out_bytes_per_s: float | None = None,
) -> tuple[Instance, Notes]:
    """Return an instance whose speed is that of a data sheet, and notes.

    Parameters are those of `served`; the engine is an entry of the catalogue.
    """
    tables = serving_tables()
    if precision not in tables.precisions:
        known = ", ".join(tables.precisions)
        raise ValueError(f"no precision {precision!r}; engines serve weights of {known}")
    shape = shape_of(model.architecture())
    ranks = chip.ranks_per_chip
    half = half_peak(chip, precision)
    weights = tables.precisions[precision]
    peak = _best_peak(chip, weights.products)
    dense, experts, expert_peak = weights.weight_bytes, weights.weight_bytes, peak
    name = model.name or ""
    if weights.weight_bytes < 1.0 and any(part in name for part in tables.experts_only):
        dense, dense_peak = 2.0, half
    else:
        dense_peak = peak
    if precision == "fp4" and any(part in name for part in tables.mxfp4):
        experts = tables.precisions["w4a8"].weight_bytes
        expert_peak = _best_peak(chip, ["fp8"]) if _has(chip, "fp4") else half
    rate = needed_figure(chip, chip.memory.bandwidth, "memory.bandwidth", "2 TB/s")
    rank = Rank(
        memory_bytes=capacity_of(chip) / ranks,
        memory_bytes_per_s=rate / ranks,
        half_flop_per_s=half / ranks,
        dense_flop_per_s=dense_peak / ranks,
        expert_flop_per_s=expert_peak / ranks,
    )
    n_chips = float(np.max(split.n_ranks)) / ranks
    fabric, notes = fabric_of(chip, out_bytes_per_s, n_chips=n_chips)
    policy = _policy(tables.engines[engine])
    formats = Formats(dense, experts, cache_bytes(cache, precision))
    sheet = Share(memory_frac=1.0, peak_frac=1.0, rows=0, models=0, error=0.0)
    speed = speed_of(engine, shape, sheet)
    return Instance(shape, rank, formats, fabric, split, speed, policy), notes


def cache_bytes(cache: str | None, precision: str) -> float:
    """Return the bytes of a cached number.

    Raises
    ------
    ValueError
        If the precision is unknown.

    Examples
    --------
    >>> cache_bytes(None, "fp8"), cache_bytes(None, "int8"), cache_bytes("fp8", "bf16")
    (1.0, 2.0, 1.0)
    """
    if cache is None:
        return 1.0 if precision in ("fp8", "fp4") else 2.0
    known = {"bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5625, "int4": 0.53}
    if cache not in known:
        raise ValueError(f"no precision {cache!r} of a cache; known: {', '.join(known)}")
    return known[cache]


def speed_of(engine: str, shape: Shape, share: Share, host: HostEntry | None = None) -> Speed:
    """Return the speed of an engine with some share of bandwidth and peak.

    Its host is that of the catalogue, of the engine or of one that is like it, if none is given.
    """
    tables = serving_tables()
    entry = tables.engines[engine]
    name = engine
    seen = {name}
    while host is None:
        host = tables.hosts.get(name)
        following = tables.engines[name].like
        if host is None and following in seen:
            host = next(iter(tables.hosts.values()))
        name = following
        seen.add(name)
    return Speed(
        memory_frac=share.memory_frac,
        peak_frac=share.peak_frac,
        start_s=host.start_s,
        layer_s=entry.layer_s if shape.moe is None else entry.expert_layer_s,
        sequence_s=host.sequence_s,
        call_s=entry.call_s,
    )


def _policy(entry: EngineEntry) -> Engine:
    return Engine(
        memory_frac=entry.memory_frac,
        of_free=entry.of_free,
        grows=entry.grows,
        max_batch=entry.max_batch,
        chunk=entry.chunk,
        host_ranks=entry.host_ranks,
        two_batches=entry.two_batches,
        once_a_server=entry.once_a_server,
    )


def _has(chip: Chip, precision: str) -> bool:
    return any(
        name == precision and figure.value is not None for name, figure in chip.peak_dense.items()
    )


def _best_peak(chip: Chip, precisions: list[str]) -> float:
    """Return the dense peak at the first of some precisions that a chip has."""
    for precision in precisions:
        if _has(chip, precision):
            return peak_of(chip, precision)
    return peak_of(chip, precisions[-1])
