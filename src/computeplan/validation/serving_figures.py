"""Figures of one instance that often-quoted claims are about, as the model gives them.

Speed of a stream and of a chip, and watt-hours of a request, of a model on chips at a batch, at
rest: requests never run out. Watt-hours are at the meter of the node, which stands whole for the
instance. The day that DeepSeek published is counted in nodes, by its own two rates or by ours.

Sources
-------
.. [1] deepseek-ai/open-infra-index, day 6: 608 G tokens in, 56.3 % of them cached, 168 G out, in
       24 h on 226.75 nodes of 8 H800 in the mean; 73,700 tokens/s in (with cached ones) and 14,800
       out a node; prompts on 4 nodes together, answers on 18; 20 to 22 tokens/s a user; 4,989
       cached tokens of a token out in the mean.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from computeplan.compiler.power import node_of
from computeplan.compiler.serving import served
from computeplan.physics.power.node import node_watts
from computeplan.physics.serving.instance import Split
from computeplan.physics.serving.power import Draw, chip_w
from computeplan.physics.serving.room import largest_batch, why_too_small
from computeplan.physics.serving.steady import continuous, decode_of, prompt_rate, static, terms_of
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.lookup import load_chip, load_model
from computeplan.specs.catalogue.serving import serving_tables
from computeplan.specs.catalogue.serving_power import known_draw
from computeplan.validation.serving_fit import utilisation

__all__ = [
    "PUBLISHED_DAY",
    "Asked",
    "Figures",
    "ServedDay",
    "day_by_our_rates",
    "figures_of",
    "first_batch_below",
    "nodes_of",
]

S_PER_DAY, S_PER_HOUR = 86_400.0, 3600.0
DERATING = 0.7
"""Production over benchmark, by default: DeepSeek's own day has half of its profile's speed for
prompts and 0.8 of it for answers [1]_."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A model on chips, and its requests."""

    model: str
    chip: str
    engine: str
    precision: str
    tp: int
    n_in: float
    n_out: float
    batch: float | None = None
    """Sequences that decode; what there is room for if left out."""
    is_static: bool = False
    """Whether a batch begins and ends together."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What an instance yields at rest."""

    batch: float
    room: float
    """Sequences, and the most that have room."""
    tokens_per_s: float
    tokens_per_s_chip: float
    tokens_per_s_user: float
    """Output tokens. [token/s]"""
    chip_w: float
    node_w: float
    """Of a chip at its meter, and of a node at its own. [W]"""
    wh_per_request: float
    """At the meter of the node. [Wh]"""
    known: str
    """What the shares were fitted of."""


def figures_of(asked: Asked) -> Figures:
    """Return what an instance yields.

    Raises
    ------
    ValueError
        If the batch has no room, with what would help.
    """
    chip, model = load_chip(asked.chip)[0], load_model(asked.model)[0]
    split = Split.of(tp=asked.tp)
    found = served(chip, model, asked.engine, asked.precision, split)
    instance = found.instance
    room = float(largest_batch(instance, asked.n_in, asked.n_out))
    batch = room if asked.batch is None else asked.batch
    if not 1.0 <= batch <= room:
        raise ValueError(why_too_small(instance, max(batch, 1.0), asked.n_in, asked.n_out))
    at_once = batch if asked.is_static else None
    terms = terms_of(instance, batch, asked.n_in, asked.n_out, at_once=at_once)
    steady = (static if asked.is_static else continuous)(instance.speed, terms)
    tokens = float(steady.tokens_per_s)
    n_chips = asked.tp / chip.ranks_per_chip
    each_w, node_w, in_node = _watts(chip, *utilisation(terms, instance.speed))
    joules = node_w * n_chips / in_node * asked.n_out / tokens
    return Figures(
        batch=batch,
        room=room,
        tokens_per_s=tokens,
        tokens_per_s_chip=tokens / n_chips,
        tokens_per_s_user=1.0 / float(steady.tpot_s),
        chip_w=each_w,
        node_w=node_w,
        wh_per_request=joules / S_PER_HOUR,
        known="given" if found.borrowed is None else found.borrowed.known,
    )


def _watts(chip: Chip, bandwidth: float, peak: float) -> tuple[float, float, int]:
    """Return the watts of a chip and of its node, and the chips of a node."""
    each_w = float(chip_w(Draw(*known_draw(chip)[:4]), bandwidth, peak))
    n, node = node_of(chip)
    return each_w, float(node_watts(n * each_w, node)), n


def first_batch_below(asked: Asked, wh: float) -> float | None:
    """Return the smallest batch whose requests take at most so many Wh, None if none has room."""
    room = int(figures_of(replace(asked, batch=1.0)).room)
    for batch in range(1, room + 1):
        if figures_of(replace(asked, batch=float(batch))).wh_per_request <= wh:
            return float(batch)
    return None


# The day of DeepSeek -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ServedDay:
    """Tokens of a day, and what was said of the nodes that served them."""

    tokens_in: float
    tokens_out: float
    cached_frac: float
    nodes: float
    in_per_s: float
    out_per_s: float
    """Of a node, cached tokens counted. [token/s]"""
    user_per_s: float
    """Tokens a second that a user sees, mean of the range."""
    context: float
    """Cached tokens that a token out attends to, mean."""


PUBLISHED_DAY = ServedDay(608e9, 168e9, 0.563, 226.75, 73_700.0, 14_800.0, 21.0, 4989.0)
"""As published [1]_."""
PREFILL_NODES, DECODE_NODES, NODE_CHIPS = 4, 18, 8
PROMPT = 4096.0
"""Tokens of a prompt: as in the published profile; the mean of the day is not published."""


def nodes_of(day: ServedDay, in_per_s: float, out_per_s: float) -> float:
    """Return the nodes that a day takes at two rates of a node.

    Examples
    --------
    >>> round(nodes_of(PUBLISHED_DAY, 73_700.0, 14_800.0), 1)
    226.9
    """
    return (day.tokens_in / in_per_s + day.tokens_out / out_per_s) / S_PER_DAY


def day_by_our_rates(day: ServedDay, derating: float = DERATING) -> tuple[float, float, float]:
    """Return what we say of a node, prompts and answers in token/s, and the nodes of a day.

    Parameters
    ----------
    day : ServedDay
    derating : float, optional
        Production over what we say of both rates.

    Notes
    -----
    The batch is the largest at which a user still sees the published speed before the derating.
    Of prompts only what is not cached is computed; a rate counts cached tokens too.
    """
    chip, model = load_chip("nvidia/h800")[0], load_model("deepseek/deepseek-v3")[0]
    n_in, n_out = (NODE_CHIPS * nodes for nodes in (PREFILL_NODES, DECODE_NODES))
    takes = served(chip, model, "deepseek", "fp8", Split.of(dp=n_in, ep=n_in)).instance
    gives = served(chip, model, "deepseek", "fp8", Split.of(dp=n_out, ep=n_out)).instance
    chunk = serving_tables().engines["deepseek"].chunk * n_in
    computed = float(prompt_rate(takes, chunk, PROMPT)) / PREFILL_NODES
    batch = np.arange(1.0, takes.engine.max_batch + 1.0) * n_out
    step = decode_of(gives.speed, terms_of(gives, batch, day.context, 1.0, at_once=1.0))
    place = int(np.flatnonzero(step <= 1.0 / day.user_per_s).max())
    out = float(batch[place] / step[place]) / DECODE_NODES
    nodes = nodes_of(day, derating * computed / (1.0 - day.cached_frac), derating * out)
    return computed / (1.0 - day.cached_frac), out, nodes
