"""Money is read in USD or CNY, told in one of them, and turned at a rate that has a date."""

import copy
import math

import numpy as np
import pytest

import computeplan as cp
from computeplan.errors import ScenarioError
from computeplan.report.answer import answer
from computeplan.report.numbers import headline
from computeplan.report.words import sentences
from computeplan.specs.catalogue.lookup import parse_chip
from computeplan.specs.documents.document import parse_document
from computeplan.specs.money import Money

SMALL = parse_document(
    """
computeplan: 1
name: small
sites:
  here:
    pue: 1.25
    pools: {p: {chip: nvidia/h100-sxm, chips: 16}}
jobs:
  j: {train_for: 10 h, chips: 16}
simulate: {runs: 1}
""",
    "s.yaml",
).data


def small(**changes):
    data = copy.deepcopy(SMALL)
    data["sites"]["here"].update({k: v for k, v in changes.items() if k == "price"})
    data["sites"]["here"]["pools"]["p"].update({k: v for k, v in changes.items() if k == "rent"})
    data.update({k: v for k, v in changes.items() if k not in ("price", "rent")})
    return cp.load(data)


def played(**changes):
    return cp.run(small(**changes))


def problems(**changes):
    with pytest.raises(cp.ScenarioError) as caught:
        small(**changes)
    return [str(problem) for problem in caught.value.problems]


RATE = {"rate": "0.125 USD/CNY", "on": "2026-11-01"}


@pytest.mark.parametrize("unit", ["CNY", "RMB", "元", "￥", "¥"])
@pytest.mark.parametrize("currency", ["CNY", "RMB", "元", "￥"])
def test_a_price_in_yuan_is_told_in_yuan_without_a_rate(unit, currency):
    values = played(price=f"0.5 {unit}/kWh", currency=currency).cases["small"].values
    np.testing.assert_allclose(values["cost_cny"], values["energy_kwh"] * 0.5)
    assert "cost_usd" not in values


@pytest.mark.parametrize("rate", ["0.125 USD/CNY", "8 CNY/USD", "8 元/USD"])
def test_prices_of_both_currencies_are_told_in_that_of_the_scenario(rate):
    mixed = {"price": "0.8 元/kWh", "rent": "2 USD/chip/h", "exchange": {**RATE, "rate": rate}}
    usd = played(**mixed).cases["small"].values
    cny = played(**mixed, currency="CNY").cases["small"].values
    chip_h = 16 * 10
    np.testing.assert_allclose(usd["rent_usd"], 2 * chip_h)
    np.testing.assert_allclose(usd["cost_usd"], usd["energy_kwh"] * 0.1 + 2 * chip_h)
    np.testing.assert_allclose(cny["cost_cny"], 8 * usd["cost_usd"])
    np.testing.assert_allclose(cny["rent_cny"], 8 * usd["rent_usd"])


def test_results_say_the_rate_and_its_day_only_where_it_is_used():
    said = "1 CNY is 0.125 USD, as given, of 2026-11-01; 1 USD is 8 CNY"
    assert said in sentences(played(price="0.8 CNY/kWh", exchange=RATE).notes)
    same = played(price="0.8 CNY/kWh", exchange=RATE, currency="CNY")
    assert not any("CNY is" in text for text in sentences(same.notes))


@pytest.mark.parametrize("key", ["exchange", "usd_per_cny"])  # the latter of earlier files
def test_a_rate_alone_is_read_and_said_to_have_no_day(key):
    one = played(price="0.8 CNY/kWh", exchange={"rate": "0.125 USD/CNY"})
    other = played(price="0.8 CNY/kWh", **{key: "0.125 USD/CNY"})
    np.testing.assert_array_equal(
        one.cases["small"].values["cost_usd"], other.cases["small"].values["cost_usd"]
    )
    said = "1 CNY is 0.125 USD, as given, of a day that is not given; 1 USD is 8 CNY"
    assert said in sentences(other.notes)


@pytest.mark.parametrize(
    ("changes", "where", "currency"),
    [
        ({"price": "0.6 元/kWh"}, "sites.here.price", "CNY"),
        ({"rent": "18 元/chip/h"}, "sites.here.pools.p.rent", "CNY"),
        ({"price": "0.08 USD/kWh", "currency": "CNY"}, "sites.here.price", "USD"),
    ],
)
def test_a_price_in_the_other_currency_needs_a_rate(changes, where, currency):
    (problem,) = problems(**changes)
    assert problem.endswith(
        f"{where}: is in {currency}, results are in {'USD' if currency == 'CNY' else 'CNY'}: write"
        f" at the top currency: {currency}, or the rate, such as"
        " exchange: {rate: 0.14 USD/CNY, on: 2026-11-01}"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"exchange": {**RATE, "rate": 0.14}},
            "exchange.rate: needs a unit: write it like '0.14 U",
        ),
        ({"exchange": {**RATE, "rate": "-1 USD/CNY"}}, "exchange.rate: must be > 0"),
        (
            {"exchange": {**RATE, "rate": "1 USD/kWh"}},
            "is a price of energy in USD, not an exchang",
        ),
        (
            {"exchange": {**RATE, "on": "yesterday"}},
            "exchange.on: must be a day, such as 2026-11-0",
        ),
        ({"exchange": {**RATE, "on": "2026-02-30"}}, "exchange.on: must be a day"),
        ({"currency": "EUR"}, "currency: should be 'USD' or 'CNY', got 'EUR'"),
        (
            {"price": "0.08 W"},
            "'0.08 W' is a power, not a price of energy in USD or a price of ene",
        ),
        ({"price": 0.08}, "needs a unit: write it like '0.08 USD/kWh' or '0.62 CNY/kWh' or"),
        ({"rent": "-1 USD/chip/h"}, "rent: must be >= 0, got '-1 USD/chip/h'"),
        (
            {"price": "1e308 USD/kWh"},
            "must be at most 1000 USD/kWh, got '1e308 USD/kWh': is the unit right?",
        ),
        ({"price": "-1e5 CNY/kWh"}, "must be at least -1000 CNY/kWh, got '-1e5 CNY/kWh'"),
        ({"rent": "1e9 CNY/chip/h"}, "must be at most 1000000 CNY/chip/h"),
        ({"exchange": {**RATE, "rate": "1e300 USD/CNY"}}, "must be from 1e-6 to 1e6"),
        ({"rent": "2 USD/h"}, "not a price in USD per chip and time or a price in CNY per chip an"),
    ],
)
def test_what_is_wrong_with_money_is_said(changes, message):
    assert any(message in problem for problem in problems(**changes)), problems(**changes)


def test_the_currency_is_the_same_for_all_cases():
    (problem,) = problems(cases={"a": {"currency": "CNY"}})
    assert "currency is the same for all cases; change it at the top" in problem


@pytest.mark.parametrize(("currency", "unit"), [("USD", "usd"), ("CNY", "cny")])
def test_electricity_is_called_cost_only_with_a_rent(currency, unit):
    def label(**changes):
        money = {"price": f"0.5 {currency}/kWh", "currency": currency, **changes}
        found = {q.name: q for q in headline(played(**money))}[f"cost_{unit}"]
        return found.axis(), found.axis("zh")

    assert label() == (f"Electricity bill [{currency}]", f"电费 [{currency}]")
    assert label(rent=f"2 {currency}/chip/h") == (
        f"Cost of electricity and chips [{currency}]",
        f"电费与芯片费用 [{currency}]",
    )
    cases = {"free": {}, "rented": {"sites.here.pools.p.rent": f"2 {currency}/chip/h"}}
    assert label(cases=cases)[0].startswith("Cost of electricity and chips")


def test_without_a_rent_there_is_none():
    assert math.isnan(played(price="1 USD/kWh").cases["small"].values["rent_usd"][0])


def test_a_chip_has_a_price_in_either_currency():
    text = "peak_dense: {bf16: 1 PFLOP/s}\nprice: {low: 30000 USD, high: 250000 元}\n"
    price = parse_chip(parse_document(text, "c.yaml"), "x/y")[0].price
    assert (price.low.value, price.high.value) == (Money(30_000.0, "USD"), Money(250_000.0, "CNY"))
    assert price.high.model_dump(mode="json")["value"] == {"amount": 250_000.0, "currency": "CNY"}


def test_the_answer_calls_electricity_a_bill_and_rent_a_cost():
    def first_line(rent, language):
        cases = {"a": {}, "b": {"sites.here.price": "0.1 USD/kWh"}}
        found = played(price="0.2 USD/kWh", asks="cost", cases=cases, **rent)
        return answer(found, language)[0]

    assert first_line({}, "en").startswith("Lowest electricity bill of 2 cases: b")
    assert "电费最低" in first_line({}, "zh")
    assert first_line({"rent": "2 USD/chip/h"}, "en").startswith("Cheapest of 2 cases: b")
    assert "费用最低" in first_line({"rent": "2 USD/chip/h"}, "zh")


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ({"demand_charge": "1e305 USD/kW"}, "must be at most 100000 USD/kW"),
        ({"building": "1e12 CNY/kW", "building_life": "20 years"}, "must be at most 10000000 CNY/"),
        ({"building": "10 USD/W", "building_life": "1e-300 years"}, "must be at least 1 d, got"),
        ({"building": "10 USD/W", "building_life": "1e5 years"}, "must be at most 1000 years"),
        ({"uplink": {"rate": "1 Gbit/s", "price": "1e9 USD/GB"}}, "at most 10000 USD/GB"),
    ],
)
def test_money_of_a_site_has_a_bound(site, message):
    data = {
        "computeplan": 1,
        "name": "s",
        "sites": {
            "s": {"pue": 1.2, "pools": {"p": {"chip": "nvidia/h100-sxm", "chips": 8}}, **site}
        },
        "jobs": {"j": {"train_for": "1 h", "chips": 8}},
    }
    with pytest.raises(ScenarioError, match=message):
        cp.load(data)


def test_a_building_is_in_the_name_of_what_is_paid():
    site = {"sites.here.building": "30000 CNY/kW", "sites.here.building_life": "20 years"}
    result = played(price="0.5 CNY/kWh", currency="CNY", cases={"bare": {}, "built": site})
    found = {q.name: q for q in headline(result)}
    assert found["cost_cny"].axis() == "Cost of electricity and buildings [CNY]"
    assert found["cost_cny"].axis("zh") == "电费与建筑费用 [CNY]"


def test_the_building_is_sized_for_the_highest_state_and_not_for_the_mix_of_training():
    """900 W while it computes, 300 W while it waits; with 100 W of node and 50 W of network."""
    watts = {"compute": "900 W", "comm": "300 W", "node_overhead": "800 W", "network": "400 W"}
    data = copy.deepcopy(SMALL)
    here = data["sites"]["here"]
    here |= {"price": "0.5 USD/kWh", "building": "10 USD/W", "building_life": "10 years"}
    here["pools"]["p"]["power"] = watts
    result = cp.run(cp.load(data))
    by_hand = 16 * 10 / 24 / 3652.5 * 10 * (900 + 100 + 50)  # chips, days of life, USD/W, W
    assert result.cases["small"].values["building_usd"][0] == pytest.approx(by_hand, rel=1e-9)
