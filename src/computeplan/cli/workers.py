"""Processes that play: they end with the one that started them, however that ends."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from threading import Thread

from computeplan.errors import ComputePlanError

__all__ = ["executor_of"]

_STOPS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def executor_of(n_workers: int) -> Iterator[Executor | None]:
    """Yield an executor with so many processes, or None for one: that is this process.

    When it is left by an exception such as Ctrl-C, the processes are killed and not waited for.
    They also end when this process is killed.

    Raises
    ------
    ComputePlanError
        If a worker was killed and nothing was done.
    """
    if n_workers == 1:
        yield None
        return
    pool = ProcessPoolExecutor(n_workers, initializer=_begin_worker)
    try:
        with _stops_wait():
            pool.submit(os.getpid)  # all workers are started by the first piece of work
        yield pool
    except BaseException as error:
        for worker in multiprocessing.active_children():
            worker.kill()
        _end_half_results(pool)
        if isinstance(error, BrokenProcessPool):
            message = "a worker was killed, perhaps for lack of memory; try fewer --workers or"
            raise ComputePlanError(f"{message} --runs") from None
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _end_half_results(pool: ProcessPoolExecutor) -> None:
    """Close the end of the pipe of results that workers write to, which this process has too.

    A worker that was killed while it sent leaves a part of a result. Who reads waits for the rest
    for ever, and so does who waits for the pool, while anybody has that end open.
    """
    writer = getattr(getattr(pool, "_result_queue", None), "_writer", None)
    if writer is not None:
        writer.close()


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, and end when it has ended.

    The end is seen on a pipe that is inherited. Workers that are forked later hold the other end
    of it too; but the last one's is held by the parent alone, and the others follow in turn.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent takes it for Ctrl-C
    Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _stops_wait() -> Iterator[None]:
    """Let signals wait while workers are forked, who would take them for their own."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
