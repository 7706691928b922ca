"""Published training runs: reading their rows, and turning each into a question to the model.

A row may leave out what its source does not say: the architecture is then that of the catalogue
under the model's name, the switches are those of its framework in ``data/software.yaml``. What was
assumed is listed. A row that cannot be priced keeps its place with the reason. A chip may be a YAML
file beside the rows, a model a Hugging Face ``config.json`` there.

Long because a row, what it leaves out and the question it makes are read together.

Long because it holds the whole way from a row to a question.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import ConfigDict, Field, ValidationError

from computeplan.compiler.hardware import fabric_of
from computeplan.compiler.software import software_of
from computeplan.compiler.speed import layout_problem
from computeplan.errors import ScenarioError
from computeplan.notes import Note, note
from computeplan.physics.steptime.collectives import Fabric
from computeplan.physics.steptime.kept import known
from computeplan.physics.steptime.layout import RECOMPUTE, Layout, Software
from computeplan.physics.steptime.step import Training
from computeplan.physics.steptime.transformer import Shape, shape_of
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.hf_config import load_config
from computeplan.specs.catalogue.lookup import load_chip, load_model, parse_chip, parse_model
from computeplan.specs.catalogue.models import Transformer
from computeplan.specs.catalogue.resolve import beside
from computeplan.specs.catalogue.software import framework_of, stack_of
from computeplan.specs.documents.document import load_document
from computeplan.specs.fields import Count, Frozen
from computeplan.specs.jobs import Parallelism
from computeplan.specs.software import Switches

__all__ = ["Case", "Question", "mixture_cases", "published_cases", "read_cases"]

FILE = "the case file"
ROUTERS = ("real", "forced balance", "random routing", "token drop", "dropless")
FIRST_YEAR, LAST_YEAR = 2017, 2035
ZERO = {"none": 0, "zero0": 0, "zero1": 1, "zero2": 2, "zero3": 3, "fsdp": 3, "hsdp": 3}
ROUNDS = {"v0.7": 2020.6, "v1.0": 2021.5, "v1.1": 2021.9, "v2.0": 2022.5, "v2.1": 2022.9}
ROUNDS |= {"v3.0": 2023.5, "v3.1": 2023.9, "v4.0": 2024.5, "v4.1": 2024.9, "v5.0": 2025.5}
"""When the results of a round of MLPerf Training came out, as a year."""


class _Loose(Frozen):
    """A part of a row; what a source states beyond the fields is kept and not used."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Measured(_Loose):
    """What was measured."""

    step_s: Annotated[float, Field(ge=1e-6, le=1e9)] | None = None
    tokens_s_chip: Annotated[float, Field(ge=1e-6, le=1e9)] | None = None


class _Mixture(_Loose):
    """The experts of a row's model."""

    experts: Count
    topk: Count | None = None
    top_k: Count | None = None
    expert_ffn: Count
    shared: Annotated[int, Field(ge=0)] | None = None
    dense_layers: Annotated[int, Field(ge=0)] | None = None
    dense_ffn: Count | None = None


class _Model(_Loose):
    """The model of a row."""

    name: str = ""
    config: str | None = None
    layers: Count | None = None
    hidden: Count | None = None
    ffn: Count | None = None
    heads: Count | None = None
    kv_heads: Count | None = None
    head_dim: Count | None = None
    vocab: Count | None = None
    gated_mlp: bool | None = None
    tied_embeddings: bool | None = None
    moe: _Mixture | None = None


class _Row(_Loose):
    """A row as it is written."""

    id: str
    chip: str
    chips: Count | None = None
    framework: str | None = None
    network: str | None = None
    precision: str = "bf16"
    model: _Model
    seq_len: Count | None = None
    global_batch: Count | None = None
    micro_batch: Count | None = None
    tp: Count | None = None
    pp: Count | None = None
    cp: Count = 1
    ep: Count = 1
    dp: Count | None = None
    vpp: Count | None = None
    recompute: str | None = None
    sequence_parallel: bool | None = None
    dp_sharding: str | None = None
    dispatcher: str | None = None
    ep_overlap: bool | None = None
    cuda_graph: str | None = None
    grouped: str | None = None
    router: str | None = None
    etp: Count = 1
    mtp: Annotated[int, Field(ge=0, le=100)] = 0
    recompute_modules: list[str] | None = None
    recompute_share: Annotated[float, Field(gt=0, le=1)] | None = None
    layout_assumed: list[str] | None = None
    measured: _Measured
    verified: bool = True
    source: str = ""
    release: str | None = None
    date: str | None = None


class Question(NamedTuple):
    """What the model is asked about a row."""

    chip: Chip
    precision: str
    training: Training
    layout: Layout
    software: Software
    kernel: str
    stack: str
    """Of the framework."""
    fabric: Fabric
    n_chips: int


@dataclass(frozen=True, slots=True)
class Case:
    """A row, and the question it makes."""

    id: str
    model: str
    source: str
    release: str
    """As written; the release of a row that names none is its source."""
    verified: bool
    """Whether the figure was read in its source."""
    measured_s: float | None
    """Seconds of a step. [s]"""
    year: float | None
    """Of the software, with its fraction."""
    question: Question | None = None
    """None where the row makes none."""
    skipped: str = ""
    """Why there is no question."""
    assumed: tuple[Note, ...] = ()
    """What the row left out, and what was assumed for it."""
    framework: str = ""
    """The entry of the software table."""
    states_layout: bool = False
    """Whether the row itself says all that decides the memory."""
    is_guessed: bool = False
    """Whether a part of the layout is a guess, which the row lists under ``layout_assumed``."""


@cache
def published_cases() -> tuple[Case, ...]:
    """Return the rows that ship with computeplan.

    Examples
    --------
    >>> cases = published_cases()
    >>> len(cases), sum(case.verified for case in cases)
    (158, 148)
    """
    path = Path(str(resources.files("computeplan"))) / "data" / "published" / "training.yaml"
    return read_cases(path, "published training.yaml")


@cache
def mixture_cases() -> tuple[Case, ...]:
    """Return the rows with experts that ship with computeplan."""
    path = Path(str(resources.files("computeplan"))) / "data" / "published" / "mixtures.yaml"
    return read_cases(path, "published mixtures.yaml")


def read_cases(path: Path, shown: str | None = None) -> tuple[Case, ...]:
    """Return the rows of a file.

    Parameters
    ----------
    path : Path
        YAML with a list under ``cases``.
    shown : str, optional
        The name for messages.

    Raises
    ------
    ScenarioError
        If the file cannot be read or holds no list of rows; a single bad row is skipped with the
        reason.
    """
    document = load_document(path, shown or str(path))
    rows = document.data.get("cases") if isinstance(document.data, dict) else None
    if not isinstance(rows, list):
        raise ScenarioError([document.problem((), "needs a list of rows under 'cases'")])
    folder = path.parent.resolve()
    return tuple(_case(row, place, folder) for place, row in enumerate(rows))


def _case(written: Any, place: int, folder: Path) -> Case:
    try:
        row = _Row.model_validate(written)
    except ValidationError as error:
        name = written.get("id") if isinstance(written, dict) else None
        name = name if isinstance(name, str) else f"row {place + 1}"
        return Case(name, "", "", "", False, None, None, skipped=_first(error))
    assumed: list[Note] = []
    measured_s: float | None = None
    year: float | None = None
    try:
        question = _question(row, assumed, folder)
        measured_s = _measured_s(row)
        year = _year(row)
        skipped = ""
    except ValidationError as error:
        question, skipped = None, _first(error)
    except ScenarioError as error:  # in a file that the row names
        question, skipped = None, "; ".join(f"{one.file}: {one}" for one in error.problems)
    except ValueError as error:
        question, skipped = None, str(error)
    stated = (row.tp, row.pp, row.dp, row.micro_batch, row.recompute, row.sequence_parallel)
    return Case(
        id=row.id,
        model=row.model.name or row.model.config or "",
        source=row.source,
        release=row.release or row.source or row.id,
        verified=row.verified,
        measured_s=measured_s,
        year=year,
        question=question,
        skipped=skipped,
        assumed=tuple(assumed),
        states_layout=all(value is not None for value in stated[:5])
        and (row.sequence_parallel is not None or row.tp == 1),
        framework=framework_of(row.framework)[0],
        is_guessed=bool(row.layout_assumed),
    )


def _first(error: ValidationError) -> str:
    """Return the problems of a row, each with its place."""
    return "; ".join(
        f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}".removeprefix(": ")
        for found in error.errors()
    )


def _measured_s(row: _Row) -> float:
    """Return the seconds of a step; a utilisation alone is not one."""
    if row.measured.step_s is not None:
        return row.measured.step_s
    if row.measured.tokens_s_chip is None:
        raise ValueError("states neither step_s nor tokens_s_chip: conventions of the rest differ")
    if row.global_batch is None or row.seq_len is None or row.chips is None:
        raise ValueError("chips, seq_len or global_batch is missing")
    return row.global_batch * row.seq_len / (row.measured.tokens_s_chip * row.chips)


def _chip(name: str, folder: Path) -> Chip:
    """Return the chip of a row: one of the catalogue, or out of a YAML file beside the rows."""
    if name.casefold().endswith((".yaml", ".yml")):
        return parse_chip(load_document(beside(name, folder, FILE), name), name)[0]
    return load_chip(name)[0]


def _model(row: _Model, folder: Path) -> Transformer | None:
    """Return the model that a row names, in a config.json or in the catalogue; None for none."""
    if row.config is not None:
        path = beside(row.config, folder, FILE)
        return parse_model(load_config(path, row.config), row.name or row.config)[0]
    try:
        return load_model(row.name)[0]
    except ValueError:
        return None


def _question(row: _Row, assumed: list[Note], folder: Path) -> Question:
    chip = _chip(row.chip, folder)
    missing = [n for n in ("chips", "seq_len", "global_batch") if getattr(row, n) is None]
    if row.tp is None and row.pp is None and row.dp is None:
        missing.append("tp, pp and dp")
    if missing:
        raise ValueError(f"{', '.join(missing)} missing: batch or layout is not stated")
    assert row.chips is not None
    assert row.seq_len is not None
    assert row.global_batch is not None
    layout = _layout(row, row.chips * chip.ranks_per_chip, assumed)
    precision = row.precision.casefold()
    if re.fullmatch(r"(mx)?fp8([-_]\w+)?", precision):
        precision = "fp8"
    software, kernel, name = software_of(_switches(row), precision, chip=chip.kin)
    assumed.append(note("row_assumed", field="attention", value=kernel, framework=name))
    fabric, _ = fabric_of(chip, _nic(row.network, chip))
    shape = _shape(row.model, assumed, folder)
    training = Training(shape, row.seq_len, row.global_batch, row.mtp)
    problem = _problem(layout, training)
    if problem:
        raise ValueError(problem)
    stack = stack_of(row.framework, precision)
    return Question(chip, precision, training, layout, software, kernel, stack, fabric, row.chips)


def _switches(row: _Row) -> Switches:
    """Return the switches that a row states."""
    routing = None
    capacity = None
    if row.router is not None:
        if not row.router.startswith(ROUTERS):
            raise ValueError(f"router must begin with one of {', '.join(ROUTERS)}: {row.router!r}")
        routing = "real" if row.router.startswith("real") else "balanced"
        if row.router.startswith("token drop"):
            stated = re.search(r"capacity factor (\d+(?:\.\d+)?)", row.router)
            capacity = float(stated[1]) if stated else 1.0
    stated_of = {
        "name": row.framework,
        "date": _year(row),
        "dispatcher": row.dispatcher,
        "expert_overlap": row.ep_overlap,
        "graphs": row.cuda_graph,
        "grouped": row.grouped,
        "routing": routing,
        "capacity": capacity,
    }
    return Switches.model_validate({k: v for k, v in stated_of.items() if v is not None})


def _problem(layout: Layout, training: Training) -> str:
    """Return what makes a layout impossible; interleaving in part rounds is left to the row."""
    pieces = int(layout.pieces)
    rounds = float(training.micro_batches(layout)) % float(layout.pp) == 0
    names = ("tp", "pp", "dp", "cp", "ep", "etp", "micro_batch")
    same = {name: int(getattr(layout, name)) for name in names}
    return layout_problem(training, Parallelism(**same, virtual_stages=pieces if rounds else 1))


def _layout(row: _Row, n_ranks: int, assumed: list[Note]) -> Layout:
    """Return the layout of a row; what it leaves out is that of its framework."""
    name, framework = framework_of(row.framework)

    def default(key: str, otherwise: Any) -> Any:
        value = getattr(row, key)
        if value is not None:
            return value
        assumed.append(note("row_assumed", field=key, value=otherwise, framework=name))
        return otherwise

    tp, pp = default("tp", 1), default("pp", 1)
    sharding = default("dp_sharding", f"zero{framework.zero}")
    recompute = default("recompute", framework.recompute)
    modules = known(row.recompute_modules or ())
    if modules and recompute == "none":
        recompute = "selective"
    pieces, full_layers = default("vpp", 1), math.inf
    if row.recompute_share is not None:
        if row.model.layers is None:
            raise ValueError("recompute_share needs the layers of the model in the row")
        recompute, full_layers = "full", row.recompute_share * row.model.layers / (pp * pieces)
    if sharding not in ZERO or recompute not in RECOMPUTE:
        raise ValueError(
            f"dp_sharding must be one of {', '.join(ZERO)} and recompute one of"
            f" {', '.join(RECOMPUTE)}, got {sharding!r} and {recompute!r}"
        )
    dp = row.dp or max(1, n_ranks // (tp * pp * row.cp))
    if tp * pp * row.cp * dp != n_ranks:
        raise ValueError(
            f"tp x pp x cp x dp is {tp * pp * row.cp * dp}, and there are {n_ranks} ranks"
        )
    return Layout.of(
        tp=tp,
        pp=pp,
        dp=dp,
        cp=row.cp,
        ep=row.ep,
        etp=row.etp,
        micro_batch=default("micro_batch", 1),
        pieces=pieces,
        full_layers=full_layers,
        recompute=RECOMPUTE.index(recompute),
        modules=modules,
        sequence_parallel=default("sequence_parallel", False),
        zero=ZERO[sharding],
    )


def _shape(row: _Model, assumed: list[Note], folder: Path) -> Shape:
    """Return the shape of a row: what it states, over what the model that it names has."""
    written = row.model_dump(exclude_none=True, exclude={"name", "config"})
    model = _model(row, folder)
    about = {"title", "vendor", "source", "sources", "parameters", "context"}
    known: dict[str, Any] = {}
    if model is not None:
        known = model.model_dump(exclude_none=True, exclude_unset=True, exclude=about)
    if not known and any(key not in written for key in ("layers", "hidden", "heads", "vocab")):
        raise ValueError(
            f"no model {row.name!r} in the catalogue, and the row does not state its shape"
        )
    if row.moe is not None:
        experts = written["moe"]
        names = {"shared": "shared_experts", "topk": "top_k"}
        stated = {names.get(k, k): v for k, v in experts.items() if k != "dense_ffn"}
        written["moe"] = (known.get("moe") or {}) | stated
        written.setdefault("ffn", experts.get("dense_ffn", known.get("ffn", row.moe.expert_ffn)))
    if known.get("mla"):  # latent attention has no heads of keys and values
        written = {
            key: value for key, value in written.items() if key not in ("kv_heads", "head_dim")
        }
    checked = Transformer.model_validate(known | written)
    left = [key for key in ("sliding_window", "mla") if known.get(key) is not None]
    if left and row.config is None:
        assumed.append(note("row_as_catalogue", fields=tuple(left), model=row.name))
    return shape_of(checked.architecture())


def _nic(network: str | None, chip: Chip) -> float | None:
    """Return what a chip gets of the NICs of its server, where the row says ``8x200Gb``. [B/s]"""
    found = re.search(r"(\d{1,3})x(\d{1,4})Gb", network or "")
    if found is None:
        return None
    per_node = int(found[1]) * int(found[2]) / 8 * 1e9
    if per_node == 0:
        raise ValueError(f"network {found[0]!r} is no network")
    return per_node / (chip.chips_per_node or 8)


def _year(row: _Row) -> float | None:
    """Return when the software was released: stated, else read from the name of the source."""
    text = row.date or ""
    stated = re.fullmatch(r"(\d{4})(?:-(\d{2}))?(?:-\d{2})?", text)
    if stated is None:
        round_ = re.search(r"training_results_(v\d\.\d)", row.source)
        if round_ is not None and round_[1] in ROUNDS:
            return ROUNDS[round_[1]]
        stated = re.search(r"\b(20\d{2})-(\d{2})-\d{2}\b", row.source)
        short = re.search(r"\((2\d)\.(\d{2})(?:\.\d+)?\)", row.source)
        if stated is None and short is not None:
            return 2000 + int(short[1]) + (int(short[2]) - 0.5) / 12
    if stated is None:
        return None
    year, month = int(stated[1]), int(stated[2]) if stated[2] else 6
    if not (FIRST_YEAR <= year <= LAST_YEAR and 1 <= month <= 12):
        raise ValueError(f"date {stated[0]!r} is not a month from {FIRST_YEAR} to {LAST_YEAR}")
    return year + (month - 0.5) / 12
