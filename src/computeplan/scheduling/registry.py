"""Policies by name, from the entry points ``computeplan.policies`` of all installed packages."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from computeplan.scheduling.view import Policy

__all__ = ["AT_HOME", "BY_ENERGY", "load_policy", "policy_names"]

GROUP = "computeplan.policies"
AT_HOME = frozenset({"silo"})
"""Policies that run a job on its home pool only."""
BY_ENERGY = frozenset({"least-energy"})
"""Policies that need the watts of every pool."""


@cache
def _found() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        if point.name in found and found[point.name].value != point.value:
            two = f"{found[point.name].value} and {point.value}"
            raise ValueError(f"two policies are named {point.name!r}: {two}")
        found[point.name] = point
    return found


def policy_names() -> list[str]:
    """Return the names of all policies."""
    return sorted(_found())


def load_policy(name: str) -> Policy:
    """Return the policy of a name.

    Raises
    ------
    ValueError
        If there is none; the message has the nearest name.
    """
    if name not in _found():
        close = difflib.get_close_matches(name, policy_names(), n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise ValueError(f"no policy '{name}'.{hint}  Policies: {', '.join(policy_names())}")
    policy: Policy = _found()[name].load()
    return policy
