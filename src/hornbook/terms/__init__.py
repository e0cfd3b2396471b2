"""What counts as a term: the words of a text, their stems, and those that are left out."""

from hornbook.terms.analysis import Analysis
from hornbook.terms.words import terms

__all__ = ["Analysis", "terms"]
