"""Estimates of sites at the ends of their ranges: bars, and rankings, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import computeplan as cp
from computeplan.report.words import sentence
from computeplan.specs.catalogue.site_figures import SiteFigure
from computeplan.study.ranges import Part, bars, ranking

WATTS = {"meter": "node", **dict.fromkeys(("compute", "load", "wait", "idle", "repair"), "1 kW")}
CHIP_H = 16 * 24.0


def figure(what, place, value, low, high):
    return SiteFigure(what, place, "posted", value, low, high)


def scenario(cases, **site):
    """16 chips for a day, 1 kW each at all times."""
    pool = {"chip": "nvidia/h100-sxm", "chips": 16, "power": WATTS, "rent": "2 CNY/chip/h"}
    return {
        "computeplan": 1,
        "name": "s",
        "currency": "CNY",
        "asks": "cost",
        "sites": {"here": {"place": "guangdong", "pools": {"a": pool}, **site}},
        "jobs": {"j": {"train_for": "1 d", "chips": 16, "checkpoint": {"every": "never"}}},
        "cases": cases,
        "simulate": {"runs": 1},
    }


def places(*names):
    return {name: {"sites.here.place": name} for name in names}


def notes_of(data):
    result = cp.run(cp.load(data))
    return result, {
        (one.code, one.values.get("account")): one
        for one in result.notes
        if one.code in ("estimates_of_sites", "ranking_asked", "ranking_beside")
    }


def test_bars_of_a_product_and_a_sum():
    price, pue = figure("price", "a", 0.5, 0.4, 0.8), figure("pue", "a", 1.3, 1.2, 1.4)
    found = bars([Part(130.0, (price, pue)), Part(70.0, (pue,)), Part(1000.0, ())])
    assert [bar.figure for bar in found] == [price, pue]
    assert (found[0].low, found[0].high) == pytest.approx((1174.0, 1278.0))
    assert found[1].low == pytest.approx(1000 + 200 * 1.2 / 1.3)


def test_share_of_two_uniform_prices():
    """A in 1 to 2, B in 1.5 to 2.5: B is less where both lie in the half they share, half of it."""
    first, second = figure("price", "a", 1.5, 1, 2), figure("price", "b", 2.0, 1.5, 2.5)
    (both,) = ranking({"b": [Part(2.0, (second,))], "a": [Part(1.5, (first,))]})
    assert (both.first, both.second, both.is_sure) == ("a", "b", False)
    assert both.share == pytest.approx(1 - 0.5**2 / 2, abs=0.003)


def test_a_figure_in_common_changes_no_order():
    shared = figure("pue", "a", 1.3, 1.0, 2.0)
    (both,) = ranking({"x": [Part(100.0, (shared,))], "y": [Part(101.0, (shared,))]})
    assert (both.first, both.share, both.is_sure) == ("x", 1.0, True)
    (alike,) = ranking({"x": [Part(100.0, (shared,))], "y": [Part(100.0, (shared,))]})
    assert (alike.share, alike.is_sure) == (0.5, True)


def test_a_corner_that_no_point_meets_is_seen():
    """The order turns only where ten figures are all near one end."""
    ends = [figure("price", str(i), 1.0, 1.0, 2.0) for i in range(10)]
    sum_of = [Part(1.0, (one,)) for one in ends]
    (both,) = ranking({"sum": sum_of, "fixed": [Part(19.9, ())]})
    assert both.share == 1.0
    assert not both.is_sure


@given(st.lists(st.floats(1.0, 100.0), min_size=2, max_size=6), st.floats(1.0, 3.0))
def test_shares_are_shares_and_what_is_sure_is_always_so(amounts, spread):
    cases = {
        str(i): [Part(amount, (figure("price", str(i), 1.0, 1 / spread, spread),))]
        for i, amount in enumerate(amounts)
    }
    found = ranking(cases)
    assert [found[0].first, *(one.second for one in found)] == sorted(
        cases, key=lambda name: amounts[int(name)]
    )
    for one in found:
        assert 0 <= one.share <= 1
        low, high = (amounts[int(name)] for name in (one.first, one.second))
        assert one.is_sure == (low * spread <= high / spread * (1 + 1e-9))
        assert not one.is_sure or one.share in (0.5, 1.0)


def test_places_of_the_catalogue_by_hand():
    """384 chip-hours of 1 kW: cost is 384 kWh x PUE x price, and 2 CNY for each chip-hour."""
    result, notes = notes_of(scenario(places("guangdong", "guizhou", "xinjiang")))
    counted = notes["estimates_of_sites", None].values
    # Guangdong: price, water; Guizhou: none of its own; Xinjiang: PUE, price.
    assert (counted["n_estimates"], counted["n_aims"]) == (4, 2)
    low, high = 384 * 1.25 * 0.5382, 384 * 1.25 * 0.6982  # energy + 36.1 / (730 x 0.85)
    told = {name: dict(case.facts["site_ranges"].items) for name, case in result.cases.items()}
    by_account = {one[0]: one for one in told["guangdong"]["accounts"]}
    assert by_account["cost"][2:4] == pytest.approx((768 + low, 768 + high), rel=1e-3)
    assert by_account["water"][2:4] == pytest.approx(
        (480 * 6.016, 384 * 2.24 + 480 * 6.016), rel=1e-3
    )
    ranks = notes["ranking_asked", "cost"].values["neighbours"]
    assert [one[0] for one in ranks] == ["xinjiang", "guangdong"]
    # At its dearest Xinjiang pays 1.48 x 0.422 = 0.625, Guangdong at its cheapest 1.25 x 0.538.
    assert ranks[0][2:] == (1.0, True)
    # Guizhou pays 1.2 x 0.634 = 0.760, so Guangdong up to 0.6087 of 0.538 to 0.698.
    assert ranks[1][2] == pytest.approx((0.7604 / 1.25 - 0.5382) / 0.16, abs=0.02)


def test_what_is_written_is_no_estimate():
    result, notes = notes_of(
        scenario(
            places("guangdong", "xinjiang"),
            pue=1.2, price="0.4 CNY/kWh", water_on_site="0 L/kWh",
        )
    )  # fmt: skip
    assert not notes
    assert not any("site_ranges" in case.facts for case in result.cases.values())


def test_a_scenario_at_one_place_ranks_nothing_by_place():
    data = scenario({"a": {}, "b": {"jobs.j.train_for": "2 d"}})
    _, notes = notes_of(data)
    assert not notes


def test_several_sites_of_one_scenario():
    """Two sites in each case: the difference of two policies depends on both places."""
    data = scenario({"one": {"jobs.j.only": ["a"]}, "other": {"jobs.j.only": ["b"]}})
    data["sites"]["there"] = {
        "place": "xinjiang", "pools": {"b": {**data["sites"]["here"]["pools"]["a"]}}
    }  # fmt: skip
    result, notes = notes_of(data)
    (both,) = notes["ranking_asked", "cost"].values["neighbours"]
    # Both sites draw 1 kW a chip whatever they do, so where the job runs changes nothing.
    assert both[2:] == (0.5, True)
    found = dict(result.cases["one"].facts["site_ranges"].items)["accounts"]
    bars_of_cost = next(one for one in found if one[0] == "cost")[4]
    assert {(what, place) for what, place, *_ in bars_of_cost} == {
        ("price", "guangdong"), ("price", "xinjiang"), ("pue", "xinjiang")
    }  # fmt: skip


def test_words():
    _, notes = notes_of(scenario(places("guangdong", "xinjiang")))
    text = sentence(notes["ranking_asked", "cost"])
    assert "order by cost: it survives" in text
    assert "xinjiang < guangdong (100 %)" in text
    assert np.isfinite(notes["ranking_asked", "cost"].values["neighbours"][0][2])


def bought(**pool):
    """At two places of China: 16 chips of 1 kW for a day."""
    data = scenario(places("guangdong", "xinjiang"))
    here = data["sites"]["here"]
    here["pools"]["a"] = {**here["pools"]["a"], **pool}
    del here["pools"]["a"]["rent"]
    here |= {"building": "usual", "building_life": "20 years"}
    return {**data, "exchange": "7 CNY/USD"}


def test_purchase_building_and_embodied_carbon_have_bars():
    """The middle of 20,000 to 30,000 USD over a year; 3 to 7 USD/W over 20; 0.010 to 0.015 kg."""
    price = {"low": "20000 USD", "high": "30000 USD"}
    pool = {"purchase": {"price": price, "life": "1 year"}, "embodied": "estimate"}
    result, notes = notes_of(bought(**pool))
    facts = dict(result.cases["guangdong"].facts["site_ranges"].items)["accounts"]
    by_account = {one[0]: one for one in facts}
    bars_of = {what: (low, high) for what, _, low, high in by_account["cost"][4]}
    cost = by_account["cost"][1]
    purchase, building = 16 * 25_000 * 7 / 365.25, 16e3 * 5 * 7 / (20 * 365.25)
    assert bars_of["purchase"] == pytest.approx((cost - 0.2 * purchase, cost + 0.2 * purchase))
    assert bars_of["building"] == pytest.approx((cost - 0.4 * building, cost + 0.4 * building))
    assert by_account["embodied"][1:4] == pytest.approx((384 * 0.013, 384 * 0.010, 384 * 0.015))
    # What both have in common turns no order: the same chips, and a building of the same country.
    (both,) = notes["ranking_asked", "cost"].values["neighbours"]
    assert both[2:] == (1.0, True)
    (alike,) = notes["ranking_beside", "embodied"].values["neighbours"]
    assert alike[2:] == (0.5, True)


def test_what_is_of_a_chip_counts_for_its_pools_alone():
    """Two pools of one site: each purchase has its own range, and moves its own part."""
    data = bought(purchase={"price": {"low": "1 CNY", "high": "3 CNY"}, "life": "1 d"})
    pools = data["sites"]["here"]["pools"]
    pools["b"] = {
        **pools["a"],
        "chip": "nvidia/h800",
        "purchase": {"price": {"low": "10 CNY", "high": "50 CNY"}, "life": "1 d"},
    }
    result, _ = notes_of(data)
    facts = dict(result.cases["xinjiang"].facts["site_ranges"].items)["accounts"]
    cost = next(one for one in facts if one[0] == "cost")
    found = {place: high - low for what, place, low, high in cost[4] if what == "purchase"}
    assert found == pytest.approx({"nvidia/h100-sxm": 16 * 2, "nvidia/h800": 16 * 40})


def test_two_purchases_of_one_chip_are_told_apart():
    """Two sites buy one chip at other prices: their bars name the pools."""
    data = bought(purchase={"price": {"low": "1 CNY", "high": "3 CNY"}, "life": "1 d"})
    here = data["sites"]["here"]
    dear = {"price": {"low": "10 CNY", "high": "50 CNY"}, "life": "1 d"}
    pools = {"b": {**here["pools"]["a"], "purchase": dear}}
    data["sites"]["there"] = {**here, "place": "gansu", "pools": pools}
    result, _ = notes_of(data)
    facts = dict(result.cases["xinjiang"].facts["site_ranges"].items)["accounts"]
    cost = next(one for one in facts if one[0] == "cost")
    found = [place for what, place, *_ in cost[4] if what == "purchase"]
    assert sorted(found) == ["nvidia/h100-sxm (a)", "nvidia/h100-sxm (b)"]
