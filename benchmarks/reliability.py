"""What faults cost to play, and how it grows: ``python benchmarks/reliability.py``.

Variants of the case of ``cases.py``, played by the batch engine, drawing and books included,
against the bare draws of the case itself. Then growth: with the nodes, where each fails so
much less often that the job has as many faults; and with the faults, where all times but that of
the work are a tenth (MTBF, restart, repair, interval, save), which is the same as ten times the
work. Last, the memory of a fresh process that plays many runs; it is measured first, because on
Linux a process counts the memory of the one that began it as its own.
"""

import gc
import math
import resource
import statistics
import subprocess
import sys

import numpy as np
from cases import CASE, FAULTS, JOB, N_FLOOR_RUNS, POOL, SCENARIO, SEED, draw_floor, world
from timing import cpu_s, heading, in_words, ratios

import computeplan as cp
from computeplan.engines import batch
from computeplan.ledger import Ledger
from computeplan.world.world import World

N_ROUNDS = 7
N_RUNS = 2_000
MANY_NODES = 125_000
MANY_RUNS = (20_000, 100_000)
MOST_MIB = 1_000

AGES = {f"{FAULTS}.law": {"weibull_min": {"c": 0.7}}, f"{FAULTS}.age": "steady"}
RARER = {
    f"{POOL}.chips": MANY_NODES * 8,
    f"{JOB}.chips": MANY_NODES * 8,
    f"{FAULTS}.mtbf": f"{6_800 * MANY_NODES / CASE.n_nodes} h",
}
OFTEN = {
    f"{FAULTS}.mtbf": "680 h",
    f"{FAULTS}.restart": {"lognormal": {"median": "1.1 min", "sigma": 0.5}},
    f"{FAULTS}.repair": {"lognormal": {"median": "2.4 h", "sigma": 1.0}},
    f"{JOB}.checkpoint": {"every": "3 min", "stall": "3 s"},
}
BASE, CREWS, SPARES, WEIBULL = "base", "12 repair crews", "256 spares", "Weibull k = 0.7 with ages"
WIDE, WIDE_WEIBULL, FREQUENT = "125,000 nodes", "125,000 nodes, Weibull", "ten times the faults"
CHANGES = {
    BASE: {},
    CREWS: {f"{POOL}.crews": 12},
    SPARES: {f"{POOL}.spares": "256 nodes"},
    WEIBULL: AGES,
    WIDE: RARER,
    WIDE_WEIBULL: {**RARER, **AGES},
    FREQUENT: OFTEN,
}
GOALS = {
    BASE: "at most 6",
    CREWS: "at most 10",
    SPARES: "at most 16",
    WEIBULL: "at most 25",
    "nodes": "within 0.05 of 0",
    "nodes, Weibull": "within 0.05 of 0",
    "faults": "at most 1.1",
}


def n_faults_of(ledger: Ledger) -> float:
    return float(
        (
            ledger.counts["interruptions"].sum(axis=1) + ledger.counts["idle_faults"].sum(axis=1)
        ).mean()
    )


def n_runs_of(what: World) -> int:
    """Return how many runs to play: no more than the engine is given at once."""
    return min(N_RUNS, batch.rows_at_once(what))


def play(what: World) -> Ledger:
    return batch.play(what, SEED, 0, n_runs_of(what))


def power(costs: list[float], before: list[float], factor: float) -> str:
    """Return the exponent with which cost grows, in words."""
    powers = [math.log(ratio) / math.log(factor) for ratio in ratios(costs, before)]
    return f"{statistics.median(powers):.2f} ({min(powers):.2f} to {max(powers):.2f})"


def peak_mib(n_runs: int) -> float:
    """Return the most memory of a fresh process that plays so many runs. [MiB]"""
    command = [sys.executable, __file__, str(n_runs)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_own_peak(n_runs: int) -> None:
    cp.run(cp.load(SCENARIO).with_({"simulate.runs": n_runs}))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    peaks_mib = {n_runs: peak_mib(n_runs) for n_runs in MANY_RUNS}
    worlds = {name: world(changes) for name, changes in CHANGES.items()}
    n_faults = {name: n_faults_of(play(what)) for name, what in worlds.items()}
    draw_floor(N_FLOOR_RUNS, round(n_faults[BASE]))
    gc.freeze()  # what was imported is no garbage, and need not be looked at
    floor_s: list[float] = []
    costs_s: dict[str, list[float]] = {name: [] for name in worlds}
    for _ in range(N_ROUNDS):
        took_s, _ = cpu_s(lambda: draw_floor(N_RUNS, round(n_faults[BASE])))
        floor_s.append(took_s / N_RUNS)
        for name, what in worlds.items():
            took_s, _ = cpu_s(lambda what=what: play(what))
            costs_s[name].append(took_s / n_runs_of(what))
    more_nodes = MANY_NODES / CASE.n_nodes
    more_faults = n_faults[FREQUENT] / n_faults[BASE]
    powers = {
        "nodes": power(costs_s[WIDE], costs_s[BASE], more_nodes),
        "nodes, Weibull": power(costs_s[WIDE_WEIBULL], costs_s[WEIBULL], more_nodes),
        "faults": power(costs_s[FREQUENT], costs_s[BASE], more_faults),
    }
    lines = [
        f"| {name} | {np.median(took_s) * 1e6:,.1f} us | {n_faults[name]:,.0f}"
        f" | {in_words(ratios(took_s, floor_s))} | {GOALS.get(name, '')} |"
        for name, took_s in costs_s.items()
    ]
    print(
        heading("computeplan", "numpy", "scipy")
        + f"\n\nCPU time of one process, median of {N_ROUNDS} interleaved rounds (lowest to"
        f" highest).\n{N_RUNS:,} runs at once; with ten times the faults"
        f" {n_runs_of(worlds[FREQUENT]):,}, as the engine does.\n\n"
        "| batch engine | CPU time per run | faults | times the bare draws of the base case"
        " | goal |\n|---|---|---|---|---|\n"
        + "\n".join(lines)
        + "\n\n| cost grows | power | goal |\n|---|---|---|\n"
        + "\n".join(f"| with the {w} | {p} | {GOALS[w]} |" for w, p in powers.items())
        + "\n"
    )
    for n_runs, mib in peaks_mib.items():
        print(f"`--runs {n_runs}`: at most {mib:,.0f} MiB of memory (goal: under {MOST_MIB:,}).")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print_own_peak(int(sys.argv[1]))
    else:
        main()
