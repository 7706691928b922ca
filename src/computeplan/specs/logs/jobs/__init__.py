"""Job traces from elsewhere, read as columns."""

__all__: list[str] = []
