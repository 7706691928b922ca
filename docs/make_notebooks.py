"""Runs the notebooks and stores what they show, so that a visitor sees results.

Run it after a change that moves numbers, or after editing a notebook: ``make notebooks``. Outputs
are kept as small as they can be read: a figure is a PNG of 96 colours, a table its HTML. What a
notebook rests on is written into its metadata (`fingerprint`), so that a test sees cheaply whether
outputs belong to the code beside them; another runs the notebooks and compares what they show.
"""

from __future__ import annotations

import io
import sys
from base64 import b64decode, b64encode
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

import computeplan

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
COLOURS = 96
TIMEOUT_S = 600


def fingerprint(notebook: Any) -> dict[str, str]:
    """Return what the outputs of a notebook rest on: its code, and the version that ran it."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    digest = sha256("\0".join(code).encode("utf-8")).hexdigest()
    return {"version": computeplan.__version__, "code_sha256": digest}


def executed(notebook: Any) -> Any:
    """Return a notebook with what its cells show now, in the form in which it is stored."""
    found = deepcopy(notebook)
    NotebookClient(found, timeout=TIMEOUT_S, kernel_name="python3", record_timing=False).execute()
    for cell in found.cells:
        if cell.cell_type == "code":
            cell.outputs = [_stored(output) for output in cell.outputs]
    found.metadata = nbformat.from_dict(
        {
            "computeplan": fingerprint(found),
            "kernelspec": notebook.metadata["kernelspec"],
            "language_info": {"name": "python"},
        }
    )
    return found


def _stored(output: Any) -> Any:
    """Return an output without what nobody looks at: the text beside a table or a picture."""
    data = output.get("data", {})
    if "image/png" in data:
        output["data"] = {"image/png": _small(data["image/png"])}
    elif "text/html" in data:
        output["data"] = {"text/html": data["text/html"]}
    return output


def _small(png: str) -> str:
    """Return a picture with few colours, in base64."""
    out = io.BytesIO()
    picture = Image.open(io.BytesIO(b64decode(png))).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return b64encode(out.getvalue()).decode("ascii") + "\n"


def shown(notebook: Any) -> list[Any]:
    """Return what each code cell shows, but for pictures, which only say that they are there."""
    return [
        ["picture" if "image/png" in output.get("data", {}) else output for output in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def main() -> None:
    """Run the notebooks named, or all, and write them."""
    wanted = [Path(name) for name in sys.argv[1:]] or NOTEBOOKS
    for path in wanted:
        notebook = executed(nbformat.read(path, as_version=4))
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
