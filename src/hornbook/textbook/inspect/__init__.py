"""What textbooks hold: statistics, diversity, vocabulary, what anchors retrieve."""
