"""The highest draw of a run and of each month: by hand, and by the hour, in both engines."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import batch, event
from computeplan.metrics import by_site
from computeplan.world.months import covered_frac, month_edges_s

ENGINES = [batch, event]
HOUR_S, DAY_S = 3600.0, 86_400.0
WATTS = {
    "meter": "node",
    **dict.fromkeys(("compute", "load", "wait"), "1 kW"),
    "idle": "250 W",
    "repair": "0 W",
}
POOL = {"chip": "nvidia/h100-sxm", "chips": 16, "power": WATTS}
HOTTER_IN_JULY = [{"months": [7], "hours": [[13, 14]], "factor": 1.2}]


def scenario(train_for="26 d", **change):
    site = {
        "pools": {"a": POOL},
        "pue": 1.25,
        "price": "0.5 CNY/kWh",
        "demand_charge": "31 CNY/kW",
        "varies": {"pue": HOTTER_IN_JULY},
    }
    return {
        "computeplan": 1,
        "name": "s",
        "currency": "CNY",
        "sites": {"here": site},
        "jobs": {"j": {"train_for": train_for, "chips": 16, "checkpoint": {"every": "never"}}},
        "simulate": {"runs": 1, "start": "2026-06-20", "horizon": "50 d", **change},
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_each_month_pays_its_own_peak(engine):
    """A job of 26 days from 20 June, in a run of 50 days: 11 of June, 31 of July, 8 of August.

    16 chips of 1 kW at a PUE of 1.25 draw 20 kW in June. In July the hour after 13:00 has a PUE of
    1.5: 24 kW. The job ends on 16 July, so that in August idle chips are all: 5 kW.
    """
    world = compile_world(cp.load(scenario()))
    ledger = engine.play(world, 0, 0, 1)
    assert ledger.month_peak_w[0, 0].tolist() == pytest.approx([20e3, 24e3, 5e3])
    found = by_site(ledger, world)
    paid = found.jobs["demand_usd"] + found.idle["demand_usd"]
    assert paid[0, 0] == pytest.approx(31 * (20 * 11 / 30 + 24 * 31 / 31 + 5 * 8 / 31))


def test_one_month_paid_in_full_is_the_charge():
    found = cp.run(cp.load(scenario("31 d", start="2026-08-01", horizon="31 d"))).cases["s"].values
    assert found["demand_cny"][0] == pytest.approx(31 * 20)


@pytest.mark.parametrize("engine", ENGINES)
def test_sites_pay_apart(engine):
    """What one site draws is no business of another's: each has its own months."""
    data = scenario()
    small = {**POOL, "chips": 8}
    data["sites"]["there"] = {"pools": {"b": small}, "pue": 1.0, "price": "0.4 CNY/kWh"}
    data["jobs"]["j"]["only"] = ["a"]
    world = compile_world(cp.load(data))
    peaks = engine.play(world, 0, 0, 1).month_peak_w[0]
    assert peaks[0].tolist() == pytest.approx([20e3, 24e3, 5e3])
    assert peaks[1].tolist() == pytest.approx([2e3] * 3)


def test_services_and_jobs_draw_together():
    """A service holds 8 chips by day, beside a job on 8: 20 kW then, 12.5 kW by night."""
    data = scenario("40 d", start="2026-09-01", horizon="30 d")
    data["jobs"]["j"]["chips"] = 8
    data["services"] = {"chat": {"pool": "a", "chips": [0] * 8 + [8] * 12 + [0] * 4}}
    ledger = event.play(compile_world(cp.load(data)), 0, 0, 1)
    assert ledger.month_peak_w[0, 0].tolist() == pytest.approx([20e3])


def test_nothing_is_kept_where_no_site_charges():
    data = scenario()
    del data["sites"]["here"]["demand_charge"]
    for engine in ENGINES:
        assert engine.play(compile_world(cp.load(data)), 0, 0, 1).month_peak_w is None


steps = st.lists(st.sampled_from([1.0, 1.1, 1.3]), min_size=24, max_size=24)


@given(
    days=st.integers(1, 70),
    horizon=st.integers(1, 70),
    start=st.integers(0, 364),
    hours=steps,
    warm=st.sets(st.integers(1, 12), min_size=1),
    n_runs=st.integers(1, 3),
)
def test_peaks_are_those_of_a_look_at_every_hour(days, horizon, start, hours, warm, n_runs):
    data = scenario(f"{days} d", horizon=f"{horizon} d")
    when = np.datetime64("2026-01-01") + start
    data["simulate"]["start"] = str(when)
    data["sites"]["here"]["varies"]["pue"] = [
        {"months": sorted(warm), "hours": [[h, h + 1]], "factor": f} for h, f in enumerate(hours)
    ]
    world = compile_world(cp.load(data))
    at = when.astype("datetime64[h]") + np.arange(24 * horizon)
    month = at.astype("datetime64[M]")
    is_warm = np.isin(month.astype(int) % 12 + 1, sorted(warm))
    pue = 1.25 * np.where(is_warm, np.array(hours)[np.arange(24 * horizon) % 24], 1.0)
    draw_w = np.where(np.arange(24 * horizon) < 24 * days, 16e3, 4e3) * pue
    expected = [draw_w[month == one].max() for one in np.unique(month)]
    for engine in ENGINES:
        ledger = engine.play(world, 0, 0, n_runs)
        peaks = ledger.month_peak_w
        assert peaks.shape == (n_runs, 1, len(expected))
        assert np.allclose(peaks, expected, rtol=1e-12)
        assert np.allclose(ledger.peak_w, max(expected), rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("is_charged", [False, True])
def test_sites_peak_together_at_the_hour_at_which_both_draw_most(engine, is_charged):
    """8 and 16 chips train for 26 and 4 days, one PUE is high at 13:00, the other at 20:00.

    In the first 4 days 16 kW x 1.5 + 8 kW x 1.25 = 34 kW at 13:00 of a July day are more than
    16 kW x 1.25 + 8 kW x 1.5 = 32 kW at 20:00; the highest of each, 24 and 12 kW, never meet.
    """
    data = scenario("4 d", start="2026-07-20")
    here = data["sites"]["here"]
    there = {**here, "pools": {"b": {**POOL, "chips": 8}}}
    there["varies"] = {"pue": [{"months": [7], "hours": [[20, 21]], "factor": 1.2}]}
    data["sites"]["there"] = there
    data["jobs"] = {
        name: {**data["jobs"]["j"], "chips": chips, "train_for": lasts, "home": name}
        for name, chips, lasts in (("a", 16, "4 d"), ("b", 8, "26 d"))
    }
    data["policy"] = "silo"
    if not is_charged:
        for site in (here, there):
            del site["demand_charge"]
    ledger = engine.play(compile_world(cp.load(data)), 0, 0, 2)
    assert ledger.peak_w == pytest.approx([34e3] * 2)
    assert (ledger.month_peak_w is None) != is_charged


def test_months_of_a_run():
    """From 20 December: 12 days, then January, and a run of 12 days does not enter January."""
    begins_s = 353 * DAY_S
    assert (month_edges_s(begins_s, 12 * DAY_S) / DAY_S).tolist() == [-19.0, 12.0]
    edges_s = month_edges_s(begins_s, 13 * DAY_S)
    assert (edges_s / DAY_S).tolist() == [-19.0, 12.0, 43.0]
    assert covered_frac(edges_s, np.array([13 * DAY_S]))[0] == pytest.approx([12 / 31, 1 / 31])
    assert (month_edges_s(0.0, 0.0) / DAY_S).tolist() == [0.0, 31.0]
