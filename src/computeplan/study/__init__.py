"""Cases and runs in, a Result out, and on disk."""

__all__: list[str] = []
