"""The command line: one command a stage, no logic."""

from hornbook.cli.main import main

__all__ = ["main"]
