"""A planner asks where to train: one run at three places of China, by their names alone.

Of the sites nothing is written but a name. Energy, electricity by both tariffs and carbon by both
methods follow by hand from the draw (1 kW a chip), the time, and the figures of the documents.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import computeplan as cp
from computeplan.report.words import sentence

N_CHIPS, RENT = 2048, 16.0
WATTS = {"meter": "node", **dict.fromkeys(("compute", "load", "wait", "idle", "repair"), "1 kW")}
START = datetime(2026, 6, 15)
RESIDUAL_KG = 0.6096

PLACES = {  # PUE, kg/kWh, flat CNY/kWh, demand CNY/kW a month
    "guangdong": (1.25, 0.4419, 0.55, 36.1),
    "guizhou": (1.20, 0.5683, 0.583744, 31.0),
    "inner-mongolia": (1.21, 0.6479, 0.442525, 31.2),
}


def guangdong(when):
    """The whole price less funds floats."""
    hour, is_summer = when.hour, when.month in (7, 8, 9)
    times = 0.38 if hour < 8 else 1.7 if hour in (10, 11, 14, 15, 16, 17, 18) else 1.0
    if is_summer and hour in (11, 15, 16):
        times = 2.125
    return 0.027669 + (0.55 - 0.027669) * times


def guizhou(when):
    """The whole price less funds floats."""
    times = 0.4 if when.hour < 8 else 1.6 if when.hour in (10, 11, 12, *range(17, 22)) else 1.0
    return 0.025325 + (0.583744 - 0.025325) * times


def inner_mongolia(when):
    """Only what is paid for energy floats, 0.3281 CNY/kWh of the flat price."""
    hour, times = when.hour, 1.0
    if when.month in (6, 7, 8):
        bands = {1.848: (19, 20), 1.54: (6, 7, 18, 21), 0.44: (11, 12, 15), 0.352: (13, 14)}
    else:
        bands = {1.68: (6, 7, *range(18, 22)), 0.48: (0, 1, 2, 3, *range(11, 16))}
    for factor, hours in bands.items():
        times = factor if hour in hours else times
    return 0.442525 + 0.3281 * (times - 1)


BY_HOUR = {"guangdong": guangdong, "guizhou": guizhou, "inner-mongolia": inner_mongolia}


def data(sites, **more):
    return {
        "computeplan": 1,
        "name": "where",
        "currency": "CNY",
        "sites": sites,
        "jobs": {
            "pretrain": {
                "model": "meta/llama-3.1-70b",
                "tokens": "15 Ttoken",
                "chips": N_CHIPS,
                "seq": 8192,
                "batch": "16 Mitoken",
                "mfu": 0.4,
                "checkpoint": {"every": "1 h", "stall": "30 s"},
            }
        },
        "simulate": {"runs": 2, "seed": 1, "start": "2026-06-15"},
    } | more


POOLS = {
    "main": {
        "chip": "nvidia/h100-sxm",
        "chips": N_CHIPS,
        "power": WATTS,
        "rent": f"{RENT} CNY/chip/h",
    }
}


@pytest.fixture(scope="module")
def result():
    """One set of pools, moved by a list of names."""
    sweep = {
        "sites.here.place": [*PLACES],
        "sites.here.varies.price": ["flat", "time-of-use"],
    }
    return cp.run(cp.load(data({"here": {"place": "guangdong", "pools": POOLS}}, sweep=sweep)))


def means(result, place, tariff):
    case = result.cases[f"place={place}, price={tariff}"]
    return {name: float(values.mean()) for name, values in case.values.items()}


def mean_over_run(days, value_at):
    """Return the mean of what holds at each minute of a run."""
    n = round(days * 24 * 60)
    return sum(value_at(START + timedelta(minutes=i + 0.5)) for i in range(n)) / n


@pytest.mark.parametrize("place", PLACES)
def test_energy_money_and_carbon_by_hand(result, place):
    pue, kg, flat, demand = PLACES[place]
    for tariff in ("flat", "time-of-use"):
        found = means(result, place, tariff)
        days = found["time_to_train_days"]
        chip_h = N_CHIPS * 24 * days
        kwh = chip_h * 1.0 * pue
        paid = flat if tariff == "flat" else mean_over_run(days, BY_HOUR[place])
        paid += demand / (730 * 0.85)  # of a steady load, in the posted price
        near = 1e-9 if tariff == "flat" else 1e-6  # minutes, of which the last is not whole
        assert found["energy_kwh"] == pytest.approx(kwh, rel=1e-9)
        assert found["electricity_cny"] == pytest.approx(kwh * paid, rel=max(near, 2e-6))
        assert found["rent_cny"] == pytest.approx(chip_h * RENT, rel=1e-9)
        total = found["electricity_cny"] + found["rent_cny"]
        assert found["cost_cny"] == pytest.approx(total, rel=1e-9)
        assert found["carbon_kg"] == pytest.approx(kwh * kg, rel=1e-6)
        assert found["carbon_market_kg"] == pytest.approx(kwh * RESIDUAL_KG, rel=1e-6)


def test_how_long_it_takes_is_the_same_everywhere(result):
    """Six FLOPs a parameter and token, and some attention; saves of 30 s an hour."""
    days = {means(result, place, "flat")["time_to_train_days"] for place in PLACES}
    assert len(days) == 1
    plain = 6 * 70.6e9 * 15e12 / (N_CHIPS * 989.4e12 * 0.4) / 86_400 * (3630 / 3600)
    assert plain < days.pop() < 1.15 * plain


def test_what_a_planner_reads_off(result):
    """Going west is cheaper in Inner Mongolia and dirtier everywhere, on the grid's average."""
    bills = {place: means(result, place, "flat")["electricity_cny"] for place in PLACES}
    carbon = {place: means(result, place, "flat")["carbon_kg"] for place in PLACES}
    market = {place: means(result, place, "flat")["carbon_market_kg"] for place in PLACES}
    assert min(bills, key=bills.get) == "inner-mongolia"
    assert min(carbon, key=carbon.get) == "guangdong"
    assert min(market, key=market.get) == "guizhou"  # the best PUE
    assert all(market[place] > carbon[place] for place in ("guangdong", "guizhou"))
    found = means(result, "guangdong", "flat")
    assert found["electricity_cny"] < 0.05 * found["rent_cny"]


def test_the_tariff_of_guangdong_is_printed_as_an_estimate(result):
    said = [*map(sentence, result.notes)]
    (price,) = (one for one in said if "price of electricity" in one and "estimate" in one)
    assert "0.608 CNY/kWh is that of guangdong" in price
    assert "an estimate, from 0.538 CNY/kWh to 0.698 CNY/kWh" in price


def test_the_command_prints_it(call, tmp_path, monkeypatch):
    """Of a site that is a name and its pools, in both languages."""
    monkeypatch.chdir(tmp_path)
    Path("where.yaml").write_text(json.dumps(data({"guangdong": {"pools": POOLS}})), "utf-8")
    said = " ".join(call("run", "where.yaml", "--notes").split())
    assert "0.608 CNY/kWh is that of guangdong" in said
    assert "an estimate, from 0.538 CNY/kWh to 0.698 CNY/kWh" in said
    in_chinese = "".join(call("run", "where.yaml", "--notes", "--lang", "zh").split())
    assert "估计" in in_chinese
    assert "0.538CNY/kWh～0.698CNY/kWh" in in_chinese


def test_sites_by_name_alone_are_the_same(result):
    """Each site named as a place, in one scenario each."""
    for place in PLACES:
        alone = cp.run(cp.load(data({place: {"pools": POOLS}})))
        found = {k: float(v.mean()) for k, v in alone.cases["where"].values.items()}
        swept = means(result, place, "flat")
        for name in ("energy_kwh", "cost_cny", "carbon_kg", "carbon_market_kg"):
            assert found[name] == swept[name]


def test_green_power_by_contract_counts_in_the_market_only():
    site = {"place": "inner-mongolia", "pools": POOLS}
    plain, green = (cp.run(cp.load(data({"here": {**site, "green": g}}))) for g in (0.0, 0.8))
    before, after = (r.cases["where"].values for r in (plain, green))
    assert after["carbon_market_kg"] == pytest.approx(0.2 * before["carbon_market_kg"])
    assert (after["carbon_kg"] == before["carbon_kg"]).all()


def test_a_demand_charge_is_never_counted_twice():
    """Of a steady draw: energy at its flat price, and 36.1 CNY/kW of each month beside it.

    From 15 June: 16 of its 30 days, then the days of July and of the month after.
    """
    site = {"place": "guangdong", "demand_charge": "posted", "pools": POOLS}
    found = cp.run(cp.load(data({"here": site}))).cases["where"].values
    kwh = found["energy_kwh"]
    assert found["electricity_cny"] == pytest.approx(kwh * 0.55, rel=1e-6)
    days = float(found["time_to_train_days"][0])
    gone, months = 0.0, 0.0
    for left, of_month in ((16, 30), (31, 31), (31, 31), (30, 30), (31, 31), (30, 30)):
        months += min(max(days - gone, 0.0), left) / of_month
        gone += left
    assert days < gone
    assert found["demand_cny"] == pytest.approx(kwh / (days * 24) * 36.1 * months, rel=1e-6)
    parts = found["electricity_cny"] + found["demand_cny"] + found["rent_cny"]
    assert found["cost_cny"] == pytest.approx(parts, rel=1e-12)
    hourly = {**site, "varies": {"price": "time-of-use"}}
    both = cp.run(cp.load(data({"here": hourly}))).cases["where"].values
    due = kwh * mean_over_run(days, guangdong)
    assert both["electricity_cny"] == pytest.approx(due, rel=2e-6)
    assert both["demand_cny"] == pytest.approx(found["demand_cny"], rel=1e-12)
