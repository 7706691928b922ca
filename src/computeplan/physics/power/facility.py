"""What a building draws beside what it holds: PUE by load and outside temperature.

Power usage effectiveness is the draw of the site over that of its machines. One part of what is
added is there at any load (lights, pumps, transformers that idle), so that PUE rises as a hall
empties; one follows the load (supplies without break, cables), one its square (copper). Fans and
pumps move heat at any weather; the chillers run once the outside is too warm for free cooling, and
the harder the warmer it is. PUE therefore never falls where temperature rises. The defaults are
estimates that give 1.10 at full load in cool weather, the mean of Google's sites [1]_; a site whose
yearly PUE is known is scaled to it, which keeps the shape.

Sources
-------
.. [1] Green Software Foundation, real-time-cloud region table: Google 2024, 12 regions, mean PUE
       1.10 (1.07 to 1.16); AWS 1.225 (1.07 to 1.46), Ningxia 1.28, 1.26, 1.25 in 2022 to 2024.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from computeplan.arrays import FloatArray, at_least_zero, positive

__all__ = ["DEFAULT_BUILDING", "Building", "pue", "scaled_to"]


@dataclass(frozen=True, slots=True)
class Building:
    """What a building adds, over the draw of its machines at full load."""

    fixed_frac: float
    """At any load."""
    linear_frac: float
    """That follows the load."""
    square_frac: float
    """That follows its square."""
    fans_frac: float
    """Fans and pumps of cooling, by load."""
    chiller_frac: float
    """Chillers at `full_c`, by load; proportionally more where it is warmer."""
    free_c: float
    """Outside temperature up to which no chiller runs. [Celsius]"""
    full_c: float
    """Outside temperature of `chiller_frac`. [Celsius]"""


DEFAULT_BUILDING = Building(
    fixed_frac=0.02,
    linear_frac=0.04,
    square_frac=0.01,
    fans_frac=0.03,
    chiller_frac=0.20,
    free_c=15.0,
    full_c=35.0,
)
"""Estimates, all of them; temperatures of the dry bulb."""


def pue(building: Building, load_frac: ArrayLike, outside_c: ArrayLike) -> FloatArray:
    """Return the draw of a site over that of its machines.

    Parameters
    ----------
    building : Building
        What it adds.
    load_frac : array_like
        Draw of the machines over that at full load, above 0.
    outside_c : array_like
        Outside temperature, of the dry or the wet bulb as the building states. [Celsius]

    Returns
    -------
    ndarray of the broadcast shape
        At least 1.

    Raises
    ------
    ValueError
        If a load is not > 0, a temperature not finite, a share below 0, or `full_c` not above
        `free_c`.

    Examples
    --------
    >>> pue(DEFAULT_BUILDING, [1.0, 0.2, 1.0], [10.0, 10.0, 35.0]).round(3).tolist()
    [1.1, 1.172, 1.3]
    """
    (load,) = positive(load_frac=load_frac)
    outside = np.asarray(outside_c, dtype=np.float64)
    if not np.all(np.isfinite(outside)):
        raise ValueError(f"outside_c must be finite, got {outside}")
    at_least_zero(
        fixed_frac=building.fixed_frac,
        linear_frac=building.linear_frac,
        square_frac=building.square_frac,
        fans_frac=building.fans_frac,
        chiller_frac=building.chiller_frac,
    )
    if not building.full_c > building.free_c:
        raise ValueError(f"full_c must be above free_c, got {building.full_c}")
    warmth = np.maximum(0.0, (outside - building.free_c) / (building.full_c - building.free_c))
    electric = building.fixed_frac / load + building.linear_frac + building.square_frac * load
    return np.asarray(1.0 + electric + building.fans_frac + building.chiller_frac * warmth)


def scaled_to(
    building: Building, mean_pue: float, load_frac: ArrayLike, outside_c: ArrayLike
) -> Building:
    """Return a building of the same shape with a known mean PUE.

    Parameters
    ----------
    building : Building
        Whose shape is kept.
    mean_pue : float
        Energy of the site over energy of its machines, over the times below.
    load_frac, outside_c : array_like
        Load and temperature at times of equal length, such as twelve months.

    Raises
    ------
    ValueError
        If the mean is below 1, or the building adds nothing that could be scaled.

    Examples
    --------
    >>> months_c = [-8, -3, 4, 12, 18, 22, 24, 22, 16, 9, 0, -6]
    >>> ningxia = scaled_to(DEFAULT_BUILDING, 1.25, 0.65, months_c)
    >>> float(np.mean(pue(ningxia, 0.65, months_c)).round(6))
    1.25
    """
    if not 1 <= mean_pue < np.inf:
        raise ValueError(f"mean_pue must be >= 1, got {mean_pue}")
    load, outside = np.broadcast_arrays(*np.atleast_1d(load_frac, outside_c))
    load = np.asarray(load, dtype=np.float64)
    added = float(np.average(pue(building, load, outside), weights=load)) - 1.0
    if not added > 0:
        raise ValueError("the building adds nothing that could be scaled")
    factor = (mean_pue - 1.0) / added
    return replace(
        building,
        fixed_frac=building.fixed_frac * factor,
        linear_frac=building.linear_frac * factor,
        square_frac=building.square_frac * factor,
        fans_frac=building.fans_frac * factor,
        chiller_frac=building.chiller_frac * factor,
    )
