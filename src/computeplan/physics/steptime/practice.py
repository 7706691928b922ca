"""What published runs did: the kinds of layout that were seen, and what of a layout is new.

A kind is yes or no: whether a dimension is split at all, whether the weights are shared out, what
is computed again. How far a dimension is split follows from the model and the chips.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.physics.steptime.layout import RECOMPUTE, Layout

__all__ = ["SPLITS", "Practice"]

SPLITS = ("tp", "pp", "cp", "ep", "pieces")
"""Fields of a layout in which a job is split, or is not."""


@dataclass(frozen=True, slots=True)
class Practice:
    """Kinds of layout that published runs had, and how well layouts are told apart."""

    splits: frozenset[str] = frozenset(SPLITS)
    """Those of `SPLITS` that some run had more than one of."""
    zero: frozenset[int] = frozenset(range(4))
    """ZeRO stages that were seen; 0 to 2 are one kind, as the weights stay whole."""
    recompute: frozenset[int] = frozenset(range(len(RECOMPUTE)))
    """Places in `RECOMPUTE` that were seen."""
    error: float = 0.0
    """Standard deviation of the logarithm of predicted over measured between two layouts."""

    def new(self, layout: Layout) -> dict[str, Any]:
        """Return, for each field in which a layout may be of a kind never seen, whether it is.

        Examples
        --------
        >>> ascend = Practice(zero=frozenset({0, 1}), splits=frozenset({"tp", "pp"}))
        >>> {name: bool(x) for name, x in ascend.new(Layout.of(dp=8, zero=3)).items()}
        {'cp': False, 'ep': False, 'pieces': False, 'zero': True}
        """
        found: dict[str, Any] = {
            name: getattr(layout, name) > 1 for name in SPLITS if name not in self.splits
        }
        shared = layout.zero == 3
        if 3 not in self.zero:
            found["zero"] = shared
        elif self.zero == {3}:
            found["zero"] = ~shared & (layout.dp * layout.cp > 1)
        unseen = [place for place in range(len(RECOMPUTE)) if place not in self.recompute]
        if unseen:
            found["recompute"] = np.isin(layout.recompute, unseen)
        return found

    def n_new(self, layout: Layout) -> FloatArray:
        """Return in how many ways each of some flat layouts is of a kind never seen."""
        return sum(self.new(layout).values(), start=np.zeros(layout.tp.shape))
