"""What is known of power, given to the physics: states, nodes, caps of a chip; watts of a pool.

The chips of a pool draw by state, and a phase is a mix of states. Training is the only one that is
not a single state: how long its steps wait for communication is told by the price of a step where
there is one. A pool has one mix, the mean over its jobs by how many chips train and how long; of
jobs whose steps are not priced it is a stated share. Around its chips a pool has usual servers of
them, and a network of its own. What a scenario writes stands before all of that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.notes import Note, Notes, note
from computeplan.physics.power.caps import CapCurve, cap_curve
from computeplan.physics.power.node import Cooled, Node, default_node, fabric_watts, node_watts
from computeplan.physics.power.states import (
    CONTEXT_W,
    EXPOSED_FRAC,
    ChipStates,
    default_states,
    phase_watts,
)
from computeplan.quantities import PHASES
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.lookup import is_of_catalogue
from computeplan.specs.catalogue.power import CapPoints, power_table
from computeplan.specs.sites import Pool as PoolSpec
from computeplan.specs.sites import PowerWatts
from computeplan.world.jobs import Jobs
from computeplan.world.pools import Pool
from computeplan.world.services import Drawn

__all__ = [
    "beside_frac",
    "caps_of",
    "curve_through",
    "drawn_by",
    "estimated_states",
    "node_of",
    "powered",
    "states_of",
]

NODE_CHIPS = 8
KEYS = {"compute": "compute", "comm": "comm", "load": "load", "context": "wait", "idle": "idle"}
"""What a pool calls the states of a chip."""


def states_of(chip: Chip) -> ChipStates:
    """Return the watts of a chip by state: measured ones, and shares of its limit for the rest.

    Raises
    ------
    ValueError
        If its board limit is not known.

    Examples
    --------
    >>> from computeplan.specs.catalogue.lookup import load_chip
    >>> states_of(load_chip("H100-SXM")[0]).compute_w
    668.2
    """
    limit_w = _limit_w(chip)
    states, known = default_states(limit_w), dict(_figures(chip))
    if "idle" in known or "context" in known:
        known["context"] = known.get("idle", states.idle_w) + known.get("context", CONTEXT_W)
    return replace(states, **{f"{name}_w": min(w, limit_w) for name, w in known.items()})


def estimated_states(chip: Chip) -> tuple[str, ...]:
    """Return the states of a chip whose watts are not read anywhere.

    Examples
    --------
    >>> from computeplan.specs.catalogue.lookup import load_chip
    >>> estimated_states(load_chip("H100-SXM")[0])
    ('comm',)
    """
    read = dict(_figures(chip, recalled=False))
    return tuple(name for name in KEYS if name not in read)


def _figures(chip: Chip, *, recalled: bool = True) -> Iterator[tuple[str, float]]:
    """Yield the states of a chip of which a figure is stated: watts, of a context what it adds."""
    for name in KEYS:
        figure = getattr(chip.power, "context_adds" if name == "context" else name)
        if figure is not None and figure.value is not None and (recalled or not figure.is_estimate):
            yield name, figure.value


def node_of(chip: Chip, cooled: Cooled = "air", *, behind_supply: bool = False) -> tuple[int, Node]:
    """Return the chips of the usual server of a chip, and what it draws beside them.

    Raises
    ------
    ValueError
        If the board limit of the chip is not known.

    Examples
    --------
    >>> from computeplan.specs.catalogue.lookup import load_chip
    >>> n, node = node_of(load_chip("H100-SXM")[0])
    >>> n, round(node.host_w)
    (8, 1416)
    """
    server = chip.server
    n_chips = NODE_CHIPS if server is None or server.chips.value is None else server.chips.value
    rated = None if server is None or server.max_power is None else server.max_power.value
    limits_w = n_chips * _limit_w(chip)
    if rated is not None and rated < limits_w:  # of another build of the server
        rated = None
    return n_chips, default_node(limits_w, rated, cooled, behind_supply=behind_supply)


def caps_of(chip: Chip) -> CapCurve | None:
    """Return the measured curve of caps of a chip, None where there is none.

    Examples
    --------
    >>> from computeplan.specs.catalogue.lookup import load_chip
    >>> curve = caps_of(load_chip("V100")[0])
    >>> None if curve is None else curve.cap_frac.size
    7
    >>> caps_of(load_chip("H100-SXM")[0]) is None
    True
    """
    points = power_table().curves.get(chip.name)
    return None if points is None else curve_through(points)


def beside_frac(chip: Chip) -> float:
    """Return what its server draws as long as a chip computes, over the draw of the chip.

    Host and constant losses: what a cap on the chip does not lower. With it `energy_frac` and
    `best_cap` count the energy of the node.

    Raises
    ------
    ValueError
        If the board limit of the chip is not known.

    Examples
    --------
    >>> from computeplan.specs.catalogue.lookup import load_chip
    >>> f"{beside_frac(load_chip('A100')[0]):.2f}"
    '0.41'
    """
    n_chips, node = node_of(chip)
    idle_w, chips_w = float(node_watts(0.0, node)), n_chips * states_of(chip).compute_w
    return idle_w / (float(node_watts(chips_w, node)) - idle_w)


def curve_through(points: CapPoints) -> CapCurve:
    """Return the curve through measured points."""
    speeds, draws = zip(*points.points.values(), strict=True)
    return cap_curve([*points.points], speeds, draws)


def _limit_w(chip: Chip) -> float:
    limit = math.nan if chip.power.tdp is None else chip.power.tdp.value
    if limit is None or math.isnan(limit):
        raise ValueError(f"{chip.name}: its board limit (power.tdp) is not known")
    return limit


def powered(pool: Pool, spec: PoolSpec, chip: Chip, jobs: Jobs, index: int) -> tuple[Pool, Notes]:
    """Return a pool with its watts by phase, and what a reader must know of them.

    Parameters
    ----------
    pool : Pool
        Compiled but for its watts.
    spec : Pool
        As written.
    chip : Chip
        Of the pool.
    jobs : Jobs
        Of the world: what they wait for decides what training draws.
    index : int
        Of the pool.
    """
    given = spec.power or PowerWatts()
    exposed_frac, is_priced = _exposed_frac(jobs, index)
    at_chip = given.meter == "chip"
    base = _states_at_chip(chip) if at_chip else _states_as_of_compute(given)
    own = {f"{state}_w": w for state, key in KEYS.items() if (w := getattr(given, key)) is not None}
    if given.compute is not None and given.comm is None:  # all of training
        own["comm_w"] = given.compute
    states = replace(base, **own)
    if given.compute is not None and states.compute_w < states.idle_w:
        idle = f"{states.idle_w:g} W, what {chip.name} draws idle"
        raise ValueError(f"must be at least {idle}; or write idle: 10 W beside it")
    chip_w = phase_watts(states, exposed_frac)
    chip_w[-1] = given.repair or 0.0
    on = np.ones(len(PHASES))
    on[-1] = 0.0  # a node in repair draws nothing around its chips
    network_w = 0.0 if not at_chip else fabric_watts(pool.n_chips) / pool.n_chips
    if given.network is not None:
        network_w = given.network / pool.chips_per_node
    full_w = np.array([max(getattr(states, one.name) for one in fields(ChipStates))])
    if given.node_overhead is not None:
        overhead_w = on * given.node_overhead / pool.chips_per_node
        around_w = np.full(1, given.node_overhead / pool.chips_per_node)
    else:
        overhead_w = on * (_overhead_w(chip, chip_w) if at_chip else 0.0)
        around_w = _overhead_w(chip, full_w) if at_chip else np.zeros(1)
    found = replace(
        pool,
        meter=given.meter,
        chip_w=chip_w,
        node_overhead_w=overhead_w,
        network_w=np.full(len(PHASES), network_w),
        caps=caps_of(chip) if at_chip else None,
        most_it_w=float((full_w + around_w)[0]) + network_w,
    )
    mixes = states.comm_w != states.compute_w and not math.isnan(states.compute_w)
    mix = (
        note(
            "training_mix",
            pool=pool.name,
            exposed_frac=exposed_frac,
            is_priced=is_priced,
            chip_w=float(chip_w[0]),
        ),
    )
    return found, (*_notes_of(pool, given, chip), *(mix if mixes else ()))


def drawn_by(
    pool: Pool, spec: PoolSpec, chip: Chip, chip_w: float, chip_more_w: float
) -> Drawn | None:
    """Return what a chip of a service draws on a pool; None where that is not known.

    Parameters
    ----------
    pool : Pool
        With its watts.
    spec : Pool
        As written: whose chips have watts of their own, they draw those of computing.
    chip : Chip
        Of the pool.
    chip_w, chip_more_w : float
        Without requests, and more at the load that a node gives. [W]
    """
    given = spec.power or PowerWatts()
    if given.meter != "chip" or given.compute is not None or math.isnan(chip_w):
        return None
    ends_w = np.array([chip_w, chip_w + chip_more_w])
    if given.node_overhead is not None:
        around_w = np.full(2, given.node_overhead / pool.chips_per_node)
    else:
        around_w = _overhead_w(chip, ends_w)
    it_w = ends_w + around_w + float(pool.network_w[0])
    return Drawn(chip_w, chip_more_w, float(it_w[0]), float(it_w[1] - it_w[0]))


def _exposed_frac(jobs: Jobs, pool: int) -> tuple[float, bool]:
    """Return the share of training on a pool in which chips wait, and whether all of it is priced.

    The mean over the jobs that may run there, by nodes and time of training.
    """
    n_nodes = np.array([one.whole_nodes[pool] for one in jobs.kinds])
    may = np.flatnonzero(n_nodes)
    shares = np.array([jobs.kinds[k].exposed_frac_on(pool) for k in may])
    train_s = np.array([jobs.kinds[k].train_s[pool] for k in may])
    times = np.bincount(jobs.kind, jobs.scale, len(jobs.kinds))[may]
    weights = n_nodes[may] * train_s * times
    if not weights.sum() > 0:
        return EXPOSED_FRAC, False
    priced = ~np.isnan(shares)
    mean = np.average(np.where(priced, shares, EXPOSED_FRAC), weights=weights)
    return float(mean), bool(priced.all())


def _states_at_chip(chip: Chip) -> ChipStates:
    """Return the states of a chip; nan where its board limit is not known."""
    if chip.tdp_w is None:
        return ChipStates(*(math.nan for _ in fields(ChipStates)))
    return states_of(chip)


def _states_as_of_compute(given: PowerWatts) -> ChipStates:
    """Return the watts of compute in every state: what a pool says at a meter with the host."""
    compute_w = math.nan if given.compute is None else given.compute
    return ChipStates(*(compute_w for _ in fields(ChipStates)))


def _overhead_w(chip: Chip, chip_w: FloatArray) -> FloatArray:
    """Return what the usual server draws beside one of its chips, by what that draws. [W]"""
    if chip.tdp_w is None or np.isnan(chip_w).any():
        return np.full(chip_w.shape, math.nan)
    n_chips, node = node_of(chip)
    return np.asarray(node_watts(n_chips * chip_w, node) / n_chips - chip_w)


def _notes_of(pool: Pool, given: PowerWatts, chip: Chip) -> list[Note]:
    """Return what is not measured of the watts of a pool."""
    notes, tdp = list[Note](), chip.power.tdp
    if given.meter != "chip":
        missing = [key for key in ("load", "wait", "idle") if getattr(given, key) is None]
        if missing:
            notes.append(note("watts_as_of_compute", pool=pool.name, states=tuple(missing)))
        return notes
    if chip.tdp_w is None:
        if given == PowerWatts():
            of_own = note("no_tdp_of_own_chip", chip=chip.name, field="power.tdp")
            notes.append(note("no_tdp", chip=chip.name) if is_of_catalogue(chip) else of_own)
        return notes
    stated = {state for state, key in KEYS.items() if getattr(given, key) is not None}
    stated |= {"comm"} if given.compute is not None else set()
    around = [name for name in ("node_overhead", "network") if getattr(given, name) is None]
    estimates = [state for state in estimated_states(chip) if state not in stated]
    if estimates or around:
        notes.append(note("watts_by_state", chip=chip.name, estimates=(*estimates, *around)))
    if tdp is not None and tdp.is_estimate and not chip.is_estimate:
        notes.append(note("tdp_is_estimate", chip=chip.name, confidence=tdp.confidence))
    return notes
