"""Questions that take many simulations: how much of something is needed for a goal."""

__all__: list[str] = []
