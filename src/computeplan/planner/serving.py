"""How many chips of which kind serve a load within limits of latency, and what that takes.

Each chip is asked by itself: the layouts whose fleet is smallest, the fleet for the busiest minute
with its spares, times at that minute, energy, money and carbon of the day. Chips are then compared
by what is asked for. Kinds are mixed where there are not enough of one, and where one may take in
prompts and another give answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from computeplan.errors import ScenarioError
from computeplan.fleet.layouts import NoneHolds
from computeplan.fleet.mix import Kind, Mix, cheapest_mix
from computeplan.notes import Note
from computeplan.planner.serving_fleet import Fleet, Other, SizedRole, fleet, known_of
from computeplan.planner.serving_question import By, Question
from computeplan.planner.serving_search import chips_of, levels_of, search_pairs, searches_of
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.lookup import find_chip

__all__ = ["Refused", "ServingPlan", "plan_serving"]

N_OTHERS = 1000
"""Requests that decide about engines that are shown beside the one chosen."""
OTHER_LAYOUTS = 4
"""Of them that are tabulated."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A chip without a fleet."""

    chip: str
    sheet: Chip
    """What is known of the chip."""
    why: Note


@dataclass(frozen=True, slots=True, eq=False)
class ServingPlan:
    """The fleets of all chips that were asked of."""

    question: Question
    chips: tuple[Fleet | Refused, ...]
    """In the order asked."""
    by: By
    """What they are compared by: chips where what was asked for is not known of all."""
    mix: Mix | None
    """Where kinds are limited in number, or roles may be on unlike ones; of one kind if that is
    best."""

    @property
    def fleets(self) -> tuple[Fleet, ...]:
        """Of the chips that hold the load."""
        return tuple(one for one in self.chips if isinstance(one, Fleet))

    @property
    def best(self) -> Fleet | None:
        """The one that is best by what is asked; None where no kind holds the load by itself."""
        enough = (one for one in self.fleets if one.most is None or one.n_chips <= one.most)
        return min(enough, key=lambda one: one.merit(self.by), default=None)


def plan_serving(
    question: Question,
    chips: Sequence[tuple[str, int | None]],
    *,
    progress: Callable[[str, str], None] | None = None,
) -> ServingPlan:
    """Return the fleets that serve a load within its limits, chip by chip.

    Parameters
    ----------
    question : Question
    chips : sequence of (name, most)
        Names of the catalogue, or files, and how many of each there are; None without limit.
    progress : callable, optional
        Called with the chip and the layout that is simulated.

    Raises
    ------
    ScenarioError
        If a chip is not known.
    """
    found = list[Fleet | Refused]()
    for name, most in chips:
        chip = _chip(name)
        if chip.name in {one.chip for one in found}:
            raise ScenarioError.of(f"--chip: {chip.name} is named twice; name each kind once")
        told = None if progress is None else partial(progress, chip.name)
        found.append(_plan_chip(question, chip, most, told))
    fleets = [one for one in found if isinstance(one, Fleet)]
    by = question.by
    if any(math.isnan(one.merit(by)) for one in fleets):
        by = "chips"
    mix = None
    if any(most is not None for _, most in chips) or (len(question.roles) > 1 < len(fleets)):
        kinds = [_kind(one, role, by) for one in fleets for role in one.roles]
        mix = cheapest_mix(kinds, question.peak_per_s, question.reliability)
    return ServingPlan(question, tuple(found), by, mix)


def _kind(one: Fleet, role: SizedRole, by: By) -> Kind:
    """Return the instances of a role, as a mixed fleet may have them."""
    return Kind(
        one.chip,
        role.best.n_chips,
        one.node_chips,
        role.search.best.rate.per_s * one.question.derating,
        role.merit(by) / role.n_chips,
        one.most,
        role.role,
        "" if len(one.roles) == 1 else f"{one.engine} {one.precision}",
    )


def _chip(name: str) -> Chip:
    try:
        return find_chip(name)[0]
    except ScenarioError:
        raise
    except ValueError as error:
        raise ScenarioError.of(f"--chip: {error}") from None


def _plan_chip(
    question: Question, chip: Chip, most: int | None, progress: Callable[[str], None] | None
) -> Fleet | Refused:
    """Return the fleet of one chip, or why there is none."""
    found = searches_of(question, chip, progress=progress)
    if isinstance(found, Note):
        return Refused(chip.name, chip, found)
    one = fleet(question, chip, found, most)
    return replace(one, others=_others(one, progress))


def _others(one: Fleet, progress: Callable[[str], None] | None) -> tuple[Other, ...]:
    """Return smaller fleets, of engines of which less is known than of a fleet's."""
    question, chip, n_chips = replace(one.question, n_shown=0), one.sheet, one.n_chips
    levels = levels_of(question, chip)
    mine = (one.engine, one.precision)
    less = levels[next(i for i, pairs in enumerate(levels) if mine in pairs) + 1 :]
    found = []
    for pairs in less:
        try:
            searches = search_pairs(
                question,
                chip,
                pairs,
                below=n_chips,
                most=OTHER_LAYOUTS,
                n_requests=N_OTHERS,
                progress=progress,
            )
        except (NoneHolds, ValueError):
            continue
        if searches is None or (n := chips_of(question, chip, searches)) >= n_chips:
            continue
        layouts = [each.best.candidate for each in searches]
        other = layouts[0]
        named = " + ".join(each.layout for each in layouts)
        found.append(Other(other.compiled.engine, other.precision, named, known_of(layouts), n))
    return tuple(found)
