"""Teachers and students: encoders of any family, their taps, inputs and outputs."""
