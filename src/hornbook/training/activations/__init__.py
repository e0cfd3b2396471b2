"""What a frozen teacher computes for the tokens of a textbook: kept on disk, and read by all its students."""
