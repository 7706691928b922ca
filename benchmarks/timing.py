"""CPU times of this process, and how they are written down."""

import gc
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TypeVar

T = TypeVar("T")


def cpu_s(call: Callable[[], T], *, collects: bool = True) -> tuple[float, T]:
    """Return the CPU seconds of a call and what it returns.

    With `collects`, garbage is collected when Python thinks it is time, as in any program; without,
    not during the call.
    """
    gc.collect()
    if not collects:
        gc.disable()
    start_s = time.process_time()
    value = call()
    end_s = time.process_time()
    gc.enable()
    return end_s - start_s, value


def in_words(ratios: list[float]) -> str:
    digits = 0 if min(ratios) >= 100 else 1
    middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def ratios(above: list[float], below: list[float]) -> list[float]:
    """Return the ratio of each round."""
    return [one / other for one, other in zip(above, below, strict=True)]


def heading(*names: str) -> str:
    """Return date and versions."""
    versions = (f"{name} {version(name)}" for name in names)
    return f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, " + ", ".join(
        versions
    )
