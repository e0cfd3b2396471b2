"""Saving a model with its tokenizer."""

from pathlib import Path
from typing import Any

from hornbook.models.loading import quiet_transformers
from hornbook.models.tokenizers import save_tokenizer


def save_model(model: Any, tokenizer: Any, folder: Path, max_length: int) -> None:
    """Save a model and its tokenizer in Hugging Face format; the tokenizer truncates texts at `max_length` tokens."""
    quiet_transformers()
    model.save_pretrained(folder)
    # safetensors 0.8 lets nobody but the owner read what it writes, whatever the umask; servers run as other users.
    for weights in folder.glob("*.safetensors"):
        weights.chmod((folder / "config.json").stat().st_mode)
    save_tokenizer(tokenizer, folder, max_length)
