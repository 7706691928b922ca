"""What all tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from places import TRACES
from strategies import Script, scripted

from computeplan.cli.main import main
from computeplan.engines.batch import engine as batch
from computeplan.engines.event import engine as event

settings.register_profile(
    "computeplan",
    max_examples=20,
    deadline=None,  # times are measured in benchmarks/, never asserted
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,  # the same examples every time where nobody watches
)
settings.load_profile("computeplan")


LONG = (
    "test_scenarios.py",
    "test_stopped.py",
    "test_notebooks.py",
    "test_need.py",
    "test_golden.py",
    "test_serving.py",
    "test_wheel.py",
)
"""Files that take long, the longest first: they begin first, so that no worker waits for one."""


def pytest_collection_modifyitems(items):
    place = {name: i for i, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONG)))


@pytest.fixture(scope="session")
def traces() -> Path:
    """Return the folder of real traces, which lies next to the clone and is not part of it."""
    if not TRACES.is_dir():
        pytest.skip("the real traces are not on this machine")
    return TRACES


@pytest.fixture(autouse=True)
def _in_english(monkeypatch):
    """What is said does not depend on whose machine the tests run."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def call(capsys):
    """Return a function that runs a command and expects an exit code: its output."""

    def call(*args, expect=0):
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(list(args))
        out, err = capsys.readouterr()
        assert caught.value.code == expect, err
        return err if expect else out

    return call


@pytest.fixture(params=[batch, event], ids=["batch", "event"])
def play(request, monkeypatch):
    """Return a function that plays a world against a script with one of the engines."""

    def run(world, *arrivals):
        script = Script(scripted(*arrivals))
        with monkeypatch.context() as patch:
            patch.setattr(request.param, "Trace", lambda *_: script)
            return request.param.play(world, 0, 0, 1)

    return run
