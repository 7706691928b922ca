"""How a job goes on when it lacks nodes: compiled from `on_loss`, for the pools it may run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from computeplan.errors import ScenarioError
from computeplan.specs.elastic import OnLoss
from computeplan.specs.jobs import Job as JobSpec
from computeplan.specs.scenario import Scenario
from computeplan.world.faults import Slow
from computeplan.world.jobs import Shrinking
from computeplan.world.pools import is_slowed

if TYPE_CHECKING:  # both know this module
    from computeplan.compiler.checkpoints import Saving
    from computeplan.world.pools import Pool

__all__ = ["shrinking_on"]


def shrinking_on(
    scenario: Scenario, pool: Pool, name: str, job: JobSpec, n_nodes: int, saving: Saving
) -> Shrinking | None:
    """Return how a job goes on without nodes that it lacks; None if it waits for them.

    Raises
    ------
    ScenarioError
        If its nodes on a pool are not whole replicas, nor its replicas evenly on whole nodes, or
        where its speed varies in a way that cannot be played together.
    """
    if scenario.policy == "silo" and job.home not in (None, pool.name):
        return None
    if is_slowed(pool):
        _check_slowed(scenario, pool, name, job, saving)
    if not isinstance(job.on_loss, OnLoss):
        return None
    if pool.boots:
        message = (
            "a job that shrinks cannot be played together with spares that take time until they"
            f" can train, as on {pool.name}; give spares as a number of nodes"
        )
        raise ScenarioError([scenario.document.problem(("jobs", name, "on_loss"), message)])
    shrink, n_replicas = job.on_loss.shrink, job.n_replicas
    assert n_replicas is not None  # validated
    if n_nodes % n_replicas and n_replicas % n_nodes:
        message = (
            f"{n_nodes} nodes on {pool.name} cannot be dealt out evenly to {n_replicas} replicas;"
            f" give a number of replicas that divides {n_nodes}, or is a multiple of it"
        )
        where = ("jobs", name, "on_loss", "shrink")
        raise ScenarioError([scenario.document.problem(where, message)])
    return Shrinking(n_replicas, shrink.least, shrink.resize)


def _check_slowed(scenario: Scenario, pool: Pool, name: str, job: JobSpec, saving: Saving) -> None:
    """Refuse what is not played where the speed of training varies."""
    slows = [f"faults.{kind.name}.slows" for kind in pool.kinds if isinstance(kind.effect, Slow)]
    slows += [f"sites.{pool.site}.pools.{pool.name}.throttle"] if pool.throttle_frac else []
    said = []
    if saving.tiers:
        said.append(
            (
                "checkpoint",
                "saves that go on behind training, go to tiers, or are read back (load: 0 s)",
            )
        )
    if isinstance(job.on_loss, OnLoss):
        said.append(("on_loss", "a job that shrinks"))
    problems = [
        scenario.document.problem(
            ("jobs", name, field), f"{what} cannot be played together with {slows[0]}; drop one"
        )
        for field, what in said
    ]
    if problems:
        raise ScenarioError(problems)
