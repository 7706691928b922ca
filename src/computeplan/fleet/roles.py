"""Disaggregated prefill and decode: prompts and answers on instances of their own.

A prefill instance takes in prompts, gives the first token, and sends the cache on; a decode
instance gets requests with their cache. So the limit on the first token, with the way of the cache,
is kept by the one, and the limit on further tokens, with any wait for room, by the other: each is
an instance like any other, with a load and limits of its own, and is sized by itself. Requests are
taken to reach decode instances as they came in; tests compare that with both roles played together
(``engines/serve/apart.py``).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from computeplan.engines.serve.policy import Slo
from computeplan.physics.serving.instance import Instance
from computeplan.physics.serving.steady import transfer_s
from computeplan.physics.serving.steps import StepTimes
from computeplan.specs.serving import Role
from computeplan.world.load import Lengths, Load

__all__ = ["APART", "Role", "cached_frac_of", "handed_over", "load_of_role", "slo_of_role"]

APART: tuple[Role, Role] = ("prefill", "decode")
"""The roles of disaggregated instances."""


def load_of_role(load: Load, role: Role) -> Load:
    """Return the requests of a load as instances of a role see them.

    Examples
    --------
    >>> one = Load(np.ones(1), 1.0, Lengths(100, 0, 100), Lengths(50, 0, 50), 0.0)
    >>> load_of_role(one, "prefill").output_tokens.mean, load_of_role(one, "decode") is one
    (1.0, True)
    """
    if role != "prefill":
        return load
    trace = load.trace
    if trace is not None:
        trace = replace(trace, output_tokens=np.ones_like(trace.output_tokens))
    return replace(load, output_tokens=Lengths(1.0, 0.0, 1), trace=trace)


def slo_of_role(slo: Slo, role: Role) -> Slo:
    """Return those of the limits that instances of a role are held to.

    Examples
    --------
    >>> both = Slo(ttft_s=1.0, tpot_s=0.05)
    >>> slo_of_role(both, "prefill").tpot_s, slo_of_role(both, "decode").ttft_s
    (inf, inf)
    """
    if role == "prefill":
        return Slo(ttft_s=slo.ttft_s, ttft_frac=slo.ttft_frac)
    if role == "decode":
        return Slo(tpot_s=slo.tpot_s, tpot_frac=slo.tpot_frac)
    return slo


def cached_frac_of(load: Load, role: Role) -> float:
    """Return the share of prompts that instances of a role need not compute."""
    return 1.0 if role == "decode" else load.cached_frac


def handed_over(times: StepTimes, instance: Instance, n_in: float) -> StepTimes:
    """Return step times of a prefill instance, whose first token waits for the cache to go.

    Layers are sent as they are done; the last one is waited for.

    Parameters
    ----------
    times : StepTimes
    instance : Instance
        Of one layout.
    n_in : float
        Tokens of a prompt, mean. [token]
    """
    later_s = float(transfer_s(instance, n_in))
    return replace(times, first_token_s=times.first_token_s + later_s)
