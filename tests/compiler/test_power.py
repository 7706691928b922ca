"""Watts of chips, nodes and pools: by hand, of the catalogue, and of chips that publish little."""

import numpy as np
import pytest

import computeplan as cp
from computeplan.compiler.compile import compile_world
from computeplan.compiler.power import beside_frac, caps_of, estimated_states, node_of, states_of
from computeplan.ledger import BLOCKED, IDLE, LOST, REPAIR, RESTART, SAVE, TRAIN
from computeplan.physics.power.states import default_states
from computeplan.specs.catalogue.chips import Chip
from computeplan.specs.catalogue.lookup import load_chip
from computeplan.specs.catalogue.power import PowerTable, power_table


def world_of(*jobs, chip="nvidia/h100-sxm", chips=64, **pool):
    """Return one pool at a PUE of 1.25, with a job of 8 chips and 1 h if none is given."""
    plain = {"chips": 8, "train_for": "1 h"}
    pools = {"p": {"chip": chip, "chips": chips} | pool}
    return compile_world(
        cp.load(
            {
                "computeplan": 1,
                "name": "watts",
                "sites": {"s": {"pue": 1.25, "pools": pools}},
                "jobs": {f"j{i}": job for i, job in enumerate(jobs or [plain])},
            }
        )
    )


def mix(world):
    """Return what is said of the mix of training."""
    (found,) = [one.values for one in world.notes if one.code == "training_mix"]
    return found


# -- an H100 node by hand --------------------------------------------------------------------------

HOST_W = 0.3078 * (10_200 - 8 * 700)  # of what the rating leaves beside the limits
SUPPLY_W = 0.00847 * 2 * 10_200  # what supplies of twice the rating lose at any load
SWITCH_W = 1920  # one switch of 64 ports for 64 chips, eight nodes


def h100_node_w(chip_w):
    """Return the facility watts of a node whose chips draw so much each.

    >>> round(h100_node_w(610.45))
    9393
    """
    inside_w = (HOST_W + 8 * chip_w) * 1.1  # fans
    return 1.25 * ((inside_w + SUPPLY_W) / 0.9763 + SWITCH_W / 8)


def test_a_node_of_h100_in_each_phase():
    """The speed is given: 0.14 of training is exposed communication."""
    node_w = world_of().node_w[0]
    training_w = 0.86 * 668.2 + 0.14 * 255.7
    assert node_w[[TRAIN, LOST]] == pytest.approx([h100_node_w(training_w)] * 2, rel=1e-12)
    assert node_w[[SAVE, RESTART]] == pytest.approx([h100_node_w(100)] * 2, rel=1e-12)
    assert node_w[BLOCKED] == pytest.approx(h100_node_w(71 + 38), rel=1e-12)
    assert node_w[IDLE] == pytest.approx(h100_node_w(71), rel=1e-12)
    assert node_w[REPAIR] == pytest.approx(1.25 * SWITCH_W / 8, rel=1e-12)
    assert node_w[[TRAIN, SAVE, IDLE, REPAIR]].round().tolist() == [9393, 3642, 3315, 300]


def test_a_node_of_any_size_is_a_part_of_the_usual_server():
    eight, one = world_of().pools[0], world_of(chips_per_node=1).pools[0]
    np.testing.assert_array_equal(eight.node_overhead_w, one.node_overhead_w)


# -- what jobs wait for ----------------------------------------------------------------------------

PRICED = {
    "model": "meta/llama-3.1-8b",
    "batch": "524288 token",
    "seq": 8192,
    "parallelism": {"tp": 8, "dp": 8},
    "tokens": "1 Gtoken",
}


def test_a_priced_step_says_how_long_its_chips_wait():
    world = world_of(PRICED)
    (waits,) = world.jobs[0].exposed_frac
    assert 0.05 < waits < 0.95
    assert mix(world)["exposed_frac"] == waits
    assert mix(world)["is_priced"]
    assert world.pools[0].chip_w[TRAIN] == pytest.approx(668.2 - waits * (668.2 - 255.7))


def test_a_layout_beside_a_given_speed_says_it_too():
    assert mix(world_of(PRICED | {"mfu": 0.3})) == mix(world_of(PRICED))


def test_a_pool_has_the_mean_of_its_jobs_by_chips_and_time():
    """64 chips as long as the priced job trains, beside 8 chips for 10 days at the usual share."""
    plain = {"chips": 8, "train_for": "10 d"}
    world = world_of(PRICED, plain)
    priced, waits = world.jobs[0], world.jobs[0].exposed_frac[0]
    weights = 64 * priced.train_s[0], 8 * 864_000
    expected = (weights[0] * waits + weights[1] * 0.14) / sum(weights)
    assert mix(world)["exposed_frac"] == pytest.approx(expected)
    assert not mix(world)["is_priced"]


# -- what a scenario writes ------------------------------------------------------------------------


def test_what_is_written_stands_before_the_chip():
    written = {"compute": "620 W", "wait": "90 W", "repair": "10 W", "node_overhead": "2 kW"}
    pool = world_of(power=written | {"network": "400 W"}).pools[0]
    assert pool.chip_w.tolist() == [620, 620, 100, 100, 90, 71, 10]
    assert pool.node_overhead_w.tolist() == [250] * 6 + [0]
    assert pool.network_w.tolist() == [50] * 7


def test_watts_of_compute_alone_are_those_of_training_with_comm_they_are_mixed():
    written = {"compute": "620 W", "comm": "300 W"}
    assert world_of(power=written).pools[0].chip_w[TRAIN] == 0.86 * 620 + 0.14 * 300
    alone = world_of(power={"compute": "620 W"})
    assert alone.pools[0].chip_w[TRAIN] == 620
    assert not [one for one in alone.notes if one.code == "training_mix"]


def test_what_is_not_read_of_a_chip_is_said_to_be_an_estimate():
    def estimates(**pool):
        found = [one.values for one in world_of(**pool).notes if one.code == "watts_by_state"]
        return found[0]["estimates"] if found else ()

    around = ("node_overhead", "network")
    assert estimates() == ("comm", *around)
    assert estimates(power={"compute": "620 W"}) == around
    assert estimates(chip="nvidia/h200")[:2] == ("compute", "comm")
    every = {"compute": "620 W", "node_overhead": "2 kW", "network": "400 W"}
    assert estimates(power=every) == ()


def test_a_pool_without_a_limit_has_no_watts():
    world = world_of(chip="google/tpu-v5p", chips_per_node=8)
    assert np.isnan(world.node_w[0][[TRAIN, IDLE]]).all()


# -- chips -----------------------------------------------------------------------------------------


def test_what_a_cap_on_a_chip_does_not_lower_in_its_server_by_hand():
    """Host and constant loss of an H100 node, over what its chips bring to the plug computing."""
    chips_w = 8 * 668.2 * 1.1
    assert beside_frac(load_chip("nvidia/h100-sxm")[0]) == pytest.approx(
        (HOST_W * 1.1 + SUPPLY_W) / chips_w
    )


def test_idle_watts_of_a_chip_file_count_and_a_context_adds_to_them():
    chip, _ = load_chip("google/tpu-v4")
    assert (states_of(chip).idle_w, states_of(chip).context_w) == (90, 90 + 38)
    assert estimated_states(chip) == ("compute", "comm", "load", "context")
    l40s = states_of(load_chip("nvidia/l40s")[0])
    assert l40s.context_w == pytest.approx(l40s.idle_w + 66)


def test_no_state_draws_more_than_the_limit():
    lower = {"tdp": "350 W", "compute": "668.2 W"}
    peaks = {"bf16": "400 TFLOP/s"}
    chip = Chip.model_validate({"name": "acme/x1", "peak_dense": peaks, "power": lower})
    assert states_of(chip).compute_w == 350


def test_measured_states_stand_before_shares_of_the_limit():
    chip, _ = load_chip("iluvatar/bi-v150")
    states, shares = states_of(chip), default_states(chip.power.tdp.value)
    assert (states.compute_w, states.comm_w) == (336.1, 105.9)
    assert (states.load_w, states.idle_w) == (shares.load_w, shares.idle_w)


def test_every_curve_is_of_a_chip_of_the_catalogue_or_of_two_others():
    table = power_table()
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
    table = {"sources": {"zeus": zeus}, "curves": {"acme/x1": curve}}
    curve["source"] = "nowhere"
    with pytest.raises(ValueError, match="source nowhere is not among the sources"):
        PowerTable.model_validate(table)
    curve["source"], limit["source"] = "zeus", "nowhere"
    with pytest.raises(ValueError, match="no source 'nowhere' under sources"):
        PowerTable.model_validate(table)
