"""Keywords of anchors (RAKE) and the units of a corpus that fit them best (BM25)."""

from hornbook.retrieval.bm25 import Hits
from hornbook.retrieval.engine import LOCAL, Executor, Request, retrieve, retrieve_all
from hornbook.retrieval.rake import keywords_of_all

__all__ = ["LOCAL", "Executor", "Hits", "Request", "keywords_of_all", "retrieve", "retrieve_all"]
