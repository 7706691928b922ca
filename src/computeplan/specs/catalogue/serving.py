"""What serving rests on besides a chip's data sheet: what engines do, and what they reach.

``serving_engines.yaml`` has the usual settings of engines, ``serving_shares.yaml`` the shares of
bandwidth and peak that are fitted to published rows. An engine on a chip at a precision takes its
own shares where it has rows, else those of the same engine and precision on other chips, else of
the same engine, else of an engine that is like it, else of all: each further step has a wider band.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

from pydantic import Field

from computeplan.specs.documents.document import DATA, load_document
from computeplan.specs.fields import Frozen

__all__ = [
    "KNOWN",
    "OTHER",
    "OWN_TABLE",
    "Borrowed",
    "EngineEntry",
    "HostEntry",
    "Known",
    "PrecisionEntry",
    "ServingTables",
    "Share",
    "ShareEntry",
    "engine_of",
    "engines_of",
    "serving_tables",
    "share_of",
]

Known = Literal["chip", "precision", "engine", "none"]
KNOWN: tuple[Known, ...] = ("chip", "precision", "engine", "none")
"""What rows were fitted of: of the engine at this precision on this chip, at this precision on
other chips, of the engine at other precisions, of other engines."""

OTHER = "other"
"""The entry of an engine of which nothing is known; with it, memory is that of the usual ones."""
OWN_TABLE = "pools: {POOL: {engine: own, precision: fp8, layout: tp8, shares: {table: step_s.csv}}}"
"""How a service states measured times of steps, for an engine of any name."""


class EngineEntry(Frozen):
    """What an engine does on chips of some makers."""

    names: list[str]
    """What people call it."""
    makers: list[str]
    """Of chips on which it is documented to run; none for makers that have no entry."""
    memory_frac: float
    of_free: bool
    grows: bool
    max_batch: int
    chunk: float
    layer_s: float
    expert_layer_s: float
    call_s: float
    like: str
    source: str
    where: str
    """Which pages say that it runs there."""
    not_on: list[str] = Field(default_factory=list)
    """Chips of these makers on which it does not."""
    host_ranks: float = 8.0
    two_batches: bool = False
    once_a_server: bool = False


class PrecisionEntry(Frozen):
    """What weights of a precision are."""

    weight_bytes: float
    products: list[str]


class Share(Frozen):
    """What is reached of bandwidth and peak, and what that rests on."""

    memory_frac: float
    peak_frac: float
    rows: int
    models: int
    error: float
    """Mean absolute relative error on these rows."""


class ShareEntry(Share):
    """The same, on all chips and on those with rows enough."""

    chips: dict[str, Share] = Field(default_factory=dict)


class HostEntry(Frozen):
    """What the host of an engine takes."""

    start_s: float
    sequence_s: float
    rows: int


class ServingTables(Frozen):
    """Both files."""

    engines: dict[str, EngineEntry]
    unserved: dict[str, str]
    """Makers and chips on which no engine runs, with what was looked up."""
    precisions: dict[str, PrecisionEntry]
    experts_only: list[str]
    mxfp4: list[str]
    hosts: dict[str, HostEntry]
    shares: dict[str, ShareEntry]
    """By engine, precision and ``dense`` or ``experts``; a precision ``any`` is all of them."""
    spread: dict[str, dict[Known, float]]
    """By ``dense`` or ``experts`` and what is known: standard deviation of the logarithm of
    predicted over measured, out of sample."""


class Borrowed(NamedTuple):
    """A share, and whose it is."""

    share: Share
    known: Known
    of: str
    """The entry it is taken from."""
    spread: float
    """Standard deviation of the logarithm of a prediction over the truth."""


@cache
def serving_tables() -> ServingTables:
    """Return the tables of the catalogue."""
    engines, shares = (
        load_document(DATA / f"{name}.yaml", f"catalogue {name}.yaml").data
        for name in ("serving_engines", "serving_shares")
    )
    return ServingTables.model_validate({**engines, **shares})


def engine_of(name: str, chip: str) -> str:
    """Return the entry of an engine on a chip.

    Parameters
    ----------
    name : str
        An entry's name, or what people call it, in any case.
    chip : str
        Full name.

    Raises
    ------
    ValueError
        If no such engine is known, or it does not run on chips of that maker.

    Examples
    --------
    >>> engine_of("vLLM", "nvidia/h200"), engine_of("vllm", "huawei/ascend-910c")
    ('vllm', 'vllm-ascend')
    """
    entries, runs = serving_tables().engines, engines_of(chip)
    wanted = name.casefold()
    for key in runs:
        if _is_called(wanted, key):
            return key
    if not runs:
        raise ValueError(
            f"no engine of the catalogue is documented to run on {chip}; a service can state"
            f" measured times of its steps, for an engine of any name: {OWN_TABLE}"
        )
    allowed = ", ".join(dict.fromkeys(known for key in runs for known in entries[key].names))
    if any(_is_called(wanted, key) for key in entries):
        raise ValueError(f"engine {name!r} does not run on {chip}; what does: {allowed}")
    raise ValueError(f"no engine {name!r}; on {chip} there are {allowed}")


def engines_of(chip: str) -> list[str]:
    """Return the entries of the engines that run on a chip; none where none is documented to.

    Parameters
    ----------
    chip : str
        Full name.

    Examples
    --------
    >>> engines_of("amd/mi300x"), engines_of("amd/mi250x"), engines_of("groq/lpu-v1")
    (['vllm-rocm', 'sglang-rocm'], ['vllm-rocm'], [])
    """
    tables, name = serving_tables(), chip.casefold()
    maker = name.partition("/")[0]
    if maker in tables.unserved or name in tables.unserved:
        return []
    of_maker = {key: entry for key, entry in tables.engines.items() if maker in entry.makers}
    return [key for key, entry in of_maker.items() if name not in entry.not_on] or (
        [] if of_maker else [OTHER]
    )


def _is_called(wanted: str, key: str) -> bool:
    """Return whether a name in small letters is that of an entry."""
    return wanted in [key, *(name.casefold() for name in serving_tables().engines[key].names)]


def share_of(
    engine: str, precision: str, chip: str, *, experts: bool, unseen: frozenset[str] = frozenset()
) -> Borrowed:
    """Return what an engine reaches on a chip, its own or borrowed.

    Parameters
    ----------
    engine : str
        An entry of the table.
    precision : str
        Of the weights.
    chip : str
        Full name.
    experts : bool
        Whether the model is a mixture of experts.
    unseen : frozenset of str
        What to take for unknown though rows of it were fitted: ``chip``, ``precision``.
    """
    tables = serving_tables()
    kind = "experts" if experts else "dense"
    spread = tables.spread[kind]
    exact = f"{engine} {precision} {kind}"
    entry = tables.shares.get(exact)
    if entry is not None and "precision" not in unseen:
        own = entry.chips.get(chip)
        if own is not None and "chip" not in unseen:
            return Borrowed(own, "chip", f"{exact} on {chip}", spread["chip"])
        return Borrowed(entry, "precision", exact, spread["precision"])
    line = [engine]
    while engine in tables.engines and tables.engines[engine].like not in line:
        engine = tables.engines[engine].like
        line.append(engine)
    for place, name in enumerate(line):
        for key in (f"{name} {precision} {kind}", f"{name} any {kind}"):
            if key in tables.shares and not (place == 0 and key == exact):
                known: Known = "engine" if place == 0 else "none"
                return Borrowed(tables.shares[key], known, key, spread[known])
    key = f"all any {kind}"
    return Borrowed(tables.shares[key], "none", key, spread["none"])
