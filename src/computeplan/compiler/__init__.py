"""Specs and physics in, the world out."""

__all__: list[str] = []
