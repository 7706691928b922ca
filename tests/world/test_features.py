"""What a world asks for: all say what they can play, and refuse the rest with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from oracle import scenario_of
from strategies import eventful_scenarios, tiered_scenarios

import computeplan as cp
from computeplan.analytic import breakeven, expected
from computeplan.analytic.breakeven import break_evens, why_no_break_even
from computeplan.analytic.expected import expect, why_no_closed_form
from computeplan.compiler.compile import compile_world
from computeplan.engines import batch, event
from computeplan.engines.batch import engine as batch_engine
from computeplan.engines.event import engine as event_engine
from computeplan.errors import UnsupportedByEngine
from computeplan.report.words import sentence
from computeplan.world import features as module
from computeplan.world.features import Feature, features, first_refused
from computeplan.world.world import World

PLAYERS = [batch_engine, event_engine, expected, breakeven]
POOL = "sites__s__pools__p"
AT = "sites.s.pools.p"
PLACED = {f"{POOL}__placement": {"group": "rack", "across": 0.9}}
KEEP = {"jobs__j__checkpoint__keep": 3}


def world_of(**changes: Any) -> World:
    """A world of one job on one pool, with changes; dots are written as two underscores."""
    return compile_world(scenario_of(**changes))


def lines(world: World) -> dict[str, str]:
    """Return what a world asks for, by name, with its line."""
    return {feature.name: feature.path for feature in world.features}


@pytest.mark.parametrize(
    ("changes", "name", "path"),
    [
        ({"jobs__j__arrival": "1 h"}, "arrives_later", "jobs.j.arrival"),
        ({"faults__f__found": "1 h", **KEEP}, "found_late", "faults.f.found"),
        ({f"{POOL}__groups": {"rack": "2 nodes"}, **PLACED}, "placement", f"{AT}.placement"),
        (
            {f"{POOL}__groups": {"rack": "2 nodes"}, **PLACED},
            "slower_across",
            f"{AT}.placement.across",
        ),
        (KEEP, "keeps_several", "jobs.j.checkpoint.keep"),
        ({"faults__f__lemons": {"cv": 1.0}}, "lemons", "faults.f.lemons"),
        ({"faults__f__clock": "busy"}, "busy_repairs", "faults.f.clock"),
        ({f"{POOL}__throttle": {"diurnal": 0.02}}, "throttle", "sites.s.pools.p.throttle"),
        ({f"{POOL}__crews": 1}, "crews", "sites.s.pools.p.crews"),
        ({"planned__m": {"at": ["9 h"], "lasts": "1 h"}}, "listed_stops", "planned.m.at"),
        ({"planned__m": {"every": "9 h", "lasts": "1 h"}}, "planned_stops", "planned.m.lasts"),
        ({"jobs__j__checkpoint__write": "1 min"}, "asynchronous_saves", "jobs.j.checkpoint"),
        ({"simulate__horizon": "1 d"}, "horizon", "simulate.horizon"),
        (
            {"services__web": {"pool": "p", "chips": 1}, "simulate__horizon": "1 d"},
            "services",
            "services.web",
        ),
    ],
)
def test_a_world_names_what_it_asks_for_and_where(changes, name, path):
    before, after = lines(world_of()), lines(world_of(**changes))
    assert name not in before
    assert after[name] == path


NEW = Feature("teleports", "jobs.j.teleports")


@pytest.fixture
def world(monkeypatch) -> World:
    """A world with a feature that nobody knows: one line in a table."""
    monkeypatch.setitem(module._OF_JOBS, "teleports", ("teleports", lambda job: job.name == "j"))
    return world_of(faults__f__takes="node")


def test_a_feature_that_nobody_knows_is_refused_by_all_with_its_line(world):
    assert NEW in world.features
    for engine in (batch, event):
        assert engine.why_unsupported(world) == (NEW.path, "it does not know this")
        with pytest.raises(UnsupportedByEngine, match=r"^jobs\.j\.teleports: engine \w+ cannot"):
            engine.play(world, 1, 0, 1)
    assert expect(world) is None
    assert sentence(why_no_closed_form(world)) == "no closed form: jobs.j.teleports is not in it"
    said = sentence(why_no_break_even(world))
    assert said == "no break-even: jobs.j.teleports is not in its closed form"
    assert break_evens({"a": world, "b": world}) == []


@pytest.mark.parametrize("engine", ["auto", "batch", "event"])
def test_a_scenario_that_no_engine_knows_is_refused_with_its_place(world, engine):
    assert world
    scenario = scenario_of(simulate__engine=engine)
    with pytest.raises(UnsupportedByEngine, match=r"jobs\.j\.teleports: engine \w+ cannot play"):
        cp.run(scenario)


def test_who_says_that_it_plays_a_feature_plays_it(world, monkeypatch):
    monkeypatch.setattr(event_engine, "PLAYS", event_engine.PLAYS | features("teleports"))
    assert event.why_unsupported(world) is None
    assert event.play(world, 1, 0, 2).end_s.shape == (2, 1)
    assert batch.why_unsupported(world) is not None


def test_names_are_those_of_features():
    with pytest.raises(ValueError, match="no such feature: teleports"):
        features("tiers teleports")
    for player in PLAYERS:
        pairs = [name for pair in getattr(player, "NOT_TOGETHER", ()) for name in pair]
        assert features(" ".join(pairs)) <= player.PLAYS


def test_pairs_are_refused_where_they_meet():
    here, there = Feature("rolling", "planned.m.rolling", 0), Feature("tiers", "jobs.j", 1)
    plays, pairs = features("rolling tiers"), [("rolling", "tiers")]
    assert first_refused([here, there], plays, pairs) is None
    assert first_refused([here, there._replace(pool=0)], plays, pairs) == here
    assert first_refused([here, there._replace(pool=None)], plays, pairs) == here
    assert first_refused([here._replace(pool=None), there], plays, pairs) is not None
    assert first_refused([here._replace(pool=None)], plays, pairs) is None
    assert first_refused([here, there], features("rolling"), pool=0) is None


@given(eventful_scenarios())
def test_both_engines_play_what_strategies_make_for_both(data):
    world = compile_world(cp.load(data))
    assert batch.why_unsupported(world) is None
    assert event.why_unsupported(world) is None


@given(tiered_scenarios())
def test_the_closed_form_of_one_pool_does_not_depend_on_another(data):
    """Only what the pool of the job asks for matters."""
    world = compile_world(cp.load(data))
    if (why := why_no_closed_form(world)) is not None and len(world.jobs) == 1:
        (p,) = world.jobs[0].pools_under(world.policy)
        assert any(f.path == why.values["path"] and f.pool in (None, p) for f in world.features)


LOG = """
computeplan: 1
name: logged
sites: {s: {pue: 1, pools: {p: {chip: H100-SXM, chips: 16, spares: 1 nodes, EXTRA}}}}
faults:
  log: {replay: log.csv, restart: 2 min}
  f: {mtbf: 100 h, per: node, takes: TAKES, restart: 1 min, REPAIR}
jobs: {j: {train_for: 6 h, chips: 16, checkpoint: {every: 10 min, stall: 20 s}}}
"""


@pytest.mark.parametrize(
    ("extra", "takes", "repair", "path"),
    [
        ("retire: {after: 2 faults, within: 1 d, replaced_in: 5 h}", "nothing", "", "retire"),
        ("crews: 1", "node", "repair: 1 h, automatic: {lasts: 7 min, mends: 0.5}", "crews"),
    ],
)
def test_nodes_of_a_log_are_retired_and_meet_crews_too(tmp_path: Path, extra, takes, repair, path):
    """Batch played both in silence, without retiring and in the order of the faults."""
    text = LOG.replace("EXTRA", extra).replace("TAKES", takes).replace("REPAIR", repair)
    (tmp_path / "log.csv").write_text("node,start_s,end_s\n1,100,200\n1,1000,1200\n")
    (tmp_path / "s.yaml").write_text(text.replace(", }", "}"))
    world = compile_world(cp.load(tmp_path / "s.yaml"))
    assert batch.why_unsupported(world)[0] == f"sites.s.pools.p.{path}"
    assert event.why_unsupported(world) is None
