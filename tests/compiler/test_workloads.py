"""Many jobs of a scenario become columns: each sort compiled once, each job with its own work."""

import numpy as np
import pytest

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.engines import event
from computeplan.errors import InfeasibleError, ScenarioError

HOUR_S = 3600.0


def scenario_of(workload, *, folder=None, **more):
    """Return a cloud of two pools with a workload `w`."""
    data = {
        "computeplan": 1,
        "name": "many",
        "sites": {
            "s": {
                "pue": 1.0,
                "pools": {
                    "a": {"chip": "nvidia/h100-sxm", "chips": 64},
                    "b": {"chip": "huawei/ascend-910b2", "chips": 128},
                },
            }
        },
        "workloads": {"w": workload},
        **more,
    }
    if folder is None:
        return cp.load(data)
    import json

    path = folder / "scenario.yaml"
    path.write_text(json.dumps(data), "utf-8")
    return cp.load(path)


GENERATED = {
    "jobs": 50,
    "arrivals": {"every": "10 min"},
    "chips": {8: 0.7, 64: 0.3},
    "length": {"expon": {"mean": "2 h"}},
}


def test_jobs_of_one_size_are_one_kind():
    world = compile_world(scenario_of(GENERATED))
    jobs = world.jobs
    assert len(jobs) == 50
    assert len(jobs.kinds) == 2
    assert not jobs.is_written
    assert sorted(set(jobs.of_kind("n_nodes")[:, 0])) == [1, 8]
    assert [jobs[j].name for j in (0, 49)] == ["w/job 1", "w/job 50"]
    assert jobs.train_s.mean(axis=1) == pytest.approx([jobs[j].train_s.mean() for j in range(50)])


def test_a_job_of_a_file_is_as_fast_as_its_table_says(tmp_path):
    (tmp_path / "jobs.csv").write_text(
        "arrival_s,kind,chips,steps,tenant,priority,deadline_s\n"
        "0,bert,8,1000,lab,2,5000\n60,gpt,16,500,firm,0,\n"
    )
    (tmp_path / "speeds.csv").write_text(
        "kind,chips,chip,steps_per_s\nbert,8,h100,2\nbert,8,910b2,0.5\ngpt,16,910b2,1\n"
    )
    workload = {"file": "jobs.csv", "throughput": "speeds.csv"}
    world = compile_world(scenario_of(workload, folder=tmp_path))
    assert world.jobs.train_s == pytest.approx(
        np.array([[500.0, 2000.0], [np.nan, 500.0]]), nan_ok=True
    )
    table = world.job_table
    assert [world.tenants.names[t] for t in table.tenant] == ["lab", "firm"]
    assert table.priority.tolist() == [2, 0]
    assert table.deadline_s.tolist() == [5000.0, np.inf]
    ledger = event.play(world, 0, 0, 1)
    assert ledger.end_s[0] == pytest.approx([500.0, 560.0])


def test_lengths_hold_where_they_were_measured_and_speed_tells_the_rest():
    workload = GENERATED | {"on": "h100", "speed": {"910b2": 0.5}}
    world = compile_world(scenario_of(workload))
    assert world.jobs.train_s[:, 1] == pytest.approx(2 * world.jobs.train_s[:, 0])
    barred = compile_world(scenario_of(GENERATED | {"on": "h100"}))
    assert not barred.n_nodes[:, 1].any()


def test_jobs_that_are_written_come_first():
    job = {"chips": 8, "train_for": "1 h", "tenant": "lab"}
    world = compile_world(scenario_of(GENERATED, jobs={"mine": job}))
    assert len(world.jobs) == 51
    assert world.jobs[0].name == "mine"
    assert world.jobs.train_s[0] == pytest.approx([HOUR_S, HOUR_S])


def test_a_gang_larger_than_every_pool_is_named_before_the_first_run():
    with pytest.raises(InfeasibleError, match=r"w/job \d+ wants 256 chips, and no pool"):
        compile_world(scenario_of(GENERATED | {"chips": {8: 0.7, 256: 0.3}}))


def test_what_is_wrong_with_a_file_is_said_with_its_line(tmp_path):
    (tmp_path / "jobs.csv").write_text("arrival_s,chips,train_s\n0,8,-5\n")
    with pytest.raises(ScenarioError, match=r"workloads\.w\.file: .*jobs\.csv.* line 2"):
        scenario_of({"file": "jobs.csv"}, folder=tmp_path)


def test_a_saved_scenario_has_its_jobs_beside_it(tmp_path):
    (tmp_path / "jobs.csv").write_text("arrival_s,chips,train_s\n0,8,60\n")
    scenario = scenario_of({"file": "jobs.csv"}, folder=tmp_path)
    assert scenario.input_files()["inputs/w-jobs.csv"] == b"arrival_s,chips,train_s\n0,8,60\n"
    assert "file: inputs/w-jobs.csv" in scenario.to_yaml()


def test_something_must_run():
    with pytest.raises(ScenarioError, match="say what is to run: jobs, workloads or services"):
        cp.load(
            {
                "computeplan": 1,
                "name": "nothing",
                "sites": {"s": {"pue": 1.0, "pools": {"a": {"chip": "h100", "chips": 8}}}},
            }
        )


def test_books_are_kept_by_kind_where_there_are_many_jobs():
    """The totals are those of the same jobs with books of their own."""
    from dataclasses import replace

    from computeplan.world import jobs as world_jobs

    world = compile_world(scenario_of(GENERATED))
    apart = event.play(world, 0, 0, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world_jobs, "MOST_BOOKED_APART", 10)
        together = event.play(replace(compile_world(scenario_of(GENERATED))), 0, 0, 1)
    assert together.booked.shape[1] == len(world.jobs.kinds) + 1  # all have one tenant
    assert together.booked.sum(axis=1) == pytest.approx(apart.booked.sum(axis=1))
    assert together.end_s == pytest.approx(apart.end_s)
    assert together.kept_frac == pytest.approx(np.ones((1, 50)))


def test_measures_of_many_jobs_are_those_of_jobs_with_books_of_their_own():
    from computeplan.metrics import by_site, measure
    from computeplan.world import jobs as world_jobs

    workload = GENERATED | {"checkpoint": {"every": "10 min", "stall": "30 s"}}
    world = compile_world(scenario_of(workload))
    apart = measure(event.play(world, 0, 0, 2), world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world_jobs, "MOST_BOOKED_APART", 10)
        many = compile_world(scenario_of(workload))
        ledger = event.play(many, 0, 0, 2)
        together, sites = measure(ledger, many), by_site(ledger, many)
    assert together.keys() == apart.keys()
    for name, values in apart.items():
        assert together[name] == pytest.approx(values, nan_ok=True), name
    assert sites.jobs["chip_h"].sum() > 0


def test_a_policy_that_keeps_jobs_at_home_asks_where_that_is():
    with pytest.raises(ScenarioError, match=r"workloads\.w: home is missing: policy silo"):
        compile_world(scenario_of(GENERATED, policy="silo"))
    world = compile_world(scenario_of(GENERATED | {"home": "b"}, policy="silo"))
    assert set(world.job_table.home) == {1}
    with pytest.raises(ScenarioError, match=r"workloads\.w\.home: no pool 'c'"):
        scenario_of(GENERATED | {"home": "c"})
