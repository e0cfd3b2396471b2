"""Textbooks: the text on which a student is distilled."""

from hornbook.recipe import TextbookConfig
from hornbook.textbook.build import build
from hornbook.textbook.kind import Materials, TextbookKind, kind_of, register_textbook
from hornbook.textbook.store import SCHEMA, STAGE, Textbook, open_textbook, table_of

__all__ = [
    "SCHEMA",
    "STAGE",
    "Materials",
    "Textbook",
    "TextbookConfig",
    "TextbookKind",
    "build",
    "kind_of",
    "open_textbook",
    "register_textbook",
    "table_of",
]
