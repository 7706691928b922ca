"""A scenario says what was written, changes only by being written anew, and names what is wrong."""

import copy
import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.errors import InfeasibleError, ScenarioError
from computeplan.report.words import sentence
from computeplan.specs.documents.document import parse_document
from computeplan.specs.documents.paths import list_paths, split_path
from computeplan.specs.durations import read_law
from computeplan.specs.faults import Corrupt, FaultKind, Interrupt, Slow
from computeplan.specs.logs.replay import Replay, load_replay
from computeplan.specs.maintenance import Maintain, PlannedStop
from computeplan.specs.scenario import Scenario, load, parse_value, shipped_folder, shipped_names
from computeplan.study.cases import compile_cases
from computeplan.study.cases import expand as expanded

SMALL = """\
computeplan: 1
name: small
sites:
  here:
    pue: 1.2
    pools:
      a: {chip: nvidia/h100-sxm, chips: 16, spares: 1 node}
faults:
  gpu:
    observed: {interruptions: 4, over: 10 d, chips: 16}
    takes: {node: 0.75, nothing: 0.25}
    restart: {lognormal: {median: 8 min, p95: 25 min}}
    repair: 20 h
jobs:
  j: {train_for: 1 d, chips: 16, checkpoint: {every: 1 h, stall: 5 s}}
"""


@pytest.fixture
def small():
    return load(data(SMALL))


def data(text):
    return parse_document(text, "s.yaml").data


def replaced(old, new, text=SMALL):
    assert text.count(old) == 1
    return text.replace(old, new)


def write(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    return folder / f"{next(iter(texts))}.yaml"


def lines_of(caught):
    """Return the lines of the message: the head, then one problem each."""
    return str(caught.value).split("\n")


def refused(folder, text):
    (folder / "s.yaml").write_text(text, "utf-8")
    with pytest.raises(ScenarioError) as caught:
        load(folder / "s.yaml")
    head, *problems = lines_of(caught)
    assert head.endswith(f"s.yaml: {len(problems)} problem{'s' if len(problems) > 1 else ''}")
    return [problem.removeprefix("  ") for problem in problems]


# -- schema --------------------------------------------------------------------------------------


def test_values_become_si(small):
    assert small.jobs["j"].train_for == 86_400.0
    assert small.jobs["j"].checkpoint.stall == 5.0
    assert small.sites["here"].pools["a"].spares.n_nodes(8) == (1,)
    assert small.faults["gpu"].takes == (("node", 0.75), ("nothing", 0.25))
    assert small.faults["gpu"].repair.scale_s == 72_000.0
    assert small.simulate.horizon is None


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("chips: 16, spares", "chips: -1, spares", "7:41  sites.here.pools.a.chips: should be gr"),
        ("chips: 16, spares", "chips: .nan, spares", "7:41  sites.here.pools.a.chips: must be a f"),
        ("chips: 16, spares", "chips: .inf, spares", "7:41  sites.here.pools.a.chips: must be a f"),
        ("chips: 16, spares", "chips: 1e400, spares", "7:41  sites.here.pools.a.chips: must be a "),
        ("chips: 16, spares", "chips: '16', spares", "7:41  sites.here.pools.a.chips: must be a n"),
        ("chips: 16, spares", "chips: true, spares", "7:41  sites.here.pools.a.chips: must be a n"),
        ("chips: 16, spares", "chips: 12, spares", "7:41  sites.here.pools.a.chips: 12 chips are "),
        (
            "1 node",
            "16",
            "7:53  sites.here.pools.a.spares: needs a unit: write it like '16 nodes' or",
        ),
        ("1 node", "1.5 nodes", "7:53  sites.here.pools.a.spares: must be a whole number from 0"),
        ("1 node", "-1 node", "7:53  sites.here.pools.a.spares: must be a whole number from 0 to"),
        (
            "1 node",
            "12 chips",
            "7:53  sites.here.pools.a.spares: 12 chips are not whole nodes of 8",
        ),
        (
            "h100-sxm",
            "h100-smx",
            "7:17  sites.here.pools.a.chip: no chip 'nvidia/h100-smx'. Did you ",
        ),
        (
            "pue: 1.2",
            "pue: 0.9",
            "5:10  sites.here.pue: should be greater than or equal to 1, got 0.9",
        ),
        ("pue: 1.2", "pue: 120 %", "5:10  sites.here.pue: must be a number, got '120 %'"),
        ("pue: 1.2", "pue: .nan", "5:10  sites.here.pue: must be a finite number, got nan"),
        (
            "1 d,",
            "3600,",
            "15:18  jobs.j.train_for: needs a unit: write it like '5 min' (a time), no",
        ),
        ("1 d,", "700 GiB,", "15:18  jobs.j.train_for: '700 GiB' is an amount of data, not a time"),
        ("1 d,", "0 d,", "15:18  jobs.j.train_for: must be > 0, got '0 d'"),
        ("1 d,", "-1 d,", "15:18  jobs.j.train_for: must be > 0, got '-1 d'"),
        ("1 d,", "1e400 d,", "15:18  jobs.j.train_for: '1e400 d' is not a finite number"),
        (
            "every: 1 h",
            "every: 1",
            "15:54  jobs.j.checkpoint.every: must be optimal, never, or a dura",
        ),
        ("every: 1 h", "every: 0 s", "15:54  jobs.j.checkpoint.every: must be > 0, got '0 s'"),
        (
            ", stall: 5 s",
            "",
            "15:46  jobs.j.checkpoint: stall is missing: how long training stands",
        ),
        ("over: 10 d, ", "", "10:5  faults.gpu.observed: 'over' is missing"),
        (
            "chips: 16}\n    takes",
            "chps: 16}\n    takes",
            "10:46  faults.gpu.observed.chps: unknown k",
        ),
        (
            "nothing: 0.25",
            "nothing: 0.2",
            "11:12  faults.gpu.takes: shares must add up to 1, got 0.95",
        ),
        (
            "nothing: 0.25",
            "nothing: 2",
            "11:12  faults.gpu.takes: shares must be numbers from 0 to",
        ),
        (
            "{node: 0.75, nothing: 0.25}",
            "rack",
            "11:12  faults.gpu.takes: pool a has no group 'rack'.  Known: nothing, job, chip,",
        ),
        (
            "    repair: 20 h\n",
            "",
            "10:5  faults.gpu: repair is missing: a kind that takes nodes says",
        ),
        ("20 h", "-20 h", "13:13  faults.gpu.repair: the duration must be >= 0, got '-20 h'"),
        ("computeplan: 1", "computeplan: 2", "1:14  computeplan: should be 1, got 2"),
        ("name: small", "name: '=1+1'", "2:7  name: a name may not hold dots, quotes, slashes or"),
        ("name: small", "name: '-1'", "2:7  name: a name may not hold dots, quotes, slashes or"),
        ("name: small", "name: a/../b", "2:7  name: a name may not hold dots, quotes, slashes or"),
        ("name: small", "name: 7", "2:7  name: should be a valid string, got 7"),
        (
            "name: small",
            "nmae: small",
            "2:1  nmae: unknown key 'nmae'. Did you mean 'name'?  Allowe",
        ),
        (
            "  j: {",
            "  <b>: {",
            "15:8  jobs.<b>: a name may not hold dots, quotes, slashes or < > &",
        ),
        ("  j: {", "  ' j': {", '15:9  jobs." j": a name may not hold dots, quotes, slashes or'),
        (
            "jobs:\n  j:",
            "jobs:\n  j: {}\n  k:",
            "15:6  jobs.j: state the work once, as tokens, train_fo",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_place(tmp_path, old, new, problem):
    found = refused(tmp_path, replaced(old, new))
    assert any(line.startswith(problem) for line in found), found


def test_everything_wrong_is_reported_at_once_in_the_order_of_the_file(tmp_path):
    text = """\
computeplan: 1
name: two sites
sites:
  west:
    pue: 0.5
    pools:
      a: {chip: nvidia/h100-smx, chips: 16}
      b: {chip: nvidia/h200, chips: 15, spare: 1 node}
faults:
  gpu: {mtbf: 50 kh, takes: nothing, restart: 5}
jobs:
  j: {tokens: 1 Ttoken, model: meta/llama-3.1-70c, chips: 16, seq: 4096}
"""
    assert refused(tmp_path, text) == [
        "5:10  sites.west.pue: should be greater than or equal to 1, got 0.5",
        (
            "7:17  sites.west.pools.a.chip: no chip 'nvidia/h100-smx'. Did you mean"
            " 'nvidia/h100-sxm'?  List: computeplan chips"
        ),
        (
            "8:41  sites.west.pools.b.spare: unknown key 'spare'. Did you mean 'spares'?  Allowed:"
            " chip, chips, spares, chips_per_node, groups, placement, crews, retire, network,"
            " throttle, power, rent, purchase, embodied, fault_factor"
        ),
        (
            "10:47  faults.gpu.restart: must be one law, such as '5 min' or"
            " {lognormal: {median: 8 min, p95: 25 min}}, not '5'"
        ),
        (
            "12:32  jobs.j.model: no model 'meta/llama-3.1-70c'. Did you mean 'meta/llama-3.1-70b'?"
            "  List: computeplan models"
        ),
    ]


def test_what_parts_say_of_one_another_is_checked_at_once(tmp_path):
    text = """\
computeplan: 1
name: crossed
sites:
  east:
    pue: 1.2
    price: 0.6 CNY/kWh
    pools:
      a: {chip: nvidia/h100-sxm, chips: 12}
  west:
    pue: 1.2
    pools:
      a: {chip: nvidia/h100-sxm, chips: 16, power: {meter: node, node_overhead: 1 kW, compute: 9 W}}
faults:
  gpu: {rate: 1 / 1000 node-days, takes: nothing, restart: 5 min, pools: [a, bb]}
planned:
  gpu: {every: 1 d, lasts: 5 min}
jobs:
  j: {work: 1e20 FLOP, chips: 16, parallelism: {tp: 8, pp: 4}, home: c, mfu: {d: 0.4}}
  k: {train_for: 1 d, chips: 8, checkpoint: {every: never}, batch: 4 ktoken, seq: 8192}
"""
    assert refused(tmp_path, text) == [
        (
            "6:12  sites.east.price: is in CNY, results are in USD: write at the top currency: CNY,"
            " or the rate, such as exchange: {rate: 0.14 USD/CNY, on: 2026-11-01}"
        ),
        "8:41  sites.east.pools.a.chips: 12 chips are not whole nodes of 8",
        "12:10  sites.west.pools.a: a pool of that name stands at another site",
        (
            "12:81  sites.west.pools.a.power.node_overhead: meter: node holds the host already;"
            " drop node_overhead"
        ),
        "14:78  faults.gpu.pools[1]: no pool 'bb'.  Pools: a, a",
        "16:8  planned.gpu: a fault kind has the same name",
        (
            "18:6  jobs.j: checkpoint is missing: training that can be stopped says how it saves,"
            " such as {every: optimal, stall: 5 s}, or {every: never}"
        ),
        (
            "18:48  jobs.j.parallelism: parallelism makes 32 ranks (tp*pp*dp*cp), but the job asks"
            " for 16 chips"
        ),
        "18:70  jobs.j.home: no pool 'c'.  Pools: a, a",
        "18:82  jobs.j.mfu.d: no pool 'd'.  Pools: a, a",
        "19:45  jobs.k.checkpoint: stall is missing: a planned stop saves first",
        "19:68  jobs.k.batch: 4000 tokens are less than one sequence of 8192",
    ]


def test_optimal_saves_need_something_that_fails(tmp_path):
    text = SMALL[: SMALL.index("faults:")] + SMALL[SMALL.index("jobs:") :]
    assert refused(tmp_path, text.replace("every: 1 h", "every: optimal")) == [
        (
            "9:54  jobs.j.checkpoint.every: optimal has no answer where nothing fails; give a"
            " duration or never"
        )
    ]


def test_a_package_of_two_dies_counts_two_ranks(tmp_path):
    text = replaced("nvidia/h100-sxm", "huawei/ascend-910c").replace("1 node}", "0 nodes}")
    text = replaced("chips: 16, ch", "chips: 16, mfu: 0.4, parallelism: {tp: 8, dp: 4}, ch", text)
    assert load(data(text)).jobs["j"].layout.n_ranks == 32


# -- rates of faults -----------------------------------------------------------------------------


def world_rate(scenario):
    """Return the rate per node and second that the engines will see."""
    from computeplan.compiler.compile import compile_world

    return compile_world(scenario).pools[0].kinds[0].rate_per_node_s


@pytest.mark.parametrize(
    "rate",
    [
        "observed: {interruptions: 4, over: 10 d, chips: 16}",
        "observed: {interruptions: 40, over: 100 d, chips: 16}",
        "mtbf: 40 d, per: chip",
        "mtbf: 0.96 kh, per: chip",
        "mtbf: 5 d, per: node",
        "rate: 200 / 1000 node-days",
        "rate: 0.2 / 1 node-day",
        "mtbf: 5 d, per: node, law: expon",
    ],
)
def test_every_form_of_a_rate_says_the_same(rate):
    """4 faults in 10 d on 16 chips, 8 to a node: one in 40 d per chip, in 5 d per node."""
    kind = f"{{{rate}, takes: nothing, restart: 5 min}}"
    text = SMALL[: SMALL.index("  gpu:")] + f"  gpu: {kind}\n" + SMALL[SMALL.index("jobs:") :]
    assert world_rate(load(data(text))) == pytest.approx(1 / (5 * 86_400), rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "takes: nothing",
            "state the rate once, as observed, mtbf (with per), rate or replay; got",
        ),
        ("mtbf: 5 d, per: node, rate: 1 / 1 node-days, takes: nothing", "got mtbf and rate"),
        ("mtbf: 5 d, takes: nothing", "mtbf goes with per: write mtbf: 50.7 kh and per: chip (or"),
        ("rate: 1 / 1 node-days, per: node, takes: nothing", "mtbf goes with per"),
        (
            "mtbf: 5 d, per: rack, takes: nothing",
            "has no group 'rack'.  Known: chip, node, pool. A group",
        ),
        ("rate: 3.79, takes: nothing", "write it like '3.79 / 1000 node-days', not 3.79"),
        ("rate: -1 / 1 node-days, takes: nothing", "is not a finite positive rate"),
        ("mtbf: 5 d, per: node", "takes is missing: node, nothing, or {node: 0.78, nothing: 0.22}"),
        ("mtbf: 5 d, per: node, takes: node", "repair is missing: a kind that takes nodes says"),
        ("mtbf: 0 d, per: node, takes: nothing", "must be > 0, got '0 d'"),
        ("mtbf: 5 d, per: node, takes: nothing, law: weibull_min", "weibull_min: takes c and one"),
        (
            "mtbf: 5 d, per: node, takes: nothing, law: {weibull_min: {c: 0.7}}",
            "age is missing: with weibull_min faults depend on how old the nodes are",
        ),
        (
            "mtbf: 5 d, per: node, takes: nothing, law: {weibull_min: {c: 0.7, mean: 3 d}}",
            "takes shapes only, as {weibull_min: {c: 0.7}}; mean follows from the rate",
        ),
        (
            "mtbf: 5 d, per: node, takes: nothing, law: {seen: [3 d, 72 h]}, age: new",
            "seen: needs two lifetimes at least, all > 0; the rate gives their mean",
        ),
        (
            "mtbf: 5 d, per: node, takes: nothing, law: {seen: [0 d, 3 d]}, age: new",
            "seen: needs two lifetimes at least, all > 0",
        ),
        ("mtbf: 5 d, per: node, takes: nothing, age: new", "age has no effect with expon"),
        (
            "mtbf: 5 d, per: node, takes: nothing, law: {uniform: {}}, age: new",
            "uniform: its support is [0, 1], not [0, inf)",
        ),
        (
            "mtbf: 5 d, per: node, takes: nothing, clock: busy, law: {gamma: {a: 2}}, age: new",
            "law: gamma runs on the wall clock only",
        ),
        (
            "mtbf: 5 d, per: node, takes: pool, repair: 1 h, relapse: {share: 0.1, after: 1 h}",
            "relapse is of single nodes and cannot take a pool; write two kinds",
        ),
        ("mtbf: 5 d, per: node, takes: nothing, law: {}", "must be expon or one law with its"),
        ("mtbf: 5 d, per: node, takes: nothing, lemons: {cv: 0}", "greater than 0"),
        (
            "mtbf: 5 d, per: node, takes: nothing, law: {gamma: {a: 2}}, age: new, lemons: {cv: 1}",
            "lemons goes with law: expon; with gamma nodes differ by their ages",
        ),
        (
            "mtbf: 5 d, per: node, takes: pool, repair: 1 h, lemons: {cv: 1}",
            "lemons is of single nodes and cannot take a pool; write two kinds",
        ),
    ],
)
def test_a_kind_of_fault_states_its_rate_once(tmp_path, kind, message):
    found = refused(
        tmp_path,
        SMALL[: SMALL.index("  gpu:")]
        + f"  gpu: {{restart: 5 min, {kind}}}\n"
        + SMALL[SMALL.index("jobs:") :],
    )
    assert len(found) == 1
    assert message in found[0]
    assert found[0].startswith("9:")


# -- logs to replay ------------------------------------------------------------------------------

REPLAY = "  gpu: {replay: log.csv, restart: 5 min}\n"
REPLAYED = SMALL[: SMALL.index("  gpu:")] + REPLAY + SMALL[SMALL.index("jobs:") :]


def test_a_log_is_read_in_the_order_of_time(tmp_path):
    (tmp_path / "log.csv").write_text("node,start_s,end_s,why\nb,20,50,x\na,10,,y\nb,5.5,6,\n")
    log = load_replay(Replay("log.csv"), tmp_path / "log.csv").log
    assert log.start_s.tolist() == [5.5, 10.0, 20.0]
    assert log.node.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(log.repair_s, [0.5, math.nan, 30.0])
    assert log.n_nodes == 2


def test_a_scenario_replays_the_log_beside_it(tmp_path):
    (tmp_path / "log.csv").write_text("\ufeffnode,start_s,end_s\nn1,20,50\nn2,10,11\n", "utf-8")
    path = write(tmp_path, s=REPLAYED)
    scenario = load(path)
    assert scenario.logs["gpu"].repair_s.tolist() == [1.0, 30.0]
    assert scenario == load(path)


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (None, "'log.csv' is not a file"),
        ("", "'log.csv' is empty"),
        ("node,start_s,end_s\n", "'log.csv' holds no fault"),
        (
            "node,end_s\na,1\n",
            "'log.csv' line 1: has no column called start; say which it is by col",
        ),
        ("node,start_s,end_s\na,1,2\n\na,-1,2\n", "'log.csv' begins at -1 s, before time 0: say"),
        (
            "node,start_s,end_s\na,nan,2\n",
            "'log.csv' line 2: 'nan' in column 'start_s' is not a ti",
        ),
        ("node,start_s,end_s\na,inf,2\n", "line 2: 'inf' in column 'start_s' is not a time"),
        ("node,start_s,end_s\na,1e400,2\n", "line 2: '1e400' in column 'start_s' is not a time"),
        ("node,start_s,end_s\na,1e300,2\n", "line 2: '1e300' in column 'start_s' is millions of y"),
        ("node,start_d,end_d\na,1,1e308\n", "line 2: '1e308' in column 'end_d' is millions of yea"),
        ("node,start_s,end_s\na,1,nan\n", "the log has faults without end_s; say what they take"),
        ("node,start_s,end_s\na,,2\n", "line 2: '' in column 'start_s' is not a time"),
        ("node,start_s,end_s\na\n", "line 2: has 1 cells; the header has 3"),
        ("node,start_s,end_s\n,1,2\n", "'log.csv' line 2: node is empty"),
        ('node,start_s,end_s\n"a\nb",1,2\n', r"'log.csv' line 3: 'a\nb' is not the name of a node"),
        ("node,start_s,end_s\na,5,4\n", "'log.csv' line 2: ends at 4, before it starts"),
        ("node,start,end\na,5,6\n", "'5' in column 'start' has no unit: say it by unit (s, min,"),
        (
            "node,start\na,2024-07-23\n",
            "has dates: say which of them is time 0 of the simulation, as",
        ),
        (
            "node,start_s,end_s\na,1,2\nb,1,2\nc,1,2\nd,1,2\n",
            "the log names 4 nodes, pool 'a' has 3",
        ),
        ("node,start_s\na,1\n", "the log has faults without end_s; say what they take (takes, rep"),
        (b"node,start_s\n\xff,1\n", "'log.csv' is not UTF-8 text"),
        (b"\x7fELF\0\0", "'log.csv' is binary"),
        ("[{", "'log.csv' line 1: is not JSON"),
        ("[1]", "'log.csv' event 1: must be a mapping, not 1"),
        ("[" * 100_000, "'log.csv' is nested too deep"),
        ("[" + "9" * 5000 + "]", "'log.csv' cannot be read: Exceeds the limit"),
        (
            '[{"node_id": "a", "event_time": NaN, "event_type": "fault_start"}]',
            "event_time must be a number of days, got nan",
        ),
        ("JobID|State|NodeList|End\n1|NODE_FAIL|g[1-2]|2024-01-01\n", "has dates: say which"),
    ],
)
def test_a_wrong_log_is_refused_with_its_line(tmp_path, log, message):
    if log is not None:
        (tmp_path / "log.csv").write_bytes(log if isinstance(log, bytes) else log.encode())
    (found,) = refused(tmp_path, REPLAYED)
    assert message in found
    assert found.startswith(("9:17  faults.gpu.replay: ", "9:8  faults.gpu: "))


@pytest.mark.parametrize(
    ("replay", "message"),
    [
        ("7", "must be a log, such as 'faults.csv' or {log: sacct.txt, from: 2024-07-23}, not '7'"),
        ("{from: 1 d}", "log is missing, the file to replay: write 'faults.csv' or {log"),
        ("{log: null}", "log is missing"),
        ("[log.csv]", "must be a log, such as"),
        ("{log: log.csv, form: 1 d}", "unknown key 'form'. Did you mean"),
        ("{log: log.csv, unit: day}", "unit must be one of s, min, h, d, not 'day'"),
        ("{log: log.csv, unit: [s]}", "unit must be like"),
        ("{log: log.csv, format: xml}", "format must be one of csv, infinitehbd, sacct, sac"),
        ("{log: log.csv, columns: host}", "columns must be like {node: host, start: begin}"),
        ("{log: log.csv, columns: {host: a}}", "columns are of node, start, end, cause; not of 'h"),
        ("{log: log.csv, columns: {node: host}}", "has no column 'host'"),
        ("{log: log.csv, from: 0}", "from must be like '0 d' or 2024-07-23, not '0'"),
        (
            "{log: log.csv, from: 2024-07-23}",
            "replay: from: '2024-07-23' is not a number with a unit; write",
        ),
        ("{log: log.csv, from: 3 h, to: 2 h}", "to must come after from"),
        ("{log: log.csv, from: 3 h}", "no fault of a known node lies between from and to"),
        ("{log: log.csv, notes: 1}", "notes must be a list of sentences"),
        ('"a\\0b"', "control character"),
    ],
)
def test_what_replay_refuses(tmp_path, replay, message):
    (tmp_path / "log.csv").write_text("node,start_s,end_s\na,1,2\n")
    (found,) = refused(tmp_path, REPLAYED.replace("log.csv", replay))
    assert message in found
    assert found.startswith("9:")


def test_the_window_of_a_log_begins_at_time_0(tmp_path):
    """One before, one down at first, one inside another, one open, one behind the end."""
    rows = "a,0,1\nb,8,11\na,12,15\na,14,18\nb,19,\nc,20,21\n"
    (tmp_path / "log.csv").write_text(f"host,begin,end\n{rows}")
    replay = "{log: log.csv, columns: {node: host}, unit: min, from: 10 min, to: 20 min}"
    kind = f"  gpu: {{replay: {replay}, takes: node, repair: 1 h, restart: 5 min}}\n"
    scenario = load(write(tmp_path, s=REPLAYED.replace(REPLAY, kind)))
    log = scenario.logs["gpu"]
    assert (log.start_s.tolist(), log.node.tolist(), log.n_nodes) == ([120.0, 540.0], [0, 1], 2)
    np.testing.assert_array_equal(log.repair_s, [360.0, math.nan])
    assert tuple(map(sentence, scenario.log_notes)) == (
        "gpu: 2 faults lie outside the window and are left out.",
        "gpu: 1 faults began before the window and are left out: their nodes are up at time 0.",
        "gpu: 1 faults began while their node was down: each is one with the earlier fault.",
        "gpu: 1 faults have no end: what they take, and how long, is drawn.",
    )
    assert scenario.input_files() == {
        "inputs/gpu.csv": b"node,start_s,end_s\na,120.0,480.0\nb,540.0,\n"
    }
    later = scenario.with_({"faults.gpu.replay.from": "0 min"})
    assert later.logs["gpu"].start_s.tolist() == [0.0, 480.0, 720.0, 1140.0]


@pytest.mark.parametrize(
    "changes",
    [
        "cases: {a: {faults.gpu.replay.from: 1 s}}",
        "cases: {a: {faults.gpu: {replay: {from: 1 s}}}}",
        "cases: {a: {faults: {gpu: {replay: {to: 1 d}}}}}",
        "sweep: {faults.gpu.replay.to: [1 d, 2 d]}",
        "sweep: [{faults.gpu.replay.to: 1 d}]",
    ],
)
def test_a_case_gives_a_replay_whole(tmp_path, changes):
    (tmp_path / "log.csv").write_text("node,start_s,end_s\na,1,2\n")
    found = refused(tmp_path, REPLAYED.replace("log.csv", "{log: log.csv, to: 9 d}") + changes)
    assert all("a case gives a replay whole" in problem for problem in found)
    whole = {"faults.gpu.replay": {"log": "log.csv", "from": "1 s"}}
    scenario = load(write(tmp_path, s=REPLAYED)).with_({"cases": {"a": whole}})
    assert scenario.with_(whole).logs["gpu"].start_s.tolist() == [0.0]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("log_merged: 3", "3 faults began while their node was down: each is one with the earlier"),
        ("log_without_ends", "The log says no ends of faults: repairs are not known."),
        ("3 faults lie outside the window.", "3 faults lie outside the window."),
        ("log_merged", "log_merged"),
        ("log_merged: {n}", "log_merged: {n}"),
        ("log_without_ends: 1", "log_without_ends: 1"),
        ("chip_is_estimate: 1", "chip_is_estimate: 1"),
    ],
)
def test_notes_in_a_file_are_codes_or_sentences(tmp_path, written, said):
    """A plain copy of a log keeps what was done; files of earlier versions hold sentences."""
    (tmp_path / "log.csv").write_text("node,start_s,end_s\na,1,2\n")
    kind = REPLAY.replace("log.csv", f"{{log: log.csv, notes: ['{written}']}}")
    scenario = load(write(tmp_path, s=REPLAYED.replace(REPLAY, kind)))
    (note,) = scenario.log_notes
    assert sentence(note).startswith(f"gpu: {said}")
    assert data(scenario.to_yaml())["faults"]["gpu"]["replay"]["notes"] == [written]


def test_nodes_that_slurm_does_not_say_are_left_out(tmp_path):
    head = "JobID|State|NodeList|End|FailedNode\n"
    rows = "1|NODE_FAIL|g[1-4]|2024-07-23T08:00:00|g3\n2|NODE_FAIL|g[1-4]|2024-07-23T09:00:00|\n"
    (tmp_path / "log.csv").write_text(head + rows)
    replay = Replay("log.csv", begins="2024-07-23T10:00:00+02:00")
    found = load_replay(replay, tmp_path / "log.csv")
    assert (found.log.start_s.tolist(), found.nodes) == ([0.0], ("g3",))
    assert "1 faults do not say which node failed and are left out." in map(sentence, found.notes)
    (tmp_path / "log.csv").write_text(head + rows.replace("|g3", "|"))
    with pytest.raises(ScenarioError, match="no fault names its node"):
        load_replay(replay, tmp_path / "log.csv")


@pytest.mark.parametrize("name", ["../log.csv", "/log.csv", "link.csv", "deep/../../log.csv"])
def test_a_log_outside_the_folder_is_refused(tmp_path, name):
    inside = tmp_path / "in"
    inside.mkdir()
    (tmp_path / "log.csv").write_text("node,start_s,end_s\na,1,2\n")
    (inside / "link.csv").symlink_to(tmp_path / "log.csv")
    (found,) = refused(inside, REPLAYED.replace("log.csv", name))
    assert found == (
        f"9:17  faults.gpu.replay: {name!r} lies outside the scenario's folder; copy it there"
    )


# -- effects -------------------------------------------------------------------------------------


def test_a_fault_has_one_effect_with_its_own_fields():
    rate = {"mtbf": "5 d", "per": "node"}
    found = {
        "takes": {"node": 0.5, "nothing": 0.5},
        "restart": "5 min",
        "repair": "1 h",
        "automatic": {"lasts": "10 min", "mends": 0.8},
    }
    stop = FaultKind(**rate, **found).effect
    assert isinstance(stop, Interrupt)
    assert (stop.restart.scale_s, stop.repair.scale_s, stop.automatic.mends) == (300, 3600, 0.8)
    assert stop.takes == (("node", 0.5), ("nothing", 0.5))
    assert FaultKind(**rate, **found, found="1 d").effect == Corrupt(read_law("1 d"), stop)
    slow = FaultKind(**rate, slows={"to": 0.7, "lasts": "2 h"}).effect
    assert slow == Slow(0.7, read_law("2 h"))


def test_a_planned_stop_maintains_all_jobs_or_some_nodes():
    assert PlannedStop(every="7 d", lasts="2 h").effect == Maintain(read_law("2 h"))
    rolling = {"rolling": "4 nodes", "restart": "5 min"}
    few = PlannedStop(every="7 d", lasts="2 h", **rolling).effect
    assert few == Maintain(read_law("2 h"), 4, read_law("5 min"))


# -- extends -------------------------------------------------------------------------------------


def test_a_file_is_laid_over_the_one_it_extends(tmp_path):
    over = (
        "extends: base.yaml\nname: over\nsites: {here: {pools: {a: {chips: 32}}}}\n"
        "jobs:\n  k: {train_for: 2 d, chips: 8, checkpoint: {every: never}}\n"
    )
    found = load(write(tmp_path, s=over, base=SMALL))
    assert found.name == "over"
    assert found.sites["here"].pools["a"].chips == 32
    assert found.sites["here"].pools["a"].spares.n_nodes(8) == (1,)
    assert list(found.jobs) == ["j", "k"]


def test_a_problem_of_the_base_is_shown_in_the_base(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, s="extends: base.yaml\nname: a/b\n", base=replaced("1 d,", "1 W,"))
    with pytest.raises(ScenarioError) as caught:
        load("s.yaml")
    assert lines_of(caught) == [
        "s.yaml: 1 problem",
        (
            "  2:7  name: a name may not hold dots, quotes, slashes or < > &, nor begin with = + -"
            " @ (a formula in a spreadsheet), nor begin or end with a blank, nor be empty, got"
            " 'a/b'"
        ),
        "base.yaml: 1 problem",
        "  15:18  jobs.j.train_for: '1 W' is a power, not a time; write it like '5 min'",
    ]


def test_a_shipped_scenario_may_be_extended(tmp_path):
    text = "extends: llama3-405b\nname: mine\nsimulate: {runs: 7}\n"
    found = load(write(tmp_path, s=text))
    shipped = load("llama3-405b")
    assert found.simulate.runs == 7
    assert found.simulate.horizon == shipped.simulate.horizon
    assert found.faults == shipped.faults


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"s": "extends: s.yaml\n"}, "extends: goes in a circle: s.yaml -> s.yaml"),
        (
            {"s": "extends: b.yaml\n", "b": "extends: c.yaml\n", "c": "extends: s.yaml\n"},
            "extends: goes in a circle: s.yaml -> b.yaml -> c.yaml -> s.yaml",
        ),
        ({"s": "extends: no.yaml\n"}, "extends: no file 'no.yaml' beside the scenario, and no"),
        ({"s": "extends: .\n"}, "extends: no file '.' beside the scenario"),
        ({"s": f"extends: {'a' * 300}\n"}, "beside the scenario, and no shipped scenario of that"),
        ({"s": "extends: [a]\n"}, "extends: must be a file name, not ['a']"),
        ({"s": "extends: /etc/passwd\n"}, "'/etc/passwd' lies outside the scenario's folder; copy"),
        ({"s": "extends: ../out.yaml\n"}, "'../out.yaml' lies outside the scenario's folder; cop"),
        ({"s": "extends: link.yaml\n"}, "'link.yaml' lies outside the scenario's folder; copy it"),
        ({"s": "extends: folder/out.yaml\n"}, "lies outside the scenario's folder; copy it there"),
    ],
)
def test_extends_stays_inside_the_folder_and_ends(tmp_path, texts, message):
    inside = tmp_path / "in"
    inside.mkdir()
    write(tmp_path, out=SMALL)
    (inside / "link.yaml").symlink_to(tmp_path / "out.yaml")
    (inside / "folder").symlink_to(tmp_path)
    with pytest.raises(ScenarioError) as caught:
        load(write(inside, **texts))
    (problem,) = caught.value.problems
    assert message in f"{problem.path}: {problem.message}"
    assert (problem.line, problem.column) == (1, 10)


@pytest.mark.parametrize(
    ("over", "path", "expected"),
    [
        ("faults: {gpu: {mtbf: 5 d, per: node}}", "faults.gpu.observed", None),
        ("faults: {gpu: {rate: 1 / 1 node-days}}", "faults.gpu.observed", None),
        ("faults: {gpu: {observed: {chips: 32}}}", "faults.gpu.observed.interruptions", 4),
        ("faults: {gpu: {restart: {expon: {mean: 1 h}}}}", "faults.gpu.restart.lognormal", None),
        ("faults: {gpu: {restart: 5 min}}", "faults.gpu.restart", "5 min"),
        (
            "faults: {gpu: {restart: {lognormal: {median: 9 min}}}}",
            "faults.gpu.restart.lognormal.p95",
            "25 min",
        ),
        (
            "faults: {gpu: {restart: {lognormal: {median: 9 min, sigma: 1}}}}",
            "faults.gpu.restart.lognormal.p95",
            None,
        ),
        ("faults: {gpu: {takes: nothing, repair: null}}", "faults.gpu.repair", None),
        ("jobs: {j: {work: 1e20 FLOP, achieved: 400 TFLOP/s}}", "jobs.j.train_for", None),
        ("jobs: {j: {checkpoint: {every: 2 h}}}", "jobs.j.checkpoint.stall", "5 s"),
        ("sites: {here: {pools: {a: {spares: null}}}}", "sites.here.pools.a.spares", None),
    ],
)
def test_merging_keeps_what_agrees_and_drops_what_excludes(tmp_path, over, path, expected):
    text = f"extends: base.yaml\nname: over\n{over}\n"
    found = load(write(tmp_path, s=text, base=SMALL)).document.data
    for part in split_path(path):
        found = found.get(part, {}) if isinstance(found, dict) else found
    assert (found or None) == expected


# -- with_ ---------------------------------------------------------------------------------------


def test_the_original_stays_as_it_was(small):
    before = copy.deepcopy(small.document.data)
    changed = small.with_(
        {
            "jobs.j.checkpoint.every": "2 h",
            "faults.gpu.rate": "1 / 1 node-days",
            "sites.here.pools.b": {"chip": "nvidia/h200", "chips": 8},
        }
    )
    assert changed.jobs["j"].checkpoint.every == 7200.0
    assert changed.pool_names == ["a", "b"]
    assert small.document.data == before
    assert small == load(data(SMALL))
    assert changed != small
    with pytest.raises(ValueError, match="frozen"):
        small.name = "other"


@pytest.mark.parametrize("value", [1.5, "x", [1]])
def test_a_path_into_what_is_no_mapping_does_not_exist(small, value):
    with pytest.raises(ScenarioError, match=r"jobs\.j\.chips: no 'j' in jobs\.$"):
        small.with_({"jobs": value, "jobs.j.chips": 8})


def test_what_was_loaded_does_not_change_with_the_mapping(small):
    mine = data(SMALL)
    scenario = load(mine)
    mine["jobs"]["j"]["chips"] = 8
    assert scenario.with_({}) == small


def test_scenarios_are_equal_if_they_say_the_same(small, tmp_path):
    assert load(write(tmp_path, s="# elsewhere\n\n" + SMALL)) == small
    assert small.with_({"simulate.seed": 1}) != small
    assert small != "small"


@pytest.mark.parametrize(
    ("changes", "path", "expected"),
    [
        ({"jobs.j.chips": 8}, "jobs.j.chips", 8),
        ({"jobs.j": {"chips": 8}}, "jobs.j.train_for", "1 d"),
        ({"faults.gpu.mtbf": "5 d", "faults.gpu.per": "node"}, "faults.gpu.observed", None),
        ({"faults.gpu.per": "node", "faults.gpu.mtbf": "5 d"}, "faults.gpu.observed", None),
        (
            {"faults.gpu.restart.lognormal.p95": "30 min"},
            "faults.gpu.restart.lognormal.median",
            "8 min",
        ),
        ({"faults.gpu.restart.expon.mean": "1 h"}, "faults.gpu.restart.lognormal", None),
        ({"faults.gpu.repair": {"expon": {"mean": "1 h"}}}, "faults.gpu.repair.expon.mean", "1 h"),
        ({"faults.gpu.takes": {"node": 0.5, "nothing": 0.5}}, "faults.gpu.takes.node", 0.5),
        ({"faults": None}, "faults", None),
        ({"jobs.j.deadline": None}, "jobs.j.deadline", None),
        ({"jobs.j.mfu": 0.4}, "jobs.j.mfu", 0.4),
        ({"jobs.j.mfu": {"a": 0.4}}, "jobs.j.mfu.a", 0.4),
        ({"simulate.runs": 5}, "simulate.runs", 5),
        ({"name": "x"}, "name", "x"),
    ],
)
def test_a_change_reaches_its_path(small, changes, path, expected):
    found = small.with_(changes).document.data
    for part in split_path(path):
        found = found.get(part) if isinstance(found, dict) else found
    assert found == expected


def test_shares_of_pools_change_one_by_one(small):
    two = small.with_(
        {
            "sites.here.pools.b": {"chip": "nvidia/h200", "chips": 16},
            "jobs.j.mfu": {"a": 0.4, "b": 0.5},
        }
    )
    mfu = two.with_({"jobs.j.mfu.a": 0.3}).jobs["j"].mfu
    assert {pool: found.nominal for pool, found in mfu.items()} == {"a": 0.3, "b": 0.5}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("jobs.j.chps", "no 'chps' in jobs.j. Did you mean 'chips'?  Allowed: model, tokens, tra"),
        ("job.j.chips", "no 'job' at the top. Did you mean 'jobs'?  Allowed: computeplan, name"),
        ("jobs.k.chips", "no 'k' in jobs.  Allowed: j"),
        ("sites.her.pue", "no 'her' in sites. Did you mean 'here'?  Allowed: here"),
        ("sites.here.pools.a.power.compte", "no 'compte' in sites.here.pools.a.power. Did you"),
        ("jobs..chips", "is not a path; one looks like jobs.pretrain.checkpoint.every"),
        ("", "is not a path; one looks like jobs.pretrain.checkpoint.every"),
        ("extends", "is read with the file and cannot be changed; write a file that extends"),
    ],
)
def test_a_path_that_does_not_exist_suggests_the_nearest(small, path, message):
    with pytest.raises(ScenarioError) as caught:
        small.with_({path: 1})
    (problem,) = caught.value.problems
    assert problem.path == path
    assert problem.message.startswith(message)


def test_all_wrong_paths_are_reported_at_once(small):
    with pytest.raises(ScenarioError) as caught:
        small.with_({"jobs.x.chips": 1, "jobs.j.chips": 8, "nmae": 2})
    assert [problem.path for problem in caught.value.problems] == ["jobs.x.chips", "nmae"]


def test_a_wrong_value_shows_where_the_change_comes_from(small):
    with pytest.raises(ScenarioError) as caught:
        small.with_({"jobs.j.chips": "many"}, origin="-s")
    assert lines_of(caught) == [
        "-s jobs.j.chips=many: 1 problem",
        "  jobs.j.chips: must be a number, got 'many'",
    ]
    with pytest.raises(ScenarioError, match=r"^-s name=a{69}\.\.\.: 1 problem"):
        small.with_({"name": "a" * 1000}, origin="-s")


def test_extends_is_for_files(small):
    with pytest.raises(ScenarioError, match="extends: is for files; load the other scenario"):
        load({**data(SMALL), "extends": "llama3-405b"})


paths_of_small = [path for path, *_ in list_paths(Scenario, data(SMALL))]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["5 min", "node", "optimal", "1 / 1 node-days", 10**400]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["value", "expon", "mean", "node", "a"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(
    st.sampled_from([*paths_of_small, "jobs", "sites.here", "chips.x", "models.x", "sweep"]),
    anything,
)
def test_any_change_gives_a_scenario_or_a_scenario_error(path, value):
    scenario = load(data(SMALL))
    try:
        said = scenario.with_({path: value}).to_yaml()
    except ScenarioError as error:
        said = str(error)
    assert said


# -- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped_names())
def test_every_listed_value_can_be_set_again_and_changes_nothing(name):
    scenario = load(name)
    listed = [row for row in list_paths(Scenario, scenario.document.data) if row[1]]
    assert len(listed) > 20
    for path, text, *_ in listed[:60]:
        value = scenario.document.data
        for part in split_path(path):
            value = value[part]
        assert scenario.with_({path: value}) == scenario, path
        if path.split(".")[-1] not in ("about", "note"):  # prose may need quotes there
            assert parse_value(text) == value, path


def test_paths_have_units_examples_and_words(small):
    rows = {
        path: (value, how, about) for path, value, how, about in list_paths(Scenario, data(SMALL))
    }
    value, how, about = rows["jobs.j.checkpoint.every"]
    assert (value, how.unit, how.example) == ("1 h", "s", "30 min (or optimal, never)")
    assert about.startswith("Training time between saves")
    assert rows["faults.gpu.restart.lognormal.median"][0] == "8 min"
    assert rows["jobs.j.deadline"][0] == ""
    assert rows["sites.here.carbon"][1].unit == "kg/J"
    assert "extends" not in rows


# -- cases and sweep -----------------------------------------------------------------------------


def expand(text, folder=None):
    scenario = load(data(text) if folder is None else write(folder, s=text))
    return {name: variant.scenario for name, variant in expanded(scenario).items()}


def test_cases_are_changes_crossed_with_the_axes_of_the_sweep():
    found = expand(
        SMALL
        + "cases: {as is: {}, half: {jobs.j.chips: 8}, bare: null}\n"
        + "sweep: {jobs.j.checkpoint.every: [1 h, 2 h]}\n"
    )
    assert [
        (name, s.jobs["j"].chips, s.jobs["j"].checkpoint.every) for name, s in found.items()
    ] == [
        ("as is, every=1 h", 16, 3600.0),
        ("as is, every=2 h", 16, 7200.0),
        ("half, every=1 h", 8, 3600.0),
        ("half, every=2 h", 8, 7200.0),
        ("bare, every=1 h", 16, 3600.0),
        ("bare, every=2 h", 16, 7200.0),
    ]


def test_points_that_are_listed_are_not_crossed():
    found = expanded(
        load(
            data(
                SMALL
                + "cases: {as is: {}, hourly: {jobs.j.checkpoint.every: 1 h}}\n"
                + "sweep:\n"
                + "- {sites.here.pools.a.chips: 16, jobs.j.chips: 16, jobs.j.train_for: 2 d}\n"
                + "- {sites.here.pools.a.chips: 32, jobs.j.chips: 32, jobs.j.train_for: 1 d}\n"
            )
        )
    )
    assert [
        (name, s.jobs["j"].chips, s.pool("a").chips, s.jobs["j"].train_for / 86_400)
        for name, (s, _) in found.items()
    ] == [
        ("as is, chips=16, train_for=2 d", 16, 16, 2),
        ("as is, chips=32, train_for=1 d", 32, 32, 1),
        ("hourly, chips=16, train_for=2 d", 16, 16, 2),
        ("hourly, chips=32, train_for=1 d", 32, 32, 1),
    ]
    assert found["hourly, chips=32, train_for=1 d"].axes == {
        "sites.here.pools.a.chips": 32,
        "jobs.j.chips": 32,
        "jobs.j.train_for": "1 d",
    }


@pytest.mark.parametrize(
    ("sweep", "names"),
    [
        ("{sites.here.pools.a.chips: [16, 32], jobs.j.chips: [16]}", "a.chips=16, j.chips=16"),
        ("[{sites.here.pools.a.chips: 16, jobs.j.chips: 8}]", "a.chips=16, j.chips=8"),
        ("[{sites.here.pools.a.chips: 16, jobs.j.chips: 16}]", "chips=16"),
        ("{sites.here.pools.a.chips: [16], jobs.j.train_for: [2 d]}", "chips=16, train_for=2 d"),
    ],
)
def test_a_case_is_named_by_the_ends_of_its_paths(sweep, names):
    assert next(iter(expand(SMALL + f"sweep: {sweep}\n"))) == names


def test_what_is_wrong_with_a_listed_point_is_placed_there(tmp_path):
    sweep = "sweep:\n- {jobs.j.chips: 8}\n- {jobs.j.chips: many}\n- {jobs.j.chips: few}\n"
    with pytest.raises(ScenarioError) as caught:
        expand(SMALL + sweep, tmp_path)
    found = [(p.line, p.column, p.path, p.cases) for p in caught.value.problems]
    assert found == [
        (18, 18, "jobs.j.chips", ("chips=many",)),
        (19, 18, "jobs.j.chips", ("chips=few",)),
    ]


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ("[{jobs.j.chips: 8}, {jobs.j.chps: 8}]", "sets jobs.j.chps, the first point jobs.j.chips"),
        ("[{jobs.j.chips: 8}, {jobs.j.chips: 8}]", "two cases are named 'chips=8'"),
    ],
)
def test_points_that_are_unlike_or_alike_are_refused(tmp_path, sweep, message):
    with pytest.raises(ScenarioError, match=message):
        expand(SMALL + f"sweep: {sweep}\n", tmp_path)


def test_a_path_is_either_swept_or_set(tmp_path):
    for sweep in ("{jobs.j.chips: [8]}", "[{jobs.j.chips: 8}]"):
        with pytest.raises(ScenarioError, match="case 'x' sets this path too"):
            expand(SMALL + f"cases: {{x: {{jobs.j.chips: 4}}}}\nsweep: {sweep}\n", tmp_path)


@pytest.mark.parametrize("block", ["cases", "sweep"])
def test_a_change_of_all_cases_or_of_the_sweep_replaces_them(block):
    was = {"cases": "cases: {a: {jobs.j.chips: 8}}\n", "sweep": "sweep: {jobs.j.chips: [8]}\n"}
    scenario = load(data(SMALL + was[block]))
    other = {"b": {"jobs.j.chips": 16}} if block == "cases" else {"jobs.j.arrival": ["1 h"]}
    assert set(getattr(scenario.with_({block: other}), block)) == set(other)
    added = scenario.with_({f'{block}."{name}"': value for name, value in other.items()})
    assert len(getattr(added, block)) == 2
    assert not getattr(scenario.with_({block: None}), block)


def test_a_file_that_extends_another_adds_cases(tmp_path):
    write(tmp_path, base=SMALL + "cases: {a: {jobs.j.chips: 8}}\n")
    scenario = load(write(tmp_path, s="extends: base.yaml\ncases: {b: {jobs.j.chips: 16}}\n"))
    assert list(scenario.cases) == ["a", "b"]


def test_tab_completion_shows_what_people_use(small):
    shown = dir(small)
    assert {"sites", "jobs", "models", "with_", "to_yaml", "pool", "chip_of"} <= set(shown)
    assert not [name for name in shown if name.startswith("model_") or name in dir(BaseModel)]
    assert all(hasattr(small, name) for name in shown)
    assert "every" in dir(small.jobs["j"].checkpoint)


def test_a_scenario_without_cases_is_its_own_case(small):
    assert list(expand(SMALL)) == ["small"]


def test_a_wrong_change_of_a_case_is_placed_in_that_case(tmp_path):
    cases = "cases:\n  a: {jobs.j.chps: 8}\n  b: {jobs.j.chips: many}\n"
    with pytest.raises(ScenarioError) as caught:
        expand(SMALL + cases, tmp_path)
    found = [(p.line, p.column, p.path, p.cases) for p in caught.value.problems]
    assert found == [
        (17, 7, "jobs.j.chps", ("a",)),
        (18, 21, "jobs.j.chips", ("b",)),
    ]
    assert "(case 'a')" in str(caught.value)


def test_what_is_wrong_in_many_cases_is_told_once(tmp_path):
    """Five queue policies: what is wrong is wrong with the job, whoever schedules it."""
    policies = ("silo", "first-fit", "fifo-backfill", "fastest-first", "least-energy")
    cases = "".join(f"  {name}: {{policy: {name}}}\n" for name in policies)
    unknown = SMALL.replace("train_for: 1 d", "work: 1e22 FLOP")
    with pytest.raises(ScenarioError) as caught:
        compile_cases(load(write(tmp_path, s=f"{unknown}cases:\n{cases}")))
    assert lines_of(caught)[1:] == [
        (
            "  15:6  jobs.j: mfu or achieved is missing: work without a model has no default speed"
            "  (in cases 'silo', 'first-fit' and 3 more)"
        )
    ]
    (problem,) = caught.value.problems
    assert problem.cases == policies


def test_what_is_infeasible_in_many_cases_is_told_once(tmp_path):
    large = "model: meta/llama-3.1-70b, seq: 8192, batch: 128 Kitoken, parallelism: {dp: 16}"
    text = replaced("train_for: 1 d, chips: 16", f"train_for: 1 d, {large}")
    cases = "cases: {a: {simulate.horizon: 1 d}, b: {simulate.horizon: 2 d}}\n"
    with pytest.raises(InfeasibleError, match=r"^[^\n]* GiB[^\n]*  \(in cases 'a' and 'b'\)$"):
        compile_cases(load(write(tmp_path, s=text + cases)))


def test_what_is_wrong_with_many_jobs_is_told_once(tmp_path):
    jobs = "".join(f"  j{i}: {{train_for: 1 d, chips: 16}}\n" for i in range(5))
    found = refused(tmp_path, SMALL + jobs)
    assert found == [
        (
            "16:7  jobs.j0: checkpoint is missing: training that can be stopped says how it saves,"
            " such as {every: optimal, stall: 5 s}, or {every: never}  Also jobs.j1 (17:7), jobs.j2"
            " (18:7) and 2 more"
        )
    ]


def test_like_problems_of_other_fields_and_of_pools_are_told_apart(tmp_path):
    text = replaced("a: {chip: nvidia/h100-sxm, chips: 16, spares: 1 node}", "a: {chip: x}")
    text = replaced("train_for: 1 d", "train_for: 1, deadline: 1", text)
    found = refused(tmp_path, text.replace("{chip: x}", "{chip: x, chips: 1}\n      b: {chip: x}"))
    assert [line.split(":")[1].split("  ")[1] for line in found] == [
        "sites.here.pools.a.chip",
        "sites.here.pools.b",
        "jobs.j.train_for",
        "jobs.j.deadline",
    ]


def test_of_two_cases_with_one_path_the_wrong_one_is_placed(tmp_path):
    cases = "cases:\n  a: {jobs.j.chips: 8}\n  b: {jobs.j.chips: many}\n"
    scenario = load(write(tmp_path, s=SMALL + cases))
    with pytest.raises(ScenarioError) as caught:
        scenario.with_({"jobs.j.chips": "many"}, case="b")
    assert [(p.line, p.column) for p in caught.value.problems] == [(18, 21)]


@pytest.mark.parametrize("path", ["simulate.runs", "simulate.seed", "name", "cases", "cases.a.b"])
@pytest.mark.parametrize(
    "block",
    ["cases: {{x: {{{}: 3}}}}\n", "sweep: {{{}: [3]}}\n", "sweep: [{{{}: 3}}]\n"],
)
def test_what_all_cases_share_cannot_differ(tmp_path, path, block):
    (found,) = refused(tmp_path, SMALL + block.format(path))
    assert f"{path} is the same for all cases; change it at the top" in found
    assert found.startswith("16:")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("cases: [a]", "16:8  cases: should be a mapping of keys to values"),
        ("cases: {a: 3}", "16:12  cases.a: should be a mapping of keys to values"),
        ('cases: {" a": {}}', '16:15  cases." a": the name of a case may not hold line feeds'),
        ('cases: {"+1": {}}', "16:15  cases.+1: the name of a case may not hold line feeds"),
        ("sweep: {jobs.j.chips: 8}", '16:23  sweep."jobs.j.chips": should be a valid list'),
        ("sweep: {jobs.j.chips: []}", '16:23  sweep."jobs.j.chips": list should have at least 1'),
        ("sweep: 3", "16:8  sweep: should be a mapping of keys to values"),
        ("sweep: []", "16:8  sweep: list should have at least 1"),
        ("sweep: [{}]", "16:9  sweep[0]: dictionary should have at least 1"),
        ("sweep: [8]", "16:9  sweep[0]: should be a mapping of keys to values"),
    ],
)
def test_cases_and_sweeps_have_a_shape(tmp_path, block, message):
    (found,) = refused(tmp_path, SMALL + block + "\n")
    assert found.startswith(message)


# -- chips and models of one's own ---------------------------------------------------------------

CHIP = "{peak_dense: {bf16: 400 TFLOP/s}, server: {chips: 8}, power: {tdp: 500 W}}"
MODEL = "{layers: 2, hidden: 64, ffn: 128, heads: 4, vocab: 100}"


def own(chip, model):
    text = replaced("nvidia/h100-sxm", chip)
    return replaced("train_for: 1 d", f"tokens: 1 Gtoken, seq: 128, mfu: 0.4, model: {model}", text)


def test_a_chip_and_a_model_may_stand_inline():
    text = own("mine", "tiny") + f"chips: {{mine: {CHIP}}}\nmodels: {{tiny: {MODEL}}}\n"
    scenario = load(data(text))
    assert scenario.chip_of("a").peak_flop_per_s("bf16") == 4e14
    assert scenario.catalogue.models["tiny"].layers == 2


def test_a_chip_and_a_model_may_stand_in_files_beside_the_scenario(tmp_path):
    path = write(tmp_path, s=own("chip.yaml", "model.yaml"), chip=CHIP, model=MODEL)
    scenario = load(path)
    assert scenario.chip_of("a").peak_flop_per_s("bf16") == 4e14
    alone = load(data(scenario.to_yaml()))  # without the files
    assert alone.catalogue.chips == scenario.catalogue.chips
    assert alone.catalogue.models == scenario.catalogue.models


def test_an_own_chip_changes_by_path_like_everything_else():
    text = own("mine", "tiny") + f"chips: {{mine: {CHIP}}}\nmodels: {{tiny: {MODEL}}}\n"
    changed = load(data(text)).with_({"chips.mine.power.tdp": "600 W", "models.tiny.layers": 3})
    assert changed.chip_of("a").tdp_w == 600.0
    assert changed.chip_of("a").peak_flop_per_s("bf16") == 4e14
    assert changed.catalogue.models["tiny"].layers == 3


def test_a_changed_figure_does_not_keep_the_old_source():
    chip = (
        "{server: {chips: 8}, peak_dense: {bf16: {value: 400 TFLOP/s, source: s, confidence:"
        " datasheet}}, sources: {s: {title: t, url: null, kind: datasheet}}}"
    )
    text = replaced("nvidia/h100-sxm", "mine") + f"chips: {{mine: {chip}}}\n"
    changed = load(data(text)).with_({"chips.mine.peak_dense.bf16": {"value": "500 TFLOP/s"}})
    figure = changed.chip_of("a").peak_dense["bf16"]
    assert (figure.value, figure.source, figure.confidence) == (5e14, "scenario", "user")


@pytest.mark.parametrize(
    ("chip", "block", "message"),
    [
        ("mine", "{power: {tpd: 3 W}, peak_dense: {bf16: 1 TFLOP/s}}", "chips.mine.power.tpd: unk"),
        ("mine", "{}", "chips.mine: 'peak_dense' is missing"),
        ("mine", "7", "chips.mine: must be a mapping, not 7"),
        ("no.yaml", "{}", "cannot be read: No such file or directory"),
        ("../no.yaml", "{}", "'../no.yaml' lies outside the scenario's folder; copy it there"),
        ("/no.yaml", "{}", "'/no.yaml' lies outside the scenario's folder; copy it there"),
    ],
)
def test_a_wrong_chip_of_ones_own_is_named(tmp_path, chip, block, message):
    text = replaced("nvidia/h100-sxm", chip) + f"chips: {{mine: {block}}}\n"
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path / "s.yaml")
    assert message in str(caught.value)


def test_a_chip_without_a_known_server_says_its_chips_per_node(tmp_path):
    text = replaced("nvidia/h100-sxm", "mine") + "chips: {mine: {peak_dense: {bf16: 1 TFLOP/s}}}\n"
    (found,) = refused(tmp_path, text)
    assert found.startswith(
        "7:10  sites.here.pools.a: chips_per_node is missing: no server is known"
    )


def test_an_ambiguous_name_is_resolved_with_a_note():
    scenario = load(data(replaced("nvidia/h100-sxm", "910B")))
    assert scenario.chip_of("a").name == "huawei/ascend-910b2"
    assert any("910B" in sentence(note) for note in scenario.catalogue.notes)


# -- to_yaml, the schema, loading ----------------------------------------------------------------


@pytest.mark.parametrize("name", shipped_names())
def test_to_yaml_comes_back_as_the_same_scenario(name):
    scenario = load(name)
    again = load(parse_document(scenario.to_yaml(), name).data)
    assert again == scenario
    assert again.to_yaml() == scenario.to_yaml()


def test_to_yaml_of_an_extended_scenario_stands_alone(tmp_path):
    over = "extends: base.yaml\nname: '1+1= [b] 一'\nabout: |\n  two\n  lines: \"x\" # y\n"
    scenario = load(write(tmp_path, s=over, base=SMALL))
    text = scenario.to_yaml()
    assert "extends" not in text
    assert load(data(text)) == scenario


def json_schema():
    return Scenario.model_json_schema(mode="validation")


def keywords(schema):
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key in ("properties", "patternProperties", "$defs"):
                for inner in value.values():
                    yield from keywords(inner)
            elif key not in ("default", "examples", "const", "enum"):
                yield key
                yield from keywords(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from keywords(item)


def test_the_json_schema_speaks_json_schema():
    known = {
        *("$ref", "additionalProperties", "anyOf", "const", "default", "description", "enum"),
        *("examples", "exclusiveMinimum", "exclusiveMaximum", "items", "maxLength", "maximum"),
        *(
            "maxItems",
            "maxProperties",
            "minItems",
            "minLength",
            "minProperties",
            "minimum",
            "pattern",
        ),
        *("oneOf", "propertyNames", "required", "title", "type", "if", "then", "else"),
    }
    assert set(keywords(json_schema())) <= known
    assert json_schema()["required"] == ["computeplan", "name", "sites"]
    assert json_schema()["additionalProperties"] is False
    json.dumps(json_schema(), allow_nan=False)


@pytest.mark.parametrize("name", [*shipped_names(), "small"])
def test_shipped_scenarios_satisfy_the_json_schema_and_wrong_ones_do_not(name):
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    text = SMALL if name == "small" else (shipped_folder() / f"{name}.yaml").read_text("utf-8")
    right = data(text)
    assert list(validator.iter_errors(right)) == []
    for path, wrong in [
        (("name",), "a/b"),
        (("sites",), []),
        (("jobs",), {"j": {"chips": -1}}),
        (("simulate",), {"runs": 0}),
        (("policy",), 3),
        (("unknown",), 1),
    ]:
        assert list(validator.iter_errors({**right, path[0]: wrong})), path


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("lama3-405b", "no such file or shipped scenario. Did you mean 'llama3-405b'?  Shipped: "),
        ("no/such.yaml", "no such file or shipped scenario.  Shipped: "),
        ("", "no such file or shipped scenario.  Shipped: "),
        ("a" * 5000, "no such file or shipped scenario.  Shipped: "),
        ("a\0b", "no such file or shipped scenario.  Shipped: "),
    ],
)
def test_a_source_that_is_none_says_what_there_is(source, message):
    with pytest.raises(ScenarioError) as caught:
        load(source)
    assert caught.value.problems[0].message.startswith(message)
    assert "llama3-405b" in caught.value.problems[0].message


def test_a_folder_is_not_a_scenario(tmp_path):
    with pytest.raises(ScenarioError, match="is a folder, not a file"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("30 min", "30 min"),
        ("16", 16),
        ("0.4", 0.4),
        ("null", None),
        ("", None),
        ("{node: 0.5, nothing: 0.5}", {"node": 0.5, "nothing": 0.5}),
        ("[1 h, 2 h]", ["1 h", "2 h"]),
        ("'16'", "16"),
    ],
)
def test_the_right_side_of_a_setting_is_yaml(text, value):
    assert parse_value(text) == value


@pytest.mark.parametrize(
    "text", ["foo: bar", "a\nb: 1", "[", "!!python/name:os.system", "*a", "\0"]
)
def test_a_setting_that_is_no_value_is_refused(text):
    with pytest.raises(ScenarioError, match=r"cannot be read as YAML|holds a second line"):
        parse_value(text)


@pytest.mark.parametrize(
    ("spares", "message"),
    [
        (
            {"hot": "2 nodes"},
            "hot: needs nodes and ready, as in {hot: {nodes: 2 nodes, ready: 10 s}",
        ),
        ({"lukewarm": {}}, "must be a number of nodes such as '16 nodes', or by state"),
        (
            {"hot": {"nodes": "2 nodes", "ready": 10}},
            "hot.ready needs a unit: write it like '5 min'",
        ),
        (
            {
                "hot": {"nodes": "2 nodes", "ready": "1 h"},
                "cold": {"nodes": "2 nodes", "ready": "1 min"},
            },
            "a warmer spare must be ready sooner than a colder one",
        ),
    ],
)
def test_spares_by_state_say_how_many_and_how_soon(small, spares, message):
    with pytest.raises(ScenarioError) as caught:
        small.with_({"sites.here.pools.a.spares": spares})
    assert message in str(caught.value)


def test_a_group_larger_than_its_pool_is_refused(small):
    """Its rate per node would be too low without anybody noticing."""
    with pytest.raises(ScenarioError, match=r"groups\.rack: 1000 nodes, but the pool has"):
        small.with_({"sites.here.pools.a.groups": {"rack": "1000 nodes"}})


# -- names of files that are nearly right --------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["mycloud", "mycluod.yaml", "my-cloud.yaml", "MyCloud.yaml", "mycloud.yml"]
)
def test_a_file_name_that_is_nearly_right_names_the_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, mycloud=SMALL, other=SMALL)
    for source, shown in ((name, "mycloud.yaml"), (tmp_path / name, tmp_path / "mycloud.yaml")):
        with pytest.raises(ScenarioError, match=re.escape(f"Did you mean '{shown}'?")):
            load(str(source))


def test_a_name_that_is_like_no_file_names_a_shipped_scenario_or_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, mycloud=SMALL)
    with pytest.raises(ScenarioError, match="Did you mean 'llama3-405b'"):
        load("llama-405b")
    with pytest.raises(ScenarioError, match=r"shipped scenario\.  Shipped: "):
        load("qqqq")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "computeplan: 1",
            "extends: bsae.yaml",
            "no shipped scenario of that name. Did you mean '",
        ),
        ("nvidia/h100-sxm", "chip", "For the file beside the scenario write chip.yaml"),
        (
            "observed: {interruptions: 4, over: 10 d, chips: 16}",
            "replay: lg.csv",
            "is not a file. Did you mean",
        ),
        ("observed: {interruptions: 4, over: 10 d, chips: 16}", "replay: lgo.csv", "/log.csv'?"),
    ],
)
def test_a_file_beside_the_scenario_is_named_where_its_name_is_nearly_right(
    tmp_path, old, new, message
):
    write(tmp_path, base=SMALL, chip="peak_dense: {bf16: 1 PFLOP/s}\nserver: {chips: 8}\n")
    (tmp_path / "log.csv").write_text("time,node\n1 h,0\n", "utf-8")
    assert any(message in line for line in refused(tmp_path, replaced(old, new))), message


def test_a_file_of_a_chip_is_named_where_its_name_is_nearly_right(tmp_path):
    path = write(tmp_path, s=replaced("nvidia/h100-sxm", "chp.yaml"), chip="name: x/y\n")
    with pytest.raises(ScenarioError, match=r"cannot be read: .*\. Did you mean '.*/chip.yaml'\?"):
        load(path)


def test_a_chip_of_ones_own_is_named_where_its_name_is_nearly_right(tmp_path):
    own = "chips: {acme/x1: {extends: nvidia/h100-sxm}}\n"
    found = refused(tmp_path, replaced("nvidia/h100-sxm", "acme/x2") + own)
    assert any("no chip 'acme/x2'. Did you mean 'acme/x1'?" in line for line in found)


def test_a_name_in_curly_quotes_is_not_a_name(tmp_path):
    (found,) = refused(tmp_path, replaced("name: small", "name: “small”"))
    assert found.endswith("got '“small”'; full-width characters: write \"small\"")
    (found,) = refused(tmp_path, replaced("nvidia/h100-sxm", "“h100-sxm”"))
    assert "Did you mean 'nvidia/h100-sxm'?" in found


@pytest.mark.parametrize(
    ("watts", "message"),
    [
        ({"meter": "node"}, "meter: node needs what a chip draws there: write compute: 900 W"),
        ({"meter": "node", "idle": "9 W"}, "meter: node needs what a chip draws there"),
        ({"compute": "10 W"}, "power.compute: must be at least 7[0-9.]* W, what nvidia/h100-sxm"),
        ({"compute": "10 W", "idle": "20 W"}, "compute is below idle: 10 W and 20 W"),
    ],
)
def test_watts_that_cannot_be_are_refused(watts, message):
    pool = {"chip": "nvidia/h100-sxm", "chips": 8, "power": watts}
    data = {
        "computeplan": 1,
        "name": "s",
        "sites": {"s": {"pue": 1.2, "pools": {"p": pool}}},
        "jobs": {"j": {"train_for": "1 h", "chips": 8}},
    }
    with pytest.raises(ScenarioError, match=message):
        compile_world(cp.load(data))
