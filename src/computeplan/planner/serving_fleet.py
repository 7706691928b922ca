"""The fleet of a chip whose layouts are found: instances by role, watts, money, carbon, with bands.

A fleet is composed of sized roles: one whose instances serve requests whole, or prefill and decode
beside each other. Each role has a layout, instances and spares, and what they take; the fleet has
the sums, the first token of the first role and the further tokens of the last.

Long because what a role takes and what a fleet sums stand together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from computeplan.engines.serve.percentiles import Band
from computeplan.engines.serve.replica import play
from computeplan.fleet.layouts import Candidate
from computeplan.fleet.roles import Role
from computeplan.fleet.search import Search, Simulated, rate_of_longer, requests_for
from computeplan.fleet.sizes import Use, Watts, latencies_of, node_chips_of, use_of, watts_of
from computeplan.planner.serving_question import By, Question, instances_of
from computeplan.planner.serving_search import Searches, chips_of
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.serving import KNOWN
from computeplan.specs.money import Money
from computeplan.trace.requests import at_rate
from computeplan.units import DAY_S, YEAR_S
from computeplan.world.load import RequestTrace

__all__ = ["Fleet", "Other", "Price", "SizedRole", "day_price", "fleet", "known_of", "lacking"]

LIFE_S = 5.0 * YEAR_S
"""Over which the price of a chip is spread where no rent is given; operators of clouds write 5 to 6
years off. [s]"""


@dataclass(frozen=True, slots=True)
class Price:
    """Money of an amount of work, in one currency; nan where a part of it is not known."""

    chips: float
    """Rent, or the price of chips by the time of their life."""
    electricity: float

    @property
    def whole(self) -> float:
        """Both."""
        return self.chips + self.electricity


@dataclass(frozen=True, slots=True)
class Other:
    """The fleet of an engine and a precision of which less is known than of the one chosen."""

    engine: str
    precision: str
    layout: str
    known: str
    """What the shares are of, as of a fleet."""
    n_chips: int


@dataclass(frozen=True, slots=True, eq=False)
class SizedRole:
    """The instances of one role in a fleet of one chip."""

    asked: Question
    """As instances of this role are asked."""
    search: Search
    n_instances: int
    n_spares: int
    low_chips: float
    high_chips: float
    """Ends of the 90 % band of chips; infinite where slower steps hold the limits at no rate."""
    ttft_s: Band
    tpot_s: Band
    """At the peak, at the percentiles of the limits, with band; nan where a role has none. [s]"""
    use: Use
    watts: Watts
    """Of a chip, mean over the day; nan where its board limit is not known."""
    price: Price
    """Of a day."""
    carbon_kg: float
    """Of a day."""

    @property
    def role(self) -> Role:
        """What the instances do of each request."""
        return self.asked.roles[0]

    @property
    def best(self) -> Candidate:
        """Its layout."""
        return self.search.best.candidate

    @property
    def n_chips(self) -> int:
        """Chips of all instances, spares included."""
        return (self.n_instances + self.n_spares) * self.best.n_chips

    def request_j(self, meter: str = "it") -> float:
        """Return the energy of a request at a meter, all chips counted. [J]"""
        return self.n_chips * float(getattr(self.watts, meter)) / self.asked.mean_per_s

    def request_band_j(self, meter: str = "it") -> tuple[float, float]:
        """Return the ends of the 90 % band of the energy of a request. [J]"""
        each, factor = self.request_j(meter) / self.n_chips, 1.0 + self.watts.error_frac
        return each * self.low_chips / factor, each * self.high_chips * factor

    def merit(self, by: By) -> float:
        """Return what is counted of it; nan where it is not known."""
        return {
            "cost": self.price.whole,
            "energy": self.request_j("facility"),
            "carbon": self.carbon_kg,
            "chips": float(self.n_chips),
        }[by]


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """The fleet of one chip."""

    chip: str
    sheet: Chip
    """What is known of the chip."""
    question: Question
    roles: tuple[SizedRole, ...]
    """Whose instances it has: those that serve requests whole, or prefill and then decode."""
    has_rent: bool
    node_chips: int
    """Of a server."""
    most: int | None
    """Chips there are of its kind; None without limit."""
    others: tuple[Other, ...] = ()
    """Smaller ones of engines and precisions of which less is known, by how much is."""

    @property
    def n_chips(self) -> int:
        """Chips of all instances of all roles, spares included."""
        return sum(one.n_chips for one in self.roles)

    @property
    def low_chips(self) -> float:
        """The low end of the 90 % band of chips."""
        return sum(one.low_chips for one in self.roles)

    @property
    def high_chips(self) -> float:
        """The high end of the 90 % band of chips; infinite where slower steps hold no limit."""
        return sum(one.high_chips for one in self.roles)

    @property
    def ttft_s(self) -> Band:
        """Time to the first token at the peak, with band. [s]"""
        return self.roles[0].ttft_s

    @property
    def tpot_s(self) -> Band:
        """Time of a further token at the peak, with band. [s]"""
        return self.roles[-1].tpot_s

    @property
    def price(self) -> Price:
        """Of a day."""
        return _sum_of([one.price for one in self.roles])

    @property
    def carbon_kg(self) -> float:
        """Of a day. [kg]"""
        return sum(one.carbon_kg for one in self.roles)

    @property
    def layout(self) -> str:
        """The layouts of its roles."""
        return " + ".join(one.best.layout for one in self.roles)

    @property
    def engine(self) -> str:
        """The engine of all roles."""
        return self.roles[0].best.compiled.engine

    @property
    def precision(self) -> str:
        """The precision of all roles."""
        return self.roles[0].best.precision

    @property
    def known(self) -> str:
        """What the shares are of, of the role of which the least is known."""
        return known_of([one.best for one in self.roles])

    def request_j(self, meter: str = "it") -> float:
        """Return the energy of a request at a meter, all chips counted. [J]"""
        return sum(one.request_j(meter) for one in self.roles)

    def output_token_j(self, meter: str = "it") -> float:
        """Return the energy of an output token, its share of the prompt included. [J]"""
        return self.request_j(meter) / self.question.load.output_tokens.mean

    def request_band_j(self, meter: str = "it") -> tuple[float, float]:
        """Return the ends of the 90 % band of the energy of a request. [J]"""
        bands = [one.request_band_j(meter) for one in self.roles]
        return sum(low for low, _ in bands), sum(high for _, high in bands)

    def of_tokens(self, a_day: Callable[[SizedRole], float]) -> tuple[float, float]:
        """Return what of a day falls on a million input and a million output tokens.

        Parameters
        ----------
        a_day : callable
            Money or carbon of a day of a role; it is split by time in steps, so that of prefill
            instances all falls on input tokens, and of decode instances on output tokens.
        """
        load, n_requests = self.question.load, self.question.mean_per_s * DAY_S
        of_input = sum(one.use.prompt_frac * a_day(one) for one in self.roles)
        of_output = sum((1 - one.use.prompt_frac) * a_day(one) for one in self.roles)
        return (
            1e6 * (of_input / (n_requests * load.input_tokens.mean)),
            1e6 * (of_output / (n_requests * load.output_tokens.mean)),
        )

    def merit(self, by: By) -> float:
        """Return what chips are compared by; nan where it is not known."""
        return sum(one.merit(by) for one in self.roles)


def known_of(layouts: list[Candidate]) -> str:
    """Return what shares are of: the chip, the precision on others, the engine, none."""
    borrowed = [one.compiled.borrowed for one in layouts]
    return max(("chip" if one is None else one.known for one in borrowed), key=KNOWN.index)


def fleet(question: Question, chip: Chip, searches: Searches, most: int | None = None) -> Fleet:
    """Return the fleet of a chip whose layouts are found.

    Parameters
    ----------
    question : Question
    chip : Chip
    searches : tuple of Search
        The best layout of each role is taken.
    most : int, optional
        Chips there are.
    """
    n_chips = chips_of(question, chip, searches)
    return Fleet(
        chip.name,
        chip,
        question,
        tuple(
            _sized(question.in_role(role), chip, search, n_chips)
            for role, search in zip(question.roles, searches, strict=True)
        ),
        has_rent=_rent_of(question, chip)[1],
        node_chips=node_chips_of(chip),
        most=most,
    )


def _sized(asked: Question, chip: Chip, search: Search, fleet_chips: int) -> SizedRole:
    """Return the instances of one role in a fleet of so many chips."""
    one, rate, slo = search.best.candidate, search.best.rate.per_s, asked.slo
    n, spares = instances_of(asked, chip, rate, one.n_chips)
    n_chips = (n + spares) * one.n_chips
    drawn = requests_for(one, asked.load, asked.seed)
    each = asked.peak_per_s / (n * asked.derating)
    at_peak = play(one.times, at_rate(drawn, each), one.policy)
    use = _mean_use(asked, one, n + spares, drawn)
    watts = watts_of(chip, use, fleet_chips, asked.site.pue)
    low, high = one.compiled.band
    ttft_s, tpot_s = latencies_of(at_peak, slo, one.compiled)
    return SizedRole(
        asked,
        search,
        n_instances=n,
        n_spares=spares,
        low_chips=min(_chips_at(asked, chip, search.best, low), n_chips),
        high_chips=max(_chips_at(asked, chip, search.best, high), n_chips),
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        use=use,
        watts=watts,
        price=_price(asked, chip, n_chips, watts),
        carbon_kg=n_chips * watts.facility * DAY_S * asked.site.carbon_kg_per_j,
    )


def lacking(one: Fleet, by: By) -> tuple[str, ...]:
    """Return what is missing for what chips are compared by: rent, exchange and others; or nothing.

    Parameters
    ----------
    one : Fleet
    by : {"cost", "energy", "carbon", "chips"}
    """
    if not math.isnan(one.merit(by)):
        return ()
    watts = ("watts",) if math.isnan(one.request_j("facility")) else ()
    site = one.question.site
    if by == "carbon":
        return (*watts, *(("carbon",) if math.isnan(site.carbon_kg_per_j) else ()))
    if by != "cost":
        return watts
    rent = _rent_of(one.question, one.sheet)[0]
    needs = {money.currency for money in (rent, site.price) if money is not None}
    is_other = bool(needs - {one.question.currency})
    found = [
        ("rent", rent is None),
        ("electricity", site.price is None),
        ("exchange", is_other and math.isnan(one.question.usd_per_cny)),
    ]
    return (*watts, *(name for name, lacks in found if lacks))


def day_price(question: Question, chip: Chip, searches: Searches, n_requests: int) -> Price:
    """Return the price of a day of the fleet of some layouts; nan where it is not known.

    Parameters
    ----------
    question : Question
    chip : Chip
    searches : tuple of Search
        Of each role.
    n_requests : int
        That tell what chips draw.
    """
    n_chips, prices = chips_of(question, chip, searches), list[Price]()
    for role, search in zip(question.roles, searches, strict=True):
        asked, one = question.in_role(role), search.best.candidate
        n_instances = sum(instances_of(asked, chip, search.best.rate.per_s, one.n_chips))
        drawn = requests_for(one, asked.load, asked.seed, n_requests)
        use = _mean_use(asked, one, n_instances, drawn)
        watts = watts_of(chip, use, n_chips, asked.site.pue)
        prices.append(_price(asked, chip, n_instances * one.n_chips, watts))
    return _sum_of(prices)


def _sum_of(prices: list[Price]) -> Price:
    return Price(sum(one.chips for one in prices), sum(one.electricity for one in prices))


def _mean_use(asked: Question, one: Candidate, n_instances: int, drawn: RequestTrace) -> Use:
    """Return what instances are used for at the mean of the day, spares included."""
    each = asked.mean_per_s / (n_instances * asked.derating)
    return use_of(
        one.compiled.instance, play(one.times, at_rate(drawn, each), one.policy), one.role
    )


def _chips_at(asked: Question, chip: Chip, simulated: Simulated, factor: float) -> float:
    """Return the chips of instances whose steps are longer by a factor, of the same layout."""
    rate, n_chips = simulated.rate.per_s, simulated.candidate.n_chips
    found = rate_of_longer(simulated, asked.load, asked.slo, rate, factor, asked.seed)
    if not found > 0:
        return math.inf
    return float(sum(instances_of(asked, chip, found, n_chips)) * n_chips)


def _price(question: Question, chip: Chip, n_chips: int, watts: Watts) -> Price:
    """Return the price of a day of some chips."""
    rent, _ = _rent_of(question, chip)

    def worth(money: Money | None) -> float:
        if money is None:
            return math.nan
        return money.worth(question.currency, question.usd_per_cny)

    joules = watts.facility * n_chips * DAY_S
    return Price(worth(rent) * n_chips * DAY_S, worth(question.site.price) * joules)


def _rent_of(question: Question, chip: Chip) -> tuple[Money | None, bool]:
    """Return the rent of a chip, or its price over its life, and whether a rent was given."""
    rents = dict(question.rents)
    rent = rents.get(chip.name, rents.get(""))
    bought = chip.price.middle
    if rent is None and bought is not None:
        return Money(bought.amount / LIFE_S, bought.currency), False
    return rent, rent is not None
