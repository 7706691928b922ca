"""What several commands share: naming a scenario and changing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from computeplan.specs.scenario import Scenario

__all__ = ["load_with", "scenario_options"]


def scenario_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with SCENARIO and ``-s path=value``."""
    command = click.option(
        "-s",
        "--set",
        "settings",
        multiple=True,
        metavar="PATH=VALUE",
        help="Change a value, as in -s jobs.pretrain.checkpoint.every='30 min'; may be repeated.",
    )(command)
    return click.argument("scenario", metavar="SCENARIO")(command)


def load_with(source: str, settings: tuple[str, ...]) -> Scenario:
    """Return a scenario with the changes of ``-s`` applied.

    Parameters
    ----------
    source : str
        Path of a file, or a shipped name.
    settings : tuple of str
        ``path=value``, the value read as YAML.

    Raises
    ------
    click.BadParameter
        If a setting has no ``=``.
    ScenarioError
        If the scenario or a change is wrong.
    """
    from computeplan.errors import ScenarioError
    from computeplan.specs.scenario import load, parse_value

    changes: dict[str, Any] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not path.strip():
            message = f"{setting!r} is not PATH=VALUE, such as simulate.runs=1000"
            raise click.BadParameter(message, param_hint="-s")
        try:
            value = parse_value(text)
        except ScenarioError as error:
            raise ScenarioError.of(error.problems[0].message, file=f"-s {setting}") from None
        changes.pop(path.strip(), None)  # said twice, the later one counts, in its place
        changes[path.strip()] = value
    loaded = load(source)
    return loaded.with_(changes, origin="-s") if changes else loaded
