"""From what an instance does to what a fleet takes: instances, spares, watts, money, carbon.

The busiest minute sizes the fleet: as many instances as its requests take at the rate that one
holds, times a derating from benchmark to production, and spares so that enough are up for a share
of time. Energy is that of the mean over the day, at which all instances share the requests. An
instance that has no step to make draws what serving draws at no load, which is far from idle.

Sources
-------
.. [1] DeepSeek, open-infra-index, day 6: production at 0.5 (prompts) and 0.8 (answers) of the
       published profile of the same engine: 0.7 between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from computeplan.arrays import positive
from computeplan.compiler.hardware import INTERVAL
from computeplan.compiler.power import NODE_CHIPS, node_of
from computeplan.compiler.serving import Served as Compiled
from computeplan.engines.serve.percentiles import Band, band, in_parts
from computeplan.engines.serve.policy import Slo
from computeplan.engines.serve.served import Served
from computeplan.fleet.roles import Role
from computeplan.physics.power.node import fabric_watts, node_watts
from computeplan.physics.serving.instance import Instance
from computeplan.physics.serving.power import Draw, chip_w
from computeplan.physics.serving.spares import spares_for, up_frac
from computeplan.physics.serving.steady import decode_of, prompt_of, terms_of
from computeplan.physics.steptime.operators import HBM_FRAC
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.serving_power import known_draw
from computeplan.units import HOUR_S

__all__ = [
    "DERATING",
    "METERS",
    "Reliability",
    "Use",
    "Watts",
    "fleet_of",
    "latencies_of",
    "node_chips_of",
    "spare_instances",
    "use_at",
    "use_of",
    "watts_of",
]

DERATING = 0.7
"""What an instance serves in production over its benchmark [1]_."""
TTFT_SPREAD = {"dense": 0.35, "experts": 0.5}
"""Of the logarithm of times to the first token, predicted over published at few users."""
METERS = ("chip", "node", "it", "facility")
"""Where energy is read: chips, servers, servers and network, the building."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """What takes instances away, and how much of that is allowed."""

    availability: float = 0.999
    """Share of time in which the instances that the peak needs are up."""
    chip_mtbf_s: float = 50_700.0 * HOUR_S
    """Of one chip with its share of the server; a chip takes its server, and that the instances on
    it: Llama 3's 419 faults of 16,384 chips in 54 days. [s]"""
    repair_s: float = 24.0 * HOUR_S
    """Until a server is back; an estimate. [s]"""


@dataclass(frozen=True, slots=True)
class Use:
    """What an instance is used for."""

    busy_frac: float
    """Share of time in steps."""
    bandwidth_frac: float
    peak_frac: float
    """Shares of the data sheet's bandwidth and peak, while in steps."""
    prompt_frac: float
    """Share of the time in steps that prompts take."""


@dataclass(frozen=True, slots=True)
class Watts:
    """Watts of one chip of a fleet, by meter. [W]"""

    chip: float
    node: float
    it: float
    facility: float
    error_frac: float
    """Of what a chip draws, kept nine times in ten."""
    is_borrowed: bool
    """Whether no chip of this kind was measured while it served."""


def latencies_of(served: Served, slo: Slo, compiled: Compiled) -> tuple[Band, Band]:
    """Return times to the first token and of a further one, at the percentiles of limits.

    Their bands hold what more requests would narrow and what is not known of the steps. [s]
    """
    low, high = compiled.band
    kind = "dense" if compiled.instance.shape.moe is None else "experts"
    of_first = math.exp(math.hypot(math.log(high), INTERVAL * TTFT_SPREAD[kind]))
    ttft = band(in_parts(served.ttft_s), slo.ttft_frac)
    tpot = band(in_parts(served.tpot_s), slo.tpot_frac)
    return _wider(ttft, 1 / of_first, of_first), _wider(tpot, low, high)


def _wider(found: Band, low: float, high: float) -> Band:
    """Return a band widened by the error of the step times."""
    least, most = (found.value if math.isnan(end) else end for end in (found.low, found.high))
    return Band(found.value, least * low, most * high)


def spare_instances(n_needed: int, n_chips: int, node_chips: int, reliability: Reliability) -> int:
    """Return the least spare instances with which enough are up for the share of time asked.

    Parameters
    ----------
    n_needed : int
        Instances.
    n_chips, node_chips : int
        Chips of an instance, and of a server.
    reliability : Reliability

    Examples
    --------
    Of 11 servers up 99 % of the time each, 10 are up 99.48 % of the time; of 12, 99.98 %. With four
    instances on a server, a spare one is four of them.

    >>> often = Reliability(availability=0.999, chip_mtbf_s=8 * 99.0, repair_s=1.0)
    >>> spare_instances(10, 8, 8, often), spare_instances(40, 2, 8, often)
    (2, 8)
    """
    on_a_node, group = max(1, node_chips // n_chips), math.ceil(n_chips / node_chips)
    n_nodes = math.ceil(n_needed / on_a_node) * group
    up = up_frac(reliability.chip_mtbf_s / node_chips, reliability.repair_s)
    spare = int(spares_for(n_nodes, up, reliability.availability, group)) // group
    return spare * min(on_a_node, n_needed)


def fleet_of(
    peak_per_s: float,
    rate_per_s: float,
    n_chips: int,
    node_chips: int,
    derating: float,
    reliability: Reliability,
) -> tuple[int, int]:
    """Return instances for a peak, and spares.

    Parameters
    ----------
    peak_per_s : float
        Requests in the busiest minute. [1/s]
    rate_per_s : float
        What one instance holds in a benchmark. [1/s]
    n_chips, node_chips : int
        Chips of an instance, and of a server.
    derating : float
        What it holds in production over that.
    reliability : Reliability

    Examples
    --------
    >>> fleet_of(100.0, 2.0, 4, 8, 0.7, Reliability(availability=0.5))  # 100 / 1.4 = 71.4
    (72, 0)
    """
    positive(peak_per_s=peak_per_s, rate_per_s=rate_per_s, derating=derating)
    n = max(1, math.ceil(peak_per_s / (rate_per_s * derating) - 1e-9))
    return n, spare_instances(n, n_chips, node_chips, reliability)


def node_chips_of(chip: Chip) -> int:
    """Return the chips of the usual server of a chip, 8 where it is not known.

    Examples
    --------
    >>> from computeplan.specs.catalogue.lookup import load_chip
    >>> node_chips_of(load_chip("H100-SXM")[0])
    8
    """
    known = None if chip.server is None else chip.server.chips.value
    return NODE_CHIPS if known is None else int(known)


def use_of(instance: Instance, served: Served, role: Role = "both") -> Use:
    """Return what an instance is used for while it serves requests.

    Parameters
    ----------
    instance : Instance
        Of one layout.
    served : Served
        What it did.
    role : {"both", "prefill", "decode"}, optional
    """
    requests = served.requests
    span_s = float(served.done_s.max() - requests.arrival_s[0])
    batch = float(served.batch_s @ range(len(served.batch_s))) / max(served.busy_s, 1e-300)
    n_in, n_out = float(requests.input_tokens.mean()), float(requests.output_tokens.mean())
    reusable = requests.reusable_tokens
    cached = 0.0 if reusable is None else float(reusable.sum() / requests.input_tokens.sum())
    busy_frac = min(1.0, served.busy_s / span_s)
    return use_at(instance, max(batch, 1.0), n_in, n_out, cached, busy_frac=busy_frac, role=role)


def use_at(
    instance: Instance,
    batch: float,
    n_in: float,
    n_out: float,
    cached_frac: float,
    *,
    busy_frac: float = 1.0,
    role: Role = "both",
) -> Use:
    """Return what an instance is used for while so many sequences decode.

    Parameters
    ----------
    instance : Instance
        Of one layout.
    batch : float
        Sequences, mean.
    n_in, n_out : float
        Tokens of prompts and answers, mean. [token]
    cached_frac : float
        Share of prompts that is cached.
    busy_frac : float
        Share of time in steps.
    role : {"both", "prefill", "decode"}
    """
    if role == "decode":
        cached_frac = 1.0
    terms = terms_of(instance, batch, n_in, n_out, cached_frac=cached_frac)
    # An answer's share of the steps that it decodes in, and its prompt.
    per_answer = 0.0 if role == "prefill" else n_out / terms.accepted / batch
    decode_s = float(decode_of(instance.speed, terms)) * float(per_answer)
    prompt_s = float(prompt_of(instance.speed, terms))
    decode, prompt, part = terms.decode, terms.prompt, float(terms.prompt_part)
    read_s = HBM_FRAC * (
        per_answer * (decode.weights_s + decode.experts_read_s + decode.cache_s)
        + part * (prompt.weights_s + prompt.experts_read_s)
        + terms.again_s
    )
    product_s = per_answer * (decode.products_s + decode.experts_s + decode.core_s)
    product_s = product_s + part * (prompt.products_s + prompt.experts_s + prompt.core_s)
    whole_s = decode_s + prompt_s
    return Use(
        busy_frac=busy_frac,
        bandwidth_frac=min(1.0, float(read_s) / whole_s),
        peak_frac=min(1.0, float(product_s) / whole_s),
        prompt_frac=prompt_s / whole_s,
    )


def watts_of(chip: Chip, use: Use, n_chips: int, pue: float) -> Watts:
    """Return the watts of a chip of a fleet, by meter.

    Parameters
    ----------
    chip : Chip
    use : Use
        Of its instances.
    n_chips : int
        Of the fleet.
    pue : float
        Facility energy over that of its machines.

    Returns
    -------
    Watts
        nan where the board limit of the chip is not known.

    Examples
    --------
    A chip of 700 W that makes steps half of the time, at half of its bandwidth and a fifth of its
    peak: 700 x (0.6503 + 0.5 x 0.2 x 1.0179) = 526 W.

    >>> from computeplan.specs.catalogue.lookup import load_chip
    >>> watts = watts_of(load_chip("H100-SXM")[0], Use(0.5, 0.5, 0.2, 0.3), 8, pue=1.2)
    >>> round(watts.chip), round(watts.facility / watts.it, 3)
    (526, 1.2)
    """
    if chip.tdp_w is None:
        return Watts(math.nan, math.nan, math.nan, math.nan, math.nan, is_borrowed=True)
    known = known_draw(chip)
    draw = Draw(known.base_w, known.bandwidth_w, known.peak_w, known.limit_w)
    bandwidth_frac, peak_frac = (
        use.busy_frac * share for share in (use.bandwidth_frac, use.peak_frac)
    )
    w = float(chip_w(draw, bandwidth_frac, peak_frac))
    n_of_node, node = node_of(chip)
    node_w = float(node_watts(n_of_node * w, node)) / n_of_node
    it_w = node_w + fabric_watts(n_chips) / n_chips
    return Watts(w, node_w, it_w, it_w * pue, known.p90, known.is_borrowed)
