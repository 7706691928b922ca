"""How figures look: colours, fonts, and text that is drawn as it is written.

Nothing here changes matplotlib's global settings: figures are drawn inside a context of their own
(`drawn`). Names are users' text: in them ``$`` is no mathematics, and they are drawn as they are.
Chinese is drawn with a font that ships, which has the 8,105 General Standard Chinese Characters;
what is beyond it takes a font of this machine, and `unseen` tells what no font draws.
"""

from __future__ import annotations

import functools
import io
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from computeplan.report.table import wrap
from computeplan.study.result import Result

__all__ = [
    "BATTERY_COLOUR",
    "PHASE_COLOURS",
    "SERVICE_COLOUR",
    "SITE_COLOURS",
    "STORED_COLOUR",
    "case_colour",
    "case_labels",
    "case_marker",
    "drawn",
    "label",
    "new_axes",
    "one_line",
    "plain",
    "plain_lines",
    "style",
    "unseen",
]

Of = TypeVar("Of")
P = ParamSpec("P")

# P. Tol, "Colour schemes", SRON/EPS/TN/09-002 issue 3.2, 2021, fig. 5 (muted): nine colours that
# stay apart for colour-blind readers; and the three that CARTO's scheme "Safe" of twelve adds to
# them (carto.com/carto-colors). The thirteenth case starts over with another marker.
_CASE_COLOURS = (
    "#332288",
    "#CC6677",
    "#117733",
    "#88CCEE",
    "#882255",
    "#999933",
    "#44AA99",
    "#AA4499",
    "#DDCC77",
    "#661100",
    "#6699CC",
    "#888888",
)
_MARKERS = "osD^v<>pPXhd"

# M. Okabe and K. Ito, "Color Universal Design", 2008; greys for chips that no job holds.
PHASE_COLOURS = {
    "train": "#0072B2",
    "save": "#56B4E9",
    "lost": "#D55E00",
    "restart": "#E69F00",
    "blocked": "#CC79A7",
    "idle": "#D9D9D9",
    "repair": "#7F7F7F",
}

SERVICE_COLOUR = "#009E73"
"""Of chips that services hold, whatever they do."""

BATTERY_COLOUR = "#000000"
"""Of what is lost in batteries."""
STORED_COLOUR = "#F0E442"
"""Of what is still in them when a run ends."""

# As above; the yellow is too light for a bar and left out.
SITE_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Of sites, which are no cases; more of them share a grey."""

_SHIPPED = "Noto Sans SC computeplan"
"""A subset of Noto Sans SC under the OFL; ``docs/make_font.py`` makes it."""

# Of systems, for what is beyond the shipped font: by the names under which they are installed.
_CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
    "Noto Sans CJK JP",
    "Droid Sans Fallback",
    "Arial Unicode MS",
)


@functools.cache
def _fonts() -> tuple[str, ...]:
    """Return the families to write with, in the order in which they are asked for a glyph."""
    known = font_manager.fontManager
    folder = Path(__file__).parent / "fonts"
    known.addfont(folder / "NotoSansSC-computeplan.otf")
    installed = {font.name for font in known.ttflist}
    return ("DejaVu Sans", _SHIPPED, *(name for name in _CHINESE_FONTS if name in installed))


@functools.cache
def _glyphs() -> frozenset[int]:
    files = [font_manager.findfont(name, fallback_to_default=False) for name in _fonts()]
    return frozenset(code for file in files for code in font_manager.get_font(file).get_charmap())


def unseen(texts: Iterable[str]) -> str:
    """Return the characters that no font on this machine draws, each once; boxes stand for them.

    Examples
    --------
    >>> unseen(["每 30 分钟保存", "half"]), unseen(["𓀀"])
    ('', '𓀀')
    """
    written = dict.fromkeys(character for text in texts for character in one_line(text))
    return "".join(character for character in written if ord(character) not in _glyphs())


def style() -> Any:
    """Return the settings that figures are drawn and saved with."""
    return {
        "axes.axisbelow": True,
        "axes.grid": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "figure.dpi": 100,
        "font.family": [*_fonts(), "sans-serif"],  # the last is for a browser without the first
        "font.size": 10,
        "grid.color": "#E5E5E5",
        "legend.frameon": False,
        "savefig.dpi": 150,
        "svg.fonttype": "none",
        "svg.hashsalt": "computeplan",
    }


def drawn(draw: Callable[Concatenate[Of, P], Axes]) -> Callable[Concatenate[Of, P], Axes]:
    """Return the function with our settings around it, and no others changed."""

    @functools.wraps(draw)
    def inside(of: Of, /, *args: P.args, **kwargs: P.kwargs) -> Axes:
        with mpl.rc_context(style()):
            return draw(of, *args, **kwargs)

    return inside


class _Shown(Axes):
    """Axes that a notebook shows as the picture of their figure."""

    def _repr_png_(self) -> bytes:
        figure, png = self.get_figure(root=True), io.BytesIO()
        assert figure is not None  # they are made on one
        with mpl.rc_context(style()):
            figure.savefig(png, format="png", dpi=100)
        return png.getvalue()


def new_axes(ax: Axes | None, rows: float, *, width: float = 8.0) -> Axes:
    """Return the axes given, or those of a new figure that is tall enough for so many rows.

    A row is 0.42 inch high; the width is in inches.
    """
    if ax is not None:
        return ax
    figure = Figure(figsize=(width, 1.5 + 0.42 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot(axes_class=_Shown)


def plain(text: str) -> str:
    """Return text on one line in which ``$`` is no mathematics."""
    return one_line(text).replace("$", r"\$")


def one_line(text: str) -> str:
    """Return text with every control character and run of blanks made one blank."""
    visible = "".join(" " if unicodedata.category(c) == "Cc" else c for c in text)
    return " ".join(visible.split())


def label(name: str, *, width: int = 24, lines: int = 3) -> str:
    """Return a name on lines that fit, ready to draw."""
    return plain_lines(wrap(one_line(name), width, lines))


def plain_lines(text: str) -> str:
    """Return `plain` of every line."""
    return "\n".join(plain(line) for line in text.split("\n"))


def case_labels(result: Result, *, width: int = 24, lines: int = 3) -> list[str]:
    """Return the names of the cases, ready to draw."""
    return [label(name, width=width, lines=lines) for name in result.cases]


def case_colour(index: int) -> str:
    """Return the colour of a case, the same in every figure."""
    return _CASE_COLOURS[index % len(_CASE_COLOURS)]


def case_marker(index: int) -> str:
    """Return the marker of a case; with its colour unique up to 144 cases."""
    return _MARKERS[(index + index // len(_CASE_COLOURS)) % len(_MARKERS)]
