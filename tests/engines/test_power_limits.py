"""Power limits of sites: never exceeded, work conserved, batteries return what they took."""

import math
from dataclasses import replace

import numpy as np
import pytest
from agreement.test_combinations import combined
from engines.test_power_caps import FAULT, HOUR_S, NODE, RESTARTS, SAVES, watts
from engines.test_power_caps import played as played_with_faults
from hypothesis import given
from hypothesis import strategies as st
from worlds import check

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import event
from computeplan.ledger import BLOCKED, IDLE, LOST, RESTART, SAVE, TRAIN
from computeplan.metrics import by_site, measure
from computeplan.results.power_series import power_of
from computeplan.results.window import counted_to
from computeplan.scheduling.policies.queueing import most_headroom
from computeplan.world.limits import Battery, PowerLimit
from computeplan.world.signals import Signal

FLAT = Signal(np.zeros(1), np.ones(1))


def world_of(
    jobs, n_nodes=4, saves=None, faults=None, horizon=None, priorities=(), rigid=(), policy="fifo"
):
    """Return a pool of nodes of one chip and jobs (arrival, nodes, work) [s], without a limit.

    Where they save, all are elastic down to one node, but for those that are rigid.
    """
    pool = {"chip": "nvidia/h100-sxm", "chips_per_node": 1, "chips": n_nodes, "power": NODE}
    data = {
        "computeplan": 1,
        "name": "limited",
        "sites": {"s": {"pue": 1.25, "pools": {"p": pool}}},
        "faults": faults or {},
        "jobs": {
            f"j{i}": {
                "arrival": f"{arrival} s",
                "chips": nodes,
                "train_for": f"{work} s",
                "checkpoint": saves or {"every": "never"},
                **({"priority": priorities[i]} if priorities else {}),
                **elastic(nodes, i not in rigid and saves is not None and "stall" in saves),
            }
            for i, (arrival, nodes, work) in enumerate(jobs)
        },
        "policy": policy,
        **({"simulate": {"horizon": horizon}} if horizon else {}),
    }
    return compile_world(cp.load(data))


def elastic(n_nodes, can):
    """Return the keys of a job that can do with one node, or of one that cannot."""
    return {"elastic": {"replicas": n_nodes, "least": 1, "resize": "20 s"}} if can else {}


def full_w(world, pool=0):
    """Return what the site of a pool draws if all nodes train. [W]"""
    held = [one.n_nodes + one.n_spare_nodes for one in world.pools]
    return world.draw_w([n if p == pool else 0 for p, n in enumerate(held)])


def limited(world, frac, over_time=FLAT, yields="slow", battery=None):
    """Return the world with a limit as a share of what lies between all idle and all training."""
    idle_w = world.draw_w([0])
    limit_w = idle_w + frac * (full_w(world) - idle_w)
    return replace(world, limits=(PowerLimit("s", (0,), limit_w, over_time, yields, battery),))


def hourly(*values):
    """Return a signal that changes each hour."""
    return Signal(np.arange(len(values)) * HOUR_S, np.array(values))


def played(world, seed=3):
    """Return the checked books of one run, and the power of its site."""
    ledger = event.play(world, seed, 0, 1, timeline=True)
    check(ledger, world)
    (series,) = power_of(ledger, world).values()
    return ledger, series


# -- by hand ---------------------------------------------------------------------------------------


def test_half_of_the_power_is_half_of_the_speed():
    """4 nodes of 4: the limit is what 4 nodes draw at half of the power of training."""
    world = world_of([(0, 4, 1000)])
    half = replace(world, limits=(PowerLimit("s", (0,), full_w(world) / 2, FLAT, "slow"),))
    ledger, series = played(half)
    assert ledger.end_s[0, 0] == pytest.approx(2000)
    assert series.total_w.tolist() == pytest.approx([full_w(world) / 2])
    assert ledger.peak_w[0] == pytest.approx(full_w(world) / 2)


def test_what_is_idle_draws_first_and_the_rest_is_shared_alike():
    """1 and 2 nodes of 4 train; the fourth is idle. The second job begins at 500 s."""
    world = world_of([(0, 1, 1000), (500, 2, 1000)])
    train_w, idle_w = watts(world, TRAIN), watts(world, IDLE)
    limit = PowerLimit("s", (0,), 2 * train_w + 2 * idle_w, FLAT, "slow")
    ledger, series = played(replace(world, limits=(limit,)))
    share = (2 * train_w + idle_w) / (3 * train_w)
    first_s = 500 + 500 / share
    assert ledger.end_s[0].tolist() == pytest.approx(
        [first_s, first_s + 1000 - (first_s - 500) * share]
    )
    wanted = [train_w + 3 * idle_w, 2 * train_w + 2 * idle_w, 2 * train_w + 2 * idle_w]
    assert series.total_w.tolist() == pytest.approx(wanted)


def test_speed_follows_the_steps_of_a_limit():
    """Full in the first hour, half in the second, full again: an hour at half brings half."""
    world = world_of([(0, 4, 3 * HOUR_S)])
    limit = PowerLimit("s", (0,), full_w(world), hourly(1, 0.5, 1), "slow")
    ledger, series = played(replace(world, limits=(limit,)))
    assert ledger.end_s[0, 0] == pytest.approx(3.5 * HOUR_S)
    assert series.edges_s.tolist() == pytest.approx([0, HOUR_S, 2 * HOUR_S, 3.5 * HOUR_S])


def test_who_pauses_saves_and_comes_back():
    """Two jobs of 2 nodes; in the second hour there is power for one: the other saves, 5 s."""
    saves = {"every": "1 d", "stall": "5 s"}
    world = world_of([(0, 2, 9000)] * 2, saves=saves, priorities=(1, 2), rigid=(0, 1))
    train_w, idle_w = watts(world, TRAIN), watts(world, IDLE)
    low = (2 * train_w + 2 * idle_w) / (4 * train_w)
    limit = PowerLimit("s", (0,), 4 * train_w, hourly(1, low, 1), "pause")
    ledger, series = played(replace(world, limits=(limit,)))
    assert ledger.counts["stays"][0].tolist() == [2, 1]
    save_w = watts(world, SAVE)
    share = (low * 4 * train_w) / (4 * train_w)  # for all, until the save is complete
    other_s = 9000 + 5 * (1 - share)
    assert ledger.end_s[0, 1] == pytest.approx(other_s + 5)
    assert ledger.end_s[0, 0] == pytest.approx(2 * HOUR_S + 9000 - HOUR_S + 5)
    assert series.total_w[1] == pytest.approx(
        2 * share * train_w + 2 * min(save_w, share * train_w)
    )
    assert series.total_w[2] == pytest.approx(2 * train_w + 2 * idle_w)


def held_over_time(ledger, job):
    """Return the nodes with which a job trained, one after another."""
    spans = [s for s in ledger.spans if s.job == job and s.phase == TRAIN]
    held = [s.n_chips for s in sorted(spans, key=lambda s: s.start_s)]
    return [n for i, n in enumerate(held) if i == 0 or n != held[i - 1]]


@pytest.mark.parametrize("yields", ["pause", "shrink"])
def test_under_shrink_elastic_jobs_give_way_before_what_must_leave(yields):
    """In the second hour there is power for 3 of 4 nodes: one of the elastic, or all of the rigid.

    The elastic job has the higher priority. It saves for 5 s and has another size after 20 s; at
    the end of the hour it has its node back, saves and resizes again, and saves at its end.
    """
    saves = {"every": "1 d", "stall": "5 s"}
    world = world_of([(0, 2, 9000)] * 2, saves=saves, priorities=(2, 1), rigid=(1,))
    train_w, idle_w = watts(world, TRAIN), watts(world, IDLE)
    low = (3 * train_w + idle_w) / (4 * train_w)
    limit = PowerLimit("s", (0,), 4 * train_w, hourly(1, low, 1), yields)
    ledger, series = played(replace(world, limits=(limit,)))
    check_limit(ledger, series, limit)
    other_s = 9000 + 5 + 5 * (1 - low)  # who stays is slow until the save is complete
    if yields == "pause":
        assert ledger.counts["stays"][0].tolist() == [1, 2]
        assert ledger.end_s[0].tolist() == pytest.approx([other_s, 2 * HOUR_S + 5400 + 5])
        return
    assert ledger.counts["stays"][0].tolist() == [1, 1]
    assert held_over_time(ledger, 0) == [2, 1, 2]
    left_s = 5400 - (HOUR_S - 25) / 2
    wanted_s = [2 * HOUR_S + 25 + left_s + 5, other_s]
    assert ledger.end_s[0].tolist() == pytest.approx(wanted_s)


def test_the_least_priority_shrinks_first_and_what_cannot_shrink_leaves_last():
    """Jobs of 4, 4, 4, 2 and 2 nodes; power for 16, 11, 4, 10 and 16 nodes, hour by hour.

    For 11 the first two elastic ones shrink to 1 and 2, though the rigid ones are of the least
    priority. For 4 all elastic ones are down to 1, and both rigid ones leave. For 10 these come
    back before anybody grows; what is left goes to the elastic one that would give way last.
    """
    world = world_of(
        [(0, 4, 9 * HOUR_S)] * 3 + [(0, 2, 9 * HOUR_S)] * 2, n_nodes=16, rigid=(3, 4),
        saves={"every": "1 d", "stall": "5 s"}, priorities=(1, 2, 3, 0, 0),
    )  # fmt: skip
    train_w, idle_w = watts(world, TRAIN), watts(world, IDLE)
    powered = np.array([16, 11, 4, 10, 16])
    signal = Signal(np.arange(5) * HOUR_S, powered * train_w + (16 - powered) * idle_w)
    world = replace(world, limits=(PowerLimit("s", (0,), 1.0, signal, "shrink"),))
    ledger, series = played(world)
    check_limit(ledger, series, world.limits[0])
    assert [held_over_time(ledger, job) for job in range(5)] == [
        [4, 1, 4], [4, 2, 1, 4], [4, 1, 4], [2], [2],
    ]  # fmt: skip
    assert ledger.counts["stays"][0].tolist() == [1, 1, 1, 2, 2]


def test_a_battery_bridges_what_is_lacking_as_long_as_it_lasts():
    """An hour of surplus fills it at 80 %; the hour that lacks takes it until it is empty."""
    world = world_of([(HOUR_S, 4, 2 * HOUR_S)])
    train_w, idle_w = watts(world, TRAIN), watts(world, IDLE)
    limit_w, battery = 3 * train_w, Battery(1e12, 0.5 * train_w, 0.8)
    limit = PowerLimit("s", (0,), limit_w, FLAT, "slow", battery)
    ledger, series = played(replace(world, limits=(limit,)))
    assert 3 * train_w - 4 * idle_w > battery.power_w  # so it charges at most
    taken_j = 0.5 * train_w * HOUR_S
    lasts_s = 0.8 * taken_j / (0.5 * train_w)  # and gives at most: 3.5 of 4 are there
    left_s = 2 * HOUR_S - lasts_s * 3.5 / 4
    assert ledger.end_s[0, 0] == pytest.approx(HOUR_S + lasts_s + left_s / 0.75)
    assert ledger.battery_j[0, 0].tolist() == pytest.approx([taken_j, 0.8 * taken_j, 0.0], abs=1.0)
    assert series.taken_w.tolist() == pytest.approx(
        [4 * idle_w + 0.5 * train_w, 3 * train_w, 3 * train_w]
    )


@pytest.mark.parametrize("left", [0.0, 0.5])
def test_without_power_nodes_are_switched_off_and_jobs_wait(left):
    """An hour without sun, or with half of what idle nodes draw, after half an hour of training.

    The job saves, leaves, and comes back when the sun does. Nothing is drawn but what there is.
    """
    world = world_of([(0, 4, HOUR_S)], saves={"every": "1 h", "stall": "5 s"})
    train_w, idle_w = watts(world, TRAIN), watts(world, IDLE)
    sun = Signal(np.array([0.0, 0.5, 1.5]) * HOUR_S, np.array([1.0, left * idle_w / train_w, 1.0]))
    limit = PowerLimit("s", (0,), 4 * train_w, sun, "pause")
    ledger, series = played(replace(world, limits=(limit,)))
    check_limit(ledger, series, limit)
    assert ledger.end_s[0, 0] == pytest.approx(2 * HOUR_S + 5)  # and the save of an hour's work
    at = np.searchsorted(series.edges_s, HOUR_S) - 1
    assert series.total_w[at] == pytest.approx(left * 4 * idle_w)
    found = counted_to(by_site(ledger, world), np.ones(1), ledger.wall_s)
    drawn_j = float(series.seconds @ series.total_w)
    assert found["energy_kwh"][0] * 3.6e6 == pytest.approx(drawn_j, rel=1e-9)
    assert found["energy_floor_kwh"][0] <= found["energy_kwh"][0]


def test_after_a_run_idle_nodes_draw_no_more_than_the_limit_leaves():
    """Power for 8 h of 24, half of what idle nodes draw for 4 h more, at a PUE and a price by hour.

    The oracle goes from hour to hour.
    """
    world = world_of([(0, 4, HOUR_S)], saves={"every": "1 h", "stall": "5 s"})
    train_w, idle_w = watts(world, TRAIN), watts(world, IDLE)
    half_frac = 0.5 * idle_w / train_w
    sun = Signal(np.array([0.0, 8.0, 12.0]) * HOUR_S, np.array([1.0, half_frac, 0.0]), 24 * HOUR_S)
    pue = Signal(np.array([0.0, 6.0]) * HOUR_S, np.array([1.0, 1.1]), 12 * HOUR_S)
    cost = Signal(np.array([0.0, 10.0]) * HOUR_S, np.array([0.5, 1.5]), 24 * HOUR_S)
    pool = replace(world.pools[0], money_per_j=0.5 / 3.6e6, demand_money_per_w_month=0.03)
    signals = {"energy": (pue,), "cost": (cost,)}
    limit = PowerLimit("s", (0,), 4 * train_w, sun, "pause")
    world = replace(world, pools=(pool,), signals=signals)
    ledger, _ = played(replace(world, limits=(limit,)))
    later = by_site(ledger, replace(world, limits=(limit,))).idle_per_day
    kwh, money, highest_w = 0.0, 0.0, 0.0
    for hour in range(24):
        pue_frac = 1.1 if hour % 12 >= 6 else 1.0
        limit_w = 4 * train_w if hour < 8 else 2 * idle_w if hour < 12 else 0.0
        drawn_w = min(4 * idle_w * pue_frac, limit_w)
        kwh += drawn_w / 1e3
        money += drawn_w / pue_frac / 1e3 * 0.5 * (0.5 if hour < 10 else 1.5)
        highest_w = max(highest_w, drawn_w / pue_frac)
    assert later["energy_kwh"][0, 0] == pytest.approx(kwh)
    assert later["energy_floor_kwh"][0, 0] == pytest.approx(kwh)
    assert later["electricity_usd"][0, 0] == pytest.approx(money)
    # the charge is of what is drawn at most, at the mean PUE, and so it is without dark hours
    without = by_site(ledger, world).idle_per_day
    assert highest_w == pytest.approx(4 * idle_w)
    assert later["demand_usd"] == pytest.approx(without["demand_usd"])
    assert without["energy_kwh"][0, 0] == pytest.approx(4 * idle_w * 24 * 1.05 / 1e3)


def test_a_battery_that_is_empty_lets_jobs_stand_still():
    """No sun for an hour: the battery gives all for half of it; then the job holds its nodes."""
    world = world_of([(0, 4, 3 * HOUR_S)])
    train_w = watts(world, TRAIN)
    sun, battery = hourly(2.0, 0.0, 1.0), Battery(2 * train_w * HOUR_S, 4 * train_w, 1.0)
    limit = PowerLimit("s", (0,), 4 * train_w, sun, "slow", battery)
    ledger, series = played(replace(world, limits=(limit,)))
    check_limit(ledger, series, limit)
    assert ledger.end_s[0, 0] == pytest.approx(3.5 * HOUR_S, rel=1e-6)
    at = np.searchsorted(series.edges_s, 1.75 * HOUR_S) - 1
    assert series.total_w[at] == pytest.approx(0.0, abs=1e-9)
    assert ledger.job_s[0, 0, TRAIN] == pytest.approx(3 * HOUR_S)
    assert ledger.job_s[0, 0, BLOCKED] == pytest.approx(0.5 * HOUR_S)
    assert measure(ledger, world)["ettr"][0] == pytest.approx(3 / 3.5)


def test_time_without_power_brings_no_training_no_save_and_no_idle_draw():
    """Dark from 0.5 h to 1.5 h: 2 h of training, saved each 1000 s; in the dark nothing happens.

    Training goes on for 2 h in all, in stretches of 1800 s and 5400 s, with 1 and 5 saves of 50 s
    (the last at the end): the one under way when it gets dark is made anew, a whole interval later.
    """
    world = world_of([(0, 4, 2 * HOUR_S)], saves={"every": "1000 s", "stall": "50 s"}, rigid=(0,))
    train_w, idle_w = watts(world, TRAIN), watts(world, IDLE)
    sun = Signal(np.array([0.0, 0.5, 1.5]) * HOUR_S, np.array([1.0, 0.0, 1.0]))
    limit = PowerLimit("s", (0,), 4 * train_w, sun, "slow", Battery(1.0, 1.0, 1.0))
    world = replace(world, limits=(limit,))
    ledger, series = played(world)
    check_limit(ledger, series, limit)
    assert ledger.job_s[0, 0, TRAIN] == pytest.approx(2 * HOUR_S)
    assert ledger.job_s[0, 0, BLOCKED] == pytest.approx(HOUR_S)
    n_saves = 1 + math.ceil((2 * HOUR_S - (0.5 * HOUR_S - 50)) / 1000)
    assert ledger.job_s[0, 0, SAVE] == pytest.approx(50 * n_saves)
    assert ledger.end_s[0, 0] == pytest.approx(3 * HOUR_S + 50 * n_saves)
    found = counted_to(by_site(ledger, world), np.ones(1), ledger.wall_s)
    lit_s = ledger.end_s[0, 0] - HOUR_S
    assert found["energy_floor_kwh"][0] == pytest.approx(4 * idle_w * lit_s / 3.6e6)


def test_what_is_left_of_a_restart_comes_after_the_dark(monkeypatch):
    """A fault at 500 s costs all training and a restart of 300 s; dark from 600 to 4200 s.

    200 s of the restart are left then, and the whole hour of training, which saves at its end.
    """
    saves = {"every": "1 h", "stall": "5 s"}
    free = world_of([(0, 4, HOUR_S)], saves=saves, faults=RESTARTS, rigid=(0,))
    sun = Signal(np.array([0.0, 600.0, 4200.0]), np.array([1.0, 0.0, 1.0]))
    battery = Battery(1.0, 1.0, 1.0)
    limit = PowerLimit("s", (0,), 4 * watts(free, TRAIN), sun, "slow", battery)
    world = replace(free, limits=(limit,))
    ledger = played_with_faults(world, monkeypatch, [(500.0, 0, 1, False, 300.0, 0.0)])
    assert ledger.end_s[0, 0] == pytest.approx(4200 + 200 + HOUR_S + 5)
    seconds = ledger.job_s[0, 0, [TRAIN, LOST, SAVE, RESTART, BLOCKED]]
    assert seconds.tolist() == pytest.approx([HOUR_S, 500, 5, 300, 3600])


@pytest.mark.parametrize("is_hourly", [False, True])
def test_what_a_battery_loses_is_drawn_and_paid(is_hourly):
    """It takes at half a node for an hour, gives back 80 %, and is paid at the price of the time.

    Charging costs half the price; while it gives, at the whole price and a third less carbon.
    """
    world = world_of([(HOUR_S, 4, 2 * HOUR_S)])
    train_w = watts(world, TRAIN)
    limit = PowerLimit("s", (0,), 3 * train_w, FLAT, "slow", Battery(1e12, 0.5 * train_w, 0.8))
    pool = replace(world.pools[0], money_per_j=0.5 / 3.6e6, kg_per_j=0.4 / 3.6e6)
    pool = replace(pool, demand_money_per_w_month=0.03)
    price = hourly(0.5, 1.0) if is_hourly else hourly(1.0)
    carbon = hourly(1.5, 1.0) if is_hourly else hourly(1.0)
    pue = hourly(1.0, 1.0)
    signals = {"energy": (pue,), "cost": (price,), "carbon": (carbon,)} if is_hourly else {}
    world = replace(world, limits=(limit,), pools=(pool,), signals=signals)
    ledger, series = played(world)
    taken_kwh = 0.5 * train_w * HOUR_S / 3.6e6
    found = counted_to(by_site(ledger, world), np.ones(1), ledger.wall_s)
    assert found["energy_battery_kwh"][0] == pytest.approx(0.2 * taken_kwh)
    nodes_kwh = found["energy_jobs_kwh"] + found["energy_idle_kwh"]
    assert found["energy_kwh"][0] == pytest.approx(nodes_kwh[0] + 0.2 * taken_kwh)
    from_outside_j = float(series.taken_w @ series.seconds)
    assert found["energy_kwh"][0] * 3.6e6 == pytest.approx(from_outside_j, rel=1e-9)
    # nodes draw 4 in training, the site takes 3
    assert ledger.month_peak_w[0, 0].tolist() == pytest.approx([3 * train_w])
    assert series.taken_w.max() == pytest.approx(3 * train_w)
    stored = by_site(ledger, world).batteries
    paid = (0.5 - 0.8) if is_hourly else 0.2
    assert stored["electricity_usd"][0, 0] == pytest.approx(0.5 * taken_kwh * paid)
    assert stored["cost_usd"][0, 0] == pytest.approx(0.5 * taken_kwh * paid)
    emitted = (1.5 - 0.8) if is_hourly else 0.2
    assert stored["carbon_kg"][0, 0] == pytest.approx(0.4 * taken_kwh * emitted)


def test_what_is_left_in_a_battery_is_not_lost():
    """It takes at half a node for an hour, loses 20 % of it, and is never asked for the rest."""
    world = world_of([(0, 1, HOUR_S)])
    train_w = watts(world, TRAIN)
    limit = PowerLimit("s", (0,), 3 * train_w, FLAT, "slow", Battery(1e12, 0.5 * train_w, 0.8))
    ledger, series = played(replace(world, limits=(limit,)))
    found = counted_to(by_site(ledger, replace(world, limits=(limit,))), np.ones(1), ledger.wall_s)
    taken_kwh = 0.5 * train_w / 1e3
    assert found["energy_battery_kwh"][0] == pytest.approx(0.2 * taken_kwh)
    assert found["energy_stored_kwh"][0] == pytest.approx(0.8 * taken_kwh)
    from_outside_j = float(series.taken_w @ series.seconds)
    assert found["energy_kwh"][0] * 3.6e6 == pytest.approx(from_outside_j, rel=1e-9)


def test_jobs_go_where_the_most_power_is_left():
    """Site a has room for 3 nodes of 4, and for 1 from 1 h; b for 2; jobs of one node come in turn.

    3 | 2: a; 2 | 2: a, which is the first; 1 | 2: b; and after 1 h -1 | 1: b, which is full then.
    """
    pool = {"chip": "nvidia/h100-sxm", "chips_per_node": 1, "chips": 4, "power": NODE}
    job = {"chips": 1, "train_for": "5 h", "checkpoint": {"every": "never"}}
    data = {
        "computeplan": 1,
        "name": "placed",
        "sites": {site: {"pue": 1.25, "pools": {f"p{site}": pool}} for site in "ab"},
        "jobs": {f"j{i}": job | {"arrival": f"{at} s"} for i, at in enumerate([0, 9, 18, 4000])},
    }
    free = compile_world(cp.load(data))
    train_w, idle_w = watts(free, TRAIN), watts(free, IDLE)
    rooms = (np.array([3, 1]), np.array([2, 2]))
    limits = tuple(
        PowerLimit(site, (p,), 1.0, Signal(np.arange(2) * HOUR_S, n * train_w + (4 - n) * idle_w),
                   "slow")
        for p, (site, n) in enumerate(zip("ab", rooms, strict=True))
    )  # fmt: skip
    seen = []

    def policy(view):
        seen.append((view.now_s, list(view.headroom_w)))
        return most_headroom(view)

    ledger = event.play(replace(free, limits=limits, decide=policy), 0, 0, 1, timeline=True)
    check(ledger, replace(free, limits=limits))
    more_w = train_w - idle_w
    wanted = {0: (3, 2), 9: (2, 2), 18: (1, 2), 4000: (-1, 1)}
    told = dict(reversed(seen))  # before anybody has started
    for at, (a, b) in wanted.items():
        assert told[at] == pytest.approx([a * more_w, b * more_w]), at
    where = {s.job: s.pool for s in ledger.spans if s.phase == TRAIN}
    assert where == {0: 0, 1: 0, 2: 1, 3: 1}


# -- laws ------------------------------------------------------------------------------------------

sizes = st.lists(
    st.tuples(st.integers(0, 9000), st.integers(1, 4), st.integers(1, 9000)), min_size=1, max_size=6
)
runs = st.sampled_from([({"every": "never"}, {}), (SAVES, {}), (SAVES, {"f": FAULT})])
policies = st.sampled_from(["fifo", "fifo-backfill", "elastic-fifo"])
steps = st.lists(st.floats(0.02, 1.3), min_size=1, max_size=8)
batteries = st.one_of(
    st.none(), st.builds(Battery, st.floats(1e4, 1e8), st.floats(50.0, 5e3), st.floats(0.3, 1.0))
)


def over_time(world, fracs, period=False):
    """Return a limit that steps through shares of the way from idle to training, hour by hour."""
    idle_w, top_w = world.draw_w([0]), full_w(world)
    watts_w = idle_w + np.array(fracs) * (top_w - idle_w)
    times_s = np.arange(len(fracs)) * HOUR_S
    return Signal(times_s, watts_w, len(fracs) * HOUR_S if period else math.inf)


def check_limit(ledger, series, limit):
    """Check that what is taken from outside is never above the limit, at any moment."""
    begins_s = series.edges_s[:-1]
    most_w = limit.limit_w * limit.over_time.at(begins_s)
    assert series.limit_w.tolist() == most_w.tolist()
    rounding_w = 1e-9 * series.total_w.max()  # of sums in which a battery gives what nodes draw
    assert (series.taken_w <= most_w * (1 + 1e-9) + rounding_w).all()
    cuts_s = limit.over_time.steps_s(0.0, float(ledger.wall_s[0]))
    at = np.searchsorted(series.edges_s, cuts_s, side="right") - 1
    cut_w = limit.limit_w * limit.over_time.at(cuts_s)
    assert (series.taken_w[at] <= cut_w * (1 + 1e-9) + rounding_w).all()


@given(
    jobs=sizes, run=runs, fracs=steps, repeats=st.booleans(), battery=batteries,
    yields=st.sampled_from(["slow", "shrink", "pause"]), policy=policies, n_dark=st.integers(0, 3),
    left_frac=st.sampled_from([0.0, 0.3, 1.0]),
)  # fmt: skip
def test_a_limit_is_never_exceeded_and_all_work_is_done(
    jobs, run, fracs, repeats, battery, yields, policy, n_dark, left_frac
):
    saves, faults = run
    world = world_of(jobs, saves=saves, faults=faults, policy=policy)
    if yields != "slow":  # else a job may never start
        fracs = [*fracs, 1.05]
    signal = over_time(world, fracs, repeats)
    if yields != "slow" or battery is not None:  # then there may be less than idle nodes draw
        dark_w = np.where(
            np.arange(len(fracs)) % 3 == n_dark, left_frac * world.draw_w([0]), np.inf
        )
        watts_w = np.minimum(signal.values_frac, dark_w)
        watts_w[-1] = signal.values_frac[-1]
        signal = replace(signal, values_frac=watts_w)
    limit = PowerLimit("s", (0,), 1.0, signal, yields, battery)
    world = replace(world, limits=(limit,))
    ledger, series = played(world)
    assert np.isfinite(ledger.end_s).all()
    assert ledger.kept_frac == pytest.approx(1.0)
    check_limit(ledger, series, limit)
    if battery is not None:
        taken_j, given_j, left_j = ledger.battery_j[0, 0]
        assert given_j + left_j == pytest.approx(taken_j * battery.efficiency, rel=1e-9, abs=1e-3)
        assert -1e-6 <= left_j <= battery.energy_j * (1 + 1e-9)
        outside_j = float(series.seconds @ series.taken_w)
        assert outside_j == pytest.approx(series.energy_j.sum() + taken_j - given_j, rel=1e-9)
        found = counted_to(by_site(ledger, world), np.ones(1), ledger.wall_s)
        assert found["energy_kwh"][0] * 3.6e6 == pytest.approx(outside_j, rel=1e-9)


@given(
    jobs=sizes, run=runs, more=st.floats(1e-9, 2.0),
    yields=st.sampled_from(["slow", "shrink", "pause"]),
)  # fmt: skip
def test_a_limit_above_the_peak_changes_no_byte(jobs, run, more, yields):
    saves, faults = run
    world = world_of(jobs, saves=saves, faults=faults)
    free = event.play(world, 3, 0, 2)
    limit_w = float(free.peak_w.max()) * (1 + more)
    signal = Signal(np.array([0.0, 500.0]), np.array([1.0, 1.5]), 1000.0)
    above = replace(world, limits=(PowerLimit("s", (0,), limit_w, signal, yields),))
    other = event.play(above, 3, 0, 2)
    for name in ("booked", "job_s", "kept_frac", "first_start_s", "end_s", "peak_w", "wall_s"):
        assert getattr(free, name).tobytes() == getattr(other, name).tobytes(), name
    if not faults or yields == "slow":
        assert free.waiting_idle_chip_s.tobytes() == other.waiting_idle_chip_s.tobytes()
    # A limit that asks at each of its steps counts in more parts, whose sums are rounded apart.
    assert free.waiting_idle_chip_s == pytest.approx(other.waiting_idle_chip_s, rel=1e-12)


@given(seed=st.integers(0, 1000), n_nodes=st.integers(3, 6))
def test_while_a_job_waits_all_that_is_idle_counts_whatever_fails(seed, n_nodes):
    """One job trains on two nodes, the next wants all of them: it waits from the first second."""
    jobs = [(0, 2, 10_000_000), (0, n_nodes, 1000)]
    world = world_of(jobs, n_nodes, saves=SAVES, faults={"f": FAULT}, horizon="5 d", rigid=(0, 1))
    ledger = event.play(world, seed, 0, 1)
    idle_chip_s = ledger.booked[:, -1, 0, IDLE, 0]
    assert ledger.counts["idle_faults"].sum() > 0
    assert ledger.waiting_idle_chip_s == pytest.approx(idle_chip_s, rel=1e-12)


@given(combined(), steps, st.sampled_from(["slow", "shrink", "pause"]), batteries)
def test_a_limit_is_held_to_whatever_meets(data, fracs, yields, battery):
    world = compile_world(cp.load(data))
    pools = tuple(range(len(world.pools)))
    low_w, high_w = (
        world.draw_w([0] * len(pools)),
        world.node_w.max(axis=1) @ [pool.n_nodes + pool.n_spare_nodes for pool in world.pools],
    )
    signal = Signal(np.arange(len(fracs)) * HOUR_S, low_w + np.array(fracs) * (high_w - low_w))
    limit = PowerLimit("s", pools, 1.0, signal, yields, battery)
    world = replace(world, limits=(limit,))
    ledger = event.play(world, data["simulate"]["seed"], 0, 1, timeline=True)
    (series,) = power_of(ledger, world).values()
    check_limit(ledger, series, limit)


# -- an oracle -------------------------------------------------------------------------------------


def brute_force(jobs, n_nodes, train_w, idle_w, limits_w, battery, dt_s=10.0):
    """Go from step to step: who is there, what is lacking, what the battery does, how fast all are.

    Jobs (arrival, nodes, work) [s] all fit at once. Return their ends, and what the battery took,
    gave and holds.
    """
    left, ends = [float(work) for *_, work in jobs], [math.nan] * len(jobs)
    level = took = gave = time = 0.0
    while any(math.isnan(end) for end in ends):
        here = [j for j, (at, *_) in enumerate(jobs) if at <= time and math.isnan(ends[j])]
        busy = sum(jobs[j][1] for j in here)
        wants = busy * train_w + (n_nodes - busy) * idle_w
        limit = limits_w[min(int(time // HOUR_S), len(limits_w) - 1)]
        speed = 1.0
        if wants <= limit:
            flow = min(limit - wants, battery.power_w, (battery.energy_j - level) / dt_s)
            flow = max(flow, 0.0)
            took += flow * dt_s
            level += flow * dt_s * battery.efficiency
        else:
            given = min(wants - limit, battery.power_w, level / dt_s)
            gave += given * dt_s
            level -= given * dt_s
            if busy and wants > limit + given:
                speed = (limit + given - (n_nodes - busy) * idle_w) / (busy * train_w)
        for j in here:
            left[j] -= speed * dt_s
            if left[j] <= 0:
                ends[j] = time + dt_s
        time += dt_s
    return ends, took, gave, level


@given(
    jobs=st.lists(
        st.tuples(st.integers(0, 900), st.integers(1, 2), st.integers(50, 1500)),
        min_size=1, max_size=4,
    ),
    fracs=st.lists(st.floats(0.1, 1.2), min_size=1, max_size=8),
    battery=st.builds(Battery, st.floats(1e5, 2e7), st.floats(100.0, 4e3), st.floats(0.4, 1.0)),
)  # fmt: skip
def test_ends_and_batteries_are_those_of_small_steps(jobs, fracs, battery):
    """The oracle shares no code, and is off by some steps of 10 s."""
    jobs = [(10 * at, nodes, 10 * work) for at, nodes, work in jobs]
    free = world_of(jobs, n_nodes=8)
    idle_w, train_w = watts(free, IDLE), watts(free, TRAIN)
    limits_w = 8 * (idle_w + np.array(fracs) * (train_w - idle_w))
    signal = Signal(np.arange(len(fracs)) * HOUR_S, limits_w)
    world = replace(free, limits=(PowerLimit("s", (0,), 1.0, signal, "slow", battery),))
    ledger, _ = played(world)
    ends, took, gave, _ = brute_force(jobs, 8, train_w, idle_w, limits_w, battery)
    assert ledger.end_s[0] == pytest.approx(ends, abs=60, rel=5e-3)
    until = ledger.battery_j[0, 0]
    assert until[:2] == pytest.approx([took, gave], abs=60 * battery.power_w, rel=5e-3)


def test_elastic_jobs_give_back_what_they_can_do_without_before_any_leaves():
    """Of two jobs one can do with 1 of 3 nodes; from the second hour there is power for 2 of 4."""
    elastic = {"elastic": {"replicas": 3, "least": 1, "resize": "0 s"}}
    jobs = {
        "wide": {"chips": 3, **elastic, "priority": 2},
        "plain": {"chips": 1, "priority": 2},
    }
    data = {
        "computeplan": 1,
        "name": "shrinks",
        "sites": {"s": {"pue": 1, "pools": {"p": {"chip": "nvidia/h100-sxm", "chips": 4}}}},
        "jobs": {
            name: {**job, "train_for": "4 h", "checkpoint": {"every": "1 d", "stall": "5 s"}}
            for name, job in jobs.items()
        },
        "policy": "elastic-fifo",
    }
    data["sites"]["s"]["pools"]["p"]["chips_per_node"] = 1
    free = compile_world(cp.load(data))
    train_w, idle_w = free.node_w[0, TRAIN], free.node_w[0, IDLE]
    signal = Signal(np.array([0.0, HOUR_S]), np.array([4 * train_w, 2 * train_w + 2 * idle_w]))
    world = replace(free, limits=(PowerLimit("s", (0,), 1.0, signal, "pause"),))
    ledger, series = played(world)
    assert ledger.counts["stays"][0].tolist() == [1, 1]
    check_limit(ledger, series, world.limits[0])
    assert held_over_time(ledger, 0) == [3, 1, 2]  # 2 once the other has ended


def test_services_do_not_yield_and_jobs_make_room_for_them():
    """A service takes 1 of 4 nodes, and 3 in the second hour; the limit is what 3 nodes draw."""
    pool = {"chip": "nvidia/h100-sxm", "chips_per_node": 1, "chips": 6, "power": NODE}
    data = {
        "computeplan": 1,
        "name": "served",
        "sites": {"s": {"pue": 1, "pools": {"p": pool}}},
        "services": {"v": {"chips": [1, 3] + [1] * 22, "pools": ["p"]}},
        "jobs": {"j": {"train_for": "5 h", "chips": 3, "checkpoint": {"every": "never"}}},
    }
    free = compile_world(cp.load(data))
    train_w, idle_w = free.node_w[0, TRAIN], free.node_w[0, IDLE]
    limit = PowerLimit("s", (0,), 4 * train_w + 2 * idle_w, FLAT, "slow")
    ledger, series = played(replace(free, limits=(limit,)))
    check_limit(ledger, series, limit)
    share = (train_w + 2 * idle_w) / (3 * train_w)  # of the job, while the service has 3 nodes
    assert ledger.end_s[0, 0] == pytest.approx(5 * HOUR_S + HOUR_S * (1 - share))
    assert ledger.served[0, 0, 0, 0] == pytest.approx(ledger.wall_s[0] + 2 * HOUR_S)


def test_a_limit_that_falls_below_idle_where_nobody_looked_stops_the_run():
    world = world_of([(0, 4, 9000)])
    limit = PowerLimit("s", (0,), full_w(world), hourly(1, 0.1), "slow")
    with pytest.raises(cp.ComputePlanError, match=r"sites\.s\.power_limit: is .* MW at 1\.0 h"):
        event.play(replace(world, limits=(limit,)), 0, 0, 1)
