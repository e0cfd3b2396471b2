"""Keywords of anchors (RAKE) and the units of a corpus that fit them best (BM25)."""

from hornbook.retrieval.bm25 import Hits, retrieve
from hornbook.retrieval.rake import keywords

__all__ = ["Hits", "keywords", "retrieve"]
