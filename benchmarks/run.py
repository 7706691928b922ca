"""The engines against plain models, as ratios measured in one run: ``python benchmarks/run.py``.

The case is that of ``cases.py``. A plain SimPy model with one process per node plays it, one with a
single clock, the batch engine 2,000 times and the event engine 64 times, drawing and books
included, and NumPy draws as many random numbers as a run needs and does nothing with them. They
alternate, round after round, so that a busy machine slows them alike.
"""

import gc
import statistics

import superposed
import yardstick
from cases import CASE, N_FLOOR_RUNS, SCENARIO, SEED, draw_floor, world
from timing import cpu_s, heading, in_words, ratios

import computeplan as cp
from computeplan.engines import batch, event
from computeplan.ledger import Ledger
from computeplan.units import HOUR_S

N_ROUNDS = 7
N_BATCH_RUNS = 2_000
N_EVENT_RUNS = 64  # a block: fewer would draw as much
N_YARDSTICK_RUNS = 3
N_SUPERPOSED_RUNS = 10
N_MANY_RUNS = 10_000

WORLD = world()
MANY = cp.load(SCENARIO).with_({"simulate.runs": N_MANY_RUNS})


def play_batch(n_runs: int) -> Ledger:
    return batch.play(WORLD, SEED, 0, n_runs)


def play_event(n_runs: int) -> Ledger:
    return event.play(WORLD, SEED, 0, n_runs)


def checked(runs: list[yardstick.Run]) -> list[yardstick.Run]:
    for run in runs:
        yardstick.check_books(CASE, run)
    return runs


def agreement(what: str, runs: list[yardstick.Run], ledger: Ledger) -> str:
    """Return a sentence on whether both played the same case."""
    ours_h = ledger.end_s[:, 0] / HOUR_S
    theirs_h = [run.end_s / HOUR_S for run in runs]
    spread_h = statistics.stdev(ours_h.tolist())
    error_h = spread_h * (1 / len(theirs_h) + 1 / len(ours_h)) ** 0.5
    gap_h = statistics.fmean(theirs_h) - float(ours_h.mean())
    return (
        f"Mean wall time {ours_h.mean():,.1f} h (batch) and {statistics.fmean(theirs_h):,.1f} h"
        f" ({what}), {abs(gap_h) / error_h:.1f} standard errors apart; interruptions per run"
        f" {ledger.counts['interruptions'].sum(axis=1).mean():,.1f} and"
        f" {statistics.fmean(run.n_unexpected for run in runs):,.1f}."
    )


def main() -> None:
    ledger = play_batch(N_BATCH_RUNS)  # also warms up imports and caches
    faults = [ledger.counts[name].sum(axis=1) for name in ("interruptions", "idle_faults")]
    n_faults = round(float(sum(faults).mean()))
    draw_floor(N_FLOOR_RUNS, n_faults)
    cp.run(MANY.with_({"simulate.runs": 64}))

    gc.freeze()  # what was imported is no garbage, and need not be looked at
    simpy_s, bare_s, clock_s, batch_s, event_s, floor_s, many_s = ([] for _ in range(7))
    runs: list[yardstick.Run] = []
    clock_runs: list[yardstick.Run] = []
    for turn in range(N_ROUNDS):
        seeds = range(N_YARDSTICK_RUNS * turn, N_YARDSTICK_RUNS * (turn + 1))
        took_s, played = cpu_s(lambda seeds=seeds: [yardstick.play(CASE, seed) for seed in seeds])
        runs += checked(played)
        simpy_s.append(took_s / len(seeds))
        took_s, _ = cpu_s(lambda turn=turn: yardstick.play(CASE, turn), collects=False)
        bare_s.append(took_s)
        took_s, ledger = cpu_s(lambda: play_batch(N_BATCH_RUNS))
        batch_s.append(took_s / N_BATCH_RUNS)
        took_s, _ = cpu_s(lambda: draw_floor(N_BATCH_RUNS, n_faults))
        floor_s.append(took_s / N_BATCH_RUNS)
        seeds = range(N_SUPERPOSED_RUNS * turn, N_SUPERPOSED_RUNS * (turn + 1))
        took_s, played = cpu_s(lambda seeds=seeds: [superposed.play(CASE, seed) for seed in seeds])
        clock_runs += checked(played)
        clock_s.append(took_s / len(seeds))
        took_s, _ = cpu_s(lambda: play_event(N_EVENT_RUNS))
        event_s.append(took_s / N_EVENT_RUNS)
        took_s, _ = cpu_s(lambda: cp.run(MANY))
        many_s.append(took_s)

    ms = {"node": simpy_s, "bare": bare_s, "clock": clock_s, "event": event_s}
    ms = {name: f"{statistics.median(took_s) * 1e3:,.1f} ms" for name, took_s in ms.items()}
    print(
        heading("computeplan", "numpy", "simpy")
        + f"\n\nCPU time of one process, median of {N_ROUNDS} interleaved rounds (lowest to"
        " highest).\nGarbage is collected when Python thinks it is time, as in any program, except"
        " where it says so.\n\n"
        "| what | CPU time per run | ratio | goal |\n"
        "|---|---|---|---|\n"
        f"| SimPy, one process per node | {ms['node']}"
        f" | {in_words(ratios(simpy_s, batch_s))} times the batch engine's | at least 300 |\n"
        f"| the same, its garbage not counted | {ms['bare']}"
        f" | {in_words(ratios(bare_s, batch_s))} times | |\n"
        f"| batch engine, {N_BATCH_RUNS:,} runs | {statistics.median(batch_s) * 1e6:,.1f} us"
        f" | {in_words(ratios(batch_s, floor_s))} times the bare draws' | at most 6 |\n"
        f"| bare draws, 4 x {n_faults} numbers | {statistics.median(floor_s) * 1e6:,.1f} us"
        " | 1 | |\n"
        f"| SimPy, one clock for all nodes | {ms['clock']}"
        f" | {in_words(ratios(clock_s, event_s))} times the event engine's | at least 4 |\n"
        f"| event engine, {N_EVENT_RUNS} runs | {ms['event']}"
        f" | SimPy's with a process per node is {in_words(ratios(simpy_s, event_s))} times it"
        " | |\n\n"
        f"`--runs {N_MANY_RUNS}` on one core: {in_words(many_s)} s of CPU, report aside"
        f" (goal: about 1.5).\n\n"
        + agreement("one process per node", runs, ledger)
        + "\n"
        + agreement("one clock", clock_runs, ledger)
    )


if __name__ == "__main__":
    main()
