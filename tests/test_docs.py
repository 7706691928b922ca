"""The docs say what the code says: what is made is up to date, and what is named exists."""

import ast
import importlib.util
import json
import re
from pathlib import Path

import pytest

from computeplan.scheduling.registry import policy_names
from computeplan.testing import PolicyError

REPO = Path(__file__).resolve().parents[1]
SRC = REPO / "src" / "computeplan"
PAGES = (
    *sorted((REPO / "docs").glob("*.md")),
    *(REPO / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md")),
)
WRITTEN_BY_PEOPLE = (
    *PAGES,
    REPO / "benchmarks" / "README.md",
    *sorted((REPO / "scenarios").glob("*.yaml")),
    *sorted((REPO / "notebooks").glob("*.ipynb")),
    *sorted(SRC.rglob("*.py")),
    *sorted(set((REPO / "tests").rglob("*.py")) - {Path(__file__).resolve()}),
)
OTHER_WORDS = re.compile(  # what the field does not say
    r"\bluck|\bstrikes?\b|\bstruck\b|\bstriking\b|nobody's|\bhangs? on\b|\bflips?\b|\bshops?\b",
    re.IGNORECASE,
)


def load_script():
    spec = importlib.util.spec_from_file_location("make_docs", REPO / "docs" / "make_docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names_in(path):
    """Return the functions, classes and constants of a module, and the methods of its classes."""
    tree = ast.parse(path.read_text("utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {ast.unparse(target) for target in node.targets}
        elif isinstance(node, ast.AnnAssign):
            found.add(ast.unparse(node.target))
    return found


def file_of(name):
    """Return the file that a page means, by its path in the package or in the clone; or None."""
    for folder in (SRC, REPO):
        if (folder / name).exists():
            return folder / name
    return None


by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def test_what_is_made_is_up_to_date():
    stale = [
        path.name for path, text in load_script().made().items() if path.read_text("utf-8") != text
    ]
    assert not stale, f"run make docs: {stale}"


def test_a_stale_part_is_seen():
    script = load_script()
    page = (REPO / "docs" / "architecture.md").read_text("utf-8")
    assert script.architecture(page.replace("| `FAULT` |", "| `LATER` |")) == page
    with pytest.raises(LookupError, match="made: ties"):
        script.architecture(page.replace("made: ties", ""))


def test_every_field_of_the_world_is_in_the_glossary():
    script = load_script()
    text = (REPO / "docs" / "glossary.md").read_text("utf-8")
    for name in script.WORLD:
        tree = ast.parse((SRC / "world" / f"{name}.py").read_text("utf-8"))
        for node in tree.body:
            if not isinstance(node, ast.ClassDef):
                continue
            fields = [f.target.id for f in node.body if isinstance(f, ast.AnnAssign)]
            missing = [field for field in fields if f"`{field}`" not in text]
            assert not missing, f"world/{name}.py: {node.name} does not say what {missing} are"


@by_page
def test_files_that_a_page_names_exist(page):
    text = page.read_text("utf-8")
    named = set(re.findall(r"`([\w./-]+\.(?:py|yaml|toml|md|csv))`", text))
    own = {"mine.yaml", "my-chip.yaml", "faults.csv", "faults.yaml", "faults.json"}
    own |= {"throughput.csv", "jobs.csv"}  # of an import
    own |= {"runs.csv", "summary.csv", "notes.md", "notes.zh.md"}  # of a result
    own |= {"tenants.csv", "timeline.csv", "power.csv", "fleet.csv", "chips.csv", "sites.csv"}
    own |= {"load/profile.csv"}
    named -= {one for one in named if re.search(r"[A-Z]{4}", one) and "/" in one}  # VENDOR, KIND
    places = ("", "docs/", "data/")
    assert not [one for one in named - own if not any(file_of(at + one) for at in places)]


@by_page
def test_what_a_page_names_in_a_file_exists(page):
    found = re.findall(r"`([\w/]+\.py): (\w+)`", page.read_text("utf-8"))
    missing = [f"{path}: {name}" for path, name in found if name not in names_in(file_of(path))]
    assert not missing


@by_page
def test_links_point_to_what_is_there(page):
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize(
    "page", WRITTEN_BY_PEOPLE, ids=lambda page: f"{page.parent.name}/{page.name}"
)
def test_pages_use_the_words_of_the_field(page):
    text = page.read_text("utf-8")
    if page.suffix == ".ipynb":  # a picture in base64 says nothing
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    lines = text.splitlines()
    assert not [line for line in lines if OTHER_WORDS.search(line)]


def test_all_policies_stand_in_one_table():
    page = (REPO / "docs" / "scheduling.md").read_text("utf-8")
    table = page.split("## All policies")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == policy_names()


def test_the_policy_of_the_page_keeps_the_rules():
    page = (REPO / "docs" / "scheduling.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert "check_policy(" in example
    exec(compile(example, "docs/scheduling.md", "exec"), {"__name__": "my_package"})  # noqa: S102
    broken = example.replace("free[pool] -= view.nodes(job, pool)", "pass")
    with pytest.raises(PolicyError):
        exec(compile(broken, "docs/scheduling.md", "exec"), {"__name__": "my_package"})  # noqa: S102


def test_tests_that_keep_a_rule_exist():
    rules = set(re.findall(r"`(test_\w+)`", (REPO / "CONTRIBUTING.md").read_text("utf-8")))
    tests = "\n".join(path.read_text("utf-8") for path in (REPO / "tests").rglob("test_*.py"))
    assert rules
    assert not {rule for rule in rules if f"def {rule}(" not in tests}
