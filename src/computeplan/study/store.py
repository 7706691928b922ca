"""Results on disk: a folder that is either whole or not there.

::

    scenario.yaml       resolved; running it again gives this folder again
    inputs/             what it reads, if anything
    runs.csv            one row per case and run, with the axes of the sweep as columns
    jobs.csv            one row per case, run and job; the axes too
    tenants.csv         one row per case, run and tenant, if there are several; the axes too
    chips.csv           one row per case, run and kind of chip, if there are several pools
    summary.csv .json   estimates; the JSON also holds notes and facts
    notes.md            notes and facts in words; notes.zh.md in Chinese
    sites.csv           what counting to another window needs, per case, run and pool
    timeline.csv        run 0 of each case
    fleet.csv           chips of the pools of services in run 0 of each case, by what they did
    power.csv           watts of run 0 of each case by site and phase, from each change to the next
    provenance.json     how to get the same numbers again; cases without a result; what we wrote
    figures/            if the caller draws any

Headers are names of quantities, which carry units. Numbers are written so that reading gives the
same number; an empty cell is a value that does not exist. The same result gives the same bytes.

Names of cases and jobs are the user's text and are written as they are, even where they begin with
``=``, ``+``, ``-`` or ``@`` and a spreadsheet would take them for a formula: a prefix would change
the name, and the file would no longer say which case it means. Import the columns as text.

Long because what is kept of a case and how it comes back are one format.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.errors import ComputePlanError
from computeplan.ledger import FIRST_SERVICE, PHASES, Span
from computeplan.notes import Note, NoteValue
from computeplan.quantities import INPUTS, JOB_QUANTITIES, in_currency
from computeplan.results.cases import CaseResult
from computeplan.results.fleet_series import FLEET_STATES, FleetSeries
from computeplan.results.frames import KINDS, Columns, columns
from computeplan.results.power_series import PowerSeries
from computeplan.results.window import KEPT, MEASURES, SERVED, BySite
from computeplan.study.folder import (
    MOST_BYTES,
    PROVENANCE,
    check_folder,
    open_regular,
    read_provenance,
    write_folder,
)
from computeplan.study.result import Result
from computeplan.units import CURRENCIES

__all__ = ["check_writable", "load_result", "save_result"]

_PARTS = ("jobs", "idle", "idle_per_day")
_MORE_PARTS = ("services", "services_per_day", "batteries")
_SERVED_PARTS = ("served", "served_per_day")
_NOTES: Mapping[str, Literal["en", "zh"]] = {"notes.md": "en", "notes.zh.md": "zh"}
_SPAN = ("job", "pool", "phase", "start_s", "end_s", "n_chips", "service", "drawn_frac")
_POWER = ("site", "start_s", "end_s", *(f"{phase}_w" for phase in PHASES), "battery_w", "limit_w")
_FLEET = ("start_s", "end_s", *(f"{state}_chips" for state in FLEET_STATES), "needed_chips")
_NAMES = (
    *("scenario.yaml", "runs.csv", "jobs.csv", "tenants.csv", "sites.csv", "timeline.csv"),
    *("power.csv", "fleet.csv", "chips.csv", "summary.csv", "summary.json", *_NOTES, PROVENANCE),
)
_COLUMNS = {
    "runs.csv": ("case", "run"),
    "jobs.csv": ("case", "run", "job"),
    "tenants.csv": ("case", "run", "tenant"),
    "sites.csv": ("case", "run", "site"),
    "timeline.csv": ("case", *_SPAN[:-2]),
    "power.csv": ("case", *_POWER[:-1]),
    "fleet.csv": ("case", *_FLEET),
}
"""Without which a table is not one of ours."""
_OF_SOME = {"sites.csv", "tenants.csv", "power.csv", "fleet.csv"}
"""Not of earlier versions, nor of all results."""
_READ = {*_NAMES} - {"chips.csv", "summary.csv", *_OF_SOME, *_NOTES}
MOST_TABLE_BYTES = 1 << 30
MOST_RUN_BYTES, MOST_RUNS = 2000, 5_000_000
"""Of a table that is read: so much in any case, and for each of so many runs."""

Row = Iterable[object]


def save_result(result: Result, folder: Path) -> None:
    """Write a result into a folder, whole or not at all.

    Parameters
    ----------
    result : Result
    folder : Path
        Created with its parents. Of what is there, only files of an earlier result are replaced or
        removed; others stay.

    Raises
    ------
    ComputePlanError
        If something else is in the way, or the disk refuses.
    """
    write_folder(folder, partial(_write, result))


def check_writable(folder: Path, inputs: Iterable[str] = ()) -> None:
    """Raise ComputePlanError if `save_result` could not write a folder: before long work.

    Parameters
    ----------
    folder : Path
    inputs : iterable of str
        Names in `Result.files`.
    """
    check_folder(folder, (*_NAMES, *inputs))


def _write(result: Result, folder: Path) -> Mapping[str, Any]:
    """Write all files but provenance.json, and return what that says."""
    (folder / "scenario.yaml").write_text(result.scenario_yaml, "utf-8", newline="\n")
    for name, content in result.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    cases = result.cases.values()
    is_there = {
        "tenants": any(case.tenants for case in cases),
        "chips": any(case.by_chip() for case in cases),
    }
    for kind in (kind for kind in KINDS if is_there.get(kind, True)):
        _write_columns(folder / f"{kind}.csv", columns(result.cases, kind))
    spans = (
        (case, *_named(found, span)) for case, found in result.cases.items() for span in found.spans
    )
    _write_csv(folder / "timeline.csv", ("case", *_SPAN), spans)
    if any(case.power for case in result.cases.values()):
        powers = (
            (case, *row)
            for case, found in result.cases.items()
            for site, series in found.power.items()
            for row in _power_rows(site, series)
        )
        _write_csv(folder / "power.csv", ("case", *_POWER), powers)
    if any(case.fleet is not None for case in result.cases.values()):
        held = (
            (case, *row)
            for case, found in result.cases.items()
            if found.fleet is not None
            for row in _fleet_rows(found.fleet)
        )
        _write_csv(folder / "fleet.csv", ("case", *_FLEET), held)
    _write_csv(folder / "sites.csv", _site_header(result), _site_rows(result))
    texts = {
        "about": result.about,
        "asks": result.asks,
        "notes": [_plain(note) for note in result.notes],
        "facts": {
            name: {fact: _plain(note) for fact, note in case.facts.items()}
            for name, case in result.cases.items()
        },
        "pools": {name: list(case.pool_names) for name, case in result.cases.items()},
        "services": {name: list(case.service_names) for name, case in result.cases.items()},
        "axes": {name: dict(case.axes) for name, case in result.cases.items()},
    }
    _write_json(folder / "summary.json", result.to_json() | texts)
    for name, language in _NOTES.items():
        (folder / name).write_text(result.notes_page(language), "utf-8", newline="\n")
    missing = {name: _plain(why) for name, why in result.incomplete.items()}
    return {**result.provenance, **({"incomplete": missing} if missing else {})}


def _plain(note: Note) -> dict[str, Any]:
    return {"code": note.code, "values": dict(note.items)}


def _note(data: dict[str, Any] | str) -> Note:
    """Return a note as it was written; of earlier versions, the sentence."""
    if isinstance(data, str):
        return Note("quoted", (("text", data),))
    return Note(data["code"], tuple((name, _value(v)) for name, v in data["values"].items()))


def _value(data: Any) -> NoteValue:
    return tuple(map(_value, data)) if isinstance(data, list) else data


def _named(case: CaseResult, span: Span) -> Row:
    """Return a stretch of the timeline with names: of a job, of a service, or of none if idle."""
    job = case.job_names[span.job] if span.job >= 0 else ""
    service = case.service_names[FIRST_SERVICE - span.job] if span.job <= FIRST_SERVICE else ""
    names = (job, case.pool_names[span.pool], PHASES[span.phase])
    stretch = (span.start_s, span.end_s, f"{span.n_chips:.17g}")
    return (*names, *stretch, service, f"{span.drawn_frac:.17g}")


def _power_rows(site: str, series: PowerSeries) -> Iterator[Row]:
    edges_s, watts = series.edges_s.tolist(), series.watts.tolist()
    rest = [
        [""] * len(watts) if column is None else column.tolist()
        for column in (series.battery_w, series.limit_w)
    ]
    for i, by_phase in enumerate(watts):
        yield site, edges_s[i], edges_s[i + 1], *by_phase, *(column[i] for column in rest)


def _fleet_rows(series: FleetSeries) -> Iterator[Row]:
    edges_s, needed = series.edges_s.tolist(), series.needed.tolist()
    for i, by_state in enumerate(series.chips.tolist()):
        yield edges_s[i], edges_s[i + 1], *by_state, needed[i]


def _fleet(rows: list[dict[str, str]]) -> FleetSeries | None:
    """Return what chips did as it was written."""
    if not rows:
        return None
    edges_s = np.array([*(float(row["start_s"]) for row in rows), float(rows[-1]["end_s"])])
    chips = np.stack([_column(rows, f"{state}_chips") for state in FLEET_STATES], axis=1)
    return FleetSeries(edges_s, chips, _column(rows, "needed_chips"))


def _power(rows: list[dict[str, str]]) -> dict[str, PowerSeries]:
    """Return the power of each site as it was written."""
    found = {}
    for site in dict.fromkeys(row["site"] for row in rows):
        here = [row for row in rows if row["site"] == site]
        edges_s = np.array([*(float(row["start_s"]) for row in here), float(here[-1]["end_s"])])
        watts = np.stack([_column(here, f"{phase}_w") for phase in PHASES], axis=1)
        rest = [
            _column(here, name) if here[0].get(name) else None for name in ("battery_w", "limit_w")
        ]
        found[site] = PowerSeries(edges_s, watts, *rest)
    return found


def _write_columns(path: Path, blocks: Iterable[Columns]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for i, block in enumerate(blocks):
            if i == 0:
                writer.writerow(block)
            writer.writerows(zip(*map(_cells, block.values()), strict=True))


def _cells(column: Sequence[object] | FloatArray) -> list[object]:
    """Return a column as the csv module writes it exactly, and nothing for NaN."""
    values = column.tolist() if isinstance(column, np.ndarray) else column
    return ["" if value != value else _cell(value) for value in values]


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _site_header(result: Result) -> Row:
    found = (case.by_site for case in result.cases.values())
    currency = next((by_site.currency for by_site in found if by_site), "USD")
    measures = [in_currency(measure, currency) for measure in MEASURES]
    parts = _parts(result)
    columns = [f"{part}_{m}" for part in parts for m in measures]
    for part in _some(result, _SERVED_PARTS):
        columns += [f"{part}_{in_currency(m, currency)}" for m in SERVED]
    return ("case", "run", "site", "pool", "chip", "end_s", *KEPT, *columns)


def _parts(result: Result) -> tuple[str, ...]:
    """Return the parts of what is taken at a site, those of `_MORE_PARTS` only if there are any."""
    return (*_PARTS, *_some(result, _MORE_PARTS))


def _some(result: Result, parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of some parts that a case has."""
    found = [case.by_site for case in result.cases.values() if case.by_site is not None]
    return tuple(part for part in parts if any(getattr(one, part) for one in found))


def _site_rows(result: Result) -> Iterable[Row]:
    of_services = _some(result, _SERVED_PARTS)
    for name, case in result.cases.items():
        found = case.by_site
        if found is None:
            continue
        none = np.full((len(found.end_s), len(found.sites)), np.nan)
        kept = dict.fromkeys(KEPT, none) if found.kept is None else found.kept
        blocks = [getattr(found, p) or dict.fromkeys(MEASURES, none) for p in _parts(result)]
        parts = [kept[name] for name in KEPT]
        parts += [block[measure] for block in blocks for measure in MEASURES]
        served = [getattr(found, p) or dict.fromkeys(SERVED, none) for p in of_services]
        parts += [block[name] for block in served for name in SERVED]
        columns = np.stack(parts, axis=-1).tolist()
        unnamed = ("",) * len(found.sites)
        names = [*zip(found.sites, found.pools or unnamed, found.chips or unnamed, strict=True)]
        for run, end_s in enumerate(found.end_s.tolist()):
            for i, of_pool in enumerate(names):
                yield name, run, *of_pool, end_s, *_cells(columns[run][i])


def _write_csv(path: Path, header: Row, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", "utf-8", newline="\n")


def load_result(folder: Path) -> Result:
    """Return the result that a folder holds, from its files alone.

    Parameters
    ----------
    folder : Path
        Written by `save_result`.

    Returns
    -------
    Result
        Equal to the saved one, except that a quantity some case did not have is NaN there.

    Raises
    ------
    ComputePlanError
        If the folder is not a result, or a file in it cannot be read.
    """
    folder = Path(folder)
    if not os.path.lexists(folder / PROVENANCE):
        raise ComputePlanError(f"{folder}: is not a computeplan result (no {PROVENANCE})")
    with _blame(folder, PROVENANCE):
        provenance = read_provenance(folder)
        if provenance is None:
            raise ValueError("it holds no JSON mapping")
        listed = {*provenance.pop("files", {})}
        missing = {n: _note(why) for n, why in provenance.pop("incomplete", {}).items()}
        runs = int(provenance.get("runs", 0))
    needed = sorted(_READ | {*_NAMES} & listed - {*_NOTES})
    if gone := [name for name in needed if not os.path.lexists(folder / name)]:
        what = "is missing" if len(gone) == 1 else "are missing"
        raise ComputePlanError(f"{folder}: {' and '.join(gone)} {what}: the result is not whole")
    with _text(folder, "summary.json") as file:
        summary = json.load(file)
        notes = tuple(map(_note, summary["notes"]))
        facts = {
            case: {fact: _note(data) for fact, data in found.items()}
            for case, found in summary["facts"].items()
        }
        pools, services = summary.get("pools", {}), summary.get("services", {})  # or earlier
        axes = {case: dict(summary.get("axes", {}).get(case, {})) for case in facts}
        name, about, asks = summary["name"], summary["about"], summary.get("asks")
        most_bytes = MOST_TABLE_BYTES + MOST_RUN_BYTES * min(runs * len(facts), MOST_RUNS)
    with _text(folder, "scenario.yaml") as file:
        scenario_yaml = file.read()
    read = partial(_read_csv, folder, most_bytes=most_bytes)
    swept = {path for found in axes.values() for path in found}
    is_there = {name: name in _READ or os.path.lexists(folder / name) for name in _COLUMNS}
    tables = {name: read(name, left_out=swept) if is_there[name] else {} for name in _COLUMNS}
    cases = {}
    for case in facts:
        rows = {name: table.get(case, []) for name, table in tables.items()}
        names = (pools.get(case), tuple(services.get(case, ())))
        cases[case] = _case(folder, rows, facts[case], names, axes[case])
    parts = (name, about, cases, provenance, scenario_yaml, notes)
    return Result(*parts, incomplete=missing, asks=asks)


@contextlib.contextmanager
def _blame(folder: Path, name: str) -> Iterator[None]:
    """Say of what goes wrong in which file it does."""
    try:
        yield
    except OSError as error:
        raise ComputePlanError(
            f"{folder}: {name} cannot be read: {error.strerror or error}"
        ) from error
    except (LookupError, AttributeError, TypeError, ValueError, RecursionError, csv.Error) as error:
        why = f"no {error}" if isinstance(error, KeyError) else error
        raise ComputePlanError(
            f"{folder}: {name} is damaged or of another version of computeplan: {why}"
        ) from error


@contextlib.contextmanager
def _text(folder: Path, name: str, most_bytes: int = MOST_BYTES) -> Iterator[io.TextIOWrapper]:
    with (
        _blame(folder, name),
        open_regular(folder / name, most_bytes) as file,
        io.TextIOWrapper(file, "utf-8", newline="") as text,
    ):
        yield text


def _read_csv(
    folder: Path, name: str, *, most_bytes: int, left_out: Collection[str] = ()
) -> dict[str, list[dict[str, str]]]:
    """Return the rows of every case, without the case and the columns to leave out."""
    cases: dict[str, list[dict[str, str]]] = {}
    with _text(folder, name, most_bytes) as file:
        rows = csv.DictReader(file, strict=True)
        if gone := [column for column in _COLUMNS[name] if column not in (rows.fieldnames or ())]:
            raise ValueError(f"no column {', '.join(gone)}")
        for row in rows:
            if None in row or None in row.values():
                raise ValueError("a row has not as many cells as the header")
            kept = {name: cell for name, cell in row.items() if name not in left_out}
            cases.setdefault(kept.pop("case"), []).append(kept)
    return cases


def _case(
    folder: Path,
    rows: Mapping[str, list[dict[str, str]]],
    facts: dict[str, Note],
    names_of: tuple[list[str] | None, tuple[str, ...]],
    axes: dict[str, object],
) -> CaseResult:
    runs, jobs, tenants, sites, spans, powers, fleets = (rows[name] for name in _COLUMNS)
    with _blame(folder, "runs.csv"):
        if not runs:
            raise ValueError("a case has no runs")
        values = {name: _column(runs, name) for name in runs[0] if name != "run"}
        inputs = {name: values.pop(name) for name in [*values] if name.startswith(INPUTS)}
        inputs = {name: column for name, column in inputs.items() if not np.isnan(column).all()}
        CaseResult(values)  # or it says what is wrong with them
    with _blame(folder, "jobs.csv"):
        first = [row for row in jobs if row["run"] == "0"]
        names = [name for name in first[0] if name not in ("run", "job")] if first else []
        numbers = {
            name: _column(jobs, name).reshape(len(runs), len(first))
            for name in names
            if name in JOB_QUANTITIES
        }
        texts = {
            name: tuple(row[name] for row in first) for name in names if name not in JOB_QUANTITIES
        }
        job_names = tuple(row["job"] for row in first)
    with _blame(folder, "tenants.csv"):
        by_tenant = _by_tenant(tenants, len(runs)) if tenants else {}
        CaseResult(values, tenants=by_tenant)
    with _blame(folder, "timeline.csv"):
        pools, services = names_of
        if pools is None:  # earlier versions
            pools = list(dict.fromkeys(row["pool"] for row in spans))
        places = {("", job): j for j, job in enumerate(job_names)} | {("", ""): -1}
        places |= {(one, ""): FIRST_SERVICE - i for i, one in enumerate(services)}
        stretches = tuple(_span(row, places, pools) for row in spans)
    with _blame(folder, "sites.csv"):
        by_site = _by_site(sites, len(runs)) if sites else None
    with _blame(folder, "power.csv"):
        power = _power(powers)
    with _blame(folder, "fleet.csv"):
        fleet = _fleet(fleets)
    with _blame(folder, "jobs.csv"):
        parts = (values, numbers, job_names, texts, facts, stretches, tuple(pools), axes, by_site)
        return CaseResult(*parts, inputs, by_tenant, services, power, fleet)


def _span(row: dict[str, str], places: Mapping[tuple[str, str], int], pools: list[str]) -> Span:
    return Span(
        job=places[row.get("service", ""), row["job"]],
        pool=pools.index(row["pool"]),
        phase=PHASES.index(row["phase"]),
        start_s=float(row["start_s"]),
        end_s=float(row["end_s"]),
        n_chips=float(row["n_chips"]),
        drawn_frac=float(row.get("drawn_frac", 1.0)),  # not of earlier versions
    )


def _by_tenant(rows: list[dict[str, str]], n_runs: int) -> dict[str, dict[str, FloatArray]]:
    names = list(dict.fromkeys(row["tenant"] for row in rows))
    quantities = [name for name in rows[0] if name not in ("run", "tenant")]
    columns = {q: _column(rows, q).reshape(n_runs, len(names)) for q in quantities}
    return {name: {q: columns[q][:, i] for q in quantities} for i, name in enumerate(names)}


def _by_site(rows: list[dict[str, str]], n_runs: int) -> BySite:
    first = rows[: len(rows) // n_runs]
    names = tuple(row["site"] for row in first)
    pools, chips = (
        tuple(row[name] for row in first) if first[0].get(name) else ()  # or earlier versions
        for name in ("pool", "chip")
    )

    def column(name: str) -> FloatArray:
        if name not in rows[0]:  # earlier versions
            return np.full((n_runs, len(names)), np.nan)
        return _column(rows, name).reshape(n_runs, len(names))

    currency = next(c for c in CURRENCIES if f"jobs_{in_currency('cost_usd', c)}" in rows[0])
    end_s = column("end_s")[:, 0]
    jobs, idle, per_day = (
        {m: column(f"{part}_{in_currency(m, currency)}") for m in MEASURES} for part in _PARTS
    )
    more: dict[str, Any] = {
        part: {m: column(f"{part}_{in_currency(m, currency)}") for m in MEASURES}
        for part in _MORE_PARTS
        if rows[0].get(f"{part}_chip_h")
    }
    more |= {
        part: {m: column(f"{part}_{in_currency(m, currency)}") for m in SERVED}
        for part in _SERVED_PARTS
        if rows[0].get(f"{part}_service_chip_h")
    }
    kept = {name: column(name) for name in KEPT} if pools else None
    named: dict[str, Any] = {"pools": pools, "chips": chips, "kept": kept}
    return BySite(names, currency, end_s, jobs, idle, per_day, **more, **named)


def _column(rows: list[dict[str, str]], name: str) -> FloatArray:
    return np.array([float(row.get(name) or "nan") for row in rows])  # earlier ones have fewer
