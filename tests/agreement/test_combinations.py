"""What the event engine plays together: laws of random mixtures of all that a job can meet.

Tiers, shrinking, slow nodes, throttle, placement, shared storage, spares of every state, crews,
groups, maintenance, planned stops, damage found late, spares that pools share: a job is one class,
so each must hold beside every other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import async_checkpoints, fault_kinds, laws, rolling, spares, tiers, times
from worlds import check_timeline

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.event import engine as event
from computeplan.ledger import (
    BLOCKED,
    COUNTS,
    IDLE,
    LOST,
    QUEUE,
    REPAIR,
    RESTART,
    SAVE,
    TRAIN,
    Ledger,
)
from computeplan.world.jobs import Jobs
from computeplan.world.world import World

N_RUNS = 3
STORAGE = {"storage": "1 GB/s"}
Data = dict[str, Any]


# What is drawn


@st.composite
def pools(draw: st.DrawFn, per_node: int) -> Data:
    """A pool of a few nodes, with spares of any state, racks, crews, retirement, and throttle."""
    pool: Data = {"chip": "nvidia/h100-sxm", "chips_per_node": per_node}
    pool["chips"] = per_node * draw(st.integers(1, 6))
    n_spares = draw(st.integers(0, 2))
    pool["spares"] = draw(st.one_of(st.just(f"{n_spares} nodes"), spares()))
    pool["groups"] = {"rack": f"{min(draw(st.integers(1, 3)), n_nodes(pool))} nodes"}
    if draw(st.booleans()):
        by, across = st.sampled_from(["first", "fewest", "spread"]), st.sampled_from([1.0, 0.7])
        pool["placement"] = {"group": "rack", "by": draw(by), "across": draw(across)}
    if draw(st.booleans()):
        pool["crews"] = draw(st.integers(1, 3))
    if draw(st.booleans()):
        pool["throttle"] = {"diurnal": draw(st.floats(0.01, 0.9))}
    if draw(st.integers(0, 4)) == 0:
        pool["retire"] = {"after": "2 faults", "within": "40 h", "replaced_in": draw(laws())}
    return pool


def n_nodes(pool: Data) -> int:
    """Return the nodes of a pool, spares included."""
    states = pool["spares"]
    counts = [s["nodes"] for s in states.values()] if isinstance(states, dict) else [states]
    return int(pool["chips"]) // int(pool["chips_per_node"]) + sum(
        int(n.split()[0]) for n in counts
    )


@st.composite
def slow_nodes(draw: st.DrawFn) -> Data:
    """Faults that hold a job back."""
    lasts = f"{draw(st.integers(0, 900))} min"
    slows = {"to": draw(st.floats(0.05, 0.95)), "lasts": lasts}
    return {"mtbf": f"{draw(st.integers(3, 100))} h", "per": "node", "slows": slows}


@st.composite
def damage(draw: st.DrawFn) -> Data:
    """Faults that are found late."""
    return {
        "mtbf": f"{draw(st.integers(5, 200))} h",
        "per": "node",
        "takes": draw(st.sampled_from(["node", "nothing", {"node": 0.5, "nothing": 0.5}])),
        "restart": draw(laws(60)),
        "repair": draw(laws()),
        "found": draw(laws()),
    }


@st.composite
def faults(draw: st.DrawFn, names: Sequence[str]) -> Data:
    """Kinds of every effect, on all pools or on one."""
    sorts = {"f": fault_kinds(), "s": slow_nodes(), "d": damage()}
    found: Data = {}
    for i in range(draw(st.integers(1, 4))):
        sort = draw(st.sampled_from("ffssd"))
        kind = draw(sorts[sort])
        if draw(st.integers(0, 3)) == 0:
            kind["pools"] = [draw(st.sampled_from(names))]
        if sort == "f" and draw(st.integers(0, 4)) == 0:
            kind["automatic"] = {"lasts": draw(laws(30)), "mends": draw(st.floats(0.1, 0.9))}
        found[f"{sort}{i}"] = kind
    return found


@st.composite
def sized(draw: st.DrawFn) -> Data:
    """Saves in bytes, through the storage of the site; training waits for them, or goes on."""
    every = draw(st.integers(1, 120))
    saves: Data = {"every": f"{every} min"}
    stall = draw(st.one_of(st.none(), st.integers(0, 10)))
    most = 30 if stall is None else every + stall
    saves["state"] = f"{60 * draw(st.integers(1, max(most, 1)))} GB"
    if stall is not None:
        saves["stall"] = f"{stall} min"
    if draw(st.booleans()):
        saves["load"] = f"{draw(st.integers(0, 20))} min"
    return saves


@st.composite
def plain(draw: st.DrawFn) -> Data:
    """Saves for which training waits."""
    every = draw(st.sampled_from([f"{draw(st.integers(1, 300))} min", "never"]))
    return {"every": every, "stall": f"{draw(st.integers(0, 30))} min"}


@st.composite
def jobs(draw: st.DrawFn, pool: Data, home: str, saves: st.SearchStrategy[Data]) -> Data:
    """A job of a pool, which may shrink and save in any way."""
    nodes = draw(st.integers(1, pool["chips"] // pool["chips_per_node"]))
    job: Data = {
        "train_for": f"{draw(st.integers(1, 60))} h",
        "chips": nodes * pool["chips_per_node"],
        "home": home,
        "arrival": f"{draw(st.sampled_from([0, 0, 0, 5, 30]))} h",
        "checkpoint": {**draw(saves), "keep": draw(st.integers(1, 4))},
    }
    if draw(st.booleans()):
        divisors = [k for k in range(1, nodes + 1) if nodes % k == 0]
        replicas = draw(st.sampled_from([*divisors, 2 * nodes]))
        resize = f"{draw(st.integers(0, 30))} min"
        least = draw(st.integers(1, replicas))
        job["on_loss"] = {"shrink": {"replicas": replicas, "resize": resize, "least": least}}
    return job


@st.composite
def combined(draw: st.DrawFn) -> Data:
    """A site on which anything may meet anything."""
    per_node = draw(st.integers(1, 3))
    names = ["p", "q"][: draw(st.integers(1, 2))]
    at = {name: draw(pools(per_node)) for name in names}
    saves = st.one_of(
        sized(), sized(), tiers().map(lambda t: {"tiers": t}), async_checkpoints(), plain()
    )
    on = {}
    for name in names:
        for i in range(draw(st.sampled_from([1, 1, 2]))):
            on[f"{name}{i}"] = draw(jobs(at[name], name, saves))
    most = min(map(n_nodes, at.values()))
    planned = {}
    if draw(st.booleans()):
        planned["stop"] = {**draw(times()), "lasts": draw(laws(120))}
    if draw(st.booleans()):
        planned["roll"] = draw(rolling(most))
    kinds = draw(faults(names))
    if not kinds or not any(name[0] in "fd" for name in kinds):
        for job in on.values():  # nothing fails, so nothing is best
            if job["checkpoint"].get("every") == "optimal":
                job["checkpoint"] |= {"every": "1 h", "write": "0 s"}
    return {
        "computeplan": 1,
        "name": "combined",
        "sites": {"s": {"pue": 1.2, **STORAGE, "pools": at}},
        "faults": kinds,
        "planned": planned,
        "jobs": on,
        "policy": draw(st.sampled_from(["silo", "first-fit", "fifo-backfill"])),
        "simulate": {
            "horizon": f"{draw(st.integers(1, 120))} h",
            "seed": draw(st.integers(0, 999)),
        },
    }


def world_of(data: Data, *, share_spares: bool = False) -> World:
    """Return a world; its pools share their spares, if they are to."""
    site = data["sites"]["s"]
    site["share_spares"] = share_spares and len(site["pools"]) > 1
    return compile_world(cp.load(data))


def play(world: World, data: Data, **kwargs: Any) -> Ledger:
    """Return the books of a few runs."""
    return event.play(world, data["simulate"]["seed"], 0, N_RUNS, **kwargs)


# What must hold of all books


def check_seconds(ledger: Ledger, world: World) -> None:
    """Check that a job's seconds are the time from its arrival to its end, none negative."""
    arrival_s = np.array([job.arrival_s for job in world.jobs])
    until_s = np.minimum(ledger.end_s, ledger.wall_s[:, None])
    present_s = np.maximum(until_s - arrival_s, 0.0)
    np.testing.assert_allclose(ledger.job_s.sum(axis=2), present_s, rtol=1e-9, atol=1e-6)
    assert (ledger.job_s >= -1e-6).all()
    assert (ledger.chip_s >= -1e-6 * max(world.n_chips)).all()


def check_chip_seconds(ledger: Ledger, world: World) -> None:
    """Check that every chip-second is booked once, over pools that share nodes together."""
    total = ledger.chip_s.sum(axis=(1, 3))
    due = np.array(world.n_chips) * ledger.wall_s[:, None]
    if world.sharing:
        total, due = total.sum(axis=1), due.sum(axis=1)
    np.testing.assert_allclose(total, due, rtol=1e-9)
    assert not ledger.chip_s[:, -1][..., [TRAIN, LOST, SAVE, RESTART, BLOCKED]].any()
    assert not ledger.chip_s[:, :-1][..., [IDLE, REPAIR]].any()


def check_work(ledger: Ledger, world: World) -> None:
    """Check that what is kept and was not slow is the work asked, where a job ends."""
    slow = ledger.weighted("slow")
    assert (slow[:, :-1][..., [TRAIN, LOST]] >= -1e-5).all()
    assert (slow[:, :-1] <= ledger.chip_s[:, :-1] + 1e-5).all()
    for j, job in enumerate(world.jobs):
        for run in range(ledger.n_runs):
            if math.isinf(ledger.first_start_s[run, j]):
                assert not ledger.chip_s[run, j].any()
                continue
            (p, *elsewhere) = (
                np.flatnonzero(ledger.chip_s[run, j].sum(axis=1))
                if (ledger.chip_s[run, j].any())
                else (int(np.flatnonzero(job.n_nodes)[0]),)
            )
            assert not elsewhere
            chips = int(job.n_nodes[p]) * world.pools[p].chips_per_node
            done_s = (ledger.chip_s[run, j, p, TRAIN] - slow[run, j, p, TRAIN]) / chips
            if math.isfinite(ledger.end_s[run, j]):
                assert done_s == pytest.approx(job.train_s[p], rel=1e-9)
            assert done_s <= job.train_s[p] * (1 + 1e-9)


def check_spans(ledger: Ledger, world: World) -> None:
    """Check that the timeline of the first run adds up to the books, and does not overlap.

    Chips that wait beside others that train, save or restart are blocked in the same time.
    """
    assert ledger.spans is not None
    check_timeline(ledger)
    for j in range(len(world.jobs)):
        mine = [span for span in ledger.spans if span.job == j]
        for own in ([s for s in mine if (s.phase == BLOCKED) == waits] for waits in (True, False)):
            for one, other in pairwise(own):
                assert one.end_s <= other.start_s + 1e-6, (one, other)
        for phase in (TRAIN, SAVE, LOST, RESTART):
            told_s = sum(s.end_s - s.start_s for s in mine if s.phase == phase)
            assert told_s == pytest.approx(ledger.job_s[0, j, phase], rel=1e-9, abs=1e-5), phase
        if mine:
            assert mine[0].start_s == pytest.approx(ledger.first_start_s[0, j])
            until_s = min(ledger.end_s[0, j], ledger.wall_s[0])
            assert max(span.end_s for span in mine) == pytest.approx(until_s)


@given(combined(), st.booleans())
def test_laws_hold_of_every_combination(data, share_spares):
    world = world_of(data, share_spares=share_spares)
    ledger = play(world, data, timeline=True)
    check_chip_seconds(ledger, world)
    check_seconds(ledger, world)
    check_work(ledger, world)
    check_spans(ledger, world)
    assert (ledger.job_s[..., QUEUE] >= 0).all()


# What costs nothing changes nothing


PRIMES = [n for n in range(2, 2000) if all(n % k for k in range(2, math.isqrt(n) + 1))]


def apart(data: Data) -> Data:
    """Return the same with durations none of which is a sum of others, so that nothing ties.

    Then what moves by 1e-12 of itself moves the books by about as much.
    """
    more_min = iter(1e-3 * math.sqrt(prime) for prime in PRIMES)

    def moved(key: str, value: Any, inside: str = "") -> Any:
        if isinstance(value, dict):
            inside = "tiers" if "tiers" in (key, inside) else key
            return {name: moved(name, item, inside) for name, item in value.items()}
        if isinstance(value, list):
            return [moved(key, item) for item in value]
        n, _, unit = str(value).partition(" ")
        scale = {"min": 1.0, "h": 60.0}.get(unit)
        stays = key in ("write", "mtbf", "horizon") or (inside == "tiers" and key == "every")
        if scale is None or stays or not int(n):
            return value
        return f"{int(n) * scale + next(more_min)!r} min"

    return {key: moved(key, value) for key, value in data.items()}


def assert_same(data: Data, one: World, other: World, tolerance: float = 1e-9) -> None:
    """Play two worlds whose faults but the slow ones are the same, and compare their books."""
    books, others = play(one, data), play(other, data)
    scale = float(books.wall_s.max()) * sum(one.n_chips) * tolerance
    pairs = [(books.weighted("slow"), others.weighted("slow"), 1e-5)]
    for name in ("chip_s", "job_s", "first_start_s", "end_s"):
        a, b = getattr(books, name), getattr(others, name)
        np.testing.assert_array_equal(np.isinf(a), np.isinf(b), err_msg=name)
        pairs.append((a[np.isfinite(a)], b[np.isfinite(b)], 0.0))
    for a, b, at_least in pairs:
        np.testing.assert_allclose(a, b, rtol=0, atol=max(scale, at_least))
    both = [name for name in one.kind_names if name in other.kind_names]
    kinds = [[world.kind_names.index(name) for name in both] for world in (one, other)]
    for name in COUNTS.keys() - {"slowdowns"}:
        a, b = books.counts[name], others.counts[name]
        if name in ("interruptions", "idle_faults"):
            a, b = a[:, kinds[0]], b[:, kinds[1]]
        np.testing.assert_array_equal(a, b, err_msg=name)


@given(combined(), st.booleans(), st.integers(0, 90))
def test_a_job_that_needs_all_its_replicas_waits(data, share_spares, resize_min):
    """It never trains with fewer, so there is nothing to resize, whatever that costs."""
    waits = world_of(data, share_spares=share_spares)
    waits = replace(waits, jobs=Jobs([replace(job, shrinking=None) for job in waits.jobs]))
    for job in data["jobs"].values():
        n = job["chips"] // data["sites"]["s"]["pools"][job["home"]]["chips_per_node"]
        resize = f"{resize_min} min"
        job["on_loss"] = {"shrink": {"replicas": n, "least": n, "resize": resize}}
    shrinks = world_of(data, share_spares=share_spares)
    assert_same(data, shrinks, waits)


def without(data: Data, sort: str) -> Data:
    """Return the same without a sort of faults."""
    return {**data, "faults": {n: k for n, k in data["faults"].items() if n[0] != sort}}


@given(combined(), slow_nodes(), st.booleans())
def test_slow_nodes_for_no_time_change_nothing(data, slow, share_spares):
    for job in data["jobs"].values():  # an optimum goes by the faults there are, slow nodes too
        if job["checkpoint"].get("every") == "optimal":
            job["checkpoint"] |= {"every": "1 h", "write": "0 s"}
    data["faults"]["s9"] = slow
    for kind in data["faults"].values():
        if "slows" in kind:
            kind["slows"]["lasts"] = "0 s"
    world = world_of(data, share_spares=share_spares)
    bare = world_of(without(data, "s"), share_spares=share_spares)
    assert_same(data, world, bare)


@given(combined(), st.booleans())
def test_slow_nodes_of_nearly_full_speed_change_next_to_nothing(data, share_spares):
    data = apart(data)
    for job in data["jobs"].values():
        if job["checkpoint"].get("every") == "optimal":
            job["checkpoint"] |= {"every": "1 h", "write": "0 s"}
    data["faults"]["s9"] = {"mtbf": "3 h", "per": "node", "slows": {"to": 1.0, "lasts": "900 min"}}
    for kind in data["faults"].values():
        if "slows" in kind:
            kind["slows"]["to"] = 1 - 1e-12
    world = world_of(data, share_spares=share_spares)
    bare = world_of(without(data, "s"), share_spares=share_spares)
    assert_same(data, world, bare, 1e-8)


@given(combined(), st.booleans())
def test_next_to_no_throttle_changes_next_to_nothing(data, share_spares):
    data = apart(data)
    worlds = []
    for depth in (None, 1e-12):
        for pool in data["sites"]["s"]["pools"].values():
            pool.pop("throttle", None)
            if depth is not None:
                pool["throttle"] = {"diurnal": depth}
        worlds.append(world_of(data, share_spares=share_spares))
    assert_same(data, *worlds, 1e-8)


@given(combined(), st.booleans(), st.lists(st.integers(0, 2), min_size=6, max_size=6))
def test_spares_that_are_ready_at_once_are_plain_spares(data, share_spares, counts):
    worlds = []
    for is_plain in (True, False):
        left = iter(counts)
        for pool in data["sites"]["s"]["pools"].values():
            by_state = {state: next(left) for state in ("hot", "warm", "cold")}
            pool["spares"] = f"{sum(by_state.values())} nodes"
            pool["groups"] = {"rack": "1 nodes"}
            if not is_plain:
                pool["spares"] = {
                    state: {"nodes": f"{n} nodes", "ready": "0 s"} for state, n in by_state.items()
                }
        data["planned"].pop("roll", None)
        worlds.append(world_of(data, share_spares=share_spares))
    assert_same(data, *worlds)


@given(combined(), st.booleans())
def test_crews_for_every_node_are_crews_without_limit(data, share_spares):
    worlds = []
    for n_crews in (None, 99):
        for pool in data["sites"]["s"]["pools"].values():
            pool.pop("crews", None)
            if n_crews:
                pool["crews"] = n_crews
        worlds.append(world_of(data, share_spares=share_spares))
    assert_same(data, *worlds)


@given(combined(), st.integers(1, 120), st.integers(1, 30))
def test_who_never_writes_takes_no_bandwidth(data, every_min, write_min):
    """A job that stands still to save: alone, beside one that never does, or by arithmetic."""
    site, jobs_ = data["sites"]["s"]["pools"], data["jobs"]
    first = next(iter(jobs_))
    saves = {"every": f"{every_min} min", "state": f"{60 * write_min} GB", "keep": 2}
    saved = {**jobs_[first], "checkpoint": {**saves, "bandwidth": "1 GB/s"}}
    never = {
        **next(iter(jobs_.values())),
        "home": "r",
        "checkpoint": {"every": "never", "stall": "0 s", "keep": 2},
    }
    never.pop("on_loss", None)
    site["r"] = {**site[saved["home"]], "spares": "6 nodes"}
    for stop in data["planned"].values():
        stop["pools"] = [saved["home"]]  # a stop on the other would be a save
    data |= {"jobs": {"saves": saved, "never": never}, "policy": "silo"}
    world = world_of(data)
    saving, other = world.jobs
    through = ("s",) * len(world.pools)
    shared = [replace(saving, storage=through), replace(other, storage=through)]
    alone = replace(world, jobs=Jobs([shared[0], other]))
    both = replace(world, jobs=Jobs(shared))
    assert_same(data, both, alone)
    assert_same(data, alone, world)
