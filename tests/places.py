"""Where this clone lies, what others traced, and a scenario that several tests play."""

import os
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
THREE_CHIPS = REPO / "tests" / "agreement" / "scenarios" / "three-chips-one-cloud.yaml"
TRACES = Path(os.environ.get("COMPUTEPLAN_TRACES", REPO.parent / "shared" / "traces"))
