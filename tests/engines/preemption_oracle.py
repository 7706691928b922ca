"""Preemption with faults and saves as a plain SimPy program: an oracle that shares no code.

One pool of like nodes, no spares, and gang jobs of two priorities. A job trains, and saves after
each ``interval_s`` of training, which takes ``save_s``; a last save ends it. Faults of a job are
Poisson with the rate ``n_nodes / mtbf_node_s`` while it holds nodes, whatever it does: it falls
back to its last complete save and trains again after ``restart_s``, on the same nodes; a fault
before that begins the restart anew.

Waiting jobs start in the order of priority, then of the queue; the first that lacks nodes lets
nobody pass. If it is of high priority, it stops jobs of low priority, the last to start first,
until the nodes that are free or come back are enough for it; where all of them would not be enough,
none. A job that is stopped saves, which takes ``save_s``, gives its nodes back, and waits again at
the end of its queue. A save that is under way is not begun anew, a job that does not train yet has
nothing to save, and a fault ends the save: then the nodes come back at once. A job that has run
before trains after ``resume_s``, and its next save is a whole interval later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import simpy

__all__ = ["GangJob", "Setup", "play"]


@dataclass(frozen=True)
class GangJob:
    """What a job needs; `work_s` is training on all its nodes."""

    arrival_s: float
    n_nodes: int
    work_s: float
    is_high: bool = False


@dataclass(frozen=True)
class Setup:
    """The pool, and what faults and saves cost."""

    n_nodes: int
    interval_s: float
    save_s: float
    restart_s: float
    mtbf_node_s: float
    resume_s: float = 0.0


@dataclass(eq=False)
class _Progress:
    index: int
    job: GangJob
    left_s: float
    has_run: bool = False
    is_stopping: bool = False
    process: simpy.Process | None = None


@dataclass(eq=False)
class _Cluster:
    env: simpy.Environment
    setup: Setup
    rng: np.random.Generator
    free: int
    waiting: list[_Progress] = field(default_factory=list)
    running: list[_Progress] = field(default_factory=list)
    end_s: dict[int, float] = field(default_factory=dict)
    n_stops: int = 0


def play(setup, jobs, n_runs, seed):
    """Return when each job ends, and how often jobs are stopped.

    Parameters
    ----------
    setup : Setup
    jobs : sequence of GangJob
    n_runs, seed : int

    Returns
    -------
    end_s : ndarray, shape (n_runs, n_jobs)
    n_stops : ndarray, shape (n_runs,)
    """
    rng = np.random.default_rng(seed)
    end_s, n_stops = np.empty((n_runs, len(jobs))), np.empty(n_runs, dtype=int)
    for run in range(n_runs):
        cluster = _Cluster(simpy.Environment(), setup, rng, setup.n_nodes)
        for index, job in enumerate(jobs):
            cluster.env.process(_arrives(cluster, _Progress(index, job, job.work_s)))
        cluster.env.run()
        end_s[run] = [cluster.end_s[index] for index in range(len(jobs))]
        n_stops[run] = cluster.n_stops
    return end_s, n_stops


def _arrives(cluster, progress):
    yield cluster.env.timeout(progress.job.arrival_s)
    cluster.waiting.append(progress)
    _dispatch(cluster)


def _dispatch(cluster):
    """Start those who can, in their order, and make room for the first that cannot."""
    while cluster.waiting:
        first = min(cluster.waiting, key=lambda one: not one.job.is_high)
        if first.job.n_nodes > cluster.free:
            if first.job.is_high:
                _make_room(cluster, first.job.n_nodes)
            return
        cluster.waiting.remove(first)
        cluster.running.append(first)
        cluster.free -= first.job.n_nodes
        first.process = cluster.env.process(_runs(cluster, first))


def _make_room(cluster, n_nodes):
    come_back = sum(one.job.n_nodes for one in cluster.running if one.is_stopping)
    lacking, chosen = n_nodes - cluster.free - come_back, []
    for one in cluster.running[::-1]:
        if lacking > 0 and not one.job.is_high and not one.is_stopping:
            chosen.append(one)
            lacking -= one.job.n_nodes
    if lacking <= 0:
        for one in chosen:
            one.is_stopping = True
            cluster.n_stops += 1
            one.process.interrupt()


def _runs(cluster, progress):
    """Hold nodes until the job ends or is stopped, then give them back."""
    yield from _holds(cluster, progress)
    cluster.running.remove(progress)
    cluster.free += progress.job.n_nodes
    if progress.left_s > 0:
        progress.is_stopping = False
        cluster.waiting.append(progress)
    else:
        cluster.end_s[progress.index] = cluster.env.now
    _dispatch(cluster)


def _holds(cluster, progress):
    env, setup = cluster.env, cluster.setup
    mtbf_s = setup.mtbf_node_s / progress.job.n_nodes
    fault_s = env.now + cluster.rng.exponential(mtbf_s)
    pause_s = setup.resume_s if progress.has_run else 0.0
    progress.has_run = True
    while progress.left_s > 0:
        train_from_s = env.now + pause_s
        save_from_s = train_from_s + min(setup.interval_s, progress.left_s)
        saved_s, is_stopped = save_from_s + setup.save_s, False
        try:
            yield env.timeout(min(saved_s, fault_s) - env.now)
        except simpy.Interrupt:
            is_stopped = True
            if env.now < train_from_s:
                return
            save_from_s = min(save_from_s, env.now)
            saved_s = save_from_s + setup.save_s
            yield env.timeout(min(saved_s, fault_s) - env.now)
        if saved_s < fault_s:
            trained_s, pause_s = save_from_s - train_from_s, 0.0
            # A remainder below a thousandth of a second is rounding.
            progress.left_s = left_s if (left_s := progress.left_s - trained_s) > 1e-3 else 0.0
        else:
            fault_s, pause_s = env.now + cluster.rng.exponential(mtbf_s), setup.restart_s
        if is_stopped:
            return
