"""Policies, one file for each family."""

__all__: list[str] = []
