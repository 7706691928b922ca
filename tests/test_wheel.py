"""The wheel works on its own: in an empty environment, away from the checkout, from any folder.

Needs a network, for the dependencies. A minute is usual.
"""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from places import REPO


def call(command: Sequence[str | Path], cwd: Path) -> str:
    """Return what a command prints; fail with all that it said if it fails."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    done = subprocess.run(
        command,
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name not in hidden},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        words = " ".join(map(str, command))
        pytest.fail(
            f"{words}\nended with {done.returncode} (building and installing need a network):\n"
            f"{done.stdout}\n{done.stderr}",
            pytrace=False,
        )
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel built from the checkout."""
    out = tmp_path_factory.mktemp("wheel")
    call([sys.executable, "-m", "build", "--wheel", "--outdir", out, REPO], cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of programs of a new environment that holds the wheel."""
    home = tmp_path_factory.mktemp("elsewhere")
    assert not home.is_relative_to(REPO)
    call([sys.executable, "-m", "venv", home / "venv"], cwd=home)
    folder = home / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = [
        folder / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
    ]
    call([*pip, wheel], cwd=home)
    return folder


def test_wheel_carries_its_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {path.name for path in (REPO / "scenarios").glob("*.yaml")}
    assert "llama3-405b.yaml" in shipped
    assert {f"computeplan/data/scenarios/{name}" for name in shipped} <= names
    assert "computeplan/py.typed" in names
    data = REPO / "src" / "computeplan" / "data"
    catalogue = {path.relative_to(REPO / "src").as_posix() for path in data.rglob("*.yaml")}
    assert catalogue <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert "computeplan/report/fonts/NotoSansSC-computeplan.otf" in names
    assert "computeplan/report/fonts/OFL.txt" in names
    assert any(".dist-info/licenses/" in name and name.endswith("OFL.txt") for name in names)


def test_shipped_scenario_runs_from_anywhere(programs, tmp_path):
    where = call(
        [programs / "python", "-c", "import computeplan as c; print(c.__file__)"], tmp_path
    )
    assert Path(where.strip()).is_relative_to(programs.parent)
    printed = call(
        [programs / "computeplan", "run", "llama3-405b", "--runs", "20", "--json"], tmp_path
    )
    result = json.loads(printed)
    assert result["name"].startswith("llama3-405b")
    assert result["cases"]
