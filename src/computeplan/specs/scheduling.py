"""Who goes first: the policy with its settings, and the tenants whose jobs it schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from computeplan.specs.fields import Frozen, Name, Positive, instead, refuse

__all__ = ["PolicyChoice", "Tenant"]


class PolicyChoice(Frozen):
    """A policy, with settings other than its own."""

    model_config = ConfigDict(extra="allow")

    name: Name
    """Of the policy."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """As written, by name."""
        return self.model_extra or {}

    def __str__(self) -> str:
        """Return the policy as it is written."""
        if not self.settings:
            return self.name
        settings = ", ".join(f"{key}: {value}" for key, value in self.settings.items())
        return f"{{name: {self.name}, {settings}}}"


def _read_policy(value: object) -> object:
    if isinstance(value, str):
        return {"name": value}
    if isinstance(value, dict) and "name" not in value:
        refuse("must be a name such as fifo-backfill, or {name: max-min-fairness, round: 6 min}")
    return value


Policy = Annotated[
    PolicyChoice,
    BeforeValidator(_read_policy),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "object", "required": ["name"]}],
            "examples": ["fifo-backfill", {"name": "max-min-fairness", "round": "6 min"}],
        }
    ),
]
"""A name, or a name with settings."""


class Tenant(Frozen):
    """Who owns jobs: how much it counts, and what is its own."""

    tried = instead(
        ("share priority shares", "write weight: 2; a job has a priority"),
        ("quotas limit capacity chips", "write quota: {POOL: 512}, in chips of each pool"),
    )

    weight: Positive = 1.0
    """How much it counts where a policy divides shares."""
    quota: dict[Name, Annotated[int, Field(ge=0, le=10**9)]] | None = None
    """Chips of each pool that are its own; of a pool that is left out it has none. Without quota
    nothing is its own, and nothing is limited."""
