"""Cases are played one by one: which is named, what is known in between, what a stop leaves."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest

import computeplan as cp
from computeplan.errors import InfeasibleError
from computeplan.study import run as study

NAMES = ["hourly", "two hours", "four hours"]


@pytest.fixture
def scenario():
    return cp.load(
        {
            "computeplan": 1,
            "name": "small",
            "sites": {"here": {"pue": 1.2, "pools": {"a": {"chip": "H100", "chips": 16}}}},
            "faults": {
                "gpu": {"mtbf": "0.2 kh", "per": "chip", "takes": "nothing", "restart": "5 min"}
            },
            "jobs": {
                "j": {
                    "train_for": "1 d",
                    "chips": 16,
                    "checkpoint": {"every": "1 h", "stall": "5 s"},
                }
            },
            "cases": {
                name: {"jobs.j.checkpoint.every": every}
                for name, every in zip(NAMES, ("1 h", "2 h", "4 h"), strict=True)
            },
            "simulate": {"runs": 80, "engine": "event"},  # two pieces of work a case
        }
    )


def test_progress_names_the_case_that_is_played(scenario):
    told = []
    study.run(scenario, progress=lambda *news: told.append(news))
    assert told == [(i, 6, NAMES[i // 2]) for i in range(6)]


def test_between_cases_the_result_so_far_is_there(scenario):
    seen = []
    whole = study.run(scenario, on_case=lambda so_far: seen.append(so_far()))
    assert [list(result.cases) for result in seen] == [NAMES[:1], NAMES[:2]]
    assert [list(result.incomplete) for result in seen] == [NAMES[1:], NAMES[2:]]
    assert not whole.incomplete
    for result in seen:
        for name, case in result.cases.items():
            assert (case.values["ettr"] == whole.cases[name].values["ettr"]).all()


@pytest.mark.parametrize("n_done", [0, 1, 2])
def test_ctrl_c_keeps_the_cases_all_of_whose_runs_are_in(scenario, n_done):
    def stop(done, _, __):
        if done == 2 * n_done + 1:  # in the middle of a case
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        study.run(scenario, progress=stop)
    if n_done == 0:
        assert not isinstance(caught.value, study.Interrupted)
    else:
        assert list(caught.value.result.cases) == NAMES[:n_done]
        assert list(caught.value.result.incomplete) == NAMES[n_done:]


def test_ctrl_c_keeps_cases_that_others_have_played_meanwhile(scenario):
    with ThreadPoolExecutor(1) as executor:

        def stop(done, _, __):
            if done == 2:
                executor.submit(int).result()  # behind all pieces: these are done, too
                raise KeyboardInterrupt

        with pytest.raises(study.Interrupted) as caught:
            study.run(scenario, executor=executor, progress=stop)
    assert list(caught.value.result.cases) == NAMES
    assert not caught.value.result.incomplete


class Dying(ThreadPoolExecutor):
    """Takes some pieces of work, then has lost its workers."""

    def __init__(self, n_pieces):
        super().__init__(1)
        self.n_pieces = n_pieces

    def submit(self, *args):
        if self.n_pieces == 0:
            raise BrokenProcessPool
        self.n_pieces -= 1
        return super().submit(*args)


def test_what_was_handed_out_before_the_workers_died_counts(scenario):
    with Dying(3) as executor:
        result = study.run(scenario, executor=executor)
    assert list(result.cases) == NAMES[:1]
    assert {why.code for why in result.incomplete.values()} == {"case_lost_worker"}
    with Dying(1) as executor, pytest.raises(BrokenProcessPool):
        study.run(scenario, executor=executor)


def test_a_case_that_fails_is_not_played_on(scenario, monkeypatch):
    played = []

    def play(world, engine, seed, first_run, n_runs):
        played.append(first_run)
        raise InfeasibleError("never ends")

    monkeypatch.setattr(study, "_play_piece", play)
    with pytest.raises(InfeasibleError, match="never ends"):
        study.run(scenario)
    assert played == [0, 0, 0]


def test_processes_give_what_one_gives(scenario):
    one = study.run(scenario)
    with ProcessPoolExecutor(2) as executor:
        two = study.run(scenario, executor=executor)
    for name in NAMES:
        assert (one.cases[name].values["ettr"] == two.cases[name].values["ettr"]).all()
