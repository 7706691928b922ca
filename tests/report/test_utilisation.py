"""The lanes of chips held over time: a lane a case, or a lane a pool of one."""

import numpy as np
import pytest
from matplotlib.patches import StepPatch

import computeplan as cp
from computeplan.errors import ComputePlanError
from computeplan.ledger import IDLE, TRAIN, Span
from computeplan.notes import note
from computeplan.report.figures import save_figures
from computeplan.report.utilisation import HEIGHT, MOST_STEPS
from computeplan.results.cases import CaseResult
from computeplan.study.result import Result

H = 3600.0


def case(*jobs):
    """Return a case of two pools of 8 and 24 chips with jobs of (pool, start, end, chips)."""
    spans = tuple(Span(j, p, TRAIN, a * H, b * H, n) for j, (p, a, b, n) in enumerate(jobs))
    return CaseResult(
        {"ettr": np.ones(1)},
        job_names=tuple(f"job {j}" for j in range(len(jobs))),
        facts={"chips": note("chips", pools=(("p", 8, "a/x", 0), ("q", 24, "a/y", 0)), sharing=())},
        spans=spans,
        pool_names=("p", "q"),
    )


def lanes(ax):
    """Return edges and shares of every lane, from the top."""
    found = []
    for patch in ax.patches:
        if isinstance(patch, StepPatch):
            heights, edges, bottom = patch.get_data()
            found.append((edges, (bottom - heights) / HEIGHT))
    return found


def beside(ax):
    return [text.get_text() for text in ax.texts if text.get_text().endswith("%")]


BOTH = {"a": case((0, 0, 2, 8), (1, 1, 4, 16)), "b": case((1, 0, 1, 24), (0, 0, 2, 8))}


def test_cases_have_a_lane_each_of_the_share_of_all_chips():
    ax = Result("r", "", BOTH).plot.utilisation()
    (edges, share), (edges_b, share_b) = lanes(ax)
    np.testing.assert_allclose(edges, [0, 1, 2, 4])  # hours
    np.testing.assert_allclose(share, [8 / 32, 24 / 32, 16 / 32])
    np.testing.assert_allclose(edges_b, [0, 1, 2])
    np.testing.assert_allclose(share_b, [1, 8 / 32])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    # 8 x 1 + 24 x 1 + 16 x 2 of 32 x 4; 32 x 1 + 8 x 1 of 32 x 2
    assert beside(ax) == ["50 %", "62 %"]
    assert ax.get_xlim() == (0, 4)


@pytest.mark.parametrize("how", ["the only one", "named"])
def test_pools_of_one_case_have_a_lane_each(how):
    cases = BOTH if how == "named" else {"a": BOTH["a"]}
    ax = Result("r", "", cases).plot.utilisation(case="a" if how == "named" else None)
    (edges, share), (edges_q, share_q) = lanes(ax)
    np.testing.assert_allclose(edges, [0, 2, 4])
    np.testing.assert_allclose(share, [1, 0])
    np.testing.assert_allclose(edges_q, [0, 1, 4])
    np.testing.assert_allclose(share_q, [0, 16 / 24])
    assert beside(ax) == ["50 %", "50 %"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["p\n8 chips", "q\n24 chips"]


def test_the_mean_of_a_run_is_the_share_of_its_ledger():
    policies = {"capacity": {"policy": {"name": "capacity", "restart_cost": "5 min"}}}
    scenario = cp.load("one-cloud-many-chips").with_({"cases": policies, "simulate.runs": 1})
    (found,) = cp.run(scenario).cases.values()
    ax = Result("r", "", {"played": found, "other": BOTH["a"]}).plot.utilisation()
    edges, share = lanes(ax)[0]
    n_chips = sum(n for _, n, *_ in found.facts["chips"].values["pools"])
    held = found.values["held_chip_h"][0] / (24 * found.values["wall_days"][0])
    assert np.average(share, weights=np.diff(edges)) == pytest.approx(held / n_chips)


def test_a_crowded_lane_has_as_many_steps_as_can_be_seen_and_the_same_mean():
    rng = np.random.default_rng(3)
    starts = np.sort(rng.uniform(0, 900, 100_000))
    jobs = [
        (int(i % 2), a, a + d, 1e-2)
        for i, (a, d) in enumerate(zip(starts, rng.exponential(1, 100_000), strict=True))
    ]
    crowded = case(*jobs)
    edges, share = lanes(Result("r", "", {"a": crowded, "b": BOTH["b"]}).plot.utilisation())[0]
    assert share.size == MOST_STEPS
    held = sum(span.n_chips * (span.end_s - span.start_s) for span in crowded.spans)
    end_s = max(span.end_s for span in crowded.spans)
    assert np.average(share) == pytest.approx(held / end_s / 32)
    k = 700  # a step is the mean of what overlaps it
    left, right = (edges[k + i] / edges[-1] * end_s for i in (0, 1))
    over = sum(
        s.n_chips * max(min(s.end_s, right) - max(s.start_s, left), 0) for s in crowded.spans
    )
    assert share[k] == pytest.approx(over / (right - left) / 32)


def test_chips_that_no_job_holds_are_not_held():
    one = BOTH["a"]
    idle = Span(-1, 0, IDLE, 0, 9 * H, 8)
    with_idle = CaseResult(
        one.values, one.jobs, one.job_names, {}, one.facts, (*one.spans, idle), one.pool_names
    )
    for cases in ({"a": one, "b": BOTH["b"]}, {"a": with_idle, "b": BOTH["b"]}):
        np.testing.assert_allclose(lanes(Result("r", "", cases).plot.utilisation())[0][0][-1], 4)


def test_it_is_drawn_of_schedules_that_can_be_read(tmp_path):
    def saved(cases, name):
        return "utilisation.png" in save_figures(Result("r", "", cases), tmp_path / name)

    assert saved(BOTH, "two")
    assert not saved({"a": case((0, 0, 2, 8))}, "single job")
    many = {f"case {i}": BOTH["a"] for i in range(41)}
    assert not saved(many, "many")
    with pytest.raises(ComputePlanError, match="r: nothing to draw, no row can be read of 41"):
        Result("r", "", many).plot.utilisation()
    with pytest.raises(ComputePlanError, match="no case 'c'"):
        Result("r", "", BOTH).plot.utilisation(case="c")
