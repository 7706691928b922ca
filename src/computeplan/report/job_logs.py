"""What was imported from a job trace, as a table."""

from __future__ import annotations

import numpy as np

from computeplan.report import Language
from computeplan.report.table import Table
from computeplan.report.words import phrase, sentences
from computeplan.specs.logs.jobs.rows import ImportedJobs
from computeplan.units import DAY_S, HOUR_S

__all__ = ["jobs_table"]

SIZES_SHOWN = 12


def jobs_table(found: ImportedJobs, file: str, *, language: Language = "en") -> Table:
    """Return a table of the jobs of a trace, with what was left out below it.

    Parameters
    ----------
    found : ImportedJobs
        The jobs.
    file : str
        The name of the trace.
    language : {"en", "zh"}, optional
    """
    jobs = found.jobs
    sizes, counts = np.unique(jobs.chips, return_counts=True)
    most = np.sort(np.argsort(-counts, kind="stable")[:SIZES_SHOWN])
    listed = [f"{size:,}: {n:,}" for size, n in zip(sizes[most], counts[most], strict=True)]
    listed += ["..."] if sizes.size > SIZES_SHOWN else []
    by_time = ~np.isnan(jobs.train_s)
    rows = [
        (phrase("job_rows_left", language), f"{found.n_left:,}"),
        (phrase("job_arrivals_d", language), f"{jobs.arrival_s[-1] / DAY_S:.4g}"),
        (phrase("job_chips", language), "\n".join(listed)),
    ]
    if by_time.any():
        train_s, chips = jobs.train_s[by_time], jobs.chips[by_time]
        rows.append((phrase("job_median_h", language), f"{np.median(train_s) / HOUR_S:.4g}"))
        rows.append((phrase("job_chip_h", language), f"{(train_s * chips).sum() / HOUR_S:,.6g}"))
    if not by_time.all():
        steps = np.median(jobs.n_steps[~by_time])
        rows.append((phrase("job_median_steps", language), f"{steps:,.6g}"))
    for code, names in (("job_kinds", jobs.kinds), ("job_tenants", jobs.tenants)):
        if names != ("",):
            rows.append((phrase(code, language), f"{len(names):,}"))
    if n_due := int(np.isfinite(jobs.deadline_s).sum()):
        rows.append((phrase("job_deadlines", language), f"{n_due:,}"))
    return Table(
        phrase("jobs_in_file", language, n=len(jobs), file=file),
        (phrase("job_columns", language), phrase("job_values", language)),
        tuple(rows),
        tuple(sentences(found.notes, language)),
    )
