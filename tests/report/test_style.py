"""Every character of a figure is seen, or it is said that it is not."""

import warnings
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from report.test_report import make

from computeplan.report import FIGURES, style
from computeplan.report.figures import figures_of, unseen_in
from computeplan.report.style import unseen

STANDARD = (Path(__file__).parent / "general_standard_characters.txt").read_text("utf-8")
GRADES = STANDARD.split()
SHIPPED = Path(style.__file__).parent / "fonts" / "NotoSansSC-computeplan.otf"
NAMES = (
    "昇腾 910B2：每 30 分钟保存检查点",
    "备用节点 24 台（约 5 % ≤ 8 %）— “常规”",
    "".join(grade[-6:] for grade in GRADES),  # of the rarest, some beyond the first plane
    "機房擴容，節點故障率±３０％·…→−×",
    "¥1.2／kWh、￥８",
)
BEYOND = "\U0002a6d6𓀀🚀"


@pytest.fixture
def bare(monkeypatch):
    """Make a machine that has no fonts but those of matplotlib, and return how to see a figure."""
    known = font_manager.fontManager

    def forget():
        style._fonts.cache_clear()
        style._glyphs.cache_clear()
        known._findfont_cached.cache_clear()

    fonts = Path(mpl.get_data_path()) / "fonts"
    own = [font for font in known.ttflist if Path(font.fname).is_relative_to(fonts)]
    monkeypatch.setattr(known, "ttflist", own)
    forget()
    yield
    monkeypatch.undo()
    forget()


def glyphs(families):
    """Return all that some families draw."""
    files = {
        font_manager.findfont(FontProperties(family=[family]), fallback_to_default=False)
        for family in families
        if family != "sans-serif"
    }
    return {chr(code) for file in files for code in font_manager.get_font(file).get_charmap()}


def not_drawn(figure):
    """Return the characters of all texts of a figure that their own fonts cannot draw."""
    figure.canvas.draw()
    written = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    families = {tuple(text.get_fontfamily()) for text in written}
    drawn = {of: glyphs(of) for of in families}
    return {
        character
        for text in written
        for character in text.get_text().replace("\n", "")
        if character not in drawn[tuple(text.get_fontfamily())]
    }


def figure_of(result, kind, language):
    return getattr(figures_of(result), kind)(language=language).get_figure(root=True)


def test_the_list_is_whole():
    assert [len(grade) for grade in GRADES] == [3500, 3000, 1605]
    assert len(set("".join(GRADES))) == 8105


def test_the_shipped_font_draws_all_general_standard_characters():
    font = font_manager.get_font(SHIPPED)
    charmap = font.get_charmap()
    assert set(map(ord, "".join(GRADES))) <= set(charmap)
    for character in "".join(GRADES):
        glyph = font.load_char(ord(character))
        assert charmap[ord(character)] > 0
        assert glyph.bbox[2] > glyph.bbox[0]
        assert glyph.bbox[3] > glyph.bbox[1]


def test_the_shipped_font_is_free_and_small():
    assert "SIL OPEN FONT LICENSE Version 1.1" in (SHIPPED.parent / "OFL.txt").read_text("utf-8")
    assert SHIPPED.stat().st_size < 5e6
    assert font_manager.get_font(SHIPPED).family_name == style._SHIPPED


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", FIGURES)
def test_no_glyph_is_missing_without_installed_fonts(kind, language):
    result = make(NAMES, n_jobs=2)
    assert unseen_in(result) == ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not_drawn(figure_of(result, kind, language)) == set()


EVERY, SPARES = f"jobs.训练{NAMES[2]}.checkpoint.every", "sites.贵安.pools.昇腾.spares"
SWEEPS = {
    "curve": [{EVERY: f"{every} min"} for every in (10, 20, 30)],
    "heat map": [{EVERY: f"{m} min", SPARES: f"{n} nodes"} for m in (10, 20, 30) for n in (4, 8)],
}


def swept(axes):
    """Return a result whose cases are the points of a sweep."""
    bare = make([", ".join(f"{path}={at}" for path, at in one.items()) for one in axes])
    pairs = zip(bare.cases.items(), axes, strict=True)
    return replace(bare, cases={name: replace(case, axes=one) for (name, case), one in pairs})


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("kind", SWEEPS)
def test_no_glyph_is_missing_in_sweeps(kind):
    figure = figure_of(swept(SWEEPS[kind]), "time", "zh")
    assert not_drawn(figure) == set()
    text = "".join(one.get_text() for one in figure.findobj(Text))
    assert set("训练") <= set(text)


@pytest.mark.usefixtures("bare")
def test_a_path_that_no_font_draws_is_said():
    axes = [{f"jobs.{BEYOND}.chips": n} for n in (8, 16, 24)]
    result = swept(axes)
    renamed = dict(zip("abc", result.cases.values(), strict=True))
    assert unseen_in(replace(result, cases=renamed)) == BEYOND


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("kind", FIGURES)
def test_what_no_font_draws_is_drawn_as_it_is_and_said(kind):
    result = make((f"a{BEYOND}", "b"))
    figure = figure_of(result, kind, "zh")
    with pytest.warns(UserWarning, match="Glyph"):
        assert not_drawn(figure) <= set(BEYOND)
    assert unseen_in(result) == BEYOND
    assert any(BEYOND in text.get_text() for text in figure.findobj(Text))


@pytest.mark.usefixtures("bare")
def test_a_glyph_that_is_missing_is_seen_by_these_tests():
    figure = Figure()
    FigureCanvasAgg(figure)
    figure.text(0, 0, "汉字 a", fontfamily="DejaVu Sans")
    with pytest.warns(UserWarning, match="Glyph"):
        assert not_drawn(figure) == {"汉", "字"}


@pytest.mark.usefixtures("bare")
def test_an_installed_font_draws_what_the_shipped_one_cannot(monkeypatch):
    rare = BEYOND[0]
    assert unseen([f"a{rare}\n"]) == rare
    known = font_manager.fontManager
    standing_in = next(font for font in known.ttflist if font.name == "STIXGeneral")
    letter = "\U0001d504"  # a letter that STIX has, and no other of matplotlib's fonts
    assert unseen([letter]) == letter
    monkeypatch.setattr(style, "_CHINESE_FONTS", (standing_in.name,))
    style._fonts.cache_clear()
    style._glyphs.cache_clear()
    assert unseen([letter, rare]) == rare
