"""What notes say in English: by code, a text with the names of values, or a function of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from computeplan.report.words.fitting_english import FITTING

__all__ = ["SENTENCES"]

SENTENCES: dict[str, str | Callable[[Mapping[str, Any]], str]] = {
    "chip_is_estimate": "{chip}: its profile is an estimate",
    # fitting and validation
    **FITTING,
}
