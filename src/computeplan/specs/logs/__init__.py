"""Fault logs from elsewhere."""

__all__: list[str] = []
