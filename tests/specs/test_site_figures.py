"""What sites take from the catalogue: only what is not written, and never in silence."""

from __future__ import annotations

import json
import math

import pytest
from ruamel.yaml import YAML

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.errors import ScenarioError
from computeplan.report.words import sentence
from computeplan.specs.catalogue.place_lookup import place_names
from computeplan.specs.scenario import shipped_folder, shipped_names

POOLS = {"a": {"chip": "nvidia/h100-sxm", "chips": 16}}
KWH_J = 3.6e6


def scenario(currency="CNY", name="guangdong", **site):
    return {
        "computeplan": 1,
        "name": "s",
        "currency": currency,
        "sites": {name: {"pools": POOLS, **site}},
        "jobs": {
            "j": {"train_for": "1 d", "chips": 16, "checkpoint": {"every": "1 h", "stall": "5 s"}}
        },
        "simulate": {"runs": 2, "seed": 1},
    }


def notes(loaded):
    return [one for one in compile_world(loaded).notes if "place" in one.code]


def figures(loaded):
    """Return PUE, g/kWh and money/kWh of the first site."""
    site = next(iter(loaded.sites.values()))
    carbon = math.nan if site.carbon is None else site.carbon * KWH_J * 1e3
    price = math.nan if site.price is None else site.price.amount * KWH_J
    return site.pue, pytest.approx(carbon, nan_ok=True), pytest.approx(price, abs=6e-4, nan_ok=True)


@pytest.mark.parametrize(
    ("name", "pue", "carbon", "price"),
    [
        ("guangdong", 1.25, 441.9, 0.55 + 36.1 / 620.5),
        ("guizhou", 1.2, 568.3, 0.583744 + 31 / 620.5),
        ("贵州", 1.2, 568.3, 0.583744 + 31 / 620.5),
        ("inner-mongolia", 1.21, 647.9, 0.442525 + 31.2 / 620.5),
        ("Yangtze Delta", 1.25, 573.7, 0.662376 + 40.8 / 620.5),
        ("ningxia", 1.25, 618.7, 0.38 + 25.6 / 620.5),
        ("yaan", 1.225, 156.4, 0.375),
        ("fujian", 1.48, 421.1, math.nan),
    ],
)
def test_a_site_by_name_alone(name, pue, carbon, price):
    assert figures(cp.load(scenario(name=name))) == (pue, carbon, price)


def test_energy_cost_and_carbon_of_a_site_by_name_alone():
    """By hand: 384 chip-hours of training; 0.583744 + 31 / 620.5 CNY and 568.3 g a kWh."""
    loaded = cp.load(scenario(name="guizhou"))
    (pool,) = compile_world(loaded).pools
    watts = float((pool.chip_w + pool.node_overhead_w + pool.network_w)[0])
    values = {name: one["mean"] for name, one in cp.run(loaded).to_json()["cases"]["s"].items()}
    kwh = values["energy_kwh"]
    assert kwh == pytest.approx(16 * 24 * watts / 1e3 * 1.2, rel=2e-3)  # and few saves
    assert values["cost_cny"] / kwh == pytest.approx(0.583744 + 31 / 620.5, abs=1e-5)
    assert values["carbon_kg"] / kwh == pytest.approx(0.5683)


def test_only_what_is_not_written_is_taken():
    loaded = cp.load(scenario(pue=1.1, price="0.5 CNY/kWh"))
    assert figures(loaded) == (1.1, 441.9, 0.5)
    carbon = {"carbon", "residual_carbon", "water_on_site", "water_off_site"}
    assert {dict(said.items)["what"] for said in notes(loaded)} == carbon
    whole = scenario(pue=1.1, price="0.5 CNY/kWh", carbon="1 g/kWh")
    assert notes(cp.load(whole)) == []


def test_null_is_written():
    loaded = cp.load(scenario(price=None, carbon=None))
    assert loaded.sites["guangdong"].price is None
    assert loaded.sites["guangdong"].carbon is None
    taken = {dict(said.items)["what"] for said in notes(loaded)}
    assert taken == {"pue", "residual_carbon", "water_on_site", "water_off_site"}


def test_a_site_of_another_name_says_its_place():
    loaded = cp.load(scenario(name="here", place="广东"))
    assert figures(loaded) == figures(cp.load(scenario()))
    guizhou = loaded.with_({"sites.here.place": "guizhou"})
    assert figures(guizhou) == figures(cp.load(scenario(name="guizhou")))
    contracted = guizhou.with_({"sites.here.price": "contracted"})
    assert figures(contracted) == (1.2, 568.3, 0.35)


def test_a_sweep_moves_one_set_of_pools():
    names = ["guangdong", "guizhou", "inner-mongolia"]
    swept = cp.load(
        {**scenario(name="here", place="guangdong"), "sweep": {"sites.here.place": names}}
    )
    cases = cp.study.cases.compile_cases(swept).cases
    kg = [case.world.pools[0].kg_per_j * KWH_J * 1e3 for case in cases]
    assert kg == pytest.approx([441.9, 568.3, 647.9])


def test_estimates_are_told_with_their_ranges():
    said = [*map(sentence, notes(cp.load(scenario())))]
    (price,) = (one for one in said if "estimate" in one and "price" in one)
    assert "from 0.538 CNY/kWh to 0.698 CNY/kWh" in price
    assert "price of electricity 0.608 CNY/kWh" in price
    said = [*map(sentence, notes(cp.load(scenario(name="yaan"))))]
    assert sum("its middle" in one for one in said if "water" not in one) == 2
    assert any("1.2 to 1.25" in one for one in said)
    aim = [*map(sentence, notes(cp.load(scenario(name="guian", price="contracted"))))]
    assert any("aimed at by contract, not paid" in one for one in aim)


def test_unlike_carbon_is_told():
    two = scenario()
    two["sites"]["france"] = {"pools": {"b": POOLS["a"]}}
    codes = [one.code for one in compile_world(cp.load(two)).notes]
    assert "carbon_bases" in codes
    assert "not_of_place" in codes
    del two["sites"]["guangdong"]
    assert "carbon_bases" not in [one.code for one in compile_world(cp.load(two)).notes]


def refused(data):
    with pytest.raises(ScenarioError) as caught:
        cp.load(data)
    return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]


def test_money_is_converted_at_a_stated_rate_only():
    (problem,) = refused(scenario(currency="USD", price="posted"))
    assert problem.startswith(
        "sites.guangdong.price: the price of the catalogue is in CNY, results"
    )
    assert "exchange: {rate: 0.14 USD/CNY" in problem
    assert "null for no cost" in problem
    rated = {**scenario(currency="USD"), "exchange": {"rate": "7 CNY/USD"}}
    (pool,) = compile_world(cp.load(rated)).pools
    assert pool.money_per_j * KWH_J == pytest.approx((0.55 + 36.1 / 620.5) / 7, abs=1e-4)
    assert cp.load(scenario(currency="USD", price=None)).sites["guangdong"].price is None


def test_a_price_that_nobody_asked_for_and_no_rate_tells_is_left_out_with_a_note():
    loaded = cp.load(scenario(currency="USD"))
    assert loaded.sites["guangdong"].price is None
    assert "price_needs_rate" in [one.code for one in compile_world(loaded).notes]


@pytest.mark.parametrize(
    ("site", "problem"),
    [
        ({"place": "guandong"}, "sites.here.place: no place 'guandong'. Did you mean 'guangdong'?"),
        ({"place": 7}, "sites.here.place: should be a valid string, got 7"),
        ({"place": []}, "sites.here.place: should be a valid string, got []"),
        ({"place": "united-kingdom"}, "sites.here.price: the catalogue's price of united-kingdom"),
        ({"place": "guangdong", "price": "contracted"}, "no contracted price of guangdong"),
        ({"place": "france", "price": "posted"}, "sites.here.price: no posted price of france"),
        ({"pue": 1.2, "price": "posted"}, "sites.here.price: 'posted' is a price of the catal"),
        ({}, "sites.here: pue is missing: write pue: 1.2, or a place of the catalogue"),
        ({"place": "guizhou", "price": "cheap"}, "'cheap' is not a number with a unit"),
    ],
)
def test_what_is_wrong_is_told_once(site, problem):
    (found,) = refused(scenario(name="here", **site))
    assert problem in found


def test_a_name_that_is_nearly_a_place():
    (found,) = refused(scenario(name="guandong"))
    assert found.startswith("sites.guandong: pue is missing, and no place has this name. Did you")
    assert cp.load(scenario(name="guandong", pue=1.2)).sites["guandong"].pue == 1.2


@pytest.mark.parametrize("sites", [7, None, {"guangdong": 7}, {"guangdong": None}, {7: {}}])
def test_sites_that_are_none(sites):
    assert refused({**scenario(), "sites": sites})


def test_a_saved_scenario_runs_again_and_says_what_it_took(tmp_path):
    folder = tmp_path / "r"
    cp.save_result(cp.run(cp.load(scenario(name="guizhou"))), folder)
    again = cp.load(folder / "scenario.yaml")
    assert figures(again) == figures(cp.load(scenario(name="guizhou")))
    provenance = json.loads((folder / "provenance.json").read_text("utf-8"))
    assert provenance["catalogue_sites"]["guizhou"]["carbon"] == "568.3 g/kWh"


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_scenarios_keep_their_numbers(name):
    """Their sites write all they use, whatever they are called."""
    loaded = cp.load(name)
    written = YAML(typ="safe").load(shipped_folder() / f"{name}.yaml")["sites"]
    for site, fields in written.items():
        taken = loaded.catalogue.sites.get(site, {})
        assert not taken or "place" in fields or "pue" not in fields, site


@pytest.mark.parametrize("name", place_names())
def test_every_place_can_stand_for_a_site(name):
    loaded = cp.load(scenario(name=name, price=None))
    assert loaded.sites[name].pue >= 1.0
    assert (loaded.sites[name].carbon is None) == (name == "world")
