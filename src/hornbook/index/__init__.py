"""The inverted index of a shard: how it is laid out, built and opened."""
