"""One run at a time, on SimPy: plays everything, and is the reference."""

from computeplan.engines.event.engine import play

__all__ = ["play"]
