"""Published schedules, played by the engine; and files of cases that people write."""

import json

import pytest

from computeplan.errors import InfeasibleError, ScenarioError
from computeplan.validation.scheduling import predict, read_cases

THREE = "t\tcmd\twd\t--n\t0\t4000\t1\t1\t-1\t0\n"
ORACLE = {
    "v100": {"('j0', 1)": {"null": 4.0}, "('j1', 1)": {"null": 3.0}, "('j2', 1)": {"null": 10.0}},
    "p100": {"('j0', 1)": {"null": 2.0}, "('j1', 1)": {"null": 2.5}, "('j2', 1)": {"null": 2.0}},
    "k80": {f"('j{i}', 1)": {"null": 1.0} for i in range(3)},
}


def case_file(folder, text, *, gang=1):
    """Return a file of cases beside the trace of three jobs and its oracle."""
    rows = [("j0", 4000), ("j1", 5000), ("j2", 20000)]
    trace = "".join(f"{job}\tc\tw\t--n\t0\t{steps}\t{gang}\t1\t-1\t0\n" for job, steps in rows)
    (folder / "three.trace").write_text(trace)
    (folder / "oracle.json").write_text(json.dumps(ORACLE))
    path = folder / "cases.yaml"
    path.write_text(text)
    return path


def case(**more):
    """Return the text of one case."""
    data = {
        "id": "three",
        "trace": "three.trace",
        "oracle": "oracle.json",
        "pools": {"v100": 1, "p100": 1, "k80": 1},
        "round": 360,
        "reset_gate": 1920,
        "restart_cost": 0,
        **more,
    }
    return json.dumps([data])


@pytest.mark.parametrize(
    ("policy", "value"),
    [
        ("max_min_fairness_perf", 54 / 47),
        ("min_total_duration_perf", 7000 / 3),
        ("max_sum_throughput_perf", 13.5),
        ("min-makespan", 7000 / 3),
    ],
)
def test_three_jobs_have_the_value_worked_out_exactly(tmp_path, policy, value):
    text = case(policy=policy, expect={"objective": value}, tolerance={"objective": 1e-6})
    (row,) = predict(read_cases(case_file(tmp_path, text)))
    assert row.within
    assert row.predicted == pytest.approx(value, rel=1e-6)


def test_two_jobs_on_one_chip_by_hand(tmp_path):
    """First in first out on the fast chips only: j0 on v100 1,000 s, j1 on p100 2,000 s."""
    expect = {"per_job_jct_s": [1000.0, 2000.0, 1000.0], "makespan_s": 2000.0}
    text = case(policy="fifo", pools={"v100": 1, "p100": 1}, expect=expect)
    rows = {row.quantity: row for row in predict(read_cases(case_file(tmp_path, text)))}
    assert rows["per_job_jct_s"].predicted == pytest.approx([1000.0, 2000.0, 3000.0])
    assert rows["per_job_jct_s"].error == pytest.approx(2.0)
    assert rows["makespan_s"].within is None


@pytest.mark.parametrize("policy", ["fifo_perf", "max_min_fairness_perf"])
def test_published_results_of_a_small_case_are_met(traces, policy):
    cases = [
        one
        for one in read_cases(traces=traces)
        if one.id.startswith("15 jobs") and one.policy == policy
    ]
    assert cases
    for row in predict(cases):
        assert row.within is not False, row


def test_a_gang_larger_than_every_pool_is_named(tmp_path):
    path = case_file(tmp_path, case(policy="fifo", expect={"makespan_s": 1}), gang=4)
    with pytest.raises(InfeasibleError, match=r"three: job 1 \(j0, 4 chips\) fits on no pool"):
        list(predict(read_cases(path)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policy": "fifo_perfect"}, "no policy 'fifo_perfect'. Did you mean 'fifo_perf'"),
        ({"trace": "none.trace"}, "no file 'none.trace'"),
        ({"pools": {"v100": -1}}, "pools"),
        ({"expect": {"speed": 1}}, "speed"),
        ({"expect": {}}, "expect"),
        ({"round": "fast"}, "round"),
    ],
)
def test_what_is_wrong_with_a_case_is_said(tmp_path, change, message):
    text = case(**{"policy": "fifo", "expect": {"makespan_s": 1}} | change)
    with pytest.raises(ScenarioError, match=message):
        read_cases(case_file(tmp_path, text))


def test_chips_that_the_oracle_does_not_know_are_named(tmp_path):
    text = case(policy="fifo", pools={"h100": 3}, expect={"makespan_s": 1})
    with pytest.raises(ScenarioError, match=r"no chip h100\.  Chips: k80, p100, v100"):
        list(predict(read_cases(case_file(tmp_path, text))))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cases.yaml: 1 problem\n  is empty; write a list of cases"),
        ("[1,2\n", "cases.yaml: 1 problem\n  2:1 expected ',' or ']'"),
        ("- a\n", "cases.yaml: 1 problem\n  1:3  cases[0]: should be a mapping of keys to values"),
        ("x: 1\n", "cases.yaml: 2 problems\n  1:1 'cases' is missing\n  1:1  x: unknown key 'x'"),
    ],
)
def test_a_file_that_is_no_list_of_cases_is_named_with_the_place(tmp_path, text, message):
    path = tmp_path / "cases.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as error:
        read_cases(path)
    assert message in str(error.value)
