"""The runs of one case: a value per quantity and run, and per job where there are several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.ledger import Span
from computeplan.notes import Note
from computeplan.quantities import JOB_QUANTITIES, QUANTITIES
from computeplan.results.estimates import Estimate

__all__ = ["CaseResult"]


@dataclass(frozen=True, eq=False)
class CaseResult:
    """One case: a value per quantity and run, and per job where there are several."""

    values: Mapping[str, FloatArray]
    """By quantity name; what a run does not have is NaN; shape (n_runs,)."""
    jobs: Mapping[str, FloatArray] = field(default_factory=dict)
    """By per-job quantity name; shape (n_runs, n_jobs)."""
    job_names: tuple[str, ...] = ()
    """In the order of the columns."""
    job_facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Texts per job, such as ``model`` and ``pool``."""
    facts: Mapping[str, Note] = field(default_factory=dict)
    """What stands beside the numbers of the case, such as ``meter`` and ``chips``."""
    spans: tuple[Span, ...] = ()
    """Timeline of run 0, by places in `job_names` and `pool_names`; empty if none was kept."""
    pool_names: tuple[str, ...] = ()
    axes: Mapping[str, object] = field(default_factory=dict)
    """Where the case stands in the sweep: path -> value as written; empty without a sweep."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.values if name not in QUANTITIES]
        unknown += [name for name in self.jobs if name not in JOB_QUANTITIES]
        if unknown:
            raise ValueError(f"not in quantities.py: {', '.join(unknown)}")
        shapes = {np.shape(value) for value in self.values.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1 or self.n_runs < 1:
            raise ValueError(f"values must all have the shape (n_runs,), got {sorted(shapes)}")
        for name, value in self.jobs.items():
            if np.shape(value) != (self.n_runs, len(self.job_names)):
                raise ValueError(f"jobs[{name!r}] must have the shape (n_runs, n_jobs)")
        for name, texts in self.job_facts.items():
            if len(texts) != len(self.job_names):
                raise ValueError(f"job_facts[{name!r}] must have one text per job")

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return len(next(iter(self.values.values())))

    def estimate(self, name: str) -> Estimate:
        """Return the estimate of a quantity; without any value if the case does not have it."""
        return Estimate.of(self.values.get(name, np.full(self.n_runs, np.nan)))
