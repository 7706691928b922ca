"""What an accelerator can do: peaks, memory, links, power; every figure with its source.

A figure of the catalogue is ``{value: 989.4 TFLOP/s, source: key, confidence: datasheet}`` and the
key stands under ``sources`` in the same file. Who adds a chip of their own may write just
``bf16: 400 TFLOP/s``; the figure then counts as theirs. A figure that nobody publishes is null and
says why; one that was recalled and not read is an estimate, and is shown as one.

Long because a chip has many figures, each with its unit and what people write instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from computeplan.specs.fields import (
    MAX_COUNT,
    Frozen,
    HowWritten,
    instead,
    quantity_reader,
    refuse,
)
from computeplan.specs.money import MOST_PER_CHIP, Money, money_reader
from computeplan.units import parse_unit_of

__all__ = [
    "Availability",
    "Chip",
    "Confidence",
    "Figure",
    "Memory",
    "NumberFigure",
    "PowerFigures",
    "Precision",
    "Price",
    "ScaleOut",
    "ScaleUp",
    "Server",
    "Source",
    "check_sources",
    "figures_in",
]

Value = TypeVar("Value", float, int, str, Money)

Confidence = Literal["datasheet", "paper", "benchmark", "press", "recalled", "user"]
Precision = Literal[
    "fp64", "fp64_tensor", "fp64_matrix", "fp32", "tf32", "fp16", "bf16", "fp8", "int8", "fp4"
]
Availability = Literal["banned", "licensed", "domestic", "cloud", "cancelled", "end of life"]

_MEASURED_UNITS = ("FLOP/s", "B/s", "B", "W", "s", "token/s")


class Source(Frozen):
    """A public document that figures come from."""

    title: str
    """What it is called."""
    url: str | None
    """Its address, or null if it has none that could be confirmed."""
    kind: Literal["datasheet", "paper", "benchmark", "press", "official", "data"]
    """What kind of document it is."""
    recalled: bool = False
    """Whether the address is recalled and was not opened."""


class Figure(Frozen, Generic[Value]):
    """A number or a word, and how far it can be trusted."""

    value: Value | None
    """In SI, or null if there is no usable public figure; the note then says why."""
    source: str | None = "scenario"
    """A key under sources; null for a figure that is recalled."""
    confidence: Confidence = "user"
    """What kind of evidence it is; a recalled figure is an estimate."""
    note: str | None = None
    """What to know before comparing it."""
    via: str | None = None
    """A key under sources: where the source's figure was actually read."""
    text: str = Field(default="", exclude=True)
    """The value as written; filled in by the reader."""

    @property
    def is_estimate(self) -> bool:
        """Whether the figure was recalled and not read."""
        return self.value is not None and self.confidence == "recalled"


def _figure_reader(read: Callable[[Any], object]) -> Callable[[object], object]:
    """Return the validator that accepts a full figure or its bare value."""

    def validator(given: object) -> object:
        if isinstance(given, Figure):
            return given
        figure = dict(given) if isinstance(given, dict) else {"value": given}
        if "value" not in figure:
            refuse("value is missing: a figure is {value: ..., source: ..., confidence: ...}")
        if figure["value"] is None:
            if not figure.get("note"):
                refuse("a value of null needs a note that says why")
            return figure
        written = figure["value"]
        text = f"{written:.6g}" if isinstance(written, float) else str(written)
        return {**figure, "text": text, "value": read(written)}

    return validator


def _schema(example: object) -> WithJsonSchema:
    bare = {"type": "string" if isinstance(example, str) else "number", "examples": [example]}
    full = {"type": "object", "required": ["value"], "properties": {"value": {}}}
    return WithJsonSchema({"anyOf": [bare, full]})


def _read_number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(f"must be a plain number, got {value!r}")
    if not 0 < value < 1e300:
        refuse(f"must be finite and > 0, got {str(value)[:40]}")
    return value


def _read_count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_COUNT:
        refuse(f"must be a whole number from 1 to {MAX_COUNT}, got {value!r}")
    return value


def _read_word(value: Any) -> str:
    return value if isinstance(value, str) and value else refuse(f"must be a word, got {value!r}")


def _read_measured(value: Any) -> float:
    if not isinstance(value, str):
        return _read_number(value)
    number, _ = parse_unit_of(value, _MEASURED_UNITS)
    return number if number > 0 else refuse(f"must be > 0, got {value!r}")


def _quantity(unit: str, example: str) -> tuple[BeforeValidator, WithJsonSchema, HowWritten]:
    read = BeforeValidator(_figure_reader(quantity_reader(unit, example)))
    return read, _schema(example), HowWritten(unit, example)


_number = BeforeValidator(_figure_reader(_read_number))
_count = BeforeValidator(_figure_reader(_read_count))
_word = BeforeValidator(_figure_reader(_read_word))

Peak = Annotated[Figure[float], *_quantity("FLOP/s", "989 TFLOP/s")]
Capacity = Annotated[Figure[float], *_quantity("B", "80 GB")]
Rate = Annotated[Figure[float], *_quantity("B/s", "450 GB/s")]
Watts = Annotated[Figure[float], *_quantity("W", "700 W")]
Mass = Annotated[Figure[float], *_quantity("kg", "164 kg")]
Amount = Annotated[
    Figure[Money],
    BeforeValidator(
        _figure_reader(money_reader("", "30000 USD", "200000 CNY", lower=0.0, most=MOST_PER_CHIP))
    ),
    _schema("30000 USD"),
    HowWritten("USD", "30000 USD"),
]
NumberFigure = Annotated[Figure[float], _number, _schema(70.6e9), HowWritten("", "70.6e9")]
CountFigure = Annotated[Figure[int], _count, _schema(8), HowWritten("", "8")]
Word = Annotated[Figure[str], _word, _schema("HBM3"), HowWritten("", "HBM3")]
Measured = Annotated[
    Figure[float], BeforeValidator(_figure_reader(_read_measured)), _schema("1 GB/s")
]


class Memory(Frozen):
    """The memory of one chip."""

    tried = instead(
        ("size amount total", "write capacity: 80 GB"), ("speed", "write bandwidth: 2 TB/s")
    )

    capacity: Capacity | None = None
    """Usable capacity."""
    bandwidth: Rate | None = None
    """Peak bandwidth."""
    type: Word | None = None
    """The kind of memory."""


class ScaleUp(Frozen):
    """The links between chips of one server or rack."""

    name: Word | None = None
    """The vendor's name of the link."""
    bandwidth: Rate | None = None
    """One direction, summed over the links of a chip."""
    pair_bandwidth: Rate | None = None
    """One direction between one pair of chips, where a mesh gives a pair less than the sum."""
    domain: CountFigure | None = None
    """Chips that reach one another over these links."""
    topology: Word | None = None
    """How they are joined."""


class ScaleOut(Frozen):
    """The network between servers."""

    bandwidth: Rate | None = None
    """One direction, per chip."""


class PowerFigures(Frozen):
    """Power of one chip: its limit, and what it draws by what it does.

    A board limit is not a draw. What is left out is a share of the limit, an estimate.
    """

    tdp: Watts | None = None
    """Board limit."""
    compute: Watts | None = None
    """In large products, or under a burn test."""
    comm: Watts | None = None
    """In an exchange between chips that nothing hides."""
    load: Watts | None = None
    """Saving or loading."""
    context_adds: Watts | None = None
    """What an open context without work adds to idle."""
    idle: Watts | None = None
    """Without a context."""


class Server(Frozen):
    """The usual server of the chip, or its rack where the rack is the unit."""

    name: Word | None = None
    """The product."""
    chips: CountFigure
    """Chips in it."""
    max_power: Watts | None = None
    """Rated input of all of it."""
    supernode_power: Watts | None = None
    """Power of the largest scale-up system."""


class Price(Frozen):
    """What one chip was reported to cost."""

    low: Amount | None = None
    """Lower end."""
    high: Amount | None = None
    """Upper end."""

    @property
    def middle(self) -> Money | None:
        """The middle of the ends, or the only one; None without a number."""
        ends = [end.value for end in (self.low, self.high) if end and end.value is not None]
        if not ends or any(end.currency != ends[0].currency for end in ends):
            return None
        return Money(sum(end.amount for end in ends) / len(ends), ends[0].currency)


class Chip(Frozen):
    """An accelerator as software buys it: one package, card or module."""

    tried = instead(
        ("tdp watts power_w max_power idle", "write power: {tdp: 700 W}"),
        (
            "flops peak peak_flops tflops bf16 fp16 fp8 fp32 tf32 performance",
            "write peak_dense: {bf16: 400 TFLOP/s}, without sparsity",
        ),
        (
            "hbm vram memory_capacity memory_size memory_bandwidth capacity",
            "write memory: {capacity: 80 GB, bandwidth: 2 TB/s}",
        ),
        (
            "nvlink interconnect link links bandwidth scaleup domain",
            "write scale_up: {bandwidth: 400 GB/s, domain: 8}, in one direction",
        ),
        ("nic network scaleout", "write scale_out: {bandwidth: 400 Gbit/s}, in one direction"),
        (
            "chips_per_node gpus_per_node chips_per_server node",
            "write server: {chips: 8}, or chips_per_node in the pool",
        ),
        ("cost rent", "write price: {low: 30000 USD, high: 40000 USD}; a rent is the pool's"),
        ("like similar_to based_on base parent", "write extends: nvidia/h100-sxm"),
        ("mfu efficiency", "is of a job: jobs.NAME.mfu"),
    )

    name: str = ""
    """vendor/part; the name it is declared under if left out."""
    title: str = ""
    """How people call it."""
    vendor: str = ""
    """Who makes it."""
    estimate: bool = False
    """Whether too little is published to trust the whole entry."""
    relative: str | None = None
    """Whose fitted numbers it takes, of the catalogue; what it extends if left out."""
    ranks_per_chip: Annotated[int, Field(ge=1, le=16)] = 1
    """Devices that one package shows to software."""
    release_year: CountFigure | None = None
    """Year of release."""
    availability: Word | None = None
    """In China under the export rules: banned, licensed, domestic, cloud (not sold), cancelled."""
    peak_dense: dict[Precision, Peak]
    """Dense peaks by precision."""
    peak_sparse: dict[Precision, Peak] = Field(default_factory=dict)
    """Peaks with structured sparsity, for reference only: no calculation uses them."""
    memory: Memory = Memory()
    """Memory of one chip."""
    scale_up: ScaleUp = ScaleUp()
    """Links inside a server or rack."""
    scale_out: ScaleOut = ScaleOut()
    """Network between servers."""
    power: PowerFigures = PowerFigures()
    """Power of one chip."""
    server: Server | None = None
    """The usual server."""
    embodied_carbon: Mass | None = None
    """Carbon of making one chip, CO2 equivalent; the note says what is included."""
    price: Price = Price()
    """Reported prices of one chip."""
    measured: dict[str, Measured] = Field(default_factory=dict)
    """What others measured on it."""
    sources: dict[str, Source] = Field(default_factory=dict)
    """The documents of this entry."""

    @model_validator(mode="after")
    def _checked(self) -> Chip:
        if not any(figure.value is not None for figure in self.peak_dense.values()):
            refuse("peak_dense needs at least one peak, such as bf16: 400 TFLOP/s")
        if self.availability is not None and self.availability.confidence != "user":
            allowed = Availability.__args__  # type: ignore[attr-defined]
            if self.availability.value not in allowed:
                refuse(f"availability must be one of {', '.join(allowed)}")
        check_sources(self, self.sources)
        return self

    @property
    def kin(self) -> str:
        """The name under which fitted numbers are looked up: with the maker, if that is said."""
        if self.relative or "/" in self.name or not self.vendor:
            return self.relative or self.name
        return f"{self.vendor}/{self.name}"

    @property
    def is_estimate(self) -> bool:
        """Whether the whole entry is an estimate."""
        return self.estimate

    @property
    def tdp_w(self) -> float | None:
        """Board limit of one chip [W], None if it is not published."""
        return None if self.power.tdp is None else self.power.tdp.value

    @property
    def chips_per_node(self) -> int | None:
        """Chips of the usual server, None if none is known."""
        return None if self.server is None else self.server.chips.value

    def peak_flop_per_s(self, precision: str) -> float:
        """Return the dense peak at a precision in FLOP/s, never one with sparsity.

        Raises
        ------
        ValueError
            If the chip has none; fp16 does not stand in for bf16, nor the other way round.
        """
        for name, figure in self.peak_dense.items():
            if name == precision and figure.value is not None:
                return figure.value
        known = ", ".join(
            name for name, figure in self.peak_dense.items() if figure.value is not None
        )
        raise ValueError(f"{self.name or 'the chip'} has no dense {precision} peak; it has {known}")


def figures_in(entry: Frozen) -> Iterator[tuple[str, Figure[Any]]]:
    """Yield the dotted path and the figure of everything an entry states."""
    for name in type(entry).model_fields:
        yield from _walk(name, getattr(entry, name))


def _walk(path: str, value: object) -> Iterator[tuple[str, Figure[Any]]]:
    if isinstance(value, Figure):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(f"{path}.{key}", inner)
    elif isinstance(value, Frozen):
        for name, inner in figures_in(value):
            yield f"{path}.{name}", inner


def check_sources(entry: Frozen, sources: dict[str, Source]) -> None:
    """Refuse an entry with a figure whose source is neither listed nor the user's own.

    Raises
    ------
    ValueError
        Naming the figure.
    """
    for path, figure in figures_in(entry):
        if figure.source is None and figure.value is not None and figure.confidence != "recalled":
            refuse(f"{path} has no source: only a recalled figure may do without")
        for key in (figure.source, figure.via):
            if key not in (None, "scenario") and key not in sources:
                refuse(f"{path}: no source '{key}' under sources")
