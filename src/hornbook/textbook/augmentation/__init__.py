"""What replaces words in an augmented textbook: candidates from a masked model and from word vectors."""
