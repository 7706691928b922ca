"""Many runs at once, on NumPy: jobs that stand alone on a pool from t = 0."""

from computeplan.engines.batch.engine import play, rows_at_once, why_unsupported

__all__ = ["play", "rows_at_once", "why_unsupported"]
