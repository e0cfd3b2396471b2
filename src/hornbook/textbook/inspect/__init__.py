"""Reports on the contents of textbooks: statistics, diversity, vocabulary, units retrieved by anchors."""
