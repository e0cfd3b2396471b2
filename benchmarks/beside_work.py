"""What beside.py measures: a distillation that works in turns, and its inputs, made up.

As a program: `hornbook distil` on these inputs. It says its settings of OpenMP when it loads PyTorch and waits for a
line; makes its first steps and says so; then reads seconds, works for as long, and says its tokens a second.
"""

import argparse
import importlib.abc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

FIRST_STEPS = 3
LAYERS, HIDDEN, FEED_FORWARD, VOCABULARY, POSITIONS = 6, 384, 1536, 30_522, 512
UNITS, WORDS = 8192, (8, 30)
OPENMP = ("OMP_", "GOMP_", "KMP_", "MKL_")


def make_inputs(folder: Path) -> None:
    """Make a teacher of 6x384 with random weights and a textbook of sentences of 21 tokens, special ones counted."""
    import numpy as np
    import pyarrow as pa

    from hornbook.store import StageContext, make
    from hornbook.textbook.store import table_of, write

    random = np.random.default_rng(0)
    write_teacher(folder / "teacher", random)

    def build(context: StageContext) -> None:
        lengths = random.integers(*WORDS, size=UNITS, endpoint=True)
        units = [" ".join(f"w{word}" for word in random.integers(5, VOCABULARY, size=n)) for n in lengths]
        table = pa.table({"unit": range(UNITS), "text": units, "source": ["made-up"] * UNITS})
        context.counts["units"] = write(context.path, [table_of(table)])
        context.info["kind"] = "general"

    make(folder / "textbook", stage="textbook", version=1, config={}, inputs={}, build=build)


def write_teacher(folder: Path, random: Any) -> None:
    """Write a BERT as a model folder; PyTorch, which takes seconds to load, is not needed for it."""
    import numpy as np
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder.mkdir(parents=True)
    weights: dict[str, Any] = {}

    def matrix(name: str, rows: int, columns: int) -> None:
        weights[f"{name}.weight"] = 0.02 * random.standard_normal((rows, columns), dtype=np.float32)

    def dense(name: str, inputs: int, outputs: int) -> None:
        matrix(name, outputs, inputs)
        weights[f"{name}.bias"] = np.zeros(outputs, np.float32)

    def norm(name: str) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = np.ones(HIDDEN, np.float32), np.zeros(HIDDEN, np.float32)

    for name, rows in (("word", VOCABULARY), ("position", POSITIONS), ("token_type", 2)):
        matrix(f"embeddings.{name}_embeddings", rows, HIDDEN)
    norm("embeddings.LayerNorm")
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        for name in ("query", "key", "value"):
            dense(f"{layer}.attention.self.{name}", HIDDEN, HIDDEN)
        dense(f"{layer}.attention.output.dense", HIDDEN, HIDDEN)
        norm(f"{layer}.attention.output.LayerNorm")
        dense(f"{layer}.intermediate.dense", HIDDEN, FEED_FORWARD)
        dense(f"{layer}.output.dense", FEED_FORWARD, HIDDEN)
        norm(f"{layer}.output.LayerNorm")
    dense("pooler.dense", HIDDEN, HIDDEN)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "num_hidden_layers": LAYERS,
        "hidden_size": HIDDEN,
        "num_attention_heads": 12,
        "intermediate_size": FEED_FORWARD,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": POSITIONS,
    }
    (folder / "config.json").write_text(json.dumps(config))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = {word: i for i, word in enumerate([*special, *(f"w{i}" for i in range(5, VOCABULARY))])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {f"{token[1:-1].lower()}_token": token for token in special}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": POSITIONS, **named}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


class _AtTorch(importlib.abc.MetaPathFinder):
    """Says the settings of OpenMP when PyTorch is about to be loaded, and waits."""

    def find_spec(self, name: str, *_: Any) -> None:
        if name == "torch":
            sys.meta_path.remove(self)
            _say({name: value for name, value in os.environ.items() if name.startswith(OPENMP)})
            sys.stdin.readline()


class _Turns:
    """Takes the place of a progress counter's `advance`, which a training calls after each step."""

    def __init__(self) -> None:
        self.left, self.until, self.tokens, self.began = FIRST_STEPS, 0.0, 0, 0.0

    def __call__(self, counter: Any, amount: int = 1, note: str = "") -> None:
        if counter.unit != "tokens":
            return
        self.left -= 1
        self.tokens += amount
        if self.left > 0 or (now := time.monotonic()) < self.until:
            return
        _say(self.tokens / (now - self.began))
        line = sys.stdin.readline()
        if not line:
            sys.exit()
        self.tokens, self.began = 0, time.monotonic()
        self.until = self.began + float(line)


def _say(what: Any) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    """Distil in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--source", type=Path, help="a folder with another build of the package")
    parser.add_argument("--as-it-comes", action="store_true", help="switch the look at the machine off")
    options = parser.parse_args()
    if options.source:
        # An editable install finds its own files first.
        sys.meta_path = [finder for finder in sys.meta_path if "editable" not in type(finder).__module__]
        sys.path.insert(0, str(options.source))
    import hornbook
    from hornbook.cli import main as command
    from hornbook.machine.progress import Counter

    assert hornbook.__file__
    if options.source and not Path(hornbook.__file__).is_relative_to(options.source):
        sys.exit(f"{hornbook.__file__}: is not the build in {options.source}")
    if options.as_it_comes:
        from hornbook.machine import load as machine

        machine.settle = lambda *_: None
    turns = _Turns()
    Counter.advance = lambda counter, amount=1, note="": turns(counter, amount, note)  # type: ignore[method-assign]
    sys.meta_path.insert(0, _AtTorch())
    sys.argv = [
        *("hornbook", "distil", "--teacher", str(options.inputs / "teacher"), "--out", str(options.out)),
        *("--textbook", str(options.inputs / "textbook"), "--layers", "3", "--hidden", "192", "--dropout", "0"),
        *("--steps", "100000", "--batch", "32", "--learning-rate", "2e-3", "--relation-heads", "24"),
        *("--checkpoint-minutes", "1000"),
    ]
    command()


if __name__ == "__main__":
    main()
