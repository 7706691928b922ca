"""What each site takes from outside in run 0, as grids ask: how much, how often, how it swings."""

from __future__ import annotations

from computeplan.quantities import significant
from computeplan.report import Language
from computeplan.report.table import Table
from computeplan.report.words import phrase
from computeplan.results.power_series import RAMPS_S
from computeplan.study.result import Result
from computeplan.units import MINUTE_S

__all__ = ["power"]

MEGA = 1e6
DIGITS = 4
PERCENTS = (5, 95)


def power(result: Result, *, language: Language = "en") -> Table | None:
    """Return one row per case and site: mean, percentiles over time, peak, step, ramps [MW].

    None where no power over time was kept. A ramp is the largest difference between two times that
    are no farther apart than that.
    """
    head = [f"{phrase('case', language)}: {phrase('place_site', language)}"]
    head.append(phrase("power_mean", language))
    head += [phrase("power_p", language, p=p) for p in PERCENTS]
    head += [phrase("power_peak", language), phrase("power_step", language)]
    head += [phrase("power_ramp", language, minutes=s / MINUTE_S) for s in RAMPS_S]
    rows = []
    for case, found in result.cases.items():
        for site, one in found.power.items():
            watts = [one.mean_w, *map(one.percentile_w, PERCENTS), one.peak_w, one.largest_step_w]
            watts += map(one.largest_ramp_w, RAMPS_S)
            rows.append((f"{case}: {site}", *(significant(w / MEGA, DIGITS) for w in watts)))
    if not rows:
        return None
    return Table(phrase("power_of_sites", language), tuple(head), tuple(rows), (), " ")
