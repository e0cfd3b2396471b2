"""The command line: one command per stage, no logic."""

from hornbook.cli.main import main

__all__ = ["main"]
