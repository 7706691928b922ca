"""How the house is built: what may import what, where things live, what names say.

Every rule is a function of source text that returns what breaks it, so that each rule is tested
twice: on the package, and on a snippet that breaks it.

Long because every rule stands beside the snippets that prove it.
"""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from places import REPO
from ruamel.yaml import YAML

from computeplan.scheduling.registry import policy_names

SRC = REPO / "src" / "computeplan"

FLOORS = {
    0: "errors units arrays distributions quantities notes",
    1: "specs physics scheduling",
    2: "ledger results world",
    3: "compiler trace metrics",
    4: "engines analytic fitting",
    5: "fleet",
    6: "study",
    7: "validation planner",
    8: "report",
    9: "computeplan cli testing __main__",  # "computeplan" is the package's own __init__
}
FLOOR_OF = {part: floor for floor, parts in FLOORS.items() for part in parts.split()}
STRANGERS = ({"specs", "physics", "scheduling"}, {"engines", "metrics"})
UP_ALLOWED = {  # (module, imported): why
    ("study.result", "report.result_views"): "result.summary and result.plot show",
    ("specs.scenario", "report.scenario_views"): "a scenario shows itself",
    ("analytic.step_price", "report.steps"): "a price shows itself in a notebook",
}
MOST_AT_ROOT = 10
ROOT_CODE = {  # what the package's own __init__ holds beside public names: why
    "__version__": "the build reads it there",
    "_WHERE": "names are loaded when they are first used",
    "__getattr__": "names are loaded when they are first used",
    "__dir__": "names are loaded when they are first used",
}
WORDS_TOO = {"capacity", "priority"}  # policies that are called as a word of scenarios is
POLICIES = re.compile(
    rf"\b(?:{'|'.join(sorted({*policy_names()} - WORDS_TOO, key=len, reverse=True))})\b"
)
POLICY_NAMES_ALLOWED = {
    "specs.model": "what runs a scenario that names no policy",
    "specs.scheduling": "examples of how a policy is written",
}
LIBRARY_HOMES = {
    "simpy": "engines.event.calendar",
    "matplotlib": "report",
    "click": "cli",
    "rich": "cli",
    "pint": "units",
    "pandas": "results.frames",
    "xarray": "results.frames",
}
HEAVY = ("numpy", "scipy", "matplotlib", "pydantic", "pint", "simpy", "rich", "pandas", "xarray")
UNIT = r"(?:s|j|w|bytes|flop|tok|tokens?|usd|cny|money|kg|l|frac|chip)"
SUFFIX = re.compile(rf"(?:^|_){UNIT}(?:_per_(?:{UNIT}_?)+)?$|^n_")
BARE_NAMES_ALLOWED = {  # float fields of world, trace and ledger without a suffix: why
    "mean": "tokens, of a class whose docstring says so",
    "cv": "a ratio by definition",
    "gaps_cv": "a ratio by definition",
    "booked": "seconds times the weight of its last axis",
    "served": "seconds times the weight of its last axis, of services",
    "loaded": "seconds times the weight of its last axis, of services",
    "unallocated": "rows of places, times and counts",
    "serving": "rows of places, times and counts, of services",
    "pue": "a ratio by definition",
    "mfu": "a ratio by definition",
    "ettr": "a ratio by definition",
    "step_factor": "a ratio by definition",
}
NO_FIGURES = {"name", "title", "aliases", "sources", "ranks_per_chip"}  # names and structure
ESTIMATES = {"recalled", "estimate"}  # confidences that mark a figure without a source

Rule = Callable[[str, str], list[str]]


def module_name(path: Path) -> str:
    """Return the dotted name below the package; a package has the name of its folder."""
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "computeplan"


MODULES = {module_name(path): path for path in sorted(SRC.rglob("*.py"))}


TESTS = sorted((REPO / "tests").rglob("test_*.py"))
OF_NO_FOLDER = {"agreement": "what is held against one another, or against what others wrote"}


def at_root(names: Collection[str]) -> list[str]:
    """Return the modules at the root of the package, its own `__init__` included."""
    return [name for name in names if "." not in name and f"{name}/__init__.py" not in PACKAGES]


PACKAGES = {f"{module_name(p)}/__init__.py" for p in SRC.rglob("*/__init__.py")}


def misplaced(paths: Iterable[Path]) -> list[str]:
    """Return test modules whose folder is none of the package."""
    folders = {str(path.parent.relative_to(SRC)) for path in SRC.rglob("*.py")} | {*OF_NO_FOLDER}
    return [str(path) for path in paths if str(path.parent) not in folders]


def check_package(rule: Rule, only: str = "") -> None:
    """Fail with everything in the package that breaks a rule, one thing per line."""
    found = [
        f"{path.relative_to(REPO)}: {problem}"
        for name, path in MODULES.items()
        if re.fullmatch(only or ".*", name)
        for problem in rule(path.read_text("utf-8"), name)
    ]
    assert not found, "\n".join(found)


def top(module: str) -> str:
    """Return the part of the house that a module belongs to."""
    return module.partition(".")[0]


def lives_in(module: str, home: str) -> bool:
    """Return whether a module is `home` or below it."""
    return f"{module}.".startswith(f"{home}.")


def imports(source: str, module: str) -> Iterator[tuple[int, str]]:
    """Yield line and absolute name of every import, wherever it stands and however it is written.

    ``from a import b`` yields ``a.b``: whether b is a module makes no difference to the rules.
    """
    is_package = module in MODULES and MODULES[module].name == "__init__.py"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = [] if module == "computeplan" else module.split(".")
                package = here[: len(here) - node.level + is_package]
                base = ".".join(["computeplan", *package, *([base] if base else [])])
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith(("import_module", "__import__"))
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, str(node.args[0].value)


def goes_up(source: str, module: str) -> list[str]:
    """Imports go down, and some parts of one floor do not know each other."""
    mine = top(module)
    if mine not in FLOOR_OF:
        return [f"give '{mine}' a floor in tests/test_house.py"]
    found = []
    for line, name in imports(source, module):
        if not lives_in(name, "computeplan"):
            continue
        inside = name.removeprefix("computeplan").removeprefix(".")
        other = top(inside) if top(inside) in FLOOR_OF else "computeplan"
        if any(lives_in(inside, up) for who, up in UP_ALLOWED if who == module):
            continue
        if FLOOR_OF[other] > FLOOR_OF[mine]:
            found.append(f"line {line}: floor {FLOOR_OF[mine]} imports {name}, {FLOOR_OF[other]}")
        elif other != mine and any({mine, other} <= group for group in STRANGERS):
            found.append(f"line {line}: {mine} must not know {other}")
    return found


def code_in_init(source: str, module: str) -> list[str]:
    """An `__init__` holds public names: a docstring, imports, `__all__`."""
    allowed = {"__all__", *(ROOT_CODE if module == "computeplan" else ())}
    found = []
    for node in ast.parse(source).body:
        is_import = isinstance(node, ast.Import | ast.ImportFrom)
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_for_types = isinstance(node, ast.If) and all(
            isinstance(one, ast.Import | ast.ImportFrom) for one in node.body
        )
        targets = getattr(node, "targets", None) or [getattr(node, "target", node)]
        names = {getattr(target, "id", getattr(target, "name", "")) for target in targets}
        if not (is_import or is_docstring or is_for_types or names <= allowed):
            found.append(f"line {node.lineno}: {ast.unparse(node).splitlines()[0]}")
    return found


def docstrings(tree: ast.AST) -> set[int]:
    """Return the identities of all texts that document something, those of fields included."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def knows_policies(source: str, module: str) -> list[str]:
    """No policy is known by its name outside `scheduling`, docstrings aside."""
    if lives_in(module, "scheduling") or module in POLICY_NAMES_ALLOWED:
        return []
    tree = ast.parse(source)
    documents = docstrings(tree)
    return [
        f"line {node.lineno}: knows a policy: {node.value!r}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in documents
        and POLICIES.search(node.value)
    ]


def writes_sentences(source: str, module: str) -> list[str]:
    """Below `report`, a note is a code with values, and no sentence in either."""
    if top(module) in ("report", "cli"):
        return []
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) in ("note", "Note")):
            continue
        for i, text in enumerate([*node.args, *(keyword.value for keyword in node.keywords)]):
            is_text = isinstance(text, ast.Constant) and isinstance(text.value, str)
            right = r"\S*" if i else r"[a-z][a-z0-9_]*"
            is_wrong = is_text and not re.fullmatch(right, ast.literal_eval(text))
            if is_wrong or isinstance(text, ast.JoinedStr):
                found.append(f"line {node.lineno}: a note says {ast.unparse(text)}")
    return found


def library_away_from_home(source: str, module: str) -> list[str]:
    """Some libraries are known to one part of the house only."""
    return [
        f"line {line}: {library} belongs in {LIBRARY_HOMES[library]} only"
        for line, name in imports(source, module)
        if (library := top(name)) in LIBRARY_HOMES and not lives_in(module, LIBRARY_HOMES[library])
    ]


def draws(source: str, module: str) -> list[str]:
    """Randomness lives in trace."""
    if lives_in(module, "trace"):
        return []
    names = list(imports(source, module))
    names += [
        (node.lineno, re.sub(r"^np\.", "numpy.", ast.unparse(node)))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
    ]
    found = []
    for line, name in names:
        is_random = top(name) in {"random", "secrets", "uuid"} or lives_in(name, "numpy.random")
        is_random = is_random or name.endswith((".rvs", ".urandom", ".default_rng"))
        if is_random:
            found.append(f"line {line}: {name} draws, and only trace may")
    return found


def prints(source: str, module: str) -> list[str]:
    """Only the command line prints."""
    if top(module) == "cli":
        return []
    return [
        f"line {node.lineno}: print()"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"print", "pprint", "sys.stdout.write"}
    ]


def too_long(source: str, module: str) -> list[str]:
    """A module over 400 lines or a function over 50, less its docstring, says 'Long because'."""
    lines = source.splitlines()
    tree = ast.parse(source)
    found = []
    excuse = re.compile(r'(?:# |r?""")?Long because \S')
    if len(lines) > 400:
        words = [*(ast.get_docstring(tree) or "").splitlines(), *lines]
        if not any(excuse.match(line) for line in words):
            found.append(f"{len(lines)} lines")
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0]
        documented = ast.get_docstring(node) is not None
        n_docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
        n_lines = (node.end_lineno or 0) - node.lineno + 1 - n_docstring
        own = lines[max(node.lineno - 2, 0) : node.end_lineno]
        if n_lines > 50 and not any(excuse.match(line.strip()) for line in own):
            found.append(
                f"line {node.lineno}: {node.name} has {n_lines} lines without its docstring"
            )
    return found


def unlisted(source: str, module: str) -> list[str]:
    """A module with `__all__` lists each of its public functions and classes, once."""
    tree = ast.parse(source)
    listed: list[str] | None = None
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
            listed = ast.literal_eval(node.value)  # type: ignore[attr-defined]
    if listed is None:
        return []
    twice = {name for name in listed if listed.count(name) > 1}
    defined = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    public = [name for name in defined if not name.startswith("_")]
    return [f"{name} is not in __all__" for name in public if name not in listed] + [
        f"{name} is in __all__ twice" for name in sorted(twice)
    ]


def missing_exports(module: ModuleType) -> list[str]:
    """Everything in `__all__` is there."""
    return [
        f"{module.__name__}.{name}"
        for name in getattr(module, "__all__", ())
        if not hasattr(module, name)
    ]


def passes_kwargs_through(source: str, module: str) -> list[str]:
    """No function hands its `**kwargs` on, but a decorator typed to keep the signature may."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return [
        f"line {node.value.lineno}: **{kwargs.arg} is passed through"
        for function in ast.walk(ast.parse(source))
        if isinstance(function, functions)
        and (kwargs := function.args.kwarg)
        and not (kwargs.annotation and ast.unparse(kwargs.annotation).endswith(".kwargs"))
        for node in ast.walk(function)
        if isinstance(node, ast.keyword)
        and node.arg is None
        and ast.unparse(node.value) == kwargs.arg
    ]


def fields_without_unit(source: str, module: str) -> list[str]:
    """Float fields of dataclasses say their unit, or are listed with a reason."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef):
            continue
        if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
            continue
        found += [
            f"line {field.lineno}: {node.name}.{field.target.id} says no unit"
            for field in node.body
            if isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and re.search(r"[Ff]loat", ast.unparse(field.annotation))
            and field.target.id not in BARE_NAMES_ALLOWED
            and not SUFFIX.search(field.target.id)
        ]
    return found


def figures_without_source(data: object, sources: Collection[str], path: str = "") -> list[str]:
    """Every figure names a source of its file, or is marked as an estimate; null has a reason."""
    if isinstance(data, list):
        parts = [(f"{path}[{i}]", item) for i, item in enumerate(data)]
    elif not isinstance(data, dict):
        is_figure = isinstance(data, float | int) and not isinstance(data, bool)
        is_figure = is_figure or re.match(r"[+-]?[\d.]+(e[+-]?\d+)? +\S", str(data)) is not None
        return [f"{path}: {data} has no source"] if is_figure else []
    elif "value" in data:
        if data["value"] is None:
            return [] if data.get("note") else [f"{path}: null needs a note that says why"]
        source, confidence = data.get("source"), data.get("confidence")
        if source is None and confidence in ESTIMATES:
            return []
        if source not in sources:
            return [f"{path}: source {source} is not among the sources of the file"]
        return [] if confidence else [f"{path}: needs a confidence"]
    else:
        parts = [
            (f"{path}.{key}".strip("."), item)
            for key, item in data.items()
            if key not in NO_FIGURES
        ]
    return [
        problem for where, item in parts for problem in figures_without_source(item, sources, where)
    ]


# Character classes keep these patterns from matching themselves.
MACHINE = re.compile(
    r"(?<![\w./-])/[w]ork/|(?<![\w./-])/[r]oot/|(?<![\w./-])/[h]ome/\w|(?<![\w./-])/[U]sers/\w"
    r"|[p]ythonhosted|[a]rtifactory|[i]ndex[-_]url|[p]ypi\.(?!org/project)|[j]frog|\b[n]exus\d?\."
)


def machine_traces(text: str) -> list[str]:
    """No path of one machine, and no package registry's host."""
    return [
        f"line {text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for match in MACHINE.finditer(text)
    ]


def clone_files() -> list[Path]:
    """Return what git tracks or would track."""
    if not (REPO / ".git").exists():
        pytest.skip("not a git clone")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO, check=True, capture_output=True, text=True,
    )  # fmt: skip
    paths = (REPO / name for name in listing.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def loaded_by(code: str) -> tuple[str, list[str]]:
    """Return what code prints in a fresh interpreter, and the heavy libraries it has loaded."""
    report = "\nimport sys\nprint('LOADED', *{name.partition('.')[0] for name in sys.modules})\n"
    done = subprocess.run(
        [sys.executable, "-c", code + report], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    printed, _, loaded = done.stdout.rpartition("LOADED")
    return printed, sorted(set(loaded.split()) & set(HEAVY))


# The package keeps the rules ---------------------------------------------------------------------


def test_imports_go_down():
    check_package(goes_up)


def test_three_doors_go_up_and_only_to_show(monkeypatch):
    doors = list(UP_ALLOWED)
    monkeypatch.setitem(globals(), "UP_ALLOWED", {})
    found = {name: goes_up(path.read_text("utf-8"), name) for name, path in MODULES.items()}
    assert {name: len(ups) for name, ups in found.items() if ups} == {who: 1 for who, _ in doors}
    assert {top(up) for _, up in doors} == {"report"}


def test_the_root_is_small():
    assert len(at_root(MODULES)) <= MOST_AT_ROOT


def test_every_init_holds_public_names_only():
    for name, path in MODULES.items():
        if path.name == "__init__.py":
            assert not code_in_init(path.read_text("utf-8"), name), path


def test_every_exception_of_the_root_is_in_use():
    source = MODULES["computeplan"].read_text("utf-8")
    assert len(code_in_init(source, "elsewhere")) == len(ROOT_CODE)


def test_no_policy_is_known_by_its_name():
    check_package(knows_policies)


def test_the_names_of_policies_are_all_known_here():
    names = {*policy_names()}
    assert {"silo", "fifo-backfill", "max-min-fairness"} | WORDS_TOO <= names
    assert all(map(POLICIES.fullmatch, names - WORDS_TOO))


def test_every_exception_to_policy_names_is_in_use():
    for module in POLICY_NAMES_ALLOWED:
        assert knows_policies(MODULES[module].read_text("utf-8"), "elsewhere")


def test_notes_are_codes():
    check_package(writes_sentences)


def test_tests_stand_where_the_package_does():
    assert not misplaced(path.relative_to(REPO / "tests") for path in TESTS)


def test_every_exception_to_the_floors_is_in_use():
    unused = [
        (module, up)
        for module, up in UP_ALLOWED
        if not any(
            lives_in(name, f"computeplan.{up}")
            for _, name in imports(MODULES[module].read_text("utf-8"), module)
        )
    ]
    assert not unused


def test_libraries_stay_at_home():
    check_package(library_away_from_home)


def test_only_the_trace_draws():
    check_package(draws)


def test_only_the_command_line_prints():
    check_package(prints)


def test_long_code_explains_itself():
    check_package(too_long)


def test_all_lists_what_is_public():
    check_package(unlisted)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "__main__"])
def test_all_lists_what_exists(name):
    full = "computeplan" if name == "computeplan" else f"computeplan.{name}"
    assert not missing_exports(importlib.import_module(full))


def test_no_kwargs_are_passed_through():
    check_package(passes_kwargs_through)


def test_fields_say_their_unit():
    check_package(fields_without_unit, only="world|trace|ledger")


def test_chip_figures_have_sources():
    files = sorted((SRC / "data" / "chips").rglob("*.yaml"))
    assert files
    reader = YAML(typ="safe")
    found = []
    for path in files:
        chip = reader.load(path)
        problems = figures_without_source(chip, chip.get("sources", ()))
        found += [f"{path.name}: {problem}" for problem in problems]
    assert not found, "\n".join(found)


def test_no_file_knows_a_machine():
    files = clone_files()
    assert files
    found = [
        f"{path.relative_to(REPO)}: {problem}"
        for path in files
        for problem in machine_traces(path.read_text("utf-8", errors="ignore"))
    ]
    assert not found, "\n".join(found)


def test_help_is_quick():
    code = (
        "import sys\n"
        "sys.argv = ['computeplan', '--help']\n"
        "from computeplan.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
    )
    printed, heavy = loaded_by(code)
    assert "Usage" in printed
    assert not heavy


def test_import_is_quick():
    _, heavy = loaded_by("import computeplan")
    assert not heavy


# Each rule can fail ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (goes_up, "units", "import computeplan.world"),
        (goes_up, "units", "from computeplan import world"),
        (goes_up, "units", "from computeplan import __version__"),
        (goes_up, "units", "from .world import World"),
        (goes_up, "units", "from . import world"),
        (goes_up, "physics.checkpoint", "from ..world import World"),
        (goes_up, "world", "def f():\n    from computeplan.study import run"),
        (goes_up, "world", "import importlib\nimportlib.import_module('computeplan.cli')"),
        (goes_up, "physics.checkpoint", "from computeplan.specs.jobs import Job"),
        (goes_up, "engines.event", "from computeplan.metrics import count"),
        (goes_up, "metrics", "from computeplan.engines import batch"),
        (goes_up, "results", "from computeplan.report.result_views import summary"),
        (goes_up, "attic", ""),
        (goes_up, "world", "if TYPE_CHECKING:\n    from computeplan.study import run"),
        (goes_up, "study.run", "from computeplan.report.result_views import summary"),
        (goes_up, "study.result", "from computeplan.report.table import Table"),
        (library_away_from_home, "engines.batch", "import simpy"),
        (library_away_from_home, "engines.event.engine", "import simpy"),
        (library_away_from_home, "engines.event", "from simpy import Environment"),
        (library_away_from_home, "report.style", "import click"),
        (code_in_init, "study", "LIMIT = 3"),
        (code_in_init, "study", "def run(): ..."),
        (code_in_init, "study", "if TYPE_CHECKING:\n    x = 1"),
        (code_in_init, "study", "def __getattr__(name): ..."),
        (code_in_init, "computeplan", "def f(): ..."),
        (code_in_init, "computeplan", "print('loaded')"),
        (knows_policies, "compiler.jobs", "x = policy == 'silo'"),
        (knows_policies, "study.run", "def f():\n    raise ValueError('use first-fit')"),
        (knows_policies, "study.run", "x = f'least-energy on {pool}'"),
        (writes_sentences, "study.run", "note('It is slow.')"),
        (writes_sentences, "study.run", "note('slow', why='the day is hot')"),
        (writes_sentences, "engines.batch", "note(f'slow {n}')"),
        (writes_sentences, "engines.batch", "note('slow', why=f'{n} hot days')"),
        (library_away_from_home, "study", "from matplotlib.figure import Figure"),
        (library_away_from_home, "report.table", "from rich.table import Table"),
        (library_away_from_home, "specs.fields", "import pint.errors as e"),
        (draws, "engines.batch", "import random"),
        (draws, "engines.batch", "from numpy.random import default_rng"),
        (draws, "engines.batch", "import numpy as np\nnp.random.default_rng(1)"),
        (draws, "calibrate", "from scipy import stats\nstats.norm(0, 1).rvs(3)"),
        (draws, "study", "import numpy as np\nnp.random.Generator"),
        (prints, "study", "print('done')"),
        (too_long, "study", "x = 1\n" * 401),
        (too_long, "study", "def f():\n" + "    x = 1\n" * 50),
        (unlisted, "study", "__all__ = ['f']\ndef f(): ...\ndef g(): ..."),
        (unlisted, "study", "__all__: list[str] = []\nclass Row: ..."),
        (unlisted, "study", "__all__ = ['f', 'f']\ndef f(): ..."),
        (passes_kwargs_through, "study", "def f(**kwargs):\n    return g(1, **kwargs)"),
        (fields_without_unit, "world", "@dataclass(frozen=True)\nclass A:\n    power: FloatArray"),
        (fields_without_unit, "world", "@dataclass\nclass A:\n    restart: float | None = None"),
    ],
)
def test_rule_can_fail(rule, module, source):
    assert rule(source, module)


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (goes_up, "engines.event", "from computeplan.world import World\nimport numpy"),
        (goes_up, "specs.jobs", "from . import fields\nfrom .loader import load"),
        (goes_up, "study.result", "import_module('computeplan.report.result_views')"),
        (goes_up, "cli.run", "from computeplan import run"),
        (goes_up, "report.table", "if TYPE_CHECKING:\n    from computeplan.study import run"),
        (library_away_from_home, "engines.event.calendar", "import simpy"),
        (library_away_from_home, "cli.run", "import click"),
        (code_in_init, "study", '"""Doc."""\nfrom a import b\n__all__: list[str] = ["b"]'),
        (code_in_init, "computeplan", "__version__ = '1'\ndef __getattr__(name): ..."),
        (knows_policies, "scheduling.policies.fair", "x = 'silo'"),
        (knows_policies, "world.jobs", 'def f():\n    """As in a silo."""'),
        (knows_policies, "world.jobs", "x = 'silos'"),
        (writes_sentences, "study.run", "note('no_tdp', chip='acme/x1', n=2, why=text)"),
        (writes_sentences, "report.words.english", "note('It is slow.')"),
        (draws, "trace", "import numpy as np\nnp.random.default_rng(1)"),
        (prints, "cli.run", "print('done')"),
        (too_long, "study", '"""Plays.\n\nLong because it is a table.\n"""\n' + "x = 1\n" * 401),
        (too_long, "study", "def f():\n    # Long because it is.\n" + "    x = 1\n" * 50),
        (too_long, "study", 'def f():\n    """Do.\n' + "\n" * 50 + '    """\n'),
        (unlisted, "study", "from a import b\n__all__ = ['f']\n_x = 1\ndef f(): ..."),
        (passes_kwargs_through, "report", "def f(*a: P.args, **k: P.kwargs):\n    g(*a, **k)"),
        (passes_kwargs_through, "checks", "def f(**named):\n    return [g(x) for x in named]"),
        (
            fields_without_unit,
            "world",
            "@dataclass\nclass A:\n    a_s: float\n    n_x: float\n    usd_per_j: float",
        ),
        (
            fields_without_unit,
            "world",
            "@dataclass\nclass A:\n    a_bytes_per_s: FloatArray\n    b_usd_per_chip_s: float",
        ),
    ],
)
def test_rule_can_pass(rule, module, source):
    assert not rule(source, module)


def test_a_crowded_root_is_seen():
    assert len(at_root([*at_root(MODULES), "attic", "cellar"])) > MOST_AT_ROOT
    assert at_root(["units", "specs", "specs.jobs", "computeplan"]) == ["units", "computeplan"]


def test_a_test_of_no_folder_is_seen():
    paths = [Path("attic/test_x.py"), Path("specs/test_x.py"), Path("test_x.py")]
    assert misplaced([*paths, Path("agreement/test_x.py")]) == ["attic/test_x.py"]


def test_missing_export_is_seen():
    module = ModuleType("attic")
    module.__all__ = ["gone"]  # type: ignore[attr-defined]
    assert missing_exports(module) == ["attic.gone"]


@pytest.mark.parametrize(
    ("data", "is_right"),
    [
        ({"tdp": "700 W"}, False),
        ({"peaks": {"bf16": 989e12}}, False),
        ({"links": [{"value": 3}]}, False),
        ({"tdp": {"value": "700 W"}}, False),
        ({"tdp": {"value": "700 W", "source": "maker"}}, False),
        ({"tdp": {"value": "700 W", "source": "nobody", "confidence": "paper"}}, False),
        ({"tdp": {"value": "700 W", "source": None, "confidence": "paper"}}, False),
        ({"tdp": {"value": None, "source": "maker", "confidence": "paper"}}, False),
        ({"tdp": {"value": "700 W", "source": "maker", "confidence": "paper"}}, True),
        ({"tdp": {"value": "700 W", "source": None, "confidence": "recalled"}}, True),
        ({"tdp": {"value": None, "note": "not published"}}, True),
        ({"name": "vendor/910b", "aliases": ["910B"], "precision": "bf16"}, True),
    ],
)
def test_chip_rule(data, is_right):
    assert bool(figures_without_source(data, {"maker"})) is not is_right


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("cd /" + "work/main", False),
        ("'/" + "root/.cache'", False),
        ("/" + "home/someone/x", False),
        ("pip install --index" + "-url x", False),
        ("https://files.python" + "hosted.org/a", False),
        ("https://example.org/" + "work/paper.pdf and frame" + "work/x", True),
        ("~/results, ./" + "work/x", True),
    ],
)
def test_machine_rule(text, is_right):
    assert bool(machine_traces(text)) is not is_right


def test_heavy_import_is_seen():
    assert loaded_by("import pint")[1]


# No circles --------------------------------------------------------------------------------------


def import_circles(sources: dict[str, str]) -> list[str]:
    """No module reaches itself by imports, those in functions or for types only included."""

    def home(name: str) -> str:
        while name and name not in sources:
            name = name.rpartition(".")[0]
        return name or "computeplan"

    doors = {(who, f"computeplan.{up}") for who, up in UP_ALLOWED}
    edges = {
        module: {
            home(name.removeprefix("computeplan."))
            for _, name in imports(source, module)
            if lives_in(name, "computeplan")
            and not any(who == module and lives_in(name, up) for who, up in doors)
        }
        - {module}
        for module, source in sources.items()
    }

    def reached(module: str) -> set[str]:
        found: set[str] = set()
        todo = [module]
        while todo:
            new = edges.get(todo.pop(), set()) - found
            found |= new
            todo += new
        return found

    reach = {module: reached(module) for module in edges}
    circles = {
        tuple(sorted(other for other in reach[module] if module in reach[other]))
        for module in edges
        if module in reach[module]
    }
    return [" <-> ".join(circle) for circle in sorted(circles)]


def test_no_imports_go_in_a_circle():
    found = import_circles({name: path.read_text("utf-8") for name, path in MODULES.items()})
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("sources", "is_right"),
    [
        ({"a": "import computeplan.b", "b": "from computeplan.c import x", "c": ""}, True),
        ({"a": "import computeplan.b", "b": "from computeplan import a"}, False),
        ({"a": "from .b import x", "b": "def f():\n    from computeplan.a import y"}, False),
        ({"a": "from .b import x", "b": "if TYPE_CHECKING:\n    from .a import y"}, False),
        ({"a": "from . import b", "b": "from .c import x", "c": "import computeplan.a"}, False),
        ({"p": "from .q import x", "p.q": "from computeplan.p.r import y", "p.r": ""}, True),
    ],
)
def test_circle_rule(sources, is_right):
    assert bool(import_circles(sources)) is not is_right
