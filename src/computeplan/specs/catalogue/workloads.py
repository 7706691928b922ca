"""What jobs of published traces were like, to generate more of them: a preset of a workload.

The file says where its numbers stand, and which of them are estimates.
"""

from __future__ import annotations

import math
from functools import cache

from computeplan.distributions import Law
from computeplan.specs.documents.document import DATA, load_document, nearest
from computeplan.specs.documents.validation import validate
from computeplan.specs.fields import Count, Fraction, Frozen, Positive, PositiveDuration

__all__ = ["Preset", "PresetSize", "PresetSource", "PresetTable", "load_preset", "preset_names"]


class PresetSize(Frozen):
    """Jobs of one number of chips."""

    share: Fraction
    """Of all jobs; rounded, so that shares do not add up to 1 exactly."""
    mean: PositiveDuration
    """Mean time that they ran."""


class Preset(Frozen):
    """Jobs of one trace."""

    title: str
    """Whose jobs, when, and the paper on them."""
    jobs: Count
    """How many there were."""
    days: Count
    """In how many days."""
    median: PositiveDuration
    """Of the time that they ran."""
    gpu_time: PositiveDuration
    """GPU-seconds of all of them."""
    sigma: Positive
    """An estimate: spread of the logarithm of the lengths of one size."""
    apart: Fraction
    """Greatest distance of the law of all lengths from what was published."""
    sizes: dict[int, PresetSize]
    """By number of chips."""

    def law(self, n_chips: int) -> Law:
        """Return the law of the lengths of jobs that hold so many chips."""
        scale_s = self.sizes[n_chips].mean * math.exp(-(self.sigma**2) / 2)
        return Law("lognorm", (self.sigma,), scale_s)


class PresetSource(Frozen):
    """Where the numbers stand."""

    title: str
    """The data set and its paper."""
    url: str
    """Its address."""


class PresetTable(Frozen):
    """The file ``workloads.yaml``."""

    source: PresetSource
    """Of all of them."""
    presets: dict[str, Preset]
    """By name."""


@cache
def _table() -> PresetTable:
    return validate(PresetTable, load_document(DATA / "workloads.yaml", "catalogue workloads.yaml"))


@cache
def preset_names() -> tuple[str, ...]:
    """Return the names of the presets.

    Examples
    --------
    >>> preset_names()
    ('acme-kalos', 'acme-seren', 'helios', 'philly')
    """
    return tuple(sorted(_table().presets))


def load_preset(name: str) -> Preset:
    """Return the jobs of a published trace.

    Raises
    ------
    ValueError
        If there is none of that name, with those that exist.

    Examples
    --------
    >>> load_preset("philly").sizes[8].share
    0.0686
    """
    if name not in preset_names():
        message = f"no preset of jobs '{name[:40]}'.{nearest(name, preset_names())}"
        raise ValueError(f"{message}  Presets: {', '.join(preset_names())}")
    return _table().presets[name]
