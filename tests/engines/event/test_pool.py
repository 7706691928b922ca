"""Spares that stand in for nodes of any pool of a site with the same chip."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from strategies import laws, scripted
from worlds import Scripts, data_of, job

import computeplan as cp
from computeplan.analytic.expected import why_no_closed_form
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.errors import ScenarioError, UnsupportedByEngine
from computeplan.ledger import BLOCKED, RESTART, TRAIN
from computeplan.report.words import sentence
from computeplan.study.facts import facts_of


@pytest.fixture
def play(monkeypatch):
    """Return a function that plays pools p and q of 2 nodes, q with a spare, against scripts."""

    def run(p, q, *, chips=None, **changes):
        monkeypatch.setattr(event, "Trace", lambda *_: Scripts(p, q, []))
        scenario = cp.load(data_of({"p": 2, "q": 2} if chips is None else chips, {"q": 1}))
        changes = {path.replace("__", "."): value for path, value in changes.items()}
        return event.play(compile_world(scenario.with_(changes)), 0, 0, 1)

    return run


# By hand


def test_a_spare_of_another_pool_stands_in_and_is_missed_there(play):
    """Node 0 of p goes at 10 s for 100 s: q's spare comes at once. q loses one at 20 s for 5 s.

    q has nothing left and waits until 25 s, when its own node comes back.
    """
    script = [(10.0, 0, 100.0)], [(20.0, 0, 5.0)]
    ledger = play(*script)
    assert ledger.job_s[0, :, BLOCKED].tolist() == [0.0, 5.0]
    assert ledger.job_s[0, :, RESTART].tolist() == [1.0, 1.0]
    alone = play(*script, sites__s__share_spares=False)
    assert alone.job_s[0, :, BLOCKED].tolist() == [100.0, 0.0]


def test_a_node_that_comes_back_goes_where_one_is_lacking(play):
    """p borrows at 10 s; q lacks one from 20 s on; the node that p gets back at 40 s goes to q.

    q's own comes back at 220 s, when both have ended.
    """
    ledger = play([(10.0, 0, 30.0)], [(20.0, 0, 200.0)])
    assert ledger.job_s[0, :, BLOCKED].tolist() == [0.0, 20.0]


def test_own_jobs_come_first(play):
    """p borrows at 10 s and lacks one from 30 s on, q from 20 s on: p's first node is for p."""
    ledger = play([(10.0, 0, 40.0), (30.0, 1, 100.0)], [(20.0, 0, 200.0)])
    assert ledger.job_s[0, :, BLOCKED].tolist() == [20.0, 110.0]


def test_a_pool_lends_no_node_that_its_own_jobs_have_room_for(play):
    """q stands idle, but a job will come: p, which loses both its nodes, gets the spare only."""
    ledger = play([(10.0, 0, 100.0), (20.0, 1, 50.0)], [], jobs__on_q__arrival="30 s")
    assert ledger.job_s[0, :, BLOCKED].tolist() == [50.0, 0.0]
    assert ledger.first_start_s[0].tolist() == [0.0, 30.0]


def test_a_job_starts_with_a_spare_of_another_pool(play):
    """p has lost a node when its job comes at 20 s; q's spare stands in, or else it waits."""
    script = [(10.0, 0, 100.0)], []
    ledger = play(*script, jobs__on_p__arrival="20 s")
    assert ledger.first_start_s[0].tolist() == [20.0, 0.0]
    alone = play(*script, jobs__on_p__arrival="20 s", sites__s__share_spares=False)
    assert alone.first_start_s[0].tolist() == [110.0, 0.0]


def test_a_fault_of_a_node_that_is_lent_stops_the_job_that_has_it(play):
    """The spare of q is its node 2. When it goes at 30 s, p waits for its own until 110 s."""
    ledger = play([(10.0, 0, 100.0)], [(30.0, 2, 500.0)])
    assert ledger.job_s[0, :, BLOCKED].tolist() == [80.0, 0.0]
    assert ledger.counts["repairs"].tolist() == [[1, 1]]
    assert ledger.counts["interruptions"].tolist() == [[2]]


def test_a_lent_spare_needs_the_time_of_its_own_state(play):
    spares = {"warm": {"nodes": "1 nodes", "ready": "7 s"}}
    ledger = play([(10.0, 0, 100.0)], [], sites__s__pools__q__spares=spares)
    assert ledger.job_s[0, :, BLOCKED].tolist() == [7.0, 0.0]


def test_nodes_of_a_job_that_ends_go_to_one_that_lacks_some(play):
    """Two jobs on p: the node that one lacks from 10 s on comes when the other ends at 40 s."""
    changes = {"jobs.on_p.chips": 1, "jobs.short": job("p", 1, "40 s")}
    ledger = play([(10.0, 0, 500.0)], [], **changes, sites__s__share_spares=False)
    assert ledger.job_s[0, :, BLOCKED].tolist() == [30.0, 0.0, 0.0]


def test_a_node_that_was_lent_goes_home_when_the_job_ends(play):
    """p ends at 50 s with q's spare, which is there again when q loses a node at 60 s."""
    ledger = play([(10.0, 0, 500.0)], [(60.0, 0, 100.0)], jobs__on_p__train_for="49 s")
    assert ledger.end_s[0, 0] == 50.0
    assert ledger.job_s[0, :, BLOCKED].tolist() == [0.0, 0.0]


def test_two_pools_are_not_both_given_the_same_spare(play):
    """p and q have each lost a node when their jobs come at 20 s, and r has a spare for one.

    q's node comes back at 60 s; p's job, which is asked for first, has the spare of r until then.
    """
    spares = {"sites.s.pools.q.spares": "0 nodes", "sites.s.pools.r.spares": "1 nodes"}
    arrivals = {"jobs.on_p.arrival": "20 s", "jobs.on_q.arrival": "20 s"}
    script = [(10.0, 0, 500.0)], [(10.0, 0, 50.0)]
    ledger = play(*script, chips={"p": 2, "q": 2, "r": 1}, **spares, **arrivals)
    assert ledger.first_start_s.tolist() == [[20.0, 60.0, 0.0]]


def test_a_slow_node_of_a_job_that_ends_holds_its_next_job_back(monkeypatch):
    """Node 0 trains at half speed from 5 s on; its job ends at 5 + 2 x 35 s = 75 s.

    The other one lost node 1 at 10 s, and trains the 90 s that are left in 180 s, from 76 s on.
    """
    slow = {"slows": {"to": 0.5, "lasts": "1000 s"}, "mtbf": "100 h", "per": "node"}
    arrivals = scripted((5.0, 1, 0, False, 1000.0, 0.0), (10.0, 0, 1, True, 1.0, 1000.0))
    trace = Scripts([])
    trace.by_pool = [arrivals]
    monkeypatch.setattr(event, "Trace", lambda *_: trace)
    data = data_of({"p": 2}, {})
    data["jobs"] = {"one": job("p", 1, "40 s"), "two": job("p", 1, "100 s")}
    data["faults"]["slow"] = slow
    data["sites"]["s"]["share_spares"] = False
    ledger = event.play(compile_world(cp.load(data)), 0, 0, 1)
    assert ledger.end_s.tolist() == [[75.0, 256.0]]


def test_a_job_of_a_pool_without_slow_nodes_may_borrow_one(monkeypatch):
    """q's spare, its node 2, is at half speed from 5 s on; p has it from 10 s to its end.

    10 s at full speed, 1 s of restart, and 190 s of work in 380 s.
    """
    slow = {"slows": {"to": 0.5, "lasts": "1000 s"}, "mtbf": "100 h", "per": "node"}
    data = data_of({"p": 2, "q": 2}, {"q": 1})
    data["faults"]["slow"] = {**slow, "pools": ["q"]}
    trace = Scripts([(10.0, 0, 1000.0)], [])
    trace.by_pool[1] = scripted((5.0, 1, 2, False, 1000.0, 0.0))
    monkeypatch.setattr(event, "Trace", lambda *_: trace)
    ledger = event.play(compile_world(cp.load(data)), 0, 0, 1)
    assert ledger.end_s.tolist() == [[391.0, 200.0]]
    assert ledger.weighted("slow")[0, 0, 0, TRAIN] == 190.0 * 2


# Against theory


@pytest.mark.parametrize("repair", ["6 h", {"lognormal": {"median": "4 h", "sigma": 0.9}}])
def test_pools_that_share_lack_what_one_pool_would(repair):
    """However nodes move about, the nodes that jobs lack are those in repair beyond all spares.

    On the wall clock each of the 44 nodes is away or not, whatever the others are.
    """
    chips = {"p": 24, "q": 16}
    changes = {"faults.f.repair": repair, "simulate.horizon": "3000 h"}
    changes |= {f"jobs.on_{p}.train_for": "9000 h" for p in chips}
    world = compile_world(cp.load(data_of(chips, {"p": 1, "q": 3})).with_(changes))
    ledger = event.play(world, 5, 0, 70)
    held = np.array(list(chips.values()))
    lacking_s = ledger.job_s[:, :, BLOCKED] * held - ledger.chip_s[:, :2, :, BLOCKED].sum(axis=2)
    lacking = lacking_s.sum(axis=1) / ledger.wall_s
    mean_h = world.pools[0].kinds[0].down_s / 3600
    n_away = np.arange(45)
    away = binom.pmf(n_away, 44, mean_h / (100 + mean_h))
    expected = float(np.maximum(n_away - 4, 0) @ away)
    error = lacking.std(ddof=1) / np.sqrt(lacking.size)
    assert error < 0.05 * expected
    started_whole = 0.01  # the first repairs of 3,000 h
    assert lacking.mean() == pytest.approx(expected, abs=4 * error + started_whole * expected)


@given(
    st.dictionaries(st.sampled_from("pqr"), st.integers(1, 5), min_size=2),
    st.dictionaries(st.sampled_from("pqr"), st.integers(0, 2)),
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 60)), min_size=1, max_size=6),
    laws(),
    st.booleans(),
    st.integers(0, 1_000),
)
def test_every_chip_second_is_booked_once_over_the_pools_that_share(
    chips, spares, wanted, repair, more, seed
):
    homes = itertools.cycle(sorted(chips))
    data = data_of(chips, spares)
    data["jobs"] = {
        f"j{i}": job(home, min(n, chips[home]), "30 h", f"{hour} h")
        for i, ((n, hour), home) in enumerate(zip(wanted, homes, strict=False))
    }
    data["faults"]["f"] |= {"mtbf": "60 h", "repair": repair}
    data["simulate"] = {"horizon": "80 h"}
    if more:
        rolling = {"rolling": "1 nodes", "every": "9 h", "lasts": "3 h", "restart": "5 min"}
        data["planned"] = {"m": rolling}
        data["sites"]["s"]["pools"][min(chips)]["crews"] = 1
    world = compile_world(cp.load(data))
    ledger = event.play(world, seed, 0, 2)
    assert world.sharing == (tuple(range(len(chips))),)
    total = ledger.chip_s.sum(axis=(1, 2, 3))
    np.testing.assert_allclose(total, sum(world.n_chips) * ledger.wall_s, rtol=1e-9)
    present_s = np.minimum(ledger.end_s, 80 * 3600) - [job.arrival_s for job in world.jobs]
    np.testing.assert_allclose(ledger.job_s.sum(axis=2), present_s, rtol=1e-9)


# What is said


def test_only_pools_of_one_chip_in_nodes_of_one_size_share():
    scenario = cp.load(data_of({"p": 4, "q": 4, "r": 4}, {"p": 1}))
    bigger = scenario.with_({"sites.s.pools.r.chips_per_node": 2})
    assert compile_world(bigger).sharing == ((0, 1),)
    with pytest.raises(ScenarioError, match="no two pools of the site have the same chip"):
        bigger.with_({"sites.s.pools.q.chips_per_node": 4})


def test_what_does_not_play_shared_spares_says_so():
    scenario = cp.load(data_of({"p": 4, "q": 4}, {"p": 1}))
    with pytest.raises(UnsupportedByEngine, match=r"sites.s.share_spares: .* may have to spare"):
        batch.play(compile_world(scenario), 0, 0, 1)


def test_shared_spares_are_played_beside_slow_nodes_and_spares_that_boot():
    """These were refused once; the books of the conservation law are checked when they are made."""
    scenario = cp.load(data_of({"p": 4, "q": 4}, {"p": 1}))
    slow = {"slows": {"to": 0.5, "lasts": "1 h"}, "mtbf": "1 h", "per": "node"}
    boots = {"sites.s.pools.p.spares": {"warm": {"nodes": "1 nodes", "ready": "5 min"}}}
    shrinks = {"jobs.on_q.on_loss": {"shrink": {"replicas": 4, "resize": "1 min"}}}
    often = {f"jobs.on_{p}": {"train_for": "9 h", "checkpoint": {"every": "9 min"}} for p in "pq"}
    often |= {"faults.f.mtbf": "8 h", "faults.f.repair": "1 h"}
    for change in ({"faults.slow": slow}, {**boots, **shrinks}, {"faults.slow": slow, **shrinks}):
        world = compile_world(scenario.with_({**often, **change}))
        ledger = event.play(world, 1, 0, 16)
        assert ledger.counts["interruptions"].sum() > 0
        if "faults.slow" in change:
            assert ledger.counts["slowdowns"].sum() > 0


def test_a_chip_by_another_of_its_names_is_the_same_chip():
    scenario = cp.load(data_of({"p": 4, "q": 4}, {"p": 1}))
    assert compile_world(scenario.with_({"sites.s.pools.q.chip": "H100"})).sharing == ((0, 1),)


def test_no_closed_form_is_shown_for_shared_spares():
    data = data_of({"p": 4, "q": 4}, {"q": 1})
    del data["jobs"]["on_q"]
    world = compile_world(cp.load(data))
    assert sentence(why_no_closed_form(world)) == "no closed form: pools share their spares"
    assert sentence(facts_of(world)["chips"]).endswith("; spares shared by p, q")
