"""Seconds per step from a constant share of the dense peak.

``step = model FLOPs of a step / (chips x dense peak x MFU)``. Model FLOPs count attention as causal
and no recomputation, so the MFU must be counted the same way. This is the baseline: right where
the MFU was measured on a like run, silent about everything that changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ConstantMfu"]


@dataclass(frozen=True, slots=True)
class ConstantMfu:
    """Prices the steps of one job on the pools that may hold it.

    Parameters
    ----------
    step_flop : float
        Model FLOPs of one step. [FLOP]
    chip_flop_per_s : mapping of str to float
        Dense peak x MFU of one chip, by pool. [FLOP/s]
    """

    step_flop: float
    chip_flop_per_s: Mapping[str, float]

    def step_s(self, shares: Mapping[str, int]) -> float:
        """Return the seconds per step on a number of chips of one pool.

        Parameters
        ----------
        shares : mapping of str to int
            Chips by pool.

        Returns
        -------
        float
            Time of one step. [s]

        Raises
        ------
        ValueError
            If no pool or more than one gives chips, or a pool is unknown.

        Examples
        --------
        >>> model = ConstantMfu(4e19, {"h100": 989.4e12 * 0.41})
        >>> f"{model.step_s({'h100': 16384}):.2f}"
        '6.02'
        """
        used = [(pool, n) for pool, n in shares.items() if n > 0]
        if len(used) != 1:
            message = f"one pool must give all chips, got {dict(shares)}"
            raise ValueError(message)
        ((pool, n_chips),) = used
        if pool not in self.chip_flop_per_s:
            message = f"no speed for pool {pool!r}; known: {', '.join(self.chip_flop_per_s)}"
            raise ValueError(message)
        return self.step_flop / (n_chips * self.chip_flop_per_s[pool])
