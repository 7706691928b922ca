"""One replica of a service, step by step, jumping over steps in which nothing changes."""

__all__: list[str] = []
