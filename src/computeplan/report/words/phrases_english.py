"""What tables, figures and commands say in English, by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["PHRASES"]

Values = Mapping[str, Any]


PHRASES: dict[str, str | Callable[[Values], str]] = {
    "n_chips": lambda v: f"{v['n']:,} chip{'' if v['n'] == 1 else 's'}",
    "n_jobs": lambda v: f"{v['n']:,} job{'' if v['n'] == 1 else 's'}",
    # check
    "check_case": "{case}: {jobs} on {pools}; engine {engine}",
    "between": ", ",
    "ok": "ok",
    # cases without a result
    "incomplete": "INCOMPLETE: {n:,} of {of:,} cases have no result and are left out",
    "and_more": "{names} and {n:,} more",
}
