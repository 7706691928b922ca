"""Job traces as people have them, the plain CSV, and tables of throughput."""

import csv
import io
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from computeplan.errors import ScenarioError
from computeplan.specs.logs.job_csv import CSV_COLUMNS, load_jobs, save_jobs
from computeplan.specs.logs.job_reader import read_jobs
from computeplan.specs.logs.job_table import JobRow, Names, job_log
from computeplan.specs.logs.throughput import (
    load_throughput,
    missing_sorts,
    save_throughput,
)

GAVEL = (
    "ResNet-18 (batch size 32)\tpython3 main.py\tcifar10\t--num_steps\t1\t"
    "{steps}\t{chips}\t{weight}\t{slo}\t{arrival}\n"
)
SWF = "{number} {submit} 10 {run} {procs} -1 -1 {asked} -1 -1 {status} {user} -1 -1 -1 -1 -1 -1\n"
SACCT = "JobID|Submit|Start|End|ElapsedRaw|AllocTRES|ReqTRES|Account|Partition|State|Priority\n"
OWN = "arrival_s,chips,train_s\n"


def written(tmp_path, text, name="log.txt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(tmp_path, text, kind=None, **how):
    return read_jobs(written(tmp_path, text), kind, **how)


def refusal(read_it, *args, **how):
    with pytest.raises(ScenarioError) as caught:
        read_it(*args, **how)
    return str(caught.value)


def left(found):
    """Return how many rows were left out and where the first stand, by the reason."""
    return {
        note.code.removeprefix("job_left_"): (note.values["n"], note.values["first"])
        for note in found.notes
        if note.code.startswith("job_left_")
    }


def said(found):
    return {note.code: note.values for note in found.notes if "_left_" not in note.code}


def gavel(steps=100, chips=1, weight=1, slo="-1.000000", arrival=0):
    return GAVEL.format(steps=steps, chips=chips, weight=weight, slo=slo, arrival=arrival)


def swf(number=1, submit=0, run=60, procs=4, asked=4, status=1, user=7):
    return SWF.format(
        number=number, submit=submit, run=run, procs=procs, asked=asked, status=status, user=user
    )


# Real traces -------------------------------------------------------------------------------------


def test_the_traces_of_gavel(traces):
    """Counts by awk over the files; arrivals of the second are those of its last line."""
    found = read_jobs(traces / "gavel/max_min_fairness.trace")
    jobs = found.jobs
    assert (len(jobs), found.n_left, found.notes) == (96, 0, ())
    assert dict(zip(*np.unique(jobs.chips, return_counts=True), strict=True)) == {
        1: 59,
        2: 19,
        4: 18,
    }
    assert jobs.kinds[jobs.kind[0]] == "ResNet-18 (batch size 128)"
    assert (jobs.n_steps[0], jobs.arrival_s[-1]) == (925_982, 46_317)
    assert np.isnan(jobs.train_s).all()
    assert [len(read_jobs(traces / f"gavel/{name}.trace").jobs) for name in (
        "artifact_evaluation", "minimize_makespan", "small_test",
    )] == [15, 100, 20]  # fmt: skip


def test_the_oracle_of_gavel_knows_every_job_of_its_traces(traces):
    table = load_throughput(traces / "gavel/simulation_throughputs.json")
    assert table.chips == ("k80", "p100", "v100")
    assert table.of("ResNet-18 (batch size 16)", 1, "k80") == 4.795294551566172
    assert table.of("ResNet-18 (batch size 16)", 1, "k80_unconsolidated") == 0
    for path in sorted(traces.glob("gavel/*.trace")):
        assert missing_sorts(read_jobs(path).jobs, table) == ()
    # 83 rows a chip; three say 0 and cannot run.
    assert len(table.steps_per_s) == 3 * 83 - 3
    text = io.StringIO()
    save_throughput(table, text)
    with tempfile.TemporaryDirectory() as folder:
        again = load_throughput(written(Path(folder), text.getvalue(), "throughput.csv"))
    assert again.steps_per_s == table.steps_per_s


def test_the_jobs_of_tiresias(traces):
    path = traces / "tiresias/60_job.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = read_jobs(path)
    assert found.jobs.arrival_s.tolist() == [float(row["submit_time"]) for row in rows]
    assert found.jobs.chips.tolist() == [int(row["num_gpu"]) for row in rows]
    assert found.jobs.train_s.tolist() == [float(row["duration"]) for row in rows]
    assert found.jobs.name(1) == "1"
    assert said(found) == {"job_log_unused": {"columns": ("iterations", "interval")}}


# Gavel -------------------------------------------------------------------------------------------


def test_gavel_in_its_three_forms(tmp_path):
    found = read(tmp_path, gavel(arrival=5, chips=2, weight=3) + gavel(slo=1.2, arrival=9))
    assert found.jobs.weight.tolist() == [3, 1]
    assert found.jobs.arrival_s.tolist() == [5, 9]
    assert np.isinf(found.jobs.deadline_s).all()
    assert said(found) == {"job_log_slo_unused": {"n": 1}}
    seven = "Transformer (batch size 128)\tcd x && python3\t-step\t1\t95121\t6.000000\t4\n"
    (job,) = zip(
        *_columns(read(tmp_path, seven).jobs, "n_steps", "arrival_s", "chips"), strict=True
    )
    assert job == (95_121, 6, 4)
    twelve = "LM (batch size 10)\tpython3\tlm\t--steps\t1\t134583\t1\tgns\t1\t2.0\t1418\t30\n"
    found = read(tmp_path, twelve)
    assert found.jobs.deadline_s.tolist() == [2836]
    assert (found.jobs.arrival_s[0], said(found)) == (30, {"job_log_batch_changes": {"n": 1}})


def _columns(jobs, *names):
    return [getattr(jobs, name).tolist() for name in names]


def test_wrong_rows_of_gavel_are_shown_and_others_are_read(tmp_path):
    rows = [
        gavel(), gavel(steps="x"), gavel(steps=-5), gavel(chips="1.5"), gavel(chips=0), "a\tb\n",
        gavel(arrival="nan"), gavel(arrival=-1), gavel(steps="1e400"), gavel(weight=0),
        *[gavel()] * 9,
    ]  # fmt: skip
    found = read(tmp_path, "".join(rows))
    assert len(found.jobs) == 10
    assert found.n_left == 9
    assert left(found) == {
        "cells": (1, (6,)),
        "no_chips": (1, (5,)),
        "number": (7, (2, 3, 4)),
    }
    assert [problem.line for problem in found.problems] == [2, 3, 4, 6, 7, 8, 9, 10]


# Standard Workload Format ------------------------------------------------------------------------


def test_swf_leaves_out_what_never_ran_and_counts_it(tmp_path):
    rows = [
        "; Version: 2.2\n", ";\n", "\n",
        swf(1), swf(2, submit=30, run=90.5, procs=-1, asked=16, user=-1),
        swf(3, status=5, run=-1), swf(4, status=5, run=0), swf(5, status=5, run=7),
        swf(6, status=2), swf(7, status=4), swf(8, run=0), swf(9, procs=-1, asked=-1),
        swf(10, run=-1), swf(11, submit=-4), "1 2 3\n",
    ]  # fmt: skip
    found = read(tmp_path, "".join(rows))
    assert _columns(found.jobs, "arrival_s", "chips", "train_s") == [
        [0, 0, 30],
        [4, 4, 16],
        [60, 7, 90.5],
    ]
    assert [found.jobs.name(i) for i in range(3)] == ["1", "5", "2"]
    assert [found.jobs.tenants[i] for i in found.jobs.tenant] == ["user 7", "user 7", ""]
    assert left(found) == {
        "cancelled": (2, (6, 7)),
        "cells": (1, (15,)),
        "length": (1, (13,)),
        "no_chips": (1, (12,)),
        "no_time": (1, (11,)),
        "number": (1, (14,)),
        "part": (2, (9, 10)),
    }
    assert said(found) == {
        "job_log_processors": {},
        "job_log_requested_chips": {"n": 1},
        "job_log_sorted": {},
    }


# Slurm -------------------------------------------------------------------------------------------


def sacct(job, state="COMPLETED", elapsed="3600", tres="cpu=64,gres/gpu=8,node=1", **cells):
    day = "2024-07-23T0{}:00:00"
    submit, start = cells.get("submit", day.format(1)), cells.get("start", day.format(2))
    end = cells.get("end", day.format(3))
    asked = cells.get("asked", "gres/gpu=99")
    what = f"{job}|{submit}|{start}|{end}|{elapsed}|{tres}|{asked}|lab|gpu|{state}"
    return f"{what}|{cells.get('priority', '17')}\n"


def test_sacct_reads_chips_lengths_and_states(tmp_path):
    rows = [
        sacct(1), sacct("1.batch"), sacct("2_7", "FAILED", "", "gres/gpu:a100=4,gres/gpu:l40=2"),
        sacct(3, "CANCELLED by 1000", "0", "", start="None", end="2024-07-23T02:00:00"),
        sacct(4, "PENDING", "0", "", start="Unknown", end="Unknown"),
        sacct(5, "RUNNING", "500", end="Unknown"), sacct(6, tres="cpu=4,mem=1G", asked="cpu=4"),
        sacct(7, elapsed="0"), sacct(8, "TIMEOUT", "60", "", submit="2024-07-23T04:00:00"),
        sacct(8, "COMPLETED", "61"), sacct(9, elapsed="many"), sacct(10, submit="Unknown"),
        sacct(11, "CANCELLED by 7", "30"),
    ]  # fmt: skip
    found = read(tmp_path, SACCT + "".join(rows))
    assert [found.jobs.name(i) for i in range(5)] == ["1", "2_7", "8", "11", "8"]
    assert _columns(found.jobs, "arrival_s", "chips", "train_s", "priority") == [
        [0, 0, 0, 0, 10_800],
        [8, 6, 8, 8, 99],
        [3600, 3600, 61, 30, 60],
        [17] * 5,
    ]
    assert (found.jobs.kinds, found.jobs.tenants) == (("gpu",), ("lab",))
    assert left(found) == {
        "cancelled": (1, (5,)),
        "no_chips": (1, (8,)),
        "no_time": (1, (9,)),
        "number": (1, (12,)),
        "running": (1, (7,)),
        "time": (1, (13,)),
        "waiting": (1, (6,)),
    }
    assert said(found) == {
        "job_log_steps": {"n": 1},
        "job_log_again": {"n": 1},
        "job_log_begins": {"epoch_s": 1_721_696_400.0},
        "job_log_sorted": {},
    }


def test_sacct_with_nodes_only_needs_the_chips_of_a_node(tmp_path):
    table = "JobID|Submit|State|ElapsedRaw|NNodes|JobName\n1|2024-07-23|COMPLETED|60|4|a|b\n"
    assert "--chips-per-node" in refusal(read, tmp_path, table)
    found = read(tmp_path, table, chips_per_node=8)
    assert found.jobs.chips.tolist() == [32]
    assert said(found)["job_log_unused"] == {"columns": ("JobName",)}
    lacking = table.replace("ElapsedRaw", "Elapsed")
    assert "lacks ElapsedRaw, or Start and End" in refusal(read, tmp_path, lacking)


# CSV with a map ----------------------------------------------------------------------------------


def test_a_mapped_csv(tmp_path):
    text = (
        "id;when;until;n;who;colour\n"
        "a;2024-07-23T08:00:00;2024-07-23T09:00:00;8;x;red\n"
        "b;2024-07-23T07:00:00;2024-07-23T07:30:00;16;y;<b>\n"
    )
    names = {"arrival": "when", "start": "when", "end": "until", "chips": "n", "tenant": "who"}
    found = read(tmp_path, text, columns=names)
    assert _columns(found.jobs, "arrival_s", "chips", "train_s") == [
        [0, 3600],
        [16, 8],
        [1800, 3600],
    ]
    assert said(found)["job_log_unused"] == {"columns": ("colour",)}
    why = refusal(read, tmp_path, text, columns={"arrival": "whan", "chip": "n"})
    assert "Did you mean 'when'?" in why
    assert "Did you mean 'chips'?" in why
    assert "--map chips=COLUMN,length=COLUMN" in refusal(read, tmp_path, "arrival_s,x\n1,2\n")


@pytest.mark.parametrize(
    ("cell", "unit", "expected"),
    [
        ("90", "min", 5400),
        ("1-02:03:04", None, 93_784),
        ("00:30:00", "h", 1800),
        ("0.5", "h", 1800),
    ],
)
def test_lengths_with_their_unit(tmp_path, cell, unit, expected):
    text = f"arrival_s,chips,duration\n0,1,{cell}\n"
    assert read(tmp_path, text, unit=unit).jobs.train_s.tolist() == [expected]


def test_a_length_without_a_unit_is_refused(tmp_path):
    assert "say it by --unit" in refusal(read, tmp_path, "arrival_s,chips,duration\n0,1,90\n")


def test_a_log_of_acme_reads_with_a_unit(tmp_path):
    """The header of its traces, with a job of no chips and one whose state says nothing."""
    text = (
        "job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration\n"
        "dlctk696,uf794,1,8,96,Other,COMPLETED,2023-05-17 11:00:58+00:00,2023-05-17 11:01:08+00:00,"
        "2023-05-17 11:01:18+00:00,10\n"
        "dlci3nsv,u,1,0,4,Other,CANCELLED,2023-05-17 11:00:59+00:00,,,5\n"
    )
    found = read(tmp_path, text, unit="s")
    assert _columns(found.jobs, "chips", "train_s") == [[8], [10]]
    assert left(found) == {"no_chips": (1, (3,))}


# What is hostile ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"arrival_s,chips,train_s\n0,1,\x00\n", "is binary"),
        (b"arrival_s,chips,train_s\n0,1,\xff\n", "is not UTF-8"),
        (b"arrival_s,chips,train_s\n", "holds no job"),
        (b"{}", "does not say arrival, chips, length of jobs"),
    ],
)
def test_files_that_are_no_trace(tmp_path, text, why):
    assert why in refusal(read, tmp_path, text)


def test_a_file_that_is_not_there_or_a_folder(tmp_path):
    assert "is not a file" in refusal(read_jobs, tmp_path / "gone.trace")
    assert "is not a file" in refusal(read_jobs, tmp_path)


def test_a_bom_and_line_ends_of_windows_change_nothing(tmp_path):
    text = "name,arrival_s,chips,train_s\na,0,8,60\nb,5,8,60\n"
    plain = load_jobs(written(tmp_path, text))
    other = load_jobs(written(tmp_path, b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()))
    assert same(plain, other)
    trace = gavel(arrival=3) + gavel()
    assert same(read(tmp_path, trace).jobs, read(tmp_path, trace.replace("\n", "\r\n")).jobs)


def test_a_trace_most_of_which_is_wrong_is_refused(tmp_path):
    why = refusal(read, tmp_path, gavel() + "x\n" * 30, "gavel")
    assert "30 rows cannot be read, more than the 1 that are jobs" in why
    assert "and 10 more rows" in why
    assert "(4:1) and 17 more" in why


def test_a_log_whose_jobs_never_ran_says_so(tmp_path):
    why = refusal(read, tmp_path, swf(status=5, run=-1) * 3 + swf(procs=0))
    assert "3 were cancelled before they started, 1 hold no chip" in why


def test_an_option_of_another_format_is_refused(tmp_path):
    assert "--unit is of csv" in refusal(read, tmp_path, gavel(), unit="s")
    assert "--chips-per-node is of sacct" in refusal(read, tmp_path, swf(), chips_per_node=8)
    assert "is no form of dates" in refusal(read, tmp_path, gavel(), dates="%q%")


# The plain CSV -----------------------------------------------------------------------------------


def same(one, other):
    columns = (
        "arrival_s",
        "chips",
        "train_s",
        "n_steps",
        "kind",
        "tenant",
        "priority",
        "deadline_s",
        "weight",
    )
    return (
        all(np.array_equal(getattr(one, c), getattr(other, c), equal_nan=True) for c in columns)
        and (one.kinds, one.tenants) == (other.kinds, other.tenants)
        and [one.name(i) for i in range(len(one))] == [other.name(i) for i in range(len(other))]
    )


names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=12)
amounts = st.floats(1e-6, 1e10)
jobs = st.builds(
    JobRow,
    arrival_s=st.floats(0, 1e9),
    chips=st.integers(1, 10**8),
    train_s=amounts,
    n_steps=st.just(math.nan),
    kind=names,
    tenant=names,
    priority=st.integers(-(2**53), 2**53),
    deadline_s=st.one_of(amounts, st.just(math.inf)),
    weight=amounts,
    name=names,
) | st.builds(
    lambda arrival, steps: JobRow(float(arrival), 8, n_steps=steps), st.integers(0, 9), amounts
)


@given(st.lists(jobs, min_size=1, max_size=30))
def test_what_is_written_reads_as_the_same_jobs(rows):
    log, text = job_log(rows), io.StringIO()
    save_jobs(log, text)
    with tempfile.TemporaryDirectory() as folder:
        again = load_jobs(written(Path(folder), text.getvalue()))
    assert same(log, again)
    by_arrival = sorted(rows, key=lambda row: row.arrival_s)
    assert log.train_s.tolist() == pytest.approx([r.train_s for r in by_arrival], nan_ok=True)
    assert [log.kinds[i] for i in log.kind] == [row.kind for row in by_arrival]


cells = st.sampled_from(
    [
        "",
        "0",
        "1",
        "8",
        "8.0",
        "-1",
        "nan",
        "inf",
        "1e999",
        "1_0",
        " 7 ",
        "٣",
        "x",
        "<b>",
        "1e12",
        "\t",
    ]
)


@given(st.lists(st.tuples(*[cells] * len(CSV_COLUMNS)), min_size=1, max_size=4))
def test_rows_read_together_and_one_by_one_agree(rows):
    """A chunk that is all right is read at once; a wrong row in it has all read one by one."""
    head, bad = ",".join(CSV_COLUMNS), "," * (len(CSV_COLUMNS) - 1)
    lines = [",".join(row) for row in rows]
    with tempfile.TemporaryDirectory() as folder:

        def file(*lines):
            return written(Path(folder), "\n".join([head, *lines]))

        if any("2:1 " in refusal(load_jobs, file(line, bad)) for line in lines):
            refusal(load_jobs, file(*lines))
        else:
            assert len(load_jobs(file(*lines))) == len(lines)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("-1,8,60", "arrival_s must be a number >= 0"),
        ("nan,8,60", "arrival_s must be a number"),
        ("1e300,8,60", "arrival_s must be a number >= 0 and <= 1e+11"),
        ("0,0,60", "chips must be a whole number from 1 to 100,000,000"),
        ("0,2.5,60", "chips must be a whole number"),
        ("0,8,inf", "train_s must be a number > 0"),
        ("0,8,0", "train_s must be a number > 0"),
        ("0,8,", "must say one of train_s and steps, got neither"),
        ("0,8", "has 2 cells; the header has 3"),
        ('0,8,"60', "is not CSV"),
        ("0,8,1_0", "train_s must be a number"),
    ],
)
def test_a_wrong_row_is_shown_with_its_line(tmp_path, row, why):
    message = refusal(load_jobs, written(tmp_path, f"{OWN}0,8,60\n{row}\n"))
    assert why in message
    assert "3:1" in message


def test_an_import_of_the_plain_csv_takes_the_rows_that_are_right(tmp_path):
    """The file of a scenario is refused instead: its jobs are the question."""
    text = OWN + "0,8,60\n5,8,nan\n3,8,30\n1,2.5,60\n9,8\n4,4,10\n"
    found = read(tmp_path, text)
    columns = _columns(found.jobs, "arrival_s", "chips", "train_s")
    assert columns == [[0, 3, 4], [8, 8, 4], [60, 30, 10]]
    assert left(found) == {"number": (2, (3, 5)), "cells": (1, (6,))}
    assert [problem.line for problem in found.problems] == [3, 5, 6]
    assert not any(note.code == "job_log_sorted" for note in found.notes)
    assert any(
        note.code == "job_log_sorted" for note in read(tmp_path, OWN + "5,8,6\n0,8,6\n").notes
    )


def test_all_wrong_rows_are_counted_and_some_are_shown(tmp_path):
    message = refusal(load_jobs, written(tmp_path, OWN + "0,8,60\n0,8,x\n" * 50))
    assert "3:1 train_s must be" in message
    assert "(7:1) and 17 more" in message
    assert "and 30 more rows that are wrong" in message


def test_a_header_that_is_wrong_says_all_of_it(tmp_path):
    message = refusal(load_jobs, written(tmp_path, "arrivals_s,prioirty,tenant,tenant\n0,8,x,y\n"))
    for why in (
        "has no column arrival_s", "has no column chips", "has no column train_s or steps",
        "Did you mean 'arrival_s'?", "Did you mean 'priority'?", "has the column 'tenant' twice",
    ):  # fmt: skip
        assert why in message


def test_markup_and_formulas_stay_what_they_are(tmp_path):
    name = '=cmd|"<img src=x onerror=alert(1)>"'
    log, text = job_log([JobRow(0.0, 8, 60.0, name=name)]), io.StringIO()
    save_jobs(log, text)
    assert load_jobs(written(tmp_path, text.getvalue())).name(0) == name
    bell = 'name,arrival_s,chips,train_s\n"a\x07",0,8,60\n'
    assert "cannot be printed" in refusal(load_jobs, written(tmp_path, bell))


def test_a_job_without_a_name_is_called_by_its_number():
    log = job_log([JobRow(5.0, 8, 60.0), JobRow(0.0, 8, 60.0, name="a")])
    assert (log.name(0), log.name(1)) == ("a", "job 2")
    assert job_log([JobRow(5.0, 8, 60.0)]).names is None


def test_names_are_kept_as_bytes():
    found = Names.of(["a", "", "中文"])
    assert [found[i] for i in range(3)] == ["a", "", "中文"]
    assert [found.take(np.array([2, 0]))[i] for i in range(2)] == ["中文", "a"]


def test_a_job_costs_few_bytes(tmp_path):
    """Held: 150 bytes a job, 400 with names and deadlines. Files are read in chunks."""
    import tracemalloc

    n = 40_000
    plain = written(tmp_path, OWN + "".join(f"{i},8,{60 + i}\n" for i in range(n)), "a.csv")
    head = "name,arrival_s,chips,train_s,deadline_s\n"
    named = written(
        tmp_path, head + "".join(f"job-{i},{i},8,60,{i + 1}\n" for i in range(n)), "b.csv"
    )
    for path, most in ((plain, 150), (named, 400)):
        tracemalloc.start()
        log = load_jobs(path)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held / len(log) < most


# Throughput --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kind,chips,chip\n", "must begin with the line kind,chips,chip,steps_per_s"),
        ("kind,chips,chip,steps_per_s\na,8,b,0\n", "holds no throughput above 0"),
        ("kind,chips,chip,steps_per_s\na,8,b,-1\n", "steps_per_s must be a number >= 0"),
        ("kind,chips,chip,steps_per_s\na,8,b,1\na,8,b,2\n", "a second time"),
        ("kind,chips,chip,steps_per_s\na,8,,1\n", "chip is empty"),
        ("{", "is not JSON"),
        ('{"v100": 3}', "must map chips to job types"),
        ('{"v100": {"open(1)": {"null": 1}}}', "must be a job type and its chips"),
        ('{"v100": {"(\'a\', 0)": {"null": 1}}}', "chips must be a whole number from 1"),
        ('{"v100": {"(\'a\', true)": {"null": 1}}}', "must be a job type and its chips"),
        ('{"v100": {"(\'a\', 2)": {"null": "1"}}}', "null must be a number"),
        ('{"v100": {"(\'a\', 2)": {"null": NaN}}}', "null must be a number"),
        ('{"v100": {"(\'a\', 2)": []}}', "must be a mapping"),
    ],
)
def test_tables_of_throughput_that_are_wrong(tmp_path, text, why):
    assert why in refusal(load_throughput, written(tmp_path, text))


def test_a_job_that_no_chip_of_the_table_can_run_is_named(tmp_path):
    oracle = '{"v100": {"(\'a\', 2)": {"null": 2.5}, "(\'a\', 4)": {"null": 0.0}}}'
    table = load_throughput(written(tmp_path, oracle))
    rows = [JobRow(0.0, 2, n_steps=9.0, kind="a"), *[JobRow(0.0, 4, n_steps=9.0, kind="a")] * 2]
    (note,) = missing_sorts(job_log(rows), table)
    assert note.values == {"n": 2, "n_sorts": 1, "sorts": (("a", 4),)}
