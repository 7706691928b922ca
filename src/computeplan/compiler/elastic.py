"""How a job goes on with fewer nodes: compiled for the pools it may run on."""

from __future__ import annotations

from computeplan.compiler.job_on_pool import JobOnPool
from computeplan.world.jobs import Shrinking

__all__ = ["shrinking_on"]


def shrinking_on(at: JobOnPool, n_nodes: int) -> Shrinking | None:
    """Return how a job goes on with fewer nodes; None if it waits for all of them.

    A ScenarioError if its nodes are not whole replicas, nor its replicas evenly on whole nodes.
    """
    pool, job = at.pool, at.job
    if (shrink := job.shrink) is None:
        return None
    n_replicas = job.n_replicas
    assert n_replicas is not None  # validated
    is_by_chip = n_replicas == job.chips  # a node that is not full lacks some
    if n_nodes % n_replicas and n_replicas % n_nodes and not is_by_chip:
        message = (
            f"{n_nodes} nodes on {pool.name} cannot be dealt out evenly to {n_replicas} replicas;"
            f" give a number of replicas that divides {n_nodes}, or is a multiple of it"
        )
        raise at.error(message, *(("elastic",) if job.elastic else ("on_loss", "shrink")))
    return Shrinking(n_replicas, shrink.least, shrink.resize)
