"""``computeplan init``: a commented scenario that runs."""

from __future__ import annotations

import re
import shlex
from importlib import resources
from pathlib import Path

import click

from computeplan.errors import ComputePlanError, ScenarioError

__all__ = ["init"]

_PLAIN = re.compile(r"\w(?:[\w -]{0,70}\w)?")
_WANTED = "use letters, digits and -, and no folder, such as my-run"


@click.command()
@click.argument("name")
def init(name: str) -> None:
    """Write NAME.yaml, a commented scenario that runs as it is."""
    from jinja2 import Environment, StrictUndefined

    from computeplan.specs.documents.document import parse_document
    from computeplan.specs.scenario import load

    path = Path(name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    if not _PLAIN.fullmatch(path.stem) or path.name != str(path):
        raise ScenarioError.of(f"{name!r} is not a plain name; {_WANTED}")
    template = resources.files("computeplan").joinpath("data/starter.yaml.j2").read_text("utf-8")
    # Values stand in YAML, not HTML: the check above is what keeps a hostile name out.
    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    text = environment.from_string(template).render(name=path.stem, file=path.name)
    if parse_document(text, str(path)).data.get("name") != path.stem:
        raise ScenarioError.of(f"{path.stem!r} is not a word in YAML; {_WANTED}")
    load(parse_document(text, str(path)).data)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ComputePlanError(f"{path} exists; it was left as it is") from None
    except OSError as error:
        raise ComputePlanError(f"{path} cannot be written: {error.strerror}") from None
    click.echo(f"Wrote {path}. Now: computeplan run {shlex.quote(str(path))}")
