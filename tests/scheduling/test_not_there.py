"""What schedules should have and do not yet; each fails, so that nobody takes it for done."""

import pytest

from computeplan.scheduling.decision import Start


@pytest.mark.xfail(strict=True, reason="a mixed job is priced by `mix`, and no policy places it")
def test_a_start_holds_nodes_of_several_pools():
    assert "pools" in Start._fields
