"""How many layers each stage of a pipeline has, where a layout says it.

Sources
-------
.. [1] NVIDIA/Megatron-LM, megatron/core/transformer/pipeline_parallel_layer_layout.py: the grammar
       of ``--pipeline-model-parallel-layout``.
"""

from __future__ import annotations

import re

from computeplan.specs.jobs import Parallelism

__all__ = ["stages_of"]

MOST_LETTERS = 100_000
GROUP, LETTER = re.compile(r"\(([^()]+)\)\*(\d{1,6})"), re.compile(r"([^*)])\*(\d{1,6})")


def stages_of(given: Parallelism, layers: int) -> tuple[int, ...]:
    """Return the layers on every stage, empty where the layout does not say it.

    Parameters
    ----------
    given : Parallelism
    layers : int
        Of the model.

    Raises
    ------
    ValueError
        If they are not the layers of the model, or no stages of the layout.

    Examples
    --------
    >>> stages_of(Parallelism(pp=4, first_stage_layers=2, last_stage_layers=2), 12)
    (2, 4, 4, 2)
    >>> stages_of(Parallelism(pp=4, virtual_stages=2, stages="Et|(tt|)*5,t|L"), 12)
    (3, 4, 3, 2)
    """
    ends = given.first_stage_layers, given.last_stage_layers
    if given.stages is None:
        return () if ends == (None, None) else _between(given, layers)
    if ends != (None, None):
        raise ValueError("stages says the layers of each stage: leave first_ and last_stage_layers")
    parts = _unrolled(given.stages).split("|")
    if len(parts) != given.pp * given.virtual_stages:
        raise ValueError(
            f"stages has {len(parts)} parts, and pp x virtual_stages is"
            f" {given.pp * given.virtual_stages}"
        )
    if not parts[0].startswith("E") or not parts[-1].endswith("L"):
        raise ValueError("stages must begin with E, the embedding, and end with L, the loss")
    if sum(part.count("t") for part in parts) != layers:
        n = sum(part.count("t") for part in parts)
        raise ValueError(f"stages has {n} layers (t), and the model has {layers}")
    return tuple(
        sum(part.count("t") for part in parts[stage :: given.pp]) for stage in range(given.pp)
    )


def _between(given: Parallelism, layers: int) -> tuple[int, ...]:
    """Return the stages with the first and last as given, the rest dealt evenly among the others.

    The last of the others have fewer.
    """
    first, last, pp = given.first_stage_layers, given.last_stage_layers, given.pp
    inner = pp - (first is not None) - (last is not None)
    left = layers - (first or 0) - (last or 0)
    if inner < 0 or left < inner or (inner == 0 and left):
        raise ValueError(
            f"first_stage_layers and last_stage_layers leave {left} of {layers} layers to"
            f" {max(inner, 0)} other stages"
        )
    few, more = divmod(left, inner) if inner else (0, 0)
    between = tuple(few + (place < more) for place in range(inner))
    return (
        *(() if first is None else (first,)),
        *between,
        *(() if last is None else (last,)),
    )


def _unrolled(text: str) -> str:
    """Return a layout text without repetitions [1]_."""
    found = text.replace(",", "").replace(" ", "")
    for pattern in (GROUP, LETTER):
        size = sum(len(m[1]) * int(m[2]) for m in pattern.finditer(found))
        if size > MOST_LETTERS:
            raise ValueError(f"stages repeats more than {MOST_LETTERS:,} letters")
        found = pattern.sub(lambda m: m[1] * int(m[2]), found)
    strange = sorted(set(found) - set("EtmL|"))
    if strange:
        raise ValueError(
            f"stages has {strange[0]!r}; it is made of E, t, m, L, | and (...)*n, such as"
            " Et*3|(tt|)*29,m|L"
        )
    return found
