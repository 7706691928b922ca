"""What is fast, as ratios measured in one run: ``python benchmarks/run.py``.

One case for all: 2,048 nodes of 8 chips, 16 spare nodes, 1,166 hours of kept training, about 416
faults. A plain SimPy model plays it once, the batch engine 2,000 times and the event engine 32
times, drawing and books included, and NumPy draws as many random numbers as a run takes and does
nothing with them. They take turns, round after round, so that a busy machine slows them alike.
"""

import gc
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TypeVar

import numpy as np
import yardstick

import computeplan as cp
from computeplan.compiler import compile_world
from computeplan.engines import batch, event
from computeplan.ledger import Ledger

N_ROUNDS = 7
N_BATCH_RUNS = 2_000
N_EVENT_RUNS = 32
N_FLOOR_RUNS = 500  # per array: what stays in the cache is drawn fastest
SEED = 2048
HOUR_S = 3600.0
T = TypeVar("T")

CASE = yardstick.Case(
    n_nodes=2_048,
    n_spares=16,
    node_mtbf_s=6_800 * HOUR_S,
    takes_node_frac=0.78,
    restart_median_s=660.0,
    restart_sigma=0.5,
    repair_median_s=24 * HOUR_S,
    repair_sigma=1.0,
    interval_s=1_800.0,
    save_s=30.0,
    work_s=1_166 * HOUR_S,
)
SCENARIO = {
    "computeplan": 1,
    "name": "yardstick",
    "sites": {
        "here": {
            "pue": 1.1,
            "pools": {
                "h100": {
                    "chip": "nvidia/h100-sxm",
                    "chips": 16_384,
                    "chips_per_node": 8,
                    "spares": "16 nodes",
                }
            },
        }
    },
    "faults": {
        "unexpected": {
            "mtbf": "6800 h",
            "per": "node",
            "takes": {"node": 0.78, "nothing": 0.22},
            "restart": {"lognormal": {"median": "11 min", "sigma": 0.5}},
            "repair": {"lognormal": {"median": "24 h", "sigma": 1.0}},
        }
    },
    "jobs": {
        "pretrain": {
            "train_for": "1166 h",
            "chips": 16_384,
            "checkpoint": {"every": "30 min", "stall": "30 s"},
        }
    },
    "simulate": {"engine": "batch"},
}


def play_yardstick(seed: int) -> yardstick.Run:
    return yardstick.play(CASE, seed)


WORLD = compile_world(cp.load(SCENARIO))


def play_batch(n_runs: int) -> Ledger:
    return batch.play(WORLD, SEED, 0, n_runs)


def play_event(n_runs: int) -> Ledger:
    return event.play(WORLD, SEED, 0, n_runs)


def draw_floor(n_runs: int, n_faults: int) -> None:
    """Draw the numbers of a run's faults (gap, node or nothing, restart, repair), and no more."""
    rng = np.random.default_rng(SEED)
    shape = (n_faults, N_FLOOR_RUNS)
    for _ in range(n_runs // N_FLOOR_RUNS):
        rng.exponential(1.0, shape)
        rng.random(shape)
        rng.lognormal(0.0, CASE.restart_sigma, shape)
        rng.lognormal(0.0, CASE.repair_sigma, shape)


def cpu_s(call: Callable[[], T], *, collects: bool = True) -> tuple[float, T]:
    """Return the CPU seconds of a call and what it returns.

    With `collects`, garbage is collected when Python thinks it is time, as in any program; without,
    not during the call.
    """
    gc.collect()
    if not collects:
        gc.disable()
    start_s = time.process_time()
    value = call()
    end_s = time.process_time()
    gc.enable()
    return end_s - start_s, value


def in_words(ratios: list[float]) -> str:
    digits = 0 if min(ratios) >= 100 else 1
    middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def agreement(runs: list[yardstick.Run], ledger: Ledger) -> str:
    """Return a sentence on whether both played the same case."""
    ours_h = ledger.end_s[:, 0] / HOUR_S
    theirs_h = [run.end_s / HOUR_S for run in runs]
    spread_h = statistics.stdev(ours_h.tolist())
    error_h = spread_h * (1 / len(theirs_h) + 1 / len(ours_h)) ** 0.5
    gap_h = statistics.fmean(theirs_h) - float(ours_h.mean())
    return (
        f"Mean wall time {ours_h.mean():,.1f} h (batch) and {statistics.fmean(theirs_h):,.1f} h"
        f" (SimPy), {abs(gap_h) / error_h:.1f} standard errors apart; interruptions per run"
        f" {ledger.n_interruptions.sum(axis=1).mean():,.1f} and"
        f" {statistics.fmean(run.n_unexpected for run in runs):,.1f}."
    )


def main() -> None:
    ledger = play_batch(N_BATCH_RUNS)  # also warms up imports and caches
    struck = ledger.n_interruptions.sum(axis=1) + ledger.n_idle_faults.sum(axis=1)
    n_faults = round(float(struck.mean()))
    draw_floor(N_FLOOR_RUNS, n_faults)

    gc.freeze()  # what was imported is no garbage, and need not be looked at
    simpy_s, bare_s, batch_s, event_s, floor_s, runs = [], [], [], [], [], []
    for turn in range(N_ROUNDS):
        seeds = range(3 * turn, 3 * turn + 3)
        took_s, played = cpu_s(lambda seeds=seeds: [play_yardstick(seed) for seed in seeds])
        for run in played:
            yardstick.check_books(CASE, run)
        runs += played
        simpy_s.append(took_s / 3)
        took_s, _ = cpu_s(lambda turn=turn: play_yardstick(turn), collects=False)
        bare_s.append(took_s)
        took_s, ledger = cpu_s(lambda: play_batch(N_BATCH_RUNS))
        batch_s.append(took_s / N_BATCH_RUNS)
        took_s, _ = cpu_s(lambda: play_event(N_EVENT_RUNS))
        event_s.append(took_s / N_EVENT_RUNS)
        took_s, _ = cpu_s(lambda: draw_floor(N_BATCH_RUNS, n_faults))
        floor_s.append(took_s / N_BATCH_RUNS)

    faster_bare = [plain / ours for plain, ours in zip(bare_s, batch_s, strict=True)]
    faster = [plain / ours for plain, ours in zip(simpy_s, batch_s, strict=True)]
    slower = [plain / ours for plain, ours in zip(simpy_s, event_s, strict=True)]
    above = [ours / floor for ours, floor in zip(batch_s, floor_s, strict=True)]
    names = ("computeplan", "numpy", "simpy")
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in names)
        + f"\n\nCPU time of one process, median of {N_ROUNDS} interleaved rounds (lowest to highest"
        " ratio).\nGarbage is collected when Python thinks it is time, as in any program, except"
        " where it says so.\n\n"
        "| what | CPU time per run | ratio | goal |\n"
        "|---|---|---|---|\n"
        f"| SimPy, one process per node | {statistics.median(simpy_s) * 1e3:,.1f} ms"
        f" | {in_words(faster)} times the batch engine's | at least 300 |\n"
        f"| the same, its garbage not counted | {statistics.median(bare_s) * 1e3:,.1f} ms"
        f" | {in_words(faster_bare)} times | |\n"
        f"| batch engine, {N_BATCH_RUNS:,} runs | {statistics.median(batch_s) * 1e6:,.1f} us"
        f" | {in_words(above)} times the bare draws' | |\n"
        f"| event engine, {N_EVENT_RUNS} runs | {statistics.median(event_s) * 1e3:,.1f} ms"
        f" | SimPy's is {in_words(slower)} times it | |\n"
        f"| bare draws, 4 x {n_faults} numbers | {statistics.median(floor_s) * 1e6:,.1f} us"
        " | 1 | |\n\n" + agreement(runs, ledger)
    )


if __name__ == "__main__":
    main()
