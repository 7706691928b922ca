"""Checks of arguments, so that physics refuses nonsense in one voice."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["FloatArray", "IntArray", "at_least_zero", "positive"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def positive(**arguments: ArrayLike) -> tuple[FloatArray, ...]:
    """Return the arguments as float arrays, all > 0; infinity is allowed.

    Raises
    ------
    ValueError
        Naming the first argument that is not > 0.

    Examples
    --------
    >>> positive(mtbf_s=3600)
    (array(3600.),)
    """
    return _checked(arguments, ">", 0.0)


def at_least_zero(**arguments: ArrayLike) -> tuple[FloatArray, ...]:
    """Return the arguments as float arrays, all >= 0; infinity is allowed.

    Raises
    ------
    ValueError
        Naming the first argument that is not >= 0.
    """
    return _checked(arguments, ">=", 0.0)


def _checked(arguments: dict[str, ArrayLike], sign: str, limit: float) -> tuple[FloatArray, ...]:
    arrays = []
    for name, value in arguments.items():
        array = np.asarray(value, dtype=np.float64)
        good = array > limit if sign == ">" else array >= limit
        if not np.all(good):
            worst = array[~good].flat[0] if array.ndim else array
            raise ValueError(f"{name} must be {sign} {limit:g}, got {worst}")
        arrays.append(array)
    return tuple(arrays)
