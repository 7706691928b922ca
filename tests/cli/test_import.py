"""What ``computeplan import`` writes, says and refuses."""

import pytest

from computeplan.specs.logs.job_csv import load_jobs
from computeplan.specs.logs.throughput import load_throughput

LOG = """\
job_id,num_gpu,submit_time,iterations,model_name,duration,interval
0,1,0,606,vgg19,7200,30
1,8,3600,133,<b>vgg11</b>,3600,23
2,0,3700,133,vgg11,60,23
3,x,3700,133,vgg11,60,23
"""
ORACLE = """\
{"v100": {"('vgg19', 1)": {"null": 2.5, "('vgg19', 1)": [1.0, 1.0]}},
 "v100_unconsolidated": {"('vgg19', 1)": {"null": 2.0}}}
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Run in a folder that holds a trace and an oracle."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text(LOG)
    (tmp_path / "oracle.json").write_text(ORACLE)
    return tmp_path


def test_a_trace_becomes_jobs_and_says_what_did_not(call, here):
    printed = call("import", "log.csv", "--out", "new/jobs.csv")
    assert "2 jobs of log.csv" in printed
    assert "1 row left out (line 4): no chips." in printed
    assert "1 row left out (line 5): a number that cannot be read, or cannot be." in printed
    assert "Columns that are not used: iterations, interval." in printed
    assert "Written: new/jobs.csv" in printed
    table = dict(line.rsplit(None, 1) for line in printed.splitlines() if "  " in line)
    assert table["rows left out"] == "2"
    assert table["median length [h]"] == "1.5"
    assert table["chip-h"] == "10"
    assert "1: 1\n" in printed
    assert "8: 1\n" in printed
    jobs = load_jobs(here / "new/jobs.csv")
    assert (jobs.chips.tolist(), jobs.train_s.tolist()) == ([1, 8], [7200, 3600])
    assert jobs.kinds == ("<b>vgg11</b>", "vgg19")
    assert not list(here.glob("new/*.part"))


def test_rows_that_cannot_be_read_are_shown_on_standard_error(here, capsys):
    from computeplan.cli.main import main

    with pytest.raises(SystemExit) as caught:
        main(["import", "log.csv", "--out", "jobs.csv"])
    assert not caught.value.code
    assert "5:1 num_gpu must be a whole number" in capsys.readouterr().err


def test_an_oracle_becomes_a_table_beside_the_jobs(call, here):
    printed = call("import", "log.csv", "--out", "jobs.csv", "--oracle", "oracle.json")
    assert "Written: jobs.csv, throughput.csv" in printed
    assert "1 throughputs of two jobs that share a chip are not used." in printed
    missing = "1 jobs can run on no chip of the throughput table (1 sorts: <b>vgg11</b> x 8)."
    assert missing in " ".join(printed.split())
    assert load_throughput(here / "throughput.csv").of("vgg19", 1, "v100") == 2.5


def test_what_was_imported_can_be_imported_and_replaced(call, here):
    call("import", "log.csv", "--out", "jobs.csv", "--oracle", "oracle.json")
    before = (here / "jobs.csv").read_bytes()
    call("import", "log.csv", "--out", "jobs.csv", "--oracle", "oracle.json")
    call("import", "jobs.csv", "--out", "again.csv")
    assert (here / "again.csv").read_bytes() == before == (here / "jobs.csv").read_bytes()


@pytest.mark.parametrize(
    ("args", "code", "why"),
    [
        (("log.csv",), 2, "Missing option '--out'"),
        (("gone.csv", "--out", "j.csv"), 2, "is not a file"),
        (("log.csv", "--out", "log.csv"), 2, "would replace what is read"),
        (("log.csv", "--out", "oracle.json"), 1, "was not written by computeplan import"),
        (("log.csv", "--out", "."), 1, "cannot be written"),
        (("log.csv", "--out", "log.csv/j.csv"), 1, "cannot be written"),
        (("log.csv", "--out", "throughput.csv", "--oracle", "oracle.json"), 2, "--out cannot be"),
        (("log.csv", "--out", "j.csv", "--map", "chips"), 2, "--map is arrival=submit_time"),
        (("log.csv", "--out", "j.csv", "--map", "chips=a,chips=b"), 2, "--map says chips twice"),
        (("log.csv", "--out", "j.csv", "--format", "swf"), 2, "has 1 fields, not 18"),
        (("log.csv", "--out", "j.csv", "--unit", "s"), 2, "is read as tiresias"),
        (("log.csv", "--out", "j.csv", "--oracle", "log.csv"), 2, "must begin with the line kind"),
        (("oracle.json", "--out", "j.csv"), 2, "does not say arrival"),
    ],
)
def test_what_is_refused_writes_nothing(call, here, args, code, why):
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    assert why in " ".join(call("import", *args, expect=code).split())
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


def test_a_file_of_others_is_never_replaced_by_the_oracle(call, here):
    (here / "throughput.csv").write_text("mine\n")
    call("import", "log.csv", "--out", "jobs.csv", "--oracle", "oracle.json", expect=1)
    assert (here / "throughput.csv").read_text() == "mine\n"
    assert not (here / "jobs.csv").exists()


def test_it_speaks_chinese(call):
    printed = call("import", "log.csv", "--out", "jobs.csv", "--lang", "zh")
    assert "log.csv 中的 2 个作业" in printed
    assert "1 行未计入（第 4 行）：未占用芯片。" in printed


def test_columns_can_be_mapped(call, here):
    (here / "my.csv").write_text("when,cards,took\n5,8,2\n0,4,1\n")
    names = "arrival=when, chips=cards, length=took"
    printed = call("import", "my.csv", "--out", "jobs.csv", "--map", names, "--unit", "h")
    assert "The rows are not in the order of arrival" in printed
    jobs = load_jobs(here / "jobs.csv")
    assert jobs.arrival_s.tolist() == [0, 18_000]
    assert jobs.train_s.tolist() == [3600, 7200]


def test_the_traces_of_gavel_with_their_oracle(call, here, traces):
    source, oracle = traces / "gavel/minimize_makespan.trace", traces / "gavel"
    printed = call(
        "import", str(source), "--out", "jobs.csv",
        "--oracle", str(oracle / "simulation_throughputs.json"),
    )  # fmt: skip
    assert "100 jobs of minimize_makespan.trace" in printed
    assert "can run on no chip" not in printed
    jobs = load_jobs(here / "jobs.csv")
    with source.open() as file:
        assert jobs.n_steps.tolist() == [float(line.split("\t")[5]) for line in file]
