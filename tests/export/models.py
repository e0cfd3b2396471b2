"""Random classifiers with a tokenizer, saved as hornbook saves students; their answers differ from text to text."""

from pathlib import Path
from typing import Any

import torch
from tests.models.tiny_encoders import ENCODERS
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hornbook.models.loading import label_settings
from hornbook.models.saving import save_model

LENGTH = 24
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = [f"w{i}" for i in range(45)]
LABELS = ("bad", "middling", "good")
# Ids of special tokens that fall outside a tiny vocabulary by default, or are those of other tokens here.
TOKENS = {"pad_token_id": 0, "bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}


def tokenizer() -> Any:
    """Return a tokenizer of whole words that marks second texts."""
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate((*SPECIAL, *WORDS))}, unk_token="[UNK]"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=38, **names)


def save_classifier(
    folder: Path,
    family: str = "bert",
    kind: str = "classification",
    reader: Any = None,
    length: int = LENGTH,
    **settings: Any,
) -> Path:
    """Save a random classifier of a family that truncates at `length` tokens; settings are of its configuration."""
    labels = () if kind == "regression" else LABELS
    model = ENCODERS[family].classifier(**{**TOKENS, "labels": len(labels) or 1, **settings})
    for name, value in label_settings(labels, kind).items():
        setattr(model.config, name, value)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        for parameter in model.parameters():  # as initialised, all texts get nearly the same logits
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
    save_model(model, tokenizer() if reader is None else reader, folder, length)
    return folder
