"""What a run takes: every line by hand, and lines that add up to their total, in both engines."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import load_small
from strategies import eventful_scenarios, tiered_scenarios

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import batch, event
from computeplan.errors import ScenarioError
from computeplan.ledger import PHASES
from computeplan.metrics import ENERGIES, by_site, measure, measure_tenants
from computeplan.report.words import sentence
from computeplan.results.window import counted_to

ENGINES = [batch, event]
WATTS = {"meter": "node", **dict.fromkeys(("compute", "load", "wait", "idle", "repair"), "1 kW")}
POOL = {"chip": "nvidia/h100-sxm", "chips": 16, "spares": "1 nodes", "power": WATTS}
CHIP_H = 24 * 48.0  # 24 chips for two days


def scenario(pool=None, currency="CNY", **site):
    given = {"pue": 1.25, "price": "0.5 CNY/kWh", "carbon": "400 g/kWh"}
    return {
        "computeplan": 1,
        "name": "s",
        "currency": currency,
        "exchange": "7 CNY/USD",
        "sites": {"here": {"pools": {"a": {**POOL, **(pool or {})}}, **given, **site}},
        "jobs": {"j": {"train_for": "2 d", "chips": 16, "checkpoint": {"every": "never"}}},
        "simulate": {"runs": 1},
    }


def values(data):
    return {name: float(v.mean()) for name, v in cp.run(cp.load(data)).cases["s"].values.items()}


def test_every_line_by_hand():
    """24 chips draw 1 kW each at all times, 1.25 kW at the meter of the site."""
    pool = {"purchase": {"price": "43800 CNY", "life": "1 year"}, "embodied": "0.02 kg/chip/h"}
    site = {
        "demand_charge": "73 CNY/kW",
        "green": 0.75,
        "residual_carbon": "600 g/kWh",
        "water_on_site": "0.3 L/kWh",
        "water_off_site": "4 L/kWh",
    }
    found = values(scenario(pool, **site))
    assert found["electricity_cny"] == pytest.approx(CHIP_H * 1.25 * 0.5)
    # 30 kW for 48 of the 744 hours of January
    assert found["demand_cny"] == pytest.approx(24 * 1.25 * 73 * 48 / 744)
    assert found["purchase_cny"] == pytest.approx(24 * 43_800 * 2 / 365.25)
    assert np.isnan(found["rent_cny"])
    lines = ("electricity_cny", "demand_cny", "purchase_cny")
    assert found["cost_cny"] == pytest.approx(sum(found[line] for line in lines), rel=1e-12)
    assert found["carbon_kg"] == pytest.approx(CHIP_H * 1.25 * 0.4)
    assert found["carbon_market_kg"] == pytest.approx(CHIP_H * 1.25 * 0.25 * 0.6)
    assert found["embodied_kg"] == pytest.approx(CHIP_H * 0.02)
    assert found["water_site_l"] == pytest.approx(CHIP_H * 0.3)
    assert found["water_grid_l"] == pytest.approx(CHIP_H * 1.25 * 4)
    jobs = found["cost_jobs_cny"] / found["cost_cny"]
    assert jobs == pytest.approx(16 / 24)  # the demand charge is shared by energy


def test_what_is_not_given_is_not_counted():
    found = values(scenario())
    for name in ("demand_cny", "purchase_cny", "carbon_market_kg", "embodied_kg"):
        assert np.isnan(found[name])
    assert np.isnan(found["water_site_l"])
    assert found["cost_cny"] == found["electricity_cny"]


def test_what_goes_on_after_a_run_draws_steadily():
    """A case that ends first is counted to the other's end: its chips idle on, at 1 kW each."""
    data = scenario(demand_charge="73 CNY/kW")
    data["cases"] = {"short": {}, "long": {"jobs.j.train_for": "5 d"}}
    short, long = (case.values for case in cp.run(cp.load(data)).cases.values())
    for name in ("demand_cny", "electricity_cny", "cost_cny"):
        assert short[name] == pytest.approx(long[name], rel=1e-12)


def test_demand_of_two_sites_is_that_of_each():
    """Each draws what its own chips do."""
    data = scenario(demand_charge="73 CNY/kW")
    data["sites"]["there"] = {
        "pue": 1.0, "price": "0.4 CNY/kWh", "pools": {"b": {**POOL, "chips": 8}}
    }  # fmt: skip
    world = compile_world(cp.load(data))
    found = by_site(event.play(world, 0, 0, 1), world)
    total = found.jobs["demand_usd"] + found.idle["demand_usd"]
    assert total[0] == pytest.approx([24 * 1.25 * 73 * 48 / 744, 0.0])


def test_estimates_are_marked():
    pool = {"purchase": {"price": "reported", "life": "5 years"}, "embodied": "estimate"}
    loaded = cp.load(scenario(pool))
    said = " ".join(map(sentence, compile_world(loaded).notes))
    assert "embodied carbon is an estimate, 0.013 kg per chip-hour, from 0.01 to 0.015" in said
    assert "the middle of what was reported, 25,000 to 30,678" in said
    found = values(scenario(pool))
    middle_cny = (25_000 + 30_678) / 2 * 7
    assert found["purchase_cny"] == pytest.approx(24 * middle_cny * 2 / (5 * 365.25))
    assert found["embodied_kg"] == pytest.approx(CHIP_H * 0.013)


def test_green_power_without_a_residual_factor_is_told():
    loaded = cp.load(scenario(green=0.5))
    assert "no_residual" in [one.code for one in compile_world(loaded).notes]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"demand_charge": "posted"}, "say which place"),
        ({"place": "yaan", "demand_charge": "posted"}, "no demand charge of yaan is known"),
        ({"demand_charge": "31 CNY/kWh"}, "not a price of power"),
        ({"green": 1.5}, "less than or equal to 1"),
        ({"water_on_site": 3}, "needs a unit"),
        (
            {"place": "guian", "price": "contracted", "demand_charge": "posted"},
            "a contracted price has all in it",
        ),
    ],
)
def test_what_a_site_cannot_say(change, said):
    with pytest.raises(ScenarioError) as caught:
        cp.load(scenario(**change))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("pool", "said"),
    [
        (
            {"rent": "9 CNY/chip/h", "purchase": {"price": "1 CNY", "life": "1 year"}},
            "either rented or bought",
        ),
        ({"purchase": {"price": "1 CNY"}}, "life"),
        ({"purchase": {"price": 3, "life": "1 year"}}, "needs a unit"),
        ({"embodied": "much"}, "not a number with a unit"),
    ],
)
def test_what_a_pool_cannot_say(pool, said):
    with pytest.raises(ScenarioError) as caught:
        cp.load(scenario(pool))
    assert said in str(caught.value)


VARIES = {
    "price": [{"hours": [[8, 20]], "factor": 1.7}],
    "carbon": [{"months": [1], "hours": [[0, 4]], "factor": 0.3}],
    "pue": [{"hours": [[12, 15]], "factor": 1.1}],
}
SITE = {
    "price": "0.5 USD/kWh",
    "carbon": "400 g/kWh",
    "demand_charge": "15 USD/kW",
    "residual_carbon": "600 g/kWh",
    "water_on_site": "0.3 L/kWh",
    "water_off_site": "4 L/kWh",
    "varies": VARIES,
}


@given(st.one_of(eventful_scenarios(), tiered_scenarios()), st.sampled_from(ENGINES))
def test_lines_add_up_to_their_totals(data, engine):
    """Energy is that of the phases; the bill is that of its lines; all to a part in 1e9."""
    for site in data["sites"].values():
        site |= SITE
        for pool in site["pools"].values():
            pool |= {"rent": "2 USD/chip/h", "embodied": "estimate"}
    loaded = cp.load(data)
    world = compile_world(loaded)
    ledger = engine.play(world, loaded.simulate.seed, 0, 3)
    taken, phases = by_site(ledger, world), measure(ledger, world)
    found = counted_to(taken, np.ones(3), ledger.wall_s)
    of_jobs = sum(phases[f"energy_{phase}_kwh"] for phase in PHASES[:5])
    assert of_jobs == pytest.approx(found["energy_jobs_kwh"], rel=1e-9)
    for meter in ENERGIES:
        parts = [phases[f"energy_{meter}{phase}_kwh"] for phase in PHASES[:5]]
        parts.append(found[f"energy_{meter}idle_kwh"])
        assert sum(parts) == pytest.approx(found[f"energy_{meter}kwh"], rel=1e-9)
    lines = sum(found[f"{line}_usd"] for line in ("electricity", "demand", "rent"))
    assert lines == pytest.approx(found["cost_usd"], rel=1e-9)
    assert found["carbon_market_kg"] == pytest.approx(found["energy_kwh"] * 0.6, rel=1e-9)
    assert found["water_grid_l"] == pytest.approx(found["energy_kwh"] * 4, rel=1e-9)
    assert found["water_site_l"] == pytest.approx(found["energy_it_kwh"] * 0.3, rel=1e-9)


def test_tenants_share_what_jobs_take():
    data = scenario(demand_charge="73 CNY/kW", varies={"price": [{"hours": [[0, 9]], "factor": 2}]})
    data["jobs"] = {
        name: {"train_for": "2 d", "chips": 8, "checkpoint": {"every": "never"}, "tenant": name}
        for name in ("one", "two")
    }
    world = compile_world(cp.load(data))
    ledger = event.play(world, 0, 0, 1)
    parts = measure_tenants(ledger, world)
    found = counted_to(by_site(ledger, world), np.ones(1), ledger.wall_s)
    for name in ("cost_jobs_cny", "energy_jobs_kwh"):
        total = sum(part[name] for part in parts.values())
        assert total == pytest.approx(found[name], rel=1e-12)
    trained = sum(part["energy_train_kwh"] for part in parts.values())
    assert trained == pytest.approx(found["energy_jobs_kwh"])


SAVES = (
    {"every": "30 min", "stall": "30 s"},
    {"every": "4 h", "stall": "30 s"},
    {"every": "1 h", "stall": "30 s", "write": "5 min"},
)


@pytest.mark.parametrize("checkpoint", SAVES)
def test_policies_expect_the_energy_that_jobs_take(checkpoint):
    """Over 400 runs whose faults throw away up to a fifth; five standard errors."""
    spares = {"faults.gpu.repair": "1 min", "sites.here.pools.a.spares": "8 nodes"}
    faults = {"faults.gpu.mtbf": "400 h", "jobs.j.checkpoint": checkpoint, **spares}
    loaded = load_small({**faults, "simulate.runs": 400})
    case = cp.run(loaded).cases["small"]
    found = case.estimate("energy_jobs_kwh")
    expected_j = compile_world(loaded).job_table.energy_j[0, 0]
    share = case.estimate("energy_lost_kwh").mean / found.mean
    assert abs(expected_j / 3.6e6 - found.mean) < 5 * found.ci95 / 1.96 + 1e-3 * found.mean
    assert share > 5 * found.ci95 / found.mean  # or the test could not see what is lost


def test_a_building_by_hand():
    """24 kW of IT at 30,000 CNY/kW over 20 years, whatever is drawn; 3 to 7 USD/W is 5 in China."""
    site = {"building": "30000 CNY/kW", "building_life": "20 years"}
    found = values(scenario(**site))
    due = 24 * 30_000 * 2 / (20 * 365.25)
    assert found["building_cny"] == pytest.approx(due)
    assert found["cost_cny"] == pytest.approx(found["electricity_cny"] + due, rel=1e-12)
    usual = scenario(**{**site, "place": "guizhou", "building": "usual"})
    assert values(usual)["building_cny"] == pytest.approx(due / 30_000 * 5_000 * 7)
    said = " ".join(map(sentence, compile_world(cp.load(usual)).notes))
    assert "price of the building 5e+03 USD/kW" in said or "5,000 USD/kW" in said
    ranged = scenario(**{**site, "building": {"low": "20000 CNY/kW", "high": "40000 CNY/kW"}})
    assert values(ranged)["building_cny"] == pytest.approx(due)


def test_the_building_is_for_the_most_that_a_chip_draws():
    """Idle chips at 0.1 kW stand in a building for 1 kW each."""
    site = {"building": "30000 CNY/kW", "building_life": "20 years"}
    found = values(scenario({"power": {**WATTS, "idle": "0.1 kW"}}, **site))
    assert found["building_cny"] == pytest.approx(24 * 30_000 * 2 / (20 * 365.25))


def test_a_purchase_may_be_a_range():
    pool = {"purchase": {"price": {"low": "20000 USD", "high": "30000 USD"}, "life": "1 year"}}
    found = values(scenario(pool))
    assert found["purchase_cny"] == pytest.approx(24 * 25_000 * 7 * 2 / 365.25)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"building": "1 CNY/kW"}, "building and building_life stand together"),
        ({"building": "usual", "building_life": "9 years"}, "say which place"),
        ({"building": {"low": "2 USD/W"}, "building_life": "9 years"}, "has low and high"),
        (
            {"building": {"low": "2 USD/W", "high": "1 USD/W"}, "building_life": "9 years"},
            "low is more than high",
        ),
        (
            {"building": {"low": "2 USD/W", "high": "3 CNY/W"}, "building_life": "9 years"},
            "two currencies",
        ),
        (
            {"place": "ireland", "building": "usual", "building_life": "9 years"},
            "no building of ireland is known; write building: 30000 CNY/kW",
        ),
    ],
)
def test_what_a_building_cannot_be(change, said):
    with pytest.raises(ScenarioError) as caught:
        cp.load(scenario(**change))
    assert said in str(caught.value)
