"""Terms: the words of a text, their stems, and stop words."""

from hornbook.terms.analysis import Analysis
from hornbook.terms.words import terms

__all__ = ["Analysis", "terms"]
