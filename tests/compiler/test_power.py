"""States, nodes and caps of chips of the catalogue, and of those that publish little."""

import pytest

from computeplan.compiler.power import caps_of, node_of, states_of
from computeplan.physics.power.states import default_states
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.lookup import load_chip
from computeplan.specs.catalogue.power import PowerTable, power_table


def test_measured_states_stand_before_shares_of_the_limit():
    chip, _ = load_chip("iluvatar/bi-v150")
    states, shares = states_of(chip), default_states(chip.power.tdp.value)
    assert (states.compute_w, states.comm_w) == (336.1, 105.9)
    assert (states.load_w, states.idle_w) == (shares.load_w, shares.idle_w)


def test_every_name_of_the_table_is_of_the_catalogue_or_a_curve_of_its_own():
    table = power_table()
    for name in table.states:
        assert load_chip(name)[0].name == name
    outside = {"nvidia/a40", "nvidia/rtx6000"}
    for name in set(table.curves) - outside:
        assert caps_of(load_chip(name)[0]) is not None


def test_a_server_without_a_rating_has_a_share_of_the_limits():
    chip = Chip.model_validate(
        {"name": "acme/x1", "peak_dense": {"bf16": "400 TFLOP/s"}, "power": {"tdp": "500 W"}}
    )
    n_chips, node = node_of(chip)
    assert n_chips == 8
    assert node.host_w == pytest.approx(0.3078 * 0.82 * 4000)


def test_a_chip_without_a_limit_is_refused():
    chip = Chip.model_validate({"name": "acme/x1", "peak_dense": {"bf16": "400 TFLOP/s"}})
    with pytest.raises(ValueError, match=r"acme/x1: its board limit \(power.tdp\) is not known"):
        states_of(chip)


def test_a_curve_without_a_source_is_refused():
    limit = {"value": "250 W", "source": "zeus", "confidence": "benchmark"}
    curve = {"knob": "cap", "limit": limit, "points": {0.5: (0.7, 0.5)}, "note": ""}
    zeus = {"title": "Zeus", "url": None, "kind": "benchmark"}
    table = {"sources": {"zeus": zeus}, "states": {}, "curves": {"acme/x1": curve}}
    curve["source"] = "nowhere"
    with pytest.raises(ValueError, match="source nowhere is not among the sources"):
        PowerTable.model_validate(table)
    curve["source"], limit["source"] = "zeus", "nowhere"
    with pytest.raises(ValueError, match="no source 'nowhere' under sources"):
        PowerTable.model_validate(table)
