"""Published measurements of serving against what we say: every row, and the errors of each family.

A row gives a prediction for each thing it measured: tokens a second, time between tokens, time to
the first token, the rate that holds limits of latency, watts and joules. Each is compared apart. A
family is an entry of the fitted shares: an engine, a precision, dense models or mixtures of
experts, and a chip where it has rows enough. Nothing is chosen by the name of a row. Errors are
predicted over measured less one. Rows that their file calls unfit for gates are listed and scored
in no family.

Long because one road from a row to its quantities reads best in one place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from computeplan.compiler.hardware import INTERVAL
from computeplan.compiler.power import node_of
from computeplan.compiler.serving import speed_of
from computeplan.physics.power.node import node_watts
from computeplan.physics.serving.power import Draw, chip_w
from computeplan.physics.serving.steady import decode_of, prompt_of, terms_of
from computeplan.physics.serving.steps import FIRST_TOKEN_S
from computeplan.specs.catalogue.serving import KNOWN, Borrowed, Known, serving_tables, share_of
from computeplan.specs.catalogue.serving_power import known_draw
from computeplan.validation.serving_cases import ServingCase
from computeplan.validation.serving_fit import Priced, Said, predicted, priced
from computeplan.validation.serving_slo import SloRate, measured_rate, slo_rate

__all__ = [
    "SLO",
    "Gate",
    "ServingPrediction",
    "ServingScore",
    "gates",
    "left_out_scores",
    "predict_row",
    "predict_serving",
    "scores",
    "to_json",
]

TOKENS, PROMPTS = "output_tok_per_s", "input_tok_per_s"
TPOT, TTFT, ITL = "tpot_ms", "ttft_ms", "itl_p50_ms"
SLO = "requests_per_s"
CHIPS_W, JOULES, PLUG_W, PLUG_J = "chips_w", "joule_per_output_token", "system_w", "system_j"
QUANTITIES = (TOKENS, PROMPTS, TPOT, ITL, TTFT, SLO, CHIPS_W, JOULES, PLUG_W, PLUG_J)
ANSWERING = ("static", "offline", "closed", "decode", "disagg")
UNDER_LIMITS = ("server", "interactive")
MEASURED_TPOT = ("tpot_ms", "tpot_mean_ms")
MEASURED_TTFT = ("ttft_ms", "ttft_mean_ms")
SPREAD: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        TTFT: {"dense": 0.78, "experts": 1.16},
        SLO: {"dense": 0.28, "experts": 0.43},
    }
)
"""Of the logarithm of predicted over measured: what holds nine in ten of the shipped rows. Waits
depend on how requests come, which is not published; rates under limits on all shares at once."""
NEAR = 0.30
"""How near a rate under limits must be to count as near."""
NO_ROOM = "says too little to be priced: sequences at once, chips, or lengths are missing"
NO_LAYOUT = "what an instance does in all was not published: one stream alone"


@dataclass(frozen=True, slots=True)
class ServingPrediction:
    """One quantity of a row, and what we say of it."""

    case: ServingCase
    quantity: str
    """One of `QUANTITIES`; empty where nothing of a row is compared."""
    family: str
    """Empty where it was skipped."""
    measured: float
    predicted: float
    low: float
    high: float
    """In the unit of the quantity, with the 90 % band; nan where there is none."""
    known: Known
    """What the shares behind it were fitted of."""
    skipped: str = ""
    """Why nothing is said."""

    @property
    def error(self) -> float:
        """Predicted over measured, less one."""
        return self.predicted / self.measured - 1.0

    @property
    def is_gated(self) -> bool:
        """Whether it is scored."""
        return self.case.is_gated and not self.skipped


@dataclass(frozen=True, slots=True)
class ServingScore:
    """How well a family is predicted."""

    n: int
    parameters: int
    """Rows, and numbers that were fitted to rows of the family: two shares, or three of watts. The
    host of an engine has two more, for all its families."""
    bias: float
    median: float
    mape: float
    p90: float
    """Mean error; median, mean and 90th percentile of the absolute error."""
    in_band: float
    """Share inside their 90 % band."""


class Gate(NamedTuple):
    """A line that predictions must keep."""

    name: str
    value: float
    low: float
    high: float
    n: int
    missed: str = ""
    """Why it is not kept, where that is known."""

    @property
    def is_kept(self) -> bool:
        """Whether the value lies within."""
        return self.low <= self.value <= self.high


# Rows --------------------------------------------------------------------------------------------


def predict_serving(cases: Iterable[ServingCase]) -> Iterator[ServingPrediction]:
    """Yield what we say of every row, quantity by quantity, in their order."""
    for case in cases:
        yield from predict_row(case)


def predict_row(case: ServingCase) -> tuple[ServingPrediction, ...]:
    """Return what we say of a row, quantity by quantity; one without any if it is skipped."""
    if case.skipped:
        return (_skipped(case, case.skipped),)
    if case.row.kind == "single_stream":
        return (_skipped(case, NO_LAYOUT),)
    try:
        found = tuple(_under_limits(case) if case.row.kind in UNDER_LIMITS else _at_rest(case))
    except ValueError as error:
        return (_skipped(case, str(error)),)
    return found or (_skipped(case, NO_ROOM),)


def _skipped(case: ServingCase, why: str) -> ServingPrediction:
    nan = math.nan
    return ServingPrediction(case, "", "", nan, nan, nan, nan, "none", why)


def _at_rest(case: ServingCase) -> Iterator[ServingPrediction]:
    """Yield the quantities of a row whose requests never run out."""
    row = _as_priced(case)
    if row is None:
        return
    said = _disaggregated(row) if case.row.kind == "disagg" else predicted(row)
    borrowed = _share(row)
    factor = math.exp(INTERVAL * borrowed.spread)
    measured = case.measured

    def of(quantity: str, value: float, what: float) -> ServingPrediction:
        family = borrowed.of if quantity in (TOKENS, PROMPTS) else f"{quantity}: {row.group}"
        wide = _wide(borrowed, quantity, row.kind)
        low, high = what / wide, what * wide
        return ServingPrediction(case, quantity, family, value, what, low, high, borrowed.known)

    if case.row.kind in ANSWERING and (tokens := _tokens(case)) is not None:
        yield of(TOKENS, tokens, said.tokens_per_s)
    if case.row.kind == "prefill" and PROMPTS in measured:
        yield of(PROMPTS, measured[PROMPTS], said.tokens_per_s)
    if (tpot := _first(measured, MEASURED_TPOT)) is not None:
        yield of(TPOT, tpot, 1e3 * said.tpot_s)
    if ITL in measured:
        yield of(ITL, measured[ITL], 1e3 * said.tpot_s)
    if (ttft := _first(measured, MEASURED_TTFT)) is not None:
        yield of(TTFT, ttft, 1e3 * _first_token_s(row, said))
    yield from _energy(case, said, 1.0, factor)


def _wide(borrowed: Borrowed, quantity: str, kind: str) -> float:
    """Return the end of a 90 % band over what is predicted."""
    spread = SPREAD[quantity][kind] if quantity in SPREAD else 0.0
    return math.exp(INTERVAL * max(spread, borrowed.spread))


def _as_priced(case: ServingCase) -> Priced | None:
    """Return a row with its steps; a first token is a batch of which only prompts are taken in."""
    if case.row.kind != "first_token":
        return priced(case)
    changed = {"kind": "static", "output_len": 1.0, "batch": case.row.batch or 1}
    return priced(replace(case, row=case.row.model_copy(update=changed)))


def _share(row: Priced) -> Borrowed:
    return share_of(row.engine, row.case.precision, row.chip, experts=row.kind == "experts")


def _tokens(case: ServingCase) -> float | None:
    if TOKENS in case.measured:
        return case.measured[TOKENS]
    each = case.measured.get("tok_per_s_per_card")
    return None if each is None or case.row.n_chips is None else each * case.row.n_chips


def _first(measured: Mapping[str, float], names: Sequence[str]) -> float | None:
    return next((measured[name] for name in names if name in measured), None)


def _first_token_s(row: Priced, said: Said) -> float:
    """Return the time to the first token: the wait, the prompt, and what is seen outside later.

    Batches that start together wait for nothing, and are read at the engine itself. Else a prompt
    waits for half a step, and where more requests are in the system than decode, for a place.
    """
    case = row.case.row
    if case.kind == "static":
        return said.prompt_s * said.batch
    assert case.output_len is not None
    asked = case.active or row.case.concurrency or 0.0
    pairs = zip(row.layouts.instances, row.layouts.copies, strict=True)
    copies = next(n for instance, n in pairs if instance.split is said.instance.split)
    waiting = asked - said.batch * copies
    rate = said.tokens_per_s / case.output_len
    queue = waiting / rate if math.isfinite(waiting) and waiting > 0 else 0.0
    return queue + said.tpot_s / 2.0 + said.prompt_s + FIRST_TOKEN_S


def _disaggregated(row: Priced) -> Said:
    """Return the best division of a row's instances into some for prompts and some that decode."""
    share = _share(row).share
    case = row.case.row
    asked = case.active or row.case.concurrency
    best: Said | None = None
    for instance, n in zip(row.layouts.instances, row.layouts.copies, strict=True):
        speed = speed_of(row.engine, instance.shape, share)
        for n_decode in range(1, int(n)):
            batch = max((asked or 0.0) / n_decode, 1.0)
            terms = terms_of(instance, batch, case.input_len, case.output_len, at_once=batch)
            step, prompt = float(decode_of(speed, terms)), float(prompt_of(speed, terms))
            out = n_decode * batch * float(terms.accepted) / step
            per_s = min(out, (n - n_decode) * float(terms.n_out) / prompt)
            if best is None or per_s > best.tokens_per_s:
                tpot_s = step / float(terms.accepted)
                whole = replace(instance, speed=speed)
                best = Said(per_s, tpot_s, prompt, whole, batch, (0.0, 0.0))
    if best is None:
        raise ValueError(
            "one copy takes all chips: what is for prompts and what for answers is not said"
        )
    return best


# Under limits, and energy ------------------------------------------------------------------------


def _under_limits(case: ServingCase) -> Iterator[ServingPrediction]:
    """Yield the rate of a row that holds its limits, and its energy at the plug."""
    found = slo_rate(case)
    borrowed = found.served.borrowed
    assert borrowed is not None
    kind = "experts" if case.has_experts else "dense"
    factor = _wide(borrowed, SLO, kind)
    family = f"{SLO}: {found.served.engine} {case.precision} {kind}"
    said = found.per_s
    yield ServingPrediction(
        case, SLO, family, measured_rate(case), said, said / factor, said * factor, borrowed.known
    )
    if PLUG_W in case.measured:
        at_rest, part = _as_if_queued(case, found)
        yield from _energy(case, at_rest, part, factor)


def _as_if_queued(case: ServingCase, found: SloRate) -> tuple[Said, float]:
    """Return what a row would do with all its requests queued, and the share of it that it does."""
    changed = {"kind": "offline", "tp": int(found.served.instance.split.tp)}
    row = priced(replace(case, row=case.row.model_copy(update=changed)))
    if row is None:
        raise ValueError(NO_ROOM)
    said = predicted(row)
    assert case.row.output_len is not None
    tokens = found.per_s * case.row.output_len
    return replace(said, tokens_per_s=tokens), min(tokens / said.tokens_per_s, 1.0)


def _energy(
    case: ServingCase, said: Said, part: float, factor: float
) -> Iterator[ServingPrediction]:
    """Yield watts and joules a token, of chips or at the plug, from the share of time at work."""
    at_plug = PLUG_W in case.measured
    if not at_plug and CHIPS_W not in case.measured:
        return
    assert case.chip is not None
    assert case.row.n_chips is not None
    known = known_draw(case.chip)
    bandwidth, peak = (share * part for share in said.utilisation)
    watts = case.row.n_chips * float(chip_w(Draw(*known[:4]), bandwidth, peak))
    if at_plug:
        in_server, node = node_of(case.chip)
        n = case.row.n_chips / in_server
        watts = n * float(node_watts(watts / n, node))
    wide = 1.0 + known.p90
    joules = watts / said.tokens_per_s
    both = math.exp(math.hypot(math.log(wide), math.log(factor)))
    borrowed: Known = "none" if known.is_borrowed else "chip"
    pairs = (
        (PLUG_W if at_plug else CHIPS_W, PLUG_W if at_plug else CHIPS_W, watts, wide),
        (PLUG_J if at_plug else JOULES, JOULES, joules, both),
    )
    for quantity, key, value, spread in pairs:
        if key in case.measured:
            family = f"{quantity}: {case.chip.kin}"
            low, high = value / spread, value * spread
            yield ServingPrediction(
                case, quantity, family, case.measured[key], value, low, high, borrowed
            )


# Scores ------------------------------------------------------------------------------------------


def scores(predictions: Sequence[ServingPrediction]) -> dict[str, ServingScore]:
    """Return how well each family is predicted, by gated rows; all of a kind at the end."""
    found: dict[str, list[ServingPrediction]] = {}
    for p in predictions:
        if p.is_gated:
            found.setdefault(p.family, []).append(p)
    for p in predictions:
        if p.is_gated:
            kind = "experts" if p.case.has_experts else "dense"
            name = kind if p.quantity == TOKENS else f"{p.quantity}: {kind}"
            found.setdefault(f"all {name}", []).append(p)
    order = sorted(found, key=lambda name: (name.startswith("all "), name))
    return {name: _score(found[name]) for name in order}


def _score(rows: Sequence[ServingPrediction]) -> ServingScore:
    errors = np.array([row.error for row in rows])
    size = np.abs(errors)
    hits = [row.low <= row.measured <= row.high for row in rows]
    return ServingScore(
        n=len(rows),
        parameters=_n_parameters(rows),
        bias=float(errors.mean()),
        median=float(np.median(size)),
        mape=float(size.mean()),
        p90=float(np.quantile(size, 0.9)),
        in_band=float(np.mean(hits)),
    )


def _n_parameters(rows: Sequence[ServingPrediction]) -> int:
    """Return the numbers that were fitted: two for each entry of shares, three for a chip."""
    found = set()
    for row in rows:
        assert row.case.chip is not None
        if row.quantity in (CHIPS_W, JOULES) and row.known == "chip":
            found |= {(row.case.chip.kin, part) for part in ("base", "bandwidth", "peak")}
        elif row.quantity in (TOKENS, PROMPTS) and row.known in ("chip", "precision"):
            found |= {(row.family, part) for part in ("memory", "peak")}
    return len(found)


def left_out_scores(
    outside: Mapping[Known, Sequence[tuple[Priced, float]]],
) -> dict[str, ServingScore]:
    """Return how well rows are predicted that took no part in the fit, by what was left out.

    Parameters
    ----------
    outside : mapping
        As of `computeplan.validation.serving_fit.out_of_sample`: rows with the logarithm of
        predicted over measured tokens a second.
    """
    labels = ("a model", "a chip", "a precision", "an engine")
    found = {}
    for known, label in zip(KNOWN, labels, strict=True):
        for kind in ("dense", "experts"):
            logs = np.array([error for row, error in outside[known] if row.kind == kind])
            if not logs.size:
                continue
            band = INTERVAL * serving_tables().spread[kind][known]
            errors = np.expm1(logs)
            size = np.abs(errors)
            found[f"{label} left out, {kind}"] = ServingScore(
                n=logs.size,
                parameters=2,
                bias=float(errors.mean()),
                median=float(np.median(size)),
                mape=float(size.mean()),
                p90=float(np.quantile(size, 0.9)),
                in_band=float((np.abs(logs) <= band).mean()),
            )
    return found


# Gates -------------------------------------------------------------------------------------------


def gates(
    predictions: Sequence[ServingPrediction], outside: Mapping[str, ServingScore]
) -> tuple[Gate, ...]:
    """Return the lines that the shipped rows must keep; those without rows are left out."""
    found: list[Gate] = []

    def most(name: str, errors: Sequence[float], limit: float, how: str = "mean") -> None:
        if errors:
            size = np.abs(errors)
            value = float(np.median(size) if how == "median" else size.mean())
            found.append(Gate(name, value, 0.0, limit, len(errors)))

    for kind, mape, median in (("dense", 0.09, 0.06), ("experts", 0.23, 0.18)):
        errors = _errors(predictions, TOKENS, experts=kind == "experts")
        most(f"tokens/s, {kind}: MAPE", errors, mape)
        most(f"tokens/s, {kind}: median", errors, median, "median")
    for name, limit in (
        ("a model left out, dense", 0.13),
        ("a chip left out, dense", 0.12),
        ("a model left out, experts", 0.32),
    ):
        if name in outside:
            score = outside[name]
            found.append(Gate(f"tokens/s, {name}: MAPE", score.mape, 0.0, limit, score.n))
    for name, score in outside.items():
        found.append(Gate(f"in their band, {name}", score.in_band, 0.85, 0.95, score.n))
    most("time between tokens, dense, closed loop: MAPE", _closed_tpot(predictions), 0.12)
    ratios = 1.0 + np.array(_errors(predictions, SLO, experts=False, known=("chip", "precision")))
    if ratios.size:
        middle = float(np.median(ratios))
        near = float((np.abs(ratios - 1.0) <= NEAR).mean())
        found.append(Gate("rate under limits, dense: median ratio", middle, 0.9, 1.15, ratios.size))
        found.append(Gate("rate under limits, dense: within 30 %", near, 2 / 3, 1.0, ratios.size))
    both = (_errors(predictions, quantity) for quantity in (CHIPS_W, JOULES))
    for name, errors, limit in zip(("watts", "joules a token"), both, (0.13, 0.22), strict=True):
        most(f"{name} at the meters of chips: MAPE", errors, limit)
    return tuple(found)


def _errors(
    predictions: Sequence[ServingPrediction],
    quantity: str,
    *,
    experts: bool | None = None,
    known: Sequence[Known] = KNOWN,
) -> list[float]:
    return [
        p.error
        for p in predictions
        if p.is_gated
        and p.quantity == quantity
        and p.known in known
        and (experts is None or p.case.has_experts == experts)
    ]


def _closed_tpot(predictions: Sequence[ServingPrediction]) -> list[float]:
    """Return the errors of times between tokens that a source states itself, not as percentiles."""
    return [
        p.error
        for p in predictions
        if p.is_gated and p.quantity == TPOT and not p.case.has_experts and TPOT in p.case.measured
    ]


def to_json(
    predictions: Sequence[ServingPrediction],
    outside: Mapping[str, ServingScore],
    lines: Sequence[Gate],
) -> str:
    """Return everything as JSON; errors are fractions, numbers that do not exist null."""
    document = {
        "suite": "serving",
        "families": {name: asdict(score) for name, score in scores(predictions).items()},
        "out_of_sample": {name: asdict(score) for name, score in outside.items()},
        "gates": [line._asdict() | {"is_kept": line.is_kept} for line in lines],
        "rows": [
            {
                "id": p.case.id,
                "chip": p.case.row.chip if p.case.chip is None else p.case.chip.kin,
                "family": p.family or None,
                "quantity": p.quantity or None,
                "measured": _or_none(p.measured),
                "predicted": _or_none(p.predicted),
                "low": _or_none(p.low),
                "high": _or_none(p.high),
                "error": _or_none(p.error),
                "skipped": p.skipped or None,
            }
            for p in predictions
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)


def _or_none(number: float) -> float | None:
    return number if math.isfinite(number) else None
