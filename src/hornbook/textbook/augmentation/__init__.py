"""Candidates for word replacement: from a masked language model and from word vectors."""
