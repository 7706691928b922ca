"""Durations as people write them: one that is always the same, or a law with its parameters.

``5 min``, ``{lognormal: {median: 8 min, p95: 25 min}}``, ``{expon: {mean: 20 min}}``, or any law of
scipy.stats with support on [0, inf) and a finite mean, by its own shape names and one statement of
its scale: ``{weibull_min: {c: 0.7, mean: 3 h}}``. The statement may be ``scale``, ``mean``,
``median`` or a percentile such as ``p90``.

Or durations as they were seen: ``{seen: [20 min, 3 h]}``, or each with how often it was,
``{seen: {20 min: 12, 3 h: 1}}``. Nothing else is then played, of a single one that one.
"""

from __future__ import annotations

import math
import re
from statistics import NormalDist
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from computeplan.distributions import Law, frozen_law, law_mean_s
from computeplan.specs.fields import HowWritten, quantity_reader, refuse
from computeplan.specs.uncertain import Uncertain, read_uncertain
from computeplan.units import parse

__all__ = ["DurationLaw", "UncertainDuration", "read_law"]

_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")
_NAMES = {"lognormal": "lognorm", "exponential": "expon", "weibull": "weibull_min"}
_HOW = "'5 min' or {lognormal: {median: 8 min, p95: 25 min}}"
_SEEN = "[20 min, 3 h], or with how often, {20 min: 12, 3 h: 1}"
MOST_SEEN = 10_000  # a law is a key of tables, which are looked up by all of its numbers


def read_law(value: object) -> Law:
    """Return the law that a person wrote.

    Raises
    ------
    ValueError
        If the name, a parameter or a unit is wrong, the support is not [0, inf) or the mean is
        not finite.

    Examples
    --------
    >>> read_law("5 min")
    Law(name='const', shapes=(), scale_s=300.0, shares=())
    >>> law = read_law({"lognormal": {"median": "8 min", "p95": "25 min"}})
    >>> f"{law_mean_s(law) / 60:.2f} min"
    '10.17 min'
    >>> f"{law_mean_s(read_law({'seen': {'20 min': 3, '2 h': 1}})) / 60:.0f} min"
    '45 min'
    """
    if isinstance(value, Law):
        return value
    if isinstance(value, str):
        return Law("const", (), _duration_s("the duration", value, zero=True))
    if not isinstance(value, dict) or len(value) != 1:
        refuse(f"must be one law, such as {_HOW}, not {str(value)[:60]!r}")
    ((written, parameters),) = value.items()
    name = _NAMES.get(str(written), str(written))
    if name == "seen":
        return _seen_law(parameters)
    if not isinstance(parameters, dict) or not all(isinstance(key, str) for key in parameters):
        refuse(f"{written}: needs its parameters, as in {_HOW}")
    law = _lognorm(parameters) if name == "lognorm" else _scipy_law(name, parameters)
    if not math.isfinite(law_mean_s(law)):
        refuse(f"{written}: the mean is not finite; choose a lighter tail")
    return law


def _seen_law(written: object) -> Law:
    """Return the law of durations that were seen; of a single one, a duration."""
    if not isinstance(written, list | tuple | dict) or not written:
        refuse(f"seen: needs the durations that were seen, {_SEEN}, not {str(written)[:60]!r}")
    if len(written) > MOST_SEEN:
        refuse(
            f"seen: {len(written)} durations, and at most {MOST_SEEN} are read: join those that are"
            " nearly alike and say how often each was seen, {20 min: 12, 3 h: 1},"
            " as computeplan fit --out does"
        )
    counts = written.items() if isinstance(written, dict) else ((text, 1) for text in written)
    often: dict[float, float] = {}
    for text, count in counts:
        duration_s = _duration_s("seen: a duration", text, zero=True)
        number = _number(f"seen.{text}: how often", count)
        if number <= 0:
            refuse(f"seen.{text}: how often must be > 0, got {count!r}")
        often[duration_s] = often.get(duration_s, 0.0) + number
    if len(often) == 1:
        return Law("const", (), next(iter(often)))
    values_s, total = sorted(often), math.fsum(often.values())
    law = Law("seen", tuple(values_s), 1.0, tuple(often[x] / total for x in values_s))
    if not math.isfinite(law_mean_s(law)):
        refuse("seen: the mean is not finite")
    return law


def _duration_s(what: str, value: object, *, zero: bool = False) -> float:
    if not isinstance(value, str):
        refuse(f"{what} needs a unit: write it like '5 min', not {value!r}")
    duration = parse(value, "s")
    if duration < 0 or (duration == 0 and not zero):
        refuse(f"{what} must be {'>=' if zero else '>'} 0, got {value!r}")
    return duration


def _number(what: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        refuse(f"{what} must be a finite number, got {value!r}")
    return float(value)


def _statements(name: str, parameters: dict[str, Any]) -> dict[str, float]:
    """Return the statements that carry time: scale, mean, median, percentiles. [s]"""
    found = {}
    for key, value in parameters.items():
        if key in ("scale", "mean", "median") or _PERCENTILE.fullmatch(key):
            found[key] = _duration_s(f"{name}.{key}", value)
    return found


def _z(statement: str) -> float:
    match = _PERCENTILE.fullmatch(statement)
    probability = float(match[1]) / 100 if match else 0.5
    if not 0 < probability < 1:
        refuse(f"{statement} is not a percentile between 0 and 100")
    return NormalDist().inv_cdf(probability)


def _lognorm(parameters: dict[str, Any]) -> Law:
    """Return a lognormal law from its sigma and one statement, or from two statements."""
    said = _statements("lognormal", parameters)
    rest = {key: value for key, value in parameters.items() if key not in said}
    sigma = next((_number("sigma", rest.pop(key)) for key in ("sigma", "s") if key in rest), None)
    if rest or len(said) + (sigma is not None) != 2 or (sigma is not None and sigma <= 0):
        refuse("lognormal: give two of median, mean, a percentile (p95) and sigma (> 0)")
    if sigma is None:
        sigma = _sigma(said)
    key, value = next(iter(said.items()))
    shift = sigma**2 / 2 if key == "mean" else sigma * (0.0 if key == "scale" else _z(key))
    return Law("lognorm", (sigma,), value * math.exp(-shift))


def _sigma(said: dict[str, float]) -> float:
    (a, x), (b, y) = said.items()
    if "mean" in said:
        other, mean = (b, said["mean"]) if a == "mean" else (a, said["mean"])
        z, ratio = _z(other), math.log(mean / said[other])
        # mean = quantile * exp(sigma**2 / 2 - z sigma): the smaller positive root, the usual case
        root = z * z + 2 * ratio
        below = math.sqrt(root) if root >= 0 else math.nan  # nan: no sigma gives both
        sigma = z - below if z > below else z + below
    else:
        gap = _z(b) - _z(a)
        sigma = math.log(y / x) / gap if gap else 0.0
    if not (math.isfinite(sigma) and sigma > 0):
        refuse(f"lognormal: {a} and {b} contradict each other")
    return sigma


def _scipy_law(name: str, parameters: dict[str, Any]) -> Law:
    said = _statements(name, parameters)
    if len(said) != 1:
        refuse(f"{name}: state its scale once, as mean, median, scale or a percentile (p90)")
    if name == "expon":  # spares the second that importing scipy.stats takes
        names: list[str] = []
    else:
        names = _shape_names(name)
    rest = {key: value for key, value in parameters.items() if key not in said}
    if sorted(rest) != sorted(names):
        wanted = ", ".join(names) or "no shape"
        given = ", ".join(rest) or "none"
        refuse(f"{name}: takes {wanted} and one of mean, median, scale; got {given}")
    shapes = tuple(_number(f"{name}.{key}", rest[key]) for key in names)
    ((key, value),) = said.items()
    if name == "expon":
        probability = NormalDist().cdf(_z(key)) if key not in ("mean", "scale") else 0.0
        return Law(name, (), value / -math.log1p(-probability) if probability else value)
    unit = frozen_law(Law(name, shapes, 1.0))
    lower, upper = unit.support()
    if not (lower == 0 and upper == math.inf):
        refuse(f"{name}: its support is [{lower:g}, {upper:g}], not [0, inf)")
    if key == "scale":
        per_scale = 1.0
    elif key == "mean":
        per_scale = law_mean_s(Law(name, shapes, 1.0))
    else:
        per_scale = float(unit.ppf(NormalDist().cdf(_z(key))))
    if not (math.isfinite(per_scale) and per_scale > 0):
        refuse(f"{name}: the mean is not finite; choose a lighter tail")
    return Law(name, shapes, value / per_scale)


def _shape_names(name: str) -> list[str]:
    import scipy.stats

    law = getattr(scipy.stats, name, None)
    if not isinstance(law, scipy.stats.rv_continuous):
        refuse(f"no law '{name}' in scipy.stats; common ones: lognormal, expon, weibull_min, gamma")
    return [part.strip() for part in (law.shapes or "").split(",") if part.strip()]


DurationLaw = Annotated[
    Law,
    BeforeValidator(read_law),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "examples": ["5 min"]},
                {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 1,
                    "properties": {
                        "seen": {
                            "anyOf": [
                                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                                {
                                    "type": "object",
                                    "minProperties": 1,
                                    "additionalProperties": {
                                        "type": "number",
                                        "exclusiveMinimum": 0,
                                    },
                                },
                            ]
                        }
                    },
                },
            ]
        }
    ),
    HowWritten("s", "{lognormal: {median: 8 min, p95: 25 min}}"),
]


def _read_uncertain(value: object) -> Uncertain:
    """Return a duration that is not known exactly, from a lognormal law or a band."""
    if not isinstance(value, dict):
        return read_uncertain(value, quantity_reader("s", "22.3 s"), "s")
    law = read_law(value)
    if law.name != "lognorm":
        refuse("must be a duration, or lognormal, such as {lognormal: {p5: 17.3 s, p95: 28.8 s}}")
    spread = math.exp(law.shapes[0] * _z("p95"))
    return Uncertain(law.scale_s, law.scale_s / spread, law.scale_s * spread)


UncertainDuration = Annotated[
    Uncertain,
    BeforeValidator(_read_uncertain),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "examples": ["22.3 s", "22.3 +- 3 s"]},
                {"type": "object", "minProperties": 1, "maxProperties": 1},
            ]
        }
    ),
    HowWritten("s", "{lognormal: {p5: 17.3 s, p95: 28.8 s}}"),
]
