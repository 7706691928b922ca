"""``python -m computeplan``: the command line."""

from computeplan.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
