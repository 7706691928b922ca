"""What is valid and yet cannot be: found before the first run, each with its place."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from computeplan.errors import InfeasibleError, Problem, ScenarioError
from computeplan.scheduling.registry import AT_HOME, BY_ENERGY, load_policy
from computeplan.specs.scenario import Scenario
from computeplan.units import YEAR_S
from computeplan.world.world import World

__all__ = ["check_feasible"]

MOST_ARRIVALS = 200_000  # of faults and stops on one pool in one run
MOST_SAVES = 1_000_000  # of one job that shares storage, in one run: some 12 s; others cost nothing
LONGEST_S = 1000 * YEAR_S  # an expected wall time beyond this is no plan


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
    problems = [*_too_large(scenario, world), *_too_long(scenario, world)]
    problems = problems or [*_too_many_arrivals(scenario, world), *_too_many_saves(scenario, world)]
    if problems:
        raise InfeasibleError(str(ScenarioError(problems)))


def _policy(scenario: Scenario, world: World) -> Iterator[Problem]:
    document = scenario.document
    try:
        load_policy(scenario.policy)
    except ValueError as error:
        yield document.problem(("policy",), str(error))
    if scenario.policy in BY_ENERGY and np.isnan(world.energy_j[world.n_nodes > 0]).any():
        needs = "needs the watts of every pool: give power where no TDP is known"
        yield document.problem(("policy",), f"{scenario.policy} {needs}")
    if scenario.policy in AT_HOME and len(world.pools) > 1:
        for job in world.jobs:
            if job.home < 0:
                only = f"policy {scenario.policy} runs each job on its home pool only"
                yield document.problem(("jobs", job.name), f"home is missing: {only}")


def _too_large(scenario: Scenario, world: World) -> Iterator[Problem]:
    have = ", ".join(f"{pool.name} {pool.n_nodes * pool.chips_per_node}" for pool in world.pools)
    for job in world.jobs:
        spec, at = scenario.jobs[job.name], ("jobs", job.name)
        if not job.n_nodes.any():
            key = "chips" if spec.chips else "parallelism"
            wants = f"{spec.chips} chips" if spec.chips else "more chips"
            message = f"wants {wants}, but no pool has so many (chips: {have})"
            yield scenario.document.problem((*at, key), message)
        elif scenario.policy in AT_HOME and job.home >= 0 and not job.n_nodes[job.home]:
            yield scenario.document.problem((*at, "home"), "the job is larger than its home pool")


def _too_long(scenario: Scenario, world: World) -> Iterator[Problem]:
    if np.isfinite(world.cut_s):
        return
    for job in world.jobs:
        walls_s = [job.expected_wall_s(int(p)) for p in np.flatnonzero(job.n_nodes)]
        if walls_s and not min(walls_s) < LONGEST_S:
            message = (
                f"would take {min(walls_s) / YEAR_S:.3g} years on its best pool;"
                " save more often, use fewer chips, or give simulate.at_most"
            )
            yield scenario.document.problem(("jobs", job.name), message)


def _too_many_arrivals(scenario: Scenario, world: World) -> Iterator[Problem]:
    for p, pool in enumerate(world.pools):
        n_arrivals = world.n_arrivals(p)
        if not n_arrivals <= MOST_ARRIVALS:
            counted = " (each node of a group counts)" if pool.has_groups else ""
            message = (
                f"about {n_arrivals:.3g} faults and stops in a run{counted}, more than"
                f" {MOST_ARRIVALS:,}; check the rates, or give a shorter simulate.at_most"
            )
            yield scenario.document.problem(("sites", pool.site, "pools", pool.name), message)


def _too_many_saves(scenario: Scenario, world: World) -> Iterator[Problem]:
    """Yield jobs whose saves are events, as others may write meanwhile, and too many of them."""
    for job in world.jobs:
        here = [p for p, site in enumerate(job.storage) if site]
        n_saves = max((job.train_s[p] / job.interval_s[p] for p in here), default=0.0)
        if n_saves > MOST_SAVES:
            message = (
                f"about {n_saves:.3g} saves in a run through shared storage, more than"
                f" {MOST_SAVES:,}; save less often, or give bandwidth"
            )
            yield scenario.document.problem(("jobs", job.name, "checkpoint"), message)
