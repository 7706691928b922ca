"""The fitted laws as a ``faults:`` block that ``computeplan run`` reads.

What is written is faults without memory at a constant rate per node, with repairs of any law, or as
they were seen where none stands for them (`fitting.seen`), and with rates that differ between nodes
where such a difference is seen to last. What was fitted beyond that stands in comments: nothing is
passed off as played.
"""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Iterator

import numpy as np

from computeplan.errors import ScenarioError
from computeplan.fitting.fit import CauseFit, FleetFit
from computeplan.fitting.played import is_lasting, rates_cv, unplayed
from computeplan.fitting.seen import MOST_WRITTEN, Seen, grouped
from computeplan.fitting.survival import Interval, LawFit, best_law
from computeplan.report.words import sentence
from computeplan.specs.documents.document import parse_document
from computeplan.specs.durations import read_law
from computeplan.units import DAY_S, HOUR_S, MINUTE_S

__all__ = ["faults_block", "kind_name", "read_assumed", "seen_lines"]

LINE = 100  # characters of a line of durations
FIXED = "\xa0"  # a space at which no line breaks


def kind_name(cause: str, used: set[str]) -> str:
    """Return the name of a fault kind, unlike those used already.

    Examples
    --------
    >>> kind_name("GPU/HBM  v2.1", {"GPU-HBM v2-1"})
    'GPU-HBM v2-1 2'
    """
    plain = re.sub(
        r"[.\"'\\/<>&]+", "-", re.sub(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+", " ", cause)
    )
    plain = plain.strip()[:70].strip() or "fault"
    name, number = plain, 2
    while name in used:
        name, number = f"{plain} {number}", number + 1
    return name


def read_assumed(option: str, text: str) -> str:
    """Return a law that a person assumes, as YAML, if it is one.

    Parameters
    ----------
    option : str
        Named in messages.
    text : str
        ``10 min``, or ``{lognormal: {median: 8 min, p95: 25 min}}``.

    Raises
    ------
    ScenarioError
        If it is not a law of a duration.
    """
    if "\n" in text or "\r" in text:
        raise ScenarioError.of(f"{option} is one line")
    try:
        read_law(parse_document(f"law: {text}\n", option).data["law"])
    except ScenarioError:
        raise
    except ValueError as error:
        raise ScenarioError.of(f"{option}: {error}") from None
    return text.strip()


def _law_text(fit: LawFit) -> str:
    """Return a fitted law of a duration as a scenario has it."""
    scale = f"{_number(fit.scale_s.value / HOUR_S)} h"
    if fit.name == "lognorm" and fit.shape is not None:
        return f"{{lognormal: {{median: {scale}, sigma: {_number(fit.shape.value)}}}}}"
    if fit.shape is None:
        return f"{{expon: {{mean: {scale}}}}}"
    return f"{{{fit.name}: {{{fit.shape_name}: {_number(fit.shape.value)}, scale: {scale}}}}}"


def _why_seen(laws: tuple[LawFit, ...], seen: Seen) -> str:
    """Return why repairs are written as they were seen, and what is lost."""
    why = f"as seen, {seen.n_events} repairs of mean {seen.mean_s.value / HOUR_S:.3g} h"
    if law := best_law(laws):
        why += f": that of {law.name} is {law.mean_s.value / HOUR_S:.3g} h"
    if seen.durations_s.size > MOST_WRITTEN:
        why += "; in groups, each with its mean"
    return why


def seen_lines(seen: Seen, why: str) -> Iterator[str]:
    """Yield the lines of a kind that say its repairs as they were seen, and why."""
    often: dict[str, float] = {}
    for duration_s, count in zip(*grouped(seen), strict=True):
        text = _duration(float(duration_s))
        often[text] = often.get(text, 0.0) + float(count)
    is_once = all(count == 1 for count in often.values())
    parts = [text if is_once else f"{text}: {count:.6g}" for text, count in often.items()]
    whole = ", ".join(part.replace(" ", FIXED) for part in parts)  # a key stands on one line
    written = f"[{whole}]" if is_once else f"{{{whole}}}"
    yield f"    repair:  # {why}"
    yield "      seen:"
    yield from (f"        {line.replace(FIXED, ' ')}" for line in textwrap.wrap(written, LINE))


def _duration(duration_s: float) -> str:
    """Return a duration in the largest unit of which it has one."""
    units = {"d": DAY_S, "h": HOUR_S, "min": MINUTE_S}
    name = next((name for name, unit_s in units.items() if duration_s >= unit_s), "s")
    return f"{_number(duration_s / units.get(name, 1.0))} {name}"


def _number(value: float) -> str:
    return f"{value:.4g}" if 1e-4 <= value < 1e15 else f"{value:.4e}"


def faults_block(fit: FleetFit, restart: str, repair: str | None = None) -> str:
    """Return the YAML of a ``faults:`` block, with comments.

    Parameters
    ----------
    fit : FleetFit
    restart : str
        How long a job needs after a fault, as `read_assumed` returns it: no fault log holds it.
    repair : str, optional
        Repairs where the log does not hold them, likewise.

    Raises
    ------
    ScenarioError
        If repairs are needed and are neither in the log nor given.
    """
    history = fit.history
    watched = f"{history.n_nodes} nodes in {history.length_s / DAY_S:.5g} d"
    lines = [
        f"# Fitted by computeplan fit to {fit.all.n} faults of {watched}.",
        "# Intervals are 95 %. Rates are per node-day in service: a node in repair does not fail.",
        *(f"# {sentence(found)}" for found in fit.findings),
        *(f"# Not played yet: {sentence(found)}" for found in unplayed(fit)),
        "faults:",
    ]
    used: set[str] = set()
    for cause in fit.causes:
        name = kind_name(cause.name, used)
        used.add(name)
        lines += [
            f"  {json.dumps(name, ensure_ascii=False)}:",
            *_kind(cause, fit.few_repairs, restart, repair, len(fit.causes)),
        ]
    text = "\n".join("".join(c if c.isprintable() else " " for c in line) for line in lines)
    return f"{text}\n"


def _kind(
    cause: CauseFit, pooled: LawFit | Seen | None, restart: str, repair: str | None, n_causes: int
) -> Iterator[str]:
    rate = cause.per_up_s
    low, value, high = (x * 1000 * DAY_S for x in (rate.low, rate.value, rate.high))
    written = f"{_number(value)} / 1000 node-days"
    yield f"    rate: {written}  # {low:.3g} to {high:.3g}; faults: {cause.n}"
    if math.isnan(cause.takes_node.value):
        share, why = 1.0, "ASSUMED: the log does not say how long nodes were away"
    else:
        share, why = round(cause.takes_node.value, 4), _interval(cause.takes_node)
    if is_lasting(cause, n_causes):
        found = cause.lasting
        about = f"between halves of the window: correlation {found.correlation:.2g}"
        yield f"    lemons: {{cv: {_number(rates_cv(cause))}}}  # {about}, p = {found.p_chance:.1g}"
    takes = {1.0: "node", 0.0: "nothing"}.get(
        share, f"{{node: {share:.4f}, nothing: {1 - share:.4f}}}"
    )
    yield f"    takes: {takes}  # {why}"
    yield f"    restart: {restart}  # ASSUMED: a fault log does not hold it"
    if share == 0:
        return
    own = cause.repair
    law = own or pooled
    seen = cause.durations.known_s
    if seen.size > 1 and np.ptp(seen) <= cause.durations.resolution_s * 1.5:
        yield f"    repair: {_number(seen[0] / HOUR_S)} h  # all {seen.size} lasted the same"
        return
    if law is None and repair is None:
        message = "the log holds too few repairs to fit: say how long they last, --repair '20 h'"
        raise ScenarioError.of(message)
    if law is None:
        yield f"    repair: {repair}  # ASSUMED: the log holds too few repairs"
    else:
        whose = "" if own else "; of all causes with too few"
        if isinstance(law, Seen):
            yield from seen_lines(law, f"{_why_seen(cause.repairs, law)}{whose}")
            return
        about = f"its mean is {law.mean_s.value / HOUR_S:.3g} h"
        about += f", that of repairs seen {seen.mean() / HOUR_S:.3g} h" if seen.size else ""
        yield f"    repair: {_law_text(law)}  # {about}{whose}"


def _interval(share: Interval) -> str:
    return f"{share.low:.2f} to {share.high:.2f}"
