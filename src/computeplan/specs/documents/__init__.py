"""YAML and JSON in, plain data with a place for every value out."""

__all__: list[str] = []
