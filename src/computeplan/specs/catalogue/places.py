"""What is known of a place: carbon, tariffs, PUE, water, temperatures; each figure with its source.

What is not said of a place is looked up at the place that stands under ``otherwise``: a cluster's
province, a province's country. A tariff has a posted price, for energy and for the highest demand
of a month; what was contracted stands apart. Hours say when the day's bands are, by season, and
which part of the price floats.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field, model_validator

from computeplan.specs.catalogue.facts import (
    Carbon,
    Celsius,
    Energy,
    Fact,
    Number,
    PerEnergy,
    PerMass,
    PerPower,
    PueFact,
    WaterUse,
)
from computeplan.specs.fields import Frozen, refuse
from computeplan.specs.money import Money
from computeplan.units import HOUR_S

__all__ = [
    "BANDS",
    "LOAD_FACTOR",
    "MONTH_S",
    "Band",
    "Climate",
    "Components",
    "Hours",
    "Place",
    "PlacePue",
    "Season",
    "Tariff",
    "Water",
]

Band = Literal["sharp", "peak", "flat", "valley", "deep"]
BANDS: tuple[Band, ...] = ("sharp", "peak", "flat", "valley", "deep")
"""Of a day's hours, the dearest first."""
LOAD_FACTOR = 0.85
"""Mean over highest power of a steady load, by which a demand charge is told per kWh; a choice."""
MONTH_S = 730.0 * HOUR_S
"""A month of a demand charge: a twelfth of 8,760 h."""


class PlacePue(Frozen):
    """Facility energy / IT energy."""

    measured: dict[str, PueFact] = Field(default_factory=dict)
    """Means of a year, by who is measured."""
    target: PueFact | None = None
    """Above which no new centre of a hub may be."""
    usual: PueFact | None = None
    """Of centres there, where nothing nearer is known."""
    reported: dict[str, PueFact] = Field(default_factory=dict)
    """What operators claim, and surveys; shown and not used."""


class Tariff(Frozen):
    """A posted price of electricity."""

    area: str
    """For which part of the place."""
    voltage: str
    """At which it is delivered."""
    parts: Literal["one", "two"]
    """Two: with a charge for the highest demand."""
    energy: PerEnergy
    """The flat price, taxes and funds included."""
    demand: PerPower | None = None
    """For the highest demand of each month."""
    bands: dict[Band, PerEnergy] = Field(default_factory=dict)
    """Posted prices by band of the day."""
    floating: PerEnergy | None = None
    """The part of the flat price that the multipliers of the hours apply to."""
    hours: str | None = None
    """Which hours of the place hold; none are known if left out."""
    note: str = ""
    """What to know of it."""

    @property
    def currency(self) -> str:
        """The currency of the tariff."""
        return self.energy.point.currency

    @property
    def is_estimate(self) -> bool:
        """Whether a part of it is an estimate."""
        return self.energy.is_estimate or (self.demand is not None and self.demand.is_estimate)

    def steady(self) -> Money:
        """Return the price of a steady load per joule, its demand charge included.

        The highest demand is the mean over `LOAD_FACTOR`.
        """
        return Money(self._steady(_point), self.currency)

    def steady_range(self) -> tuple[float, float]:
        """Return the limits of `steady`: both ends of what has limits. [currency/J]"""
        return self._steady(_low), self._steady(_high)

    def _steady(self, end: Callable[[Fact[Money]], Money]) -> float:
        demand = 0.0 if self.demand is None else end(self.demand).amount
        return end(self.energy).amount + demand / (MONTH_S * LOAD_FACTOR)

    @model_validator(mode="after")
    def _checked(self) -> Tariff:
        facts = (self.energy, self.demand, self.floating, *self.bands.values())
        if len({fact.point.currency for fact in facts if fact is not None}) > 1:
            refuse("is in two currencies")
        return self


def _point(fact: Fact[Money]) -> Money:
    return fact.point


def _low(fact: Fact[Money]) -> Money:
    return fact.point if fact.low is None else fact.low


def _high(fact: Fact[Money]) -> Money:
    return fact.point if fact.high is None else fact.high


class Season(Frozen):
    """Months with the same hours."""

    months: tuple[Annotated[int, Field(ge=1, le=12)], ...] = Field(min_length=1)
    """From 1."""
    hours: dict[Band, tuple[tuple[int, int], ...]]
    """From hour to hour, by band; together each hour of the day once."""
    multipliers: dict[Band, float] = Field(default_factory=dict)
    """On what floats, flat = 1; none where the document states none."""

    @model_validator(mode="after")
    def _checked(self) -> Season:
        hours = [h for spans in self.hours.values() for a, b in spans for h in range(a, b)]
        if sorted(hours) != list(range(24)):
            twice = sorted({h for h in hours if hours.count(h) > 1})
            missing = sorted(set(range(24)) - set(hours))
            refuse(f"a day has each hour once; twice: {twice}, missing: {missing}")
        if self.multipliers and self.multipliers.keys() != self.hours.keys():
            refuse("multipliers and hours have the same bands")
        return self

    def band_at(self, hour: int) -> Band:
        """Return the band of the hour that begins then."""
        return next(
            band
            for band, spans in self.hours.items()
            if any(start <= hour < end for start, end in spans)
        )


class Hours(Frozen):
    """When the bands of a day are, by season; Beijing time in China."""

    document: str
    """The rule."""
    source: str
    """A key of ``sources.yaml``: where it was read."""
    confidence: Literal["read", "secondary"]
    """How it was read."""
    floats: Literal["energy", "user"] | None = None
    """Which part floats: what is paid for energy alone, or the whole price less funds; none: not
    stated."""
    note: str = ""
    """What to know of it, such as special days."""
    seasons: tuple[Season, ...]
    """Together each month once."""

    @model_validator(mode="after")
    def _checked(self) -> Hours:
        months = sorted(itertools.chain.from_iterable(season.months for season in self.seasons))
        if months != list(range(1, 13)):
            refuse(f"a year has each month once, got {months}")
        return self

    def season_of(self, month: int) -> Season:
        """Return the season of a month, counted from 1."""
        return next(season for season in self.seasons if month in season.months)


class Components(Frozen):
    """Parts of the price of electricity of a province."""

    transport: PerEnergy | None = None
    """Transmission and distribution, the energy part, 220 kV and above."""
    funds: PerEnergy | None = None
    """Government funds."""
    spread: PerEnergy | None = None
    """Peak less valley, 1-10 kV."""
    coal_benchmark: PerEnergy | None = None
    """Benchmark price of power from coal."""


class Climate(Frozen):
    """Dry-bulb temperatures."""

    monthly_c: tuple[float, ...] = Field(min_length=12, max_length=12)
    """Mean of each month. [degC]"""
    when: str
    """Years that it is the mean of."""
    source: str
    """A key of ``sources.yaml``."""
    confidence: Literal["read", "secondary"]
    """How it was read."""
    note: str = ""
    """Where the cell of the grid is not like the town."""
    town: Celsius | None = None
    """Mean of the year in the town, where it is not that of the cell. [degC]"""

    @property
    def mean_c(self) -> float:
        """The mean of the months. [degC]"""
        return sum(self.monthly_c) / 12


class Water(Frozen):
    """Water per energy."""

    on_site: WaterUse | None = None
    """For cooling, per energy of the IT."""
    off_site: WaterUse | None = None
    """Of power stations, per energy that is bought."""


class Place(Frozen):
    """A country, province, grid, hub, cluster or site."""

    name: str
    """How a scenario calls it."""
    title: str
    """In English."""
    chinese: str
    """In Chinese."""
    kind: Literal["country", "province", "state", "grid", "hub", "cluster", "site"]
    """What it is."""
    otherwise: str | None = None
    """The place that says what is not said here."""
    hub: str | None = None
    """The hub of 东数西算 that it belongs to; its target of PUE holds here."""
    clusters: tuple[str, ...] = ()
    """The places of a hub."""
    carbon_basis: Literal["CO2", "CO2e", "life-cycle CO2e"] | None = None
    """What is counted: CO2 of generation; other gases, too; or all that power stations cost."""
    carbon: tuple[Carbon, ...] = ()
    """Mean of the grid, location based, the newest last."""
    life_cycle_carbon: tuple[Carbon, ...] = ()
    """The same as CO2e over the life of power stations."""
    residual_carbon: tuple[Carbon, ...] = ()
    """Of what is bought without a contract for green power (market based), the newest last."""
    fossil_carbon: tuple[Carbon, ...] = ()
    """Of power from fossil fuel."""
    pue: PlacePue = PlacePue()
    """Facility energy / IT energy."""
    tariff: str | None = None
    """Which tariff stands for the place."""
    tariffs: dict[str, Tariff] = Field(default_factory=dict)
    """Posted prices by name."""
    contracted: PerEnergy | None = None
    """What data centres there pay, all included, by contract."""
    contracted_is: Literal["paid", "press", "aim"] | None = None
    """Who says so: who was told what is paid, the press, or an authority that aims at it."""
    hours: dict[str, Hours] = Field(default_factory=dict)
    """Bands of the day by name."""
    components: Components = Components()
    """Parts of prices."""
    water: Water = Water()
    """Water per energy."""
    climate: dict[str, Climate] = Field(default_factory=dict)
    """Temperatures by town, the nearest first."""
    green: dict[str, PerEnergy] = Field(default_factory=dict)
    """Prices of green power, on top of the electricity."""
    green_share: Number | None = None
    """Share of green power that is asked for."""
    carbon_price: PerMass | None = None
    """Of emission trading."""
    occupancy: dict[str, Number] = Field(default_factory=dict)
    """Share of racks in use."""
    racks: dict[str, Number] = Field(default_factory=dict)
    """Racks."""
    own_power: dict[str, Energy] = Field(default_factory=dict)
    """Energy of a year from power stations of the site's own."""
    construction: dict[str, PerPower] = Field(default_factory=dict)
    """Price of a building per watt of IT."""

    @model_validator(mode="after")
    def _checked(self) -> Place:
        if self.carbon and self.carbon_basis is None:
            refuse("carbon needs a carbon_basis")
        if (self.contracted is None) != (self.contracted_is is None):
            refuse("contracted and contracted_is stand together")
        years = [fact.when for fact in self.carbon]
        if years != sorted(set(years)):
            refuse(f"carbon: years are {', '.join(years)}; the newest comes last, each once")
        return self
