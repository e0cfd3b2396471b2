"""Small models, tasks and corpora that the tests make themselves."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Examples are told apart by what they find, not by how long they take beside other work.
settings.register_profile("hornbook", deadline=None)
settings.load_profile("hornbook")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

WORDS = [
    *("the", "a", "film", "story", "actor", "music", "scene", "plot", "movie", "it", "is", "was", "not", "very"),
    *("good", "bad", "great", "dull", "bright", "slow", "warm", "cold", "and", "but", "with", "of", "in", "on"),
    *("this", "that", "she", "he", "they", "love", "hate", "city", "river", "train", "garden", "night", "day"),
    *("small", "big"),
]


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Undo what a command sets up for its own process: the level, and a handler whose stream is closed by then."""
    root, own = logging.getLogger(), logging.getLogger("hornbook")
    handlers, level = list(root.handlers), own.level
    yield
    root.handlers[:] = handlers
    own.setLevel(level)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real data is not here: no {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of 2 layers by 32 with a word-level tokenizer, as a model folder."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-teacher")
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token="[MASK]", **names).save_pretrained(folder)
    import torch

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def write_reviews(path: Path, rows: int = 200) -> Path:
    """Write a tiny labelled task that can be learned: good or great is positive, bad or dull negative."""
    import random

    draw = random.Random(0)
    lines = ["text\tlabel"]
    for i in range(rows):
        positive = i % 2 == 0
        words = draw.choices(WORDS[:9], k=draw.randint(3, 10))
        words.insert(draw.randrange(len(words)), draw.choice(["good", "great"] if positive else ["bad", "dull"]))
        lines.append(f"{' '.join(words)} {i}\t{'positive' if positive else 'negative'}")
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny labelled file, tab separated, with columns text and label."""
    return write_reviews(tmp_path_factory.mktemp("task") / "reviews.tsv")


@pytest.fixture(scope="session")
def general_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 600 distinct made-up sentences, one a line."""
    import random

    draw = random.Random(1)
    lines = [f"{' '.join(draw.choices(WORDS, k=draw.randint(4, 14)))} {i}." for i in range(600)]
    path = tmp_path_factory.mktemp("general") / "prose.txt"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
