"""What a scenario shows of itself: a few lines in a terminal, a table in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from computeplan.report.table import wrap
from computeplan.specs.scenario import Scenario
from computeplan.units import DAY_S

__all__ = ["as_html", "in_brief"]

MOST_SHOWN = 6
"""Entries of a line in a terminal."""

_HTML = """<table><caption>{{ name }}</caption>
<tbody>{% for head, texts in rows %}
<tr><th scope="row" style="text-align:left;vertical-align:top">{{ head }}</th>
<td style="text-align:left">{% for text in texts %}{{ text }}<br>{% endfor %}</td></tr>
{%- endfor %}
</tbody></table>"""


def in_brief(scenario: Scenario) -> str:
    """Return a few lines, long names cut.

    Examples
    --------
    >>> from computeplan.specs.scenario import load
    >>> print(in_brief(load("spares")))
    <Scenario spares>
      pools: h100: 16,384 nvidia/h100-sxm
      jobs: pretrain: meta/llama-3.1-405b
      faults: unexpected
      sweep: sites.here.pools.h100.spares: 6 values
      simulate: 200 runs, seed 99, 365 d
    """
    lines = [f"<Scenario {scenario.name}>"]
    for head, texts in _rows(scenario):
        shown = [wrap(text, 60, lines=1) for text in texts[:MOST_SHOWN]]
        if len(texts) > MOST_SHOWN:
            shown.append(f"and {len(texts) - MOST_SHOWN:,} more")
        lines.append(f"  {head}: {'; '.join(shown)}")
    return "\n".join(lines)


def as_html(scenario: Scenario) -> str:
    """Return a table, names escaped."""
    from jinja2 import Environment  # only notebooks need it

    rows = [("about", [scenario.about]), *_rows(scenario)]
    template = Environment(autoescape=True).from_string(_HTML)
    return template.render(name=scenario.name, rows=[row for row in rows if any(row[1])])


def _rows(scenario: Scenario) -> list[tuple[str, list[str]]]:
    """Return what there is, by block."""
    pools = [
        f"{name}: {pool.chips:,} {pool.chip}"
        for site in scenario.sites.values()
        for name, pool in site.pools.items()
    ]
    jobs = [f"{name}: {job.model}" if job.model else name for name, job in scenario.jobs.items()]
    runs = scenario.simulate
    horizon = [] if runs.horizon is None else [f"{runs.horizon / DAY_S:g} d"]
    simulate = ", ".join([f"{runs.runs:,} runs", f"seed {runs.seed}", *horizon])
    blocks: dict[str, Iterable[str]] = {
        "pools": pools,
        "jobs": jobs,
        "services": scenario.services,
        "faults": scenario.faults,
        "planned": scenario.planned,
        "cases": scenario.cases,
        "sweep": _axes(scenario.sweep),
        "simulate": [simulate],
    }
    return [(head, list(texts)) for head, texts in blocks.items() if texts]


def _axes(sweep: Mapping[str, Sequence[object]] | Sequence[Mapping[str, object]]) -> list[str]:
    """Return the paths that are swept, with the number of their values."""
    if isinstance(sweep, Mapping):
        return [f"{path}: {len(values)} values" for path, values in sweep.items()]
    return [f"{', '.join(sweep[0])}: {len(sweep)} points"] if sweep else []
