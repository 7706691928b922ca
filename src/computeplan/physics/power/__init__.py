"""What chips, nodes, networks and buildings draw, and what a cap costs."""

__all__: list[str] = []
