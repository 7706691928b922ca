"""What is compared decides the form of a figure, and whether it is drawn at all."""

import itertools
import math

import numpy as np
import pytest
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.text import Text

from computeplan.ledger import TRAIN, Span
from computeplan.notes import note
from computeplan.report.figures import save_figures
from computeplan.report.sweeps import sweep_of
from computeplan.results.cases import CaseResult
from computeplan.study.result import Result

EVERY, SPARES = "jobs.j.checkpoint.every", "sites.s.pools.p.spares"


def case(middle=1.0, *, axes=None, chip="a/x", n_runs=21, **values):
    """Return a case whose numbers lie evenly around a middle."""
    spread = middle * np.linspace(0.9, 1.1, n_runs)
    named = {"time_to_train_days": spread, "energy_kwh": 1e6 * spread, "ettr": 0.5 / spread}
    return CaseResult(
        named | {name: np.broadcast_to(value, n_runs) + 0.0 for name, value in values.items()},
        job_names=("j",),
        facts={"chips": note("chips", pools=(("p", 8, chip, 0),), sharing=())},
        axes=axes or {},
    )


def swept(path, values, middles=None):
    middles = middles or [1.0 + 0.1 * i for i in range(len(values))]
    pairs = zip(values, middles, strict=True)
    cases = {f"every={value}": case(m, axes={path: value}) for value, m in pairs}
    return Result("r", "", cases)


def texts(ax):
    return [text.get_text() for text in ax.get_figure().findobj(Text) if text.get_text()]


def saved(result, folder):
    return {name.removesuffix(".png") for name in save_figures(result, folder)}


@pytest.mark.parametrize(
    ("values", "unit", "numbers"),
    [
        (["10 min", "20 min", "1 h"], "min", (10, 20, 60)),
        (["2 nodes", "4 nodes", "8 nodes"], "nodes", (2, 4, 8)),
        (["1 Mitoken", "4 Mitoken", "8 Mitoken"], "Mitoken", (1, 4, 8)),
        ([8, 16, 32], "", (8, 16, 32)),
        ([0.1, 0.2, 0.4], "", (0.1, 0.2, 0.4)),
        (["1_000 GB", "2 TB", "4 TB"], "GB", (1000, 2000, 4000)),
    ],
)
def test_values_that_are_swept_are_numbers_in_the_first_unit(values, unit, numbers):
    (axis,) = sweep_of(swept(EVERY, values)).axes
    assert axis.unit == unit
    assert axis.values == pytest.approx(numbers)


@pytest.mark.parametrize(
    "values",
    [
        ["silo", "first-fit", "fastest-first"],
        ["10 min", "20 min", "never"],
        ["10 min", "20 min", "optimal"],  # without a closed form, nobody knows where it is
        [True, False, 3],
        ["10 min", "20 GB", "30 W"],
        [{"a": 1}, {"a": 2}, {"a": 3}],
        ["10 min", "20 min"],  # two cases to compare
    ],
)
def test_all_else_are_cases(values):
    assert sweep_of(swept(EVERY, values)) is None


def test_optimal_stands_where_the_closed_form_puts_it():
    result = swept(EVERY, ["10 min", "20 min", "optimal"])
    facts = result.cases["every=optimal"].facts
    facts["expected"] = note("closed_form", interval_s=900.0, ettr=0.4, days_to_train=1.2)
    (axis,) = sweep_of(result).axes
    assert axis.values == (10, 20, 15)
    ax = result.plot.time()
    assert [t.get_text() for t in ax.get_xticklabels()] == ["10", "20", "optimal"]


def test_a_sweep_of_one_number_is_a_curve_with_its_range_and_the_closed_form():
    result = swept(EVERY, ["30 min", "10 min", "20 min"], [1.2, 1.0, 1.1])
    for k, found in enumerate(result.cases.values()):
        found.facts["expected"] = note("closed_form", ettr=0.5, days_to_train=1.3 - 0.1 * k)
    ax = result.plot.time()
    middle, expected = ax.lines
    np.testing.assert_allclose(middle.get_xdata(), [10, 20, 30])
    np.testing.assert_allclose(middle.get_ydata(), [1.0, 1.1, 1.2])
    np.testing.assert_allclose(expected.get_ydata(), [1.2, 1.1, 1.3])
    assert expected.get_linestyle() == "--"
    (band,) = (c for c in ax.collections if isinstance(c, PolyCollection))
    estimate = result.cases["every=10 min"].estimate("time_to_train_days")
    at_10 = [y for x, y in band.get_paths()[0].vertices if x == 10]
    assert {min(at_10), max(at_10)} == {estimate.p5, estimate.p95}
    assert {"median", "90 % of the runs", "closed form"} <= set(texts(ax))
    assert ax.get_xlabel() == f"{EVERY} [min]"


def test_a_curve_says_where_the_end_is_not_known():
    result = swept(EVERY, ["10 min", "20 min", "30 min"])
    for found in result.cases.values():
        found.values["wall_days"] = np.full(21, 54.0)
    last = result.cases["every=30 min"]
    last.values["time_to_train_days"][:] = np.inf
    last.facts["expected"] = note("closed_form", ettr=0.5, days_to_train=1000.0)
    ax = result.plot.time()
    assert "> 54" in texts(ax)
    assert ax.get_ylim()[1] < 2  # neither inf nor a closed form of what was not seen


def test_cases_at_every_point_are_curves_with_their_names():
    cases = {
        f"{name}, every={value} min": case(1 + 0.1 * value + k, axes={EVERY: f"{value} min"})
        for k, name in enumerate(("few, small", "many"))
        for value in (1, 2, 3)
    }
    result = Result("r", "", cases)
    sweep = sweep_of(result)
    assert dict(sweep.series) == {"few, small": (0, 1, 2), "many": (3, 4, 5)}
    assert {"few, small", "many"} <= set(texts(result.plot.energy()))


def test_paths_that_move_together_are_one_axis():
    points = [(8, "1 Mtoken"), (16, "2 Mtoken"), (32, "4 Mtoken")]
    cases = {
        f"chips={n}": case(1 + n / 64, axes={"jobs.j.chips": n, "jobs.j.batch": batch})
        for n, batch in points
    }
    (axis,) = sweep_of(Result("r", "", cases)).axes
    assert axis.path == "jobs.j.chips"


def test_a_sweep_of_two_numbers_is_a_heat_map(tmp_path):
    grid = [*itertools.product((8, 4), ("10 min", "20 min", "1 h"))]
    cases = {
        f"spares={n}, every={every}": case(10.0 + i, axes={SPARES: n, EVERY: every})
        for i, (n, every) in enumerate(grid)
    }
    cases["spares=4, every=1 h"].values["time_to_train_days"][:] = np.inf
    cases["spares=4, every=1 h"].values["wall_days"] = np.full(21, 54.0)
    ax = Result("r", "", cases).plot.time()
    (mesh,) = (c for c in ax.collections if isinstance(c, QuadMesh))
    assert ax.get_xlabel().startswith(SPARES)
    # rows are intervals from below, columns spares from the left
    np.testing.assert_allclose(mesh.get_array().filled(np.nan), [[13, 10], [14, 11], [np.nan, 12]])
    assert {"13.0", "12.0", "> 54"} <= {text.get_text() for text in ax.texts}
    assert {"time", "ettr", "energy"} <= saved(Result("r", "", cases), tmp_path)


def test_chips_are_compared_as_ratios_with_a_line_at_one(tmp_path):
    cases = {"H": case(1.0, chip="a/h"), "A": case(2.0, chip="b/a"), "B": case(0.5, chip="b/b")}
    result = Result("r", "", cases)
    ax = result.plot.ratios()
    points = {line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 1}
    assert points == {2.0, 0.5}
    assert [1.0, 1.0] in [list(line.get_xdata()) for line in ax.lines]
    assert {"A", "B", "x 2.00", "x 0.500"} <= set(texts(ax))
    assert "ratios" in saved(result, tmp_path / "a")
    alike = Result("r", "", {"H": case(1.0, chip="a/h"), "A": case(1.0, chip="b/a")})
    assert "ratios" not in saved(alike, tmp_path / "b")


def test_ratios_are_taken_run_by_run():
    one, other = case(1.0), case(1.0)
    other.values["energy_kwh"] = 3 * one.values["energy_kwh"]
    ax = Result("r", "", {"one": one, "other": other}).plot.ratios()
    ranges = [list(line.get_xdata()) for line in ax.lines if len(line.get_xdata()) == 2]
    assert [pytest.approx(3.0)] * 2 in ranges  # no spread, though both spread by a tenth


def test_bars_that_are_alike_are_not_drawn(tmp_path):
    for factor, is_drawn in ((1.009, False), (1.011, True)):
        cases = {"a": case(1.0), "b": case(factor)}
        found = saved(Result("r", "", cases), tmp_path / str(factor))
        assert ({"time", "energy"} <= found) == is_drawn
    assert "energy" in saved(Result("r", "", {"a": case(1.0)}), tmp_path / "one")


def test_what_is_asked_for_is_drawn(tmp_path):
    alike = Result("r", "", {"a": case(1.0), "b": case(1.0)})
    assert save_figures(alike, tmp_path, ["energy"]) == ("energy.png",)


def test_carbon_is_not_drawn_where_it_is_energy_times_a_constant(tmp_path):
    same = {name: case(m, carbon_kg=0.0) for name, m in (("a", 1.0), ("b", 2.0))}
    for found in same.values():
        found.values["carbon_kg"] = 0.4 * found.values["energy_kwh"]
    result = Result("r", "", same)
    assert "carbon" not in saved(result, tmp_path / "a")
    same["b"].values["carbon_kg"] *= 1.5  # another grid
    assert "carbon" in saved(result, tmp_path / "b")


def test_a_figure_of_too_many_cases_is_not_drawn(tmp_path):
    result = Result("r", "", {f"case {i}": case(1.0 + i) for i in range(41)})
    assert not saved(result, tmp_path) & {"time", "energy", "goodput", "ratios"}


def stays(*jobs):
    """Return a case of one pool of 8 chips with jobs of (start, end, chips)."""
    spans = tuple(Span(j, 0, TRAIN, start, end, n) for j, (start, end, n) in enumerate(jobs))
    return CaseResult(
        {"ettr": np.ones(1)},
        job_names=tuple(f"job {j}" for j in range(len(jobs))),
        facts={"chips": note("chips", pools=(("p", 8, "a/x", 0),), sharing=())},
        spans=spans,
        pool_names=("p",),
    )


def boxes(ax):
    """Return left, right and the height in chips of every stretch of a lane."""
    found = []
    (lane,) = (p for p in ax.patches if p.get_width() > 0)
    for collection in ax.collections:
        if collection.get_label() == "Training, kept":
            for path in collection.get_paths():
                box = path.get_extents()
                scale = 8 / lane.get_height()
                found.append((round(box.x0, 6), round(box.x1, 6), box.y0 * scale, box.y1 * scale))
    return found


def test_a_lane_shows_each_job_as_high_as_its_chips_and_none_over_another():
    rng = np.random.default_rng(11)
    jobs, free = [], [0.0] * 8  # a list of when each of eight chips is free
    for start in np.sort(rng.uniform(0, 1000, 40)):
        idle = [i for i, end in enumerate(free) if end <= start]
        n = int(rng.integers(1, 9))
        if len(idle) >= n:
            end = start + rng.exponential(100)
            for i in idle[:n]:
                free[i] = end
            jobs.append((float(start) * 3600, float(end) * 3600, n))
    found = boxes(Result("r", "", {"a": stays(*jobs)}).plot.pools())
    area = sum((right - left) * (high - low) for left, right, low, high in found)
    unit = 3600 if max(end for _, end, _ in jobs) <= 4 * 86_400 else 86_400
    assert area == pytest.approx(sum((end - start) * n for start, end, n in jobs) / unit)
    assert all(-1e-9 <= low < high <= 8 + 1e-9 for _, _, low, high in found)
    for one, other in itertools.combinations(found, 2):
        apart = one[1] <= other[0] + 1e-6 or other[1] <= one[0] + 1e-6
        over = one[3] <= other[2] + 1e-6 or other[3] <= one[2] + 1e-6
        assert apart or over


def test_a_job_that_fits_together_is_one_block_with_its_name():
    ax = Result("r", "", {"a": stays((0, 7200, 4), (0, 7200, 4), (7200, 9000, 8))}).plot.pools()
    assert [box[2:] for box in boxes(ax)] == [(0, 4), (4, 8), (0, 8)]
    assert {"job 0", "job 1", "job 2"} <= set(texts(ax))


def test_pools_are_drawn_of_schedules_only(tmp_path):
    two, one = stays((0, 7200, 4), (0, 7200, 4)), stays((0, 7200, 4))
    assert {"pools", "timeline"} <= saved(Result("r", "", {"a": two}), tmp_path / "two")
    assert "pools" not in saved(Result("r", "", {"a": one}), tmp_path / "one")


def test_a_logarithmic_axis_has_numbers_to_read():
    ax = swept(EVERY, [f"{n} min" for n in (1, 2, 4, 400)], [1.0, 2.0, 5.0, 60.0]).plot.time()
    assert ax.get_yscale() == ax.get_xscale() == "log"
    ax.get_figure().canvas.draw()
    low, high = ax.get_ylim()
    labels = [t.get_text() for t in ax.get_yticklabels()]
    seen = [float(text) for text in labels if text and low <= float(text) <= high]
    assert len(seen) >= 4
    assert all(math.isfinite(x) for x in seen)


def test_no_ratio_is_drawn_where_most_runs_were_cut():
    cases = {"one": case(1.0), "other": case(2.0), "third": case(3.0)}
    cases["other"].values["time_to_train_days"][3:] = np.inf
    ax = Result("r", "", cases).plot.ratios()
    beside = [text.get_text() for text in ax.texts if text.get_text().startswith(("x", "-"))]
    assert beside == ["-", "x 2.00", "x 3.00", "x 3.00"]
    assert all(np.isfinite(np.asarray(line.get_xdata(), float)).all() for line in ax.lines)
    cases["one"].values["time_to_train_days"][0] = np.inf
    ax = Result("r", "", cases).plot.ratios()
    beside = [text.get_text() for text in ax.texts if text.get_text().startswith(("x", "-"))]
    assert beside == ["-", "x 2.00", "-", "x 3.00"]


def test_a_sweep_in_which_no_end_is_known_says_so():
    result = swept(EVERY, ["10 min", "20 min", "30 min"])
    for found in result.cases.values():
        found.values["wall_days"] = np.full(21, 54.0)
        found.values["time_to_train_days"][:] = np.inf
    assert [text.get_text() for text in result.plot.time().texts][:3] == ["> 54"] * 3
