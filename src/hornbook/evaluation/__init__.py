"""How good, how large and how fast a model is."""
