"""Samples: everything random, drawn before an engine starts."""

from computeplan.trace.trace import Trace

__all__ = ["Trace"]
