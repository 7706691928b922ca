"""Make what the docs say of the code from the code: picture, tables of floors and ties, glossary.

``make docs`` writes them; ``tests/test_docs.py`` fails where they are not up to date.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator
from html import escape
from pathlib import Path

from computeplan.engines.event.calendar import Rank
from computeplan.ledger import COUNTS
from computeplan.quantities import JOB_QUANTITIES, QUANTITIES, Quantity

__all__ = ["made", "main"]

DOCS = Path(__file__).resolve().parent
REPO = DOCS.parent
SRC = REPO / "src" / "computeplan"
WORLD = ("world", "pools", "jobs", "faults", "maintenance", "signals", "features", "load")
"""Modules of the world, in the order in which a reader wants them."""

# -- the road -------------------------------------------------------------------------------------

ROAD = (  # what it is, where it lives, what goes on from there
    ("scenario", "a YAML file", "text"),
    ("specs", "specs/", "Scenario"),
    ("compiler", "compiler/", "World"),
    ("world", "world/", "World"),
    ("trace", "trace/", "Trace"),
    ("engines", "engines/", "Ledger"),
    ("ledger", "ledger.py", "Ledger"),
    ("metrics", "metrics.py", "values"),
    ("results", "results/", "CaseResult"),
    ("study", "study/", "Result"),
    ("report", "report/", "tables"),
    ("cli", "cli/", ""),
)
BESIDE = (("physics", "compiler"), ("scheduling", "engines"), ("analytic", "study"))
"""Parts off the road, and who asks them."""
TEXTS = {
    "scenario": "What people write: sites, pools, faults, jobs, cases.",
    "analytic": "Closed forms: what is expected, and whether the runs agree.",
    "cli": "The command line: a door, as the package itself is.",
}
BOX_W, BOX_H, GAP_X, GAP_Y, TOP, LEFT = 210, 96, 74, 70, 40, 16
TIP = (
    "<defs><marker id='tip' viewBox='0 0 10 10' refX='9' refY='5' markerWidth='7' markerHeight='7'"
    " orient='auto'><path d='M0 0L10 5L0 10z' fill='#1f5a99'/></marker></defs>"
)
FONT = "font-family='system-ui, sans-serif'"


def _about(part: str) -> str:
    """Return the first sentence of a part's own docstring."""
    if part in TEXTS:
        return TEXTS[part]
    path = SRC / f"{part}.py"
    path = path if path.exists() else SRC / part / "__init__.py"
    return _first_line(ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "")


def _first_line(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())


def _text(x: float, y: float, size: int, text: str, more: str = "") -> str:
    return f"<text x='{x:g}' y='{y:g}' {FONT} font-size='{size}' {more}>{escape(text)}</text>"


def _box(x: float, y: float, name: str, where: str, style: str) -> Iterator[str]:
    yield f"<rect x='{x}' y='{y}' width='{BOX_W}' height='{BOX_H}' rx='8' {style}/>"
    yield _text(x + 12, y + 24, 15, name, "font-weight='600' fill='#111'")
    yield _text(x + BOX_W - 12, y + 24, 12, where, "fill='#555' text-anchor='end'")
    for i, line in enumerate(textwrap.wrap(_about(name), 30)[:3]):
        yield _text(x + 12, y + 45 + 16 * i, 11, line, "fill='#333'")


def road_svg() -> str:
    """Return the picture of the road: four boxes a row, and the parts beside it."""
    rows = -(-len(ROAD) // 4)
    width = LEFT * 2 + 4 * BOX_W + 3 * GAP_X
    height = TOP + rows * (BOX_H + GAP_Y) + BOX_H + 34
    shapes = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img'>",
        "<title>The road of a scenario through computeplan</title>",
        TIP,
        f"<rect width='{width}' height='{height}' fill='#fff'/>",
        _text(LEFT, 24, 14, "Draw first, then play, then count.", "font-weight='600' fill='#111'"),
    ]
    line = "stroke='#1f5a99' stroke-width='1.6' fill='none' marker-end='url(#tip)'"
    for i, (name, where, hands_on) in enumerate(ROAD):
        x, y = LEFT + i % 4 * (BOX_W + GAP_X), TOP + i // 4 * (BOX_H + GAP_Y)
        shapes += _box(x, y, name, where, "fill='#eaf2fb' stroke='#1f5a99'")
        if i + 1 == len(ROAD):
            break
        if i % 4 < 3:
            shapes.append(f"<path d='M{x + BOX_W} {y + 46}h{GAP_X - 2}' {line}/>")
            at, more = (x + BOX_W + GAP_X / 2, y + 38), "fill='#1f5a99' text-anchor='middle'"
        else:
            down, back = y + BOX_H + GAP_Y / 2, LEFT + BOX_W / 2
            turn = f"M{x + BOX_W / 2} {y + BOX_H}V{down}H{back}V{y + BOX_H + GAP_Y - 2}"
            shapes.append(f"<path d='{turn}' {line}/>")
            at, more = (x + BOX_W / 2 - 8, down - 7), "fill='#1f5a99' text-anchor='end'"
        shapes.append(_text(*at, 11, hands_on, more))
    y = TOP + rows * (BOX_H + GAP_Y)
    shapes.append(
        _text(LEFT, y - 14, 12, "Beside the road, each for one part of it:", "fill='#555'")
    )
    for i, (name, asked_by) in enumerate(BESIDE):
        x = LEFT + i * (BOX_W + GAP_X)
        dashed = "fill='#f6f6f6' stroke='#888' stroke-dasharray='5 4'"
        shapes += _box(x, y, name, f"for {asked_by}", dashed)
    return "\n".join([*shapes, "</svg>", ""])


def road_text() -> str:
    """Return the road as text."""
    lines = []
    for i, (name, where, hands_on) in enumerate(ROAD):
        arrow = f"  -> {hands_on}" if hands_on else ""
        lines.append(f"{i + 1:>2}  {name:<10} {where:<12} {_about(name)}{arrow}")
    lines += [f"    {name:<10} {name + '/':<12} {_about(name)}  (for {by})" for name, by in BESIDE]
    return "\n".join(["```", *lines, "```"])


# -- tables of architecture.md ---------------------------------------------------------------------


def floors() -> dict[int, str]:
    """Return the floors that ``tests/test_house.py`` keeps."""
    tree = ast.parse((REPO / "tests" / "test_house.py").read_text("utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FLOORS":
            found: dict[int, str] = ast.literal_eval(node.value)
            return found
    raise LookupError("tests/test_house.py has no FLOORS")


def floors_table() -> str:
    """Return the floors, the highest first, with what each part says of itself."""
    lines = ["| floor | part | what |", "|---|---|---|"]
    for floor, parts in sorted(floors().items(), reverse=True):
        for part in parts.split():
            if (SRC / f"{part}.py").exists():
                where, about = f"{part}.py", _about(part)
            elif part == "computeplan":
                where, about = (
                    "\\_\\_init\\_\\_.py",
                    "The public interface, loaded when it is used.",
                )
            elif (SRC / part).is_dir():
                where, about = f"{part}/", _about(part)
            else:
                continue
            where = where if where.startswith("\\") else where.replace("_", "\\_")
            lines.append(f"| {floor} | {where} | {about} |")
    return "\n".join(lines)


WHAT_HAPPENS = {
    Rank.SAVED: "a save is complete",
    Rank.REPAIRED: "a repair ends (also: a spare has booted, a slow node is fast again)",
    Rank.RESTARTED: "a restart ends",
    Rank.JOB_ENDS: "a job ends",
    Rank.FAULT: "a fault, or a planned stop, arrives",
    Rank.ARRIVAL: "a job arrives",
    Rank.POLICY: "the policy is asked",
}


def ties_table() -> str:
    """Return what comes first of what happens at one time."""
    lines = ["| rank | at one time, in this order |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{rank.name}` | {WHAT_HAPPENS[rank]} |" for rank in Rank)])


def architecture(text: str) -> str:
    """Return the page with its made parts made again."""
    parts = {"road": road_text, "floors": floors_table, "ties": ties_table}
    for name, make in parts.items():
        begin, end = f"<!-- made: {name} -->", f"<!-- end: {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not pattern.search(text):
            raise LookupError(f"docs/architecture.md has no {begin}")
        block = f"{begin}\n{make()}\n{end}"
        text = pattern.sub(lambda _, block=block: block, text)
    return text


# -- the glossary ----------------------------------------------------------------------------------


def fields_of(described: type) -> list[tuple[str, str, str]]:
    """Return name, type and meaning of the fields of a class, as its source describes them."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(described))).body
    assert isinstance(tree, ast.ClassDef)
    found = []
    for field, below in itertools.pairwise([*tree.body, ast.Pass()]):
        if not isinstance(field, ast.AnnAssign):
            continue
        about = ""
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            about = " ".join(str(below.value.value).split())
        found.append((ast.unparse(field.target), ast.unparse(field.annotation), about))
    for i in range(len(found) - 2, -1, -1):  # fields that stand together share what is said below
        name, kind, about = found[i]
        found[i] = (name, kind, about or found[i + 1][2])
    return found


def _cell(text: str) -> str:
    """Return text for a cell of a table; names of code in one kind of quotes."""
    text = re.sub(r"``(.+?)``", r"`\1`", text)
    return text.replace("|", "\\|").replace("[1/s]", "\\[1/s]")


def _quantities(title: str, lines: dict[str, Quantity]) -> Iterator[str]:
    yield f"### {title}\n"
    yield "| column | unit | in words | 中文 | definition |\n|---|---|---|---|---|"
    for one in lines.values():
        cells = (f"`{one.name}`", one.unit, one.label, one.label_zh, one.about)
        yield f"| {' | '.join(map(_cell, cells))} |"
    yield ""


def _world() -> Iterator[str]:
    for name in WORLD:
        module = importlib.import_module(f"computeplan.world.{name}")
        yield f"### world/{name}.py\n"
        yield f"{_first_line(inspect.getdoc(module) or '')}\n"
        for exported in module.__all__:
            one = getattr(module, exported)
            if not inspect.isclass(one) or not (fields := fields_of(one)):
                continue
            yield f"**{exported}**: {_first_line(inspect.getdoc(one) or '')}\n"
            yield "| field | type | meaning |\n|---|---|---|"
            for field, kind, about in fields:
                names = ", ".join(f"`{part}`" for part in field.split(", "))
                yield f"| {names} | {_cell(kind)} | {_cell(about)} |"
            yield ""


GLOSSARY = """\
Made by `make docs` from `quantities.py`, `ledger.py`, the docstrings of `world/` and the words of
`docs/make_docs.py`: to change a line, change it there. Names carry their unit: `_s` seconds, `_j`
joules, `_w` watts, `_frac` a share from 0 to 1, `n_` a count.
"""

WORDS = {
    "stack": "Software whose kernels are launched alike, such as eager PyTorch or Megatron-Core:"
    " the time lost per kernel is fitted for each.",
    "family": "Published rows that are reported together, by chip and precision; their spread makes"
    " the band.",
    "band": "Where a time is expected nine times out of ten, from rows left out of the fit.",
    "kind of layer": "Layers of one shape. A network is the sum of its kinds, each priced alone.",
    "mixture of experts": "Layers in which each token goes to some of many MLPs, its experts.",
    "dispatcher": "What sends tokens to the ranks of their experts and back: a copy for every"
    " expert (`alltoall`), one for every rank or server (`deepep`, `hybridep`), all to all"
    " (`allgather`).",
    "expert overlap": "Messages to experts beside the computing of another micro-batch.",
    "graphs": "CUDA graphs: parts of a layer whose kernels the host launches at once.",
    "grouped product": "The matrix products of all experts of a rank, launched together.",
    "routing": "How tokens choose experts: `real`, the busiest rank has more than the mean;"
    " `balanced`, forced to be even.",
    "capacity": "Tokens that an expert takes at most, over the mean; the rest is dropped.",
    "`etp`": "Ranks that cut every expert, as `tp` cuts other matrices.",
    "`mtp`": "Extra prediction layers, each of which predicts one token further ahead.",
    "recomputation": "What is not kept for the backward pass and computed again there: modules,"
    " some layers, or all.",
    "offload": "Inputs of layers or the optimizer's state in the memory of the host.",
}
"""Words of the price of a step."""

SCHEDULING = {
    "view": "What a policy may see: jobs, queue, free nodes, who runs and when that is expected to"
    " end.",
    "head-room": "What the power limit of a site leaves beside what it draws; without its battery.",
    "decision": "What a policy returns: starts, stops, when to ask it again, what to remember.",
    "stay": "The time in which a job holds the same nodes of one pool without a break.",
    "lease": "How long a started job may train before it saves, gives its nodes back and waits.",
    "preemption": "A stop of a running job for others: it saves, gives its nodes back, and waits"
    " again.",
    "reservation": "The earliest time and place that is kept for a job that waits.",
    "backfill": "To start later jobs now where no reservation is put off by it.",
    "time share": "The part of the time that a job holds its nodes of a pool.",
    "round": "The time after which a policy that divides shares chooses again who holds nodes.",
    "reset": "When shares are computed again: a job has come or ended, and the gate is open.",
    "tenant": "Who owns jobs, with a weight and perhaps a quota of each pool.",
    "kind of job": "Jobs that are alike in all but work, arrival, owner and deadline; priced once.",
}
"""Words of schedules."""


def glossary() -> str:
    """Return what each quantity, phase, count and field of the world means."""
    lines = [
        "# Glossary\n",
        GLOSSARY,
        "## What is reported\n",
        *_quantities("For each case and run", QUANTITIES),
        *_quantities("For each job", JOB_QUANTITIES),
        "## What is counted\n",
        "| count | of what |\n|---|---|",
        *(f"| `{name}` | {_cell(about)} |" for name, about in COUNTS.items()),
        "",
        "## The world\n",
        "What an engine reads, and nothing else: a scenario compiled to SI numbers.\n",
        *_world(),
        "## The price of a step\n",
        "More in [step.md](step.md).\n",
        "| word | meaning |\n|---|---|",
        *(f"| {word} | {_cell(about)} |" for word, about in WORDS.items()),
        "",
        "## Schedules\n",
        "More in [scheduling.md](scheduling.md).\n",
        "| word | meaning |\n|---|---|",
        *(f"| {word} | {_cell(about)} |" for word, about in SCHEDULING.items()),
    ]
    return "\n".join(lines).rstrip() + "\n"


# -- all of it -------------------------------------------------------------------------------------


def made() -> dict[Path, str]:
    """Return the text of every file that is made, whole or in part."""
    page = DOCS / "architecture.md"
    return {
        DOCS / "road.svg": road_svg(),
        DOCS / "glossary.md": glossary(),
        page: architecture(page.read_text("utf-8")),
    }


def main() -> None:
    """Write what is made."""
    for path, text in made().items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
