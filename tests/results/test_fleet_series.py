"""What chips of services' pools do over time: all of them at any time, and what the books hold."""

import numpy as np
import pytest

import computeplan as cp
from computeplan.errors import ComputePlanError
from computeplan.ledger import SERVICE_STATES
from computeplan.report.figures import save_figures
from computeplan.report.fleet_over_time import fleet
from computeplan.results.fleet_series import FLEET_STATES
from computeplan.study.store import load_result, save_result

NIGHT_AND_DAY = [1] * 8 + [4] * 16


def scenario(**changes):
    """Return a service with four times the requests by day, and a job that takes the rest."""
    pool = {"chip": "nvidia/h100-sxm", "chips": 64}
    job = {"model": "meta/llama-3.1-8b", "tokens": "20 Gtoken", "batch": "4 Mitoken", "seq": 8192}
    job |= {"chips": 32, "step": "20 s", "checkpoint": {"every": "30 min", "stall": "5 s"}}
    job |= {"elastic": {"replicas": 4, "least": 1, "resize": "2 min"}}
    requests = {"per_s": 900, "tokens": {"in": 500, "out": 100}, "day": NIGHT_AND_DAY}
    service = {"model": "meta/llama-3.1-8b", "requests": requests, "lend": True, "priority": 10}
    service |= {"slo": {"ttft_p99": "1 s", "tpot_p99": "50 ms"}}
    service |= {"pools": {"main": {"engine": "vllm", "precision": "fp8", "layout": "tp1"}}}
    service |= {"scale": {"start": "10 min", "drain": "5 min"}}
    found = {
        "computeplan": 1,
        "name": "night",
        "sites": {"here": {"pue": 1.2, "pools": {"main": pool}}},
        "services": {"chat": service},
        "jobs": {"train": job},
        "policy": "elastic-fifo",
        "simulate": {"runs": 1, "seed": 1, "at_most": "20 d"},
    }
    return cp.load(found | changes)


@pytest.fixture(scope="module")
def result():
    return cp.run(scenario())


def only(result):
    return next(iter(result.cases.values()))


def test_at_any_time_it_is_all_chips(result):
    assert only(result).fleet.chips.sum(axis=1) == pytest.approx(64)
    assert (only(result).fleet.chips >= 0).all()


def test_chip_hours_are_those_of_the_books(result):
    series, values = only(result).fleet, only(result).values
    hours = np.diff(series.edges_s) @ series.chips / 3600
    for i, state in enumerate(SERVICE_STATES):
        assert hours[i] == pytest.approx(values[f"service_{state}_chip_h"][0], rel=1e-9)
    assert hours[FLEET_STATES.index("jobs")] == pytest.approx(values["beside_chip_h"][0], rel=1e-9)


def test_by_hand_in_the_first_day(result):
    """At 7:50 h instances begin to start, to serve at 8 h; those of the day drain from 24 h on."""
    series = only(result).fleet
    assert series.edges_s[-1] > 25 * 3600

    def at(hour):
        row = np.searchsorted(series.edges_s, hour * 3600, side="right") - 1
        return dict(zip(FLEET_STATES, series.chips[row], strict=True)), series.needed[row]

    def ready(hour):
        found = at(hour)[0]
        return found["serving"] + found["standing_by"]

    night, needed = at(4)
    assert needed == night["serving"] > 0
    assert at(7.8)[0] == night  # not yet
    begun, needed = at(7.9)
    assert needed == begun["serving"] == night["serving"]
    assert begun["starting"] > 0
    assert ready(7.9) + begun["starting"] == ready(8.1) > 2 * ready(7.8)
    assert at(8.1)[1] == at(8.1)[0]["serving"] > 2 * night["serving"]
    assert at(24 + 2 / 60)[0]["draining"] == ready(23.9) - ready(24.2) > 0
    assert at(24.2)[0] == night


def test_what_is_lacking_is_needed_all_the_same():
    """64 chips for a service that needs 96."""
    service = {"pool": "main", "chips": 96, "priority": 10}
    rest = {"jobs": {}, "policy": "fifo", "simulate": {"horizon": "2 d", "runs": 1}}
    found = cp.run(scenario(services={"chat": service}, **rest))
    series = only(found).fleet
    assert series.needed == pytest.approx(96)
    assert series.chips[:, 0] == pytest.approx(64)


def test_it_is_saved_and_read(result, tmp_path):
    save_result(result, tmp_path / "r")
    read = only(load_result(tmp_path / "r")).fleet
    for name in ("edges_s", "chips", "needed"):
        assert (getattr(read, name) == getattr(only(result).fleet, name)).all()


def test_the_figure_stacks_what_there_is_in_both_languages(result, tmp_path):
    ax = fleet(result)
    labels = ax.get_legend_handles_labels()[1]
    assert labels[:3] == ["Serving", "Starting", "Draining"]
    assert labels[-1] == "Needed by the hour"
    assert "In repair" not in labels
    assert fleet(result, language="zh").get_ylabel() == "卡数"
    assert "fleet.png" in save_figures(result, tmp_path)


def test_without_services_there_is_none():
    alone = cp.run(scenario(services={}, policy="fifo"))
    assert only(alone).fleet is None
    with pytest.raises(ComputePlanError, match="no services over time were kept"):
        fleet(alone)


def test_many_steps_are_drawn_as_means(result):
    series = only(result).fleet
    edges_s = np.linspace(0, series.edges_s[-1], 7)
    chips, needed = series.means(edges_s)
    hours = np.diff(edges_s) @ chips
    assert hours == pytest.approx(np.diff(series.edges_s) @ series.chips)
    assert np.diff(edges_s) @ needed == pytest.approx(np.diff(series.edges_s) @ series.needed)
