"""Fault logs as people have them: forms of Slurm, dates, rows that are wrong."""

import json
import math
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import REPO

from computeplan.errors import ScenarioError
from computeplan.fitting.history import observe
from computeplan.report.words import sentence
from computeplan.specs.logs.nodelist import expand_nodes
from computeplan.specs.logs.reader import read_log
from computeplan.specs.logs.replay import Replay, load_replay, note_text
from computeplan.specs.logs.slurm import SACCT, SACCTMGR

HEAD = "JobID|State|NodeList|End|FailedNode\n"
DAYS = tuple(f"2024-07-{day}T08:00:00" for day in (23, 24, 25, 26))


def read(tmp_path, text, **how):
    path = tmp_path / "log.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_log(path, **how)


def refusal(tmp_path, text, **how):
    with pytest.raises(ScenarioError) as caught:
        read(tmp_path, text, **how)
    return str(caught.value)


def said(events):
    return [sentence(note) for note in events.notes]


def left_out(events):
    return {
        note.code: (note.values["n"], note.values["first"])
        for note in events.notes
        if note.code.startswith("log_left")
    }


# A bar or a line break in a text -----------------------------------------------------------------


@pytest.mark.parametrize("failed", ["", "gpu{n}"])
@pytest.mark.parametrize("end", ["", "|"])
def test_a_bar_in_a_name_loses_no_fault(tmp_path, failed, end):
    """The last cell is empty, as FailedNode often is: so it was once taken for ``sacct -p``."""
    names = ["train", "sweep lr=1|wd=0", "a||b|", "COMPLETED|gpu7|"]
    rows = [
        f"{n}|{name}|NODE_FAIL|gpu{n}|{DAYS[n]}|{failed.format(n=n)}{end}\n"
        for n, name in enumerate(names)
    ]
    events = read(tmp_path, f"JobID|JobName|State|NodeList|End|FailedNode{end}\n{''.join(rows)}")
    assert events.nodes == ("gpu0", "gpu1", "gpu2", "gpu3")
    assert left_out(events) == {}


def test_a_line_break_in_a_command_loses_no_fault(tmp_path):
    rows = (
        "201|srun first &&\nsecond|third|COMPLETED|gpu1|2024-07-23T08:00:00|\n"
        "204|a\n\nb|NODE_FAIL|gpu4|2024-07-26T08:00:00|\n"
        "205|x|NODE_FAIL|gpu5|2024-07-27T08:00:00|\n"
    )
    events = read(tmp_path, f"JobID|SubmitLine|State|NodeList|End|FailedNode\n{rows}")
    assert events.nodes == ("gpu4", "gpu5")
    assert left_out(events) == {}
    # At the end of a row, a text goes on behind it.
    rows = "1|NODE_FAIL|gpu4|2024-07-26T08:00:00|it\nwas|me\n2|NODE_FAIL|g5|2024-07-26T08:00:00|\n"
    events = read(tmp_path, f"JobID|State|NodeList|End|Comment\n{rows}")
    assert (events.nodes, left_out(events)) == (("g5", "gpu4"), {})


def test_what_has_no_certain_place_is_left_out_and_said(tmp_path):
    """Two texts beside the state, of which one says what a row says; and a line that was cut."""
    fake = "x|NODE_FAIL|gpu9|2024-07-23T08:00:00"
    rows = (
        f"1|{fake}|COMPLETED|gpu1|{DAYS[0]}|y\n"
        f"2|a|NODE_FAIL|gpu2|{DAYS[1]}|b\n"
        f"3|a|NODE_FAIL|gpu3|{DAYS[2]}|b\n"
        f"4|a|NODE_F\n5|a|COMPLETED|gpu5|{DAYS[3]}|b|c\n"
    )
    events = read(tmp_path, f"JobID|JobName|State|NodeList|End|Comment\n{rows}")
    assert events.nodes == ("gpu2", "gpu3")
    assert left_out(events) == {"log_left_cells": (2, (2, 5))}
    assert said(events)[-1].startswith("2 lines of the log left out (lines 2, 5): cells that have")
    # Without a text column nothing may be longer.
    found = refusal(tmp_path, f"{HEAD}1|NODE_FAIL|gpu1|{DAYS[0]}|gpu1|x\n")
    assert "2:1 has 6 cells; the header has 5: leave out columns of free text" in found


GOOD = "".join(f"{DAYS[3]}|good|gpu8|{n}|NODE_FAIL|\n" for n in range(8))
NAMED_HEAD = "JobID|JobName|State|NodeList|End|FailedNode\n"
ODD_HEAD = "FailedNode|Comment|State|JobID|End|JobName|NodeList\n"
ODD = f"gpu8||NODE_FAIL|1|{DAYS[3]}||gpu8\n"
LATE = f"{DAYS[0]}|\n{DAYS[1]}|x\ny|gpu0|5|NODE_FAIL|\n"


@pytest.mark.parametrize(
    ("text", "nodes", "n_left"),
    [
        # A name that holds the rest of a row, and goes on in the next line.
        (f"{NAMED_HEAD}7|x|COMPLETED|a|b|c\nfoo|NODE_FAIL|gpu1|{DAYS[0]}|\n", {"gpu1"}, 0),
        # One row with a line break, or a row that was cut and one of another node?
        (f"NodeList|JobName|State|End\ngpu0|\na||NODE_FAIL|{DAYS[0]}\n", None, 2),
        (f"End|JobName|NodeList|JobID|State|Comment\n{LATE}{GOOD}", {"gpu8"}, 3),
        # A row whose node stands in the next line, or is not known.
        (f"{ODD_HEAD}{3 * ODD}|x|NODE_FAIL|5|{DAYS[1]}||\n|gpu1\n", {"gpu8"}, 2),
        # What is no text has no line break.
        (f"JobName|JobID|State|NodeList|End\nx|1|NODE_FAIL|gpu1|{DAYS[0]}\nfoo\n", {"gpu1"}, 1),
        (f"JobName|State|End|NodeList\nx|NODE_FAIL|{DAYS[0]}|\ngpu7\n", {""}, 1),
    ],
)
def test_lines_that_may_be_one_row_or_several_invent_no_fault(tmp_path, text, nodes, n_left):
    if nodes is None:
        assert "is cut off, or a text in it has a line break" in refusal(tmp_path, text)
        return
    events = read(tmp_path, text)
    assert {"" if node < 0 else events.nodes[node] for node in events.node} == nodes
    assert sum(n for n, _ in left_out(events).values()) == n_left


def test_one_bad_row_loses_no_log(tmp_path):
    rows = f"1|NODE_FAIL|g3|{DAYS[0]}|\n2|NODE_FAIL|g5|Unknown|\n3|NODE_FAIL|g[6|{DAYS[1]}|g[6\n"
    rows += f"4|NODE_FAIL|g7|soon|\n5|NODE_FAIL|g6|{DAYS[2]}|\n6|COMPLETED|g1|{DAYS[3]}|\n"
    events = read(tmp_path, HEAD + rows)
    assert events.nodes == ("g3", "g6")
    found = {"log_left_no_end": (1, (3,)), "log_left_node": (1, (4,)), "log_left_time": (1, (5,))}
    assert left_out(events) == found
    assert any("runawayjobs" in text for text in said(events))
    csv = "node,start_h,end_h\na,1,2\nb,x,3\nc,4\nd,5,4\ne,6,7\n" + "".join(
        f"n{i},{i},{i + 1}\n" for i in range(9)
    )
    events = read(tmp_path, csv)
    assert events.start_s.size == 11
    assert left_out(events) == {
        code: (1, (line,))
        for code, line in (("log_left_time", 3), ("log_left_cells", 4), ("log_left_order", 5))
    }


def test_what_was_left_out_is_said_by_the_plain_copy(tmp_path):
    rows = "a,1,2\nb,x,3\nc,4\nd,5\n" + "".join(f"n{i},{i},{i + 1}\n" for i in range(9))
    (tmp_path / "log.csv").write_text(f"node,start_h,end_h\n{rows}")
    first = load_replay(Replay("log.csv"), tmp_path / "log.csv")
    (tmp_path / "copy.csv").write_text(first.csv())
    copy = Replay("copy.csv", notes=tuple(map(note_text, first.notes)))
    again = load_replay(copy, tmp_path / "copy.csv")
    assert again.notes == first.notes
    assert "log_left_cells: 2 (lines 4, 5)" in copy.notes


# Forms of sacct ----------------------------------------------------------------------------------


def epoch(day):
    return 1_721_721_600 + 86_400 * day


FORMS = {
    "epochs": f"{HEAD}1|NODE_FAIL|gpu1|{epoch(0)}|\n2|NODE_FAIL|gpu2|{epoch(1)}|\n",
    "raw": f"JobIDRaw|State|NodeList|End\n1|NODE_FAIL|gpu1|{DAYS[0]}\n2|BOOT_FAIL|gpu2|{DAYS[1]}\n",
    "tabs": f"JobID\tState\tNodeList\tEnd\n1\tNODE_FAIL\tgpu1\t{DAYS[0]}\n"
    f"2\tNODE_FAIL\tgpu2\t{DAYS[1]}\n",
    "long separators": f"End~~State~~NodeList~~JobName\n{DAYS[0]}~~NODE_FAIL~~gpu1~~a~~~b\n"
    f"{DAYS[1]}~~NODE_FAIL~~gpu2~~b\n",
    "commas": f"JobID,State,NodeList,End,FailedNode\n1,NODE_FAIL,gpu[1,004-006],{DAYS[0]},gpu1\n"
    f"2,NODE_FAIL,gpu2,{DAYS[1]},\n",
    "quotes": f'JobID,State,NodeList,End\n1,NODE_FAIL,"gpu1",{DAYS[0]}\n'
    f"2,NODE_FAIL,gpu2,{DAYS[1]}\n",
    "wide": "JobID           JobName      State        NodeList                 End FailedNode\n"
    "------------ ---------- ---------- --------------- ------------------- ----------\n"
    f"1              a weird+  NODE_FAIL            gpu1 {DAYS[0]}\n"
    f"2                 train  BOOT_FAIL gpu[001-002,00+ {DAYS[1]} gpu2\n"
    f"3                 train CANCELLED+            gpu4 {DAYS[1]}\n",
    "appended": f"{HEAD}1|NODE_FAIL|gpu1|{DAYS[0]}|\n{HEAD}\n"
    f"State|End|NodeList|JobID\nNODE_FAIL|{DAYS[1]}|gpu2|2\n",
    "marked": f"\ufeff{HEAD}1|NODE_FAIL|gpu1|{DAYS[0]}|\r\n2|NODE_FAIL|gpu2|{DAYS[1]}|\r\n",
    "json": json.dumps(
        {
            "meta": {"slurm": {"version": {"major": "23"}}},
            "jobs": [
                {
                    "job_id": 1,
                    "nodes": "gpu[1-4]",
                    "failed_node": "gpu1",
                    "state": {"current": ["NODE_FAIL"], "reason": "None"},
                    "time": {"start": 1, "end": epoch(0)},
                },
                {
                    "job_id": 2,
                    "nodes": "gpu2",
                    "state": {"current": "BOOT_FAIL"},
                    "time": {"end": {"set": True, "infinite": False, "number": epoch(1)}},
                },
                {"job_id": 3, "nodes": "None assigned", "state": {"current": "CANCELLED"}},
            ],
        }
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_sacct_is_read(tmp_path, form):
    events = read(tmp_path, FORMS[form])
    assert events.nodes == ("gpu1", "gpu2")
    assert abs(events.start_s[1] - events.start_s[0] - 86_400) < 1
    assert (events.is_dated, left_out(events)) == (True, {})
    assert events.causes in (("NODE_FAIL",), ("BOOT_FAIL", "NODE_FAIL"))


def test_what_sacct_prints_of_jobs_is_no_surprise(tmp_path):
    """Steps, arrays, heterogeneous jobs, jobs without nodes or end; two tasks on one node."""
    rows = (
        f"1|NODE_FAIL|gpu1|{DAYS[0]}|\r\n1.batch|CANCELLED|gpu1|{DAYS[0]}|\r\n"
        f"2_7|NODE_FAIL|gpu2|{DAYS[1]}|\r\n2_8|NODE_FAIL|gpu2|{DAYS[1]}|\r\n"
        "2_[9-99%4]|PENDING|None assigned|Unknown|\r\n"
        f"3+0|BOOT_FAIL|gpu3|{DAYS[2]}|\r\n3+1|CANCELLED by 1000|gpu[1-4]|{DAYS[2]}|\r\n"
        f"4|RUNNING|gpu5|Unknown|\r\n5|CANCELLED by 1000|None assigned|{DAYS[3]}|\r\n"
    )
    events = read(tmp_path, f"\ufeff{HEAD}{rows}{HEAD}6|NODE_FAIL|gpu4|{DAYS[0]}|")
    assert events.nodes == ("gpu1", "gpu2", "gpu3", "gpu4")
    assert (events.start_s.size, left_out(events)) == (5, {})
    history = observe(events, 9, events.start_s[0] - 60, events.start_s[-1] + 60)
    assert history.fault_s.size == 4


def test_jobs_that_ended_without_an_end_are_left_out_of_json(tmp_path):
    ends = (0, None, {"set": False, "number": 0}, epoch(0), epoch(1), epoch(2))
    about = {"job_id": 1, "nodes": "a", "state": {"current": ["NODE_FAIL"]}}
    jobs = [about | {"time": {"end": end}} for end in ends]
    jobs += [{"state": 7}, "x"]
    events = read(tmp_path, json.dumps({"jobs": [*jobs, *jobs[3:6]]}))
    assert events.start_s.size == 6
    assert left_out(events) == {"log_left_no_end": (3, (1, 2, 3)), "log_left_entry": (2, (7, 8))}
    assert "2 entries of the log left out (entries 7, 8)" in " ".join(said(events))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"1|NODE_FAIL|gpu1|{DAYS[0]}|\n", "looks like sacct output without its header (-n)"),
        (f"1 train NODE_FAIL gpu1 {DAYS[0]}\n", "looks like sacct output without its header (-n)"),
        ("JobID State NodeList End\n1 NODE_FAIL g 2024\n", "in wide columns without their line of"),
        (
            "JobID|JobName|State\n1|a|NODE_FAIL\n",
            "looks like sacct output, and lacks NodeList, End",
        ),
        (f"{HEAD.strip()}|State\n", "has the column 'State' twice"),
        ('{"nodes": []}', "without the jobs of sacct --json"),
    ],
)
def test_what_cannot_be_read_is_answered_with_the_command(tmp_path, text, why):
    found = refusal(tmp_path, text)
    assert why in found
    assert f"ask for {SACCT}" in found
    assert "sacct -D -a -P --format=JobID,State,NodeList,End,FailedNode -S" in found


def test_the_docs_advise_what_messages_advise():
    text = (REPO / "docs/fit.md").read_text("utf-8")
    assert SACCT in text
    assert SACCTMGR in text


def test_the_same_name_on_two_clusters_is_two_nodes(tmp_path):
    rows = "".join(f"{name}|101|NODE_FAIL|n001|{DAYS[0]}|n001\n" for name in ("east", "west"))
    events = read(tmp_path, f"Cluster|{HEAD}{rows}")
    assert events.nodes == ("east/n001", "west/n001")
    jobs = [
        {
            "cluster": name,
            "job_id": 1,
            "nodes": "n001",
            "state": ["NODE_FAIL"],
            "end_time": epoch(0),
        }
        for name in ("east", "west")
    ]
    assert read(tmp_path, json.dumps({"jobs": jobs})).nodes == events.nodes


def test_a_file_without_duplicates_is_said(tmp_path):
    """A job that was requeued has a record for each of its failures, which -D shows."""
    once = (
        f"1|NODE_FAIL|g1|{DAYS[0]}|\n2|COMPLETED|g1|{DAYS[1]}|\n1.batch|CANCELLED|g1|{DAYS[0]}|\n"
    )
    assert any("asked with -D" in text for text in said(read(tmp_path, HEAD + once)))
    twice = f"{once}1|COMPLETED|g2|{DAYS[1]}|\n"
    assert not any("asked with -D" in text for text in said(read(tmp_path, HEAD + twice)))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a[1-2]b[3-4]", "a1b3 a1b4 a2b3 a2b4"),
        ("r[1-2]-n[01-03],m", "r1-n01 r1-n02 r1-n03 r2-n01 r2-n02 r2-n03 m"),
        ("n[1,0[2-3]]x", "n1x n02x n03x"),
    ],
)
def test_names_of_nodes_with_several_brackets(text, names):
    assert expand_nodes(text) == names.split()


# Events of nodes, the Failure Trace Archive, dates -----------------------------------------------


def test_events_of_sacctmgr_are_read_with_their_reasons(tmp_path):
    rows = (
        "east||2024-07-22T08:00:00|Unknown||Cluster Registered TRES|\n"
        "east|n1|2024-07-23T08:00:00|2024-07-23T10:00:00|DOWN*|Not responding | again|slurm(99)\n"
        "west|n1|2024-07-23T08:00:00|Unknown|DRAIN|bad\nDIMM|root(0)\n"
        "west|n2|2024-07-24T08:00:00|2024-07-23T10:00:00|DOWN||slurm(99)\n"
    )
    head = "Cluster|NodeName|TimeStart|TimeEnd|State|Reason|User\n"
    events = read(tmp_path, head + rows)
    assert events.nodes == ("east/n1", "west/n1")
    assert (events.end_s - events.start_s).tolist() == [7200.0, math.inf]
    assert events.causes == ("Not responding | again", "bad DIMM")
    assert left_out(events) == {"log_left_order": (1, (6,))}
    assert {"1 events of a whole cluster are not faults of nodes."} < set(said(events))
    found = refusal(tmp_path, "Cluster|NodeName|Start|State\nx|n|today|DOWN\n")
    assert "'today' is not a date such as" in found


FTA = (
    "# event_id\tcomponent_id\tnode_id\tplatform_id\tnode_name\tevent_type\tevent_start_time"
    "\tevent_stop_time\tevent_end_reason\n"
)


def test_the_failure_trace_archive_is_read(tmp_path):
    rows = (
        "0\t0\t1\t0\tn1\t1\t1117580400\t1117585000\tNULL\n"
        "1\t0\t1\t0\tn1\t0\t1117585000\t1117588600\t12\n"
        "2\t0\t1\t1\tn1\t0\t1117585000\tNULL\t12\n"
        "3\t0\t2\t1\tn2\t0\tx\t1117588600\t12\n"
        "4\t0\t2\n"
    )
    events = read(tmp_path, FTA + rows)
    assert events.nodes == ("0/1", "1/1")
    assert (events.end_s - events.start_s).tolist() == [3600.0, math.inf]
    assert events.is_dated
    assert left_out(events) == {"log_left_time": (1, (5,)), "log_left_cells": (1, (6,))}
    assert "(event_type 0) are faults; 1 other rows are not" in " ".join(said(events))
    relative = read(tmp_path, FTA + "1\t0\t1\t0\tn1\t0\t100\t200\t12\n")
    assert (relative.is_dated, relative.start_s.tolist()) == (False, [100.0])
    assert "lacks the column node_id" in refusal(tmp_path, FTA.replace("\tnode_id", "") + rows)


AMERICAN = "node,Start,Fixed\nn1,6/21/2005 10:54,6/21/2005 11:00\nn2,9/6/2005 9:13,\n"
NAMED = {"start": "Start", "end": "Fixed"}


def test_dates_of_another_form_are_read_by_their_form(tmp_path):
    events = read(tmp_path, AMERICAN, columns=NAMED, dates="%m/%d/%Y %H:%M")
    assert (events.end_s - events.start_s).tolist() == [360.0, math.inf]
    assert events.is_dated
    found = refusal(tmp_path, AMERICAN, columns=NAMED)
    assert "'6/21/2005 10:54' in column 'Start' is not a time: write a date such as 2024" in found
    assert "say another form by dates (--dates '%m/%d/%Y %H:%M', as strptime has it)" in found
    epochs = read(tmp_path, f"node,start\na,{epoch(0)}\n", dates="%s")
    assert epochs.start_s.tolist() == [epoch(0)]
    sacct = f"{HEAD}1|NODE_FAIL|gpu1|23/07/24-08:00|\n2|NODE_FAIL|gpu2|24/07/24-08:00|\n"
    assert read(tmp_path, sacct, dates="%d/%m/%y-%H:%M").start_s[0] == epoch(0)
    replay = Replay("log.txt", begins="2005-06-01", columns=NAMED, dates="%m/%d/%Y %H:%M")
    (tmp_path / "log.txt").write_text(AMERICAN)
    assert load_replay(replay, tmp_path / "log.txt").log.start_s.size == 2


@pytest.mark.parametrize(
    ("dates", "why"),
    [
        ("%Q", "is no form of dates"),
        ("%H:%M", "does not say year, month and day"),
        ("%m/%d/%Y %H", "is not a date of the form '%m/%d/%Y %H'"),
        ("%s", "is not a number of seconds since 1970"),
        ("", "does not say year, month and day"),
    ],
)
def test_a_form_of_dates_that_is_none_is_refused(tmp_path, dates, why):
    assert why in refusal(tmp_path, AMERICAN, columns=NAMED, dates=dates)


def test_hostile_tables_are_refused_or_read(tmp_path):
    many = "|".join(f"c{i}" for i in range(100_000))
    assert "has no column called node" in refusal(tmp_path, f"{many}\n{many}\n")
    assert "lacks NodeList, End" in refusal(tmp_path, f"JobID|State|{many}\n1|NODE_FAIL|{many}\n")
    wide = f"1|{'x|' * 100_000}|NODE_FAIL|gpu1|{DAYS[0]}\n"
    good = f"1|a|NODE_FAIL|gpu1|{DAYS[0]}\n"
    events = read(tmp_path, f"JobID|JobName|State|NodeList|End\n{wide}{good}")
    assert left_out(events) == {"log_left_cells": (1, (2,))}
    bad = ["9" * 30, "1" * 5000, "-1", "1e400", "nan", "0x10", "1721721600\0"]
    rows = "".join(f"{i}|NODE_FAIL|gpu1|{end}|\n" for i, end in enumerate(bad))
    assert "is not" in refusal(tmp_path, (HEAD + rows).replace("\0", "\x01"))
    late = "a,1\n" * 20_000 + "b\0,2\nc,3\n"
    assert left_out(read(tmp_path, f"node,start_s\n{late}")) == {"log_left_node": (1, (20_002,))}


# What no mangling may do -------------------------------------------------------------------------

WORDS = ("a", " ", '"', ",", "7", "NODE_FAIL", "COMPLETED", "gpu9", "2024-07-01T08:00:00")
MORE = ("JobName", "Comment", "AdminComment", "SubmitLine", "ExitCode", "Partition", "Elapsed")
STATES = ("NODE_FAIL", "COMPLETED", "BOOT_FAIL", "CANCELLED by 1000", "FAILED")


@st.composite
def tables(draw, pieces=(*WORDS, "|", "\n"), more=MORE):
    """Return a table as sacct prints it, and its true faults: node and time."""
    more = draw(st.lists(st.sampled_from(more), unique=True))
    if with_cluster := draw(st.booleans()):
        more.append("Cluster")
    columns = draw(st.permutations(["JobID", "State", "NodeList", "End", "FailedNode", *more]))
    free = st.lists(st.sampled_from(pieces), max_size=6).map("".join)
    is_epoch, is_closed = draw(st.booleans()), draw(st.booleans())
    lines, faults = ["|".join(columns)], set()
    for i in draw(st.permutations(range(draw(st.integers(1, 5))))):
        state, end_s = draw(st.sampled_from(STATES)), epoch(i)
        cluster, is_many = draw(st.sampled_from(["east", "west"])), draw(st.booleans())
        end = str(end_s) if is_epoch else f"{datetime.fromtimestamp(end_s, UTC):%Y-%m-%dT%H:%M:%S}"
        cells = {
            "JobID": f"{draw(st.sampled_from([5, 6]))}{draw(st.sampled_from(['', '_1', '+0']))}",
            "State": state,
            "NodeList": f"gpu[{i},{i + 10}-12]" if is_many else f"gpu{i}",
            "End": end,
            "FailedNode": f"gpu{i}" if is_many else draw(st.sampled_from(["", f"gpu{i}"])),
            "ExitCode": "0:1",
            "Partition": "long,short",
            "Elapsed": "1-02:03:04",
            "Cluster": cluster,
        }
        lines.append("|".join(cells[name] if name in cells else draw(free) for name in columns))
        if state in ("NODE_FAIL", "BOOT_FAIL"):
            faults.add((f"{cluster}/gpu{i}" if with_cluster else f"gpu{i}", float(end_s)))
    return "".join(f"{line}{'|' if is_closed else ''}\n" for line in lines), faults


def faults_of(text):
    """Return the faults that are read, as a list, and how many rows are said to be left out."""
    with tempfile.TemporaryDirectory() as folder:
        events = read(Path(folder), text)
    nodes = ["" if node < 0 else events.nodes[node] for node in events.node]
    n_left = sum(n for n, _ in left_out(events).values())
    return sorted(zip(nodes, events.start_s.tolist(), strict=True)), n_left


@settings(max_examples=200, deadline=None)
@given(tables())
def test_a_mangled_table_loses_and_invents_no_fault_in_silence(table):
    text, faults = table
    try:
        found, n_left = faults_of(text)
    except ScenarioError as error:
        is_silent = "holds no fault" in str(error)
        found, n_left = [], 0 if is_silent else len(faults)
    assert set(found) <= faults
    assert len(found) == len(set(found))
    assert len(faults) - len(found) <= n_left


@settings(max_examples=50, deadline=None)
@given(tables(pieces=WORDS))
def test_a_table_without_bars_and_breaks_is_read_whole(table):
    text, faults = table
    if faults:
        assert faults_of(text) == (sorted(faults), 0)


@settings(max_examples=50, deadline=None)
@given(tables(pieces=(*WORDS, "|"), more=("JobName", *MORE[4:])))
def test_bars_in_one_text_lose_nothing(table):
    """Then each row has one reading, whatever the text says."""
    text, faults = table
    if faults:
        assert faults_of(text) == (sorted(faults), 0)
