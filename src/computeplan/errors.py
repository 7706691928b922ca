"""What can go wrong, by whose fault.

::

    ComputePlanError
    ├── ScenarioError (also ValueError)   your input contradicts itself        exit 2
    ├── InfeasibleError                   valid, but cannot be                 exit 3
    └── UnsupportedByEngine               valid, but not for the engine asked  exit 2

A message says where, what, what is allowed, and what to try.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

__all__ = [
    "ComputePlanError",
    "InfeasibleError",
    "Problem",
    "ScenarioError",
    "UnsupportedByEngine",
    "in_cases",
]

MOST_NAMED = 3  # names that a list of names shows whole


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
    cases: tuple[str, ...] = ()
    """The cases that have it, where a scenario has several."""

    def __str__(self) -> str:
        place = f"{self.line}:{self.column}" if self.line else ""
        head = "  ".join(part for part in (place, f"{self.path}:" if self.path else "") if part)
        return f"{head} {self.message}".lstrip() + in_cases(self.cases)


def _some(names: Sequence[str]) -> str:
    """Return names in words, the first ones if there are many."""
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[: MOST_NAMED - 1])} and {len(names) - MOST_NAMED + 1} more"
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)


def in_cases(names: Sequence[str]) -> str:
    """Return which cases a message is of, to stand behind it; nothing for none.

    Examples
    --------
    >>> in_cases(["a", "b", "c", "d", "e"])
    "  (in cases 'a', 'b' and 3 more)"
    """
    if len(names) == 1:
        return f"  (case '{names[0]}')"
    return f"  (in cases {_some([repr(name) for name in names])})" if names else ""


def _merged_over_cases(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return problems, those that only differ in their cases as one."""
    found: dict[Problem, dict[str, None]] = {}
    for problem in problems:
        found.setdefault(replace(problem, cases=()), {}).update(dict.fromkeys(problem.cases))
    return tuple(replace(problem, cases=tuple(cases)) for problem, cases in found.items())


def _merged_over_places(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems in the order of the file, those that say the same of like places as one."""
    alike: dict[tuple[object, ...], list[Problem]] = {}
    for problem in sorted(problems, key=lambda p: (p.line, p.column)):
        block, *rest = problem.path.split(".")
        field = tuple(rest[3:] if rest[1:2] == ["pools"] else rest[1:])  # without names
        alike.setdefault((problem.message, problem.cases, block, field), []).append(problem)
    merged = []
    for first, *others in alike.values():
        also = _some([f"{p.path} ({p.line}:{p.column})" if p.line else p.path for p in others])
        merged.append(replace(first, message=f"{first.message}  Also {also}") if also else first)
    return merged


class ScenarioError(ComputePlanError, ValueError):
    """Everything wrong with an input, at once.

    Parameters
    ----------
    problems : iterable of Problem
        At least one. What is wrong in several cases is one problem; what is wrong in the same way
        with several jobs, sites or kinds of faults is told once, with the other places.
    """

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = _merged_over_cases(problems)
        by_file: dict[str, list[Problem]] = {}
        for problem in self.problems:
            by_file.setdefault(problem.file, []).append(problem)
        lines = []
        for file, of_file in by_file.items():
            found = _merged_over_places(of_file)
            count = f"{len(found)} problem{'s' if len(found) > 1 else ''}"
            lines.append(f"{file}: {count}" if file else count)
            lines += [f"  {problem}" for problem in found]
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
