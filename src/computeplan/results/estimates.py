"""One quantity of one case over its runs, with what more runs would narrow and what not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Estimate"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """One quantity of one case over its runs; not a number where there is none."""

    mean: float
    """Mean over the runs that have a value."""
    ci95: float
    """Half width of the mean's 95 % interval by Student's t; NaN with fewer than two values."""
    p5: float
    p50: float
    p95: float
    """Percentiles of the runs."""
    n: int
    """Runs that have a value."""
    n_none: int = 0
    """Runs that have none."""

    @classmethod
    def of(cls, values: ArrayLike) -> Estimate:
        """Return the estimate from one value per run.

        Examples
        --------
        >>> days = Estimate.of([1.0, 2.0, 3.0, np.nan])
        >>> f"{days.mean} ± {days.ci95:.4f}, {days.n} runs, {days.n_none} without"
        '2.0 ± 2.4841, 3 runs, 1 without'
        """
        given = np.asarray(values, dtype=np.float64)
        found = given[np.isfinite(given)]
        n = int(found.size)
        if n == 0:
            return cls(math.nan, math.nan, math.nan, math.nan, math.nan, 0, int(given.size))
        p5, p50, p95 = (float(p) for p in np.quantile(found, (0.05, 0.5, 0.95)))
        ci95 = _student_t(n - 1) * float(found.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
        return cls(float(found.mean()), ci95, p5, p50, p95, n, int(given.size) - n)

    def to_json(self) -> dict[str, float | None]:
        """Return plain numbers, ``None`` for what is not one."""
        return {
            name: value if math.isfinite(value := getattr(self, name)) else None
            for name in ("mean", "ci95", "p5", "p50", "p95")
        }


def _student_t(freedom: int) -> float:
    from scipy.special import stdtrit  # slow to import, and only intervals need it

    return float(stdtrit(freedom, 0.975))
