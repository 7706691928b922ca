"""Closed forms beside the simulation: what is expected, whether it agrees, and break-evens."""

__all__: list[str] = []
