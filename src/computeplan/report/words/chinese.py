"""What notes say in Chinese: by code, a text with the names of values, or a function of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["SENTENCES"]

Values = Mapping[str, Any]

SENTENCES: dict[str, str | Callable[[Values], str]] = {
    "quoted": "{text}",
    "chip_is_estimate": "{chip}：芯片参数为估计值",
}
