"""Policies by name, from the entry points ``computeplan.policies`` of all installed packages."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from computeplan.scheduling.view import Policy, PoolTable

__all__ = [
    "ABILITIES",
    "Choosy",
    "can",
    "load_policy",
    "may",
    "needs",
    "needs_of",
    "policy_names",
    "settings_of",
]

GROUP = "computeplan.policies"
NEEDS, MAY = "needs", "may"  # of a policy
ABILITIES: Mapping[str, str] = {
    "starve": "pass over a job for ever under endless load",
    "cap": "cap the power of pools",
    "mix": "start jobs on several pools at once",
    "pause": "stop a job, or let it wait, for nobody else",
}
"""What a policy may do only if it says so, and what that is."""
NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})
P = TypeVar("P", bound=Callable[..., object])


@runtime_checkable
class Choosy(Protocol):
    """A policy that cannot work with every pool."""

    def lacks(self, pools: PoolTable) -> str:
        """Return why it cannot work with some pools; empty if it can."""


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


def load_policy(name: str, settings: Mapping[str, Any] = NO_SETTINGS) -> Policy:
    """Return the policy of a name, with settings other than its own.

    Raises
    ------
    ValueError
        If there is none; the message has the nearest name.
    """
    if name not in _found():
        close = difflib.get_close_matches(name, policy_names(), n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise ValueError(f"no policy '{name}'.{hint}  Policies: {', '.join(policy_names())}")
    loaded = _found()[name].load()
    policy = loaded() if isinstance(loaded, type) else loaded
    return cast("Policy", replace(policy, **settings) if settings else policy)


def settings_of(name: str) -> dict[str, object]:
    """Return the settings of the policy of a name, at their own values."""
    policy = load_policy(name)
    if not is_dataclass(policy) or isinstance(policy, type):
        return {}
    own = {field.name: getattr(policy, field.name) for field in fields(policy)}
    return {name: value for name, value in own.items() if isinstance(value, bool | float | str)}


def needs(*what: str) -> Callable[[P], P]:
    """Return a decorator that says what a policy must know to decide.

    Parameters
    ----------
    *what : str
        `home` (of every job), `watts` (of every pool), `carbon`, `water` (of every site), `prices`,
        `prices above 0`.
    """

    def declare(policy: P) -> P:
        setattr(policy, NEEDS, frozenset(what))
        return policy

    return declare


def may(*what: str) -> Callable[[P], P]:
    """Return a decorator that marks a policy as one that may do what others never do.

    A policy whose settings decide has them as a property of the name `may` instead.

    Parameters
    ----------
    *what : str
        Of `ABILITIES`.

    Raises
    ------
    ValueError
        If there is no such ability.

    Examples
    --------
    >>> decide = may("cap", "pause")(lambda view: None)
    >>> can(decide, "cap"), can(decide, "mix")
    (True, False)
    """
    for ability in what:
        _check(ability)

    def declare(policy: P) -> P:
        setattr(policy, MAY, frozenset(what))
        return policy

    return declare


def can(policy: Policy, ability: str) -> bool:
    """Return whether a policy says that it may do one of `ABILITIES`.

    Raises
    ------
    ValueError
        If there is no such ability.
    """
    _check(ability)
    return ability in getattr(policy, MAY, ())


def _check(ability: str) -> None:
    if ability not in ABILITIES:
        raise ValueError(f"no ability {ability!r}; abilities: {', '.join(ABILITIES)}")


@cache
def needs_of(name: str) -> frozenset[str]:
    """Return what the policy of a name must know to decide; nothing if there is none.

    Examples
    --------
    >>> sorted(needs_of("silo")), sorted(needs_of("least-carbon"))
    (['home'], ['carbon', 'watts'])
    """
    if name not in _found():
        return frozenset()
    found: frozenset[str] = getattr(load_policy(name), NEEDS, frozenset())
    return found
