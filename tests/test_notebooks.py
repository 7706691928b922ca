"""Notebooks hold what they show, as the code beside it shows it now."""

import importlib.util
import io
from base64 import b64decode

import nbformat
import pytest
from matplotlib.image import imread
from places import REPO

MOST_BYTES = 400_000


def load_script():
    path = REPO / "docs" / "make_notebooks.py"
    spec = importlib.util.spec_from_file_location("make_notebooks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = load_script()
each = pytest.mark.parametrize("path", script.NOTEBOOKS, ids=lambda path: path.stem)


def is_fresh(notebook):
    return notebook.metadata.get("computeplan") == script.fingerprint(notebook)


@each
def test_outputs_belong_to_the_code_beside_them(path):
    notebook = nbformat.read(path, as_version=4)
    assert is_fresh(notebook), f"{path.name} was changed since it was run: make notebooks"
    for cell in notebook.cells:
        cell.source += "\n"  # any change of a code cell is seen
    assert not is_fresh(notebook)


@each
def test_every_cell_shows_something_small_and_no_error(path):
    notebook = nbformat.read(path, as_version=4)
    assert path.stat().st_size < MOST_BYTES
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    pictures = [o.data["image/png"] for o in outputs if "image/png" in o.get("data", {})]
    assert pictures
    for picture in pictures:
        assert imread(io.BytesIO(b64decode(picture))).shape[1] <= 1000  # pixels across
    silent = [c.id for c in notebook.cells if c.cell_type == "code" and not c.outputs]
    assert not silent


@each
def test_a_notebook_shows_what_it_stores(path):
    notebook = nbformat.read(path, as_version=4)
    assert script.shown(script.executed(notebook)) == script.shown(notebook), "make notebooks"
