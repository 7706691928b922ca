"""In which order the pools of a service fill: by money, energy or carbon of a request on each.

At the load that an instance has over the day: what the chips of a node draw at the facility, and
what it costs to have them, over the requests that they answer. What varies at a site counts with
its mean. What some pools state and others do not would compare unlike things, so it is refused;
what no pool states is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.compiler.compile import pools_of, powered_beside
from computeplan.compiler.power import drawn_by
from computeplan.compiler.service_plans import InstanceOn, node_gives
from computeplan.compiler.site_signals import signals_of
from computeplan.errors import Problem, ScenarioError
from computeplan.notes import Note, note
from computeplan.quantities import PHASES
from computeplan.specs.scenario import Scenario
from computeplan.specs.services import role_of
from computeplan.world.jobs import Jobs
from computeplan.world.pools import Pool

__all__ = ["pools_by_choice"]

TRAIN = PHASES.index("train")


class _Stated(NamedTuple):
    """What the pools of a service or their sites state of one thing."""

    values: FloatArray
    """By pool; nan where it is not stated."""
    is_needed: bool
    """Or may be left out of all."""
    key: str
    of_site: bool
    how: str
    """How it is written."""


def pools_by_choice(
    scenario: Scenario,
    name: str,
    names: Sequence[str],
    instances: Sequence[InstanceOn],
    load_frac: float,
) -> tuple[list[int], Note]:
    """Return the order in which the pools of a service fill, and a note of what decides.

    Parameters
    ----------
    scenario : Scenario
    name : str
        Of a service that says what its pools are chosen by, in its role (`in_role`).
    names : sequence of str
        Of its pools.
    instances : sequence of InstanceOn
        On each of them.
    load_frac : float
        Load of an instance over the day, of the rate that it holds.

    Returns
    -------
    order : list of int
        Places of the pools; of equal ones the one that is written first.
    note : Note
        With what a request takes on each.

    Raises
    ------
    ScenarioError
        If a pool lacks what others state, or no pool has what is asked for.
    """
    service = role_of(name)[0]
    spec = scenario.services[service]
    every, _ = pools_of(scenario, fixed=scenario.simulate.inputs == "fixed")
    index = {pool.name: p for p, pool in enumerate(every)}
    here = [index[pool] for pool in names]
    pools = [powered_beside(scenario, every[p], Jobs(()), p)[0] for p in here]
    facility_w = np.array(
        [
            pool.pue * _it_w(scenario, pool, one, load_frac)
            for pool, one in zip(pools, instances, strict=True)
        ]
    )
    choose = str(spec.choose)
    stated, per_j, per_s = _stated(choose, pools, facility_w)
    if problems := list(_lacking(scenario, service, pools, stated)):
        raise ScenarioError(problems)
    signals, _ = signals_of(scenario, every)
    course = signals.get(choose)
    mean_frac = [1.0 if course is None else course[p].mean_frac for p in here]
    of_chip = np.nan_to_num(facility_w * per_j * mean_frac) + np.nan_to_num(per_s)
    each_s = [
        node_gives(spec, one, pool.chips_per_node)[0] * load_frac / pool.chips_per_node
        for pool, one in zip(pools, instances, strict=True)
    ]
    takes = (of_chip / np.array(each_s)).tolist()
    order = sorted(range(len(pools)), key=takes.__getitem__)
    filled = note(
        "service_filled_by",
        service=name,
        choose=choose,
        currency=scenario.currency,
        pools=tuple((pools[place].name, takes[place]) for place in order),
    )
    return order, filled


def _it_w(scenario: Scenario, pool: Pool, one: InstanceOn, load_frac: float) -> float:
    """Return what a chip draws at a load, with its share of server and network. [W]"""
    spec, chip = scenario.pool(pool.name), scenario.chip_of(pool.name)
    drawn = drawn_by(pool, spec, chip, one.chip_w, one.chip_more_w)
    if drawn is None:  # as in training, whatever its load
        return float((pool.chip_w + pool.node_overhead_w + pool.network_w)[TRAIN])
    return drawn.it_w + drawn.it_more_w * load_frac


def _stated(
    choose: str, pools: Sequence[Pool], facility_w: FloatArray
) -> tuple[list[_Stated], FloatArray, FloatArray]:
    """Return what decides, and what a joule at the facility and a second of a chip take."""

    def of(field: str) -> FloatArray:
        return np.array([getattr(pool, field) for pool in pools])

    has_watts = _Stated(facility_w, True, "power", False, "{compute: 700 W}")
    none = np.zeros(len(pools))
    if choose == "energy":
        return [has_watts], none + 1.0, none
    if choose == "carbon":
        carbon, making = of("kg_per_j"), of("embodied_kg_per_chip_s")
        stated = [
            _Stated(carbon, True, "carbon", True, "400 g/kWh"),
            _Stated(making, False, "embodied", False, "estimate, or 0.013 kg/chip/h"),
        ]
        return [has_watts, *stated], carbon, making
    price, rent = of("money_per_j"), of("rent_money_per_chip_s")
    bought = of("purchase_money_per_chip_s")
    neither = np.isnan(rent) & np.isnan(bought)
    having = np.where(neither, np.nan, np.nan_to_num(rent) + np.nan_to_num(bought))
    has_price = not np.isnan(price).all()
    stated = [
        _Stated(price, bool(neither.all()), "price", True, "0.08 USD/kWh"),
        _Stated(having, False, "rent", False, "2.5 USD/chip/h, or a purchase"),
    ]
    return [*([has_watts] if has_price else []), *stated], price, having


def _lacking(
    scenario: Scenario, name: str, pools: Sequence[Pool], stated: Sequence[_Stated]
) -> Iterator[Problem]:
    """Yield what some pools lack that others state, or that all lack and is needed."""
    choose = scenario.services[name].choose
    for one in stated:
        lacks = np.isnan(one.values)
        if not lacks.any() or (lacks.all() and not one.is_needed):
            continue
        has = [pool.name for pool, is_lacking in zip(pools, lacks, strict=True) if not is_lacking]
        beside = f", and {' and '.join(has)} beside it has one" if has else ""
        for pool in (pool for pool, is_lacking in zip(pools, lacks, strict=True) if is_lacking):
            at = ("sites", pool.site) if one.of_site else ("sites", pool.site, "pools", pool.name)
            message = (
                f"{one.key} is missing: services.{name} chooses its pools by {choose}{beside};"
                f" write {one.key}: {one.how}"
            )
            yield scenario.document.problem(at, message)
