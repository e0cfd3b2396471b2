"""A task's own vocabulary: count the pieces in use, trim the tokenizer to them, and the model's rows with it."""
