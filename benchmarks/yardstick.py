"""One gang job on failing nodes, told to SimPy as plainly as possible: one process per node.

What a competent modeller writes first, and what computeplan is measured against. It shares no
code with the package, so it also serves as an oracle: means over many runs must agree.

* The job trains on ``n_nodes`` at once; ``n_spares`` more wait, powered.
* Every node that is not in repair faults with exponential gaps on the wall clock, whatever the
  job does. A fault sends its node to repair for a lognormal time, or only stops the job.
* A job with a fault loses its training since the last completed save. A node sent to repair is
  replaced by the spare that has been up longest; without one the job is blocked, and gets the first
  nodes that come back from repair. With all its nodes it restarts for a lognormal time; a further
  fault makes the restart begin anew, with a new draw.
* It saves after every ``interval_s`` of training, and after the last piece of work. The time of a
  save that a fault cuts off stays booked as ``save``; the training before it is ``lost``.
* A run ends when the work is saved, or at the horizon, where unsaved training counts as ``train``.

``python benchmarks/yardstick.py`` checks the model against its own books and four exact laws.
"""

import math
import random
import statistics
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import simpy

PHASES = ("train", "lost", "save", "restart", "blocked", "idle", "repair")


@dataclass(frozen=True)
class Case:
    """What is simulated; a lognormal time of sigma 0 is constant."""

    n_nodes: int
    n_spares: int
    node_mtbf_s: float
    takes_node_frac: float
    restart_median_s: float
    restart_sigma: float
    repair_median_s: float
    repair_sigma: float
    interval_s: float
    save_s: float
    work_s: float
    horizon_s: float = math.inf


@dataclass(frozen=True)
class Run:
    """The outcome of one run."""

    n_unexpected: int  # faults on nodes the job held, in any phase
    n_idle_faults: int  # faults on spares
    node_s: dict[str, float]  # node-seconds by phase
    end_s: float  # the last save done, or the horizon
    is_done: bool


class Cluster:
    """The nodes, the job that holds some of them, and the books."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case = case
        self.random = random.Random(seed)  # noqa: S311 - samples, not secrets
        self.env = simpy.Environment()
        self.held = set(range(case.n_nodes))
        self.spares = deque(range(case.n_nodes, case.n_nodes + case.n_spares))  # longest up first
        self.in_repair: set[int] = set()
        self.n_unexpected = 0
        self.n_idle_faults = 0

        self.node_s = dict.fromkeys(PHASES, 0.0)
        self.unsaved_node_s = 0.0  # training that is to become "train" or "lost"
        self.phase = "unsaved"
        self.booked_until_s = 0.0

        self.has_all = self.env.event()
        self.job = self.env.process(self.run_job())
        for node in range(case.n_nodes + case.n_spares):
            self.env.process(self.run_node(node))

    def book(self) -> None:
        """Write down the time since the last entry; call before anything changes."""
        span_s = self.env.now - self.booked_until_s
        self.booked_until_s = self.env.now
        if self.phase == "unsaved":
            self.unsaved_node_s += span_s * len(self.held)
        else:
            self.node_s[self.phase] += span_s * len(self.held)
        self.node_s["idle"] += span_s * len(self.spares)
        self.node_s["repair"] += span_s * len(self.in_repair)

    def settle(self, phase: str) -> None:
        """Call the unsaved training what it turned out to be."""
        self.node_s[phase] += self.unsaved_node_s
        self.unsaved_node_s = 0.0

    def close(self) -> None:
        """Write down what is under way at the end of the run."""
        self.book()
        self.settle("train")

    def run_node(self, node: int) -> Generator[simpy.Event, Any, None]:
        case = self.case
        while True:
            yield self.env.timeout(self.random.expovariate(1 / case.node_mtbf_s))
            if self.arrival(node):
                yield self.env.timeout(self.draw_s(case.repair_median_s, case.repair_sigma))
                self.give_back(node)

    def arrival(self, node: int) -> bool:
        """Let a node fault; return whether it goes to repair."""
        self.book()
        needs_repair = self.random.random() < self.case.takes_node_frac
        if node in self.held:
            self.n_unexpected += 1
            if needs_repair:
                self.held.remove(node)
                if self.spares:
                    self.held.add(self.spares.popleft())
            if self.phase != "blocked":
                self.job.interrupt()
        else:
            self.n_idle_faults += 1
            if needs_repair:
                self.spares.remove(node)
        if needs_repair:
            self.in_repair.add(node)
        return needs_repair

    def give_back(self, node: int) -> None:
        """Bring a node back from repair: to the job if it lacks one."""
        self.book()
        self.in_repair.remove(node)
        if len(self.held) == self.case.n_nodes:
            self.spares.append(node)
            return
        self.held.add(node)
        if len(self.held) == self.case.n_nodes:
            self.has_all.succeed()

    def run_job(self) -> Generator[simpy.Event, Any, None]:
        case = self.case
        n_saves = math.ceil(case.work_s / case.interval_s - 1e-9)  # 1e-9: 3.0000000001 means 3
        n_saved = 0
        while n_saved < n_saves:
            try:
                kept_s = n_saved * case.interval_s
                yield from self.spend("unsaved", min(case.interval_s, case.work_s - kept_s))
                yield from self.spend("save", case.save_s)
            except simpy.Interrupt:
                self.settle("lost")
                yield from self.recover()
            else:
                self.settle("train")
                n_saved += 1

    def recover(self) -> Generator[simpy.Event, Any, None]:
        """Wait until the job has all its nodes, and restart until no fault interrupts it."""
        while True:
            try:
                if len(self.held) < self.case.n_nodes:
                    self.phase = "blocked"
                    self.has_all = self.env.event()
                    yield self.has_all
                restart_s = self.draw_s(self.case.restart_median_s, self.case.restart_sigma)
                yield from self.spend("restart", restart_s)
            except simpy.Interrupt:
                continue
            return

    def spend(self, phase: str, span_s: float) -> Generator[simpy.Event, Any, None]:
        self.phase = phase
        yield self.env.timeout(span_s)
        self.book()

    def draw_s(self, median_s: float, sigma: float) -> float:
        return self.random.lognormvariate(math.log(median_s), sigma)


def play(case: Case, seed: int) -> Run:
    """Play one run of the case."""
    return run_out(Cluster(case, seed))


def run_out(cluster: Any) -> Run:
    """Play a cluster, of this model or one like it, to the end of its work or the horizon."""
    env, horizon_s = cluster.env, cluster.case.horizon_s
    if math.isinf(horizon_s):
        env.run(until=cluster.job)
    else:
        env.run(until=cluster.job | env.timeout(horizon_s))
    cluster.close()
    return Run(
        n_unexpected=cluster.n_unexpected,
        n_idle_faults=cluster.n_idle_faults,
        node_s=cluster.node_s,
        end_s=env.now,
        is_done=not cluster.job.is_alive,
    )


def check_books(case: Case, run: Run) -> None:
    """Raise unless every node-second of the run is booked once."""
    booked_s = sum(run.node_s.values())
    there_s = (case.n_nodes + case.n_spares) * run.end_s
    if not math.isclose(booked_s, there_s, rel_tol=1e-9):
        raise AssertionError(f"{booked_s} node-seconds booked of {there_s}")
    if run.is_done and not math.isclose(
        run.node_s["train"], case.n_nodes * case.work_s, rel_tol=1e-9
    ):
        raise AssertionError(f"{run.node_s['train']} node-seconds kept of {case.work_s} s of work")


def check_mean(what: str, values: list[float], expected: float) -> str:
    """Raise if the mean is 4 standard errors off: one false alarm in 16,000."""
    mean = statistics.fmean(values)
    standard_error = statistics.stdev(values) / math.sqrt(len(values))
    off = (mean - expected) / standard_error
    if abs(off) > 4:
        raise AssertionError(f"{what}: {mean:.6g}, not {expected:.6g} ({off:+.1f} standard errors)")
    return f"{what}: {mean:.6g}, exactly {expected:.6g} ({off:+.1f} standard errors)"


MINUTE_S, HOUR_S = 60.0, 3600.0
N_CHECK_INTERVALS = 100
IN_PLACE = Case(  # no fault sends a node to repair
    n_nodes=16,
    n_spares=0,
    node_mtbf_s=48 * HOUR_S,
    takes_node_frac=0.0,
    restart_median_s=10 * MINUTE_S,
    restart_sigma=0.0,
    repair_median_s=3 * HOUR_S,
    repair_sigma=0.0,
    interval_s=30 * MINUTE_S,
    save_s=MINUTE_S,
    work_s=N_CHECK_INTERVALS * 30 * MINUTE_S,
)
ALONE = replace(
    IN_PLACE, n_nodes=1, node_mtbf_s=3 * HOUR_S, takes_node_frac=1.0
)  # every fault does
CROWDED = Case(  # everything at once, too few spares, and a horizon that about half the runs meet
    n_nodes=32,
    n_spares=3,
    node_mtbf_s=60 * HOUR_S,
    takes_node_frac=0.7,
    restart_median_s=10 * MINUTE_S,
    restart_sigma=0.5,
    repair_median_s=3 * HOUR_S,
    repair_sigma=1.0,
    interval_s=30 * MINUTE_S,
    save_s=MINUTE_S,
    work_s=90.5 * 30 * MINUTE_S,
    horizon_s=65 * HOUR_S,
)


def play_checked(case: Case, n_runs: int) -> list[Run]:
    runs = [play(case, seed) for seed in range(n_runs)]
    for run in runs:
        check_books(case, run)
    return runs


def check_interval(what: str, case: Case, n_runs: int) -> str:
    """Hold the wall time of one interval and its save against its exact expectation.

    Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", 2006,
    eq. 20, where no node needs repair. Where each fault sends the job's only node to repair for a
    constant time, in which no fault arrives, the repair adds to the mean gap between faults.
    """
    gap_s = job_mtbf_s = case.node_mtbf_s / case.n_nodes
    if case.takes_node_frac == 1 and case.n_nodes == 1:
        gap_s += case.repair_median_s
    expected_s = (
        gap_s
        * math.exp(case.restart_median_s / job_mtbf_s)
        * math.expm1((case.interval_s + case.save_s) / job_mtbf_s)
    )
    ends_s = [run.end_s for run in play_checked(case, n_runs)]
    return check_mean(what, [end_s / N_CHECK_INTERVALS for end_s in ends_s], expected_s)


def check_pace(n_runs: int) -> list[str]:
    """Hold the number of faults against the node-seconds in which they can arrive."""
    runs = play_checked(CROWDED, n_runs)
    if len({run.is_done for run in runs}) < 2:
        raise AssertionError("the crowded case should meet its horizon in some runs only")
    held = [phase for phase in PHASES if phase not in ("idle", "repair")]
    on_held, on_spares = [], []
    for run in runs:
        held_s = sum(run.node_s[phase] for phase in held)
        on_held.append(run.n_unexpected - held_s / CROWDED.node_mtbf_s)
        on_spares.append(run.n_idle_faults - run.node_s["idle"] / CROWDED.node_mtbf_s)
    return [
        check_mean("faults of the job's nodes, less held time / MTBF", on_held, 0.0),
        check_mean("faults of spares, less idle time / MTBF", on_spares, 0.0),
    ]


def self_check(n_runs: int = 400) -> list[str]:
    """Return what was found to hold; raise AssertionError if the model is wrong."""
    return [
        check_interval("seconds per saved interval, faults in place", IN_PLACE, n_runs),
        check_interval("seconds per saved interval, every fault a repair", ALONE, n_runs),
        *check_pace(n_runs),
    ]


if __name__ == "__main__":
    print("\n".join(self_check()))
