"""The inverted index of a shard: its layout, how it is built, written and opened."""
