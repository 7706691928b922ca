"""The kinds of values a scenario or catalogue file may hold.

Every kind is a plain ``float``, ``int`` or ``str`` after validation, in SI, with metadata that
says how a person writes it. A bare number where a unit is due is refused.
"""

from __future__ import annotations

import ast
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import FunctionType, MappingProxyType
from typing import Annotated, Any, ClassVar, NoReturn

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    WithJsonSchema,
)

from computeplan.units import dimension_name, parse, parse_unit_of, rewritten

__all__ = [
    "MAX_COUNT",
    "NAME_PATTERN",
    "TITLE_PATTERN",
    "AtLeastOne",
    "Bandwidth",
    "Bytes",
    "CarbonIntensity",
    "Count",
    "Distance",
    "Duration",
    "EmbodiedCarbon",
    "FlopAmount",
    "Fraction",
    "Frozen",
    "HowWritten",
    "Life",
    "Name",
    "NodeAge",
    "Positive",
    "PositiveDuration",
    "Power",
    "Pue",
    "SaveInterval",
    "Share",
    "SitePower",
    "StateBytes",
    "StoredEnergy",
    "Title",
    "Tokens",
    "WaterUse",
    "WholeNodes",
    "field_docs",
    "instead",
    "node_or_chip_count",
    "quantity",
    "quantity_reader",
    "refuse",
    "said_once",
]

MAX_COUNT = 100_000_000


def instead(*answers: tuple[str, str]) -> Mapping[str, str]:
    """Return keys that people try -> what there is instead, out of many keys with one answer each.

    Examples
    --------
    >>> instead(("gpus num_gpus", "write chips: 1024"))["num_gpus"]
    'write chips: 1024'
    """
    return MappingProxyType({key: answer for keys, answer in answers for key in keys.split()})


@cache
def field_docs(model: type[BaseModel]) -> Mapping[str, str]:
    """Return what is said below each field of a model, by the key that people write.

    The source is read when somebody asks, which few do, and not whenever a model is imported.

    Examples
    --------
    >>> from computeplan.specs.model import Simulate
    >>> field_docs(Simulate)["runs"]
    'Replications of each case.'
    """
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if issubclass(kind, BaseModel):
            found |= _docs_in(kind.__module__).get(kind.__qualname__, {})
    keys = {name: field.alias or name for name, field in model.model_fields.items()}
    return MappingProxyType({keys[name]: said for name, said in found.items() if name in keys})


@cache
def _docs_in(module: str) -> dict[str, dict[str, str]]:
    """Return what is said below each annotated name of the classes of a module, by both names."""
    found = {}
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = {
                field.target.id: inspect.cleandoc(text.value.value)
                for field, text in pairwise(node.body)
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            }
    return found


class Frozen(BaseModel):
    """Base of everything a person writes: immutable, and no key is ignored."""

    tried: ClassVar[Mapping[str, str]] = instead()
    """Keys that people try here and that do not exist -> what there is instead."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        defer_build=True,  # many models stand in others only, which check them too
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return pydantic's schema, with what is said below each field."""
        found = handler(core_schema)
        fields = handler.resolve_ref_schema(found).get("properties", {})
        for name, said in field_docs(cls).items():
            if name in fields:
                fields[name].setdefault("description", said)
        return found

    def __dir__(self) -> list[str]:
        """Return what people use: the fields, and what our own classes add to pydantic's."""
        added = (
            name
            for kind in type(self).__mro__
            if issubclass(kind, Frozen) and kind is not Frozen
            for name, what in vars(kind).items()
            if isinstance(what, FunctionType | property)
        )
        names = {*type(self).model_fields, *added}
        return sorted(name for name in names if not name.startswith(("_", "model_")))


@dataclass(frozen=True, slots=True)
class HowWritten:
    """How a person writes a value: shown by ``computeplan paths`` and in messages."""

    unit: str
    """SI unit of the value inside the program, empty for a pure number or a name."""
    example: str
    """A value that is accepted."""


def refuse(message: str) -> NoReturn:
    """Raise the ValueError that becomes a problem with a place."""
    raise ValueError(message)


def said_once(model: BaseModel, what: str, *names: str) -> None:
    """Refuse a model of which not exactly one of some fields is given."""
    said = [name for name in names if getattr(model, name) is not None]
    if len(said) != 1:
        refuse(f"{what}; got {' and '.join(said) or 'none'}")


def quantity_reader(
    unit: str,
    example: str,
    lower: float = 0.0,
    *,
    above: bool = True,
    most: str = "",
    least: str = "",
) -> Callable[[object], float]:
    """Return what reads a quantity as `quantity` does."""
    upper = parse(most, unit) if most else math.inf
    lowest = parse(least, unit) if least else -math.inf

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, str):
            refuse(
                f"needs a unit: write it like '{example}' ({dimension_name(unit)}), not {value!r}"
            )
        try:
            number = parse(value, unit)
        except ValueError as error:
            refuse(str(error) if rewritten(value) else f"{error}; write it like '{example}'")
        if number < lower or (above and number == lower):
            refuse(f"must be {'>' if above else '>='} {lower:g}, got {value!r}")
        if number < lowest:
            refuse(f"must be at least {least}, got {value!r}: is the unit right?")
        if number > upper:
            refuse(f"must be at most {most}, got {value!r}: is the unit right?")
        return number

    return read


def quantity(
    unit: str,
    example: str,
    *,
    lower: float = 0.0,
    above: bool = True,
    most: str = "",
    least: str = "",
) -> Any:
    """Return the annotated type of a quantity with a unit.

    Parameters
    ----------
    unit : str
        SI unit to convert to.
    example : str
        A value that is accepted, shown in messages and in the JSON Schema.
    lower : float
        Smallest value allowed. [`unit`]
    above : bool
        Whether `lower` itself is refused.
    most, least : str
        Largest and smallest value allowed, with its unit; none if left out.
    """
    schema = {"type": "string", "pattern": r"^[+-]?[0-9.].*[A-Za-z]", "examples": [example]}
    return Annotated[
        float,
        BeforeValidator(quantity_reader(unit, example, lower, above=above, most=most, least=least)),
        WithJsonSchema(schema),
        HowWritten(unit, example),
    ]


def _word_or_quantity(
    words: tuple[str, ...], unit: str, what: str, example: str, how: str, *, above: bool = True
) -> Any:
    """Return the annotated type of one of some words, or a quantity with a unit."""

    def read(value: object) -> float | str:
        if isinstance(value, str) and value in words:
            return value
        if not isinstance(value, str):
            named = ", ".join(words)
            refuse(f"must be {named}, or {what} such as '{example}', not {value!r}")
        number = parse(value, unit)
        if number < 0 or (above and number == 0):
            refuse(f"must be {'>' if above else '>='} 0, got {value!r}")
        return number

    return Annotated[
        float | str,
        BeforeValidator(read),
        WithJsonSchema({"type": "string", "examples": [*words, example]}),
        HowWritten(unit, how),
    ]


Duration = quantity("s", "5 min", above=False)
PositiveDuration = quantity("s", "5 min")
Life = quantity("s", "5 years", least="1 d", most="1000 years")
Power = quantity("W", "700 W", above=False)
SitePower = quantity("W", "20 MW", most="10 TW")
StoredEnergy = quantity("J", "40 MWh", most="1 TWh")
Bandwidth = quantity("B/s", "400 Gbit/s")
Bytes = quantity("B", "200 TB")
Distance = quantity("km", "1200 km", above=False)
FlopAmount = quantity("FLOP", "3.14e23 FLOP")
Tokens = quantity("token", "15.6 Ttoken")
CarbonIntensity = quantity("kg/J", "400 g/kWh", above=False)
WaterUse = quantity("L/J", "0.2 L/kWh", above=False)
EmbodiedCarbon = _word_or_quantity(
    ("estimate",),
    "kg/(chip*s)",
    "carbon per chip and time",
    "0.013 kg/chip/h",
    "0.013 kg/chip/h (or estimate)",
    above=False,
)
NodeAge = _word_or_quantity(
    ("steady", "new"), "s", "a duration with its unit", "2 years", "steady", above=False
)
SaveInterval = _word_or_quantity(
    ("optimal", "never"), "s", "a duration with its unit", "30 min", "30 min (or optimal, never)"
)
StateBytes = _word_or_quantity(
    ("auto",), "B", "bytes with their unit", "5.6 TB", "5.6 TB (or auto)"
)


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(f"must be a number, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        refuse(f"must be a finite number, got {value!r}")
    return value


# Limits stand before the validator: pydantic then writes them into the JSON Schema.
Positive = Annotated[float, Field(gt=0, le=1e30), BeforeValidator(_number), HowWritten("", "1.1")]
Fraction = Annotated[float, Field(gt=0, le=1), BeforeValidator(_number), HowWritten("", "0.41")]
Share = Annotated[float, Field(gt=0, lt=1)]
AtLeastOne = Annotated[float, Field(ge=1, le=1000), BeforeValidator(_number), HowWritten("", "2")]
Pue = Annotated[float, Field(ge=1, le=10), BeforeValidator(_number), HowWritten("", "1.1")]
Count = Annotated[int, Field(gt=0, le=MAX_COUNT), BeforeValidator(_number), HowWritten("", "16384")]
_IN_NAME, _IN_TITLE = r".\"'“”‘’\\/<>&\x00-\x1f\x7f-\x9f", r"\x00-\x1f\x7f-\x9f"
NAME_PATTERN, TITLE_PATTERN = (  # a spreadsheet runs a cell that begins with = + - @
    rf"^[^-\s=+@{no}](?:[^{no}]*[^\s{no}])?$" for no in (_IN_NAME, _IN_TITLE)
)
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=80)]
"""Of a pool, a job, ...: part of paths and of file names."""
Title = Annotated[str, StringConstraints(pattern=TITLE_PATTERN, max_length=80)]
"""Of a case: any line of text."""


def node_or_chip_count(value: object) -> tuple[float, str]:
    """Return ``(16.0, "node")`` for ``"16 nodes"``, ``(128.0, "chip")`` for ``"128 chips"``."""
    if isinstance(value, bool) or not isinstance(value, str):
        refuse(f"needs a unit: write it like '16 nodes' or '128 chips', not {value!r}")
    number, unit = parse_unit_of(value, ("node", "chip"))
    if number < 0 or number != int(number) or number > MAX_COUNT:
        refuse(f"must be a whole number from 0 to {MAX_COUNT}, got {value!r}")
    return number, unit


def _read_nodes(value: object) -> int:
    count, unit = node_or_chip_count(value)
    if unit != "node" or count < 1:
        refuse(f"must be whole nodes, such as '4 nodes', not {value!r}")
    return int(count)


WholeNodes = Annotated[
    int,
    BeforeValidator(_read_nodes),
    WithJsonSchema({"type": "string", "examples": ["4 nodes"]}),
    HowWritten("node", "4 nodes"),
]
