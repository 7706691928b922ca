"""Nodes that are retired for their faults: scripted by hand, and against plain nodes in NumPy."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from oracle import scenario_of
from strategies import Script, scripted
from worlds import assert_same_books, phases, weibull, world_of

import computeplan as cp
from computeplan.analytic.expected import why_no_closed_form
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.errors import ScenarioError, UnsupportedByEngine
from computeplan.ledger import BLOCKED, LOST, REPAIR, RESTART, SAVE, TRAIN, Ledger
from computeplan.trace import Trace

HOUR_S = 3600.0
SPAN_H, MEAN = 1000.0, 1.5  # faults per node expected
FAULT = 0
PATH = "sites.s.pools.p.retire"
RULE = {"after": "2 faults", "within": "30 s", "replaced_in": "50 s"}


# By hand


class Repairs(Script):
    """A script in which a new node comes after 50 s."""

    def replaced_s(self, *_: object) -> Any:
        """Return how long it takes."""
        return np.array([50.0])


@pytest.fixture
def play(monkeypatch):
    """Return a function that plays a world against a script."""

    def run(world, *arrivals):
        monkeypatch.setattr(event, "Trace", lambda *_: Repairs(scripted(*arrivals)))
        return event.play(world, 0, 0, 1)

    return run


def test_the_second_fault_in_time_retires_a_node(play):
    """Node 0 at 5 s, repaired by 8 s and idle; at 25 s again: gone until 75 s; 80 s is a new one's.

    The fault at 40 s finds no node. Chips: 3 s in repair, 50 s without a node, 3 s in repair.
    """
    arrivals = [(t, FAULT, 0, True, 5.0, 3.0) for t in (5.0, 25.0, 40.0, 80.0)]
    ledger = play(world_of(**{PATH: RULE}), *arrivals)
    assert ledger.counts["retired"].tolist() == [[1]]
    assert ledger.counts["repairs"].tolist() == [[2]]
    assert ledger.counts["interruptions"][0, FAULT] == 1  # at 5 s; then the spare has stepped in
    assert ledger.counts["idle_faults"][0, FAULT] == 2
    assert ledger.chip_s[0, -1, 0, REPAIR] == pytest.approx(3 + 50 + 3)


@pytest.mark.parametrize(
    ("change", "n_retired", "repair_s"),
    [
        ({"within": "9 s"}, 0, 3 + 3 + 3 + 3),
        ({"within": "19 s"}, 1, 3 + 3 + 3 + 50),  # by those of 80 and 90 s
        ({"within": "20 s"}, 2, 3 + 50 + 3 + 50),  # the new one of 75 s: 80 and 90 s
        ({"within": "20 s", "most": "1 nodes"}, 1, 3 + 50 + 3 + 3),
        ({"after": "3 faults"}, 0, 3 + 3 + 3 + 3),
        ({"after": "1 faults"}, 2, 50 + 50),  # of 5 s until 55 s, of 80 s
    ],
)
def test_time_count_and_budget_limit_it(play, change, n_retired, repair_s):
    arrivals = [(t, FAULT, 0, True, 5.0, 3.0) for t in (5.0, 25.0, 80.0, 90.0)]
    ledger = play(world_of(**{PATH: RULE | change}), *arrivals)
    assert ledger.counts["retired"][0, 0] == n_retired
    assert ledger.chip_s[0, -1, 0, REPAIR] == pytest.approx(repair_s)


def test_faults_that_take_nothing_do_not_count(play):
    arrivals = [(t, FAULT, 0, t == 25.0, 5.0, 3.0) for t in (5.0, 25.0)]
    assert not play(world_of(**{PATH: RULE}), *arrivals).counts["retired"].any()


def test_a_job_without_spares_waits_for_the_new_node(play):
    """Faults at 25 s for 3 s, and at 40 s for good: whole at 28 + 5 s, and at 90 + 5 s.

    From 33 to 40 s it trains 7 s and loses them. By 25 s two cycles of 11 s were saved: 80 s are
    left at 95 s, with 8 saves.
    """
    world = world_of(**{PATH: RULE, "sites.s.pools.p.spares": "0 nodes"})
    arrivals = [(25.0, FAULT, 0, True, 5.0, 3.0), (40.0, FAULT, 0, True, 5.0, 3.0)]
    ledger = play(world, *arrivals)
    expected = {TRAIN: 100, SAVE: 10, LOST: 3 + 7, RESTART: 10, BLOCKED: 3 + 50}
    assert phases(ledger) == pytest.approx(expected)
    assert ledger.end_s[0, 0] == pytest.approx(95 + 88)
    assert ledger.chip_s[0, 0, 0, BLOCKED] == pytest.approx(3 * 53)


# What is drawn


def fleet_of(n_nodes: int = 20, rule: dict[str, str] | None = None, **changes: object) -> Any:
    """Every fault takes its node for 20 h; nothing is ever short."""
    return compile_world(
        scenario_of(
            **{
                "sites__s__pools__p__chips": n_nodes,
                "sites__s__pools__p__spares": f"{n_nodes} nodes",
                "jobs__j__chips": n_nodes,
                "simulate__horizon": f"{SPAN_H} h",
                "jobs__j__train_for": "10 years",
                "faults__f__mtbf": f"{SPAN_H / MEAN} h",
                "faults__f__takes": "node",
                "faults__f__restart": "1 min",
                "faults__f__repair": "20 h",
                **({"sites__s__pools__p__retire": rule} if rule else {}),
                **changes,
            }
        )
    )


def rule_of(n_faults: int, within: str = "10 years", replaced_in: str = "20 h") -> dict[str, str]:
    return {"after": f"{n_faults} faults", "within": within, "replaced_in": replaced_in}


def n_faults_of(ledger: Ledger) -> Any:
    """Return all faults, run by run."""
    return ledger.counts["interruptions"].sum(axis=1) + ledger.counts["idle_faults"].sum(axis=1)


def lived(rng: Any, first_h: Any, again_h: Any, n_faults: int) -> tuple[int, int]:
    """Return the faults and retirements of one place, walked from fault to fault.

    `first_h` begins a new node and returns when its faults come if nothing resets them: a function
    that gives the time to the next one.
    """
    now_h, n, n_of_node, n_retired = 0.0, 0, 0, 0
    node = first_h(rng)
    while True:
        now_h += node(rng)
        if now_h > SPAN_H:
            return n, n_retired
        n, n_of_node = n + 1, n_of_node + 1
        now_h += 20.0
        if n_of_node == n_faults:
            node, n_of_node, n_retired = again_h(rng), 0, n_retired + 1


def unlike(cv: float) -> Any:
    def new(rng: Any) -> Any:
        rate = rng.gamma(cv**-2, cv**2) * MEAN / SPAN_H
        return lambda rng: rng.exponential(1 / rate) if rate > 0 else math.inf

    return new


@pytest.mark.parametrize(("cv", "n_faults"), [(1.2, 1), (1.2, 2), (3.0, 3)])
def test_lemons_are_replaced_by_nodes_that_may_be_lemons(cv, n_faults):
    """Against places walked one by one: a rate each, an exponential life after each repair."""
    world = fleet_of(rule=rule_of(n_faults), faults__f__lemons={"cv": cv})
    ledger = event.play(world, 4, 0, 128)
    rng = np.random.default_rng(8)
    theirs = np.array([lived(rng, unlike(cv), unlike(cv), n_faults) for _ in range(20_000)])
    for ours, place in (
        (n_faults_of(ledger), theirs[:, 0]),
        (ledger.counts["retired"][:, 0], theirs[:, 1]),
    ):
        error = math.hypot(ours.std(ddof=1) / math.sqrt(128), 40 * place.std() / math.sqrt(20_000))
        assert abs(ours.mean() - 40 * place.mean()) < 4 * error


def test_retiring_gains_where_nodes_differ_and_nothing_where_they_do_not():
    """Where a new node comes as soon as a repair would end, equal nodes do not notice at all."""
    rule = rule_of(2, "1000 h")
    plain, kept = fleet_of(), fleet_of(rule=rule)
    one, other = event.play(plain, 6, 0, 64), event.play(kept, 6, 0, 64)
    assert other.counts["retired"].sum() > 500
    assert (one.counts["repairs"] == other.counts["repairs"] + other.counts["retired"]).all()
    same = dataclasses.replace(other, counts=one.counts)
    assert_same_books(one, same, plain)
    gains = []
    for cv in (0.5, 1.2, 2.5):
        lemons = {"faults__f__lemons": {"cv": cv}}
        before = n_faults_of(event.play(fleet_of(**lemons), 6, 0, 256))
        after = n_faults_of(event.play(fleet_of(rule=rule, **lemons), 6, 0, 256))
        error = (before - after).std(ddof=1) / 16
        assert (before - after).mean() > 4 * error
        gains.append(1 - after.sum() / before.sum())
    assert gains == sorted(gains)


def test_a_new_node_is_young():
    """Two kinds: one wears nodes out, one retires them. Against places walked one by one."""
    changes = {
        **weibull(4.0, "new"),
        "faults__g": {
            "mtbf": "300 h",
            "per": "node",
            "takes": "node",
            "restart": "1 min",
            "repair": "20 h",
        },
        "faults__f__mtbf": "500 h",
    }
    ledger = event.play(fleet_of(rule=rule_of(1), **changes), 6, 0, 64)
    old = event.play(fleet_of(**changes), 6, 0, 64)
    rng, scale_h = np.random.default_rng(3), 500 / math.gamma(1.25)
    counts = np.zeros((20_000, 2))
    for count in counts:
        now_h = 0.0
        while True:
            lives_h = scale_h * rng.weibull(4.0), rng.exponential(300)
            now_h += min(lives_h)
            if now_h > SPAN_H:
                break
            count[int(lives_h[1] < lives_h[0])] += 1
            now_h += 20
    assert (ledger.counts["repairs"] == 0).all()
    for kind in (0, 1):
        ours = ledger.counts["interruptions"][:, kind] + ledger.counts["idle_faults"][:, kind]
        place = counts[:, kind]
        error = math.hypot(ours.std(ddof=1) / 8, 40 * place.std() / math.sqrt(20_000))
        assert abs(ours.mean() - 40 * place.mean()) < 4 * error
    worn = (old.counts["interruptions"] + old.counts["idle_faults"])[:, 0].sum()
    assert (ledger.counts["interruptions"] + ledger.counts["idle_faults"])[:, 0].sum() < 0.7 * worn


def test_relapses_end_with_the_node():
    """Every second fault comes back an hour after the repair, unless the node is gone."""
    relapse = {"share": 0.999, "after": "1 h"}
    changes: dict[str, object] = {"faults__f__relapse": relapse, "faults__f__mtbf": "100 kh"}
    for lemons in ({}, {"faults__f__lemons": {"cv": 0.5}}):
        ledger = event.play(fleet_of(rule=rule_of(3), **changes, **lemons), 6, 0, 256)
        n, retired = n_faults_of(ledger).sum(), ledger.counts["retired"].sum()
        assert retired > 50
        assert n == pytest.approx(3 * retired, rel=0.1)  # the horizon, and one in a thousand


def test_faults_of_a_new_node_depend_on_its_place_and_generation_only():
    world = fleet_of(rule=rule_of(2), faults__f__lemons={"cv": 1.2})
    pool = world.pools[0]
    (kind,) = pool.kinds
    one, other = Trace(world, 9, 0, 64), Trace(world, 9, 5, 3)
    seen = {}
    for node, generation in ((3, 1), (4, 1), (3, 2)):
        few = one.renewed(pool, kind, node, generation, 2)[0]
        many = one.renewed(pool, kind, node, generation, 7)
        assert (many[0][:2] == few).all()
        seen[node, generation] = many
    for (node, generation), many in reversed(seen.items()):
        again = other.renewed(pool, kind, node, generation, 7)
        assert (again[0] == many[0][:, 5:8]).all()
        assert (again[1].repair_s == many[1].repair_s[:, 5:8]).all()
    times = np.stack([many[0] for many in seen.values()])
    assert np.unique(times).size == times.size


def test_a_rule_that_never_applies_changes_nothing():
    rule = rule_of(1000)
    changes = {"faults__f__lemons": {"cv": 1.2}}
    one, other = (event.play(fleet_of(rule=r, **changes), 6, 0, 8) for r in (None, rule))
    assert_same_books(one, other, fleet_of())


# What is said


def test_batch_names_what_it_cannot_play():
    world = fleet_of(rule=rule_of(2))
    path, reason = batch.why_unsupported(world)
    assert path == "sites.s.pools.p.retire"
    assert "faults" in reason
    with pytest.raises(UnsupportedByEngine, match=r"sites\.s\.pools\.p\.retire: engine batch"):
        batch.play(world, 1, 0, 1)
    assert batch.why_unsupported(fleet_of(rule=rule_of(2), faults__f__takes="nothing")) is None
    assert why_no_closed_form(world).values["why"] == "retire"


def test_retired_nodes_are_counted():
    scenario = scenario_of(
        sites__s__pools__p__retire=rule_of(1),
        faults__f__takes="node",
        simulate__runs=4,
        simulate__horizon="100 h",
    )
    result = cp.run(scenario)
    (case,) = result.cases.values()
    assert case.values["n_retired"].sum() > 4
    assert (case.values["n_node_repairs"] == 0).all()
    assert result.provenance["engines"] == {"faults": "event"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"after": 3}, "must be a number of faults, such as '3 faults', not 3"),
        ({"after": "0 faults"}, "must be a number of faults"),
        ({"after": "3 nodes"}, "must be a number of faults"),
        ({"within": "0 d"}, "must be > 0"),
        ({"most": "3 chips"}, "must be whole nodes"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(change, message):
    with pytest.raises(ScenarioError, match="retire") as caught:
        scenario_of(sites__s__pools__p__retire=rule_of(2) | change)
    assert message in str(caught.value)
