"""What a layer keeps for the backward pass, module by module, and what it costs to compute again.

Frameworks mean different things by selective recomputation, and let a user choose modules. One
table says of each module which bytes are not kept and which products run again, so that time and
memory follow from the same choice:

========================  ==================================  =================================
module                    not kept                            computed again
========================  ==================================  =================================
``core_attn``             scores, where they are kept at all  the attention core
``norms``                 outputs of the layer's norms        the norms
``mla_up_proj``           queries, keys and values            up-projections of latent attention
``activation``            inputs of the last MLP products     the activation
``mlp``                   inside of a dense MLP               its products but the last
``shared_experts``        inside of shared experts            their products but the last
``moe``                   inside of all experts               their products, traffic, messages
``second_products``       all but the layer's input, the      every second product and all that
                          output of the attention core and    is no product; not the attention
                          of every second product             core
========================  ==================================  =================================

Sources
-------
.. [1] NVIDIA/Megatron-LM, ``--recompute-modules`` and megatron/core/transformer: outputs of norms,
       up-projections and activations are dropped once used, whole modules are checkpointed.
.. [2] DeepSeek-AI, arXiv 2412.19437, section 3.2.3: norms, up-projections and the activation of
       experts are computed again.
.. [3] pytorch/torchtitan, torchtitan/models/llama3/parallelize.py (op-level selective activation
       checkpointing): outputs of attention and of every second matrix product are saved.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from computeplan.physics.steptime.transformer import Shape, expert_width, value_width

__all__ = [
    "ALIASES",
    "MODULES",
    "dropped_bytes",
    "kept_of_products",
    "known",
    "runs_again",
    "share_again",
    "split_products",
]

MODULES = (
    "core_attn",
    "norms",
    "mla_up_proj",
    "activation",
    "mlp",
    "shared_experts",
    "moe",
    "second_products",
)
"""By name; see the table above."""
ALIASES = {"layernorm": "norms", "moe_act": "activation"}
"""Megatron's names of some [1]_."""


def known(names: Any) -> tuple[str, ...]:
    """Return modules by the names of `MODULES`, each once, in their order.

    Raises
    ------
    ValueError
        If a name is none of them, nor of `ALIASES`.

    Examples
    --------
    >>> known(["moe_act", "layernorm"])
    ('norms', 'activation')
    """
    found = {ALIASES.get(str(name), str(name)) for name in names}
    strange = sorted(found - set(MODULES))
    if strange:
        allowed = ", ".join((*MODULES, *ALIASES))
        raise ValueError(f"no module {strange[0]!r} to compute again; known: {allowed}")
    return tuple(name for name in MODULES if name in found)


def dropped_bytes(
    shape: Shape,
    tp: Any,
    sequence_parallel: Any,
    modules: tuple[str, ...],
    *,
    operand_bytes: float,
    experts: bool,
    blocks: float,
) -> Any:
    """Return what a layer does not keep of a token on one rank, scores aside [1]_ [2]_.

    Parameters
    ----------
    shape : Shape
        Of one kind of layers.
    tp, sequence_parallel : array_like
    modules : tuple of str
        Computed again, of `MODULES` without ``second_products``.
    operand_bytes : float
        Of one number in the input of a linear layer. [B]
    experts : bool
        Whether the layer holds experts.
    blocks : float
        Attention and MLP, as far as the layer has them.

    Returns
    -------
    ndarray
        [B/token]
    """
    dropped: Any = 0.0
    if "norms" in modules:
        cut = np.where(sequence_parallel, tp, 1.0)
        dropped = operand_bytes * shape.hidden * blocks / cut
    mla = shape.mla
    if "mla_up_proj" in modules and mla is not None:
        widths = 2 * (mla.qk_nope_head_dim + mla.qk_rope_head_dim) + mla.v_head_dim
        dropped = dropped + 2.0 * shape.heads * widths / tp
    before = 4.0 if shape.gated_mlp else 2.0  # of what the activation takes in
    inside = before + operand_bytes
    moe = shape.moe
    if not experts or moe is None:
        each = inside if "mlp" in modules else operand_bytes if "activation" in modules else 0.0
        return dropped + each * shape.ffn / tp
    activation = operand_bytes if "activation" in modules else 0.0
    shared = inside if {"moe", "shared_experts"} & set(modules) else activation
    routed = inside if "moe" in modules else activation
    numbers = (moe.shared_experts * shared + moe.top_k * routed) * moe.expert_ffn
    if "moe" in modules:
        numbers += operand_bytes * moe.top_k * expert_width(shape)
    return dropped + numbers / tp


def kept_of_products(
    shape: Shape, tp: Any, sequence_parallel: Any, products: list[tuple[Any, Any]]
) -> Any:
    """Return what a layer keeps of a token with ``second_products`` [3]_.

    Parameters
    ----------
    shape : Shape
        Of one kind of layers.
    tp, sequence_parallel : array_like
    products : list of tuple
        Width of the output and depth of every product, in their order; see `split_products`.

    Returns
    -------
    ndarray
        [B/token]
    """
    cut = np.where(sequence_parallel, tp, 1.0)
    core = 2.0 * shape.heads * value_width(shape) / tp
    kept = 2.0 * shape.hidden / cut + core
    for width, _ in products[::2]:
        kept = kept + 2.0 * np.where(width == shape.hidden, width / cut, width)
    return kept


def split_products(shape: Shape, products: list[Any], kv_heads: Any, tp: Any) -> list[Any]:
    """Return the products of attention one by one: queries, keys and values are three.

    Parameters
    ----------
    shape : Shape
        Of one kind of layers.
    products : list of tuple
        Width of the output and depth, queries, keys and values in one.
    kv_heads, tp : array_like
        Heads of keys and values on a rank; tensor parallel ranks.
    """
    if not shape.heads or any((shape.mla, shape.linear, shape.compressed, shape.shared_kv)):
        return products
    depth = products[0][1]
    widths = shape.heads / tp * shape.head_dim, kv_heads * shape.head_dim
    three = [(width, depth) for width in (*widths, kv_heads * value_width(shape))]
    return [*three, *products[1:]]


def share_again(products: list[tuple[Any, Any]]) -> Any:
    """Return the share of the work of products that ``second_products`` does again.

    Examples
    --------
    >>> share_again([(4096, 4096), (1024, 4096), (1024, 4096), (4096, 4096)])
    0.5
    """
    work = [width * depth for width, depth in products]
    return sum(work[1::2]) / sum(work)


def runs_again(modules: tuple[str, ...], part: str, *, ends: bool) -> bool:
    """Return whether a product of a layer runs again, by what it is part of.

    Parameters
    ----------
    modules : tuple of str
        Of `MODULES` without ``second_products``.
    part : str
        ``up`` (from latent vectors), ``mlp``, ``shared``, ``routed``; nothing else runs again.
    ends : bool
        Whether it is the last of its MLP, whose output no backward pass needs.
    """
    of_part = {
        "up": {"mla_up_proj"},
        "mlp": {"mlp"},
        "shared": {"moe", "shared_experts"},
        "routed": {"moe"},
    }
    whole = part == "routed"  # the tokens come back again, too, so the last product is needed
    return (whole or not ends) and bool(of_part.get(part, set()) & set(modules))
