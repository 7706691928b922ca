"""Violations of quotas: days played by hand, and an oracle that knows when jobs came and ran."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.event import engine as event
from computeplan.ledger import Ledger
from computeplan.world.world import World

H = 3600.0
U, V, W = 1, 2, 3  # tenants in the order of the scenario, behind jobs without one


def world_of(
    jobs: dict[str, tuple[str, int, float, float]],
    quota: dict[str, int],
    policy: str = "first-fit",
    nodes: int = 8,
) -> World:
    """Return a pool of nodes of two chips; of jobs tenant, nodes, arrival and training [h]."""
    pool = {"chip": "nvidia/h100-sxm", "chips_per_node": 2, "chips": 2 * nodes}
    saves = {"checkpoint": {"every": "1000 h", "stall": "1 min"}}
    written = {
        name: {"tenant": who, "chips": 2 * n, "arrival": f"{at!r} h", "train_for": f"{lasts!r} h"}
        | saves
        for name, (who, n, at, lasts) in jobs.items()
    }
    tenants: dict[str, Any] = {who: {"quota": {"p": 2 * n}} for who, n in quota.items()}
    data = {
        "computeplan": 1,
        "name": "owned",
        "sites": {"s": {"pue": 1, "pools": {"p": pool}}},
        "jobs": written,
        "tenants": tenants | {who: {} for who, *_ in jobs.values() if who not in quota},
        "policy": policy,
        "simulate": {"runs": 1},
    }
    return compile_world(cp.load(data))


def violated(world: World) -> tuple[list[int], list[float], Ledger]:
    """Return violations and chip-hours beyond quotas by tenant, and the ledger."""
    ledger = event.play(world, 0, 0, 1)
    chip_h = ledger.over_quota_chip_s[0] / H
    return ledger.counts["quota_violations"][0].tolist(), chip_h.tolist(), ledger


LATE = {"u": ("u", 8, 0.0, 10.0), "v": ("v", 4, 2.0, 1.0)}


def test_who_holds_what_another_waits_for_violates_its_quota():
    """u holds 8 of 8 nodes, of which 4 are v's own, who waits from 2 h until u's job has ended.

    It saves for a minute before that.
    """
    n, chip_h, _ = violated(world_of(LATE, {"u": 4, "v": 4}))
    assert n == [0, 1, 0]
    assert chip_h == pytest.approx([0, 4 * 2 * (8 + 1 / 60), 0])


def test_under_capacity_a_violation_lasts_one_save():
    n, chip_h, ledger = violated(world_of(LATE, {"u": 4, "v": 4}, "capacity"))
    assert n == [0, 1, 0]
    assert chip_h == pytest.approx([0, 4 * 2 / 60, 0])
    assert ledger.first_start_s[0, 1] == pytest.approx(2 * H + 60)


def test_to_borrow_idle_nodes_is_no_violation():
    """u holds 6 with a quota of 4, v finds room for 2; and later waits for more than its own 4."""
    jobs = {"u": ("u", 6, 0.0, 10.0), "v": ("v", 2, 1.0, 20.0), "more": ("v", 4, 2.0, 1.0)}
    n, chip_h, ledger = violated(world_of(jobs, {"u": 4, "v": 4}))
    assert (n, chip_h) == ([0, 0, 0], [0, 0, 0])
    assert ledger.job_s[0, 2, -1] > 8 * H


def test_a_tenant_without_quota_has_nothing_of_its_own():
    """w holds 2 of 8 nodes, u its own 4; v waits for its 4 of which 2 are free."""
    jobs = {"u": ("u", 4, 0.0, 9.0), "w": ("w", 2, 0.0, 5.0), "v": ("v", 4, 1.0, 1.0)}
    n, chip_h, _ = violated(world_of(jobs, {"u": 4, "v": 4}))
    assert n == [0, 0, 0, 1]
    assert chip_h == pytest.approx([0, 0, 0, 2 * 2 * (4 + 1 / 60)])


def test_each_wait_is_a_violation_of_its_own():
    """u holds 6 with a quota of 4. v waits from 1 h to 2 h, when w's job has ended, and again."""
    jobs = {
        "u": ("u", 6, 0.0, 10.0),
        "w": ("w", 2, 0.0, 2.0),
        "v": ("v", 2, 1.0, 1.0),
        "again": ("v", 4, 5.0, 1.0),
    }
    n, chip_h, _ = violated(world_of(jobs, {"u": 4, "v": 4}))
    assert n == [0, 2, 0, 1]
    first_h, second_h = 1 + 1 / 60, 5 + 1 / 60
    assert chip_h == pytest.approx([0, 2 * 2 * (first_h + second_h), 0, 2 * 2 * first_h])


def test_a_result_has_violations_of_all_and_of_each_tenant():
    data = {
        "computeplan": 1,
        "name": "owned",
        "sites": {"s": {"pue": 1, "pools": {"p": {"chip": "nvidia/h100-sxm", "chips": 64}}}},
        "jobs": {
            "u": {"tenant": "u", "chips": 64, "train_for": "10 h"},
            "v": {"tenant": "v", "chips": 32, "train_for": "1 h", "arrival": "2 h"},
        },
        "simulate": {"runs": 1},
    }
    (case,) = cp.run(cp.load(data)).cases.values()
    assert np.isnan(case.values["n_quota_violations"]).all()
    data["tenants"] = {"u": {"quota": {"p": 32}}, "v": {"quota": {"p": 32}}}
    (case,) = cp.run(cp.load(data)).cases.values()
    assert case.values["n_quota_violations"] == [1.0]
    assert case.values["over_quota_chip_h"] == pytest.approx([32 * 8])
    assert case.tenants["u"]["over_quota_chip_h"] == pytest.approx([32 * 8])
    assert case.tenants["v"]["n_quota_violations"] == [0.0]


@st.composite
def loads(draw):
    """Jobs of three tenants, of which two have quotas that sum to no more than the pool."""
    own = draw(st.integers(0, 8))
    jobs = {
        f"j{i}": (
            draw(st.sampled_from("uvw")),
            draw(st.integers(1, 8)),
            float(draw(st.integers(0, 12))),
            float(draw(st.integers(1, 9))),
        )
        for i in range(draw(st.integers(1, 8)))
    }
    return jobs, {"u": own, "v": 8 - own}


@settings(deadline=None, max_examples=60)
@given(loads(), st.sampled_from(["fifo", "first-fit", "shortest-first", "fifo-backfill"]))
def test_violations_are_those_counted_minute_by_minute(load, policy):
    """An oracle: from when each job came, began and ended, at every time between two of these."""
    jobs, quota = load
    world = world_of(jobs, quota, policy)
    n, chip_h, ledger = violated(world)
    names = [*world.tenants.names]
    begins, ends = ledger.first_start_s[0], ledger.end_s[0]
    times = sorted({0.0, *begins, *ends, *(at * H for _, _, at, _ in jobs.values())})
    n_seen, seen = dict.fromkeys(names, 0), dict.fromkeys(names, 0.0)
    before: set[str] = set()
    for from_s, to_s in itertools.pairwise(times):
        held, free, waits = dict.fromkeys(names, 0), 8, []
        for (who, size, at, _), begin_s, end_s in zip(jobs.values(), begins, ends, strict=True):
            if begin_s <= from_s < end_s:
                held[who] += size
                free -= size
            elif at * H <= from_s < begin_s:
                waits.append((who, size))
        is_wanted = any(free < size <= quota.get(who, 0) - held[who] for who, size in waits)
        over = {who: n - quota.get(who, 0) for who, n in held.items() if n > quota.get(who, 0)}
        now = set(over) if is_wanted else set()
        for who in now:
            seen[who] += over[who] * 2 * (to_s - from_s) / H
            n_seen[who] += who not in before
        before = now
    assert n == [*n_seen.values()]
    assert chip_h == pytest.approx([*seen.values()])


@settings(deadline=None, max_examples=60)
@given(loads())
def test_under_capacity_quotas_are_violated_while_somebody_saves_and_no_longer(load):
    """One save of a minute for each stop, or for a job that ends by itself."""
    n, chip_h, ledger = violated(world_of(*load, policy="capacity"))
    saves_h = (ledger.counts["stays"].sum()) / 60
    assert sum(chip_h) <= 8 * 2 * saves_h * (1 + 1e-9)
    assert not sum(chip_h) or sum(n)
