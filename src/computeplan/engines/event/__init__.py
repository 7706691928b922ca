"""One run at a time, on SimPy: plays everything, and is the reference."""

from computeplan.engines.event.engine import play, why_unsupported

__all__ = ["play", "why_unsupported"]
