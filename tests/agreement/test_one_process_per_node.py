"""Both engines against a plain SimPy model that shares no code: one process per node."""

from __future__ import annotations

from dataclasses import replace

import oracle
import pytest
import yardstick


@pytest.mark.parametrize("spares", [0, 2])
def test_engines_agree_with_one_process_per_node(spares):
    """16 nodes of 400 h, repairs of a median of 8 h: often blocked, so that mistakes show."""
    case = replace(oracle.CASE, n_spares=spares)
    runs = [yardstick.play(case, seed) for seed in range(600)]
    scenario = oracle.scenario_of(sites__s__pools__p__spares=f"{spares} nodes")
    oracle.assert_engines_agree(runs, scenario, n_batch=4000, n_event=400)
