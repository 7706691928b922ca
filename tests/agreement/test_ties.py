"""What falls together to the last bit is played in one order, by both engines.

At equal times: a save is complete, repairs end, restarts end, jobs end, faults, arrivals. Times are
whole seconds, or begin at a fault at any time and are added up as they come; what is expected is
worked out in a few lines of its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from strategies import Script, scripted

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines.event import engine as event
from computeplan.ledger import BLOCKED, IDLE, LOST, QUEUE, REPAIR, RESTART, SAVE, TRAIN
from computeplan.world.world import World

N_EACH = 200
HORIZON_S = 100_000
N_NODES, N_SPARES = 4, 1
FAULTS = {"mtbf": "1 year", "per": "node", "takes": "node", "restart": "1 s", "repair": "1 s"}
CHUNKS = range(10)  # of 20 ties: a test each is slow to collect


def world_of(
    work_s: int, every_s: int, stall_s: int, n_spares: int = N_SPARES, **jobs: Any
) -> World:
    """Four nodes of one chip and some spares."""
    pool = {"chip": "nvidia/h100-sxm", "chips": N_NODES, "chips_per_node": 1}
    save = {"every": f"{every_s} s", "stall": f"{stall_s} s"}
    job = {"train_for": f"{work_s} s", "chips": N_NODES, "checkpoint": save}
    return compile_world(
        cp.load(
            {
                "computeplan": 1,
                "name": "ties",
                "sites": {"s": {"pue": 1, "pools": {"p": {**pool, "spares": f"{n_spares} nodes"}}}},
                "faults": {"f": FAULTS},
                "jobs": jobs or {"j": job},
                "simulate": {"horizon": f"{HORIZON_S} s"},
            }
        )
    )


def alone_s(work_s: float, every_s: int, stall_s: int) -> int:
    """Return how long a job takes that nothing disturbs: the last save ends it."""
    return work_s + math.ceil(work_s / every_s) * stall_s


def saved_by(since_s: float, every_s: int, stall_s: int) -> tuple[float, float, float]:
    """Return what is saved, saving and lost so long after training began, well before its end."""
    n, rest_s = divmod(since_s, every_s + stall_s)
    lost_s = min(rest_s, every_s)
    return n * every_s, n * stall_s + rest_s - lost_s, lost_s


def check(
    ledger: Any, seconds: dict[int, float], end_s: float, unallocated: dict[int, float]
) -> None:
    """Compare the seconds of the only job, its end, and the chip-seconds of nodes without a job."""
    found = ledger.job_s[0, 0]
    for phase in (TRAIN, LOST, SAVE, RESTART, BLOCKED, QUEUE):
        assert found[phase] == pytest.approx(seconds.get(phase, 0), abs=1e-6), phase
    assert ledger.end_s[0, 0] == pytest.approx(end_s, abs=1e-6)
    for phase in (IDLE, REPAIR):
        assert ledger.chip_s[0, -1, 0, phase] == pytest.approx(unallocated[phase], abs=1e-6), phase


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_job_that_ends_as_a_node_faults_has_ended(play, chunk):
    """It trains in one go, or after a restart that began at a time of its own."""
    rng = np.random.default_rng(chunk)
    for _ in range(N_EACH // len(CHUNKS)):
        work_s, every_s, stall_s, restart_s, repair_s = rng.integers(
            [50, 5, 0, 0, 1], [2000, 400, 9, 90, 5000]
        ).tolist()
        first_s = (
            None if rng.random() < 0.3 else rng.integers(1, work_s) + rng.choice([0, rng.random()])
        )
        arrivals, seconds, end_s = [], {RESTART: 0, LOST: 0, SAVE: 0}, 0
        left_s = work_s
        if first_s is not None and first_s < alone_s(work_s, every_s, stall_s) - every_s - stall_s:
            kept_s, seconds[SAVE], seconds[LOST] = saved_by(first_s, every_s, stall_s)
            arrivals.append((float(first_s), 0, 1, False, float(restart_s), 0.0))
            seconds[RESTART], left_s, end_s = restart_s, work_s - kept_s, first_s + restart_s
        saves_s = alone_s(left_s, every_s, stall_s) - left_s
        seconds[SAVE] += saves_s
        end_s = end_s + left_s + saves_s  # in this order
        node = int(rng.integers(N_NODES))
        arrivals.append((float(end_s), 0, node, True, 7.0, float(repair_s)))
        ledger = play(world_of(work_s, every_s, stall_s), *arrivals)
        # the node is idle by then: it goes to repair, and no job is stopped
        idle_s = HORIZON_S + N_NODES * (HORIZON_S - end_s) - repair_s
        check(ledger, {**seconds, TRAIN: work_s}, end_s, {IDLE: idle_s, REPAIR: repair_s})
        assert ledger.counts["interruptions"].sum() == len(arrivals) - 1
        assert ledger.counts["idle_faults"].sum() == 1


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_repair_that_ends_as_a_node_faults_has_ended(play, chunk):
    """Of the same node, which faults again, or of one that stands in for another at once."""
    rng = np.random.default_rng(100 + chunk)
    for i in range(N_EACH // len(CHUNKS)):
        every_s, stall_s, restart_s, again_s, first_s, repair_s, longer_s = rng.integers(
            [5, 0, 0, 0, 1, 1, 1], [400, 9, 90, 90, 900, 2000, 900]
        ).tolist()
        is_same, n_spares = i % 2 == 0, int(rng.integers(2))
        if rng.random() < 0.5:
            first_s, repair_s = first_s + rng.random(), repair_s + rng.random()
        work_s, back_s, node = 5000, first_s + repair_s, 0 if is_same else 1
        arrivals = [
            (float(first_s), 0, 0, True, float(restart_s), float(repair_s)),
            (float(back_s), 0, node, True, float(again_s), float(longer_s)),
        ]
        ledger = play(world_of(work_s, every_s, stall_s, n_spares), *arrivals)
        kept_s, save_s, lost_s = saved_by(first_s, every_s, stall_s)
        seconds = {SAVE: save_s, LOST: lost_s, RESTART: 0, BLOCKED: 0}
        now_s = back_s
        if n_spares:  # it restarts and trains, on the spare, until the node is back
            seconds[RESTART] = min(restart_s, repair_s)
            more_s, save_s, lost_s = saved_by(max(repair_s - restart_s, 0), every_s, stall_s)
            kept_s, seconds[SAVE] = kept_s + more_s, seconds[SAVE] + save_s
            seconds[LOST] += lost_s
        else:  # it waits for the node, which is there when the next fault comes
            seconds[BLOCKED] = repair_s
        if n_spares and is_same:  # the node is idle when it faults: nobody is stopped
            seconds[RESTART] = restart_s
            kept_s, seconds[SAVE], seconds[LOST] = saved_by(first_s, every_s, stall_s)
            now_s, again_s = first_s + restart_s, 0
        elif not n_spares:  # of either it waits again: nothing else is there
            seconds[BLOCKED] += longer_s
            now_s += longer_s
        left_s = work_s - kept_s
        seconds[RESTART] += again_s
        seconds[SAVE] += alone_s(left_s, every_s, stall_s) - left_s
        end_s = now_s + again_s + alone_s(left_s, every_s, stall_s)
        repairs_s = repair_s + longer_s
        idle_s = (N_NODES + n_spares) * HORIZON_S - N_NODES * end_s - repairs_s
        if not n_spares:  # the job holds its other nodes only, as long as it waits
            idle_s += repairs_s
        check(ledger, {**seconds, TRAIN: work_s}, end_s, {IDLE: idle_s, REPAIR: repairs_s})
        n_idle = int(n_spares and is_same)
        assert ledger.counts["idle_faults"].sum() == n_idle
        assert ledger.counts["interruptions"].sum() == 2 - n_idle


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_job_that_comes_as_another_ends_has_its_nodes(monkeypatch, chunk):
    """The event engine alone: batch plays no arrivals."""
    rng = np.random.default_rng(200 + chunk)
    monkeypatch.setattr(event, "Trace", lambda *_: Script(scripted()))
    for _ in range(N_EACH // len(CHUNKS)):
        work_s, every_s, stall_s, next_s = rng.integers([50, 5, 0, 1], [2000, 400, 9, 500]).tolist()
        end_s = alone_s(work_s, every_s, stall_s)
        save = {"every": f"{every_s} s", "stall": f"{stall_s} s"}
        first = {"train_for": f"{work_s} s", "chips": N_NODES, "checkpoint": save}
        then = {**first, "train_for": f"{next_s} s", "arrival": f"{end_s} s"}
        world = world_of(work_s, every_s, stall_s, 0, first=first, then=then)
        ledger = event.play(world, 0, 0, 1)
        ends_s = [end_s, end_s + alone_s(next_s, every_s, stall_s)]
        assert ledger.end_s[0].tolist() == ends_s
        assert ledger.first_start_s[0].tolist() == [0, end_s]
        assert ledger.job_s[0, :, QUEUE].tolist() == [0, 0]
        idle_s = N_NODES * (HORIZON_S - ends_s[1])
        assert ledger.chip_s[0, -1, 0, IDLE] == pytest.approx(idle_s, abs=1e-6)


def rolling(**changes: Any) -> World:
    """The same nodes, of which two at a time may be called out."""
    stop = {"every": "1 year", "rolling": "2 nodes", "lasts": "1 s", "restart": "1 s"}
    scenario = {
        "computeplan": 1,
        "name": "ties",
        "sites": {
            "s": {
                "pue": 1,
                "pools": {
                    "p": {
                        "chip": "nvidia/h100-sxm",
                        "chips": N_NODES,
                        "chips_per_node": 1,
                        "spares": "2 nodes",
                    }
                },
            }
        },
        "faults": {
            "f": {
                "mtbf": "1 year",
                "per": "node",
                "takes": "node",
                "restart": "1 s",
                "repair": "1 s",
            }
        },
        "planned": {"roll": stop},
        "jobs": {
            "j": {
                "train_for": "100 s",
                "chips": N_NODES,
                "checkpoint": {"every": "10 s", "stall": "1 s"},
            }
        },
        "simulate": {"horizon": "1000 s"},
    }
    return compile_world(cp.load(scenario).with_(changes))


FAULT, ROLL = 0, 1


def test_of_nodes_that_come_back_together_the_lowest_goes_first(play):
    """Spares 4 and 5 are away until 50; of the two, node 4 stands in for node 0 at 60."""
    arrivals = [
        (10.0, FAULT, 5, True, 0.0, 40.0),
        (20.0, FAULT, 4, True, 0.0, 30.0),
        (60.0, FAULT, 0, True, 2.0, 900.0),
    ]
    for node, n_stops in ((4, 2), (5, 1)):  # who is with the job is seen by the next fault
        more = (70.0, FAULT, node, False, 0.0, 0.0)
        ledger = play(rolling(), *arrivals, more)
        assert ledger.counts["interruptions"].sum() == n_stops
        assert ledger.counts["idle_faults"].sum() == 2 + 2 - n_stops


def test_nodes_that_leave_when_a_save_is_complete_go_before_repairs_end(play):
    """Both spares are back at 26, when nodes 0 and 1 leave: the job lacks them for no time."""
    boots = {"sites.s.pools.p.spares": {"cold": {"nodes": "2 nodes", "ready": "9 s"}}}
    away = [(5.0, FAULT, 4, True, 0.0, 21.0), (6.0, FAULT, 5, True, 0.0, 20.0)]
    ledger = play(rolling(**boots), *away, (25.0, ROLL, 0, True, 3.0, 60.0))
    # what comes from repair as the job lacks nodes does not boot
    assert ledger.job_s[0, 0, [SAVE, BLOCKED, RESTART]].tolist() == [11, 0, 3]
    assert ledger.chip_s[0, -1, 0, REPAIR] == 21 + 20 + 2 * 60


def test_nodes_that_are_away_for_no_time_come_back_last(play):
    """Spare 4 goes at 26 and is back at once, behind spare 5, which stands in for node 0."""
    arrivals = [(26.0, ROLL, 4, True, 3.0, 0.0), (30.0, FAULT, 0, True, 2.0, 900.0)]
    one_by_one = {"planned.roll.rolling": "1 nodes"}
    for node, n_stops in ((4, 1), (5, 2)):
        more = (40.0, FAULT, node, False, 0.0, 0.0)
        ledger = play(rolling(**one_by_one), *arrivals, more)
        assert ledger.counts["interruptions"].sum() == n_stops
    assert math.isfinite(ledger.end_s[0, 0])
