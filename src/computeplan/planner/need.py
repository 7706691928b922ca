"""How much of something is needed: the least, or the greatest, legal value that meets a goal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Literal

from computeplan.notes import Notes
from computeplan.planner.goal import Goal, read_goal
from computeplan.planner.search import Search, Sense, Tried, UsedUpError, merit
from computeplan.planner.vary import Vary, read_vary
from computeplan.specs.scenario import Scenario
from computeplan.units import DAY_S

__all__ = ["Find", "Need", "Stopped", "Tried", "need"]

Find = Literal["least", "greatest"]

BEYOND = 1.01
"""How much longer than to the time in question runs are played."""


@dataclass(frozen=True, eq=False)
class Need:
    """What is needed for a goal, and every value that was tried."""

    name: str
    """Of the scenario."""
    goal: Goal
    vary: Vary
    find: Find
    """Which of the values that meet the goal is the answer."""
    answer: Tried | None
    """None if no legal value meets the goal; of an incomplete search, the best one so far."""
    tried: tuple[Tried, ...]
    """By count, all with the same samples; those beside the answer are the next legal ones."""
    skipped: Mapping[float, str]
    """Counts that are not legal, with the reason."""
    is_complete: bool
    """Whether the search ended by itself, not by a limit of runs or of time."""
    notes: Notes = ()
    """What must be known of the results."""

    @property
    def n_runs(self) -> int:
        """Runs of each value."""
        return len(self.tried[0].values) if self.tried else 0

    @property
    def worse(self) -> tuple[Tried, ...]:
        """Values on the side of the answer where the goal is not met, the nearest first."""
        return self._beyond(-1)

    @property
    def better(self) -> tuple[Tried, ...]:
        """Values on the other side of the answer, the nearest first."""
        return self._beyond(1)

    def _beyond(self, side: int) -> tuple[Tried, ...]:
        if self.answer is None:
            return ()
        sign, own = side * _SENSE[self.find], self.answer.count
        found = [one for one in self.tried if sign * (one.count - own) > 0]
        return tuple(sorted(found, key=lambda one: sign * one.count))

    @property
    def is_monotone(self) -> bool:
        """Whether, of all values tried, those that meet the goal lie on one side."""
        met = [one.is_met for one in self.tried][:: _SENSE[self.find]]
        return met == sorted(met)

    @property
    def best(self) -> Tried | None:
        """The value that comes nearest to the goal."""
        return max(self.tried, key=lambda one: merit(one, self.goal), default=None)

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON, but the values of single runs and the notes."""
        return {
            "scenario": self.name,
            "goal": self.goal.text,
            "quantity": self.goal.quantity,
            "statistic": self.goal.statistic,
            "find": self.find,
            "paths": [moved.path for moved in self.vary.moved],
            "unit": self.vary.unit,
            "step": float(self.vary.step),
            "complete": self.is_complete,
            "monotone": self.is_monotone,
            "answer": None if self.answer is None else self.answer.count,
            "n_runs": self.n_runs,
            "tried": [
                {
                    "count": one.count,
                    "changes": dict(one.changes),
                    "value": _finite(one.value),
                    "low": _finite(one.low),
                    "high": _finite(one.high),
                    "met": one.is_met,
                    "sure": one.is_sure,
                    "failed": one.failed or None,
                }
                for one in self.tried
            ],
            "skipped": [{"count": count, "reason": why} for count, why in self.skipped.items()],
        }


_SENSE: Mapping[Find, Sense] = {"least": 1, "greatest": -1}


def need(
    scenario: Scenario,
    vary: str,
    until: str,
    *,
    find: Find | None = None,
    low: str | None = None,
    high: str | None = None,
    step: str | None = None,
    max_runs: int | None = None,
    max_seconds: float | None = None,
    executor: Executor | None = None,
    progress: Callable[[Tried], None] | None = None,
) -> Need:
    """Return the least, or the greatest, legal value with which a scenario meets a goal.

    Parameters
    ----------
    scenario : Scenario
        As it is without its cases and its sweep.
    vary : str
        Paths that move together, each with its factor, as `read_vary` reads them.
    until : str
        The goal, as `read_goal` reads it.
    find : {"least", "greatest"}, optional
        Which of the values that meet the goal; without, the least if more helps, else the greatest.
    low, high, step : str, optional
        Range and steps of the first path, in its unit.
    max_runs : int, optional
        Runs of all values together after which the search stops.
    max_seconds : float, optional
        Time after which no further value is tried. [s]
    executor : Executor, optional
        Where runs are played; in this process if left out.
    progress : callable, optional
        Called with each value that was tried.

    Raises
    ------
    ScenarioError
        If the goal or the paths cannot be read, or no value in the range makes a valid scenario.

    Examples
    --------
    >>> import computeplan as cp
    >>> spares = cp.load("spares").with_({"simulate.runs": 64})
    >>> found = cp.need(spares, "sites.here.pools.h100.spares", "availability >= 99 %")
    >>> found.find, found.answer.changes
    ('least', {'sites.here.pools.h100.spares': '43 nodes'})
    """
    base = scenario.with_({"cases": None, "sweep": None})
    goal = read_goal(until, base)
    search = Search(
        _played_for(base, goal),
        goal,
        read_vary(vary, base, low, high, step),
        max_runs if max_runs is not None else math.inf,
        time.monotonic() + max_seconds if max_seconds is not None else math.inf,
        executor,
        progress,
    )
    try:
        search.run(_SENSE[find] if find else None)
    except UsedUpError:
        return _found(search, is_complete=False)
    except KeyboardInterrupt:
        raise Stopped(_found(search, is_complete=False)) from None
    return _found(search, is_complete=True)


def _played_for(scenario: Scenario, goal: Goal) -> Scenario:
    """Return the scenario whose runs are played as long as the goal asks for.

    What is about the whole work is played to its end; whether it is done by some time, to that
    time, so that a value with which it would never be done takes no longer.
    """
    if not goal.of_work_done:
        return scenario
    changes: dict[str, str | None] = {"simulate.horizon": None}
    if goal.is_probability and goal.is_about_time and scenario.simulate.at_most is None:
        jobs = scenario.jobs.values()
        due_s = [job.deadline or 0.0 for job in jobs] if goal.is_deadline else []
        due_s = due_s or [goal.inner_limit * DAY_S] * len(jobs)
        last_s = max(job.arrival + due for job, due in zip(jobs, due_s, strict=True))
        changes["simulate.at_most"] = f"{BEYOND * last_s!r} s"
    return scenario.with_(changes)


class Stopped(KeyboardInterrupt):
    """The search was interrupted.

    Parameters
    ----------
    found : Need
        What was known by then.
    """

    def __init__(self, found: Need) -> None:
        super().__init__("interrupted")
        self.found = found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _found(search: Search, *, is_complete: bool) -> Need:
    """Return what a search knows."""
    sense, tried = search.sense, search.tried
    met = [point for point, one in tried.items() if one.is_met]
    answer = min(met, key=lambda point: sense * point, default=None)
    told = answer if answer is not None else next(iter(tried), None)
    return Need(
        name=search.scenario.name,
        goal=search.goal,
        vary=search.vary,
        find="least" if sense == 1 else "greatest",
        answer=None if answer is None else tried[answer],
        tried=tuple(tried[point] for point in sorted(tried)),
        skipped={
            float(search.vary.count(point)): why
            for point, why in sorted(search.worlds.items())
            if isinstance(why, str)
        },
        is_complete=is_complete,
        notes=() if told is None else search.notes[told],
    )
