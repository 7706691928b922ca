"""Fits what engines reach of bandwidth and peak to published rows, and tests it on rows left out.

Two shares for an engine, a precision, and dense models or mixtures: what is read of the memory, and
what is multiplied. Chips with rows enough have their own two. The host of an engine takes two
numbers more, for a step and for a sequence, fitted to all its rows at once. Loss: soft-L1 of the
logarithm of predicted over measured tokens a second. Rows under a limit of latency take no part.

Long because a row, the fit and the ways to leave rows out of it belong together. Run as
``python -m computeplan.validation.serving_fit`` it writes ``data/serving_shares.yaml`` anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from computeplan.arrays import FloatArray
from computeplan.compiler.hardware import INTERVAL
from computeplan.compiler.serving import instance_of, speed_of
from computeplan.physics.serving.instance import Instance, Speculation, Speed, Split
from computeplan.physics.serving.room import largest_batch
from computeplan.physics.serving.steady import (
    Terms,
    continuous,
    decode_of,
    prompt_of,
    static,
    terms_of,
)
from computeplan.physics.serving.work import step_s
from computeplan.physics.steptime.operators import HBM_FRAC
from computeplan.specs.catalogue.serving import (
    KNOWN,
    HostEntry,
    Known,
    Share,
    engine_of,
    serving_tables,
    share_of,
)
from computeplan.validation.serving_cases import ServingCase, published_serving

__all__ = [
    "Layouts",
    "Priced",
    "Said",
    "engine_of_case",
    "fit_hosts",
    "fit_share",
    "left_out",
    "out_of_sample",
    "predicted",
    "priced",
    "priced_rows",
    "serving_yaml",
    "utilisation",
]

FITTED = ("static", "offline", "closed", "decode", "prefill")
"""Kinds of rows that take part."""
FEWEST_ROWS, FEWEST_OF_CHIP = 3, 8
"""Rows of an engine at a precision, and of one chip with it, that there must be."""
LOSS_SCALE = 0.1
BOUNDS = {"memory": (0.03, 1.12), "peak": (0.02, 0.95), "start": (5e-4, 0.2), "seq": (1e-6, 2e-4)}
"""Of 85 % of the data sheet's bandwidth, so that 1.12 is 95 %; of the dense peak; [s]."""
USUAL_HOST = (2e-3, 1e-5)
"""What a host usually takes, a step and a sequence. [s]"""
USUAL, PULL = (0.9, 0.45), 0.1
"""Shares of bandwidth and peak that others have, and what a share e times as large costs: as much
as one row that is 10 % off; the same for the host. Rows of small batches alone say nothing of the
peak."""
STARTS = ((0.9, 0.4), (0.5, 0.2))
TPS = (1.0, 2.0, 4.0, 8.0)
"""Tensor parallel ranks to choose from where a row does not say; the best one counts."""
HEAD = """\
# Made by python -m computeplan.validation.serving_fit from published/serving.yaml: do not edit.
# hosts: what the host of an engine takes, a step and a sequence [s]. shares: of 85 % of the memory
# bandwidth and of the dense peak, by engine, precision, and dense models or mixtures of experts;
# chips: where there are rows enough of one. error: mean absolute relative error on these rows.
# spread: standard deviation of the logarithm of predicted over measured tokens a second, from rows
# left out: a model (chip), a chip (precision), a precision (engine), an engine (none).
"""


@dataclass(frozen=True, slots=True)
class Layouts:
    """The steps of one row, at the layouts that it may have had."""

    instances: tuple[Instance, ...]
    terms: tuple[Terms, ...]
    copies: tuple[float, ...]
    """Instances that the chips of the row hold."""


@dataclass(frozen=True, slots=True)
class Priced:
    """A row with the steps it is made of, but for the speed of the engine."""

    case: ServingCase
    engine: str
    kind: str
    """``dense`` or ``experts``."""
    measured: float
    """Output tokens, or prompt tokens where it only takes in prompts. [token/s]"""
    layouts: Layouts

    @property
    def chip(self) -> str:
        """Full name of the chip."""
        assert self.case.chip is not None
        return self.case.chip.kin

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.case.row.model

    @property
    def group(self) -> str:
        """Name of the entry of its shares."""
        return f"{self.engine} {self.case.precision} {self.kind}"


@dataclass(frozen=True, slots=True)
class Said:
    """What is predicted of a row."""

    tokens_per_s: float
    """Of all chips: output tokens, or prompt tokens where it only takes in prompts."""
    tpot_s: float
    prompt_s: float
    """Between two tokens of a sequence, and for one prompt by itself. [s]"""
    instance: Instance
    batch: float
    """The layout with the most tokens a second, and the sequences that decode on it."""
    utilisation: tuple[float, float]
    """Shares of the memory bandwidth and of the dense peak that are in use, mean."""


def engine_of_case(case: ServingCase) -> str:
    """Return the entry of the engine of a row; releases before 1.0 of TensorRT-LLM are another."""
    name = case.row.engine
    if name == "TensorRT-LLM" and (case.row.version or "").startswith("0."):
        name = "TensorRT-LLM-2023"
    return engine_of(name, case.row.chip)


def priced(case: ServingCase) -> Priced | None:
    """Return a row with its steps, or None where it says too little or has no room."""
    if case.chip is None or case.model is None or case.row.n_chips is None:
        return None
    measured = case.measured.get("output_tok_per_s") or case.measured.get("input_tok_per_s")
    try:
        engine = engine_of_case(case)
        layouts = _layouts(case, engine)
    except ValueError:
        return None
    if not layouts.terms:
        return None
    kind = "experts" if case.has_experts else "dense"
    return Priced(case, engine, kind, measured or float("nan"), layouts)


def priced_rows(cases: Iterable[ServingCase] | None = None) -> list[Priced]:
    """Return the rows that take part in the fit."""
    found = []
    for case in published_serving() if cases is None else cases:
        if not case.is_gated or case.row.kind not in FITTED:
            continue
        row = priced(case)
        if row is not None and np.isfinite(row.measured):
            found.append(row)
    return found


def _layouts(case: ServingCase, engine: str) -> Layouts:
    row = case.row
    assert case.chip is not None
    assert case.model is not None
    assert row.n_chips is not None
    n_ranks = float(row.n_chips * case.chip.ranks_per_chip)
    speculation = Speculation()
    if row.speculative is not None:
        drafted = float(row.speculative.draft_steps or 1)
        speculation = Speculation(drafted, row.speculative.accept_length)
    cache = None if case.kv_is_assumed else case.kv
    instances, terms, copies = [], [], []
    for split in _splits(case, n_ranks):
        found, _ = instance_of(case.chip, case.model, engine, case.precision, split, cache)
        instance = replace(found, speculation=speculation)
        n = n_ranks / float(split.n_ranks)
        steps = _terms(case, instance, n)
        if steps is not None:
            instances.append(instance)
            terms.append(steps)
            copies.append(n)
    return Layouts(tuple(instances), tuple(terms), tuple(copies))


def _splits(case: ServingCase, n_ranks: float) -> list[Split]:
    row = case.row
    if row.tp is not None:
        dp = float(row.dp or 1) if case.has_experts else 1.0
        return [Split.of(tp=row.tp, pp=row.pp or 1, dp=dp, ep=row.ep or dp)]
    few = [n for n in TPS if n <= n_ranks]
    found = [Split.of(tp=n) for n in few]
    if case.has_experts:
        found += [Split.of(dp=n, ep=n) for n in few if n > 1]
    return found


def _terms(case: ServingCase, instance: Instance, copies: float) -> Terms | None:
    """Return the steps of one instance of a row, or None where nothing has room."""
    row = case.row
    n_ranks = float(instance.split.n_ranks)
    assert case.chip is not None
    per_chip = case.chip.ranks_per_chip
    if row.kind == "prefill":
        assert row.tokens_per_chip is not None
        assert row.input_len is not None
        tokens = row.tokens_per_chip / per_chip * n_ranks
        whole = replace(instance, engine=replace(instance.engine, chunk=float("inf")))
        return terms_of(whole, 1.0, row.input_len, 1.0, at_once=max(tokens / row.input_len, 1.0))
    if row.kind == "decode":
        assert row.context_len is not None
        batch = (row.batch_per_chip or 0) / per_chip * n_ranks
        return terms_of(instance, batch, row.context_len, 1e-9, at_once=1.0) if batch else None
    if row.input_len is None or row.output_len is None:
        return None
    if row.kind == "static":
        batch = (row.batch or 0) / copies
        return terms_of(instance, batch, row.input_len, row.output_len, at_once=batch)
    batch = float(largest_batch(instance, row.input_len, row.output_len))
    asked = row.avg_batch or row.active or case.concurrency
    if asked is None:
        return None
    # What was run had room, whatever is said of it here.
    if np.isfinite(asked):
        batch = asked / copies if batch < 1.0 else min(batch, asked / copies)
    return terms_of(instance, batch, row.input_len, row.output_len) if batch >= 1.0 else None


@dataclass(frozen=True, slots=True)
class _Stack:
    """Rows one after the other: their layouts as arrays."""

    rows: tuple[Priced, ...]
    of: Any
    """Row of each layout."""
    kinds: Any
    terms: Terms
    copies: Any

    def rates(self, speed: Speed) -> FloatArray:
        """Return the tokens a second of every layout."""
        wide = Speed(
            **{f.name: np.broadcast_to(getattr(speed, f.name), len(self.rows)) for f in _SPEED}
        )
        each = Speed(**{f.name: getattr(wide, f.name)[self.of] for f in _SPEED})
        terms = self.terms
        found = continuous(each, terms).tokens_per_s
        found = np.where(self.kinds == "static", static(each, terms).tokens_per_s, found)
        alone = terms.batch * terms.accepted / decode_of(each, terms)
        found = np.where(self.kinds == "decode", alone, found)
        prompts = prompt_of(each, terms) + each.start_s * terms.prompt_part
        found = np.where(self.kinds == "prefill", terms.n_in / prompts, found)
        return np.asarray(found * self.copies)

    def errors(self, speed: Speed) -> FloatArray:
        """Return the logarithms of predicted over measured, of the best layout of every row."""
        best = np.zeros(len(self.rows))
        np.maximum.at(best, self.of, self.rates(speed))
        found: FloatArray = np.log(best / np.array([row.measured for row in self.rows]))
        return found


_SPEED = fields(Speed)


def _stacked(rows: Sequence[Priced]) -> _Stack:
    each = [
        (place, row.case.row.kind, terms, copies)
        for place, row in enumerate(rows)
        for terms, copies in zip(row.layouts.terms, row.layouts.copies, strict=True)
    ]
    of, kinds, terms, copies = zip(*each, strict=True)
    return _Stack(tuple(rows), np.array(of), np.array(kinds), _joined(terms), np.array(copies))


def _joined(items: Sequence[Any]) -> Any:
    """Return one item of arrays from many of numbers."""
    first = items[0]
    if is_dataclass(first) and not isinstance(first, type):
        parts = {f.name: _joined([getattr(i, f.name) for i in items]) for f in fields(first)}
        return type(first)(**parts)
    return np.array([float(item) for item in items])


def _speed(rows: Sequence[Priced], memory: Any, peak: Any, start_s: Any, sequence_s: Any) -> Speed:
    entries = [serving_tables().engines[row.engine] for row in rows]
    layer = [
        entry.expert_layer_s if row.kind == "experts" else entry.layer_s
        for row, entry in zip(rows, entries, strict=True)
    ]
    calls = np.array([entry.call_s for entry in entries])
    return Speed(memory, peak, start_s, np.array(layer), sequence_s, calls)


def _least(
    errors: Callable[[FloatArray], FloatArray], starts: Iterable[FloatArray], bounds: FloatArray
) -> FloatArray:
    """Return the logarithms with the least loss from the best of some starts."""
    found = [
        least_squares(
            errors, start, bounds=bounds, loss="soft_l1", f_scale=LOSS_SCALE, ftol=1e-5, xtol=1e-4
        )
        for start in starts
    ]
    return np.asarray(min(found, key=lambda one: float(one.cost)).x, dtype=np.float64)


def _pull(logs: FloatArray) -> FloatArray:
    """Return what draws shares to usual ones where rows do not tell, as errors of rows."""
    return PULL * (logs.reshape(-1, 2) - np.log(USUAL)).ravel()


def fit_share(rows: Sequence[Priced], host: HostEntry) -> Share:
    """Return the shares that fit some rows of an engine best.

    Raises
    ------
    ValueError
        If there are fewer than `FEWEST_ROWS`.
    """
    if len(rows) < FEWEST_ROWS:
        raise ValueError(f"{len(rows)} rows are too few: {FEWEST_ROWS} are needed")
    stack = _stacked(rows)

    def errors(logs: FloatArray) -> FloatArray:
        memory, peak = np.exp(logs)
        found = stack.errors(_speed(rows, memory, peak, host.start_s, host.sequence_s))
        return np.append(found, _pull(logs))

    bounds = np.log([BOUNDS["memory"], BOUNDS["peak"]]).T
    logs = _least(errors, [np.log(start) for start in STARTS], bounds)
    memory, peak = np.exp(logs)
    return Share(
        memory_frac=float(f"{memory:.4g}"),
        peak_frac=float(f"{peak:.4g}"),
        rows=len(rows),
        models=len({row.model for row in rows}),
        error=float(f"{np.abs(np.expm1(errors(logs)[: len(rows)])).mean():.3f}"),
    )


def fit_hosts(rows: Sequence[Priced]) -> dict[str, HostEntry]:
    """Return what the host of each engine takes, fitted with the shares of all its groups at once.

    Engines with fewer than `FEWEST_OF_CHIP` rows have none of their own.
    """
    found = {}
    for engine in dict.fromkeys(row.engine for row in rows):
        mine = [row for row in rows if row.engine == engine]
        if len(mine) < FEWEST_OF_CHIP:
            continue
        groups = [f"{row.group} {row.chip}" for row in mine]
        names = list(dict.fromkeys(groups))
        place = np.array([names.index(group) for group in groups])
        stack = _stacked(mine)

        def errors(
            logs: FloatArray, mine: Any = mine, place: Any = place, stack: Any = stack
        ) -> FloatArray:
            numbers = np.exp(logs)
            shares = numbers[2:].reshape(-1, 2)[place]
            speed = _speed(mine, shares[:, 0], shares[:, 1], numbers[0], numbers[1])
            host = PULL * (logs[:2] - np.log(USUAL_HOST))
            return np.concatenate([stack.errors(speed), _pull(logs[2:]), host])

        limits = [BOUNDS["start"], BOUNDS["seq"]] + [BOUNDS["memory"], BOUNDS["peak"]] * len(names)
        start = np.log([*USUAL_HOST, *STARTS[0] * len(names)])
        logs = _least(errors, [start], np.log(limits).T)
        start_s, sequence_s = np.exp(logs[:2])
        found[engine] = HostEntry(
            start_s=float(f"{start_s:.3g}"), sequence_s=float(f"{sequence_s:.3g}"), rows=len(mine)
        )
    return found


def left_out(
    rows: Sequence[Priced],
    hosts: dict[str, HostEntry],
    within: Callable[[Priced], str],
    group: Callable[[Priced], str],
) -> list[tuple[Priced, float]]:
    """Return rows with their errors where all rows of their group took no part in the fit.

    Parameters
    ----------
    rows : sequence of Priced
    hosts : dict
        What hosts take, by engine.
    within : callable
        Name of those among which the others are looked for.
    group : callable
        Name of those that are left out together.
    """
    families: dict[str, list[Priced]] = {}
    for row in rows:
        families.setdefault(within(row), []).append(row)
    found = []
    for family in families.values():
        for out in dict.fromkeys(group(row) for row in family):
            kept = [row for row in family if group(row) != out]
            rest = [row for row in family if group(row) == out]
            if len(kept) >= FEWEST_ROWS:
                share = fit_share(kept, _host(hosts, kept[0].engine))
                host = _host(hosts, rest[0].engine)
                speed = _speed(
                    rest, share.memory_frac, share.peak_frac, host.start_s, host.sequence_s
                )
                found += list(zip(rest, map(float, _stacked(rest).errors(speed)), strict=True))
    return found


def _host(hosts: dict[str, HostEntry], engine: str) -> HostEntry:
    seen = set()
    while engine not in hosts and engine not in seen:
        seen.add(engine)
        engine = serving_tables().engines[engine].like
    return hosts.get(engine) or next(iter(hosts.values()))


def out_of_sample(
    rows: Sequence[Priced], hosts: dict[str, HostEntry]
) -> dict[Known, list[tuple[Priced, float]]]:
    """Return rows that were left out of the fit, by what was known of them."""
    return {
        "chip": left_out(rows, hosts, lambda r: f"{r.group} {r.chip}", lambda r: r.model),
        "precision": left_out(rows, hosts, lambda r: r.group, lambda r: r.chip),
        "engine": left_out(
            rows, hosts, lambda r: f"{r.engine} {r.kind}", lambda r: r.case.precision
        ),
        "none": left_out(rows, hosts, lambda r: r.kind, lambda r: r.engine),
    }


def serving_yaml(rows: Sequence[Priced]) -> str:
    """Return the text of ``data/serving_shares.yaml``."""
    hosts = fit_hosts(rows)
    lines = [HEAD, "hosts:\n"]
    for engine, host in hosts.items():
        lines.append(
            f"  {engine}: {{start_s: {host.start_s:.3g}, sequence_s: {host.sequence_s:.3g},"
            f" rows: {host.rows}}}\n"
        )
    lines.append("shares:\n")
    for name, group in sorted(_groups(rows).items()):
        if len(group) < FEWEST_ROWS:
            continue
        host = _host(hosts, group[0].engine)
        chips = {}
        if "any" not in name:
            for chip in sorted({row.chip for row in group}):
                own = [row for row in group if row.chip == chip]
                if len(own) >= FEWEST_OF_CHIP:
                    chips[chip] = fit_share(own, host)
        of_chips = "".join(f"\n      {chip}: {_written(share)}" for chip, share in chips.items())
        share = _written(fit_share(group, host))[1:-1]
        of_chips = f"\n    chips:{of_chips}" if chips else ""
        entry = "".join(f"\n    {part}" for part in share.split(", "))
        lines.append(f"  {name}:{entry}{of_chips}\n")
    lines.append("spread:\n")
    outside = out_of_sample(rows, hosts)
    for kind in ("dense", "experts"):
        spreads = []
        for known in KNOWN:
            errors = [abs(error) for row, error in outside[known] if row.kind == kind]
            spreads.append(float(np.quantile(errors, 0.9)) / INTERVAL)
        rising = np.maximum.accumulate(spreads)  # who knows less is not surer
        written = ", ".join(
            f"{known}: {spread:.3f}" for known, spread in zip(KNOWN, rising, strict=True)
        )
        lines.append(f"  {kind}: {{{written}}}\n")
    return "".join(lines)


def _groups(rows: Sequence[Priced]) -> dict[str, list[Priced]]:
    """Return rows by engine, precision and kind, by engine and kind, and by kind."""
    found: dict[str, list[Priced]] = {}
    for row in rows:
        for name in (row.group, f"{row.engine} any {row.kind}", f"all any {row.kind}"):
            found.setdefault(name, []).append(row)
    return found


def _written(share: Share) -> str:
    return (
        f"{{memory_frac: {share.memory_frac:.4g}, peak_frac: {share.peak_frac:.4g},"
        f" rows: {share.rows}, models: {share.models}, error: {share.error:.3f}}}"
    )


def predicted(row: Priced, share: Share | None = None) -> Said:
    """Return what the catalogue's shares, or others, say of a row.

    Parameters
    ----------
    row : Priced
    share : Share, optional
    """
    experts = row.kind == "experts"
    if share is None:
        share = share_of(row.engine, row.case.precision, row.chip, experts=experts).share
    shape = row.layouts.instances[0].shape
    speed = speed_of(row.engine, shape, share)
    rates = _stacked([row]).rates(speed)
    best = int(np.argmax(rates))
    terms = row.layouts.terms[best]
    steady = (static if row.case.row.kind == "static" else continuous)(speed, terms)
    instance = replace(row.layouts.instances[best], speed=speed)
    alone = float(step_s(speed, terms.prompt) * terms.prompt_part)
    return Said(
        tokens_per_s=float(rates[best]),
        tpot_s=float(steady.tpot_s),
        prompt_s=alone,
        instance=instance,
        batch=float(terms.batch),
        utilisation=utilisation(terms, speed),
    )


def utilisation(terms: Terms, speed: Speed) -> tuple[float, float]:
    """Return the shares of the data sheet's bandwidth and peak that are in use, mean."""
    ends = float(terms.batch * terms.accepted / terms.n_out)
    part = ends * float(terms.prompt_part)
    busy = float(decode_of(speed, terms)) + ends * float(prompt_of(speed, terms))
    reads = products = 0.0
    for work, share in ((terms.decode, 1.0), (terms.prompt, part)):
        reads += share * float(work.weights_s + work.experts_read_s + work.cache_s)
        products += share * float(work.products_s + work.experts_s + work.core_s)
    return HBM_FRAC * reads / busy, products / busy


if __name__ == "__main__":
    target = Path(str(resources.files("computeplan"))) / "data" / "serving_shares.yaml"
    target.write_text(serving_yaml(priced_rows()), "utf-8")
