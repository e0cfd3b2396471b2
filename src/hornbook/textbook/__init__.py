"""From what to learn: the text on which a student is distilled."""

from hornbook.textbook.build import FROM_CORPUS, build
from hornbook.textbook.store import STAGE, Textbook, open_textbook

__all__ = ["FROM_CORPUS", "STAGE", "Textbook", "build", "open_textbook"]
