"""A module for each kind of textbook."""
