"""What the charts of textbooks show, in words."""

SAID = {
    "lengths": "Share of the units of each textbook by their length in words.",
    "sources": "From which sources the units of each textbook come.",
    "distinct": "Distinct words and pairs of words, in samples of equal size: higher is richer.",
    "overlap": "Words in common among the 5,000 most frequent of each text: higher is nearer.",
}
