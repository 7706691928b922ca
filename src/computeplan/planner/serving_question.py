"""What is asked of every chip that may serve a load: model, load, limits, site, and by what.

Instances either take requests whole, or some take in prompts and others give answers; what is asked
of instances of one role is a question of its own, with the load and the limits of that role.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from computeplan.engines.serve.policy import Slo
from computeplan.errors import ScenarioError
from computeplan.fleet.layouts import Settings
from computeplan.fleet.roles import Role, load_of_role, slo_of_role
from computeplan.fleet.sizes import DERATING, Reliability, fleet_of, node_chips_of
from computeplan.physics.serving.instance import Speculation
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.models import Transformer
from computeplan.specs.catalogue.place_lookup import carbon_at, find_place, price_at, pue_at
from computeplan.specs.money import Money
from computeplan.world.load import Load

__all__ = ["By", "Question", "Site", "instances_of", "site_of"]

By = Literal["cost", "energy", "carbon", "chips"]


@dataclass(frozen=True, slots=True)
class Site:
    """Where the fleet stands."""

    name: str
    pue: float
    price: Money | None = None
    """Of electricity. [currency/J]"""
    carbon_kg_per_j: float = math.nan


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of every chip."""

    model: Transformer
    load: Load
    """Its rate is the mean over the day."""
    peak: float
    """Requests of the busiest minute over the mean."""
    slo: Slo
    site: Site
    derating: float = DERATING
    reliability: Reliability = Reliability()  # noqa: RUF009 - frozen
    engine: str | None = None
    precision: str | None = None
    currency: str = "USD"
    usd_per_cny: float = math.nan
    rents: tuple[tuple[str, Money], ...] = ()
    """By full name of a chip; one under "" is of all others. [currency/(chip s)]"""
    by: By = "cost"
    n_shown: int = 0
    """Layouts that are searched to be shown."""
    seed: int = 1
    roles: tuple[Role, ...] = ("both",)
    """What instances there are; those of `APART` if prefill and decode are disaggregated."""
    speculation: Speculation | None = None
    """Tokens drafted and accepted a step; none if left out."""

    @property
    def mean_per_s(self) -> float:
        """Requests a second, mean over the day. [1/s]"""
        return float(self.load.per_s.mean())

    @property
    def peak_per_s(self) -> float:
        """Requests a second of the busiest minute. [1/s]"""
        return self.mean_per_s * self.peak

    @property
    def settings(self) -> Settings:
        """What is said of instances, where they have one role."""
        (role,) = self.roles
        return Settings(role=role, speculation=self.speculation)

    def in_role(self, role: Role) -> Question:
        """Return what is asked of the instances of one role."""
        load, slo = load_of_role(self.load, role), slo_of_role(self.slo, role)
        return replace(self, roles=(role,), load=load, slo=slo)


def instances_of(question: Question, chip: Chip, rate: float, n_chips: int) -> tuple[int, int]:
    """Return instances for the peak, and spares.

    Parameters
    ----------
    question : Question
    chip : Chip
    rate : float
        What an instance holds. [1/s]
    n_chips : int
        Of an instance.
    """
    return fleet_of(
        question.peak_per_s,
        rate,
        n_chips,
        node_chips_of(chip),
        question.derating,
        question.reliability,
    )


def site_of(name: str) -> Site:
    """Return a place of the catalogue as a site: what a contract pays, else the posted price.

    Raises
    ------
    ScenarioError
        If there is no such place, or its PUE is not known.

    Examples
    --------
    >>> site = site_of("virginia")
    >>> site.pue, round(site.price.amount * 3.6e6, 4)
    (1.33, 0.0945)
    """
    try:
        place = find_place(name)
    except ScenarioError:
        raise
    except ValueError as error:
        raise ScenarioError.of(f"--site: {error}") from None
    pue, carbon = pue_at(place), carbon_at(place)
    price = price_at(place, "contracted") or price_at(place, "posted")
    if pue is None:
        raise ScenarioError.of(f"--site: the PUE of {name} is not known; list: computeplan sites")
    return Site(
        place.name,
        float(pue.fact.point),
        None if price is None else price.fact.point,
        math.nan if carbon is None else float(carbon.fact.point),
    )
