"""Results on disk: a folder that is either whole or not there.

::

    scenario.yaml       resolved; running it again gives this folder again
    inputs/             what it reads, if anything
    runs.csv            one row per case and run, with the axes of the sweep as columns
    jobs.csv            one row per case, run and job; the axes too
    summary.csv .json   estimates; the JSON also holds notes and facts
    sites.csv           what counting to another window needs, per case, run and site
    timeline.csv        run 0 of each case
    provenance.json     how to get the same numbers again
    figures/            if the caller draws any

Headers are names of quantities, which carry units. Numbers are written so that reading gives the
same number; an empty cell is a value that does not exist. The same result gives the same bytes.

Names of cases and jobs are the user's text and are written as they are, even where they begin with
``=``, ``+``, ``-`` or ``@`` and a spreadsheet would take them for a formula: a prefix would change
the name, and the file would no longer say which case it means. Import the columns as text.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from computeplan.arrays import FloatArray
from computeplan.errors import ComputePlanError
from computeplan.ledger import PHASES, Span
from computeplan.notes import Note, NoteValue
from computeplan.quantities import JOB_QUANTITIES, in_currency
from computeplan.results.cases import CaseResult
from computeplan.results.frames import KINDS, Columns, columns
from computeplan.results.window import MEASURES, BySite
from computeplan.study.result import Result
from computeplan.units import CURRENCIES

__all__ = ["check_writable", "load_result", "save_result"]

_PARTS = ("jobs", "idle", "idle_per_day")
_SPAN = ("job", "pool", "phase", "start_s", "end_s", "n_chips")

Row = Iterable[object]


def save_result(
    result: Result, folder: Path, draw: Callable[[Result, Path], object] | None = None
) -> None:
    """Write a result into a folder, whole or not at all.

    Parameters
    ----------
    result : Result
    folder : Path
        Created with its parents. What is there is replaced only if it is an empty folder or an
        earlier result, and stays as it was if writing fails.
    draw : callable, optional
        Called with the result and the path of ``figures/``, and writes files there.

    Raises
    ------
    ComputePlanError
        If something else is in the way, or the disk refuses.
    """
    check_writable(folder)
    target = Path(folder).resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A folder inside the temporary one has the usual permissions; mkdtemp's own are private.
        hidden = Path(tempfile.mkdtemp(prefix=f".{target.name[:64]}.", dir=target.parent))
    except OSError as error:
        raise ComputePlanError(f"{folder}: cannot be written: {_why(error)}") from error
    try:
        new = hidden / "new"
        new.mkdir()
        _write(result, new)
        if draw is not None:
            (new / "figures").mkdir()
            draw(result, new / "figures")
        _swap(new, target, hidden / "old")
    except OSError as error:
        raise ComputePlanError(f"{folder}: cannot be written: {_why(error)}") from error
    finally:
        if target.exists() or not (hidden / "old").exists():
            shutil.rmtree(hidden, ignore_errors=True)


def check_writable(folder: Path) -> None:
    """Raise ComputePlanError if `save_result` could not write a folder: before long work."""
    try:
        target = Path(folder).resolve()
        there = next(path for path in (target, *target.parents) if path.exists())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ComputePlanError(f"{folder}: cannot be written: {reason}") from None
    if not there.is_dir():
        raise ComputePlanError(f"{folder}: cannot be written: {there.name} is a file, not a folder")
    if there != target and not os.access(there, os.W_OK):
        raise ComputePlanError(f"{folder}: cannot be written: no permission in {there.name}")
    if there == target and not _may_replace(target):
        raise ComputePlanError(
            f"{folder}: exists and is not a computeplan result (no provenance.json), so it is not "
            "replaced. Name another folder or remove this one"
        )


def _may_replace(target: Path) -> bool:
    if not target.is_dir():
        return False
    return (target / "provenance.json").is_file() or not any(target.iterdir())


def _swap(new: Path, target: Path, old: Path) -> None:
    """Put `new` in place of `target`, or leave `target` as it was."""
    had_one = target.exists()
    if had_one:
        target.replace(old)
    try:
        new.replace(target)
    except BaseException:
        if had_one:
            _restore(old, target)
        raise


def _restore(old: Path, target: Path) -> None:
    try:
        old.replace(target)
    except OSError as error:
        raise ComputePlanError(
            f"{target.name}: could be neither replaced nor put back: {_why(error)}. The earlier "
            f"result is in {old.parent.name}/old beside it"
        ) from error


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def _write(result: Result, folder: Path) -> None:
    for name, content in result.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "scenario.yaml").write_text(result.scenario_yaml, "utf-8", newline="\n")
    for kind in KINDS:
        _write_columns(folder / f"{kind}.csv", columns(result.cases, kind))
    spans = (
        (case, *_named(found, span)) for case, found in result.cases.items() for span in found.spans
    )
    _write_csv(folder / "timeline.csv", ("case", *_SPAN), spans)
    _write_csv(folder / "sites.csv", _site_header(result), _site_rows(result))
    texts = {
        "about": result.about,
        "notes": [_plain(note) for note in result.notes],
        "facts": {
            name: {fact: _plain(note) for fact, note in case.facts.items()}
            for name, case in result.cases.items()
        },
        "pools": {name: list(case.pool_names) for name, case in result.cases.items()},
        "axes": {name: dict(case.axes) for name, case in result.cases.items()},
    }
    _write_json(folder / "summary.json", result.to_json() | texts)
    missing = {name: _plain(why) for name, why in result.incomplete.items()}
    provenance = {**result.provenance, **({"incomplete": missing} if missing else {})}
    _write_json(folder / "provenance.json", provenance)


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
    """Return a stretch of the timeline with names; that of a job is empty for idle chips."""
    job = case.job_names[span.job] if span.job >= 0 else ""
    names = (job, case.pool_names[span.pool], PHASES[span.phase])
    return (*names, span.start_s, span.end_s, span.n_chips)


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
    return ("case", "run", "site", "end_s", *(f"{part}_{m}" for part in _PARTS for m in measures))


def _site_rows(result: Result) -> Iterable[Row]:
    for name, case in result.cases.items():
        found = case.by_site
        if found is None:
            continue
        parts = [getattr(found, part)[measure] for part in _PARTS for measure in MEASURES]
        columns = np.stack(parts, axis=-1).tolist()
        for run, end_s in enumerate(found.end_s.tolist()):
            for i, site in enumerate(found.sites):
                yield name, run, site, end_s, *_cells(columns[run][i])


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
    if not (folder / "provenance.json").is_file():
        raise ComputePlanError(f"{folder}: is not a computeplan result (no provenance.json)")
    try:
        return _read(folder)
    except OSError as error:
        name = Path(error.filename).name if error.filename else "a file"
        raise ComputePlanError(f"{folder}: {name} cannot be read: {_why(error)}") from error
    except (LookupError, AttributeError, TypeError, ValueError, csv.Error) as error:
        raise ComputePlanError(
            f"{folder}: is damaged or of another version of computeplan: {error}"
        ) from error


def _read(folder: Path) -> Result:
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    swept = {path for axes in summary.get("axes", {}).values() for path in axes}
    runs = _read_csv(folder / "runs.csv", swept)
    jobs = _read_csv(folder / "jobs.csv", swept)
    has_sites = (folder / "sites.csv").is_file()  # not of earlier versions
    sites = _read_csv(folder / "sites.csv", set()) if has_sites else {}
    spans = _read_csv(folder / "timeline.csv")
    with (folder / "scenario.yaml").open(encoding="utf-8", newline="") as file:
        scenario_yaml = file.read()
    provenance = json.loads((folder / "provenance.json").read_text("utf-8"))
    missing = provenance.pop("incomplete", {})
    return Result(
        name=summary["name"],
        about=summary["about"],
        cases={
            name: _case(
                runs[name],
                jobs.get(name, []),
                spans.get(name, []),
                sites.get(name, []),
                {fact: _note(data) for fact, data in facts.items()},
                summary.get("pools", {}).get(name),
                summary.get("axes", {}).get(name, {}),  # earlier versions
            )
            for name, facts in summary["facts"].items()
        },
        provenance=provenance,
        scenario_yaml=scenario_yaml,
        notes=tuple(map(_note, summary["notes"])),
        incomplete={name: _note(why) for name, why in missing.items()},
    )


def _read_csv(path: Path, left_out: Collection[str] = ()) -> dict[str, list[dict[str, str]]]:
    """Return the rows of every case, without the case and the columns to leave out."""
    cases: dict[str, list[dict[str, str]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, strict=True):
            if None in row or None in row.values():
                raise ValueError(f"{path.name}: a row has not as many cells as the header")
            kept = {name: cell for name, cell in row.items() if name not in left_out}
            cases.setdefault(kept.pop("case"), []).append(kept)
    return cases


def _case(
    runs: list[dict[str, str]],
    jobs: list[dict[str, str]],
    spans: list[dict[str, str]],
    sites: list[dict[str, str]],
    facts: dict[str, Note],
    pools: list[str] | None,
    axes: dict[str, object],
) -> CaseResult:
    values = {name: _column(runs, name) for name in runs[0] if name != "run"}
    first = [row for row in jobs if row["run"] == "0"]
    columns = [name for name in first[0] if name not in ("run", "job")] if first else []
    if pools is None:  # earlier versions
        pools = list(dict.fromkeys(row["pool"] for row in spans))
    places = {row["job"]: j for j, row in enumerate(first)} | {"": -1}
    return CaseResult(
        values=values,
        jobs={
            name: _column(jobs, name).reshape(len(runs), len(first))
            for name in columns
            if name in JOB_QUANTITIES
        },
        job_names=tuple(row["job"] for row in first),
        job_facts={
            name: tuple(row[name] for row in first)
            for name in columns
            if name not in JOB_QUANTITIES
        },
        facts=facts,
        spans=tuple(
            Span(
                job=places[row["job"]],
                pool=pools.index(row["pool"]),
                phase=PHASES.index(row["phase"]),
                start_s=float(row["start_s"]),
                end_s=float(row["end_s"]),
                n_chips=int(row["n_chips"]),
            )
            for row in spans
        ),
        pool_names=tuple(pools),
        axes=axes,
        by_site=_by_site(sites, len(runs)) if sites else None,
    )


def _by_site(rows: list[dict[str, str]], n_runs: int) -> BySite:
    names = tuple(dict.fromkeys(row["site"] for row in rows))

    def column(name: str) -> FloatArray:
        return _column(rows, name).reshape(n_runs, len(names))

    currency = next(c for c in CURRENCIES if f"jobs_{in_currency('cost_usd', c)}" in rows[0])
    end_s = column("end_s")[:, 0]
    jobs, idle, per_day = (
        {m: column(f"{part}_{in_currency(m, currency)}") for m in MEASURES} for part in _PARTS
    )
    return BySite(names, currency, end_s, jobs, idle, per_day)


def _column(rows: list[dict[str, str]], name: str) -> FloatArray:
    return np.array([float(row[name] or "nan") for row in rows])
