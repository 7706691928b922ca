"""Where a framework and its switches meet the physics of a step."""

from __future__ import annotations

from computeplan.compiler.hardware import operand_bytes
from computeplan.physics.steptime.layout import Mixture, Software
from computeplan.physics.steptime.pipeline import SCHEDULES
from computeplan.specs.catalogue.fitted_speed import lineage
from computeplan.specs.catalogue.software import (
    framework_of,
    software_table,
    switches_of,
)
from computeplan.specs.software import GRAPH_SCOPES, Switches

__all__ = ["software_of"]

LAYER_OPS = 150.0
EXPERT_OPS = (8.0, 18.0)
"""Operators that the host launches for a layer with experts, forward and backward, and for every
local expert in half precision and with quantized operands, which are scaled, cast and transposed;
counted, estimates: between 100 and 220 of the first the fit hardly changes."""
EXPERT_OVERLAP = 0.6
"""Share of the messages to experts that two micro-batches side by side hide: 48 and 67 % measured
on one model (NVIDIA-NeMo/Megatron-Bridge, skills/), less what the messages take of the chip."""
FP8_ATTENTION = 2.0
"""Rate of attention in FP8 over half precision: the same share of a peak twice as high. An
estimate. Releases with fused experts have it (NVIDIA-NeMo/Megatron-Bridge 26.06)."""
REAL_ROUTING = 1.1
"""Work of the busiest rank over the mean where tokens choose their experts. An estimate: a step of
a trained DeepSeek-V3 takes 1.04 of one with balanced experts (MLPerf Training v6.0), one of an
untrained router 1.09 to 1.25."""


def software_of(
    given: Switches,
    precision: str = "bf16",
    schedule: str = "1f1b",
    chip: str = "nvidia/h100-sxm",
) -> tuple[Software, str, str]:
    """Return the switches of a framework, its attention kernel, and the entry that was used.

    Parameters
    ----------
    given : Switches
        The framework by any name that begins as an entry of the software table does.
    precision : str
        Of the linear layers.
    schedule : str
        Of the pipeline, a key of `SCHEDULES`.
    chip : str
        Full name in the catalogue.

    Examples
    --------
    >>> software_of(Switches(name="Megatron-LM"))[1:]
    ('unfused', 'Megatron-LM')
    """
    name, entry = framework_of(given.name, precision)
    switches = switches_of(entry.stack, chip, given)
    software = Software(
        flash=entry.attention != "unfused",
        dropout=entry.dropout,
        stops_early=entry.stops_early,
        grad_bytes=entry.grad_bytes,
        tp_exposed=entry.tp_exposed,
        grad_overlap=entry.grad_overlap,
        weight_overlap=entry.weight_overlap,
        operand_bytes=operand_bytes(precision),
        selective=entry.selective,
        logit_bytes=entry.logit_bytes,
        fragmentation=entry.fragmentation,
        schedule=SCHEDULES[schedule],
        mixture=_mixture(switches, precision, chip),
    )
    return software, entry.attention, name


def _mixture(switches: Switches, precision: str, chip: str) -> Mixture:
    """Return what switches come to: shares, and operators that the host launches."""
    assert switches.dispatcher is not None
    assert switches.graphs is not None
    # Without a dispatcher every rank has all experts; those that are apart are sent to by NCCL.
    name = "alltoall" if switches.dispatcher == "none" else switches.dispatcher
    dispatcher = software_table().dispatchers[name]
    shares = dispatcher.link_frac
    launched = 1.0 - sum(GRAPH_SCOPES.get(part, 0.0) for part in switches.graphs)
    one_by_one = switches.grouped == "te" and switches.capacity is None
    whole = "full" in switches.graphs
    quantized = precision == "fp8"
    each = EXPERT_OPS[quantized] if one_by_one else 0.0
    return Mixture(
        sends_once=dispatcher.sends_once,
        gathers=dispatcher.gathers,
        link_frac=next((shares[name] for name in lineage(chip) if name in shares), 1.0),
        overlap=EXPERT_OVERLAP if switches.expert_overlap else 0.0,
        ops=0.0 if whole else LAYER_OPS * launched,
        expert_ops=0.0 if whole else each,
        fused=switches.grouped == "fused",
        attention_gain=FP8_ATTENTION if switches.grouped == "fused" and quantized else 1.0,
        imbalance=switches.capacity or (REAL_ROUTING if switches.routing == "real" else 1.0),
    )
