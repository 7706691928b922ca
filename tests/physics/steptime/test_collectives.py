"""Collectives: volumes by hand, the slowest link of a group, meshes and switches, laws."""

from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.physics.steptime.collectives import (
    Fabric,
    Link,
    Operation,
    collective_s,
    point_to_point_s,
)

GB = 1e9
OPERATIONS = get_args(Operation)
IDEAL = dict.fromkeys(OPERATIONS, Link(frac=1.0, call_s=0.0, rank_s=0.0))

# 8 ranks behind a switch at 100 GB/s, with a NIC of 10 GB/s each; nothing but bytes takes time.
SWITCH = Fabric(8, 100 * GB, 100 * GB, 10 * GB, IDEAL, out_frac=1.0, out_step_s=0.0)
# The same ranks, each with seven links of 20 GB/s.
MESH = dataclasses.replace(SWITCH, up_bytes_per_s=140 * GB, pair_bytes_per_s=20 * GB)

payloads_bytes = st.floats(0.0, 1e11)
groups = st.integers(1, 12).map(lambda power: 2**power)
strides = st.integers(0, 8).map(lambda power: 2**power)
operations = st.sampled_from(OPERATIONS)
rates = st.floats(1e9, 1e12)


@st.composite
def fabrics(draw: st.DrawFn) -> Fabric:
    """Switches and meshes, single servers and racks, with latencies."""
    up = draw(rates)
    domain = draw(st.sampled_from([1, 2, 4, 8, 16, 64, 72, 384]))
    return Fabric(
        domain=domain,
        up_bytes_per_s=up,
        pair_bytes_per_s=draw(st.sampled_from([up, up / max(domain - 1, 1), up / 3])),
        out_bytes_per_s=draw(rates),
        links={
            name: Link(
                draw(st.floats(0.3, 1.0)), draw(st.floats(0, 1e-4)), draw(st.floats(0, 1e-5))
            )
            for name in OPERATIONS
        },
        out_frac=draw(st.floats(0.5, 1.0)),
        out_step_s=draw(st.floats(0, 1e-4)),
        oversubscription=draw(st.floats(1.0, 4.0)),
    )


# Volumes ------------------------------------------------------------------------------------------


def sent_by_a_ring(operation: str, n: int, n_bytes: float) -> float:
    """Return what a rank of a ring sends, chunk by chunk until every rank has what it needs."""
    chunk = n_bytes / n
    if operation == "all_to_all":  # a chunk of its own to each other rank
        return sum(chunk for rank in range(n) if rank != 0)
    has = [{rank} for rank in range(n)]  # all-gather; a reduce-scatter is the same backwards
    sent = 0.0
    while any(len(chunks) < n for chunks in has):
        has = [has[rank] | has[rank - 1] for rank in range(n)]
        sent += chunk  # the newest only
    return 2 * sent if operation == "all_reduce" else sent


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("n", [2, 3, 8])
def test_a_group_in_one_domain_sends_what_a_ring_sends(operation, n):
    sent = sent_by_a_ring(operation, n, 3 * GB)
    found_s = float(collective_s(SWITCH, operation, 3 * GB, n))
    assert found_s == pytest.approx(sent / SWITCH.up_bytes_per_s)


@pytest.mark.parametrize(
    ("operation", "n", "seconds"),
    [
        ("all_reduce", 4, 2 * 3 / 4 * 8 / 100),
        ("all_gather", 8, 7 / 8 * 8 / 100),
        ("reduce_scatter", 8, 7 / 8 * 8 / 100),
        ("all_to_all", 2, 1 / 2 * 8 / 100),
        ("all_reduce", 16, 2 * 15 / 16 * 8 / 80),  # eight NICs are slower than the switch
        ("all_gather", 1024, 1023 / 1024 * 8 / 80),
        ("all_to_all", 16, 8 / 16 * 8 / 10),  # half of it goes out, through a rank's own NIC
    ],
)
def test_8_gb_take_what_hand_arithmetic_says(operation, n, seconds):
    assert float(collective_s(SWITCH, operation, 8 * GB, n)) == pytest.approx(seconds)


@given(fabrics(), operations, payloads_bytes, strides)
def test_a_group_of_one_takes_no_time(fabric, operation, n_bytes, stride):
    assert float(collective_s(fabric, operation, n_bytes, 1, stride)) == 0.0


@given(fabrics(), payloads_bytes, groups, strides)
def test_an_all_reduce_is_a_reduce_scatter_and_an_all_gather(fabric, n_bytes, n, stride):
    """Where all three use the links alike and nothing but bytes takes time."""
    ideal = dataclasses.replace(fabric, links=IDEAL, out_step_s=0.0)
    whole, scatter, gather = (
        float(collective_s(ideal, operation, n_bytes, n, stride))
        for operation in ("all_reduce", "reduce_scatter", "all_gather")
    )
    assert whole == pytest.approx(scatter + gather, rel=1e-12)


# Rates --------------------------------------------------------------------------------------------


def group_rate(fabric, operation, n, stride):
    """Return the rate at which a ring through a group runs, where nothing but bytes takes time."""
    found_s = float(collective_s(fabric, operation, GB, n, stride))
    return pytest.approx(sent_by_a_ring(operation, n, GB) / found_s)


@pytest.mark.parametrize(
    ("n", "stride", "gb_per_s"),
    [
        (8, 1, 100),  # inside: the switch
        (64, 1, 80),  # eight ranks in a server and their NICs
        (64, 2, 40),
        (64, 4, 20),
        (64, 8, 10),  # every rank in another server: a NIC each
        (64, 64, 10),
        (4, 2, 100),
        (2, 8, 10),
    ],
)
def test_a_group_of_servers_runs_at_its_nics_rate(n, stride, gb_per_s):
    assert group_rate(SWITCH, "all_gather", n, stride) == gb_per_s * GB


def test_a_group_of_servers_runs_at_the_switch_rate_if_nics_are_faster():
    fast = dataclasses.replace(SWITCH, out_bytes_per_s=50 * GB)
    assert group_rate(fast, "all_gather", 64, 1) == 100 * GB
    assert group_rate(fast, "all_gather", 64, 8) == 50 * GB


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("domain", "stride"), [(1, 1), (8, 8), (8, 64)])
def test_a_rank_alone_in_its_domain_needs_its_nic_only(operation, domain, stride):
    """Also of chips that have no links to others, whose rate may be any number."""
    no_links = dataclasses.replace(SWITCH, domain=domain, up_bytes_per_s=1.0, pair_bytes_per_s=1.0)
    expected_s = sent_by_a_ring(operation, 16, 8 * GB) / (10 * GB)
    found_s = float(collective_s(no_links, operation, 8 * GB, 16, stride))
    assert found_s == pytest.approx(expected_s)


@pytest.mark.parametrize(("n", "links"), [(2, 1), (4, 3), (8, 7)])
def test_a_group_in_a_mesh_has_only_the_links_among_its_ranks(n, links):
    assert group_rate(MESH, "all_reduce", n, 1) == links * 20 * GB
    assert group_rate(SWITCH, "all_reduce", n, 1) == 100 * GB


def test_a_message_uses_one_link_inside_and_one_nic_outside():
    both_s = point_to_point_s(MESH, 1 * GB, crosses=np.array([False, True]))
    assert both_s == pytest.approx([1 / 20, 1 / 10])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_latency_is_a_call_its_ranks_and_a_step_for_every_doubling_of_domains(operation):
    links = dict.fromkeys(OPERATIONS, Link(frac=1.0, call_s=30e-6, rank_s=2e-6))
    late = dataclasses.replace(SWITCH, links=links, out_step_s=10e-6)
    latencies_s = collective_s(late, operation, 0.0, np.array([1, 2, 8, 16, 64]))
    assert latencies_s == pytest.approx([0, 32e-6, 44e-6, 54e-6, 74e-6])
    assert float(collective_s(late, operation, 0.0, 8, stride=8)) == pytest.approx(60e-6)


# Laws ---------------------------------------------------------------------------------------------

FASTER = {
    "scale-up": lambda fabric, factor: {"up_bytes_per_s": fabric.up_bytes_per_s * factor},
    "pair": lambda fabric, factor: {
        "pair_bytes_per_s": min(fabric.pair_bytes_per_s * factor, fabric.up_bytes_per_s)
    },
    "NIC": lambda fabric, factor: {"out_bytes_per_s": fabric.out_bytes_per_s * factor},
    "core": lambda fabric, factor: {"oversubscription": fabric.oversubscription / factor},
    "latency": lambda fabric, factor: {"out_step_s": fabric.out_step_s / factor},
}


@pytest.mark.parametrize("what", FASTER)
@given(fabrics(), operations, payloads_bytes, groups, strides, st.floats(1.01, 10.0))
def test_faster_links_never_slow_anything(what, fabric, operation, n_bytes, n, stride, factor):
    faster = dataclasses.replace(fabric, **FASTER[what](fabric, factor))
    before_s, after_s = (
        float(collective_s(links, operation, n_bytes, n, stride)) for links in (fabric, faster)
    )
    assert after_s <= before_s * (1 + 1e-12)
    before_s, after_s = (
        point_to_point_s(links, n_bytes, crosses=np.array([False, True]))
        for links in (fabric, faster)
    )
    assert (after_s <= before_s * (1 + 1e-12)).all()


@given(fabrics(), operations, payloads_bytes, groups, strides, st.floats(1.0, 10.0))
def test_more_bytes_are_never_faster(fabric, operation, n_bytes, n, stride, factor):
    less_s, more_s = collective_s(fabric, operation, n_bytes * np.array([1, factor]), n, stride)
    assert less_s <= more_s * (1 + 1e-12)


@given(fabrics(), operations, payloads_bytes, groups, strides, st.floats(1.01, 10.0))
def test_oversubscription_is_never_faster(fabric, operation, n_bytes, n, stride, factor):
    core = dataclasses.replace(fabric, oversubscription=fabric.oversubscription * factor)
    assert core.out_rate == pytest.approx(fabric.out_rate / factor)
    before_s, after_s = (
        float(collective_s(links, operation, n_bytes, n, stride)) for links in (fabric, core)
    )
    assert before_s <= after_s * (1 + 1e-12)


@given(fabrics(), operations, payloads_bytes, groups, strides)
def test_neighbours_never_take_longer_than_ranks_far_apart(fabric, operation, n_bytes, n, stride):
    """Behind a switch: in a mesh, neighbours have only their own links and may be better apart.

    Links inside a domain are as fast as the NICs of its ranks or faster.
    """
    switch = dataclasses.replace(
        fabric,
        pair_bytes_per_s=fabric.up_bytes_per_s,
        out_bytes_per_s=min(fabric.out_bytes_per_s, fabric.up_bytes_per_s * 0.3 / fabric.domain),
        links=IDEAL,
    )
    near_s, far_s = collective_s(switch, operation, n_bytes, n, np.array([stride, 2 * stride]))
    assert near_s <= far_s * (1 + 1e-12)


@given(fabrics(), operations, payloads_bytes)
def test_takes_arrays_as_gladly_as_numbers(fabric, operation, n_bytes):
    sizes, apart = np.array([1, 2, 8, 64, 512]), np.array([[1], [4], [8], [32]])
    together_s = collective_s(fabric, operation, n_bytes, sizes, apart)
    assert together_s.shape == (4, 5)
    for i, stride in enumerate(apart[:, 0]):
        for j, n in enumerate(sizes):
            assert together_s[i, j] == collective_s(fabric, operation, n_bytes, n, stride)
