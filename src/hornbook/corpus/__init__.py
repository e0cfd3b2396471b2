"""The general corpus: sources cut to units, de-duplicated, in Parquet shards of a fixed number of units."""

from hornbook.corpus.build import build
from hornbook.corpus.store import Corpus, open_corpus

__all__ = ["Corpus", "build", "open_corpus"]
