"""``computeplan fit``: laws recovered, drift and unlike nodes found and not invented."""

import json
import math

import numpy as np
import pytest
from bounds import ends_within
from hypothesis import assume, given
from hypothesis import strategies as st
from places import REPO
from scipy import stats

from computeplan.compiler.compile import compile_world
from computeplan.distributions import law_mean_s
from computeplan.engines.batch import engine as batch
from computeplan.errors import ScenarioError
from computeplan.fitting.drift import drift, wander
from computeplan.fitting.fit import MAX_CAUSES, fit_faults
from computeplan.fitting.forecast import MODELS, predict
from computeplan.fitting.history import Durations, cut, gaps, observe, repairs, up_node_s
from computeplan.fitting.holdout import predictions_of, retired
from computeplan.fitting.persistence import lasting
from computeplan.fitting.played import unplayed
from computeplan.fitting.rates import dispersion, gamma_poisson
from computeplan.fitting.retirement import lemon_gain, top_share
from computeplan.fitting.seen import as_seen, grouped
from computeplan.fitting.survival import fit_law, median_s
from computeplan.ledger import REPAIR
from computeplan.notes import note
from computeplan.report.faults_yaml import faults_block, kind_name, read_assumed, seen_lines
from computeplan.report.fit import fit_document
from computeplan.report.words import sentence
from computeplan.specs.documents.document import parse_document
from computeplan.specs.durations import read_law
from computeplan.specs.logs.events import Events
from computeplan.specs.logs.nodelist import expand_nodes
from computeplan.specs.logs.reader import read_log
from computeplan.specs.logs.slurm import failed_nodes
from computeplan.specs.scenario import load
from computeplan.study.run import run

DAY_S = 86_400.0
REAL = REPO.parent / "shared/traces/infinitehbd/fault_trace_days_0_174.json"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="the log is read in place, where it is")


@pytest.fixture(scope="module")
def real():
    return observe(read_log(REAL), 400, 0.0, 174 * DAY_S)


@pytest.fixture(scope="module")
def real_fit(real):
    return fit_faults(real)


def written(tmp_path, text, name="log.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def text_of(notes):
    """Return what notes say, in one line."""
    return " ".join(map(sentence, notes))


def events_of(start_s, end_s, node, cause=None):
    """Return events with nodes and causes by number."""
    start_s, node = np.asarray(start_s, dtype=float), np.asarray(node)
    cause = np.zeros(start_s.size, dtype=np.int64) if cause is None else np.asarray(cause)
    nodes = tuple(f"n{i}" for i in range(int(node.max()) + 1))
    causes = tuple(f"c{i}" for i in range(int(cause.max()) + 1))
    end_s = np.asarray(end_s, dtype=float)
    return Events(start_s, end_s, node, cause, nodes, causes, False, 1e-3)


def played(rng, n_nodes, length_s, up, repair):
    """Return events of nodes that alternate between up and repair, new at first: the oracle."""
    start, end, node = [], [], []
    for i in range(n_nodes):
        now = up(rng)
        while now < length_s:
            back = now + repair(rng)
            start.append(now)
            end.append(back)
            node.append(i)
            now = back + up(rng)
    return events_of(start, end, node)


def poisson_history(rng, n_nodes, days, per_node_day, *, shape=math.inf, edges=None, by_day=None):
    """Return a history of faults without length; rates by node from a gamma law, or by day."""
    rates = np.ones(n_nodes) if math.isinf(shape) else rng.gamma(shape, 1 / shape, n_nodes)
    if by_day is None:
        n = rng.poisson(per_node_day * rates.sum() * days)
        times = rng.random(n) * days
    else:
        counts = rng.poisson(per_node_day * rates.sum() * by_day)
        times = np.repeat(np.arange(days), counts) + rng.random(counts.sum())
    node = rng.choice(n_nodes, times.size, p=rates / rates.sum())
    start = times * DAY_S
    return observe(events_of(start, start, node), n_nodes, 0.0, days * DAY_S)


# Reading -----------------------------------------------------------------------------------------


def test_csv_says_its_columns_and_its_unit(tmp_path):
    log = written(tmp_path, "host;why;begin;fixed\nb;gpu;2;3\na;;1;\n")
    columns = {"node": "host", "start": "begin", "end": "fixed", "cause": "why"}
    events = read_log(log, columns=columns, unit="d")
    assert events.start_s.tolist() == [DAY_S, 2 * DAY_S]
    assert events.end_s.tolist() == [math.inf, 3 * DAY_S]
    assert (events.nodes, events.causes) == (("a", "b"), ("fault", "gpu"))
    with_unit = read_log(written(tmp_path, "node,start_h\na,2\n"))
    assert with_unit.start_s.tolist() == [7200.0]
    assert np.isnan(with_unit.end_s).all()


def test_csv_with_dates_in_several_zones(tmp_path):
    rows = "a,2024-07-23T12:00:00+02:00,2024-07-23T10:30:00Z\nb,2024-07-23,\n"
    events = read_log(written(tmp_path, f"NodeName,TimeStart,TimeEnd\n{rows}"))
    assert events.is_dated
    assert events.nodes == ("a", "b")
    assert np.diff(events.start_s).tolist() == [36_000.0]
    assert events.end_s[1] - events.start_s[1] == 1800.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("node,begins\na,1\n", "no column called start"),
        ("start_s,end_s\n1,2\n", "no column called node"),
        ("node,node,start_s\na,b,1\n", "'node' twice"),
        ("node,start\na,1\n", "has no unit: say it by unit (s, "),
        ("node,start_s\na,nan\n", "2:1 'nan'"),
        ("node,start_s\na,1\nb,inf\nc,inf\n", "3:1 'inf'"),
        ("node,start_s\na,1\nb,inf\nc,inf\n", "2 rows cannot be read, and in the 1 others there"),
        ("node,start_s,end_s\na,5,4\n", "2:1 ends at 4, before it starts"),
        ("node,start_s\na,1\nb,2024-07-23\nc,2024-07-24\n", "some times are dates"),
        ("node,start_s\n,1\n", "node is empty"),
        ("node,start_s\na,1,2\n", "2:1 has 3 cells"),
        ('node,start_s\n"a,1\n', "is not CSV"),
        ("node,start_s\n", "holds no fault"),
        ("", "is empty"),
        (b"node,start_s\n\xff,1\n", "not UTF-8"),
        (b"\x7fELF\0\0\0", "is binary"),
        ("node,start_s\n" + "a,x\n" * 50, "and 30 more rows that cannot be read"),
        ("[1, 2]", "event 1: must be a mapping"),
        ("[{", "is not JSON"),
        ('{"a": 1}', "without the jobs of sacct --json: ask for sacct -D -a -P"),
        ('[{"node_id": "a", "event_time": NaN, "event_type": "fault_start"}]', "number of days"),
        ("[" * 100_000, "nested too deep"),
        ("JobID|State|Start\n1|NODE_FAIL|x\n", "lacks NodeList, End"),
        ("JobID|State|NodeList|End\n1|NODE_FAIL|g[1-|2024-01-01\n", "is not a node list"),
        ("JobID|State|NodeList|End\n1|NODE_FAIL|g1|soon\n", "2:1 'soon' is not a date"),
    ],
)
def test_what_reading_refuses(tmp_path, text, message):
    with pytest.raises(ScenarioError) as caught:
        read_log(written(tmp_path, text))
    assert message in str(caught.value)


def test_a_log_that_is_too_large_or_no_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("computeplan.specs.logs.reader.MAX_BYTES", 10)
    with pytest.raises(ScenarioError, match="larger than"):
        read_log(written(tmp_path, "node,start_s\na,1\n"))
    with pytest.raises(ScenarioError, match="is not a file"):
        read_log(tmp_path)


def test_sacct_counts_what_nodes_did(tmp_path):
    rows = (
        "JobID|State|NodeList|End|FailedNode\n"
        "1|NODE_FAIL|gpu[001-004,7]|2024-07-23T08:00:00|gpu003\n"
        "1.batch|NODE_FAIL|gpu001|2024-07-23T08:00:00|\n"
        "2|CANCELLED by 7|gpu1|2024-07-23T08:00:00|\n"
        "3|NODE_FAIL|gpu[001-004]|2024-07-23T09:00:00|\n"
        "4|BOOT_FAIL|gpu7|2024-07-23T09:00:00|\n"
        "5|RUNNING|gpu7|Unknown|\n"
    )
    events = read_log(written(tmp_path, rows))
    assert events.nodes == ("gpu003", "gpu7")
    assert events.node.tolist() == [0, -1, 1]
    assert events.causes == ("BOOT_FAIL", "NODE_FAIL")
    assert events.cause.tolist() == [1, 1, 0]
    assert "1 faults are of jobs on several nodes" in " ".join(map(sentence, events.notes))
    from_s = events.start_s[0] - DAY_S
    history = observe(events, 8, from_s, from_s + 2 * DAY_S)
    assert (history.fault_s.size, history.per_node().sum()) == (3, 2)


def test_a_long_node_list_is_read_in_time_that_grows_with_its_length():
    """100,000 names, or one without end, in one row: once minutes."""
    names = [f"gpu{n:06d}" for n in range(100_000)]
    with ends_within(20):
        assert expand_nodes(",".join(names)) == names
        assert failed_nodes(",".join(names), "") == [None]
        assert expand_nodes(",".join(f"a[{n}]b" for n in range(50_000)))[-1] == "a49999b"
        with pytest.raises(ValueError, match="is not a node list"):
            expand_nodes("n" * 200_000 + " n")


@pytest.mark.parametrize(
    "text", ["a,", ",a", "a,,b", "a[1", "a]1", "a[x]", "a b", "a[]", "[" * 9999]
)
def test_what_is_no_node_list_is_refused(text):
    with pytest.raises(ValueError, match="is not a node list"):
        expand_nodes(text)


# The window --------------------------------------------------------------------------------------


def test_what_the_window_does_to_faults():
    nan, inf = math.nan, math.inf
    start = [-5, 2, 3, 3.5, 8, 9, 20, 1, 4, 9.5]
    end = [1, 4, 6, 5, inf, 12, 21, inf, 4, nan]
    node = [0, 1, 1, 1, 2, 3, 4, 5, 5, 5]
    history = observe(events_of(start, end, node), 10, 0.0, 10.0)
    said = text_of(history.notes)
    assert "1 faults lie outside" in said
    assert "2 faults began while their node was down" in said
    assert "1 faults have no end, but their node failed again" in said
    assert "1 faults began before the window" in said
    assert "2 faults were open" in said
    assert history.fault_s.tolist() == [1, 2, 4, 8, 9, 9.5]
    away = repairs(history)
    assert (sorted(away.known_s), sorted(away.longer_s)) == ([4.0], [1.0, 2.0])
    assert up_node_s(history) == 10 * 10 - (1 + 4 + 2 + 1)


def test_gaps_run_on_the_up_clock():
    history = observe(events_of([1, 4, 9, 2], [2, 6, 9.5, 3], [0, 0, 0, 1], [0, 1, 0, 0]), 3, 0, 10)
    between = gaps(history)
    assert sorted(between.known_s) == [2.0, 3.0]
    assert sorted(between.longer_s) == [0.5, 7.0]
    of_one_cause = gaps(history, 0)
    assert sorted(of_one_cause.known_s) == [5.0]  # from 2 to 9, less two of another repair
    new = gaps(history, is_new=True)
    assert sorted(new.known_s) == [1.0, 2.0, 2.0, 3.0]
    assert sorted(new.longer_s) == [0.5, 7.0, 10.0]
    assert new.known_s.sum() + new.longer_s.sum() == up_node_s(history)


def test_a_cut_is_what_would_have_been_seen():
    rng = np.random.default_rng(1)
    events = played(rng, 30, 100.0, lambda r: r.exponential(9), lambda r: r.exponential(3))
    early, late = observe(events, 30, 0, 40.0), cut(observe(events, 30, 0, 100.0), 40.0)
    for name in ("start_s", "end_s", "is_open"):
        assert np.array_equal(getattr(early, name), getattr(late, name))
    assert np.array_equal(sorted(early.per_node()), sorted(late.per_node()))


def test_a_window_must_hold_faults_and_the_fleet_its_nodes():
    events = events_of([1, 2, 3], [2, 3, 4], [0, 1, 2])
    with pytest.raises(ScenarioError, match="the log names 3 nodes in this window, --nodes says 2"):
        observe(events, 2, 0, 10)
    with pytest.raises(ScenarioError, match="no fault lies between"):
        observe(events, 5, 10, 20)
    with pytest.raises(ScenarioError, match="--to must come after --from"):
        observe(events, 5, 10, 10)


# Laws --------------------------------------------------------------------------------------------

LAWS = {
    "expon": (stats.expon(scale=5.0), ()),
    "weibull_min": (stats.weibull_min(0.7, scale=5.0), (0.7,)),
    "lognorm": (stats.lognorm(1.5, scale=5.0), (1.5,)),
    "gamma": (stats.gamma(0.6, scale=5.0), (0.6,)),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("is_censored", [False, True])
def test_laws_come_back_within_four_of_their_standard_errors(name, is_censored):
    """8 fits, 14 parameters: 1 false alarm in 1100."""
    law, shapes = LAWS[name]
    x = law.rvs(2000, random_state=np.random.default_rng(7))
    limit = np.random.default_rng(8).uniform(0, 20, x.size) if is_censored else np.inf
    fit = fit_law(name, Durations(x[x <= limit], np.broadcast_to(limit, x.shape)[x > limit], 0, 1))
    errors = np.sqrt(np.diag(fit.covariance))
    assert (np.abs(fit.logs - np.log([*shapes, 5.0])) < 4 * errors).all()
    assert np.all(errors < 0.12)  # and they say something
    assert (
        fit.mean_s.low < law.mean() < fit.mean_s.high
        or abs(fit.mean_s.value / law.mean() - 1) < 0.1
    )
    assert fit.p_fit > 1e-3


def test_agrees_with_scipys_own_walk():
    x = stats.weibull_min(0.6, scale=3e5).rvs(300, random_state=np.random.default_rng(3))
    limit = 4e5
    durations = Durations(x[x < limit], np.full(int((x >= limit).sum()), limit), 0, 1.0)
    fit = fit_law("weibull_min", durations)
    data = stats.CensoredData(uncensored=durations.known_s / 1e5, right=durations.longer_s / 1e5)
    shape, _, scale = stats.weibull_min.fit(data, floc=0)
    assert (fit.shape.value, fit.scale_s.value) == pytest.approx((shape, scale * 1e5), rel=1e-3)
    law = stats.weibull_min(fit.shape.value, scale=fit.scale_s.value)
    likelihood = law.logpdf(durations.known_s).sum() + law.logsf(durations.longer_s).sum()
    assert fit.log_likelihood == pytest.approx(likelihood)


def test_intervals_cover_and_the_test_of_fit_keeps_its_size():
    """Of 100 censored samples: coverage of 95 % within 4 standard errors; size 5 % likewise."""
    law, rng, n = stats.weibull_min(0.7, scale=5.0), np.random.default_rng(11), 100
    n_inside = n_refused = n_wrong_refused = 0
    for _ in range(n):
        x = law.rvs(100, random_state=rng)
        durations = Durations(x[x <= 10], np.full(int((x > 10).sum()), 10.0), 0, 1.0)
        fit = fit_law("weibull_min", durations)
        n_inside += fit.shape.low < 0.7 < fit.shape.high
        n_refused += fit.p_fit < 0.05
        n_wrong_refused += fit_law("expon", durations).p_fit < 0.05
    error = math.sqrt(0.05 * 0.95 / n)
    assert abs(n_inside / n - 0.95) < 4 * error
    assert n_refused / n < 0.05 + 4 * error
    assert n_wrong_refused / n > 0.5


def test_gaps_of_played_nodes_give_the_law_back():
    """An oracle that shares no code: nodes walk from fault to repair; new at first, memory kept."""
    rng = np.random.default_rng(5)
    events = played(rng, 300, 400.0, lambda r: 100 * r.weibull(1.6), lambda r: r.lognormal(0, 1))
    history = observe(events, 300, 0.0, 400.0)
    for is_new in (False, True):
        fit = fit_law("weibull_min", gaps(history, is_new=is_new))
        z = (fit.logs - np.log([1.6, 100])) / np.sqrt(np.diag(fit.covariance))
        assert (abs(z) < 4).all()
    fit = fit_law("lognorm", repairs(history))
    z = (fit.logs - np.log([1.0, 1.0])) / np.sqrt(np.diag(fit.covariance))
    assert (abs(z) < 4).all()
    assert median_s(repairs(history)) == pytest.approx(1.0, rel=0.15)


def test_too_few_durations_are_no_law():
    assert fit_law("expon", Durations(np.ones(7), np.ones(3), 0, 1.0)) is None
    assert math.isnan(median_s(Durations(np.zeros(0), np.ones(3), 0, 1.0)))


# Drift and dispersion ----------------------------------------------------------------------------


def test_a_constant_fleet_of_equal_nodes_raises_few_alarms():
    """200 fleets: each test's rate of false alarms at 5 % stays within 4 standard errors."""
    rng, n = np.random.default_rng(17), 200
    alarms = np.zeros(4)
    for _ in range(n):
        history = poisson_history(rng, 100, 180, 0.01)
        found = drift(history)
        p = (found.p_constant, found.p_trend, found.p_white, dispersion(history.per_node()).p_equal)
        alarms += np.array(p) < 0.05
    assert (np.abs(alarms / n - 0.05) < 4 * math.sqrt(0.05 * 0.95 / n)).all()


def test_drift_bursts_and_unlike_nodes_are_found():
    rng = np.random.default_rng(3)
    trend = drift(poisson_history(rng, 200, 180, 0.01, by_day=np.linspace(0.5, 1.5, 180)))
    assert trend.p_trend < 0.01
    assert trend.trend_z > 0
    weeks = np.where(np.arange(180) // 7 % 2, 0.4, 1.6)
    assert drift(poisson_history(rng, 200, 180, 0.01, by_day=weeks)).p_white < 0.01
    unlike = dispersion(poisson_history(rng, 400, 180, 0.01, shape=0.6).per_node())
    assert unlike.p_equal < 1e-6
    assert unlike.mixture.shape.low < 0.6 < unlike.mixture.shape.high


def test_the_gamma_law_of_months_comes_back():
    """60 months of shape 2, unlike in length; the interval holds it in 19 of 20 such tests."""
    rng = np.random.default_rng(21)
    over = rng.uniform(0.5, 1.5, 60)
    counts = rng.poisson(40 * over * rng.gamma(2.0, 0.5, 60))
    found = gamma_poisson(counts, over)
    assert found.shape.low < 2.0 < found.shape.high
    assert abs(found.rate - 40) < 4 * 40 / math.sqrt(2.0 * 60)
    assert math.isinf(gamma_poisson([5, 5, 5, 5], 1.0).shape.value)
    assert gamma_poisson([0, 0], 1.0).rate == 0


def test_months_that_resemble_their_neighbours_are_told():
    rng = np.random.default_rng(2)
    level = np.zeros(24)
    for i in range(1, 24):
        level[i] = 0.9 * level[i - 1] + 0.4 * rng.normal()
    found = wander(poisson_history(rng, 400, 720, 0.005, by_day=np.repeat(np.exp(level), 30)))
    assert 0.3 < found.correlation <= 0.95


# Prediction and lemons ---------------------------------------------------------------------------


def test_a_constant_rate_predicts_a_constant_fleet():
    """20 fleets: each 95 % interval holds the truth in 95 %, within 4 standard errors."""
    rng, n_inside = np.random.default_rng(9), np.zeros(3)
    for _ in range(20):
        events = played(
            rng, 100, 174.0, lambda r: r.exponential(100), lambda r: r.lognormal(0, 1.0)
        )
        history = observe(events, 100, 0.0, 174.0)
        ahead = predict(history, 120.0, 174.0, model="constant", uniforms=rng, n_draws=200)
        n_inside += [f.is_inside for f in ahead.forecasts]
    assert (n_inside / 20 > 0.95 - 4 * math.sqrt(0.05 * 0.95 / 20)).all()


def test_a_wandering_rate_is_seen_through_by_one_model_only():
    rng, n_inside = np.random.default_rng(13), {"constant": 0, "wandering": 0}
    for _ in range(30):
        months = np.repeat(rng.gamma(2.0, 0.5, 10), 30)
        history = poisson_history(rng, 400, 300, 0.005, by_day=months)
        for model in MODELS:
            ahead = predict(
                history, 240 * DAY_S, 300 * DAY_S, model=model, uniforms=rng, n_draws=200
            )
            n_inside[model] += ahead.forecasts[0].is_inside
    assert n_inside["constant"] < 15
    assert n_inside["wandering"] > 22


def test_nothing_later_enters_a_prediction():
    rng = np.random.default_rng(4)
    events = played(rng, 50, 90.0, lambda r: r.exponential(20), lambda r: r.exponential(2))
    late = events.start_s > 60
    moved = events_of(
        np.where(late, 89.0, events.start_s),
        np.where(late, 89.5, events.end_s),
        events.node,
    )
    both = [
        predict(
            observe(log, 50, 0.0, 90.0), 60.0, 90.0, model="wandering",
            uniforms=np.random.default_rng(1), n_draws=50,
        )
        for log in (events, moved)
    ]  # fmt: skip
    for one, other in zip(*(p.forecasts for p in both), strict=True):
        assert (one.expected, one.low, one.high) == (other.expected, other.low, other.high)


def test_equal_nodes_gain_by_chance_and_lemons_in_earnest():
    rng = np.random.default_rng(6)
    gain = lemon_gain(poisson_history(rng, 400, 174, 0.005), 87 * DAY_S, 0.05, rng, n_draws=300)
    assert gain.equal_in_sample[1] <= gain.in_sample <= gain.equal_in_sample[2]
    assert gain.equal_later[1] <= gain.later <= gain.equal_later[2]
    assert gain.equal_later[0] == pytest.approx(0.05, abs=0.005)


def test_v11_a_mixture_as_dispersed_as_the_log():
    """Variance / mean 2.58 at 584 faults in 348 days: 25 % in sample, 15 to 17 % later, +-5 pp."""
    shape = 1.46 / 1.58
    rng, gains = np.random.default_rng(8), []
    for _ in range(20):
        history = poisson_history(rng, 400, 696, 1.46 / 348, shape=shape)
        gain = lemon_gain(history, 348 * DAY_S, 0.05, rng, n_draws=2)
        gains.append((gain.in_sample, gain.later, gain.expected_later))
    in_sample, later, expected = np.mean(gains, axis=0)
    assert abs(in_sample - 0.25) < 0.05
    assert 0.15 - 0.05 < later < 0.17 + 0.05
    assert abs(expected - later) < 0.01  # 20 fleets: standard error 0.3 %


def test_ties_share_the_last_places():
    counts = np.array([1.0, 1.0, 1.0, 1.0])
    assert top_share(counts, np.array([4.0, 0.0, 0.0, 0.0]), 1) == 0.25


# The real log ------------------------------------------------------------------------------------


@needs_real
def test_published_figures_of_the_real_log(real, real_fit):
    days = real.fault_s / DAY_S
    assert days.size == 312
    per_day = real_fit.drift.counts[:3] / 30
    assert (round(per_day[0], 1), round(per_day[2], 1)) == (0.4, 3.9)
    assert round(real_fit.dispersion.ratio, 2) == 2.40
    assert round(real_fit.dispersion.top_share, 3) == 0.349
    gain = lemon_gain(real, 87 * DAY_S, 0.05, np.random.default_rng(1), n_draws=300)
    assert (round(gain.whole, 3), round(gain.later, 3), gain.n_retired) == (0.349, 0.053, 20)
    assert gain.equal_later[1] < gain.later < gain.equal_later[2]
    assert gain.in_sample > gain.equal_in_sample[2]


@needs_real
def test_the_real_log_is_called_what_it_is(real_fit):
    said = text_of(real_fit.findings)
    for words in ("is not stationary", "overdispersed", "Repairs are heavy-tailed"):
        assert words in said
    assert real_fit.drift.p_constant < 1e-6
    assert real_fit.all.takes_node.value == 298 / 312  # 14 faults have no length
    assert {law.name for law in real_fit.all.gaps} == set(LAWS)


@needs_real
def test_both_models_predict_the_last_54_days(real):
    """What was seen: 112 faults in days 120 to 174."""
    for model in MODELS:
        uniforms = np.random.default_rng(1)
        ahead = predict(real, 120 * DAY_S, 174 * DAY_S, model=model, uniforms=uniforms, n_draws=500)
        assert ahead.forecasts[0].name == "faults"
        assert ahead.forecasts[0].truth == 112
        assert len(ahead.forecasts) == 3


# The block and the command -----------------------------------------------------------------------


def test_the_block_runs(tmp_path, call):
    rng = np.random.default_rng(12)
    events = played(rng, 200, 90.0, lambda r: r.exponential(60), lambda r: r.weibull(0.6))
    causes = ("GPU: x/1", "a'b")
    ends = ["" if end >= 90 else end for end in events.end_s]
    rows = "".join(
        f'"n{n}",{start},{end},"{causes[n % 2]}"\n'
        for n, start, end in zip(events.node, events.start_s, ends, strict=True)
    )
    log, out = written(tmp_path, f"node,start_d,end_d,cause\n{rows}"), tmp_path / "faults.yaml"
    said = call(
        "fit", str(log), "--nodes", "200", "--from", "0 d", "--to", "90 d", "--out", str(out),
        "--restart", "{lognormal: {median: 8 min, p95: 25 min}}",
    )  # fmt: skip
    assert "in service" in said
    block = out.read_text("utf-8")
    assert "restart: {lognormal: {median: 8 min, p95: 25 min}}  # ASSUMED" in block
    scenario = written(tmp_path, SCENARIO + block, "scenario.yaml")
    kinds = load(scenario).faults
    assert set(kinds) == {"GPU: x-1", "a-b"}
    total = sum(kind.rate for kind in kinds.values())
    history = observe(events_of(events.start_s, events.end_s, events.node), 200, 0.0, 90.0)
    assert total * DAY_S == pytest.approx(history.fault_s.size / up_node_s(history), rel=1e-3)
    assert "Effective training time ratio" in str(run(load(scenario)).summary())


SCENARIO = """\
computeplan: 1
name: fitted
sites:
  east: {pue: 1.1, pools: {a: {chip: nvidia/h100-sxm, chips: 80, spares: 2 nodes}}}
jobs:
  train:
    model: meta/llama-3.1-8b
    chips: 80
    train_for: 2 d
    batch: 4 Mtoken
    seq: 8192
    precision: bf16
    mfu: 0.4
    checkpoint: {every: 1 h, stall: 5 s}
simulate: {horizon: 10 d, runs: 2, seed: 1}
"""


def test_lemons_that_last_are_written_and_bursts_are_not(tmp_path):
    """Spread of rates 1.2, faults on 400 nodes; then as uneven counts by bursts of a day."""
    rng = np.random.default_rng(21)
    fit = fit_faults(poisson_history(rng, 400, 300, 0.01, shape=1.2**-2))
    block = faults_block(fit, "10 min", "3 h")
    (kind,) = load(written(tmp_path, SCENARIO + block, "scenario.yaml")).faults.values()
    assert kind.lemons.cv == pytest.approx(1.2, rel=0.2)
    assert "differ between nodes" not in block
    size = rng.geometric(0.4, 480)
    start = np.repeat(rng.random(480) * 300, size) + rng.random(size.sum())
    node = np.repeat(rng.integers(0, 400, 480), size)
    history = observe(events_of(start * DAY_S, start * DAY_S, node), 400, 0.0, 301 * DAY_S)
    fit = fit_faults(history)
    assert fit.dispersion.p_equal < 1e-6
    assert "lemons" not in faults_block(fit, "10 min", "3 h")
    assert "it does not last: those worse in one half" in text_of(unplayed(fit))


def test_what_lasts_is_found_as_often_as_it_should():
    """Equal nodes 1 % of the time at p < 0.01, and the spread of unlike ones without bias."""
    rng = np.random.default_rng(5)
    n = 2000
    for mean in (1.0, 0.2):
        equal = np.array([lasting(*rng.poisson(mean, (2, 400))).p_chance for _ in range(n)])
        assert abs(np.mean(equal < 0.01) - 0.01) < 4 * math.sqrt(0.01 / n)
    rare = np.array([lasting(*rng.poisson(0.07, (2, 400))).p_chance for _ in range(n)])
    assert np.mean(rare < 0.01) < 0.01 + 4 * math.sqrt(0.01 / n)  # few pairs: it may be careful
    assert math.isnan(lasting([3, 0, 0, 0] * 9, [1, 0, 0, 0] + [0] * 32).p_chance)  # 27 x 1 < 36
    squares = []
    for _ in range(200):
        rates = rng.gamma(1 / 1.44, 1.44, 5000)
        squares.append(lasting(*rng.poisson(rates, (2, 5000))).cv ** 2)
    assert abs(np.mean(squares) - 1.44) < 4 * np.std(squares) / math.sqrt(200)


# Repairs as they were seen


@given(
    st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=2, max_size=40).filter(
        lambda drawn: any(ended for _, ended in drawn)
    )
)
def test_what_was_seen_is_weighed_as_kaplan_and_meier_do(drawn):
    length_s, ended = (np.array(column) for column in zip(*drawn, strict=True))
    seen = as_seen(Durations(length_s[ended] * 1.0, length_s[~ended] * 1.0, 0, 1.0))
    ended[(length_s == length_s.max())] = True  # the longest counts as ended
    data = stats.CensoredData(uncensored=length_s[ended], right=length_s[~ended])
    survival = stats.ecdf(data).sf
    left = 1 - np.cumsum(seen.often) / length_s.size
    assert survival.evaluate(seen.durations_s) == pytest.approx(left, abs=1e-9)
    assert seen.often.sum() == pytest.approx(length_s.size)


def test_groups_keep_the_mean_and_what_is_long():
    rng = np.random.default_rng(5)
    known_s = np.round(rng.lognormal(4, 2, 20_000)) + 1
    seen = as_seen(Durations(known_s, np.zeros(0), 0, 1.0))
    durations_s, often = grouped(seen)
    assert durations_s.size <= 50
    assert often.sum() == 20_000
    assert durations_s @ often == pytest.approx(known_s.sum(), rel=1e-12)
    for level in (0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999):
        at = durations_s[np.searchsorted(np.cumsum(often) / 20_000, level)]
        assert abs(np.mean(known_s <= at) - level) < max(0.04 * (1 - level), 0.02) + 0.005
    shares = often / 20_000 + durations_s * often / known_s.sum()
    assert np.median(shares) < 2 / 40


def nodes_in_repair(block, n_nodes, days, runs):
    """Return the mean number of nodes in repair in a simulation of a faults: block."""
    scenario = load(
        {
            "computeplan": 1,
            "name": "fitted",
            "sites": {"s": {"pue": 1, "pools": {"p": {**ONE, "spares": f"{n_nodes - 1} nodes"}}}},
            "faults": parse_document(block, "block").data["faults"],
            "jobs": {"j": {"train_for": f"{days} d", "chips": 1, "checkpoint": DAILY}},
            "simulate": {"horizon": f"{days} d", "runs": runs, "seed": 1},
        }
    )
    ledger = batch.play(compile_world(scenario), 1, 0, runs)
    in_repair_s = ledger.chip_s[..., REPAIR].sum()
    return in_repair_s / (runs * days * DAY_S)


ONE = {"chip": "nvidia/h100-sxm", "chips": 1, "chips_per_node": 1}
DAILY = {"every": "1 d", "stall": "0 s"}


def down_of(history):
    """Return the mean number of nodes in repair that a log itself shows."""
    begun_s = np.maximum(history.start_s, 0)
    return np.nansum(history.end_s - begun_s) / history.length_s


def test_repairs_that_no_law_has_are_written_and_played_as_seen(call, tmp_path):
    """Of 60 repairs 55 last about an hour and five weeks: no law has their mean."""
    rng = np.random.default_rng(13)
    length_h = np.append(rng.lognormal(0.2, 0.4, 55), [420.0, 510, 590, 640, 700])
    start_h = np.sort(rng.random(60)) * (80 * 24 - 720)
    rows = "".join(
        f"n{i},{start},{start + length}\n"
        for i, (start, length) in enumerate(zip(start_h, rng.permutation(length_h), strict=True))
    )
    log = written(tmp_path, f"node,start_h,end_h\n{rows}")
    out = tmp_path / "faults.yaml"
    asked = ["fit", str(log), "--nodes", "200", "--from", "0 d", "--to", "80 d"]
    said = call(*asked, "--restart", "10 min", "--out", str(out))
    assert "as seen" in said.split("laws by")[0]
    assert "Repairs are played as they were seen, because no law has their mean:" in said
    block = out.read_text("utf-8")
    own = down_of(observe(read_log(log), 200, 0.0, 80 * DAY_S))
    assert own > 1.4
    assert nodes_in_repair(block, 2000, 800, 8) == pytest.approx(10 * own, rel=0.1)
    assert json.loads(call(*asked, "--json"))["all"]["repairs_as_seen"]["n_events"] == 60
    ahead = call(*asked, "--predict-from", "60 d")
    assert "repairs: as seen" in ahead


@given(st.lists(st.floats(1e-6, 1e9), min_size=30, max_size=200, unique=True), st.data())
def test_what_is_written_as_seen_is_read_with_the_same_mean(lengths_s, data):
    """Whatever the unit, however many, and with some that were not seen to their end."""
    n_open = data.draw(st.integers(0, 5))
    known_s, open_s = np.array(lengths_s[n_open:]), np.array(lengths_s[:n_open])
    assume(len({f"{x:.4g}" for x in known_s}) > 1)
    seen = as_seen(Durations(known_s, open_s, 0, 1e-6))
    text = "\n".join(seen_lines(seen, "why"))
    law = read_law(parse_document(f"f:\n{text}", "f").data["f"]["repair"])
    assert law_mean_s(law) == pytest.approx(seen.mean_s.value, rel=1e-3)
    assert max(map(len, text.splitlines())) <= 110
    assert len(law.shapes) <= 60


def test_a_law_that_fits_stays_a_law():
    rng = np.random.default_rng(3)
    start_d = np.sort(rng.random(2000)) * 300
    events = events_of(start_d, start_d + rng.weibull(0.7, 2000), np.arange(2000))
    fit = fit_faults(observe(events, 5000, 0.0, 400.0))
    assert fit.all.repairs_as_seen is None
    assert "repair: {weibull_min" in faults_block(fit, "10 min")


def test_a_cause_with_few_and_long_repairs_keeps_their_mean(tmp_path):
    """100 repairs of about an hour, and four of 500 h under another cause."""
    rng = np.random.default_rng(4)
    start_d = np.sort(rng.random(104)) * 150
    is_long = np.arange(104) % 26 == 0
    length_d = np.where(is_long, np.arange(104) + 450, rng.weibull(2.0, 104)) / 24
    events = events_of(start_d * DAY_S, (start_d + length_d) * DAY_S, np.arange(104), is_long * 1)
    history = observe(events, 300, 0.0, 200 * DAY_S)
    block = faults_block(fit_faults(history), "10 min")
    assert nodes_in_repair(block, 3000, 2000, 4) == pytest.approx(10 * down_of(history), rel=0.1)


@needs_real
def test_nodes_in_repair_are_those_of_the_real_log(real, real_fit):
    assert down_of(real) == pytest.approx(11.67, abs=0.01)
    block = faults_block(real_fit, "10 min")
    assert nodes_in_repair(block, 400, 1740, 16) == pytest.approx(down_of(real), rel=0.1)


def test_names_of_causes_become_names_of_kinds():
    assert kind_name("a\nb\x07<c>\"d'", set()) == "a b -c-d-"
    assert kind_name("...", set()) == "-"
    assert kind_name("\n", {"fault"}) == "fault 2"


@pytest.mark.parametrize("text", ["10", "soon", "{nolaw: {mean: 1 h}}", "1 h\nx: 2", "{a: "])
def test_assumed_laws_are_checked(text):
    with pytest.raises(ScenarioError, match=r"--restart"):
        read_assumed("--restart", text)


def test_a_block_without_repairs_asks_for_them():
    start = np.arange(1.0, 20.0)
    history = observe(events_of(start, np.full(19, math.nan), np.arange(19)), 30, 0.0, 20.0)
    fit = fit_faults(history)
    assert math.isnan(fit.all.takes_node.value)
    with pytest.raises(ScenarioError, match="--repair '20 h'"):
        faults_block(fit, "10 min")
    assert "repair: 3 h  # ASSUMED" in faults_block(fit, "10 min", "3 h")


def test_many_causes_are_joined():
    n = 3 * MAX_CAUSES
    history = observe(
        events_of(np.arange(n), np.arange(n) + 0.5, np.arange(n), np.arange(n)), n, 0, n
    )
    fit = fit_faults(history)
    assert len(fit.causes) == MAX_CAUSES
    assert sum(cause.n for cause in fit.causes) == n
    assert fit.findings[0] == note("causes_joined", n_joined=2 * MAX_CAUSES + 1, n_causes=n)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "a log does not hold the nodes that never failed"),
        (("--nodes", "9", "--from", "0 d"), "--to missing: a log does not say how long"),
        (("--nodes", "9", "--from", "0", "--to", "9 s"), "--from: '0' is not a number with a unit"),
        (("--nodes", "9", "--from", "0 s", "--to", "9 s", "--columns", "node"), "--columns is"),
        (("--nodes", "9", "--from", "0 s", "--to", "9 s", "--columns", "why=x"), "not of 'why'"),
        (("--nodes", "9", "--from", "0 s", "--to", "9 s", "--columns", "end=stop"), "'stop'"),
        (("--nodes", "9", "--from", "0 s", "--to", "9 s", "--out", "x"), "--out needs --restart"),
        (("--nodes", "9", "--from", "0 s", "--to", "9 s", "--split", "9 s"), "outside the window"),
        (
            ("--nodes", "9", "--from", "0 s", "--to", "9 s", "--predict-from", "9 s"),
            "the fit ends after the window begins",
        ),
    ],
)
def test_what_the_command_refuses(call, tmp_path, options, message):
    log = written(tmp_path, "node,start_s,end_s\na,1,2\nb,3,4\n")
    assert message in call("fit", str(log), *options, expect=2)


def test_two_faults_are_enough_for_tables_and_json(call, tmp_path):
    log = written(tmp_path, "node,start_s\na,1\nb,3\n")
    options = ("--nodes", "9", "--from", "0 s", "--to", "9 s")
    assert "Too few" in call("fit", str(log), *options)
    found = json.loads(call("fit", str(log), *options, "--json", "--split", "2 s"))
    assert found["all"]["n"] == 2
    assert found["lemons"]["n_retired"] == 1


@needs_real
def test_the_command_on_the_real_log(call, tmp_path):
    figure = tmp_path / "f.svg"
    said = call(
        "fit", str(REAL), "--nodes", "400", "--from", "0 d", "--to", "174 d",
        "--predict-from", "120 d", "--split", "87 d", "--figure", str(figure),
    )  # fmt: skip
    for words in ("fitted to days 0 to 120", "truth is", "fleet of equal nodes", "not stationary"):
        assert words in said
    drawn = figure.read_text("utf-8")
    assert all(words in drawn for words in ("faults a week", "negative binomial", "Kaplan-Meier"))


@needs_real
def test_the_document_is_plain(real_fit):
    text = json.dumps(fit_document(real_fit), allow_nan=False)
    assert "not_played_yet" in text


def test_only_what_was_fitted_is_replaced(call, tmp_path):
    log, mine = tmp_path / "log.csv", tmp_path / "mine.yaml"
    log.write_text("node,start_d,end_d\na,1,2\nb,3,\na,5,5\nc,20,21\n")
    asked = ["fit", str(log), "--nodes", "4", "--from", "0 d", "--to", "10 d"]
    asked += ["--restart", "1 min", "--repair", "1 d"]
    for option, file in (("--out", mine), ("--replay", tmp_path / "mine.csv")):
        file.write_text("computeplan: 1\n")
        assert "is not replaced" in call(*asked, option, str(file), expect=1)
        assert file.read_text() == "computeplan: 1\n"
        file.unlink()
        call(*asked, option, str(file))
        first = file.read_bytes()
        call(*asked, option, str(file))
        assert file.read_bytes() == first


def test_a_log_of_any_format_is_played_back(call, tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("node,start_d,end_d\na,1,2\nb,3,\na,5,5\nc,20,21\n")
    asked = ["fit", str(log), "--nodes", "4", "--from", "0 d", "--to", "10 d"]
    call(*asked, "--replay", str(tmp_path / "replay.csv"))
    lines = (tmp_path / "replay.csv").read_text("utf-8").splitlines()
    assert lines == [
        "node,start_s,end_s",
        "a,86400.0,172800.0",
        "b,259200.0,",
        "a,432000.0,432000.0",
    ]
    (tmp_path / "s.yaml").write_text(
        """
computeplan: 1
name: again
sites: {here: {pue: 1.0, pools: {p: {chip: nvidia/h100-sxm, chips: 24, spares: 1 nodes}}}}
faults: {log: {replay: replay.csv, takes: node, restart: 1 min, repair: 12 h}}
jobs: {j: {train_for: 30 d, chips: 24, checkpoint: {every: 1 h, stall: 0 s}}}
simulate: {runs: 2, seed: 1, horizon: 10 d}
"""
    )
    scenario = load(tmp_path / "s.yaml")
    case = next(iter(run(scenario).cases.values()))
    assert case.values["n_unexpected"].tolist() == [3.0, 3.0]
    direct = scenario.with_({"faults.log.replay": {"log": "log.csv", "from": "0 d", "to": "10 d"}})
    assert direct.input_files() == scenario.input_files()
    assert scenario.input_files()["inputs/log.csv"] == (tmp_path / "replay.csv").read_bytes()


def test_the_order_of_rows_says_nothing(tmp_path):
    """What was the last digit of predictions is the same digit, ties in time and node included."""
    rng = np.random.default_rng(9)
    rows = [
        f"n{i % 23},{t},{t + 0.25},c{i % 3}\n" for i, t in enumerate(rng.integers(0, 300, 400) / 2)
    ]
    rows += [row.replace("c1", "c2") for row in rows[:20]]
    found = []
    for _ in range(2):
        rng.shuffle(rows)
        events = read_log(written(tmp_path, "node,start_d,end_d,cause\n" + "".join(rows)))
        history = observe(events, 30, 0.0, 150 * DAY_S)
        ahead = predictions_of(history, 100 * DAY_S, 0)
        gain = retired(history, 75 * DAY_S, 0.1, 0)
        found.append(json.dumps(fit_document(fit_faults(history), ahead, gain)))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ([5.0] * 30, "does not fit well, though no other law could be fitted"),
        ([1.0, 2.0, 3.0, 1.0, 2.0, 4.0, 1.0, 2.0], "too few are known to test"),
    ],
)
def test_a_law_without_rivals_is_not_called_the_best(lengths, words):
    start = np.arange(len(lengths)) * 10.0
    events = events_of(start, start + lengths, np.zeros(start.size, dtype=int))
    fit = fit_faults(observe(events, 5, 0.0, 1000.0))
    assert words in text_of(fit.findings)


def test_a_window_or_fleet_out_of_all_proportion_is_refused(call, tmp_path):
    log = written(tmp_path, "node,start_d,end_d\na,1,2\nb,3,4\n")
    err = call("fit", str(log), "--nodes", "4", "--from", "0 d", "--to", "1e12 d", expect=2)
    assert "longer than 30 years; is the unit of --to right?" in err
    err = call("fit", str(log), "--nodes", "10000000", "--from", "0 d", "--to", "9 d", expect=2)
    assert "1000000" in err


def test_a_rate_that_wanders_is_told_only_where_one_rate_is_refused():
    rng = np.random.default_rng(3)
    fit = fit_faults(poisson_history(rng, 200, 240, 0.01, shape=0.5))
    assert fit.drift.p_constant > 0.01
    text = faults_block(fit, "10 min", "1 h")
    assert "wanders" not in text
    assert "lemons: {cv: 1." in text  # 1.41
