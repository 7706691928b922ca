"""The policy and the tenants, compiled: settings by the fields of the policy, quotas in nodes.

A setting is written without the unit that ends the name of its field: `round: 6 min` is `round_s`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from computeplan.errors import Problem, ScenarioError
from computeplan.notes import Note, note
from computeplan.scheduling.registry import load_policy, settings_of
from computeplan.scheduling.view import TenantTable
from computeplan.specs.documents.document import nearest
from computeplan.specs.fields import refuse
from computeplan.specs.scenario import Scenario
from computeplan.units import parse
from computeplan.world.pools import Pool

__all__ = ["policy_settings", "quota_notes", "tenants_of"]

UNITS = {"s": ("s", "6 min"), "w": ("W", "20 MW"), "j": ("J", "5 MWh"), "kg": ("kg", "3 t")}
"""What the name of a field ends in -> its unit, and how it is written."""


def policy_settings(scenario: Scenario) -> dict[str, object]:
    """Return the settings of the policy, by the fields that they set.

    Raises
    ------
    ScenarioError
        If there is no such policy or setting, or a value is not of its kind.
    """
    written, document = scenario.policy, scenario.document
    try:
        own = settings_of(written.name)
    except ValueError as error:
        raise ScenarioError([document.problem(("policy",), str(error))]) from None
    fields = {_written(field): field for field in own}
    found, problems = dict[str, object](), list[Problem]()
    for key, value in written.settings.items():
        at = ("policy", key)
        if key not in fields:
            known = f"Settings: {', '.join(fields)}" if fields else f"{written.name} has none"
            message = f"no such setting of {written.name}.{nearest(key, fields)}  {known}"
            problems.append(document.problem(at, message))
            continue
        try:
            found[fields[key]] = _value(fields[key], value, own[fields[key]])
        except ValueError as error:
            problems.append(document.problem(at, str(error)))
    try:
        if not problems:
            load_policy(written.name, found)
    except ValueError as error:
        problems.append(document.problem(("policy",), str(error)))
    if problems:
        raise ScenarioError(problems)
    return found


def _written(field: str) -> str:
    """Return how a field is written.

    Examples
    --------
    >>> _written("reset_gate_s"), _written("borrow")
    ('reset_gate', 'borrow')
    """
    name, _, unit = field.rpartition("_")
    return name if unit in UNITS else field


def _value(field: str, value: object, own: object) -> object:
    unit, example = UNITS.get(field.rpartition("_")[2], ("", ""))
    if unit:
        if not isinstance(value, str):
            raise ValueError(f"needs a unit: write {example!r}, not {value!r}")
        found = parse(value, unit)
        if not 0 <= found < math.inf:
            raise ValueError(f"must be >= 0, got {value!r}")
        return found
    for kind, what in ((bool, "true or false"), (int | float, "a number"), (str, "a word")):
        if isinstance(own, kind):
            is_same = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
            if not is_same:
                refuse(f"must be {what}, not {value!r}")
            break
    return float(value) if isinstance(own, float) and isinstance(value, int) else value


def tenants_of(scenario: Scenario, pools: Sequence[Pool], also: Sequence[str]) -> TenantTable:
    """Return the tenants of a scenario, and those that only jobs and services name.

    Parameters
    ----------
    scenario : Scenario
        Whose `tenants` are compiled.
    pools : sequence of Pool
        In the order of the quotas.
    also : sequence of str
        Tenants that jobs and services name.
    """
    names = tuple(dict.fromkeys(("", *scenario.tenants, *also)))
    written = [scenario.tenants.get(name) for name in names]
    quotas = [None if tenant is None else tenant.quota for tenant in written]
    return TenantTable(
        names=names,
        weight=np.array([1.0 if tenant is None else tenant.weight for tenant in written]),
        quota_nodes=(
            np.array([_quota_nodes(quota, pools) for quota in quotas]) if any(quotas) else None
        ),
    )


def quota_notes(scenario: Scenario, pools: Sequence[Pool]) -> list[Note]:
    """Return a note of each quota that is larger than its pool, or not of whole nodes."""
    notes = list[Note]()
    for name, tenant in scenario.tenants.items():
        quota = tenant.quota or {}
        for pool in pools:
            n, size = quota.get(pool.name, 0), pool.chips_per_node
            at, has = f"tenants.{name}.quota.{pool.name}", pool.n_nodes * size
            if n > has:
                notes.append(note("quota_beyond_pool", path=at, n=n, has=has))
            elif n % size:
                held = n - n % size
                notes.append(note("quota_of_whole_nodes", path=at, n=n, size=size, held=held))
    return notes


def _quota_nodes(quota: Mapping[str, int] | None, pools: Sequence[Pool]) -> list[float]:
    if quota is None:
        return [math.inf] * len(pools)
    return [float(quota.get(pool.name, 0) // pool.chips_per_node) for pool in pools]
