"""How many chips of which kind serve a load within limits of latency, and what that takes.

Each chip is asked by itself: the layout whose fleet is smallest, the fleet for the busiest minute
with its spares, times at that minute, energy, money and carbon of the day. Chips are then compared
by what is asked for; where there are not enough of one kind, kinds are mixed.

Long because what is asked, and what is answered of a chip, stand together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from computeplan.engines.serve.largest_rate import N_REQUESTS
from computeplan.engines.serve.percentiles import Band, band
from computeplan.engines.serve.policy import Slo
from computeplan.engines.serve.replica import play
from computeplan.errors import ScenarioError
from computeplan.fleet.layouts import (
    Candidate,
    NoneHolds,
    candidates,
    engines_on,
    scaled,
)
from computeplan.fleet.mix import Kind, Mix, cheapest_mix
from computeplan.fleet.search import (
    CALM_FRAC,
    Search,
    Simulated,
    best_layout,
    rate_between,
    requests_for,
)
from computeplan.fleet.sizes import (
    DERATING,
    Reliability,
    Use,
    Watts,
    fleet_of,
    latencies_of,
    node_chips_of,
    use_of,
    watts_of,
)
from computeplan.notes import Note, note, quoted
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.lookup import find_chip
from computeplan.specs.catalogue.models import Transformer
from computeplan.specs.catalogue.place_lookup import carbon_at, find_place, price_at, pue_at
from computeplan.specs.catalogue.serving import OWN_TABLE, engines_of
from computeplan.specs.money import Money
from computeplan.trace.requests import at_rate
from computeplan.units import DAY_S, YEAR_S
from computeplan.world.load import Load, RequestTrace

__all__ = [
    "By",
    "Fleet",
    "Other",
    "Price",
    "Question",
    "Refused",
    "ServingPlan",
    "Site",
    "day_price",
    "fleet",
    "lacking",
    "plan_serving",
    "search_of",
    "site_of",
]

By = Literal["cost", "energy", "carbon", "chips"]

LIFE_S = 5.0 * YEAR_S
"""Over which the price of a chip is spread where no rent is given; operators of clouds write 5 to 6
years off. [s]"""
N_OTHERS = 1000
"""Requests that decide about engines that are shown beside the one chosen."""
OTHER_LAYOUTS = 4
"""Of them that are tabulated."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where the fleet stands."""

    name: str
    pue: float
    price: Money | None = None
    """Of electricity. [currency/J]"""
    carbon_kg_per_j: float = math.nan


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

    @property
    def mean_per_s(self) -> float:
        """Requests a second, mean over the day. [1/s]"""
        return float(self.load.per_s.mean())


@dataclass(frozen=True, slots=True)
class Refused:
    """A chip without a fleet."""

    chip: str
    sheet: Chip
    """What is known of the chip."""
    why: Note


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
class Fleet:
    """The fleet of one chip."""

    chip: str
    sheet: Chip
    """What is known of the chip."""
    question: Question
    search: Search
    n_instances: int
    n_spares: int
    low_chips: float
    high_chips: float
    """Ends of the 90 % band of chips; infinite where slower steps hold the limits at no rate."""
    ttft_s: Band
    tpot_s: Band
    """At the peak, at the percentiles of the limits, with band. [s]"""
    use: Use
    watts: Watts
    """Of a chip, mean over the day; nan where its board limit is not known."""
    price: Price
    """Of a day."""
    has_rent: bool
    node_chips: int
    """Of a server."""
    most: int | None
    """Chips there are of its kind; None without limit."""
    carbon_kg: float
    """Of a day."""
    others: tuple[Other, ...] = ()
    """Smaller ones of engines and precisions of which less is known, by how much is."""

    @property
    def best(self) -> Candidate:
        """Its layout."""
        return self.search.best.candidate

    @property
    def n_chips(self) -> int:
        """Chips of all instances, spares included."""
        return (self.n_instances + self.n_spares) * self.best.n_chips

    @property
    def known(self) -> str:
        """What the shares are of: the chip, the precision on others, the engine, none."""
        borrowed = self.best.compiled.borrowed
        return "chip" if borrowed is None else borrowed.known

    def request_j(self, meter: str = "it") -> float:
        """Return the energy of a request at a meter, all chips counted. [J]"""
        return self.n_chips * float(getattr(self.watts, meter)) / self.question.mean_per_s

    def output_token_j(self, meter: str = "it") -> float:
        """Return the energy of an output token, its share of the prompt included. [J]"""
        return self.request_j(meter) / self.question.load.output_tokens.mean

    def request_band_j(self, meter: str = "it") -> tuple[float, float]:
        """Return the ends of the 90 % band of the energy of a request. [J]"""
        each, factor = self.request_j(meter) / self.n_chips, 1.0 + self.watts.error_frac
        return each * self.low_chips / factor, each * self.high_chips * factor

    def of_tokens(self, a_day: float) -> tuple[float, float]:
        """Return what of a day falls on a million input and a million output tokens.

        Parameters
        ----------
        a_day : float
            Money or carbon of a day; it is split by time in steps.
        """
        load, n_requests = self.question.load, self.question.mean_per_s * DAY_S
        of_input = self.use.prompt_frac * a_day / (n_requests * load.input_tokens.mean)
        of_output = (1 - self.use.prompt_frac) * a_day / (n_requests * load.output_tokens.mean)
        return 1e6 * of_input, 1e6 * of_output

    def merit(self, by: By) -> float:
        """Return what chips are compared by; nan where it is not known."""
        return {
            "cost": self.price.whole,
            "energy": self.request_j("facility"),
            "carbon": self.carbon_kg,
            "chips": float(self.n_chips),
        }[by]


@dataclass(frozen=True, slots=True, eq=False)
class ServingPlan:
    """The fleets of all chips that were asked of."""

    question: Question
    chips: tuple[Fleet | Refused, ...]
    """In the order asked."""
    by: By
    """What they are compared by: chips where what was asked for is not known of all."""
    mix: Mix | None
    """Where kinds are limited in number."""

    @property
    def fleets(self) -> tuple[Fleet, ...]:
        """Of the chips that hold the load."""
        return tuple(one for one in self.chips if isinstance(one, Fleet))

    @property
    def best(self) -> Fleet | None:
        """The one that is best by what is asked; None where no kind holds the load by itself."""
        enough = (one for one in self.fleets if one.most is None or one.n_chips <= one.most)
        return min(enough, key=lambda one: one.merit(self.by), default=None)


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


def plan_serving(
    question: Question,
    chips: Sequence[tuple[str, int | None]],
    *,
    progress: Callable[[str, str], None] | None = None,
) -> ServingPlan:
    """Return the fleets that serve a load within its limits, chip by chip.

    Parameters
    ----------
    question : Question
    chips : sequence of (name, most)
        Names of the catalogue, or files, and how many of each there are; None without limit.
    progress : callable, optional
        Called with the chip and the layout that is simulated.

    Raises
    ------
    ScenarioError
        If a chip is not known.
    """
    found = list[Fleet | Refused]()
    for name, most in chips:
        chip = _chip(name)
        if chip.name in {one.chip for one in found}:
            raise ScenarioError.of(f"--chip: {chip.name} is named twice; name each kind once")
        told = None if progress is None else partial(progress, chip.name)
        found.append(_plan_chip(question, chip, most, told))
    fleets = [one for one in found if isinstance(one, Fleet)]
    by = question.by
    if any(math.isnan(one.merit(by)) for one in fleets):
        by = "chips"
    mix = None
    if any(most is not None for _, most in chips):
        kinds = [
            Kind(
                one.chip,
                one.best.n_chips,
                one.node_chips,
                one.search.best.rate.per_s * question.derating,
                one.merit(by) / one.n_chips,
                most,
            )
            for one, (_, most) in zip(found, chips, strict=True)
            if isinstance(one, Fleet)
        ]
        mix = cheapest_mix(kinds, question.mean_per_s * question.peak, question.reliability)
    return ServingPlan(question, tuple(found), by, mix)


def _chip(name: str) -> Chip:
    try:
        return find_chip(name)[0]
    except ScenarioError:
        raise
    except ValueError as error:
        raise ScenarioError.of(f"--chip: {error}") from None


def _plan_chip(
    question: Question, chip: Chip, most: int | None, progress: Callable[[str], None] | None
) -> Fleet | Refused:
    """Return the fleet of one chip, or why there is none."""
    found = search_of(question, chip, progress=progress)
    if not isinstance(found, Search):
        return Refused(chip.name, chip, found)
    one = fleet(question, chip, found, most)
    return replace(one, others=_others(question, chip, one.best, one.n_chips, progress))


def _others(
    question: Question,
    chip: Chip,
    one: Candidate,
    n_chips: int,
    progress: Callable[[str], None] | None,
) -> tuple[Other, ...]:
    """Return smaller fleets, of engines of which less is known than of a layout's."""
    model, engine = question.model, question.engine
    levels = engines_on(chip, model, engine=engine, precision=question.precision)
    mine = (one.compiled.engine, one.precision)
    less = levels[next(i for i, pairs in enumerate(levels) if mine in pairs) + 1 :]
    has = {name for name, figure in chip.peak_dense.items() if figure.value is not None}
    if question.precision is None and "int8" in has and "fp8" not in has:
        less += engines_on(chip, model, engine=engine, precision="int8")
    found = []
    for pairs in less:
        try:
            best = _other(question, chip, pairs, n_chips, progress)
        except (NoneHolds, ValueError):
            continue
        if best is None:
            continue
        other = best.candidate
        n = sum(_instances(question, chip, best.rate.per_s, other.n_chips)) * other.n_chips
        borrowed = other.compiled.borrowed
        known = "chip" if borrowed is None else borrowed.known
        if n < n_chips:
            found.append(Other(other.compiled.engine, other.precision, other.layout, known, n))
    return tuple(found)


def _other(
    question: Question,
    chip: Chip,
    pairs: list[tuple[str, str]],
    n_chips: int,
    progress: Callable[[str], None] | None,
) -> Simulated | None:
    """Return the best of a few layouts that may take fewer chips, if there is one."""

    def size(rate: float, each: int) -> int:
        return sum(_instances(question, chip, rate, each)) * each

    load, slo = question.load, question.slo
    some, n_layouts = candidates(chip, question.model, load, slo, pairs, most=OTHER_LAYOUTS)
    may = [one for one in some if size(one.bound_per_s, one.n_chips) < n_chips]
    if not may:
        return None
    found = best_layout(may, n_layouts, load, slo, size, n_requests=N_OTHERS, progress=progress)
    return None if found is None else found.best


def search_of(
    question: Question,
    chip: Chip,
    *,
    n_requests: int = N_REQUESTS,
    progress: Callable[[str], None] | None = None,
) -> Search | Note:
    """Return the best layout of a chip, or why it has none.

    Engines and precisions of which more is known go before faster ones.

    Parameters
    ----------
    question : Question
    chip : Chip
    n_requests : int, optional
        That decide about a rate.
    progress : callable, optional
        Called with the layout that is simulated.
    """
    if not engines_of(chip.kin):
        return note("serve_unserved", chip=chip.name, how=OWN_TABLE)
    try:
        levels = engines_on(
            chip, question.model, engine=question.engine, precision=question.precision
        )
    except ValueError as error:
        return quoted([str(error)])[0]
    first: Note | None = None
    for pairs in levels:
        try:
            return _search(question, chip, pairs, n_requests, progress)
        except NoneHolds as error:
            first = first or error.why
        except ValueError as error:
            first = first or quoted([str(error)])[0]
    return first or note("serve_no_engine", chip=chip.name)


def _search(
    question: Question,
    chip: Chip,
    pairs: list[tuple[str, str]],
    n_requests: int,
    progress: Callable[[str], None] | None,
) -> Search:
    """Return the best layout of some engines and precisions; raise NoneHolds if there is none."""
    found, n_layouts = candidates(chip, question.model, question.load, question.slo, pairs)

    def size(rate: float, n_chips: int) -> int:
        return sum(_instances(question, chip, rate, n_chips)) * n_chips

    search = best_layout(
        found,
        n_layouts,
        question.load,
        question.slo,
        size,
        n_shown=question.n_shown,
        seed=question.seed,
        n_requests=n_requests,
        progress=progress,
    )
    if search is None:
        first = found[0]
        drawn = requests_for(first, question.load, question.seed)
        calm = play(first.times, at_rate(drawn, CALM_FRAC * first.bound_per_s), first.policy)
        slo = question.slo
        raise NoneHolds(
            note(
                "serve_tail",
                chip=chip.name,
                layout=first.layout,
                ttft_s=band([calm.ttft_s], slo.ttft_frac).value,
                tpot_s=band([calm.tpot_s], slo.tpot_frac).value,
                ttft_frac=slo.ttft_frac,
                tpot_frac=slo.tpot_frac,
            )
        )
    return search


def fleet(question: Question, chip: Chip, search: Search, most: int | None = None) -> Fleet:
    """Return the fleet of a chip whose layout is found.

    Parameters
    ----------
    question : Question
    chip : Chip
    search : Search
        Its best layout is taken.
    most : int, optional
        Chips there are.
    """
    one, rate, slo = search.best.candidate, search.best.rate.per_s, question.slo
    peak = question.mean_per_s * question.peak
    n, spares = _instances(question, chip, rate, one.n_chips)
    n_chips = (n + spares) * one.n_chips
    drawn = requests_for(one, question.load, question.seed)
    at_peak = play(one.times, at_rate(drawn, peak / (n * question.derating)), one.policy)
    use = _mean_use(question, one, n + spares, drawn)
    watts = watts_of(chip, use, n_chips, question.site.pue)
    low, high = one.compiled.band
    ttft_s, tpot_s = latencies_of(at_peak, slo, one.compiled)
    price, has_rent = _price(question, chip, n_chips, watts)
    return Fleet(
        chip.name,
        chip,
        question,
        search,
        n_instances=n,
        n_spares=spares,
        low_chips=min(_chips_at(question, chip, search.best, low), n_chips),
        high_chips=max(_chips_at(question, chip, search.best, high), n_chips),
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        use=use,
        watts=watts,
        price=price,
        has_rent=has_rent,
        node_chips=node_chips_of(chip),
        most=most,
        carbon_kg=n_chips * watts.facility * DAY_S * question.site.carbon_kg_per_j,
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
    watts = ("watts",) if math.isnan(one.watts.facility) else ()
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


def day_price(question: Question, chip: Chip, search: Search, n_requests: int) -> Price:
    """Return the price of a day of the fleet of a layout; nan where it is not known.

    Parameters
    ----------
    question : Question
    chip : Chip
    search : Search
    n_requests : int
        That tell what chips draw.
    """
    one = search.best.candidate
    n_instances = sum(_instances(question, chip, search.best.rate.per_s, one.n_chips))
    drawn = requests_for(one, question.load, question.seed, n_requests)
    use = _mean_use(question, one, n_instances, drawn)
    n_chips = n_instances * one.n_chips
    return _price(question, chip, n_chips, watts_of(chip, use, n_chips, question.site.pue))[0]


def _mean_use(question: Question, one: Candidate, n_instances: int, drawn: RequestTrace) -> Use:
    """Return what instances are used for at the mean of the day, spares included."""
    each = question.mean_per_s / (n_instances * question.derating)
    return use_of(
        one.compiled.instance, play(one.times, at_rate(drawn, each), one.policy), one.role
    )


def _chips_at(question: Question, chip: Chip, simulated: Simulated, factor: float) -> float:
    """Return the chips of a fleet whose steps are longer by a factor, of the same layout."""
    one, rate, slo = simulated.candidate, simulated.rate.per_s, question.slo
    if factor == 1.0:
        times, found = one.times, rate
    else:
        times = scaled(one.times, factor)
        drawn = requests_for(one, question.load, question.seed)
        most = simulated.rate.most_per_s / factor  # when there is always work
        ends = (0.0, min(rate, most)) if factor > 1.0 else (rate, max(rate, most))
        found = rate_between(times, drawn, slo, one.policy, *ends)
    if not found > 0:
        return math.inf
    return float(sum(_instances(question, chip, found, one.n_chips)) * one.n_chips)


def _instances(question: Question, chip: Chip, rate: float, n_chips: int) -> tuple[int, int]:
    """Return instances for the peak, and spares."""
    peak, node_chips = question.mean_per_s * question.peak, node_chips_of(chip)
    return fleet_of(peak, rate, n_chips, node_chips, question.derating, question.reliability)


def _price(question: Question, chip: Chip, n_chips: int, watts: Watts) -> tuple[Price, bool]:
    """Return the price of a day, and whether a rent was given."""
    rent, has_rent = _rent_of(question, chip)

    def worth(money: Money | None) -> float:
        if money is None:
            return math.nan
        return money.worth(question.currency, question.usd_per_cny)

    joules = watts.facility * n_chips * DAY_S
    return Price(worth(rent) * n_chips * DAY_S, worth(question.site.price) * joules), has_rent


def _rent_of(question: Question, chip: Chip) -> tuple[Money | None, bool]:
    """Return the rent of a chip, or its price over its life, and whether a rent was given."""
    rents = dict(question.rents)
    rent = rents.get(chip.name, rents.get(""))
    bought = chip.price.middle
    if rent is None and bought is not None:
        return Money(bought.amount / LIFE_S, bought.currency), False
    return rent, rent is not None
