"""What chips, nodes, networks and buildings draw, and what a cap costs."""

from computeplan.physics.power.watts import StateWatts, default_watts

__all__ = ["StateWatts", "default_watts"]
