"""Run the command line with `python -m hornbook`."""

from hornbook.cli import main

main()
