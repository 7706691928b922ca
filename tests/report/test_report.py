"""What is on the axes, in the tables and in the files of figures."""

import io
import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from computeplan.cli.plot import plot
from computeplan.errors import ComputePlanError
from computeplan.ledger import RESTART, TRAIN, Span
from computeplan.notes import note, quoted
from computeplan.report import FIGURES, result_views
from computeplan.report import timeline as timeline_module
from computeplan.report.figures import figures_of, save_figures
from computeplan.report.style import case_colour, case_marker, plain
from computeplan.report.timeline import MAX_ROWS
from computeplan.results.cases import CaseResult
from computeplan.results.fleet_series import FleetSeries
from computeplan.results.power_series import PowerSeries
from computeplan.results.window import MEASURES, BySite
from computeplan.study.result import Result
from computeplan.study.store import load_result, save_result

HOSTILE = (
    "$x^2$ & $y$",
    "price $2",
    "_private",
    "a" * 80,
    "混合集群每小时一次检查点",
    "<script>alert(1)</script>",
    "{x} %s \\frac{",
    "tab\tand\nfeed",
    "🚀",
)


def make(names=("as published", "hourly", "no spares"), n_runs=40, n_jobs=1, unfinished=()):
    """Return a result as a study would make it: all cases share their faults."""
    samples = np.random.default_rng(419).normal(size=n_runs)
    cases = {}
    for k, name in enumerate(names):
        ettr = 0.92 - 0.01 * k + 0.01 * samples
        wall = 54 / ettr
        chip_h = 16_384 * 24 * wall
        values = {
            "n_unexpected": np.round(419 + 20 * samples),
            "n_unfinished": np.full(n_runs, float(name in unfinished)),
            "ettr": ettr,
            "wall_days": wall,
            "time_to_train_days": wall,
            "makespan_days": wall,
            "available_frac": 0.99 - 0.02 * k + 0.001 * samples,
            "goodput_tok_per_s": 3.3e6 * ettr,
            "mean_jct_h": 24 * wall,
            "fairness_p95_x": 1.2 + 0.1 * k + 0.01 * samples,
            "energy_kwh": chip_h * 1.1,
            "kwh_per_gtok": chip_h * 1.1 / 15_600,
            "energy_jobs_kwh": chip_h * 0.9,
            "energy_idle_kwh": chip_h * 0.2,
            "cost_usd": chip_h * 0.1,
            "carbon_kg": chip_h * 0.44,
            "train_chip_h": chip_h * ettr,
            "lost_chip_h": chip_h * (1 - ettr) * 0.6,
            "restart_chip_h": chip_h * (1 - ettr) * 0.4,
            "idle_chip_h": np.full(n_runs, 7e6),
            "energy_train_kwh": chip_h * 0.9 * ettr,
            "energy_lost_kwh": chip_h * 0.9 * (1 - ettr),
        }
        jobs = tuple(f"job {j}" for j in range(n_jobs))
        spans = tuple(
            Span(j, 0, phase, start, start + 86_400, 1024)
            for j in range(n_jobs)
            for phase, start in ((TRAIN, 9e4), (RESTART, 2e5), (TRAIN, 4e5))
        )
        times = {
            "wait_h": np.full((n_runs, n_jobs), 25.0),
            "start_h": np.full((n_runs, n_jobs), 25.0),
            "jct_h": np.repeat(24 * wall[:, None], n_jobs, axis=1),
        }
        facts = {"deadline_h": ("120",) * n_jobs}
        kept = spans if k < 2 else ()
        meter = {"meter": note("quoted", text="chip")}
        taken = {"cost_usd": values["cost_usd"] / 2, "carbon_kg": values["carbon_kg"] / 2}
        none = dict.fromkeys(MEASURES, np.full((n_runs, 2), np.nan))
        by_site = BySite(
            *(
                ("east", "west"),
                "USD",
                wall * 86_400,
                none | {m: np.c_[v, v] for m, v in taken.items()},
            ),
            *(dict.fromkeys(MEASURES, np.zeros((n_runs, 2))),) * 2,
        )
        power = {"east": POWER} if kept else {}
        pools = {"pool_names": ("h100",), "by_site": by_site}
        of_run = {"power": power, "fleet": FLEET if kept else None}
        cases[name] = CaseResult(values, times, jobs, facts, meter, kept, **of_run, **pools)
    return Result("llama", "", cases, notes=quoted(["network power is an estimate"]))


POWER = PowerSeries(
    np.array([0.0, 9e4, 2e5, 5e5]),
    1e6 * np.arange(21.0).reshape(3, 7),
    1e6 * np.array([2.0, 0, -3]),
)

FLEET = FleetSeries(
    np.array([0.0, 9e4, 2e5, 5e5]), np.arange(21.0).reshape(3, 7), np.array([2.0, 9.0, 15.0])
)


def texts(ax):
    figure = ax.get_figure()
    found = [t.get_text() for t in figure.findobj(Text) if t.get_visible()]
    return "\n".join(found)


def draw(result, kind, **options):
    return getattr(result.plot, kind)(**options)


@pytest.mark.parametrize("kind", FIGURES)
def test_every_figure_draws_on_its_own_axes_or_on_yours(kind):
    own = draw(make(), kind)
    assert isinstance(own, Axes)
    yours = Figure().add_subplot()
    assert draw(make(), kind, ax=yours) is yours


@pytest.mark.parametrize("kind", FIGURES)
def test_no_global_setting_changes(kind):
    def settings():  # reading the backend would choose one
        return {name: mpl.rcParams[name] for name in mpl.rcParams if name != "backend"}

    before = settings()
    draw(make(), kind)
    assert settings() == before


def test_nothing_imports_pyplot():
    code = (
        "import sys, computeplan.report.figures, computeplan.report.result_views;"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "module", ["computeplan.study.result", "computeplan.study.store", "computeplan.report"]
)
def test_matplotlib_is_loaded_only_to_draw(module):
    code = f"import sys, {module}; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("goodput", "Share of the chip time that jobs hold"),
        ("time", "Time to train [d]"),
        ("ettr", "Effective training time ratio"),
        ("availability", "Availability"),
        ("energy", "Energy [GWh]"),
        ("cost", "Electricity bill [M USD]"),
        ("carbon", "Carbon [kt CO2e]"),
        ("ratios", "ratio to as published, run by run (left of the line is less)"),
        ("throughput_energy", "Goodput [Mtok/s]"),
        ("time_distribution", "Time to train [d]"),
        ("completion_times", "Job completion time [h]"),
        ("tradeoff", "Mean job completion time [h]"),
        ("timeline", "Time since the start [d]"),
        ("pools", "Time since the start [d]"),
        ("utilisation", "Time since the start [d]"),
    ],
)
def test_axes_name_the_quantity_and_its_unit(kind, label):
    assert draw(make(), kind).get_xlabel().split("\n")[0] == label


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", FIGURES)
def test_every_figure_has_a_title_with_the_name_of_the_scenario(kind, language):
    title = draw(make(), kind, language=language).get_title(loc="left")
    assert title.startswith("llama")
    assert len(title) > len("llama: ")


def test_the_bars_of_goodput_are_the_shares_of_held_time_and_add_to_one():
    result = make()
    ax = result.plot.goodput()
    widths = np.array([bar.get_width() for bar in ax.patches]).reshape(5, 3)
    np.testing.assert_allclose(widths.sum(axis=0), 1)
    case = result.cases["hourly"]
    held = sum(case.estimate(f"{p}_chip_h").mean for p in ("train", "lost", "restart"))
    assert widths[0, 1] == pytest.approx(case.estimate("train_chip_h").mean / held)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "Restarting" in labels
    assert "Blocked" not in labels  # in no bar


@pytest.mark.parametrize("kind", ["time", "energy", "goodput"])
def test_bars_and_points_show_the_middle_and_the_90_percent_range(kind):
    name = {"time": "time_to_train_days", "energy": "energy_kwh", "goodput": "ettr"}[kind]
    result = make()
    found = result.cases["as published"].estimate(name)
    size = 1e6 if kind == "energy" else 1
    ax = draw(result, kind)
    lines = [tuple(line.get_xdata()) for line in ax.lines]
    assert (found.p5 / size, found.p95 / size) in lines
    assert f"{found.p50 / size:.3g}" in ax.texts[0].get_text()


def test_energy_is_that_of_jobs_and_of_idle_chips_on_top():
    result = make()
    bars = result.plot.energy().patches
    for i, case in enumerate(result.cases.values()):
        jobs, idle = bars[2 * i], bars[2 * i + 1]
        assert jobs.get_x() == 0
        assert idle.get_x() == pytest.approx(jobs.get_width())
        whole = case.estimate("energy_kwh").p50 / 1e6
        assert idle.get_x() + idle.get_width() == pytest.approx(whole)
        share = case.values["energy_jobs_kwh"].sum() / case.values["energy_kwh"].sum()
        assert jobs.get_width() / whole == pytest.approx(share)


def test_where_work_is_unfinished_energy_is_per_token():
    ax = make(unfinished=("hourly",)).plot.energy()
    assert ax.get_xlabel() == "Energy per Gtoken trained [MWh/Gtok]"


def test_a_time_that_no_run_reached_is_said_and_not_drawn():
    result = make(unfinished=("hourly",))
    result.cases["hourly"].values["time_to_train_days"][:] = np.inf
    end = result.cases["hourly"].values["wall_days"].max()
    for kind in ("time", "time_distribution"):
        ax = draw(result, kind)
        assert f"> {end:.0f}" in texts(ax)
        drawn = np.concatenate([np.ravel(line.get_xdata()) for line in ax.lines])
        assert np.isfinite(np.asarray(drawn, float)).all()


def test_the_deadline_of_a_single_job_is_drawn():
    for kind in ("time", "time_distribution"):
        ax = draw(make(), kind)
        assert [5 - 0.0] * 2 in [list(line.get_xdata()) for line in ax.lines]  # 120 h, from 0 h
        assert "Deadline" in texts(ax)
        assert "Deadline" not in texts(draw(make(n_jobs=2), kind))


@pytest.mark.parametrize("kind", ["time", "throughput_energy", "time_distribution"])
def test_cases_far_apart_stand_on_a_logarithmic_axis(kind):
    result = make()
    for name in ("time_to_train_days", "wall_days", "goodput_tok_per_s", "kwh_per_gtok"):
        result.cases["no spares"].values[name][:] *= 500
    assert draw(result, kind).get_xscale() == "log"
    assert draw(make(), kind).get_xscale() == "linear"


def test_one_run_has_no_distribution():
    with pytest.raises(ComputePlanError, match="no two runs differ"):
        make(n_runs=1).plot.time_distribution()
    assert "one run of each case" in texts(make(n_runs=1).plot.time())


def test_the_distribution_steps_from_zero_to_one_with_its_median():
    result = make(("only",))
    curve, marker, _ = result.plot.time_distribution().lines
    assert curve.get_ydata()[0] == 0
    assert curve.get_ydata()[-1] == 1
    days = np.median(result.cases["only"].values["time_to_train_days"])
    assert marker.get_xdata()[0] == pytest.approx(days)


def test_the_distribution_ends_where_runs_were_cut():
    result = make(("only",))
    result.cases["only"].values["time_to_train_days"][:10] = np.inf
    curve = result.plot.time_distribution().lines[0]
    assert curve.get_ydata()[-1] == 0.75


def test_a_case_keeps_its_colour_and_144_cases_differ():
    result = make()
    bars = [mpl.colors.to_hex(bar.get_facecolor()) for bar in result.plot.energy().patches[::2]]
    curves = [line.get_color() for line in result.plot.time_distribution().lines[:-1:2]]
    assert bars == [c.lower() for c in curves] == [case_colour(i).lower() for i in range(3)]
    assert len({(case_colour(i), case_marker(i)) for i in range(144)}) == 144


def test_the_timeline_has_a_row_per_job_its_queue_and_its_deadline():
    ax = make(n_jobs=3).plot.timeline(case="hourly")
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        f"job {j}\n1,024 chips" for j in range(3)
    ]
    labels = ax.get_legend_handles_labels()[1]
    assert set(labels) == {"Training, kept", "Restarting", "In the queue", "Deadline"}
    first = ax.collections[0].get_paths()[0].get_extents()
    assert (first.x0, first.x1) == pytest.approx((9e4 / 86_400, 9e4 / 86_400 + 1))
    assert "hourly: run 0" in texts(ax)


def test_a_deadline_far_beyond_the_end_is_not_drawn():
    result = make(n_jobs=2)
    for case in result.cases.values():
        case.job_facts["deadline_h"] = ("120", "9000")
    ax = result.plot.timeline()
    assert ax.get_xlim()[1] < 10
    assert "Deadline" in ax.get_legend_handles_labels()[1]


def test_a_long_timeline_says_what_it_leaves_out():
    ax = make(("a",), n_jobs=MAX_ROWS + 5).plot.timeline()
    assert f"({MAX_ROWS} / {MAX_ROWS + 5})" in texts(ax)


def test_a_crowded_timeline_stays_small_and_repeats(tmp_path):
    spans = tuple(Span(0, 0, TRAIN, 60.0 * i, 60.0 * i + 50, 8) for i in range(9000))
    case = CaseResult({"ettr": np.ones(1)}, {}, ("a",), spans=spans, pool_names=("p",))
    crowded = Result("r", "", {"a": case})
    for name in ("a", "b"):
        save_figures(crowded, tmp_path / name, ["timeline"], svg=True)
    svg = (tmp_path / "a" / "timeline.svg").read_bytes()
    assert svg == (tmp_path / "b" / "timeline.svg").read_bytes()
    assert len(svg) < 200_000


def test_throughput_is_against_the_energy_that_is_compared():
    assert make().plot.throughput_energy().get_ylabel() == "Energy [GWh]"
    ax = make(unfinished=("hourly",)).plot.throughput_energy()
    assert ax.get_ylabel() == "Energy per Gtoken trained [MWh/Gtok]"


def test_no_line_leads_across_the_scatter():
    ax = make(tuple(f"case number {i}" for i in range(12))).plot.throughput_energy()
    assert len(ax.get_legend().get_texts()) == 12
    assert not [text for text in ax.texts if getattr(text, "arrow_patch", None)]


@pytest.mark.parametrize("n_cases", [1, 3, 9, 12])
@pytest.mark.parametrize("kind", FIGURES)
def test_nothing_is_cut_off(kind, n_cases):
    if kind == "ratios" and n_cases == 1:
        pytest.skip("there is nothing to compare with")
    names = tuple(f"half of fleet {i} on other chips at the western site" for i in range(n_cases))
    figure = draw(make(names), kind).get_figure()
    figure.canvas.draw()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 > -0.01
    assert box.y0 > -0.01
    assert box.x1 < width + 0.01
    assert box.y1 < height + 0.01


def test_files_are_valid_and_their_bytes_repeat(tmp_path):
    result = make(HOSTILE, n_jobs=2)
    names = save_figures(result, tmp_path / "a", FIGURES, svg=True)
    assert {name.partition(".")[0] for name in names} == {
        *FIGURES,
        "timeline-2",
        "pools-2",
        "power-2",
        "fleet-2",
    }
    assert save_figures(result, tmp_path / "b", FIGURES, svg=True) == names
    for name in names:
        content = (tmp_path / "a" / name).read_bytes()
        assert content == (tmp_path / "b" / name).read_bytes()
        if name.endswith(".png"):
            assert imread(io.BytesIO(content)).ndim == 3
            assert b"matplotlib" not in content[:300].lower()
        else:
            assert ET.fromstring(content).tag.endswith("svg")  # noqa: S314 - our own file
            assert b"dc:date" not in content


def test_figures_are_png_unless_more_is_asked_for(tmp_path):
    assert save_figures(make(), tmp_path, ["energy"]) == ("energy.png",)
    assert save_figures(make(), tmp_path, ["energy"], svg=True) == ("energy.png", "energy.svg")


def test_text_in_an_svg_stays_text_as_it_was_written(tmp_path):
    save_figures(make(HOSTILE), tmp_path, ["energy"], svg=True)
    raw = (tmp_path / "energy.svg").read_text("utf-8")
    assert "<script>" not in raw
    found = "".join(ET.fromstring(raw).itertext())  # noqa: S314 - our own file
    for part in ("$x^2$ & $y$", "price $2", "_private", "<script>alert(1)</sc", "混合集群", "🚀"):
        assert part in found


def test_a_name_is_drawn_on_one_line_without_control_characters():
    assert "tab and feed" in texts(make(("a", "tab\tand\nfeed")).plot.energy())


def test_dollars_are_not_mathematics():
    ax = make(("$x$",)).plot.energy()
    assert ax.get_yticklabels()[0].get_text() == plain("$x$") == r"\$x\$"


def test_labels_in_chinese(tmp_path):
    save_figures(make(), tmp_path, ["energy", "time"], language="zh", svg=True)
    assert "能耗 [万kWh]" in (tmp_path / "energy.svg").read_text("utf-8")
    assert "训练时长 [天]" in (tmp_path / "time.svg").read_text("utf-8")


@pytest.mark.parametrize("kind", FIGURES)
def test_a_figure_without_data_says_what_is_missing(kind, tmp_path):
    bare = Result("bare", "", {"a": CaseResult({"ettr": np.full(3, np.nan)})})
    with pytest.raises(ComputePlanError, match="bare: no"):
        draw(bare, kind)
    with pytest.raises(ComputePlanError, match="bare: no"):
        save_figures(bare, tmp_path, [kind])
    assert save_figures(bare, tmp_path) == ()


def test_a_case_without_a_value_leaves_its_row_empty(tmp_path):
    result = make(("a", "b"))
    cases = dict(result.cases)
    cases["b"] = CaseResult({"ettr": np.full(40, np.nan)})
    names = save_figures(Result("r", "", cases), tmp_path, FIGURES)
    assert names == tuple(f"{kind}.png" for kind in FIGURES)


def test_unknown_figures_and_bad_folders_are_refused(tmp_path):
    with pytest.raises(ComputePlanError, match=r"no figure pie\. Figures: goodput"):
        save_figures(make(), tmp_path, ["pie"])
    (tmp_path / "file").touch()
    with pytest.raises(ComputePlanError, match="cannot be written"):
        save_figures(make(), tmp_path / "file", ["energy"])


def test_the_kinds_named_without_matplotlib_are_those_there_are():
    assert tuple(vars(figures_of(make()))) == FIGURES


def test_tables_round_and_turn_where_there_are_many_cases():
    result = make()
    table = result_views.summary(result)
    assert table.header == ("case", "as published", "hourly", "no spares")
    assert "Energy [GWh]" in [row[0] for row in table.rows]
    days = result.case("as published").values["time_to_train_days"]
    low, middle, high = (f"{p:.1f}" for p in np.percentile(days, (5, 50, 95)))
    assert table.rows[0][:2] == ("Time to train [d]", f"{middle}\n{low} to {high}")
    many = result_views.summary(make(tuple("abcde")), ["ettr"], language="zh")
    assert many.header == ("方案", "有效训练时间占比")
    assert [row[0] for row in many.rows] == ["a", "b", "c", "d", "e"]


def test_jobs_tell_their_facts_and_what_is_missing():
    result = make(n_jobs=2)
    result.cases["hourly"].jobs["wait_h"][3, 1] = np.nan
    table = result_views.jobs(result, "hourly")
    assert table.header == ("job", "Wait [h]", "Job completion time [h]", "Start [h]")
    name, wait, _, start = table.rows[0]
    assert (name, wait, start) == ("job 0", "25.0", "25.0")
    assert "Deadline [h], of all jobs: 120." in table.notes
    assert "Wait: without a value in job 1 1 of 40 runs, which are left out." in table.notes


def test_the_command_draws_a_saved_result_again(tmp_path):
    save_result(make(), tmp_path / "r")
    assert CliRunner().invoke(plot, [str(tmp_path / "r")], catch_exceptions=False).exit_code == 0
    before = (tmp_path / "r" / "figures" / "energy.png").read_bytes()
    arguments = [str(tmp_path / "r"), "--out", str(tmp_path / "o"), "--kind", "energy", "--svg"]
    done = CliRunner().invoke(plot, arguments, catch_exceptions=False)
    assert done.output.split() == [str(tmp_path / "o" / f"energy.{e}") for e in ("png", "svg")]
    assert (tmp_path / "o" / "energy.png").read_bytes() == before
    assert len(list((tmp_path / "o").iterdir())) == 2
    assert load_result(tmp_path / "r").name == "llama"
    with pytest.raises(ComputePlanError, match="is not a computeplan result"):
        CliRunner().invoke(plot, [str(tmp_path)], catch_exceptions=False)


def test_a_job_that_comes_back_has_a_place_for_each_stay():
    """Two jobs of 8 chips take turns on 8: b stops a from 2 h to 4 h."""
    turns = [(0, 0.0, 2.0), (1, 2.0, 4.0), (0, 4.0, 5.0)]
    spans = [Span(job, 0, TRAIN, start, end, 8) for job, start, end in turns]
    stays = timeline_module._stays(spans)
    assert [[span.start_s for span in stay] for stay in stays] == [[0.0], [2.0], [4.0]]
    assert timeline_module._places(stays, 8) == [[(0.0, 1.0)]] * 3
    split = [Span(0, 0, phase, start, start + 1, 8) for start, phase in ((0, TRAIN), (1, RESTART))]
    assert timeline_module._stays(split) == [split]
