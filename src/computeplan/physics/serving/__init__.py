"""How long the steps of a served model take, what its cache holds, and what it yields at rest."""

__all__: list[str] = []
