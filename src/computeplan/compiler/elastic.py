"""How a job goes on when it lacks nodes: compiled from `on_loss`, for the pools it may run on."""

from __future__ import annotations

from computeplan.compiler.checkpoints import Saving
from computeplan.compiler.job_on_pool import JobOnPool
from computeplan.errors import ScenarioError
from computeplan.specs.elastic import OnLoss
from computeplan.world.jobs import Shrinking
from computeplan.world.pools import is_slowed

__all__ = ["shrinking_on"]


def shrinking_on(at: JobOnPool, n_nodes: int, saving: Saving) -> Shrinking | None:
    """Return how a job goes on without nodes that it lacks; None if it waits for them.

    Raises
    ------
    ScenarioError
        If its nodes on a pool are not whole replicas, nor its replicas evenly on whole nodes, or
        where its speed varies in a way that cannot be played together.
    """
    pool, job = at.pool, at.job
    if is_slowed(pool):
        _check_slowed(at, saving)
    if not isinstance(job.on_loss, OnLoss):
        return None
    if pool.boots:
        message = (
            "a job that shrinks cannot be played together with spares that take time until they"
            f" can train, as on {pool.name}; give spares as a number of nodes"
        )
        raise at.error(message, "on_loss")
    shrink, n_replicas = job.on_loss.shrink, job.n_replicas
    assert n_replicas is not None  # validated
    if n_nodes % n_replicas and n_replicas % n_nodes:
        message = (
            f"{n_nodes} nodes on {pool.name} cannot be dealt out evenly to {n_replicas} replicas;"
            f" give a number of replicas that divides {n_nodes}, or is a multiple of it"
        )
        raise at.error(message, "on_loss", "shrink")
    return Shrinking(n_replicas, shrink.least, shrink.resize)


def _check_slowed(at: JobOnPool, saving: Saving) -> None:
    """Refuse what is not played where the speed of training varies."""
    pool = at.pool
    slows = [f"faults.{kind.name}.slows" for kind in pool.kinds if kind.slow_frac is not None]
    slows += [f"sites.{pool.site}.pools.{pool.name}.throttle"] if pool.throttle_frac else []
    said = []
    if saving.tiers:
        said.append(
            (
                "checkpoint",
                "saves that go on behind training, go to tiers, or are read back (load: 0 s)",
            )
        )
    if isinstance(at.job.on_loss, OnLoss):
        said.append(("on_loss", "a job that shrinks"))
    problems = [
        at.document.problem(
            ("jobs", at.name, field), f"{what} cannot be played together with {slows[0]}; drop one"
        )
        for field, what in said
    ]
    if problems:
        raise ScenarioError(problems)
