"""What is valid and yet cannot be: found before the first run, each with its place."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np

from computeplan.errors import InfeasibleError, Problem, ScenarioError
from computeplan.scheduling.registry import Choosy, can, load_policy, needs_of, policy_names
from computeplan.specs.scenario import Scenario
from computeplan.units import DAY_S, HOUR_S, YEAR_S
from computeplan.world.jobs import Job
from computeplan.world.world import World

__all__ = ["check_feasible", "check_size"]

MOST_PAIRS = 1_000_000  # of a job that is written and a pool: each is compiled

MOST_NODES = 4_000_000  # of all pools: each takes some 80 bytes of a run
MOST_ARRIVALS = 200_000  # of faults and stops in one run: 64 runs take some 0.5 GB
MANY_YOUNG = 1000  # faults of a new node in a run, beyond which its law is the reason
MOST_SAVES = 1_000_000  # of jobs that share storage, in one run: some 30 s; others cost nothing
LONGEST_S = 1000 * YEAR_S  # an expected wall time beyond this is no plan


def check_size(scenario: Scenario) -> None:
    """Raise what would take too long to compile.

    Raises
    ------
    InfeasibleError
        If there are too many jobs for the pools.
    """
    n_pools = sum(len(site.pools) for site in scenario.sites.values())
    n_jobs = len(scenario.jobs)
    if n_jobs * n_pools > MOST_PAIRS:
        message = (
            f"{n_jobs:,} jobs on {n_pools:,} pools are more than {MOST_PAIRS:,} pairs; write fewer"
            " pools, or study the jobs in parts"
        )
        problem = scenario.document.problem(("jobs",), message)
        raise InfeasibleError(str(ScenarioError([problem])))


def check_feasible(scenario: Scenario, world: World) -> None:
    """Raise what an engine would choke on.

    Raises
    ------
    ScenarioError
        If there is no such policy, or it lacks what it needs to decide.
    InfeasibleError
        If a job fits on no pool or would never end, or a pool has too many faults to play.
    """
    problems = list(_policy(scenario, world))
    if problems:
        raise ScenarioError(problems)
    problems = [*_too_many_nodes(scenario, world), *_too_large(scenario, world)]
    problems = problems or list(_too_long(scenario, world))
    problems = problems or [*_too_many_arrivals(scenario, world), *_too_many_saves(scenario, world)]
    if problems:
        raise InfeasibleError(str(ScenarioError(problems)))


def _policy(scenario: Scenario, world: World) -> Iterator[Problem]:
    document, jobs, pools = scenario.document, world.job_table, world.pool_table
    needs_watts = "watts" in needs_of(world.policy) or world.caps_power
    if needs_watts and np.isnan(jobs.energy_j[jobs.n_nodes > 0]).any():
        needs = "needs the watts of every pool: give power where no TDP is known"
        yield document.problem(("policy",), f"{world.policy} {needs}")
    for what, values, give in (
        ("carbon", pools.kg_per_j, "carbon: 400 g/kWh at each site"),
        ("prices", pools.usd_per_node_s, "price: 0.08 USD/kWh at each site, or rent of each pool"),
        ("water", pools.l_per_j, "water_off_site: 3 L/kWh at each site"),
    ):
        if what not in needs_of(world.policy):
            continue
        if values is None or np.isnan(values).any():
            needs = f"{world.policy} weighs pools by {what}, and some have none: give {give}"
            yield document.problem(("policy",), needs)
        elif what != "prices" and not (values > 0).all():
            needs = f"{world.policy} weighs pools by {what}, which must be above 0: give {give}"
            yield document.problem(("policy",), needs)
    if "prices above 0" in needs_of(world.policy) and not (pools.usd_per_node_s > 0).all():
        which = ", ".join(
            f"{name} {usd * HOUR_S:.4g} {scenario.currency} per node and hour"
            for name, usd in zip(pools.names, pools.usd_per_node_s, strict=True)
            if not usd > 0
        )
        divides = f"{world.policy} divides by the price of a pool, which must be above 0: {which}"
        yield document.problem(("policy",), divides)
    if isinstance(world.decide, Choosy) and (why := world.decide.lacks(pools)):
        yield document.problem(("policy",), f"{world.policy}: {why}")
    if "home" in needs_of(world.policy) and len(world.pools) > 1:
        for job in world.jobs.kinds:
            if job.home < 0:
                only = f"policy {world.policy} runs each job on its home pool only"
                yield document.problem(_path_of(scenario, job), f"home is missing: {only}")


def _path_of(scenario: Scenario, job: Job) -> tuple[str, str]:
    """Return where a kind of job is written: by itself, or with its workload."""
    if job.name in scenario.jobs:
        return "jobs", job.name
    return "workloads", job.name.partition("/")[0]


def _too_many_nodes(scenario: Scenario, world: World) -> Iterator[Problem]:
    total = sum(pool.n_nodes + pool.n_spare_nodes for pool in world.pools)
    if total > MOST_NODES:
        largest = max(world.pools, key=lambda pool: pool.n_nodes + pool.n_spare_nodes)
        key = "spares" if largest.n_spare_nodes > largest.n_nodes else "chips"
        message = (
            f"makes {total:,} nodes in all, spares included, more than the {MOST_NODES:,} that are"
            " played one by one; check the number"
        )
        path = ("sites", largest.site, "pools", largest.name, key)
        yield scenario.document.problem(path, message)


def _too_large(scenario: Scenario, world: World) -> Iterator[Problem]:
    have = ", ".join(f"{pool.name} {pool.n_nodes * pool.chips_per_node}" for pool in world.pools)
    for job in world.jobs.kinds:
        if job.mixing_frac and not job.n_nodes.any():
            wanted = zip(world.pools, job.whole_nodes, strict=True)
            if sum(pool.n_nodes / n for pool, n in wanted if n) < 1:
                nodes = " or ".join(
                    f"{n} nodes of {p.name}, which has {p.n_nodes}"
                    for p, n in zip(world.pools, job.whole_nodes, strict=True)
                    if n
                )
                message = f"is larger than all pools together: it is {nodes}"
                yield scenario.document.problem(_path_of(scenario, job), message)
            continue
        if job.name not in scenario.jobs:
            continue  # of a workload, which has looked already
        spec, at = scenario.jobs[job.name], ("jobs", job.name)
        if not job.n_nodes.any():
            key = "chips" if spec.chips else "parallelism"
            wants = f"{spec.chips} chips" if spec.chips else "more chips"
            message = f"wants {wants}, but no pool has so many (chips: {have})"
            if spec.mixed:
                able = [name for name in policy_names() if can(load_policy(name), "mix")]
                message += f"; on several pools at once it is placed by {', '.join(able)}"
            yield scenario.document.problem((*at, key), message)
        elif "home" in needs_of(world.policy) and job.home >= 0 and not job.n_nodes[job.home]:
            yield scenario.document.problem((*at, "home"), "the job is larger than its home pool")


def _too_long(scenario: Scenario, world: World) -> Iterator[Problem]:
    if np.isfinite(world.cut_s):
        return
    for j in world.jobs.longest:
        job = world.jobs[j]
        walls_s = [world.long_run_wall_s(j, int(p)) for p in np.flatnonzero(job.n_nodes)]
        if not walls_s and job.mixing_frac:
            mixed = map(int, np.flatnonzero(job.whole_nodes))
            walls_s = [world.long_run_wall_s(j, p) / job.mixing_frac for p in mixed]
        if walls_s and not min(walls_s) < LONGEST_S:
            message = (
                f"would take {min(walls_s) / YEAR_S:.3g} years on its best pool in the long run;"
                " save more often, use fewer chips, more spares, or give simulate.at_most"
            )
            yield scenario.document.problem(("jobs", job.name), message)


def _too_many_arrivals(scenario: Scenario, world: World) -> Iterator[Problem]:
    """Yield the kind with the most faults, or stops, in a run that has too many in all."""
    counts = Counter[str]()
    for p, pool in enumerate(world.pools):
        counts.update(world.arrivals_by_kind(p))
        for kind in pool.kinds:  # that one fault takes so many is enough
            outcomes = kind.interrupt.outcomes if kind.interrupt else ()
            largest = max((outcome.n_nodes for outcome in outcomes), default=0)
            counts[kind.name] = max(counts[kind.name], largest)
    n_arrivals = sum(counts.values())
    if not n_arrivals <= MOST_ARRIVALS:
        name = max(counts, key=counts.__getitem__)
        counted = " (each node of a group counts)" if any(p.has_groups for p in world.pools) else ""
        part = (
            f", {100 * counts[name] / n_arrivals:.0f} % of them {name}" if len(counts) > 1 else ""
        )
        message = (
            f"about {n_arrivals:.3g} faults and stops in a run{counted}{part}; more than"
            f" {MOST_ARRIVALS:,} are not played: {_what_to_try(world, name)}"
        )
        if math.isinf(n_arrivals):
            message = (
                "faults and stops without end in a run, as a job at its slowest hardly ever gets"
                " to a save; save more often, or give simulate.at_most"
            )
        block = "faults" if name in scenario.faults else "planned"
        yield scenario.document.problem((block, name), message)


def _what_to_try(world: World, name: str) -> str:
    """Return what to do about a kind that comes too often."""
    for p, pool in enumerate(world.pools):
        for kind in pool.kinds:
            if kind.name != name or kind.lifetime is None or not kind.rate_per_node_s:
                continue
            days = world.look_s(p) / DAY_S
            if (n_again := kind.n_again(days * DAY_S)) > MANY_YOUNG:
                return (
                    f"by its law {kind.lifetime.law.name} so many lives are short that a new node"
                    f" faults about {n_again:.3g} times in {days:.3g} days, which no mean helps;"
                    " give a law that spreads less"
                )
    return "check how often they come, or give a shorter simulate.at_most"


def _too_many_saves(scenario: Scenario, world: World) -> Iterator[Problem]:
    """Yield the job with the most saves that are events, as others may write meanwhile."""
    counts = {}
    for job in world.jobs.kinds:
        here = [p for p, site in enumerate(job.storage) if site]
        counts[job.name] = max((float(job.train_s[p] / job.interval_s[p]) for p in here), default=0)
    n_saves = sum(counts.values())
    if n_saves > MOST_SAVES:
        name = max(counts, key=counts.__getitem__)
        by = f" by {len(counts)} jobs" if len(counts) > 1 else ""
        message = (
            f"about {n_saves:.3g} saves in a run through shared storage{by}, more than"
            f" {MOST_SAVES:,}; save less often, or give bandwidth"
        )
        yield scenario.document.problem(("jobs", name, "checkpoint"), message)
