"""The search for what is needed: which values are legal, and which of them are simulated.

A bracket is found by simulation around a first guess, from the closed form where there is one, and
halved. All values meet the same samples, so that they are compared run by run. Halving takes for
granted that on one side of the answer every value meets the goal and on the other none. So the
neighbours are tried too, and every legal value near the answer whose speed promises more than that
of the neighbour, as where a layout divides better; what is not monotone is said.

Long because what is legal, what is simulated and what is told of it are one search.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from computeplan.analytic.expected import expect
from computeplan.arrays import FloatArray
from computeplan.compiler.compile import compile_world
from computeplan.errors import InfeasibleError, ScenarioError
from computeplan.fleet.services import plan_services
from computeplan.notes import Notes
from computeplan.planner.goal import Goal
from computeplan.planner.vary import Vary
from computeplan.specs.scenario import Scenario
from computeplan.study.result import Result
from computeplan.study.run import run
from computeplan.units import DAY_S
from computeplan.world.world import World

__all__ = ["Search", "Sense", "Tried", "UsedUpError", "merit"]

Sense = Literal[1, -1]
"""1 if more of the count helps, -1 if less does."""

MOST_BELOW = 256
"""Legal values on the worse side of the answer whose speed is looked at."""
MOST_DOUBTFUL = 32
"""Of these, how many are played at most, the likeliest."""
N_NEAR = 6
"""Values played near the answer that tell how far the speed can be trusted."""
MOST_LOOKS = 2_000
"""Values in a row that may be illegal."""
ABOUT_THE_VALUE = {"chips_unused", "holds_whole_nodes", "batches_rounded"}
"""Notes that depend on the value that is tried."""


@dataclass(frozen=True, eq=False)
class Tried:
    """One value that was simulated."""

    count: float
    """Of the first path, in its unit."""
    changes: Mapping[str, int | float | str]
    """Path -> value as written."""
    value: float
    low: float
    high: float
    """What the goal asks for, and its 95 % interval."""
    is_met: bool
    """Whether `value` meets the goal."""
    is_sure: bool
    """Whether the whole interval says so."""
    values: FloatArray
    """The quantity of the goal in each run; shape (n_runs,)."""
    notes: Notes = ()
    """What must be known of this value, such as chips that a layout leaves unused."""
    failed: str = ""
    """Why it has no result, so that it does not meet the goal; empty if it has one."""


class UsedUpError(Exception):
    """The runs or the time that were allowed are used up."""


class Search:
    """What is known so far: which points of the grid are legal, and what was simulated."""

    def __init__(
        self,
        scenario: Scenario,
        goal: Goal,
        vary: Vary,
        max_runs: float,
        until_s: float,
        executor: Executor | None,
        progress: Callable[[Tried], None] | None,
    ) -> None:
        self.scenario, self.goal, self.vary = scenario, goal, vary
        self.max_runs, self.until_s = max_runs, until_s
        self.executor, self.progress = executor, progress
        self.worlds: dict[int, World | str] = {}
        self.tried: dict[int, Tried] = {}
        self.notes: dict[int, Notes] = {}
        self.sense: Sense = 1

    # What is legal ---------------------------------------------------------------------------

    def world(self, point: int) -> World | None:
        """Return the world at a point of the grid, None if there is none."""
        if point not in self.worlds:
            try:
                scenario = self._at(point)
                planned = plan_services(scenario)
                self.worlds[point] = compile_world(scenario, planned)
            except (ScenarioError, InfeasibleError) as error:
                self.worlds[point] = _reason(error)
        found = self.worlds[point]
        return None if isinstance(found, str) else found

    def _at(self, point: int) -> Scenario:
        return self.scenario.with_(self.vary.changes(point), origin="--vary")

    def first_legal(self, points: Iterable[int]) -> int | None:
        """Return the first of some points that is legal."""
        for point in itertools.islice(points, MOST_LOOKS):
            if self.world(point) is not None:
                return point
        return None

    def next_legal(self, point: int, sign: int) -> int | None:
        """Return the next legal point above or below one."""
        end = self.vary.last if sign > 0 else self.vary.first
        return self.first_legal(range(point + sign, end + sign, sign))

    def around(self, point: int, low: int, high: int) -> int | None:
        """Return the legal point nearest to one, from `low` to `high`."""
        point = min(max(point, low), high)
        reach = max(point - low, high - point)
        near = (point + side * away for away in range(reach + 1) for side in (-1, 1))
        return self.first_legal(p for p in near if low <= p <= high)

    # What is expected, and what is simulated ----------------------------------------------------

    def prospect(self, point: int) -> float:
        """Return what the closed form expects at a point, more being better; nan if unknown."""
        world, quantity = self._known(point), self.goal.quantity
        theory = expect(world)
        found = math.nan
        if self.goal.is_about_time:
            found = self.days(point) if theory is None else theory.days_to_train
        elif theory is not None and quantity in ("ettr", "goodput_frac"):
            found = theory.ettr
        elif theory is not None and quantity == "available_frac":
            found = 1 - theory.blocked_frac
        return self._sign * found

    def days(self, point: int) -> float:
        """Return about the time to train at a point, with a spare for every node. [d]"""
        world = self._known(point)
        walls_s = [
            min((job.expected_wall_s(p) for p in job.pools_under(world.policy)), default=math.nan)
            for job in world.jobs
        ]
        return float(max(walls_s)) / DAY_S

    def _known(self, point: int) -> World:
        world = self.world(point)
        assert world is not None  # only legal points are asked about
        return world

    @property
    def _sign(self) -> int:
        """1 if more of what is expected is better, else -1; of a deadline that is a time."""
        return 1 if self.goal.wants_more and not self.goal.is_deadline else -1

    def _limit(self) -> float:
        """Return the limit of the goal for `prospect`."""
        if self.goal.is_deadline:
            due_s = [job.deadline for job in self.scenario.jobs.values() if job.deadline]
            return -float(min(due_s)) / DAY_S
        limit = self.goal.inner_limit if self.goal.is_probability else self.goal.limit
        return self._sign * limit

    def play(self, point: int) -> Tried:
        """Return what a legal point amounts to, simulated once."""
        if point in self.tried:
            return self.tried[point]
        n_runs = self.scenario.simulate.runs
        is_over = (len(self.tried) + 1) * n_runs > self.max_runs or time.monotonic() > self.until_s
        if is_over:
            raise UsedUpError
        try:
            result = run(self._at(point), executor=self.executor)
        except InfeasibleError as error:  # only seen by playing: the work is never done
            found, self.notes[point] = self._failed(point, error), ()
        else:
            found, self.notes[point] = self._measured(point, result), result.notes
        self.tried[point] = found
        if self.progress is not None:
            self.progress(found)
        return found

    def _measured(self, point: int, result: Result) -> Tried:
        (case,) = result.cases.values()
        values = case.values.get(self.goal.quantity)
        if values is None or np.isnan(values).all():
            message = f"the scenario has no {self.goal.quantity}; see computeplan check"
            raise ScenarioError.of(message, file=f"--until {self.goal.text!r}")
        values = self.goal.of_all_work(values, case.values["n_unfinished"])
        measured = self.goal.measure(values)
        is_met = self.goal.is_met_by(measured.value)
        ends = (self.goal.is_met_by(measured.low), self.goal.is_met_by(measured.high))
        return Tried(
            count=float(self.vary.count(point)),
            changes=self.vary.changes(point),
            value=measured.value,
            low=measured.low,
            high=measured.high,
            is_met=is_met,
            is_sure=ends == (is_met, is_met),
            values=values,
            notes=tuple(note for note in result.notes if note.code in ABOUT_THE_VALUE),
        )

    def _failed(self, point: int, error: InfeasibleError) -> Tried:
        none = np.full(self.scenario.simulate.runs, math.nan)
        return Tried(
            float(self.vary.count(point)),
            self.vary.changes(point),
            *(math.nan, math.nan, math.nan),
            is_met=False,
            is_sure=True,
            values=none,
            failed=_reason(error),
        )

    def is_met(self, point: int) -> bool:
        """Return whether the runs of a point meet the goal."""
        return self.play(point).is_met

    # The search ---------------------------------------------------------------------------------

    def run(self, sense: Sense | None) -> None:
        """Simulate what it takes to know the answer; `sense` says whether more helps."""
        guess = self._guess()
        self.sense = sense or self._sense(guess)
        worse, met = self._crossing(self.is_met, guess)
        if met is None:
            met = self._peak()
            if met is None:
                return
            worse = self._nearest_worse(met)
        met = self._confirm(met, worse)
        above = self.next_legal(met, self.sense)
        if above is not None:
            self.play(above)
        self._sure(met)

    def _guess(self) -> int:
        """Return a legal point to begin with: where the closed form meets the goal, or near now."""
        vary = self.vary
        present = self.around(vary.nearest(vary.present), vary.first, vary.last)
        if present is None:
            reasons = {why for why in self.worlds.values() if isinstance(why, str)}
            raise ScenarioError.of(
                f"no value makes a valid scenario near {float(vary.present):g}: {min(reasons)}",
                vary.moved[0].path,
                "--vary",
            )
        if math.isnan(self.prospect(present)):
            return present
        near = [self.around(p, vary.first, vary.last) for p in (present // 2, 2 * present)]
        less, more = (math.nan if p is None else self.prospect(p) for p in near)
        self.sense = -1 if more < less else 1
        limit = self._limit()
        worse, met = self._crossing(lambda p: self.prospect(p) >= limit, present)
        return met if met is not None else worse if worse is not None else present

    def _sense(self, guess: int) -> Sense:
        """Return 1 if more of the count helps, -1 if less does, by playing half and twice."""
        ends = self.vary.first, self.vary.last
        half, twice = self.around(guess // 2, *ends), self.around(2 * guess, *ends)
        assert half is not None
        assert twice is not None
        less, more = (merit(self.play(point), self.goal) for point in (half, twice))
        return -1 if more < less else 1

    def _crossing(self, is_met: Callable[[int], bool], start: int) -> tuple[int | None, int | None]:
        """Return neighbouring legal points, one that does not meet and one that does.

        Strides double from `start` to where it changes, and are halved. None for one that the range
        does not have; the other is then the last legal point.
        """
        begins_met = is_met(start)
        sign = -self.sense if begins_met else self.sense
        end = self.vary.last if sign > 0 else self.vary.first
        here, stride = start, max(1, abs(start) // 16)
        while True:
            target = min(here + stride, end) if sign > 0 else max(here - stride, end)
            near, far = sorted((here + sign, end))
            there = self.around(target, near, far) if here != end else None
            if there is None:
                return (None, here) if begins_met else (here, None)
            if is_met(there) != begins_met:
                break
            here, stride = there, 2 * stride
        worse, met = (there, here) if begins_met else (here, there)
        while (middle := self._between(worse, met)) is not None:
            worse, met = (worse, middle) if is_met(middle) else (middle, met)
        return worse, met

    def _between(self, one: int, other: int) -> int | None:
        low, high = sorted((one, other))
        return self.around((low + high) // 2, low + 1, high - 1) if high - low > 1 else None

    def _peak(self) -> int | None:
        """Return a point that meets the goal between points that do not, or None."""
        while True:
            points = sorted(self.tried)
            best = max(points, key=lambda p: merit(self.tried[p], self.goal))
            if self.tried[best].is_met:
                return best
            i = points.index(best)
            beside = [*points[max(i - 1, 0) : i], *points[i + 1 : i + 2]]
            new = [p for other in beside if (p := self._between(best, other)) is not None]
            if not new:
                return None
            for point in new:
                self.play(point)

    def _nearest_worse(self, met: int) -> int | None:
        worse = [p for p in self.tried if self.sense * (p - met) < 0 and not self.tried[p].is_met]
        return max(worse, key=lambda p: self.sense * p, default=None)

    def _confirm(self, met: int, worse: int | None) -> int:
        """Return the answer, once no legal value near it on the worse side meets the goal."""
        while True:
            worse = self._nearest_worse(met) if worse is None else worse
            if worse is None:
                return met
            while (middle := self._between(worse, met)) is not None:
                worse, met = (worse, middle) if self.is_met(middle) else (middle, met)
            others = [p for p in self._doubtful(worse) if self.is_met(p)]
            if not others:
                return met
            met, worse = min(others, key=lambda p: self.sense * p), None
            below = self.next_legal(met, -self.sense)
            if below is None:
                return met
            if not self.is_met(below):
                worse = below
            else:
                met = below

    def _doubtful(self, worse: int) -> list[int]:
        """Return legal points beyond `worse` that may meet the goal after all.

        The next one; and of a time, those whose speed promises no less than that of `worse`, as far
        as it can be trusted: as much as it is off differently for the points that were played.
        """
        point = self.next_legal(worse, -self.sense)
        found = [] if point is None else [point]
        if not self.goal.is_about_time:
            return found
        due = self._sign * self.days(worse) - self.days(worse) * self._unlike(worse)
        near: list[tuple[float, int]] = []
        while point is not None and len(near) < MOST_BELOW:
            near.append((self._sign * self.days(point), point))
            point = self.next_legal(point, -self.sense)
        likely = sorted((promise, p) for promise, p in near if promise >= due)
        return [*found, *(p for _, p in likely[-MOST_DOUBTFUL:])]

    def _unlike(self, point: int) -> float:
        """Return by how much played over promised differs among the points played near one."""
        if self.goal.is_deadline:  # a share of jobs is not in proportion to a time
            return 0.0
        near = sorted(self.tried, key=lambda p: abs(p - point))[:N_NEAR]
        ratios = [self.goal.deciding(self.tried[p].values) / self.days(p) for p in near]
        known = [ratio for ratio in ratios if math.isfinite(ratio) and ratio > 0]
        return max(known) / min(known) - 1 if known else 0.0

    def _sure(self, met: int) -> None:
        """Simulate what it takes to know which values the interval cannot tell from the goal."""
        if not self.tried[met].is_sure:
            self._crossing(lambda p: self.play(p).is_sure and self.is_met(p), met)
        worse = self._nearest_worse(met)
        if worse is not None and not self.tried[worse].is_sure:
            self._crossing(lambda p: not self.play(p).is_sure or self.is_met(p), worse)


def merit(one: Tried, goal: Goal) -> tuple[float, float]:
    """Return how good a value is: by what the goal asks for, then by what decides that."""
    decides = goal.deciding(one.values)
    signed = (
        one.value if goal.at_least else -one.value,
        decides if goal.wants_more else -decides,
    )
    first, second = (-math.inf if math.isnan(x) else x for x in signed)
    return first, second


def _reason(error: ScenarioError | InfeasibleError) -> str:
    """Return why a value is not legal, in one line."""
    if isinstance(error, ScenarioError):
        first = error.problems[0]
        return f"{first.path}: {first.message}" if first.path else first.message
    return " ".join(str(error).split())
