"""A schedule in which nothing is drawn at random has its figures too."""

import computeplan as cp
from computeplan.report import figures


def test_what_has_no_spread_is_left_out_and_the_rest_is_drawn(tmp_path):
    pool = {"chip": "nvidia/h100-sxm", "chips": 64}
    job = {"chips": 64, "train_for": "4 h"}
    scenario = cp.load(
        {
            "computeplan": 1,
            "name": "quiet",
            "sites": {"s": {"pue": 1.1, "pools": {"p": pool}}},
            "jobs": {"long": job, "short": {**job, "chips": 32, "train_for": "1 h"}},
            "cases": {"fifo": {}, "shortest": {"policy": "shortest-first"}},
            "simulate": {"runs": 2},
        }
    )
    figures.save_figures(cp.run(scenario), tmp_path)
    drawn = {path.stem for path in tmp_path.iterdir()}
    assert "time_distribution" not in drawn
    assert {"timeline", "utilisation", "completion_times"} <= drawn
