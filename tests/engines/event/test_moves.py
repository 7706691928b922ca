"""Data and checkpoints that move between sites: what waits for them, and for how long, by hand."""

from dataclasses import replace

import numpy as np
import pytest

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import event
from computeplan.engines.event.moves import Moves
from computeplan.errors import ScenarioError, UnsupportedByEngine
from computeplan.ledger import RESTART, TRAIN
from computeplan.metrics import by_site
from computeplan.scheduling.decision import Decision, Start

HOUR_S = 3600.0
POOL = {"chip": "nvidia/h100-sxm", "chips": 8}


def scenario(jobs, west="100 Gbit/s", east="200 Gbit/s", **more):
    """Two sites of a node each; 45 TB take an hour at 100 Gbit/s."""
    uplinks = {"west": west, "east": east}
    sites = {
        name: {"pue": 1.2, "pools": {f"{name}ern": POOL}, **({"uplink": up} if up else {})}
        for name, up in uplinks.items()
    }
    every = {"train_for": "10 h", "chips": 8, "checkpoint": {"every": "never"}}
    return {
        "computeplan": 1,
        "name": "s",
        "sites": sites,
        "jobs": {name: {**every, **job} for name, job in jobs.items()},
        "simulate": {"runs": 1},
        **more,
    }


def play(data, decide=None):
    world = compile_world(cp.load(data))
    return event.play(world if decide is None else replace(world, decide=decide), 0, 0, 1)


DATA = {"data": {"size": "45 TB", "at": "west"}}


@pytest.mark.parametrize(("pool", "hours"), [("western", 10), ("eastern", 11)])
def test_the_first_start_at_another_site_waits_for_the_data(pool, hours):
    """The slower of both uplinks counts: 45 TB at 100 Gbit/s, booked as restart."""
    ledger = play(scenario({"j": {**DATA, "only": [pool]}}))
    assert ledger.end_s[0, 0] == pytest.approx(hours * HOUR_S)
    chip_s = ledger.chip_s[0, 0].sum(axis=0)
    assert chip_s[RESTART] == pytest.approx(8 * (hours - 10) * HOUR_S)
    assert chip_s[TRAIN] == pytest.approx(8 * 10 * HOUR_S)


def there_and_back(view):
    """Start in the east for 2 h, then in the west for 2 h, and so on."""
    n_before = view.memory or 0
    starts = [Start(job, (n_before + 1) % 2, 2 * HOUR_S) for job in view.queue]
    return Decision(starts, memory=n_before + len(starts))


def test_data_stay_where_they_came_and_a_checkpoint_moves_each_time():
    """Five stays of 2 h; data move once, 22.5 TB of state four times, half an hour each."""
    saves = {"every": "20 h", "stall": "1 s", "state": "22.5 TB", "bandwidth": "22.5 TB/s"}
    ledger = play(scenario({"j": {**DATA, "checkpoint": saves}}), there_and_back)
    chip_s = ledger.chip_s[0, 0]
    assert chip_s[:, TRAIN] == pytest.approx(np.array([4, 6]) * 8 * HOUR_S)
    loads_s = 4 * 1.0
    assert chip_s[:, RESTART].sum() == pytest.approx(8 * (3 * HOUR_S + loads_s))


def test_a_fault_does_not_send_data_back():
    """Some come within the first hour, and the data arrive all the same."""
    data = scenario(
        {"j": {**DATA, "only": ["eastern"]}},
        faults={"f": {"mtbf": "5 h", "per": "node", "takes": "nothing", "restart": "0 s"}},
    )
    data["jobs"]["j"] |= {"train_for": "1 s", "checkpoint": {"every": "1 s", "stall": "0 s"}}
    data["simulate"]["runs"] = 20
    world = compile_world(cp.load(data))
    ledger = event.play(world, 3, 0, 20)
    assert ledger.counts["interruptions"].sum() > 0
    assert np.allclose(ledger.end_s[:, 0], HOUR_S + 1, atol=2)


def test_a_job_over_both_sites_waits_for_the_slower_part():
    job = {**DATA, "chips": 16, "mixed": {"efficiency": 1.0}}
    ledger = play(scenario({"j": job}, policy="mixed-fifo"))
    assert ledger.end_s[0, 0] == pytest.approx(11 * HOUR_S)


def test_what_leaves_a_site_is_paid_there():
    """45 TB of data once at 0.02 USD/GB; states of 22.5 TB twice each way."""
    west = {"rate": "100 Gbit/s", "price": "0.02 USD/GB"}
    saves = {"every": "20 h", "stall": "1 s", "state": "22.5 TB", "bandwidth": "22.5 TB/s"}
    data = scenario({"j": {**DATA, "checkpoint": saves}}, west=west)
    for site in data["sites"].values():
        site["price"] = "0.1 USD/kWh"
    world = replace(compile_world(cp.load(data)), decide=there_and_back)
    ledger = event.play(world, 0, 0, 1)
    assert ledger.sent_bytes[0].tolist() == [[45e12 + 2 * 22.5e12, 2 * 22.5e12]]
    found = by_site(ledger, world).jobs
    assert found["sent_usd"][0] == pytest.approx([90e3 * 0.02, 0.0])
    lines = found["electricity_usd"] + found["sent_usd"]
    assert found["cost_usd"] == pytest.approx(lines, rel=1e-12)


def test_least_cost_counts_what_the_way_of_data_costs():
    """45 TB at 0.02 USD/GB cost 900 USD, far more than ten hours of any electricity here."""
    west, east = "100 Gbit/s", "200 Gbit/s"
    for price, placed in (("0.02 USD/GB", [1, 0]), ("0 USD/GB", [0, 1])):
        data = scenario({"j": DATA}, {"rate": west, "price": price}, east, policy="least-cost")
        data["sites"]["west"]["price"] = "0.2 USD/kWh"
        data["sites"]["east"]["price"] = "0.1 USD/kWh"
        chip_s = play(data).chip_s[0, 0].sum(axis=1)
        assert (chip_s > 0).tolist() == [bool(n) for n in placed]


def test_what_a_way_costs_follows_where_data_and_states_lie():
    """45 TB and 22.5 TB at 0.02 USD/GB from the west; the east asks nothing."""
    saves = {"every": "20 h", "stall": "1 s", "state": "22.5 TB", "bandwidth": "22.5 TB/s"}
    west = {"rate": "100 Gbit/s", "price": "0.02 USD/GB"}
    world = compile_world(cp.load(scenario({"j": {**DATA, "checkpoint": saves}}, west=west)))
    moves = Moves(world)
    assert [moves.money(0, pool, has_begun=False) for pool in (0, 1)] == pytest.approx([0.0, 900.0])
    moves.take_s(0, [0], has_begun=False)
    assert moves.money(0, 1, has_begun=True) == pytest.approx(900.0 + 450.0)
    moves.take_s(0, [1], has_begun=True)
    assert [moves.money(0, pool, has_begun=True) for pool in (0, 1)] == [0.0, 0.0]


def test_without_uplinks_a_move_takes_no_time():
    ledger = play(scenario({"j": {"only": ["eastern"]}}, west=None, east=None))
    assert ledger.end_s[0, 0] == pytest.approx(10 * HOUR_S)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (scenario({"j": {"data": {"size": "45 TB", "at": "wets"}}}), "Did you mean 'west'"),
        (scenario({"j": DATA}, west=None, east=None), "write sites.west.uplink: 100 Gbit/s"),
        (scenario({"j": {"data": {"size": 45, "at": "west"}}}), "needs a unit"),
    ],
)
def test_what_cannot_be_is_refused(data, said):
    with pytest.raises(ScenarioError, match=said):
        cp.load(data)


def test_the_batch_engine_says_that_it_cannot():
    data = scenario({"j": {**DATA, "only": ["eastern"]}})
    data["simulate"]["engine"] = "batch"
    with pytest.raises(UnsupportedByEngine, match="data of a job lies at another site"):
        cp.run(cp.load(data))
