"""What runs amount to: numbers only."""

__all__: list[str] = []
