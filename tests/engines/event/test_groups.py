"""Placement by groups of nodes: choices held against brute force, and days played by hand."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import scripted
from worlds import CHIP, SAVES, Scripts, check

import computeplan as cp
from computeplan.analytic.expected import expect, why_no_closed_form
from computeplan.compiler.compile import compile_world
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event
from computeplan.engines.event.groups import Groups
from computeplan.engines.event.pool import FREE, IN_REPAIR, PoolNodes
from computeplan.errors import ScenarioError, UnsupportedByEngine
from computeplan.ledger import TRAIN, Ledger
from computeplan.metrics import measure
from computeplan.report.words import sentence
from computeplan.world.pools import Placement
from computeplan.world.world import World

RULES = ["first", "fewest", "spread"]


def data_of(
    jobs: dict[str, Any], n_nodes: int = 8, placement: object = None, **pool: object
) -> dict[str, Any]:
    """Return a scenario of one pool of nodes of one chip, in racks of four."""
    here = {**CHIP, "chips": n_nodes, "groups": {"rack": "4 nodes"}, **pool}
    if placement is not None:
        here["placement"] = placement
    return {
        "computeplan": 1,
        "name": "racks",
        "sites": {"s": {"pue": 1, "pools": {"p": here}}},
        "jobs": jobs,
        "policy": "fifo-backfill",
    }


def job(chips: int, train_for: str = "100 s", **more: object) -> dict[str, object]:
    """Return a job that never saves."""
    return {"chips": chips, "train_for": train_for, "checkpoint": {"every": "never"}, **more}


def rule(by: str, across: float = 1.0) -> dict[str, object]:
    return {"group": "rack", "by": by, "across": across}


def played(data: dict[str, Any]) -> tuple[Ledger, World]:
    """Return the checked ledger of one run, and its world."""
    world = compile_world(cp.load(data))
    ledger = event.play(world, 0, 0, 1)
    check(ledger, world)
    return ledger, world


@pytest.fixture
def faulty(monkeypatch):
    """Return a function that plays one job of 100 s on a rack of four, with a spare beside it.

    Faults are at a time, on a node, which is away for so long; a restart takes 1 s.
    """

    def run(*faults, elsewhere=(), **changes):
        monkeypatch.setattr(event, "Trace", lambda *_: Scripts(list(faults), list(elsewhere)))
        saves = {"j": job(4, checkpoint=SAVES)}
        data = data_of(saves, 4, rule("fewest", 0.5), spares="1 nodes")
        fault = {"mtbf": "1 year", "per": "node", "takes": "node"}
        data["faults"] = {"f": {**fault, "restart": "1 s", "repair": "1 s"}}
        changes = {path.replace("__", "."): value for path, value in changes.items()}
        return event.play(compile_world(cp.load(data).with_(changes)), 0, 0, 1)

    return run


# By hand


def test_a_gang_that_lies_on_two_racks_is_slower():
    """Nodes 0 to 2 are of a; b has 3 to 6, on two racks, and takes 200 s at half speed.

    One node is idle beside others that are held until 100 s, and then four are until 200 s.
    """
    ledger, world = played(data_of({"a": job(3), "b": job(4)}, 8, rule("first", 0.5)))
    assert ledger.end_s.tolist() == [[100.0, 200.0]]
    assert ledger.spread_chip_s.tolist() == [[4 * 200.0]]
    assert ledger.in_parts_chip_s.tolist() == [[1 * 100.0 + 4 * 100.0]]
    assert ledger.weighted("slow")[0, :, 0, TRAIN].tolist() == [0.0, 4 * 100.0, 0.0]
    found = measure(ledger, world)
    assert found["beyond_least_groups"].tolist() == [0.5]
    assert found["spread_frac"].tolist() == [800 / (300 + 800)]
    assert found["idle_in_parts_frac"].tolist() == [1.0]  # of 500 idle chip-seconds


def test_the_fewest_racks_are_the_second_one():
    """The same with b on nodes 4 to 7."""
    ledger, world = played(data_of({"a": job(3), "b": job(4)}, 8, rule("fewest", 0.5)))
    assert ledger.end_s.tolist() == [[100.0, 100.0]]
    found = measure(ledger, world)
    assert found["beyond_least_groups"].tolist() == found["spread_frac"].tolist() == [0.0]
    assert found["idle_in_parts_frac"].tolist() == [1.0]  # node 3


def test_spread_lays_every_job_on_both_racks():
    ledger, _ = played(data_of({"a": job(2), "b": job(2)}, 8, rule("spread", 0.5)))
    assert ledger.end_s.tolist() == [[200.0, 200.0]]


def test_a_job_that_needs_two_racks_is_not_spread_on_two():
    ledger, _ = played(data_of({"a": job(5)}, 8, rule("first", 0.5)))
    assert ledger.end_s.tolist() == [[100.0]]


def test_a_policy_learns_that_a_job_is_slow():
    """c, of all nodes, waits for b until 200 s, so that d can hold node 7 until 155 s before it."""
    jobs = {"a": job(3), "b": job(4), "c": job(8), "d": job(1, "150 s", arrival="5 s")}
    ledger, _ = played(data_of(jobs, 8, rule("first", 0.5)))
    assert ledger.first_start_s.tolist() == [[0.0, 0.0, 200.0, 5.0]]


def test_a_spare_in_another_rack_slows_its_job(faulty):
    """Node 0 goes at 15 s. From 10 s of work, at 16 s, 90 s are left: 180 s on two racks."""
    ledger = faulty((15.0, 0, 1000.0))
    assert ledger.end_s.tolist() == [[196.0]]
    assert ledger.spread_chip_s.tolist() == [[4 * (196.0 - 15.0)]]
    assert ledger.counts["placed"].tolist() == [[1]]
    assert ledger.counts["beyond"].tolist() == [[0]]  # where it started


def test_a_job_is_as_fast_as_before_once_it_lies_on_one_rack_again(faulty):
    """Node 0 is back at 30 s, and stands in for the spare, node 4, which goes at 50 s.

    34 s of training at half speed have saved 15 s of work; 75 s are left at 51 s.
    """
    ledger = faulty((15.0, 0, 15.0), (50.0, 4, 1000.0))
    assert ledger.end_s.tolist() == [[126.0]]
    assert ledger.spread_chip_s.tolist() == [[4 * (50.0 - 15.0)]]


def test_a_job_that_goes_on_with_three_nodes_needs_no_more_racks(faulty):
    """Without spares nothing else is held: three of four replicas on one rack, at 0.75.

    From 10 s of work, at 16 s, 90 s are left, and take 120 s.
    """
    shrinks = {"shrink": {"replicas": 4, "resize": "0 s"}}
    lacks = {"sites__s__pools__p__spares": "0 nodes", "jobs__j__on_loss": shrinks}
    assert faulty((15.0, 0, 1000.0), **lacks).end_s.tolist() == [[136.0]]


def test_a_node_that_is_lent_is_of_another_group(faulty):
    """The spare is of q: the same as a spare in another rack."""
    lender = {**CHIP, "chips": 4, "spares": "1 nodes"}
    shared = {"sites__s__pools__p__spares": "0 nodes", "sites__s__pools__q": lender}
    ledger = faulty(
        (15.0, 0, 1000.0), **shared, sites__s__share_spares=True, jobs__j__home="p", policy="silo"
    )
    assert ledger.end_s.tolist() == [[196.0]]
    assert ledger.spread_chip_s.tolist() == [[4 * (196.0 - 15.0), 0.0]]


def test_a_node_that_is_lent_later_is_booked_from_then_on(faulty):
    """q lacks a node of its own from 5 s on, and lends its spare when that is back at 40 s.

    The job waits from 15 s to 40 s, restarts, and does 90 s of work in 180 s.
    """
    lender = {**CHIP, "chips": 4, "spares": "1 nodes"}
    shared = {"sites__s__pools__p__spares": "0 nodes", "sites__s__pools__q": lender}
    changes = {**shared, "sites__s__share_spares": True, "jobs__j__home": "p", "policy": "silo"}
    ledger = faulty((15.0, 0, 1000.0), elsewhere=[(5.0, 0, 35.0)], **changes)
    assert ledger.end_s.tolist() == [[221.0]]
    assert ledger.spread_chip_s.tolist() == [[4 * (221.0 - 40.0), 0.0]]


def test_slow_nodes_and_two_racks_go_together(monkeypatch):
    """Both halve the speed of b: 5 s of work in 10 s, and from there 95 s in 380 s."""
    trace = Scripts([])
    trace.by_pool = [scripted((10.0, 0, 5, False, 1000.0, 0.0))]
    monkeypatch.setattr(event, "Trace", lambda *_: trace)
    data = data_of({"a": job(3), "b": job(4)}, 8, rule("first", 0.5))
    slows = {"to": 0.5, "lasts": "1000 s"}
    data["faults"] = {"slow": {"mtbf": "1 year", "per": "node", "slows": slows}}
    ledger, _ = played(data)
    assert ledger.end_s.tolist() == [[100.0, 390.0]]


@pytest.mark.parametrize(("by", "n_beyond"), [("first", 1), ("fewest", 0)])
def test_services_leave_racks_whole(by, n_beyond):
    """A service holds nodes 0 and 1; a job of four has a rack of its own, or does not."""
    data = data_of({"a": job(4)}, 8, rule(by), spares="0 nodes")
    data |= {"services": {"web": {"pool": "p", "chips": 2}}, "simulate": {"horizon": "1 h"}}
    ledger, _ = played(data)
    assert ledger.counts["beyond"].tolist() == [[n_beyond]]


# Choices


@st.composite
def part_free(draw: st.DrawFn, by: str) -> tuple[Groups, list[set[int]]]:
    """Return groups of some nodes, and which are free in each; at least one is."""
    size, n_nodes = draw(st.integers(1, 4)), draw(st.integers(1, 14))
    groups = Groups(Placement(size, by, 1.0), n_nodes)
    taken = draw(st.sets(st.integers(0, n_nodes - 1), max_size=n_nodes - 1))
    for node in taken:
        groups.take(node)
    whole = [set(range(a, min(a + size, n_nodes))) for a in range(0, n_nodes, size)]
    return groups, [nodes - taken for nodes in whole]


def groups_of(nodes: list[int], groups: Groups) -> Counter[int]:
    """Return how many of some nodes are of each group."""
    return Counter(node // groups.spec.n_nodes for node in nodes)


def open_nodes(free: list[set[int]]) -> int:
    return sum(map(len, free))


@given(part_free("fewest"), st.data())
def test_no_choice_lies_on_fewer_groups(pool, data):
    """Brute force: the least number of groups with enough free nodes, over all sets of groups."""
    groups, free = pool
    n = data.draw(st.integers(1, open_nodes(free)))
    nodes = groups.for_gang(n)
    assert len(set(nodes)) == n
    assert set(nodes) <= set().union(*free)
    least = next(
        k
        for k in range(1, len(free) + 1)
        if any(sum(map(len, some)) >= n for some in itertools.combinations(free, k))
    )
    on = groups_of(nodes, groups)
    assert len(on) == least
    if least == 1:  # best fit: no other group that holds it has fewer free nodes
        (group,) = on
        assert len(free[group]) == min(len(some) for some in free if len(some) >= n)


@given(part_free("fewest"), st.data())
def test_of_several_groups_the_last_is_filled_best(pool, data):
    """All but one are the emptiest, and used up; what is left goes where least is left over."""
    groups, free = pool
    n = data.draw(st.integers(1, open_nodes(free)))
    on = groups_of(groups.for_gang(n), groups)
    sizes, taken = sorted(map(len, free), reverse=True), sorted(on.values(), reverse=True)
    used_up, others = sizes[: len(on) - 1], sizes[len(on) - 1 :]
    assert taken[:-1] == used_up
    best = min(n_free for n_free in others if n_free >= taken[-1])
    assert sorted(len(free[group]) for group in on) == sorted([*used_up, best])


@given(part_free("spread"), st.data())
def test_no_choice_is_more_even(pool, data):
    """Every open group gets as many as any other, or one fewer, or all that it has."""
    groups, free = pool
    n = data.draw(st.integers(1, open_nodes(free)))
    nodes = groups.for_gang(n)
    assert len(set(nodes)) == n
    assert set(nodes) <= set().union(*free)
    on = groups_of(nodes, groups)
    assert len(on) == min(n, sum(1 for some in free if some))
    assert all(on[g] >= max(on.values()) - 1 or on[g] == len(free[g]) for g in range(len(free)))


@given(st.sampled_from(["fewest", "spread"]).flatmap(part_free), st.data())
def test_one_more_node_stays_near_or_goes_far(pool, data):
    groups, free = pool
    has = data.draw(st.integers(0, open_nodes(free) - 1))
    for node in data.draw(st.permutations(sorted(set().union(*free))))[:has]:
        groups.give(node, 7)
        free[node // groups.spec.n_nodes].discard(node)
    own = groups.on[7]
    group = groups.one_more(7) // groups.spec.n_nodes
    assert free[group]
    ranks = {  # the groups that are open, by what a rule wants least
        "fewest": lambda g: (g not in own, len(free[g])),
        "spread": lambda g: (own[g], -len(free[g])),
    }
    rank = ranks[groups.spec.by]
    assert rank(group) == min(rank(g) for g in range(len(free)) if free[g])


@given(st.integers(1, 60), st.integers(1, 9), st.data())
def test_on_an_empty_pool_the_fewest_are_the_least(n_nodes, size, data):
    """And so no more than the first free nodes lie on; spread lies on no fewer."""
    n = data.draw(st.integers(1, n_nodes))
    on = {by: Groups(Placement(size, by, 1.0), n_nodes) for by in ("fewest", "spread")}
    n_groups = {by: len(groups_of(groups.for_gang(n), groups)) for by, groups in on.items()}
    n_first = len({node // size for node in range(n)})
    assert n_groups["fewest"] == Placement(size, "first", 1.0).n_least(n) == n_first
    assert n_groups["spread"] >= n_first


# What is kept up to date


def pool_of(by: str, n_nodes: int, size: int) -> PoolNodes:
    """Return the nodes of a pool in racks of some size."""
    data = data_of({"j": job(1)}, n_nodes, rule(by, 0.5), groups={"rack": f"{size} nodes"})
    return PoolNodes(compile_world(cp.load(data)).pools[0], ())


def check_counts(pool: PoolNodes, wanted: dict[int, int]) -> None:
    """Check all that is kept of groups against where the nodes are."""
    groups, size, where = pool.groups, pool.spec.placement.n_nodes, pool.where
    racks = [where[a : a + size] for a in range(0, len(where), size)]
    free = [rack.count(FREE) for rack in racks]
    assert [len(nodes) for nodes in groups.free] == free
    assert groups.order == sorted((-n, g) for g, n in enumerate(free))
    assert pool.n_free == sum(free)
    parts = [n for n, rack in zip(free, racks, strict=True) if n < len(rack)]
    assert groups.n_in_parts == sum(parts)
    for one, n in wanted.items():
        held = [node for node, at in enumerate(where) if at == one]
        assert pool.held[one] == set(held)
        on = Counter(node // size for node in held)
        assert groups.on[one] == on
        is_spread = len(on) > -(-n // size)
        assert groups.spread.get(one, 0) == len(held) * is_spread
        assert pool.across(one) == (0.5 if is_spread else 1.0)
    assert groups.n_spread == sum(groups.spread.values())
    assert groups.least.keys() == wanted.keys()


@given(
    st.sampled_from(RULES),
    st.integers(1, 12),
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from("sser"), st.integers(0, 99)), max_size=30),
)
def test_no_node_is_held_twice_and_groups_are_counted(by, n_nodes, size, steps):
    """Jobs start and end, nodes go to repair and come back; all is counted from scratch."""
    pool, wanted, time_s = pool_of(by, n_nodes, min(size, n_nodes)), dict[int, int](), 0.0
    for job_index, (what, which) in enumerate(steps):
        time_s += 1.0
        if what == "s" and pool.n_free:
            wanted[job_index] = 1 + which % pool.n_free
            pool.give_many(job_index, wanted[job_index], time_s)
            assert len(pool.held[job_index]) == wanted[job_index]
        elif what == "e" and wanted:
            ended = sorted(wanted)[which % len(wanted)]
            pool.take_back(ended, time_s)
            del wanted[ended]
        elif what == "r":
            node = which % n_nodes
            at = pool.where[node]
            if at == IN_REPAIR:
                pool.n_in_repair -= 1
                pool.release(node)
            else:
                pool.send_to_repair(node, time_s)
                if at != FREE:
                    pool.give(at, time_s)
        check_counts(pool, wanted)


# On random loads


def load_of(placement: object = None, **more: object) -> World:
    """Return a world of 300 jobs of 1 to 8 nodes on 32, in racks of four."""
    data = data_of({}, 256, placement, chips_per_node=8)
    sizes, hours = {8: 0.4, 16: 0.3, 32: 0.2, 64: 0.1}, {"lognormal": {"median": "1 h", "sigma": 1}}
    saves = {"every": "never"}
    load = {"jobs": 300, "arrivals": {"every": "7 min"}, "chips": sizes, "length": hours}
    data["workloads"] = {"w": {**load, "checkpoint": saves}}
    return compile_world(cp.load(data | more))


SAME = ("booked", "job_s", "kept_frac", "first_start_s", "end_s", "waiting_idle_chip_s", "peak_w")


@pytest.mark.parametrize("by", RULES)
def test_where_nodes_are_alike_placement_changes_no_number(by):
    """Nothing fails, and two racks are as good as one: the books are those without placement."""
    bare, placed = load_of(), load_of(rule(by))
    one, other = event.play(bare, 3, 0, 1), event.play(placed, 3, 0, 1)
    for name in SAME:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    values, others = measure(one, bare), measure(other, placed)
    of_groups = {"beyond_least_groups", "spread_frac", "idle_in_parts_frac"}
    assert others.keys() - values.keys() == of_groups
    assert all(others[name][0] > 0 for name in of_groups)


def test_the_rule_of_today_meets_the_same_faults():
    fault = {"mtbf": "300 h", "per": "node", "takes": "node", "restart": "5 min", "repair": "9 h"}
    one, other = (
        event.play(load_of(rule_, faults={"f": fault}), 3, 0, 1) for rule_ in (None, rule("first"))
    )
    assert one.counts["interruptions"].sum() > 0
    for name in SAME:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize("across", [1.0, 0.8])
def test_consolidation_makes_jobs_lie_closer(across):
    """In each of five loads, by both measures."""
    found = {}
    for by in RULES:
        world = load_of(rule(by, across))
        values = [measure(event.play(world, seed, 0, 1), world) for seed in range(5)]
        names = ("beyond_least_groups", "spread_frac", "mean_jct_h")
        found[by] = {name: np.array([v[name][0] for v in values]) for name in names}
    for name in ("beyond_least_groups", "spread_frac"):
        assert (found["fewest"][name] < found["first"][name]).all()
        assert (found["first"][name] < found["spread"][name]).all()
    if across < 1:
        assert found["fewest"]["mean_jct_h"].mean() < found["first"]["mean_jct_h"].mean()


# What is said


def test_a_group_that_the_pool_does_not_have_is_refused_with_those_it_has():
    data = data_of({"a": job(3)}, 8, {"group": "rak", "by": "fewest"})
    with pytest.raises(ScenarioError) as caught:
        cp.load(data)
    assert str(caught.value).endswith(
        "sites.s.pools.p.placement.group: pool p has no group 'rak'. Did you mean 'rack'?  Groups:"
        " rack. A group is written as groups: {rak: 4 nodes}"
    )
    data["sites"]["s"]["pools"]["p"]["groups"] = {}
    with pytest.raises(
        ScenarioError, match=r"pool p has no group 'rak'\.  It has none\. A group is"
    ):
        cp.load(data)


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        ({"group": "rack", "by": "nearest"}, "'first', 'fewest' or 'spread'"),
        ({"group": "rack", "across": 1.2}, "less than or equal to 1, got 1.2"),
        ({"group": "rack", "across": 0}, "greater than 0, got 0"),
        ({"by": "fewest"}, "placement: 'group' is missing"),
        ({"group": "rack", "strategy": "fewest"}, "write by: fewest"),
        ({"rack": "fewest"}, "write group: rack"),
    ],
)
def test_what_is_wrong_is_said(placement, said):
    with pytest.raises(ScenarioError) as caught:
        cp.load(data_of({"a": job(3)}, 8, placement))
    assert said in str(caught.value)


def test_placement_is_played_by_the_event_engine():
    data = data_of({"a": job(3)}, 8, rule("fewest", 0.9))
    world = compile_world(cp.load(data))
    refused = r"^sites\.s\.pools\.p\.placement: engine batch .* which nodes a job holds"
    with pytest.raises(UnsupportedByEngine, match=refused):
        batch.play(world, 0, 0, 1)
    said = "no closed form: a speed that depends on where the nodes of a job stand"
    assert expect(world) is None
    assert sentence(why_no_closed_form(world)) == said
    assert why_no_closed_form(compile_world(cp.load(data_of({"a": job(3)})))) == (
        why_no_closed_form(compile_world(cp.load(data_of({"a": job(3)}, 8, rule("fewest")))))
    )


def test_cases_compare_placements():
    data = data_of({"a": job(3), "b": job(4)}, 8, rule("first", 0.5))
    path = "sites.s.pools.p.placement"
    data["cases"] = {"as today": {}, "close": {f"{path}.by": "fewest"}}
    result = cp.run(cp.load(data | {"simulate": {"runs": 1}}))
    assert [case.values["spread_frac"][0] for case in result.cases.values()] == [800 / 1100, 0.0]
