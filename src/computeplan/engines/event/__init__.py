"""One run at a time, on SimPy: plays everything, and is the reference."""

from computeplan.engines.event.engine import play, rows_at_once, why_unsupported

__all__ = ["play", "rows_at_once", "why_unsupported"]
