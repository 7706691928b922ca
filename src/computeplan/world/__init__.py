"""The scenario compiled to SI numbers: the only thing an engine reads."""

__all__: list[str] = []
