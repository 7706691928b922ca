"""Figures of accounts: bars add up, nothing lies on anything else, drawn only where they tell."""

import numpy as np
import pytest
from matplotlib.text import Text
from overlaps import overlapping

from computeplan.errors import ComputePlanError
from computeplan.report.accounts import MOST_CASES, PARTS
from computeplan.report.figures import save_figures
from computeplan.results.cases import CaseResult, in_one_window
from computeplan.results.window import MEASURES, BySite
from computeplan.study.result import Result

DAY_S = 86_400.0
METERS = {"": 1.2, "it_": 1.0, "chip_": 0.6}
PHASES = {"train": 80.0, "save": 1.0, "lost": 10.0, "restart": 3.0, "blocked": 1.0}


def case(cost=10.0, carbon=20.0, market=None, *, sites=("east",), n_runs=21, lost=10.0, chips=True):
    """Return a case with so much taken by each site, which differs by a tenth between runs."""
    spread = np.linspace(0.9, 1.1, n_runs)
    by_phase = {**PHASES, "lost": lost}
    idle = 5.0
    meters = {name: of for name, of in METERS.items() if chips or name != "chip_"}
    ones = np.ones((n_runs, len(sites))) * spread[:, None]
    none = np.full_like(ones, np.nan)
    jobs = dict.fromkeys(MEASURES, none) | {
        "energy_kwh": 100.0 * ones,
        **{f"energy_{m}kwh": of * sum(by_phase.values()) * ones for m, of in meters.items()},
        "cost_usd": np.asarray(cost) * ones,
        "carbon_kg": np.asarray(carbon) * ones,
        "carbon_market_kg": none if market is None else np.asarray(market) * ones,
    }
    unused = {name: np.where(np.isnan(jobs[name]), np.nan, 0.0) for name in MEASURES}
    unused |= {f"energy_{m}kwh": of * idle * ones for m, of in meters.items()}
    phases = {
        f"energy_{m}{phase}_kwh": len(sites) * of * kwh * spread
        for m, of in meters.items()
        for phase, kwh in by_phase.items()
    }
    work = {"kept_gtok": np.ones(n_runs), "n_unfinished": np.zeros(n_runs)}
    taken = BySite(tuple(sites), "USD", np.full(n_runs, DAY_S), jobs, unused, unused)
    return CaseResult(work | phases | {"wall_days": np.ones(n_runs)}, by_site=taken)


def result_of(**cases):
    names = [*cases]
    return Result("r", "", dict(zip(names, in_one_window(cases.values()), strict=True)))


def bars(ax):
    """Return the left end and the length of every bar, a list for each row from the top."""
    rows = {}
    for bar in ax.patches:
        if bar.get_width():
            place = round(bar.get_y() + bar.get_height() / 2, 6)
            rows.setdefault(place, []).append((bar.get_x(), bar.get_width()))
    return [rows[place] for place in sorted(rows)]


def texts(ax):
    return [text.get_text() for text in ax.get_figure().findobj(Text) if text.get_text()]


def saved(result, folder):
    return {name.removesuffix(".png") for name in save_figures(result, folder)}


# Energy by phase ---------------------------------------------------------------------------------


def test_bars_at_three_meters_are_the_phases_one_after_the_other():
    ax = result_of(a=case(), b=case(lost=30.0)).plot.energy_by_phase()
    rows = bars(ax)
    assert len(rows) == 6
    parts = [*PHASES.values(), 5.0]  # in the order in which they are drawn, then idle
    for row, of in zip(rows[:3], METERS.values(), strict=True):
        np.testing.assert_allclose([width for _, width in row], np.multiply(of, parts))
        ends = np.cumsum([0.0, *(width for _, width in row)])
        np.testing.assert_allclose([left for left, _ in row], ends[:-1])
    assert sum(width for _, width in rows[3]) == pytest.approx(1.2 * 120)
    assert {"Training, kept", "Training, lost", "Idle"} <= {*texts(ax)}
    assert "facility 120, 109 to 131" in texts(ax)
    assert ax.get_xlabel() == "Energy [kWh]"


def test_a_meter_that_is_not_known_has_no_bar():
    ax = result_of(a=case(chips=False)).plot.energy_by_phase()
    assert len(bars(ax)) == 2
    assert not any("chips" in text for text in texts(ax))


def test_parts_that_nobody_sees_are_not_in_the_legend():
    ax = result_of(a=case(lost=0.0)).plot.energy_by_phase()
    assert "Training, lost" not in texts(ax)
    assert "Services" not in texts(ax)
    assert "Battery losses" not in texts(ax)
    assert len(PARTS) == 9


def test_energy_by_phase_is_drawn_where_cases_differ(tmp_path):
    kind = "energy_by_phase"
    assert kind in saved(result_of(a=case()), tmp_path / "one")
    assert kind in saved(result_of(a=case(), b=case(lost=30.0)), tmp_path / "two")
    assert kind not in saved(result_of(a=case(), b=case()), tmp_path / "alike")
    many = {f"c{i}": case(lost=5.0 * i) for i in range(MOST_CASES + 1)}
    assert kind not in saved(result_of(**many), tmp_path / "many")
    plain = Result("r", "", {"a": CaseResult({"ettr": np.ones(3)})})
    with pytest.raises(ComputePlanError, match="no run has energy by phase"):
        plain.plot.energy_by_phase()


# Sites -------------------------------------------------------------------------------------------


def test_cost_is_stacked_by_site():
    two = {"sites": ("east", "west")}
    ax = result_of(a=case([10.0, 5.0], **two), b=case([0.0, 9.0], **two)).plot.cost_by_site()
    first, second = bars(ax)
    np.testing.assert_allclose(first, [(0, 10), (10, 5)])
    np.testing.assert_allclose(second, [(0, 9)])
    assert {"east", "west", "15.0, 13.6 to 16.4"} <= {*texts(ax)}


def test_carbon_stands_both_ways_and_pools_of_a_site_are_one():
    sites = {"sites": ("east", "east", "west")}
    ax = result_of(a=case(1.0, [10.0, 5.0, 20.0], [1.0, 1.0, 4.0], **sites)).plot.carbon_by_site()
    location, market = bars(ax)
    np.testing.assert_allclose(location, [(0, 15), (15, 20)])
    np.testing.assert_allclose(market, [(0, 2), (2, 4)])
    assert any(text.startswith("market based 6.00") for text in texts(ax))


def test_many_sites_share_a_grey():
    sites = tuple(f"s{i}" for i in range(9))
    ax = result_of(a=case(np.arange(9.0) + 1, sites=sites)).plot.cost_by_site()
    assert "3 more sites" in texts(ax)
    assert {"s8", "s3"} <= {*texts(ax)}
    assert not {"s0", "s1", "s2"} & {*texts(ax)}  # the smallest
    assert sum(width for _, width in bars(ax)[0]) == pytest.approx(45)


def test_sites_are_drawn_where_there_are_several_or_two_methods(tmp_path):
    one = saved(result_of(a=case(), b=case(20.0, 40.0)), tmp_path / "one")
    assert not {"cost_by_site", "carbon_by_site"} & one
    market = saved(result_of(a=case(market=5.0), b=case(20.0, 40.0, 9.0)), tmp_path / "market")
    assert "carbon_by_site" in market
    assert "cost_by_site" not in market
    same = saved(result_of(a=case(market=20.0)), tmp_path / "same")
    assert "carbon_by_site" not in same
    several = saved(result_of(a=case(sites=("east", "west"))), tmp_path / "several")
    assert {"cost_by_site", "carbon_by_site"} <= several


def test_totals_of_unequal_work_are_not_compared(tmp_path):
    cases = {"a": case(sites=("e", "w")), "b": case(20.0, sites=("e", "w"))}
    result = result_of(**cases)
    for found in result.cases.values():
        found.values["n_unfinished"][:] = 1
    assert "cost_by_site" not in saved(result, tmp_path)


# Cost and carbon ---------------------------------------------------------------------------------

PLACES = {
    "cheap": case(10.0, 60.0, 40.0),
    "clean": case(14.0, 10.0, 42.0),
    "neither": case(16.0, 50.0, 44.0),
    "between": case(12.0, 30.0, 5.0),
}


def lines_of(ax, style):
    return [line for line in ax.lines if line.get_linestyle() == style]


def test_the_front_goes_through_the_cases_that_none_beats_in_both():
    ax = result_of(**PLACES).plot.cost_carbon()
    (by_location,), (by_market,) = lines_of(ax, "--"), lines_of(ax, ":")
    at = [(10, 60), (10, 60), (12, 30), (14, 10), (16, 10)]
    np.testing.assert_allclose(by_location.get_xydata(), at)
    np.testing.assert_allclose(by_market.get_xydata(), [(10, 44), (10, 40), (12, 5), (16, 5)])
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend[:4] == ["cheap", "neither", "between", "clean"]  # from the top
    assert "hollow: carbon,\nmarket based" in legend


def test_without_carbon_by_the_market_there_is_one_front():
    places = {"a": case(10.0, 60.0), "b": case(12.0, 30.0)}
    ax = result_of(**places).plot.cost_carbon()
    assert len(lines_of(ax, "--")) == 1
    assert not lines_of(ax, ":")


def test_intervals_are_drawn():
    ax = result_of(**PLACES).plot.cost_carbon()
    estimate = result_of(**PLACES).cases["cheap"].estimate("cost_usd")
    ends = [tuple(line.get_xdata()) for line in ax.lines]
    assert any(
        pair == pytest.approx((estimate.low, estimate.high)) for pair in ends if len(pair) == 2
    )


def test_places_are_drawn_where_carbon_is_no_constant_of_energy(tmp_path):
    assert "cost_carbon" in saved(result_of(**PLACES), tmp_path / "places")
    same = {"a": case(10.0, 60.0), "b": case(12.0, 60.0)}
    assert "cost_carbon" not in saved(result_of(**same), tmp_path / "same")
    assert "cost_carbon" not in saved(result_of(a=case(market=5.0)), tmp_path / "one case")


# All of them -------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "kind", ["energy_by_phase", "cost_by_site", "carbon_by_site", "cost_carbon"]
)
@pytest.mark.parametrize("n", [1, 12])
def test_no_text_lies_on_another(kind, language, n):
    sites = ("贵安新区数据中心", "a site in the east with a long name", "west", "north")
    cases = {
        f"案例 {i}: a case with a rather long name": case(
            [10.0 + i, 5.0, 2.0, 1.0], [20.0, 9.0, 3.0 * i, 1.0], [2.0, 1.0, 1.0, i], sites=sites
        )
        for i in range(n)
    }
    ax = getattr(result_of(**cases).plot, kind)(language=language)
    assert not overlapping(ax)


def test_a_text_on_another_is_seen():
    ax = result_of(a=case()).plot.energy_by_phase()
    ax.text(1.02, 0.0, "facility 120", transform=ax.get_yaxis_transform(), va="center")
    assert overlapping(ax)
