"""Chips under power caps: the curve passes through what was measured, and the optimum is marked."""

import numpy as np
import pytest
from overlaps import overlapping

from computeplan.errors import ScenarioError
from computeplan.report.caps import caps_figure, caps_of, caps_table


def diamonds(ax):
    return [line.get_xydata()[0] for line in ax.lines if line.get_marker() == "D"]


def test_the_cap_with_the_least_energy_is_marked_where_the_curve_is_lowest():
    ax = caps_figure(caps_of("V100"))
    marks = diamonds(ax)
    assert len(marks) == 2  # at the chip, and with its server
    energies = [line for line in ax.lines if line.get_color() == ax.lines[-1].get_color()]
    curves = [line.get_xydata() for line in energies if len(line.get_xdata()) > 2]
    for (cap, least), curve in zip(marks, curves, strict=True):
        assert least == pytest.approx(curve[:, 1].min(), abs=1e-4)
        assert cap == pytest.approx(curve[np.argmin(curve[:, 1]), 0], abs=5e-3)
    (at_chip, _), (at_node, _) = marks
    assert at_chip < at_node  # the more stands around a chip, the less it pays to slow it down


def test_energy_is_draw_over_speed():
    """At 0.6 of its limit a V100 draws 0.646 at a speed of 0.842: 0.767 of the energy."""
    table = caps_table(caps_of("V100"))
    (row,) = (row for row in table.rows if row[0] == "60 %")
    assert row[:5] == ("60 %", "150", "0.842", "0.646", "0.767  ")
    marked = [row[0] for row in table.rows if "*" in "".join(row)]
    assert len(marked) == 2


def test_a_chip_that_is_not_in_the_catalogue_has_no_server():
    caps = caps_of("A40")
    assert [*caps.meters] == ["at_chips"]
    assert len(diamonds(caps_figure(caps))) == 1


def test_with_locked_clocks_a_cap_is_a_share_of_the_highest_draw():
    caps = caps_of("nvidia/a100-80gb")
    assert caps.limit_w is None
    assert caps_figure(caps).get_xlabel() == "Power cap [of the draw at the highest clock]"
    assert " W" not in caps_table(caps).text()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_text_lies_on_another(language):
    assert not overlapping(caps_figure(caps_of("V100"), language=language))


def test_what_was_not_measured_is_said_with_what_was():
    with pytest.raises(ScenarioError, match=r"no cap of H100-SXM was measured. Measured: nvidia/v"):
        caps_of("H100-SXM")
    with pytest.raises(ScenarioError, match="no chip 'nothing'"):
        caps_of("nothing")


def test_the_command_prints_the_table_and_draws(call, tmp_path):
    path = tmp_path / "caps.png"
    printed = call("chips", "caps", "V100", "--figure", str(path), "--lang", "zh")
    assert "nvidia/v100 的功率上限曲线" in printed
    assert path.read_bytes().startswith(b"\x89PNG")
