"""Small models, tasks and corpora that the tests make themselves."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(params=["compiled", "reference"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with the compiled core, and with the references in Python."""
    if request.param == "compiled":
        pytest.importorskip("hornbook._core", reason="the compiled core is missing")
    monkeypatch.setenv("HORNBOOK_KERNELS", request.param)
    return request.param


@pytest.fixture(scope="session")
def as_reference() -> Callable[..., Any]:
    """Call a function while the references in Python run, inside a test of Hypothesis too."""

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HORNBOOK_KERNELS", "reference")
            return function(*arguments)

    return call


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


_HOSTILE = (
    "</script><script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\"> &amp; | `*b*`"
)


@pytest.fixture(scope="session")
def hostile() -> str:
    """A text that changes the page's title wherever it is taken for HTML."""
    return _HOSTILE


@pytest.fixture(scope="session")
def small_recipe() -> Callable[[Path, Path, Path], dict[str, Any]]:
    """The values of a small recipe: of labelled reviews, general text and a teacher."""

    def values(labelled: Path, text: Path, teacher: Path) -> dict[str, Any]:
        return {
            "name": "small",
            "task": {"source": str(labelled)},
            "corpus": {"sources": [str(text)]},
            "textbooks": {
                "general": {"kind": "general"},
                "contextualized": {"kind": "contextualized", "share": 0.2, "min_units": 50},
            },
            "teacher": {"model": str(teacher), "finetune": {"epochs": 4, "learning_rate": 5e-3, "batch": 8}},
            "student": {"layers": 1, "hidden": 16, "heads": 2},
            "distil": {"tokens": 3000, "learning_rate": 5e-3},
            "adapt": {"epochs": 2, "batch": 8},
            "baselines": ["undistilled"],
            "seeds": [0, 1],
            "threads": 1,
        }

    return values


@pytest.fixture(scope="session")
def wordpiece_teacher(tmp_path_factory: pytest.TempPathFactory, reviews: Path, general_text: Path) -> Path:
    """A random BERT of 2 layers by 32 with a WordPiece tokenizer, of which the texts use a part often."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("teacher")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    trainer = trainers.WordPieceTrainer(show_progress=False, vocab_size=400, special_tokens=list(names.values()))
    tokenizer.train([str(reviews), str(general_text)], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {f"{name}_token": token for name, token in names.items()}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    torch.manual_seed(0)
    # Fewer positions than distil.max_length: a plan must know it too.
    config = BertConfig(vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=32, **sizes)
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def finished_run(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_teacher: Path,
    reviews: Path,
    small_recipe: Callable[[Path, Path, Path], dict[str, Any]],
) -> Path:
    """The folder of a small finished run: two textbooks, two seeds, two baselines; hostile text in the corpus."""
    import random

    from hornbook import pipeline
    from hornbook.recipe import Recipe, validate

    at = tmp_path_factory.mktemp("finished")
    draw = random.Random(1)
    lines = [f"{' '.join(draw.choices(WORDS, k=draw.randint(4, 14)))} {_HOSTILE} {i}." for i in range(600)]
    (at / "prose.txt").write_text("\n".join(lines) + "\n", "utf-8")
    values = small_recipe(reviews, at / "prose.txt", tiny_teacher) | {
        "corpus": {"sources": [str(at / "prose.txt")], "unit": "line"},
        "adapt": {"epochs": 1, "batch": 8},
        "baselines": ["undistilled", "tf-idf"],
    }
    return pipeline.run(validate(Recipe, values, "test"), at / "runs").folder
