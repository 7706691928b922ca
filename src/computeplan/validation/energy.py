"""Published energy against what we say of it: the accounts, and the models of power.

Each row has inputs and what is expected of them. What is computed for a quantity is chosen by the
keys that a row has, never by its name: of the formulas for a quantity the first whose inputs are
all there is taken. The accounts (hours, watts, PUE, factors of the grid) are arithmetic on the
row's own inputs; watts of chips, nodes and caps are those of `computeplan.physics.power`, which
other measurements set. What cannot be computed is listed with the key that it lacks.

Long because one table of formulas reads best in one place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from computeplan.compiler.power import node_of, states_of
from computeplan.errors import ScenarioError
from computeplan.notes import Note, note
from computeplan.physics.power.caps import cap_curve, without_point
from computeplan.physics.power.node import (
    COOLING,
    Converter,
    Node,
    fabric_watts,
    input_watts,
    node_watts,
)
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.lookup import load_chip
from computeplan.validation.energy_cases import EnergyCase, Gate

__all__ = ["EnergyRow", "predict_energy"]

HOURS_PER_DAY, MINUTES_PER_HOUR, S_PER_HOUR, S_PER_DAY = 24.0, 60.0, 3600.0, 86_400.0
LEAST_POINTS = 3  # of a curve from which one is left out


@dataclass(frozen=True, slots=True)
class EnergyRow:
    """One quantity of one row."""

    id: str
    meter: str
    meter_note: str
    quantity: str
    expected: float | None
    predicted: float | None
    error: float | None
    """Relative, with its sign; of a cap the difference of speeds over that without one."""
    within: bool | None
    """None where nothing gates it."""
    skipped: Note | None
    """Why it is not computed, or that the row contradicts itself."""
    gate: str
    """Empty where nothing gates it."""
    stops: bool
    """Whether it makes the suite fail: outside its gate, and not a figure that was recalled."""


class _Lacks(Exception):  # noqa: N818 - says what a row lacks; no error of ours
    """An input that a formula needs is missing or is wrong."""

    def __init__(self, why: Note) -> None:
        super().__init__()
        self.why = why


@dataclass(slots=True)
class _Inputs:
    """The inputs of a row, as a formula asks for them."""

    data: Mapping[str, Any]
    expect: Mapping[str, Any]
    n_found: int = field(default=0)
    """How many were asked for and found: the formula that got furthest names what it lacks."""

    def has(self, key: str) -> bool:
        return key in self.data

    def get(self, *path: str | int) -> Any:
        """Return the value at a path."""
        value: Any = self.data
        for i, part in enumerate(path):
            inside = isinstance(value, dict) and part in value
            inside = inside or (
                isinstance(value, list) and isinstance(part, int) and part < len(value)
            )
            if not inside:
                raise _Lacks(note("energy_key_missing", key=_key(path[: i + 1])))
            value = value[part]
        self.n_found += 1
        return value

    def number(self, *path: str | int) -> float:
        """Return a number > 0."""
        value = self.get(*path)
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not (good and 0 < value < math.inf):
            self.n_found -= 1
            raise _Lacks(note("energy_key_wrong", key=_key(path), given=repr(value)[:40]))
        return float(value)

    def word(self, *path: str | int) -> str:
        """Return a word."""
        value = self.get(*path)
        if not isinstance(value, str):
            self.n_found -= 1
            raise _Lacks(note("energy_key_wrong", key=_key(path), given=repr(value)[:40]))
        return value

    def chip(self, key: str = "chip") -> Chip:
        """Return the chip of the catalogue."""
        name = self.word(key)
        try:
            chip, _ = load_chip(name)
            states_of(chip)
        except (ScenarioError, ValueError) as error:
            raise _Lacks(note("energy_input_refused", key=_key((key,)), why=str(error))) from None
        return chip


def _key(path: Sequence[str | int]) -> str:
    return "inputs" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)


class _Formula(NamedTuple):
    """How a quantity is computed, and what gates it."""

    quantity: str
    """A regular expression of its name; its groups go to the function."""
    compute: Callable[..., float]
    gate: str = ""


# Accounts ----------------------------------------------------------------------------------------


def _days(row: _Inputs) -> float:
    """Return days of training: FLOP over FLOP/s."""
    flop_per_s = row.number("chips") * row.number("achieved_tflops") * 1e12
    return row.number("flop_total") / flop_per_s / S_PER_DAY


def _mwh(row: _Inputs) -> float:
    """Return chips x watts x days x PUE."""
    chips_mw = row.number("chips") * row.number("w_avg") / 1e6
    days = row.number("days") if row.has("days") else _days(row)
    return chips_mw * days * HOURS_PER_DAY * row.number("pue")


def _tonnes(row: _Inputs) -> float:
    return _mwh(row) * row.number("grid_kg_per_kwh")


def _dynamic_kwh(row: _Inputs) -> float:
    return row.number("gpu_hours") * row.number("w_per_gpu") / 1000


def _dynamic_t(row: _Inputs) -> float:
    return _dynamic_kwh(row) * row.number("grid_kg_per_kwh") / 1000


def _idle_t(row: _Inputs) -> float:
    return row.number("idle_kwh") * row.number("grid_kg_per_kwh") / 1000


def _total_t(row: _Inputs) -> float:
    return _dynamic_t(row) + _idle_t(row) + row.number("embodied_t")


def _card_t(row: _Inputs, model: str) -> float:
    """Return GPU-hours x watts (x PUE, if a card applies one) x factor of the grid, of a model."""
    kwh = row.number("rows", model, "gpu_h") * row.number("w_per_gpu") / 1000
    pue = row.number("pue") if row.has("pue") else 1.0
    return kwh * pue * row.number("grid_kg_per_kwh") / 1000


def _cards_t(row: _Inputs) -> float:
    models = row.get("rows")
    if not isinstance(models, dict):
        raise _Lacks(note("energy_key_wrong", key="inputs.rows", given=repr(models)[:40]))
    return sum(_card_t(row, model) for model in models)


def _of_site(row: _Inputs, run: str, what: str) -> float:
    """Return tonnes or kilolitres of a run: MWh with PUE, times the factor of its site."""
    mwh = row.number("rows_mwh_incl_pue", run)
    site = row.word("site_of", run)
    return mwh * row.number("sites", site, {"t": "kg_per_kwh", "kl": "l_per_kwh_offsite"}[what])


def _mwh_at_limit(row: _Inputs) -> float:
    return row.number("gpu_hours") * row.number("w_tdp") / 1e6


def _mwh_of_facility(row: _Inputs) -> float:
    return row.number("gpu_hours") * row.number("node_w_per_gpu") * row.number("pue") / 1e6


def _gwh_of_modules(row: _Inputs) -> float:
    w = row.number("chips") * row.number("w_per_module")
    return w * row.number("days") * HOURS_PER_DAY / 1e9


def _side(row: _Inputs, chip: str) -> str:
    """Return the key of the side of a comparison that has a chip."""
    for key, side in row.data.items():
        if isinstance(side, dict) and side.get("chip") == chip:
            return key
    wanted = f"inputs.*.chip: {chip}"
    raise _Lacks(note("energy_key_missing", key=wanted))


def _w_of_side(row: _Inputs, chip: str) -> float:
    side = _side(row, chip)
    return row.number(side, "mw") * 1e6 / row.number(side, "chips")


def _mwh_of_side(row: _Inputs, chip: str) -> float:
    side = _side(row, chip)
    return row.number(side, "mw") * row.number(side, "days") * HOURS_PER_DAY


def _ratio_of_sides(row: _Inputs) -> float:
    mwh = [row.number(s, "mw") * row.number(s, "days") for s in ("a", "b")]
    return mwh[0] / mwh[1]


def _mwh_per_day(row: _Inputs) -> float:
    return row.number("servers") * row.number("kw_per_server") * HOURS_PER_DAY / 1000


def _wh_per_request(row: _Inputs) -> float:
    return _mwh_per_day(row) * 1e6 / row.number("requests_per_day")


# Power -------------------------------------------------------------------------------------------


def _w_of_run(row: _Inputs) -> float:
    """Return the mean watts of a chip over a run: it computes as long as its tokens take."""
    states = states_of(row.chip())
    hours = row.number("tokens") / row.number("tok_per_s_per_gpu") / S_PER_HOUR
    kept = min(hours / row.number("gpu_hours"), 1.0)
    return kept * states.compute_w + (1.0 - kept) * states.load_w


def _mwh_of_run(row: _Inputs) -> float:
    return _w_of_run(row) * row.number("gpu_hours") / 1e6


def _server(row: _Inputs) -> tuple[Chip, int, str]:
    """Return chip, chips and cooling of a node: by key, or out of words such as 8 x H100 air."""
    words: list[str] = []
    if not row.has("chip") and row.has("node"):
        found = re.search(r"(\d{1,3}) x (\S+).*\b(air|liquid|immersion)\b", row.word("node"))
        words = [*found.groups()] if found else []
    if words:
        named = _Inputs({**row.data, "chip": words[1]}, row.expect)
        chip, n_chips = named.chip(), int(words[0])
        row.n_found += 1
        return chip, n_chips, row.word("cooling") if row.has("cooling") else words[2]
    chip = row.chip()
    return chip, round(row.number("chips")), row.word("cooling")


def _around(chip: Chip, cooling: str, *, behind_supply: bool = False) -> tuple[int, Node]:
    """Return chips and surroundings of the usual server of a chip."""
    for cooled in COOLING:
        if cooled == cooling:
            return node_of(chip, cooled, behind_supply=behind_supply)
    raise _Lacks(note("energy_key_wrong", key="inputs.cooling", given=repr(cooling)[:40]))


def _node_kw(row: _Inputs, state: str) -> float:
    """Return a node whose chips all compute, or all stand at their limit."""
    chip, n_chips, cooling = _server(row)
    _, node = _around(chip, cooling)
    limit = chip.power.tdp
    assert limit is not None  # checked with the states
    assert limit.value is not None
    chip_w = states_of(chip).compute_w if state == "compute" else limit.value
    return float(node_watts(n_chips * chip_w, node)) / 1000


def _share_of_rating(row: _Inputs) -> float:
    return _node_kw(row, "compute") / row.number("rated_kw")


def _node_kw_of_chips(row: _Inputs) -> float:
    """Return a node of which the watts of a chip are read, too."""
    chip, n_chips, cooling = _server(row)
    _, node = _around(chip, cooling)
    return float(node_watts(n_chips * row.number("w_per_chip"), node)) / 1000


def _efficiency(row: _Inputs, i: int) -> float:
    """Return the parallel efficiency of a run: stated, or of nodes and minutes by the first."""
    if row.has("parallel_efficiency"):
        return min(row.number("parallel_efficiency", i), 1.0)
    first = row.number("nodes", 0) * row.number("minutes", 0)
    return min(first / (row.number("nodes", i) * row.number("minutes", i)), 1.0)


def _node_kw_of_run(row: _Inputs, place: str) -> float:
    """Return a node that loses efficiency to communication, read behind its supply."""
    chip, share = row.chip(), _efficiency(row, int(place))
    n_chips, node = _around(chip, row.word("cooling"), behind_supply=True)
    states = states_of(chip)
    chip_w = share * states.compute_w + (1.0 - share) * states.comm_w
    return float(node_watts(n_chips * chip_w, node)) / 1000


def _network_kw(row: _Inputs, place: str) -> float:
    nodes = row.number("nodes", int(place))
    n_chips, _ = node_of(row.chip())
    return fabric_watts(math.ceil(nodes * n_chips)) / nodes / 1000 if nodes > 1 else 0.0


def _combined_kw(row: _Inputs, place: str) -> float:
    return _node_kw_of_run(row, place) + _network_kw(row, place)


def _kwh_of_run(row: _Inputs, place: str) -> float:
    hours = row.number("minutes", int(place)) / MINUTES_PER_HOUR
    return _combined_kw(row, place) * row.number("nodes", int(place)) * hours


def _supply_ratio(row: _Inputs, place: str) -> float:
    inside_w = _node_kw_of_run(row, place) * 1000
    _, node = node_of(row.chip())
    assert node.supply is not None  # of the default
    return float(input_watts(node.supply, inside_w)) / inside_w


def _w_of_many(row: _Inputs) -> float:
    """Return the watts of a chip of a cluster in training, with nodes and network."""
    n = row.number("chips")
    n_chips, node = _around(row.chip(), row.word("cooling"))
    node_w = float(node_watts(n_chips * states_of(row.chip()).compute_w, node))
    return node_w / n_chips + fabric_watts(math.ceil(n)) / n


def _kwh_of_many(row: _Inputs) -> float:
    hours = row.number("minutes") / MINUTES_PER_HOUR
    return _w_of_many(row) * row.number("chips") * hours / 1000


def _share_of_server(row: _Inputs) -> float:
    chip = row.chip()
    rated = chip.server and chip.server.max_power and chip.server.max_power.value
    if not (chip.server and chip.server.chips.value and rated):
        rating = f"{chip.name}: server.max_power"
        raise _Lacks(note("energy_key_missing", key=rating))
    return _w_of_many(row) * chip.server.chips.value / rated


def _system_mw(row: _Inputs, state: str) -> float:
    """Return nodes, switches, rectifiers and pumps of a machine, put together by racks."""
    i = 0 if state == "idle" else 1
    inside_w = (
        row.number("cpu_w", i)
        + row.number("gpus_per_node") * row.number("gpu_w", i)
        + row.number("mem_w")
        + row.number("nics") * row.number("nic_w")
        + row.number("nvme_w")
    )
    node_w = float(input_watts(_converter(row, "sivoc"), inside_w))
    racks, per_rack = row.number("racks"), row.number("nodes_per_rack")
    per_rack = min(per_rack, row.number("nodes") / racks)
    rack_w = per_rack * node_w + row.number("switches_per_rack") * row.number("switch_w")
    n_rectifiers = round(row.number("rectifier", "per_rack"))
    drawn_w = float(input_watts(_converter(row, "rectifier"), rack_w, n_rectifiers))
    return (racks * drawn_w + row.number("cdus") * row.number("cdu_w")) / 1e6


def _converter(row: _Inputs, key: str) -> Converter:
    converter = Converter(row.number(key, "const_w"), row.number(key, "eff"))
    if converter.efficiency_frac > 1:
        given = repr(converter.efficiency_frac)
        raise _Lacks(note("energy_key_wrong", key=_key((key, "eff")), given=given))
    return converter


def _speed_at_cap(row: _Inputs, curve: str, cap: str) -> float:
    """Return the speed at a cap, from the other caps of the chip."""
    row.get("dataset")
    points = {float(c): s for c, s in row.expect[curve].items()}
    caps = sorted(points)
    place = caps.index(float(cap))
    if len(caps) < LEAST_POINTS:
        raise _Lacks(note("energy_few_caps"))
    if place == 0:
        raise _Lacks(note("energy_lowest_cap"))
    speeds = [points[c] for c in caps]
    return without_point(cap_curve(caps, speeds, caps), place)[0]


FORMULAS = (
    _Formula("days", _days, "chain"),
    _Formula("mwh", _mwh, "chain"),
    _Formula("mwh", _mwh_of_run, "chip"),
    _Formula("tco2e", _tonnes, "chain"),
    _Formula("dynamic_kwh", _dynamic_kwh, "chain"),
    _Formula("dynamic_t", _dynamic_t, "chain"),
    _Formula("idle_t", _idle_t, "chain"),
    _Formula("total_t", _total_t, "chain"),
    _Formula(r"tco2e(?:_location)?\.total", _cards_t, "chain"),
    _Formula(r"tco2e(?:_location)?\.(?!total$)(.+)", _card_t, "chain"),
    _Formula(r"(.+)\.(t|kl)", _of_site, "chain"),
    _Formula("mwh_tdp", _mwh_at_limit, "chain"),
    _Formula("mwh_facility.*", _mwh_of_facility, "chain"),
    _Formula("gwh", _gwh_of_modules, "chain"),
    _Formula(r"w_per_gpu\.(.+)", _w_of_side, "chain"),
    _Formula(r"mwh\.(.+)", _mwh_of_side, "chain"),
    _Formula("ratio", _ratio_of_sides, "chain"),
    _Formula("mwh_per_day", _mwh_per_day, "chain"),
    _Formula("wh_per_request", _wh_per_request, "chain"),
    _Formula("w_avg", _w_of_run, "chip"),
    _Formula("mean_fraction_of_rated_compute_heavy", _share_of_rating, "node"),
    _Formula("max_kw_training", lambda row: _node_kw(row, "limit")),
    _Formula("gpu_burn_max_kw", lambda row: _node_kw(row, "compute")),
    _Formula("node_kw", _node_kw_of_chips, "node"),
    _Formula(r"node_kw\[(\d+)\]", _node_kw_of_run, "nodes"),
    _Formula(r"network_kw_per_node\[(\d+)\]", _network_kw),
    _Formula(r"combined_kw\[(\d+)\]", _combined_kw),
    _Formula(r"energy_kwh_dc\[(\d+)\]", _kwh_of_run),
    _Formula(r"ac_over_dc\[(\d+)\]", _supply_ratio),
    _Formula("w_per_gpu", _w_of_many),
    _Formula("kwh", _kwh_of_many),
    _Formula("fraction_of_10p2kw", _share_of_server),
    _Formula("(idle|peak)_mw", _system_mw, "system"),
    _Formula(r"(.+_\d+W)\.([\d.]+)", _speed_at_cap, "caps"),
)
"""The first whose inputs are all there computes a quantity."""


# Rows --------------------------------------------------------------------------------------------


def predict_energy(cases: Sequence[EnergyCase], gates: Mapping[str, Gate]) -> tuple[EnergyRow, ...]:
    """Return every quantity of every row beside what we say of it, in the order of the rows.

    Parameters
    ----------
    cases : sequence of EnergyCase
        The rows.
    gates : mapping of str to Gate
        How near each kind of prediction must be where a row does not say.

    Examples
    --------
    >>> from computeplan.validation.energy_cases import read_energy
    >>> rows = predict_energy(*read_energy())
    >>> [f"{row.predicted:.2f}" for row in rows if row.id == "frontier-system"]
    ['7.31', '28.23']
    """
    return tuple(row for case in cases for row in _rows(case, gates))


def _rows(case: EnergyCase, gates: Mapping[str, Gate]) -> Iterator[EnergyRow]:
    if case.skipped is not None and not case.expect:
        yield _row(case, "", None, None, "", case.skipped, gates)
    for quantity, expected in _leaves(case.expect, ""):
        is_number = isinstance(expected, int | float) and not isinstance(expected, bool)
        if not (is_number and math.isfinite(expected)):
            key = f"expect.{quantity}"
            wrong = note("energy_key_wrong", key=key, given=repr(expected)[:40])
            yield _row(case, quantity, None, None, "", wrong, gates)
        elif case.skipped is not None:
            yield _row(case, quantity, float(expected), None, "", case.skipped, gates)
        else:
            found = _computed(case, quantity)
            yield _row(case, quantity, float(expected), *found, gates)


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield every expected value with its name; null expects nothing."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from _leaves(inside, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for i, inside in enumerate(value):
            yield from _leaves(inside, f"{name}[{i}]")
    elif value is not None:
        yield name, value


def _computed(case: EnergyCase, quantity: str) -> tuple[float | None, str, Note | None]:
    """Return what is predicted, by which gate it is held, and why there is nothing."""
    lacks: list[tuple[int, Note]] = []
    for formula in FORMULAS:
        match = re.fullmatch(formula.quantity, quantity)
        if match is None:
            continue
        row = _Inputs(case.inputs, case.expect)
        try:
            with np.errstate(all="ignore"):
                value = float(formula.compute(row, *match.groups()))
        except _Lacks as lack:
            lacks.append((row.n_found, lack.why))
        except (ValueError, OverflowError, ZeroDivisionError, TypeError) as error:
            refused = note("energy_input_refused", key="inputs", why=str(error))
            lacks.append((row.n_found, refused))
        else:
            if math.isfinite(value):
                return value, formula.gate, None
            overflow = note("energy_input_refused", key="inputs", why=repr(value))
            lacks.append((row.n_found, overflow))
    if not lacks:
        return None, "", note("energy_no_formula")
    return None, "", max(lacks, key=lambda lack: lack[0])[1]


def _row(
    case: EnergyCase,
    quantity: str,
    expected: float | None,
    predicted: float | None,
    gate: str,
    skipped: Note | None,
    gates: Mapping[str, Gate],
) -> EnergyRow:
    why = next((w for run, w in case.erratum.items() if f"{quantity}.".startswith(f"{run}.")), None)
    error = None
    if predicted is not None and expected is not None:
        if gate == "caps":
            error = predicted - expected
        elif expected != 0 and math.isfinite(predicted / expected):
            error = predicted / expected - 1.0
    if why is not None and skipped is None:
        skipped = note("energy_erratum", why=why)
    most = case.tolerance
    if most is None and gate in gates:
        most = gates[gate].within
    judged = gate in gates and error is not None and most is not None and why is None
    within = None
    if judged and case.judged:
        assert error is not None
        assert most is not None
        within = abs(error) <= most
    return EnergyRow(
        id=case.id,
        meter=case.meter,
        meter_note=case.meter_note,
        quantity=quantity,
        expected=expected,
        predicted=predicted,
        error=error,
        within=within,
        skipped=skipped,
        gate=gate if within is not None else "",
        stops=within is False and not case.recalled,
    )
