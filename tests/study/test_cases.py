"""Cases: what they cost, and where their problems are said to stand."""

import pytest
from bounds import takes_at_most

import computeplan as cp
from computeplan.errors import ScenarioError
from computeplan.study.cases import compile_cases, expand, notes_of

BASE = """\
computeplan: 1
name: t
sites: {s: {pue: 1.2, pools: {p: {chip: nvidia/h100-sxm, chips: 64, spares: 2 nodes}}}}
faults: {hw: {mtbf: 5 kh, per: chip, takes: node, restart: 10 min, repair: 20 h}}
jobs: {j: {train_for: 3 d, chips: 64, checkpoint: {every: 30 min, stall: 5 s}}}
simulate: {runs: 3}
"""


def with_cases(tmp_path, lines):
    path = tmp_path / "many.yaml"
    path.write_text("\n".join([BASE, "cases:", *(f"  {line}" for line in lines)]), "utf-8")
    return cp.load(path)


def test_memory_grows_with_the_cases_and_not_with_their_square(tmp_path):
    """Each case held the places of all others: 47 MB for 600 of them, 13 GB for 10,000."""
    scenario = with_cases(tmp_path, (f"c{n}: {{jobs.j.train_for: {n} h}}" for n in range(1, 601)))
    with takes_at_most(20):
        variants = expand(scenario)
    assert len(variants) == 600
    assert len(variants["c7"].scenario.document.values) < 50
    few = scenario.with_({"cases": dict(list(scenario.cases.items())[:100])})
    with takes_at_most(20):
        assert len(compile_cases(few).cases) == 100


def test_a_case_that_removes_what_is_written_leaves_its_place_to_what_is_wrong(tmp_path):
    lines = ["a: {jobs.j.checkpoint: null}", "b: {jobs.j.chips: 65}", "c: {jobs.j.mfu: 2}"]
    with pytest.raises(ScenarioError) as caught:
        expand(with_cases(tmp_path, lines))
    places = {(problem.line, problem.path, problem.cases) for problem in caught.value.problems}
    assert places == {(9, "jobs.j", ("a",)), (11, "jobs.j.mfu", ("c",))}


def test_what_is_said_of_a_place_in_a_service_names_its_case(tmp_path):
    """A case needs more than there is, another parts of nodes; of all cases no case is named."""
    base = BASE + "services: {web: {pool: p, chips: 16}, part: {pool: p, chips: 4}}\n"
    path = tmp_path / "many.yaml"
    changes = ("a: {services.web.chips: 999}", "b: {services.web.chips: 12}")
    path.write_text("\n".join([base, "cases:", *(f"  {line}" for line in changes)]), "utf-8")
    notes = notes_of(compile_cases(cp.load(path)).cases)
    said = [
        (one.code, one.values["path"], one.values.get("of_case"))
        for one in notes
        if one.code in ("service_beyond_pools", "service_holds_whole_nodes")
    ]
    assert said == [
        ("service_beyond_pools", "services.web.chips", "a"),
        ("service_holds_whole_nodes", "services.part.chips", None),
        ("service_holds_whole_nodes", "services.web.chips", "b"),
    ]
