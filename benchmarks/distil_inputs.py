"""What distil_step.py measures on: units of real text, a tokenizer, a teacher."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def say(text: str) -> None:
    """Report progress."""
    print(text, file=sys.stderr, flush=True)


def find_teacher(folder: Path | None, large: bool) -> Any:
    """Return the base encoder in a folder; without one a random BERT of 6x384, or a random RoBERTa-large."""
    import torch
    from transformers import AutoModel, BertConfig, RobertaConfig

    from hornbook.models.loading import load_encoder

    if folder is not None:
        return load_encoder(str(folder))
    torch.manual_seed(0)
    if large:
        sizes = {"num_hidden_layers": 24, "hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096}
        config = RobertaConfig(vocab_size=50_265, max_position_embeddings=514, type_vocab_size=1, **sizes)
    else:
        sizes = {"num_hidden_layers": 6, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
        config = BertConfig(vocab_size=30_522, **sizes)
    return AutoModel.from_config(config)


def read_units(corpus: Path, count: int) -> list[str]:
    """Return a sample of units, each file's share as in the whole."""
    import pyarrow.parquet as pq

    files = [pq.ParquetFile(path) for path in sorted(corpus.glob("*.parquet"))]
    if not files:
        sys.exit(f"{corpus}: no Parquet files here; give a folder of them, with a column `text`, by --corpus FOLDER")
    random = np.random.default_rng(0)
    rows = np.array([file.metadata.num_rows for file in files])
    units: list[str] = []
    for file, share in zip(files, random.multinomial(count, rows / rows.sum()), strict=True):
        group = file.read_row_group(int(random.integers(file.num_row_groups)), columns=["text"])["text"]
        units += group.take(random.integers(len(group), size=share)).to_pylist()
    return [units[i] for i in random.permutation(len(units))]


def find_tokenizer(units: Sequence[str], folder: Path) -> Any:
    """Return the tokenizer of the quickstart's teacher, or one trained here if that was never fetched."""
    if (folder / "tokenizer.json").is_file():
        from hornbook.models.tokenizers import load_tokenizer

        return load_tokenizer(str(folder))
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertTokenizerFast

    say(f"{folder}: no tokenizer here, so one is trained on the sample")
    pieces = BertWordPieceTokenizer()
    pieces.train_from_iterator(units, vocab_size=30_000, show_progress=False)
    return BertTokenizerFast(tokenizer_object=pieces._tokenizer, model_max_length=512)


def joined(units: Sequence[str], tokenizer: Any, max_length: int) -> list[str]:
    """Return neighbouring units joined up to the maximum length in tokens, as `pack: length` does."""
    from hornbook.training.tokens import packed

    return [text for texts, _ in packed([(units, None)], tokenizer, max_length, "length") for text in texts]


def name_of(device: Any) -> str:
    """Return what the figures were taken on, of a torch.device."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name()
    return f"{processor()}, {torch.get_num_threads()} threads"


def processor() -> str:
    """Return the name of this machine's processor, where it can be known."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    return next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "cpu")
