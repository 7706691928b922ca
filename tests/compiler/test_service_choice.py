"""The order in which pools of a service fill, worked out by hand."""

import math
from dataclasses import replace

import pytest

import computeplan as cp
from computeplan.compiler.service_choice import pools_by_choice
from computeplan.compiler.service_plans import InstanceOn
from computeplan.errors import ScenarioError
from computeplan.units import HOUR_S, YEAR_S

RUN = {"engine": "vllm", "precision": "fp8"}
# Two instances of 4 chips on a node of 8, each 2.0/s in a benchmark; a chip draws 400 W, and 200 W
# more at that rate.
ONE = InstanceOn(4, 2.0, 400.0, 200.0, 0.3, 30.0)
GIVES = 2 * 2.0 * 0.7  # of a node, in production


def scenario(choose, a=None, b=None, at_a=None, at_b=None, **pool):
    """Return two sites with a pool each, alike but for what is changed."""
    own = {
        "chip": "nvidia/h100-sxm",
        "chips": 80,
        "power": {"node_overhead": "1600 W", "network": "0 W"},
        **pool,
    }
    site = {"pue": 1.25, "price": "0.1 USD/kWh", "carbon": "400 g/kWh"}
    return cp.load(
        {
            "computeplan": 1,
            "name": "chat",
            "sites": {
                "x": {**site, **(at_a or {}), "pools": {"a": {**own, **(a or {})}}},
                "y": {**site, **(at_b or {}), "pools": {"b": {**own, **(b or {})}}},
            },
            "services": {
                "chat": {
                    "model": "meta/llama-3.1-8b",
                    "requests": {"per_s": 20, "tokens": {"in": 400, "out": 100}},
                    "pools": {"a": RUN, "b": RUN},
                    "choose": choose,
                }
            },
            "simulate": {"horizon": "1 d", "runs": 1},
        }
    )


def found(one, instances=(ONE, ONE), load_frac=0.5):
    order, note = pools_by_choice(
        one, "chat", one.services["chat"].pool_names, instances, load_frac
    )
    return order, dict(note.values["pools"])


def test_what_a_request_takes_by_hand():
    """A chip with 200 W of its node draws 700 W at half of its load; 875 W at the site."""
    chip_s = 8 / (GIVES * 0.5)  # of a request
    joules = chip_s * 875.0
    per_j = {"energy": 1.0, "cost": 0.1 / 3.6e6, "carbon": 0.4 / 3.6e6}
    for choose, takes in per_j.items():
        order, pools = found(scenario(choose))
        assert order == [0, 1]
        assert pools == {name: pytest.approx(joules * takes) for name in "ab"}
    rented = scenario("cost", a={"rent": "2 USD/chip/h"}, b={"rent": "3 USD/chip/h"})
    _, pools = found(rented)
    electricity = joules * 0.1 / 3.6e6
    assert pools["a"] == pytest.approx(electricity + 2 * chip_s / HOUR_S)
    assert pools["b"] == pytest.approx(electricity + 3 * chip_s / HOUR_S)
    bought = scenario("cost", purchase={"price": "30000 USD", "life": "5 years"})
    each = 30_000 / (5 * YEAR_S)
    assert found(bought)[1]["a"] == pytest.approx(electricity + each * chip_s)
    made = scenario("carbon", embodied="0.013 kg/chip/h")
    carbon = joules * 0.4 / 3.6e6 + 0.013 * chip_s / HOUR_S
    assert found(made)[1]["a"] == pytest.approx(carbon)


def test_what_varies_counts_with_its_mean():
    dear_by_day = {"varies": {"price": [{"hours": [[8, 20]], "factor": 3}]}}
    order, pools = found(scenario("cost", at_a=dear_by_day))
    assert order == [1, 0]
    assert pools["a"] == pytest.approx(2 * pools["b"])
    assert found(scenario("energy", at_a=dear_by_day))[0] == [0, 1]


@pytest.mark.parametrize(
    ("choose", "worse"),
    [
        ("cost", {"price": "0.11 USD/kWh"}),
        ("energy", {"pue": 1.3}),
        ("carbon", {"carbon": "500 g/kWh"}),
    ],
)
def test_the_order_follows_the_site(choose, worse):
    assert found(scenario(choose, at_a=worse))[0] == [1, 0]
    assert found(scenario(choose, at_b=worse))[0] == [0, 1]


def test_faster_instances_take_less_of_the_same_chips():
    faster = replace(ONE, per_s=2.1)
    assert found(scenario("cost"), (ONE, faster))[0] == [1, 0]
    # on a node of 8 there is room for two instances of 3 chips, and all of it draws
    narrow = replace(ONE, n_chips=3)
    assert found(scenario("cost"), (ONE, narrow))[1]["b"] == found(scenario("cost"))[1]["b"]


@pytest.mark.parametrize(
    ("choose", "changes", "said"),
    [
        (
            "cost",
            {"a": {"rent": "2 USD/chip/h"}},
            r"\.b: rent is missing: .* by cost, and a beside it has one; write rent: 2.5 ",
        ),
        (
            "cost",
            {"at_a": {"price": None}},
            r"sites\.x: price is missing: .*, and b beside it has one; write price: 0.08 USD/kWh",
        ),
        (
            "cost",
            {"at_a": {"price": None}, "at_b": {"price": None}},
            r"sites\.x: price is missing: services.chat chooses its pools by cost; write",
        ),
        ("carbon", {"at_b": {"carbon": None}}, r"sites\.y: carbon is missing: .*400 g/kWh"),
        (
            "carbon",
            {"a": {"embodied": "estimate"}},
            r"sites\.y\.pools\.b: embodied is missing: .*; write embodied: estimate, or 0.013",
        ),
    ],
)
def test_what_some_pools_state_and_others_do_not_is_asked_for(choose, changes, said):
    with pytest.raises(ScenarioError, match=said):
        found(scenario(choose, **changes))


def test_rents_alone_are_compared_where_no_site_has_a_price():
    free = {"at_a": {"price": None}, "at_b": {"price": None}}
    rents = {"a": {"rent": "3 USD/chip/h"}, "b": {"rent": "2 USD/chip/h"}}
    assert found(scenario("cost", **free, **rents))[0] == [1, 0]


def test_chips_whose_draw_is_not_known_are_asked_for():
    unknown = InstanceOn(4, 2.0, math.nan, math.nan, 0.3, 30.0)
    chip = {"own": {"extends": "nvidia/h100-sxm", "power": {"tdp": None}}}
    one = scenario("energy").with_({"chips": chip, "sites.x.pools.a.chip": "own"})
    with pytest.raises(ScenarioError, match=r"a: power is missing: .*compute: 700 W"):
        found(one, (unknown, ONE))
