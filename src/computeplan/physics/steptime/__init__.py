"""How long a step of training takes, what it is spent on, and whether it fits."""

__all__: list[str] = []
