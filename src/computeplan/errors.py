"""What can go wrong, by whose fault.

::

    ComputePlanError
    ├── ScenarioError (also ValueError)   your input contradicts itself        exit 2
    ├── InfeasibleError                   valid, but cannot be                 exit 3
    └── UnsupportedByEngine               valid, but not for the engine asked  exit 2

A message says where, what, what is allowed, and what to try.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["ComputePlanError", "InfeasibleError", "Problem", "ScenarioError", "UnsupportedByEngine"]


class ComputePlanError(Exception):
    """Base of all errors that computeplan raises on purpose."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input."""

    message: str
    """What is wrong, what is allowed, what to try."""
    path: str = ""
    """Dotted path of the value inside the scenario, empty if it has none."""
    file: str = ""
    """The file as the user named it, or the origin of an override (``-s a.b=c``)."""
    line: int = 0
    column: int = 0
    """Place in the file, counted from 1; 0 if unknown."""

    def __str__(self) -> str:
        place = f"{self.line}:{self.column}" if self.line else ""
        return "  ".join(part for part in (place, f"{self.path}:" if self.path else "") if part) + (
            f" {self.message}" if place or self.path else self.message
        )


class ScenarioError(ComputePlanError, ValueError):
    """Everything wrong with an input, at once.

    Parameters
    ----------
    problems : iterable of Problem
        At least one.
    """

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        by_file: dict[str, list[Problem]] = {}
        for problem in self.problems:
            by_file.setdefault(problem.file, []).append(problem)
        lines = []
        for file, found in by_file.items():
            count = f"{len(found)} problem{'s' if len(found) > 1 else ''}"
            lines.append(f"{file}: {count}" if file else count)
            lines += [f"  {problem}" for problem in sorted(found, key=lambda p: (p.line, p.column))]
        super().__init__("\n".join(lines))

    @classmethod
    def of(cls, message: str, path: str = "", file: str = "") -> ScenarioError:
        """Return an error with a single problem."""
        return cls([Problem(message, path, file)])


class InfeasibleError(ComputePlanError):
    """A valid question with no possible answer; found before the first run."""

    exit_code = 3


class UnsupportedByEngine(ComputePlanError):  # noqa: N818 - the house's name for it
    """The engine asked for cannot play this scenario; the message names the line that asks."""

    exit_code = 2
