"""The layouts of a chip that serve a load: one for each role of its instances.

Engines and precisions of which more is known go before faster ones. Where prefill and decode are
disaggregated, both have one engine and one precision: the cache goes from one to the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from computeplan.engines.serve.largest_rate import N_REQUESTS
from computeplan.fleet.layouts import MOST_LAYOUTS, NoneHolds, candidates, engines_on
from computeplan.fleet.search import Search, Simulated, best_layout, tail_of
from computeplan.notes import Note, note, quoted
from computeplan.planner.serving_question import Question, instances_of
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.serving import OWN_TABLE, engines_of

__all__ = ["Searches", "chips_of", "levels_of", "search_pairs", "searches_of"]

Searches = tuple[Search, ...]
"""Of each role, in the order of the question's."""
Pairs = Sequence[tuple[str, str]]


def chips_of(question: Question, chip: Chip, searches: Searches) -> int:
    """Return the chips of a fleet whose layouts are found, spares included.

    Parameters
    ----------
    question : Question
    chip : Chip
    searches : tuple of Search
    """
    return sum(_size_of(question, chip, one.best) for one in searches)


def _size_of(question: Question, chip: Chip, one: Simulated) -> int:
    return _size(question, chip, one.rate.per_s, one.candidate.n_chips)


def _size(question: Question, chip: Chip, rate: float, n_chips: int) -> int:
    return sum(instances_of(question, chip, rate, n_chips)) * n_chips


def levels_of(question: Question, chip: Chip) -> list[list[tuple[str, str]]]:
    """Return engines with precisions in the order in which they are tried, a level at a time.

    By what is known of them; eight bits that are whole numbers last, on chips that multiply no
    others in eight bits: answers change.

    Parameters
    ----------
    question : Question
    chip : Chip

    Raises
    ------
    ValueError
        If the engine does not run on the chip.
    """
    model, engine, precision = question.model, question.engine, question.precision
    levels = engines_on(chip, model, engine=engine, precision=precision)
    has = {name for name, figure in chip.peak_dense.items() if figure.value is not None}
    if precision is None and "int8" in has and "fp8" not in has:
        levels += engines_on(chip, model, engine=engine, precision="int8")
    return levels


def searches_of(
    question: Question,
    chip: Chip,
    *,
    n_requests: int = N_REQUESTS,
    progress: Callable[[str], None] | None = None,
) -> Searches | Note:
    """Return the best layout of a chip for each role, or why it has none.

    Parameters
    ----------
    question : Question
    chip : Chip
    n_requests : int, optional
        That decide about a rate.
    progress : callable, optional
        Called with the layout that is simulated.
    """
    if not engines_of(chip.kin):
        return note("serve_unserved", chip=chip.name, how=OWN_TABLE)
    try:
        levels = levels_of(question, chip)
    except ValueError as error:
        return quoted([str(error)])[0]
    first: Note | None = None
    for pairs in levels:
        try:
            found = search_pairs(question, chip, pairs, n_requests=n_requests, progress=progress)
        except NoneHolds as error:
            first = first or error.why
        except ValueError as error:
            first = first or quoted([str(error)])[0]
        else:
            if found is not None:
                return found
    return first or note("serve_no_engine", chip=chip.name)


def search_pairs(
    question: Question,
    chip: Chip,
    pairs: Pairs,
    *,
    below: float = math.inf,
    most: int = MOST_LAYOUTS,
    n_requests: int = N_REQUESTS,
    progress: Callable[[str], None] | None = None,
) -> Searches | None:
    """Return the best layouts of some engines and precisions; None if no fleet is small enough.

    Parameters
    ----------
    question : Question
    chip : Chip
    pairs : sequence of (engine, precision)
    below : float, optional
        Chips that the fleet must stay below.
    most : int, optional
        Layouts whose steps are tabulated.
    n_requests : int, optional
        That decide about a rate.
    progress : callable, optional
        Called with the layout that is simulated.

    Raises
    ------
    NoneHolds
        If no layout of them holds the limits.
    ValueError
        If a figure of the chip is missing.
    """
    search = partial(_search, question, chip, most=most, n_requests=n_requests, progress=progress)
    if len(question.roles) == 1:
        return search(pairs, below=below)
    best: Searches | None = None
    why: NoneHolds | ValueError | None = None
    for pair in pairs:
        try:
            found = search([pair], below=below)
        except (NoneHolds, ValueError) as error:
            why = why or error
            continue
        if found is not None and (n_chips := chips_of(question, chip, found)) < below:
            best, below = found, n_chips
    if best is None and why is not None:
        raise why
    return best


def _search(
    question: Question,
    chip: Chip,
    pairs: Pairs,
    *,
    below: float,
    most: int,
    n_requests: int,
    progress: Callable[[str], None] | None,
) -> Searches | None:
    """Return the best layout of each role over all pairs; None if their bounds are too large."""
    size = partial(_size, question, chip)
    asked = [question.in_role(role) for role in question.roles]
    found = [
        candidates(chip, one.model, one.load, one.slo, pairs, one.settings, most) for one in asked
    ]
    least = [min(size(one.bound_per_s, one.n_chips) for one in some) for some, _ in found]
    best = list[Search]()
    for one, (some, n_layouts), mine in zip(asked, found, least, strict=True):
        room = below - (sum(least) - mine)
        may = [each for each in some if size(each.bound_per_s, each.n_chips) < room]
        if not may:
            return None
        search = best_layout(
            may,
            n_layouts,
            one.load,
            one.slo,
            size,
            n_shown=one.n_shown,
            seed=one.seed,
            n_requests=n_requests,
            progress=progress,
        )
        if search is None:
            raise NoneHolds(tail_of(chip.name, may[0], one.load, [one.slo], one.seed))
        best.append(search)
    return tuple(best)
