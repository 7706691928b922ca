"""The command line: a group whose commands are imported only when they are called."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import sys
from importlib import import_module
from keyword import iskeyword

import click

from computeplan import __version__

__all__ = ["cli", "main"]

COMMANDS = {
    "run": "Simulate a scenario: a table, and a folder with numbers and figures.",
    "check": "Check a scenario without simulating it.",
    "need": "Find how many chips, spares, ... are needed for a goal.",
    "compare": "Compare two results, or two scenarios.",
    "fit": "Fit fault laws to a fault log.",
    "import": "Turn a job trace from elsewhere into the jobs of a scenario.",
    "step": "Price a step of training: time, memory, the best layouts.",
    "mix": "Price one job on chips of several kinds: how to split it, what it loses.",
    "serve-plan": "Find how many chips of which kind serve a model's requests.",
    "validate": "Compare published measurements with what is said of them.",
    "plot": "Draw the figures of a saved result again.",
    "chips": "List the chips of the catalogue, or show one with its sources.",
    "models": "List the models of the catalogue, or show one with its sources.",
    "sites": "List the places of the catalogue, or show one with its sources.",
    "init": "Write a commented scenario to start from.",
    "paths": "List every path of a scenario that can be set, with its value and unit.",
    "schema": "Print the JSON Schema of scenario files.",
}
INTERRUPTED = 130
_OUTPUT_GONE = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class _Lazy(click.Group):
    """A group that holds the help of its commands and imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = "catalogue" if cmd_name in ("chips", "models") else cmd_name.replace("-", "_")
        suffix = "_" if iskeyword(cmd_name) else ""
        found = import_module(f"computeplan.cli.{module}{suffix}")
        command: click.Command = getattr(found, f"{cmd_name.replace('-', '_')}{suffix}")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            close = get_close_matches(args[0], COMMANDS, n=1)
            if not close:
                raise
            raise click.UsageError(f"{error.message} Did you mean '{close[0]}'?", ctx) from None


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="computeplan")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Plan AI compute: simulate training runs on any chips, with faults and energy.

    Start with: computeplan run llama3-405b
    """
    ctx.obj = None
    if debug:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("computeplan").setLevel(logging.DEBUG)


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit with what came of it.

    0 done, 1 failed, 2 your input, 3 infeasible, 4 done in part, 130 stopped.
    """
    debug = "--debug" in (sys.argv[1:] if args is None else args)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what ends a job cleans up too
    try:
        code = cli.main(args, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        from computeplan.errors import ComputePlanError  # --help does not wait for it

        if isinstance(error, OSError) and _is_output_gone(error):
            sys.exit(1)
        if debug:
            raise
        if isinstance(error, ComputePlanError):
            click.echo(str(error) if "\n" in str(error) else f"Error: {error}", err=True)
            sys.exit(error.exit_code)
        click.echo(f"Error: {type(error).__name__}: {error}", err=True)
        click.echo("This is a defect of computeplan; --debug shows where.", err=True)
        sys.exit(1)


def _is_output_gone(error: OSError) -> bool:
    """Say it if standard output takes no more, and throw away what Python would still write.

    What is written to files is said where it is written; only a stream has no name.
    """
    if error.filename is not None or error.errno not in _OUTPUT_GONE:
        return False
    if not isinstance(error, BrokenPipeError):  # a reader that goes away has seen enough
        with contextlib.suppress(OSError):
            click.echo(f"Error: standard output cannot be written: {error.strerror}", err=True)
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
