"""Bounds for what once never ended, or took all memory: far above what it takes, to fail at all."""

import contextlib
import signal
import tracemalloc


@contextlib.contextmanager
def ends_within(seconds):
    """Fail what takes far too long: no measurement, a stop for what would never come back."""

    def stop(*_):
        raise TimeoutError(f"did not end within {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def takes_at_most(megabytes):
    """Fail what holds more memory at one time than this, arrays of NumPy included."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    assert peak <= megabytes, f"held {peak:.0f} MB"
