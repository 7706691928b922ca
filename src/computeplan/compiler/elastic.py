"""How a job goes on when it lacks nodes: compiled from `on_loss`, for the pools it may run on."""

from __future__ import annotations

from computeplan.compiler.job_on_pool import JobOnPool
from computeplan.specs.elastic import OnLoss
from computeplan.world.jobs import Shrinking

__all__ = ["shrinking_on"]


def shrinking_on(at: JobOnPool, n_nodes: int) -> Shrinking | None:
    """Return how a job goes on without nodes that it lacks; None if it waits for them.

    A ScenarioError if its nodes are not whole replicas, nor its replicas evenly on whole nodes.
    """
    pool, job = at.pool, at.job
    if not isinstance(job.on_loss, OnLoss):
        return None
    shrink, n_replicas = job.on_loss.shrink, job.n_replicas
    assert n_replicas is not None  # validated
    if n_nodes % n_replicas and n_replicas % n_nodes:
        message = (
            f"{n_nodes} nodes on {pool.name} cannot be dealt out evenly to {n_replicas} replicas;"
            f" give a number of replicas that divides {n_nodes}, or is a multiple of it"
        )
        raise at.error(message, "on_loss", "shrink")
    return Shrinking(n_replicas, shrink.least, shrink.resize)
