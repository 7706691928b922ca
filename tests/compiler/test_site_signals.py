"""Price, carbon and PUE that vary: totals are the sums of hours, found by asking each hour."""

import math
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import batch, event
from computeplan.errors import ScenarioError
from computeplan.metrics import by_site
from computeplan.report.words import sentence
from computeplan.specs.catalogue.place_lookup import find_place

HOUR_S, KWH_J = 3600.0, 3.6e6
STEP_S = HOUR_S / 4
"""All that varies below is constant within quarters of an hour."""
ENGINES = [batch, event]
NEW_YEAR = datetime(2026, 1, 1)
SAME_W = {"meter": "node", **dict.fromkeys(("compute", "load", "wait", "idle", "repair"), "900 W")}
"""Of chips that draw the same whatever they do."""
POOL = {"chip": "nvidia/h100-sxm", "chips": 64, "power": SAME_W}


def scenario(train_for="3 d", name="guizhou", pool=POOL, faults=True, **site):
    return {
        "computeplan": 1,
        "name": "s",
        "currency": "CNY",
        "sites": {name: {"pools": {"a": pool}, **site}},
        "faults": {
            "gpu": {"mtbf": "400 h", "per": "node", "takes": "node", "restart": "10 min"}
            | {"repair": "7 h"}
        }
        if faults
        else {},
        "jobs": {
            "j": {
                "train_for": train_for,
                "chips": 56,
                "checkpoint": {"every": "50 min", "stall": "40 s"},
            }
        },
        "simulate": {"runs": 2, "seed": 4},
    }


def hour_by_hour(from_s, to_s, value_at, start=NEW_YEAR):
    """Return the integral of what holds at each time, one quarter of an hour after another. [s]"""
    total_s, at_s = 0.0, from_s
    while at_s < to_s:
        until_s = min(to_s, (math.floor(at_s / STEP_S + 1e-6) + 1) * STEP_S)
        total_s += (until_s - at_s) * value_at(start + timedelta(seconds=(at_s + until_s) / 2))
        at_s = until_s
    return total_s


def taken(world, engine):
    """Return what all chips take in each of two runs, and how long these are. [.., s]"""
    ledger = engine.play(world, 4, 0, 2)
    found = by_site(ledger, world)
    both = {name: found.jobs[name] + found.idle[name] for name in found.jobs}
    return {name: value.sum(axis=1) for name, value in both.items()}, ledger.wall_s


PEAK = {10, 11, 12, 17, 18, 19, 20, 21}
GUIZHOU_C = [4.8, 7.2, 11.6, 16.0, 19.2, 21.6, 23.6, 23.2, 20.6, 15.9, 11.5, 6.2]


def guizhou_price(when):
    """By hand: 1.6 and 0.4 times the price less funds, and the demand charge of a steady load."""
    flat, funds, demand = 0.583744, 0.025325, 31 / (730 * 0.85)
    times = 1.6 if when.hour in PEAK else 0.4 if when.hour < 8 else 1.0
    return funds + (flat - funds) * times + demand


def guizhou_pue(when):
    """By hand: 0.10 at any weather, 0.01 more for each degree above 15, scaled to a mean of 1.2."""
    days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    added = [0.10 + 0.01 * max(0.0, celsius - 15) for celsius in GUIZHOU_C]
    mean = sum(a * d for a, d in zip(added, days, strict=True)) / 365
    return 1 + 0.2 * added[when.month - 1] / mean


def test_the_figures_by_hand_are_those_of_the_catalogue():
    guizhou = find_place("guizhou")
    assert list(guizhou.climate["guiyang"].monthly_c) == GUIZHOU_C
    assert guizhou.tariffs["110kv"].energy.text == "0.583744 CNY/kWh"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("start", "begins"),
    [(None, NEW_YEAR), ("2026-06-29 09:30", datetime(2026, 6, 29, 9, 30))],
)
def test_price_by_the_hour_and_pue_by_the_weather(engine, start, begins):
    data = scenario(varies={"price": "time-of-use", "pue": "outside"})
    if start is not None:
        data["simulate"]["start"] = start
    world = compile_world(cp.load(data))
    found, wall_s = taken(world, engine)
    for run, end_s in enumerate(wall_s):
        it_w = 64 * 900.0 / KWH_J
        pue_s = hour_by_hour(0.0, end_s, guizhou_pue, begins)
        paid = hour_by_hour(0.0, end_s, lambda t: guizhou_pue(t) * guizhou_price(t), begins)
        # the catalogue's price stands in the scenario with six digits
        assert found["energy_kwh"][run] == pytest.approx(it_w * pue_s, rel=1e-9)
        assert found["cost_usd"][run] == pytest.approx(it_w * paid, rel=1e-9)
        assert found["carbon_kg"][run] == pytest.approx(it_w * pue_s * 0.5683, rel=1e-9)
        assert found["energy_it_kwh"][run] == pytest.approx(it_w * end_s, rel=1e-9)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_and_parts(engine, tmp_path):
    """A file of one day repeats; factors of months and hours multiply."""
    (tmp_path / "price.csv").write_text(
        "hour,CNY/MWh\n0,300\n0.5,900\n7.25,400\n8,1100\n16,200\n", "utf-8"
    )
    parts = [
        {"hours": [[10, 16]], "factor": 0.5},
        {"months": [2], "factor": 0.8},
        {"months": [2], "hours": [[12, 13]], "factor": 2.0},
    ]
    data = scenario(
        "45 d", faults=False, pue=1.1, carbon="500 g/kWh", varies={"price": "price.csv"}
    )
    data["sites"]["guizhou"]["varies"]["carbon"] = parts
    (tmp_path / "s.yaml").write_text(str(data), "utf-8")
    world = compile_world(cp.load(tmp_path / "s.yaml"))

    def price(when):
        """The last step is as long as the one before it."""
        at_h = (when - NEW_YEAR).total_seconds() / HOUR_S % 24
        steps = [(16, 0.2), (8, 1.1), (7.25, 0.4), (0.5, 0.9), (0, 0.3)]
        return next(value for begin, value in steps if at_h >= begin)

    def carbon(when):
        noon = 0.5 if 10 <= when.hour < 16 else 1.0
        return 0.5 * noon * ((1.6 if when.hour == 12 else 0.8) if when.month == 2 else 1.0)

    found, (end_s, _) = taken(world, engine)
    kw = 64 * 0.9 * 1.1 / HOUR_S
    assert found["cost_usd"][0] == pytest.approx(kw * hour_by_hour(0, end_s, price), rel=1e-9)
    assert found["carbon_kg"][0] == pytest.approx(kw * hour_by_hour(0, end_s, carbon), rel=1e-9)
    assert found["energy_kwh"][0] == pytest.approx(kw * end_s, rel=1e-9)


def test_phases_pay_the_price_of_their_hours():
    """The timeline knows when each phase was; training and saving draw the same here."""
    watts = {"compute": "900 W", "load": "900 W", "wait": "300 W", "idle": "100 W"}
    pool = {**POOL, "chips": 56, "power": {"meter": "node", **watts, "repair": "10 W"}}
    data = scenario(pool=pool, varies={"price": "time-of-use", "pue": "outside"})
    world = compile_world(cp.load(data))
    ledger = event.play(world, 4, 0, 1, timeline=True)
    chip_w = world.pools[0].chip_w
    due = sum(
        chip_w[span.phase]
        * span.n_chips
        * hour_by_hour(span.start_s, span.end_s, lambda t: guizhou_price(t) * guizhou_pue(t))
        for span in ledger.spans
    )
    assert len({span.phase for span in ledger.spans}) >= 5
    found = by_site(ledger, world).jobs["cost_usd"].sum()
    assert found == pytest.approx(due / KWH_J, rel=1e-9)


hours = st.lists(st.integers(0, 24), min_size=2, max_size=2, unique=True).map(sorted)
parts = st.lists(
    st.fixed_dictionaries(
        {"factor": st.floats(0.2, 3)},
        optional={
            "hours": st.lists(hours, min_size=1, max_size=2),
            "months": st.lists(st.integers(1, 12), min_size=1, max_size=4),
        },
    ),
    max_size=3,
)


def _factor(course, when):
    found = 1.0
    for part in course:
        in_months = when.month in part.get("months", range(1, 13))
        spans = part.get("hours", [[0, 24]])
        hour_s = {hour for begin, end in spans for hour in range(begin, end)}
        found *= part["factor"] if in_months and when.hour in hour_s else 1.0
    return found


@given(parts, parts, st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 30)))
def test_any_parts_are_the_sum_of_hours(price, carbon, start):
    """Overlapping spans of one part count once."""
    start = start.replace(minute=15 * (start.minute // 15), second=0, microsecond=0)
    data = scenario("1 d", faults=False, pue=1.3, carbon="500 g/kWh", price="0.5 CNY/kWh")
    for part in (*price, *carbon):
        if len(spans := part.get("hours", [])) == 2 and spans[0][1] > spans[1][0]:
            part["hours"] = spans[:1]
    data["sites"]["guizhou"]["varies"] = {"price": price, "carbon": carbon}
    data["simulate"]["start"] = str(start)
    for engine in ENGINES:
        found, (end_s, _) = taken(compile_world(cp.load(data)), engine)
        kwh_per_s = 64 * 900 * 1.3 / KWH_J
        for name, course, at_one in (("cost_usd", price, 0.5), ("carbon_kg", carbon, 0.5)):
            due = hour_by_hour(0, end_s, lambda t, c=course: _factor(c, t), start)
            assert found[name][0] == pytest.approx(kwh_per_s * at_one * due, rel=1e-9)


def test_flat_is_what_a_site_was_and_costs_no_weight():
    plain = compile_world(cp.load(scenario()))
    flat = compile_world(cp.load(scenario(varies={"price": "flat", "pue": "flat"})))
    assert flat.signals == plain.signals == {}


def test_a_year_of_hours_costs_no_events():
    """Both engines ask as few times as without; a step is no event."""
    data = scenario("300 d", varies={"price": "time-of-use", "pue": "outside"}, faults=False)
    world = compile_world(cp.load(data))
    assert len(world.signals["cost"][0].times_s) > 2000
    spans = event.play(world, 4, 0, 1, timeline=True).spans
    flat = event.play(
        compile_world(cp.load(scenario("300 d", faults=False))), 4, 0, 1, timeline=True
    )
    assert len(spans) == len(flat.spans)


@given(st.integers(0, 11), st.integers(0, 11))
def test_pue_never_falls_with_temperature(one, other):
    world = compile_world(cp.load(scenario(varies={"pue": "outside"})))
    days = np.cumsum([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30])
    low, high = sorted((one, other), key=GUIZHOU_C.__getitem__)
    pue = world.signals["energy"][0].at((days + 1) * 86_400.0)
    assert pue[low] <= pue[high]
    assert world.signals["energy"][0].mean_frac == pytest.approx(1.0)


def test_one_site_that_varies_leaves_the_other_as_it_is():
    data = scenario(varies={"price": "time-of-use"})
    data["sites"]["ningxia"] = {"pools": {"b": POOL}}
    world = compile_world(cp.load(data))
    assert sorted(world.signals) == ["cost"]
    assert len(world.signals["cost"][1].times_s) == 1


def refused(data, folder=None, text=None):
    if text is not None:
        (folder / "p.csv").write_text(text, "utf-8")
        (folder / "s.yaml").write_text(str(data), "utf-8")
        data = folder / "s.yaml"
    with pytest.raises(ScenarioError) as caught:
        compile_world(cp.load(data))
    return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("site", "said"),
    [
        ({"price": "0.5 CNY/kWh", "varies": {"price": "time-of-use"}}, "has another price"),
        ({"price": "contracted", "varies": {"price": "time-of-use"}}, "has another price"),
        ({"place": "gansu", "varies": {"price": "time-of-use"}}, "multiplier is not known"),
        ({"place": "fujian", "varies": {"price": "time-of-use"}}, "no hours of a posted tariff"),
        ({"place": "fujian", "varies": {"pue": "outside"}}, "no temperatures of fujian"),
        ({"varies": {"carbon": "time-of-use"}}, "must be flat, a file such as carbon.csv"),
        ({"varies": {"pue": [{"factor": 0.5}]}}, "makes a PUE of 0.6"),
        ({"varies": {"price": [{"hours": [[8, 25]], "factor": 2}]}}, "hours are from 0 to 24"),
        ({"varies": {"price": [{"hours": [[8, 8]], "factor": 2}]}}, "hours are from 0 to 24"),
        ({"price": None, "varies": {"price": [{"factor": 2}]}}, "there is no price that could"),
        ({"varies": {"price": "p.csv"}}, "a file needs a scenario file beside it"),
        ({"varies": {"wind": "p.csv"}}, "unknown key"),
        ({"tariff": "time-of-use"}, "write varies: {price: time-of-use"),
    ],
)
def test_what_cannot_be_is_said(site, said):
    (problem,) = refused(scenario(**site))
    assert said in problem


def test_a_place_is_needed():
    data = scenario(name="here", pue=1.2, varies={"pue": "outside"})
    (problem,) = refused(data)
    assert problem.startswith("sites.here.varies.pue: is known of places of the catalogue")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hour;CNY/kWh\n0;1\n", "must begin with the line hour,CNY/kWh"),
        ("hour,price\n0,1\n1,2\n", "write its unit: CNY/kWh, USD/kWh, factor"),
        ("hour,g/kWh\n0,1\n1,2\n", "write its unit"),
        ("hour,pue\n0,1\n1,2\n", "write its unit"),
        ("hour,CNY/kWh\n0,1\n", "needs two rows or more"),
        ("hour,CNY/kWh\n1,1\n2,1\n", "line 2: the first hour must be 0"),
        ("hour,CNY/kWh\n0,1\n2,1\n2,3\n", "line 4: hours must rise"),
        ("hour,CNY/kWh\n0,1\n1,nan\n", "line 3: CNY/kWh must be a number"),
        ("hour,CNY/kWh\n0,1\n1,2,3\n", "line 3: has 3 cells"),
        ("hour,factor\n0,1\n1,-1\n", "line 3: factor must be >= 0"),
        ("hour,CNY/kWh\n0,1\n1,1e308\n", "line 3: CNY/kWh must be at most 1000"),
        ("hour,USD/MWh\n0,1\n1,-2e6\n", "line 3: USD/MWh must be >= -1e+06"),
        ("hour,factor\n0,1\n1,1e300\n", "line 3: factor must be at most 1e+06"),
        ("hour,CNY/kWh\n0,1\n1e9,1\n", "hour must be from 0 to"),
        ("", "must begin with"),
        ("hour,CNY/kWh\n0,\0\n", "is binary"),
    ],
)
def test_files_are_read_without_trust(tmp_path, text, said):
    problems = refused(scenario(varies={"price": "p.csv"}), tmp_path, text)
    assert any(said in one for one in problems)


def test_a_row_that_cannot_be_read_makes_no_second_one_wrong(tmp_path):
    text = "hour,CNY/kWh\n0,x\n1,2\n2,3\n"
    (problem,) = refused(scenario(varies={"price": "p.csv"}), tmp_path, text)
    assert "line 2: CNY/kWh must be a number" in problem


def test_a_series_has_rows_for_a_year_by_the_minute(tmp_path):
    rows = "".join(f"{i / 3600:.6f},1\n" for i in range(600_001))
    (problem,) = refused(scenario(varies={"price": "p.csv"}), tmp_path, "hour,CNY/kWh\n" + rows)
    assert "line 600002: has more than 600,000 rows" in problem


def test_a_file_in_another_currency_needs_a_rate(tmp_path):
    data = scenario(price="0.5 CNY/kWh", varies={"price": "p.csv"})
    (problem,) = refused(data, tmp_path, "hour,USD/kWh\n0,0.1\n1,0.2\n")
    assert "exchange: {rate: 0.14 USD/CNY" in problem
    data["exchange"] = "0.125 USD/CNY"
    (tmp_path / "s.yaml").write_text(str(data), "utf-8")
    (signal,) = compile_world(cp.load(tmp_path / "s.yaml")).signals["cost"]
    assert signal.values_frac.tolist() == pytest.approx([1.6, 3.2])


def test_a_saved_scenario_holds_the_file(tmp_path):
    data = scenario(varies={"price": "p.csv"})
    (tmp_path / "p.csv").write_text("hour,元/kWh\n0,0.31\n0.25,0.17\n", "utf-8")
    (tmp_path / "s.yaml").write_text(str(data), "utf-8")
    first = cp.load(tmp_path / "s.yaml")
    assert first.sites["guizhou"].price.amount * KWH_J == pytest.approx(0.24)
    copy = tmp_path / "copy"
    for name, content in first.input_files().items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(content)
    (copy / "s.yaml").write_text(first.to_yaml(), "utf-8")
    one, other = (compile_world(s).signals["cost"][0] for s in (first, cp.load(copy / "s.yaml")))
    assert one.values_frac.tolist() == other.values_frac.tolist()
    assert one.period_s == other.period_s == 1800


@pytest.mark.parametrize(
    ("start", "days"),
    [("2026-03-01", 59), ("2028-02-29", 58), ("2026-12-31 12:00", 364.5)],
)
def test_a_start_is_a_time_of_a_year_of_365_days(start, days):
    data = scenario()
    data["simulate"]["start"] = start
    assert cp.load(data).simulate.start == days * 86_400


@pytest.mark.parametrize("start", ["July", "2026-02-30", "2026-07-01T00:00+08:00", 7, True])
def test_a_start_that_is_none(start):
    data = scenario()
    data["simulate"]["start"] = start
    (problem,) = refused(data)
    assert "must be a day, or day and time there" in problem


def test_what_varies_is_told_in_both_languages():
    data = scenario(varies={"price": "time-of-use", "pue": "outside", "carbon": [{"factor": 0.5}]})
    notes = [n for n in compile_world(cp.load(data)).notes if n.code in ("varies", "start_assumed")]
    said = [*map(sentence, notes)]
    assert len(said) == 4
    assert "from 0.299 CNY/kWh to 0.969 CNY/kWh, 0.634 CNY/kWh on average" in said[0]
    assert "黔发改价格〔2023〕481号" in said[0]
    assert "first of January" in said[-1]


def test_services_pay_the_price_of_their_hours():
    """Jobs, services and idle chips together are all chips at all hours."""
    data = scenario(faults=False, varies={"price": "time-of-use", "pue": "outside"})
    data["jobs"]["j"]["chips"] = 40
    data["services"] = {"web": {"pool": "a", "chips": [8] * 8 + [24] * 16}}
    data["simulate"] |= {"horizon": "60 h"}
    world = compile_world(cp.load(data))
    ledger = event.play(world, 4, 0, 1)
    found = by_site(ledger, world)
    parts = [found.jobs, found.idle, found.services]
    due = hour_by_hour(0, 60 * HOUR_S, lambda t: guizhou_price(t) * guizhou_pue(t))
    assert sum(part["cost_usd"].sum() for part in parts) == pytest.approx(
        64 * 900 * due / KWH_J, rel=1e-9
    )
    assert all(part["cost_usd"].sum() > 0 for part in parts)
    mean = world.signals["cost"][0].mean_frac * world.pools[0].money_per_j * world.pools[0].pue
    per_day = found.idle_per_day["cost_usd"] + found.services_per_day["cost_usd"]
    assert per_day.sum() == pytest.approx(64 * 900 * 86_400 * mean, rel=1e-9)
