"""Make the Chinese font that figures are drawn with: a subset of Noto Sans SC.

``python docs/make_font.py NotoSansCJK-Regular.ttc Unihan_OtherMappings.txt``

The first file is of Noto CJK 2.004 (Debian: fonts-noto-cjk), the second of the Unicode Character
Database (Debian: unicode-data, unpacked), whose property kTGH lists the 8,105 characters of
Tongyong Guifan Hanzi Biao, the General Standard Chinese Characters of 2013. Needs fontTools, which
matplotlib brings. The same files and the same fontTools give the same bytes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTCollection, TTFont

__all__ = ["general_standard", "main", "others", "subset"]

REPO = Path(__file__).resolve().parent.parent
FONT = REPO / "src" / "computeplan" / "report" / "fonts" / "NotoSansSC-computeplan.otf"
LIST = REPO / "tests" / "report" / "general_standard_characters.txt"

FAMILY = "Noto Sans SC computeplan"
"""A name of its own, so that no installed font is taken for it: a figure looks alike anywhere."""
SOURCE = "Noto Sans CJK SC"
N_GENERAL_STANDARD = 8105
N_GRADES = (3500, 3000, 1605)
NAMES_KEPT = (0, 5, 7, 8, 9, 10, 11, 12, 13, 14)  # copyright, version, makers, licence


def general_standard(unihan: Path) -> str:
    """Return the General Standard Chinese Characters, in the order of their numbers.

    Raises
    ------
    ValueError
        If the file does not have each of the 8,105 once.
    """
    line = re.compile(r"U\+([0-9A-F]+)\tkTGH\t2013:(\d+)$", re.MULTILINE)
    found = {int(n): chr(int(code, 16)) for code, n in line.findall(unihan.read_text("utf-8"))}
    if sorted(found) != list(range(1, N_GENERAL_STANDARD + 1)):
        raise ValueError(f"{unihan} has {len(found):,} characters, not {N_GENERAL_STANDARD:,}")
    return "".join(found[n] for n in sorted(found))


def others() -> set[str]:
    """Return what else is written: all of GB 2312, signs of GBK, and common traditional forms."""
    double = [bytes((high, low)) for high in range(0x81, 0xFF) for low in range(0x40, 0xFF)]
    gbk, gb2312, big5 = (
        {c for two in pairs if len(c := two.decode(code, "ignore")) == 1}
        for code, pairs in (
            ("gbk", double),
            ("gb2312", double),
            ("big5", (two for two in double if 0xA4 <= two[0] <= 0xC6)),  # its common characters
        )
    )
    signs = {c for c in gbk if not "\u3400" <= c <= "\u9fff" and c < "\ue000"}
    western = set(map(chr, (*range(0x20, 0x7F), *range(0xA0, 0x180))))
    marks = set(map(chr, (*range(0x2010, 0x2040), *range(0x3000, 0x3040), *range(0xFF01, 0xFFEF))))
    return gb2312 | signs | big5 | western | marks | set("−≤≥≈≠→←↑↓±×÷·•√∞∑Δμ￥¥€")


def subset(collection: Path, text: str) -> TTFont:
    """Return the Chinese face of a collection with the glyphs of a text, without hints."""
    face = next(
        font
        for font in TTCollection(collection, lazy=True).fonts
        if font["name"].getDebugName(1) == SOURCE
    )
    face.recalcTimestamp = False
    options = Options(
        hinting=False,
        layout_features=[],
        name_IDs=list(NAMES_KEPT),
        name_languages=[0x409],
        drop_tables=["BASE", "GPOS", "GSUB", "VORG", "vhea", "vmtx", "DSIG"],
        notdef_outline=True,
        glyph_names=False,
    )
    subsetter = Subsetter(options)
    subsetter.populate(text=text)
    subsetter.subset(face)
    postscript = FAMILY.replace(" ", "")
    names = {1: FAMILY, 2: "Regular", 3: f"{FAMILY} 2.004", 4: FAMILY, 6: f"{postscript}-Regular"}
    for number, name in names.items():
        face["name"].setName(name, number, 3, 1, 0x409)
    cff = face["CFF "].cff
    cff.fontNames = [names[6]]
    cff.topDictIndex[0].FullName = cff.topDictIndex[0].FamilyName = FAMILY
    return face


def main(collection: str, unihan: str) -> None:
    """Write the font, and the list that a test holds against it."""
    standard = general_standard(Path(unihan))
    font = subset(Path(collection), "".join(sorted({*standard, *others()})))
    FONT.parent.mkdir(exist_ok=True)
    font.save(FONT)
    grades, start = [], 0
    for n in N_GRADES:
        grades.append(standard[start : start + n])
        start += n
    LIST.write_text("\n".join(grades) + "\n", "utf-8")
    size = FONT.stat().st_size / 1e6
    sys.stdout.write(f"{FONT.name}: {len(font.getBestCmap()):,} characters, {size:.2f} MB\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
