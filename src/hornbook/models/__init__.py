"""Who teaches and who learns: encoders of any family, their taps, their inputs and outputs."""
