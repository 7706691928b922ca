"""``computeplan run``: simulate a scenario, print the table, write the folder."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from computeplan.cli.options import (
    PARTIAL,
    language_option,
    load_with,
    say_unseen,
    scenario_options,
)
from computeplan.cli.show import Shown
from computeplan.cli.workers import executor_of
from computeplan.report import Language

if TYPE_CHECKING:
    from computeplan.specs.scenario import Scenario
    from computeplan.study.result import Result

__all__ = ["run"]

SAVE_EVERY_S = 1.0
SAVE_SHARE = 0.05
"""While cases are played, the done ones are saved: how often, and for what share of the time."""
MOST_NAMED = 10
"""Cases that a message names."""
CASE_WIDTH = 40
"""Terminal columns for the name of a case beside the bar."""


@click.command()
@scenario_options
@language_option
@click.option(
    "--until-done",
    is_flag=True,
    help="Play every case to the end of its work, whatever the horizon.",
)
@click.option("--runs", type=click.IntRange(1), help="Replications of each case.")
@click.option("--seed", type=click.IntRange(0), help="Seed of all that is drawn.")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes; the numbers do not depend on it.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for numbers and figures. Files of an earlier result are replaced, figures too;"
    " others stay.  [default: results/NAME; none with --json]",
)
@click.option("--jobs", "with_jobs", is_flag=True, help="Also print a table of jobs per case.")
@click.option("--tenants", "with_tenants", is_flag=True, help="Also print a table of tenants.")
@click.option("--power", "with_power", is_flag=True, help="Also print the power of sites: swings.")
@click.option("--chips", "with_chips", is_flag=True, help="Also print a table of kinds of chips.")
@click.option("--versus", metavar="CASE", help="Also print the differences to this case.")
@click.option("--notes", "with_notes", is_flag=True, help="Print all notes, not three.")
@click.option("--figures/--no-figures", default=True, help="Draw figures into the folder.")
@click.option("--svg", is_flag=True, help="Write an SVG beside every PNG.")
@click.option(
    "--load-profile",
    "every_s",
    metavar="STEP",
    callback=lambda _ctx, _param, text: None if text is None else _step_s(text),
    help="Also write load/profile.csv: mean kW of each site at this step, such as '15 min'.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
def run(
    scenario: str,
    settings: tuple[str, ...],
    language: Language,
    until_done: bool,
    runs: int | None,
    seed: int | None,
    workers: int,
    out: Path | None,
    with_jobs: bool,
    with_tenants: bool,
    with_power: bool,
    with_chips: bool,
    versus: str | None,
    with_notes: bool,
    figures: bool,
    svg: bool,
    every_s: float | None,
    as_json: bool,
) -> None:
    """Simulate SCENARIO: a YAML file, or the name of a shipped one.

    Exit code 4: some cases have no result. Ctrl-C keeps those that are done.
    """
    from computeplan.report.words import phrase

    if every_s is not None and as_json and out is None:
        raise click.UsageError("--load-profile writes a file: with --json it needs --out FOLDER")
    loaded = _loaded(scenario, settings, runs, seed, language, until_done=until_done)
    tables = (with_jobs, with_tenants, with_power, with_chips)
    shown = Shown(language, *tables, _checked(versus, loaded), with_notes)
    folder = out if out is not None or as_json else Path("results") / loaded.name
    kept = None if folder is None else _Kept(folder, loaded.input_files())
    result, is_stopped = _played(loaded, workers, kept, language)
    errors: list[Exception] = []  # what goes wrong in one step does not keep the next from its own
    if kept is not None:
        with _going_on(errors):
            is_stopped = kept.save(result, is_stopped=is_stopped)
    with _going_on(errors):
        _print_json(result) if as_json else shown.show(result)
    if kept is not None and kept.saved is not None:
        with _going_on(errors):
            click.echo(phrase("numbers_in", language, folder=kept.saved), err=as_json)
        with _going_on(errors):
            _write_profile(result, kept.saved, every_s, language, err=as_json)
        if figures and not is_stopped:
            with _going_on(errors):
                _draw(result, kept.saved, language, svg=svg, err=as_json)
    if is_stopped:
        raise KeyboardInterrupt
    if errors:
        raise errors[0]
    if result.incomplete:
        click.get_current_context().exit(PARTIAL)


def _loaded(
    scenario: str,
    settings: tuple[str, ...],
    runs: int | None,
    seed: int | None,
    language: Language,
    *,
    until_done: bool,
) -> Scenario:
    """Return the scenario with what the command says of it; a terminal sees that it is read."""
    from rich.console import Console
    from rich.markup import escape

    from computeplan.report.words import phrase

    how = {"runs": runs, "seed": seed}
    more = [f"simulate.{key}={value}" for key, value in how.items() if value is not None]
    with Console(stderr=True).status(escape(phrase("reading", language, scenario=scenario))):
        asked = load_with(scenario, (*settings, *more))
        importlib.import_module("computeplan.study.run")  # half of the wait
    return asked.without("simulate.horizon") if until_done else asked


def _played(
    scenario: Scenario, workers: int, kept: _Kept | None, language: Language
) -> tuple[Result, bool]:
    """Return the result, and whether it was stopped before all cases were done."""
    from computeplan.study import run as study

    on_case = None if kept is None else kept.save_sometimes
    done = None
    try:
        with executor_of(workers) as executor, _progress(language) as progress:
            done = study.run(scenario, executor=executor, progress=progress, on_case=on_case)
    except study.Interrupted as stop:
        return stop.result, True
    except KeyboardInterrupt:
        if done is None:
            raise
        return done, True  # only the workers were still to end
    return done, False


def _print_json(result: Result) -> None:
    click.echo(json.dumps(result.to_json(), ensure_ascii=False, allow_nan=False, indent=2))


def _checked(case: str | None, scenario: Scenario) -> str | None:
    """Return the case to compare with, or refuse one that does not exist: before long work."""
    from computeplan.study.cases import expand

    if case is not None and case not in (names := expand(scenario)):
        shown = ", ".join(map(repr, [*names][:MOST_NAMED]))
        raise click.BadParameter(f"no case {case!r}. Cases: {shown}", param_hint="--versus")
    return case


class _Kept:
    """The folder of a run, whole or with the cases that are done so far.

    What is not whole never takes the place of an earlier result that is: it goes to a folder
    beside it.
    """

    def __init__(self, folder: Path, inputs: Iterable[str]) -> None:
        from computeplan.study.folder import read_provenance
        from computeplan.study.store import check_writable

        check_writable(folder, inputs)
        earlier = read_provenance(folder)
        is_whole = earlier is not None and "incomplete" not in earlier
        self.folder = folder = folder if folder.name else folder.resolve()
        self.saved: Path | None = None
        self.in_part = folder.with_name(f"{folder.name}-incomplete") if is_whole else folder
        if is_whole:
            check_writable(self.in_part, inputs)
        self._has_part = False
        self._due_s = time.monotonic() + SAVE_EVERY_S

    def save_sometimes(self, so_far: Callable[[], Result]) -> None:
        """Save what is done, in case we are killed; seldom enough to cost little."""
        from computeplan.study.store import save_result

        begin_s = time.monotonic()
        if begin_s < self._due_s:
            return
        with contextlib.suppress(Exception):  # the last save says what is wrong
            save_result(so_far(), self.in_part)
            self._has_part = True
        now_s = time.monotonic()
        self._due_s = now_s + max(SAVE_EVERY_S, (now_s - begin_s) / SAVE_SHARE)

    def save(self, result: Result, *, is_stopped: bool) -> bool:
        """Save what a run ends with, to `saved`; return whether it is stopped by now."""
        from computeplan.study.folder import remove_folder
        from computeplan.study.store import save_result

        folder = self.in_part if is_stopped and result.incomplete else self.folder
        try:
            save_result(result, folder)
        except KeyboardInterrupt:  # what is done is saved, and then we stop
            if is_stopped:
                raise
            is_stopped = True
            save_result(result, folder)
        self.saved = folder
        if self._has_part and folder != self.in_part:
            remove_folder(self.in_part)
        return is_stopped


@contextlib.contextmanager
def _going_on(errors: list[Exception]) -> Iterator[None]:
    """Keep what goes wrong for later: a full disk, a reader that went away, a defect."""
    try:
        yield
    except Exception as error:
        errors.append(error)


def _step_s(text: str) -> float:
    """Return a step of a load profile, or refuse it: before long work. [s]"""
    from computeplan.units import parse

    try:
        step_s = parse(text, "s")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--load-profile") from None
    if step_s < 1:
        raise click.BadParameter("a step is 1 s or more", param_hint="--load-profile")
    return step_s


def _write_profile(
    result: Result, folder: Path, every_s: float | None, language: Language, *, err: bool
) -> None:
    """Write the load of the sites, if it is asked for, into a folder, and say where it is."""
    if every_s is None:
        return
    from computeplan.report.words import phrase
    from computeplan.study.folder import add_files
    from computeplan.study.load_profile import save_load_profile

    add_files(folder, "load", lambda new: save_load_profile(result, new / "profile.csv", every_s))
    click.echo(phrase("load_profile_in", language, file=folder / "load" / "profile.csv"), err=err)


def _draw(result: Result, folder: Path, language: Language, *, svg: bool, err: bool) -> None:
    """Draw the figures of a result into its folder, and say where they are."""
    from computeplan.report.figures import save_figures, unseen_in
    from computeplan.report.words import phrase
    from computeplan.study.folder import add_files

    if sys.stderr.isatty():
        click.echo("drawing figures ...", err=True)
    add_files(folder, "figures", partial(save_figures, result, language=language, svg=svg))
    click.echo(phrase("figures_in", language, folder=folder / "figures"), err=err)
    say_unseen(unseen_in(result), language, err=err)


@contextlib.contextmanager
def _progress(language: Language) -> Iterator[Any]:
    """Yield a callback that draws a bar on stderr, or does nothing if nobody looks."""
    if not sys.stderr.isatty() or os.environ.get("CI"):
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from computeplan.report.table import wrap
    from computeplan.report.words import phrase

    case = TextColumn("{task.description}", markup=False)  # names are text
    columns = (
        TextColumn(phrase("simulating", language)),
        case,
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, case: bar.update(
            task, completed=done, total=total, description=wrap(case, CASE_WIDTH, lines=1)
        )
