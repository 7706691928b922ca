"""Published runs on several kinds of chips: bounds by name, stand-ins declared, gaps said."""

import pytest
from places import REPO

from computeplan.report.mixed import published_table
from computeplan.validation.mixed import MixedRun, mixed_runs, predict_mixed


@pytest.fixture(scope="module")
def found():
    return predict_mixed(mixed_runs())


def test_every_run_says_its_bound_and_source_and_why_it_is_not_priced(found):
    assert {"hethub", "h2", "amd-nvidia-8b"} <= {run.id for run in mixed_runs()}
    for one in found:
        assert one.run.source
        assert one.run.bound
        assert (one.price is None) == bool(one.run.why)
        if one.price is not None:
            assert one.efficiency.bound == one.run.ours.bound
    for run in mixed_runs():
        assert all("stand-in" in one.name or one.assumed for one in run.priced)


def test_predicted_stands_beside_published(found):
    """With stand-ins the prediction is what the model says of them, not of the run: bounds only."""
    of_hethub = [one.efficiency.value for one in found if one.run.id == "hethub"]
    assert len(of_hethub) == 3
    assert all(0.88 < value < 0.9749 for value in of_hethub), "below: no virtual stages"
    joint = [one.efficiency.value for one in found if one.run.id.startswith("amd-nvidia")]
    assert all(0.98 < value < 1.2 for value in joint), "above: the MI300X is a data sheet here"
    text = published_table(found).text(200)
    for said in ("97.49 %", "109.03 %", "the chips are anonymous", "94 to 98 %"):
        assert said in text


def test_the_docs_show_this_table(found):
    page = (REPO / "docs" / "mixed.md").read_text("utf-8")
    for row in published_table(found).rows:
        assert f"| {' | '.join(row)} |" in page


def test_a_run_is_priced_or_says_why_not():
    run = mixed_runs()[0].model_dump()
    with pytest.raises(ValueError, match="is priced, or says why it is not"):
        MixedRun.model_validate(run | {"why": "so"})
    with pytest.raises(ValueError, match="which of our bounds"):
        MixedRun.model_validate(run | {"ours": None})
