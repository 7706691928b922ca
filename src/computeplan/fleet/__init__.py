"""Fleets that serve requests: layouts, what an instance holds, how many, of which kinds."""

__all__: list[str] = []
