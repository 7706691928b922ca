"""Policies that start jobs from a queue and never stop them; a job gets all its nodes or none.

Each is a pure function of a `View`: no clock, no randomness, and what it remembers is in the view.
A job is expected to end at ``now + wall_s`` of the view; with more faults than expected it ends
later, as jobs do that outlast the estimates of their users. None scans the whole queue at every
event: they ask `View.waiting`, and look at new jobs only if nothing else has changed.

Sources
-------
.. [1] D. A. Lifka, "The ANL/IBM SP scheduling system", JSSPP 1995, LNCS 949: EASY backfill, with a
       reservation for the first job that waits.
.. [2] A. W. Mu'alem, D. G. Feitelson, "Utilization, predictability, workloads, and user runtime
       estimates in scheduling the IBM SP2 with backfilling", IEEE TPDS 12(6), 2001: conservative
       backfill, with a reservation for each.
.. [3] T. D. Braun et al., "A comparison of eleven static heuristics for mapping a class of
       independent tasks onto heterogeneous distributed computing systems", Journal of Parallel and
       Distributed Computing 61(6), 2001: minimum completion time.
.. [4] D. Narayanan et al., "Heterogeneity-aware cluster scheduling policies for deep learning
       workloads", OSDI 2020: first in, first out, on the fastest type with room.
.. [5] W. E. Smith, "Various optimizers for single-stage production", Naval Research Logistics
       Quarterly 3, 1956: the shortest first has the least mean completion time on one machine.
"""

from __future__ import annotations

import math

from computeplan.scheduling.backfill import Round, reserve, start_only
from computeplan.scheduling.decision import NOTHING, Decision, Start
from computeplan.scheduling.registry import may, needs
from computeplan.scheduling.reservations import start_by_reservation
from computeplan.scheduling.view import View

__all__ = [
    "conservative_backfill",
    "fastest_first",
    "fifo",
    "fifo_backfill",
    "first_fit",
    "least_carbon",
    "least_cost",
    "least_energy",
    "least_water",
    "most_headroom",
    "shortest_first",
    "silo",
]


# -- by order of arrival ---------------------------------------------------------------------------


def fifo(view: View) -> Decision:
    """Return starts strictly in the order of arrival: a job that does not fit blocks all behind it.

    The first job starts if ``n_nodes <= free`` on some pool; of those, on the one with the least
    ``wall_s`` (ties: the first in the scenario), then the next. It is `fifo_perf` of [4]_ without
    rounds.

    It loses wherever sizes differ: nodes stand idle while a wide job waits for the last of its own.
    """
    free, starts = list(view.free), []
    for job, _ in view.waiting.behind(-1):
        best, best_s = -1, math.inf
        for pool in view.pools_for(job):
            if view.nodes(job, pool) <= free[pool]:
                wall_s = view.wall_s(job, pool)
                if best < 0 or wall_s < best_s:
                    best, best_s = pool, wall_s
        if best < 0:
            break
        free[best] -= view.nodes(job, best)
        starts.append(Start(job, best))
    return Decision(starts) if starts else NOTHING


def most_headroom(view: View) -> Decision:
    """Return starts strictly in the order of arrival, each where the site has the most power left.

    The first job starts if ``n_nodes <= free`` on some pool; of those, on the one with the most
    ``headroom_w`` (ties, such as sites without limit: the least ``wall_s``), then the next, with
    less head-room at the sites of those before it. It is greedy worst fit, of power.

    It loses where the site with the most power is not the one with the fastest chips, and wherever
    sizes differ, as `fifo` does.
    """
    free, starts, left_w = list(view.free), list[Start](), list(view.headroom_w)
    sites, held_w = view.pools.site or range(len(free)), view.pools.held_w
    for job, _ in view.waiting.behind(-1):
        fits = [pool for pool in view.pools_for(job) if view.nodes(job, pool) <= free[pool]]
        if not fits:
            break
        best = min(fits, key=lambda pool: (-left_w[pool], view.wall_s(job, pool)))
        n_nodes = view.nodes(job, best)
        free[best] -= n_nodes
        starts.append(Start(job, best))
        if held_w is not None and left_w[best] < math.inf:
            takes_w = n_nodes * float(held_w[best])
            left_w = [w - takes_w if sites[p] == sites[best] else w for p, w in enumerate(left_w)]
    return Decision(starts) if starts else NOTHING


def _home(view: View, job: int) -> int:
    home = int(view.jobs.home[job])
    return home if home >= 0 else view.pools_for(job)[0]


@needs("home")
def silo(view: View) -> Decision:
    """Return starts of a static partition: each job on its home pool, first come first served.

    A job starts if ``n_nodes <= free`` on its home pool, and no earlier job waits there. A job
    without a home has its first pool as home.

    It loses when one pool idles while another has a queue, and a fast one runs what a slow one
    could.
    """
    starts = []
    for pool, line in view.lines(_home).items():
        free = view.free[pool]
        for job, place in line.behind(-1):
            if (nodes := view.nodes(job, pool)) > free:
                break
            free -= nodes
            starts.append((place, Start(job, pool)))
    return Decision([start for _, start in sorted(starts)]) if starts else NOTHING


# -- those who fit ---------------------------------------------------------------------------------


@may("starve")
def first_fit(view: View) -> Decision:
    """Return every waiting job that fits somewhere now, each on the first pool with room.

    A job starts if ``n_nodes <= free`` on any pool, in the order of arrival. No job waits for
    another.

    It loses where sizes differ: large jobs may starve behind small ones.
    """
    if len(view.queue) == 1:
        return start_only(view)
    made = Round(view)
    made.start_what_fits(view.waiting, made.after)
    return made.decision()


@may("starve")
def shortest_first(view: View) -> Decision:
    """Return starts of the jobs with the least ``wall_s``, none of which is stopped [5]_.

    Of all pairs of a job and a pool with ``n_nodes <= free``, that with the least ``wall_s`` starts
    (ties: the first in the queue), then the next. On one machine the mean completion time is the
    least that can be had without stopping jobs, and the expected times must be right.

    It loses on the longest waits: long or large jobs may starve behind short or small ones.
    """
    if len(view.queue) == 1:
        return fifo(view)
    made = Round(view)
    if any(room.n_nodes > 0 for room in made.rooms):
        for job, pool, _ in view.waiting.shortest_that_fit(made.rooms, made.after):
            made.start(job, pool)
    return made.decision()


def fifo_backfill(view: View) -> Decision:
    """Return starts in the order of arrival, with EASY backfill [1]_.

    The first job that does not fit gets a reservation on the pool where it is expected to start
    soonest, at ``min_pool min {t: free + nodes that come free by t >= n_nodes}``. A later job
    starts now if it fits on another pool, or ends before that start, or needs no more nodes than
    will be left beside the reserved ones.

    It loses against shorter first in mean completion time, and the second in the queue may be
    delayed by those behind it.
    """
    if len(view.queue) == 1:
        return start_only(view)
    made = Round(view)
    if made.head < 0:
        made.after = -1
        for job, place in view.waiting.behind(-1):
            if (pool := made.first_with_room(job)) < 0:
                reserve(made, job)
                made.after = place
                break
            made.start(job, pool)
        else:
            return Decision(made.starts)
    made.start_what_fits(view.waiting, made.after)
    return made.decision()


# -- with a reservation for each -------------------------------------------------------------------


def conservative_backfill(view: View) -> Decision:
    """Return starts in the order of arrival, with a reservation for every job that waits [2]_.

    Each job in turn gets the place that begins soonest (ties: the first pool in the scenario), so
    no later job delays it.

    It loses against one reservation where jobs end early: what is reserved far ahead stops jobs
    that would have delayed nobody in the end.
    """
    return start_by_reservation(view, _soonest)


def _soonest(_view: View, _job: int, _pool: int, _end_s: float) -> tuple[float, ...]:
    return ()


def fastest_first(view: View) -> Decision:
    """Return starts in the order of arrival, each job on the pool where it ends soonest [3]_.

    Minimises ``start + wall_s``: a job waits for a fast pool if it ends sooner there than on a
    slower one now. Each job that waits reserves its nodes [2]_, so no later job delays it.

    It loses where the first in the queue gain little from the fast pool and those behind would gain
    much.
    """
    return start_by_reservation(view, _fastest)


def _fastest(_view: View, _job: int, _pool: int, end_s: float) -> tuple[float, ...]:
    return (end_s,)


@needs("watts")
def least_energy(view: View) -> Decision:
    """Return starts in the order of arrival, each job where it needs the least energy.

    Minimises ``energy_j`` over the pools on which ``start + wall_s <= deadline``; if there is none,
    ``start + wall_s``. Each job that waits reserves its nodes [2]_, so no later job delays it.

    It loses time: jobs without a deadline queue for the thriftiest pool while others idle, and idle
    chips draw power too, which it does not count.
    """
    return start_by_reservation(view, _energy_j)


def _energy_j(view: View, job: int, pool: int, end_s: float) -> tuple[float, ...]:
    return _by_deadline(view, job, view.energy_j(job, pool), end_s)


def _by_deadline(view: View, job: int, takes: float, end_s: float) -> tuple[float, ...]:
    """Return what a job takes as its cost, where it ends by its deadline; else its end."""
    if end_s > view.jobs.deadline_s[job]:
        return (1.0, end_s, 0.0)
    return (0.0, takes, end_s)


@needs("watts", "carbon")
def least_carbon(view: View) -> Decision:
    """Return starts in the order of arrival, each job where it emits the least carbon.

    As least energy, with ``energy_j * kg_per_j`` of the pool's site in place of ``energy_j``.

    It loses time as least energy does, and energy where the site with the cleanest electricity has
    the chips that need most of it.
    """
    return start_by_reservation(view, _carbon_kg)


def _carbon_kg(view: View, job: int, pool: int, end_s: float) -> tuple[float, ...]:
    kg = view.energy_j(job, pool) * float(view.pools.kg_per_j[pool])
    return _by_deadline(view, job, kg, end_s)


@needs("prices")
def least_cost(view: View) -> Decision:
    """Return starts in the order of arrival, each job where it costs the least.

    As least energy, with ``nodes * wall_s * price + moves`` in place of ``energy_j``: the price of
    a node second is that of its electricity in training, at the price of the site, and of its rent;
    moves are what it costs to bring the job's data and saved state to the site, once.

    It loses time as least energy does; and money where chips are paid for whether used or not,
    because what idles meanwhile is not counted.
    """
    return start_by_reservation(view, _money)


def _money(view: View, job: int, pool: int, end_s: float) -> tuple[float, ...]:
    node_s = view.nodes(job, pool) * view.wall_s(job, pool)
    usd = node_s * float(view.pools.usd_per_node_s[pool]) + view.move_usd(job, pool)
    return _by_deadline(view, job, usd, end_s)


@needs("watts", "water")
def least_water(view: View) -> Decision:
    """Return starts in the order of arrival, each job where it takes the least water.

    As least energy, with ``energy_j * l_per_j``: what cools the site and what power stations take.

    It loses time as least energy does, and carbon and money where dry sites burn coal.
    """
    return start_by_reservation(view, _water_l)


def _water_l(view: View, job: int, pool: int, end_s: float) -> tuple[float, ...]:
    water = view.pools.l_per_j
    l_per_j = math.nan if water is None else float(water[pool])
    return _by_deadline(view, job, view.energy_j(job, pool) * l_per_j, end_s)
