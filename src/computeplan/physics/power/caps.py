"""What a power cap costs in speed and saves in watts.

Near its limit a chip raises its clock for little speed and much power, so that a cap of 0.6 to 0.7
of the limit loses a tenth of the speed and a fifth of the energy; far below, speed falls faster
than power. No single exponent fits the chips that were measured [1]_: curves are tables, each point
a measured cap, with a monotone interpolation through them. Where nothing was measured, speed falls
as the watts of the chip that are taken away: an estimate on the safe side above the knee of a
curve.

Sources
-------
.. [1] J. You et al., "Zeus", NSDI 2023; ml-energy/zeus, trace/summary_power_*.csv.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import PchipInterpolator

from computeplan.arrays import FloatArray, at_least_zero, positive

__all__ = [
    "CapCurve",
    "best_cap",
    "cap_curve",
    "capped",
    "energy_frac",
    "speed_at_draw",
    "without_point",
]

GRID = 10_001


@dataclass(frozen=True, slots=True)
class CapCurve:
    """Measured caps of a chip, from the lowest to none."""

    cap_frac: FloatArray
    """Of the board limit, rising; the last is 1, no cap."""
    speed_frac: FloatArray
    draw_frac: FloatArray
    """Of what the chip does and draws without a cap; the last of each is 1."""


def cap_curve(
    cap_frac: Sequence[float], speed_frac: Sequence[float], draw_frac: Sequence[float]
) -> CapCurve:
    """Return the curve through measured caps, no cap included.

    Parameters
    ----------
    cap_frac, speed_frac, draw_frac : sequence of float
        Caps below 1 in any order, and speed and draw over those without a cap.

    Raises
    ------
    ValueError
        If there is no cap, lengths differ, a cap is not in (0, 1) or stands twice, or speed or
        draw falls where the cap rises.

    Examples
    --------
    >>> curve = cap_curve([0.8, 0.6], [0.94, 0.84], [0.83, 0.65])
    >>> curve.cap_frac.tolist()
    [0.6, 0.8, 1.0]
    """
    caps, speeds, draws = positive(cap_frac=cap_frac, speed_frac=speed_frac, draw_frac=draw_frac)
    if not caps.shape == speeds.shape == draws.shape or caps.ndim != 1 or caps.size == 0:
        raise ValueError("cap_frac, speed_frac and draw_frac must be as many, and at least one")
    if np.any(caps >= 1) or np.unique(caps).size < caps.size:
        raise ValueError(f"cap_frac must be below 1 and differ, got {caps.tolist()}")
    order = np.argsort(caps)
    found = [np.append(values[order], 1.0) for values in (caps, speeds, draws)]
    for name, values in zip(("speed_frac", "draw_frac"), found[1:], strict=True):
        if np.any(np.diff(values) < 0):
            raise ValueError(f"{name} must not fall where the cap rises, got {values.tolist()}")
    return CapCurve(*found)


def capped(curve: CapCurve, cap_frac: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return speed and draw under caps, over those without one.

    Parameters
    ----------
    curve : CapCurve
        Of the chip.
    cap_frac : array_like
        Of the board limit; above 1 is no cap.

    Returns
    -------
    two ndarrays of the shape of `cap_frac`
        Shares of speed and of watts.

    Raises
    ------
    ValueError
        If a cap is below the lowest that was measured.

    Examples
    --------
    >>> curve = cap_curve([0.6, 0.8], [0.84, 0.94], [0.65, 0.83])
    >>> [float(share) for share in capped(curve, 0.8)]
    [0.94, 0.83]
    """
    (caps,) = positive(cap_frac=cap_frac)
    lowest = curve.cap_frac[0]
    if np.any(caps < lowest):
        raise ValueError(f"cap_frac must be >= {lowest:.3g}, the lowest measured, got {caps.min()}")
    below = np.minimum(caps, 1.0)
    speed, draw = (
        np.where(caps < 1.0, PchipInterpolator(curve.cap_frac, values)(below), 1.0)
        for values in (curve.speed_frac, curve.draw_frac)
    )
    return speed, draw


def speed_at_draw(curve: CapCurve | None, draw_frac: ArrayLike) -> FloatArray:
    """Return the speed at which chips draw no more than a share of what they draw without a cap.

    Below the draw of the lowest cap that was measured speed falls as the watts, and so it does
    where nothing was measured: an estimate.

    Parameters
    ----------
    curve : CapCurve or None
        Of the chip, if it was measured.
    draw_frac : array_like
        Of the draw without a cap; above 1 is no cap.

    Returns
    -------
    ndarray of the shape of `draw_frac`
        Shares of speed.

    Raises
    ------
    ValueError
        If a share is not > 0.

    Examples
    --------
    >>> curve = cap_curve([0.6, 0.8], [0.84, 0.94], [0.65, 0.83])
    >>> [round(float(share), 4) for share in speed_at_draw(curve, [1.0, 0.83, 0.65, 0.325])]
    [1.0, 0.94, 0.84, 0.42]
    """
    (draw,) = positive(draw_frac=draw_frac)
    if curve is None:
        return np.minimum(draw, 1.0)
    draws, first = np.unique(curve.draw_frac, return_index=True)
    between = PchipInterpolator(draws, curve.speed_frac[first])(np.clip(draw, draws[0], 1.0))
    return np.where(draw < 1.0, between * np.minimum(1.0, draw / draws[0]), 1.0)


def energy_frac(curve: CapCurve, cap_frac: ArrayLike, beside_frac: float = 0.0) -> FloatArray:
    """Return the energy of the same work under caps, over that without one.

    Parameters
    ----------
    curve : CapCurve
        Of the chip.
    cap_frac : array_like
        Of the board limit.
    beside_frac : float
        What else runs as long as the chip and is not capped, in its draw without a cap: hosts, the
        fixed part of cooling.

    Returns
    -------
    ndarray of the shape of `cap_frac`
        Share of the energy.

    Raises
    ------
    ValueError
        If a cap is below the lowest that was measured, or `beside_frac` below 0.
    """
    (beside,) = at_least_zero(beside_frac=beside_frac)
    speed, draw = capped(curve, cap_frac)
    return np.asarray((draw + beside) / (1.0 + beside) / speed)


def best_cap(curve: CapCurve, beside_frac: float = 0.0) -> float:
    """Return the cap with the least energy for the same work, of those that were measured between.

    Parameters
    ----------
    curve : CapCurve
        Of the chip.
    beside_frac : float
        What else runs as long as the chip, as in `energy_frac`.

    Returns
    -------
    float
        Of the board limit.

    Raises
    ------
    ValueError
        If `beside_frac` is below 0.

    Examples
    --------
    The more stands around a chip, the less it pays to slow it down.

    >>> v100 = cap_curve([0.4, 0.6, 0.8], [0.531, 0.842, 0.942], [0.447, 0.646, 0.833])
    >>> round(best_cap(v100), 2), round(best_cap(v100, beside_frac=0.5), 2)
    (0.54, 0.61)
    """
    caps = np.linspace(curve.cap_frac[0], 1.0, GRID)
    return float(caps[np.argmin(energy_frac(curve, caps, beside_frac))])


def without_point(curve: CapCurve, place: int) -> tuple[float, float]:
    """Return speed and draw at a measured cap, from the curve without that point.

    Parameters
    ----------
    curve : CapCurve
        Of the chip.
    place : int
        Of the point, neither the lowest nor the last.

    Raises
    ------
    ValueError
        If there are no points on both sides.

    Examples
    --------
    >>> curve = cap_curve([0.4, 0.6, 0.8], [0.531, 0.842, 0.942], [0.447, 0.646, 0.833])
    >>> f"{without_point(curve, 2)[0]:.3f}"
    '0.955'
    """
    if not 0 < place < curve.cap_frac.size - 1:
        raise ValueError(f"place must be between the first and the last point, got {place}")
    left = CapCurve(
        *(np.delete(v, place) for v in (curve.cap_frac, curve.speed_frac, curve.draw_frac))
    )
    speed, draw = capped(left, curve.cap_frac[place])
    return float(speed), float(draw)
