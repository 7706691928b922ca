"""What is known of chips, models and software, found by name."""

__all__: list[str] = []
