"""Watts of one chip by what it does, and what each phase of the books is made of.

A chip that computes draws nearly its board limit, whatever share of its peak the model gets. One
that waits for an exchange it cannot hide draws about a third to a half of it, one that saves or
loads, or that holds an open context without work, little more than an idle one, and one without
power nothing. Training is a mix of the first two, by the share of the step in which communication
is exposed; every other phase is one state. Shares of the limit here are measured where a source
stands beside them and are estimates for every chip that has none of its own.

Sources
-------
.. [1] FlagOpen/FlagPerf, base/benchmarks: chips of 8 in BF16 products, A100 338.4 of 400 W, BI-V150
       336.1 of 350 W, Ascend 910B 364.6 of 400 W; in an all-reduce, A100 146.1 W, BI-V150 105.9 W.
.. [2] Kestrel, H100 SXM under gpu-burn 668.2 of 700 W, idle 72.5 W (secondary transcription).
.. [3] J. Morrison et al., arXiv:2503.05804: from above 600 W to about 100 W of 700 at checkpoints.
.. [4] arXiv:2605.23918: a live context adds 26 to 50 W to an idle chip with HBM.
.. [5] Idle watts without a context, two independent meters: H100 71 W of 700, A100 SXM 65 W of 400
       (secondary transcriptions).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from computeplan.arrays import FloatArray, at_least_zero
from computeplan.quantities import PHASES

__all__ = [
    "CONTEXT_W",
    "EXPOSED_FRAC",
    "PHASE_STATES",
    "ChipStates",
    "default_states",
    "phase_watts",
    "training_watts",
]

COMPUTE_PER_TDP = (338.4 / 400 + 336.1 / 350 + 364.6 / 400 + 668.2 / 700) / 4  # [1] [2]
COMM_PER_TDP = 146.1 / 400  # A100 [1]; the BI-V150 has 0.30, and nodes of H100 imply up to 0.6
LOAD_PER_TDP = 100 / 700  # H100 [3]
IDLE_PER_TDP = (71 / 700 + 65 / 400) / 2  # [5]
CONTEXT_W = 38.0
"""What an open context adds to an idle chip: the middle of [4]_. [W]"""
EXPOSED_FRAC = 0.14
"""Share of a step in which chips wait, where it is not priced: an estimate. The middle one of what
`StepTime.exposed_frac` says of the 155 runs of ``training.yaml``; half of them lie between 0.02 and
0.22."""

PHASE_STATES: Mapping[str, str] = MappingProxyType(
    {
        "train": "training",
        "lost": "training",
        "save": "load",
        "restart": "load",
        "blocked": "context",
        "idle": "idle",
        "repair": "off",
    }
)
"""What a chip does in a phase; ``training`` is computing and exposed communication."""


@dataclass(frozen=True, slots=True)
class ChipStates:
    """Watts of one chip by state; without power it draws nothing."""

    compute_w: float
    comm_w: float
    load_w: float
    context_w: float
    idle_w: float
    """Watts: computing; in exposed communication; saving or loading; with an open context and no
    work; idle. [W]"""


def default_states(tdp_w: float) -> ChipStates:
    """Return the states of a chip of which only the board limit is known, all of them estimates.

    Parameters
    ----------
    tdp_w : float
        Board limit. [W]

    Raises
    ------
    ValueError
        If it is not > 0.

    Examples
    --------
    >>> states = default_states(700.0)
    >>> [round(w) for w in (states.compute_w, states.comm_w, states.load_w, states.context_w)]
    [643, 256, 100, 130]
    """
    if not 0 < tdp_w < np.inf:
        raise ValueError(f"tdp_w must be > 0, got {tdp_w}")
    idle_w = min(IDLE_PER_TDP * tdp_w, tdp_w)
    return ChipStates(
        compute_w=COMPUTE_PER_TDP * tdp_w,
        comm_w=COMM_PER_TDP * tdp_w,
        load_w=LOAD_PER_TDP * tdp_w,
        context_w=min(idle_w + CONTEXT_W, tdp_w),
        idle_w=idle_w,
    )


def training_watts(states: ChipStates, exposed_frac: ArrayLike) -> FloatArray:
    """Return the mean watts of a chip in training.

    Parameters
    ----------
    states : ChipStates
        Watts by state.
    exposed_frac : array_like
        Share of the step in which the chip waits for communication.

    Returns
    -------
    ndarray of the shape of `exposed_frac`
        Watts. [W]

    Raises
    ------
    ValueError
        If a share is not from 0 to 1.

    Examples
    --------
    >>> float(training_watts(ChipStates(600.0, 300.0, 100.0, 90.0, 70.0), 0.25))
    525.0
    """
    (exposed,) = at_least_zero(exposed_frac=exposed_frac)
    if np.any(exposed > 1):
        raise ValueError(f"exposed_frac must be from 0 to 1, got {exposed}")
    return np.asarray(states.compute_w + exposed * (states.comm_w - states.compute_w))


def phase_watts(states: ChipStates, exposed_frac: ArrayLike) -> FloatArray:
    """Return the watts of a chip in every phase of the books.

    Parameters
    ----------
    states : ChipStates
        Watts by state.
    exposed_frac : array_like
        Share of the step in which the chip waits for communication.

    Returns
    -------
    ndarray, shape of `exposed_frac` + (n_phases,)
        Watts, phases in the order of ``PHASES``. [W]

    Raises
    ------
    ValueError
        If a share is not from 0 to 1.

    Examples
    --------
    >>> phase_watts(ChipStates(600.0, 300.0, 100.0, 90.0, 70.0), 0.25).tolist()
    [525.0, 525.0, 100.0, 100.0, 90.0, 70.0, 0.0]
    """
    training = training_watts(states, exposed_frac)
    watts: dict[str, ArrayLike] = {
        "training": training,
        "load": states.load_w,
        "context": states.context_w,
        "idle": states.idle_w,
        "off": 0.0,
    }
    return np.stack(
        [np.broadcast_to(np.asarray(watts[PHASE_STATES[p]]), training.shape) for p in PHASES],
        axis=-1,
    )
