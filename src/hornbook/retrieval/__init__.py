"""Retrieval: keywords of a text (RAKE), and the units of a corpus that match them best (BM25)."""

from hornbook.retrieval.bm25 import Hits
from hornbook.retrieval.engine import Request, retrieve, retrieve_all
from hornbook.retrieval.executor import LOCAL, Executor
from hornbook.retrieval.rake import keywords_of_all

__all__ = ["LOCAL", "Executor", "Hits", "Request", "keywords_of_all", "retrieve", "retrieve_all"]
