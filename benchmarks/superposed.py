"""The job of ``yardstick.py`` told to SimPy with one clock for all nodes: what is written second.

The same physics, and again no code of the package. Exponential clocks add up, so one process draws
the gaps of all nodes together and then the node of each fault; a fault of a node in repair is
dropped. There is no process per node: one begins for each repair. The job has one event for each
interval with its save, and works out from the clock what a fault cut short.

``python benchmarks/superposed.py`` holds its means against those of ``yardstick.py``.
"""

import math
import random
import statistics
from collections import deque
from collections.abc import Generator
from typing import Any

import simpy
import yardstick
from yardstick import PHASES, Case, Run

WITH_JOB, SPARE, IN_REPAIR = range(3)
MOST_ERRORS = 4.0  # standard errors: one false alarm in 16,000


class Cluster:
    """The nodes, the job that holds some of them, and the books."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case = case
        self.random = random.Random(seed)  # noqa: S311 - samples, not secrets
        self.env = simpy.Environment()
        self.where = [WITH_JOB] * case.n_nodes + [SPARE] * case.n_spares
        self.spares = deque(range(case.n_nodes, case.n_nodes + case.n_spares))  # longest up first
        self.n_held = case.n_nodes
        self.n_unexpected = 0
        self.n_idle_faults = 0

        self.node_s = dict.fromkeys(PHASES, 0.0)
        self.booked_until_s = 0.0
        self.phase = "interval"
        self.began_s = self.train_s = 0.0  # of the phase; training of an interval

        self.has_all = self.env.event()
        self.job = self.env.process(self.run_job())
        self.env.process(self.run_clock())

    def book_nodes(self) -> None:
        """Write down what the nodes did since the last entry; call before their number changes."""
        span_s = self.env.now - self.booked_until_s
        self.booked_until_s = self.env.now
        self.node_s["idle"] += span_s * len(self.spares)
        n_others = self.n_held + len(self.spares)
        self.node_s["repair"] += span_s * (len(self.where) - n_others)
        if self.phase == "blocked":
            self.node_s["blocked"] += span_s * self.n_held

    def begin(self, phase: str) -> None:
        self.phase, self.began_s = phase, self.env.now

    def book_phase(self, unsaved: str) -> None:
        """Write down the interval or restart that ends now; training of the former is unsaved."""
        n_nodes, span_s = self.case.n_nodes, self.env.now - self.began_s
        if self.phase == "interval":
            trained_s = min(span_s, self.train_s)
            self.node_s[unsaved] += trained_s * n_nodes
            self.node_s["save"] += (span_s - trained_s) * n_nodes
        elif self.phase == "restart":
            self.node_s["restart"] += span_s * n_nodes

    def close(self) -> None:
        """Write down what is under way at the end of the run."""
        self.book_nodes()
        if self.job.is_alive:
            self.book_phase("train")

    def run_clock(self) -> Generator[simpy.Event, Any, None]:
        case, n_all = self.case, len(self.where)
        while True:
            yield self.env.timeout(self.random.expovariate(n_all / case.node_mtbf_s))
            node = self.random.randrange(n_all)
            was = self.where[node]
            if was == IN_REPAIR:
                continue
            self.book_nodes()
            needs_repair = self.random.random() < case.takes_node_frac
            if needs_repair:
                self.where[node] = IN_REPAIR
                self.env.process(self.repair(node))
            if was == SPARE:
                self.n_idle_faults += 1
                if needs_repair:
                    self.spares.remove(node)
                continue
            self.n_unexpected += 1
            if needs_repair:
                self.n_held -= 1
                if self.spares:
                    self.give(self.spares.popleft())
            if self.phase != "blocked":
                self.job.interrupt()

    def repair(self, node: int) -> Generator[simpy.Event, Any, None]:
        yield self.env.timeout(self.draw_s(self.case.repair_median_s, self.case.repair_sigma))
        self.book_nodes()
        if self.n_held == self.case.n_nodes:
            self.where[node] = SPARE
            self.spares.append(node)
            return
        self.give(node)
        if self.n_held == self.case.n_nodes:
            self.has_all.succeed()

    def give(self, node: int) -> None:
        self.where[node] = WITH_JOB
        self.n_held += 1

    def run_job(self) -> Generator[simpy.Event, Any, None]:
        case = self.case
        n_saves = math.ceil(case.work_s / case.interval_s - 1e-9)  # 1e-9: 3.0000000001 means 3
        n_saved = 0
        while n_saved < n_saves:
            self.train_s = min(case.interval_s, case.work_s - n_saved * case.interval_s)
            self.begin("interval")
            try:
                yield self.env.timeout(self.train_s + case.save_s)
            except simpy.Interrupt:
                self.book_phase("lost")
                yield from self.recover()
            else:
                self.book_phase("train")
                n_saved += 1

    def recover(self) -> Generator[simpy.Event, Any, None]:
        """Wait until the job has all its nodes, and restart until no fault interrupts it."""
        case = self.case
        while True:
            if self.n_held < case.n_nodes:
                self.begin("blocked")
                self.has_all = self.env.event()
                yield self.has_all
            self.begin("restart")
            try:
                yield self.env.timeout(self.draw_s(case.restart_median_s, case.restart_sigma))
            except simpy.Interrupt:
                self.book_phase("lost")
                continue
            self.book_phase("lost")
            return

    def draw_s(self, median_s: float, sigma: float) -> float:
        return self.random.lognormvariate(math.log(median_s), sigma)


def play(case: Case, seed: int) -> Run:
    """Play one run of the case."""
    return yardstick.run_out(Cluster(case, seed))


def numbers_of(run: Run) -> dict[str, float]:
    counts = {"faults of the job": run.n_unexpected, "faults of spares": run.n_idle_faults}
    return {"end": run.end_s, **counts, "work done": run.is_done, **run.node_s}


def self_check(n_runs: int = 1_000) -> list[str]:
    """Return what was found to hold; raise AssertionError if a mean is not the yardstick's."""
    found = []
    cases = {"in place": yardstick.IN_PLACE, "alone": yardstick.ALONE, "crowded": yardstick.CROWDED}
    for name, case in cases.items():
        ours = [play(case, seed) for seed in range(n_runs)]
        for run in ours:
            yardstick.check_books(case, run)
        theirs = yardstick.play_checked(case, n_runs)
        worst = 0.0
        for what in numbers_of(ours[0]):
            mine = [numbers_of(run)[what] for run in ours]
            other = [numbers_of(run)[what] for run in theirs]
            gap = statistics.fmean(mine) - statistics.fmean(other)
            spread = statistics.variance(mine) + statistics.variance(other)
            errors = abs(gap) / math.sqrt(spread / n_runs) if spread else 0.0
            rounding = 1e-9 * max(map(abs, other))
            if abs(gap) > rounding:
                worst = max(worst, errors)
                if errors > MOST_ERRORS or not spread:
                    raise AssertionError(f"{name}, {what}: {errors:.1f} standard errors apart")
        found.append(f"{name}: every mean is the yardstick's, {worst:.1f} standard errors at most")
    return found


if __name__ == "__main__":
    print("\n".join(self_check()))
