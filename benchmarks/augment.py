"""Augmented texts a second: ours, and one word at a time as TinyBERT's script goes about it.

    python benchmarks/augment.py --quick
    python benchmarks/augment.py [--model FOLDER] [--vectors FILE] [--task PARQUET] [--rounds 5]

Both take turns on the same texts with the same masked language model and the same word vectors on the same device;
each round is another sample of a task's texts. A text counts with its 20 variants. Ours counts whole: reading texts,
asking the model, nearest words, drawing variants. Of neither is loading counted. Beside the time that passes stands
the time of the processor (`cpu`). TinyBERT's script lets PyTorch keep what gradients would need; the other way is
measured without that too (`no_grad`), but for --quick.

Speed is taken with two models of random weights, of 2 layers by 128 and of 6 by 384 (in `models`; the figures of the
first stand in front too), or with one that is given. What words they propose does not matter here; that both ways
propose the same is checked.

The last line of the output is one JSON object.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from distil_inputs import name_of, say
from hornbook.models.loading import load_masked_lm, quiet_transformers
from hornbook.models.masked import MaskedModel
from hornbook.models.predict import best_device
from hornbook.models.tokenizers import load_tokenizer
from hornbook.recipe import AugmentedConfig
from hornbook.terms.stop_words import STOP_WORDS
from hornbook.textbook.augmentation.candidates import predict_tokens
from hornbook.textbook.augmentation.tokenize import MaskedLMTokenizer
from hornbook.textbook.augmentation.vectors import Vectors, read_vectors
from hornbook.textbook.kinds.augmented import variants
from obvious_augmented import ObviousAugmenter

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
PACKAGED = Path.home() / ".cache" / "hornbook" / "current" / "model"
CONFIG = AugmentedConfig(mode="reference", variants=20, candidates=15, probability=0.4)
POSITIONS = 512
SIZES = ((2, 128), (6, 384))
AGREE = 0.99


class Ours:
    """The steps of `textbook.candidates` and `textbook.augmented`, without their files."""

    def __init__(self, model: Any, tokenizer: Any, vectors: Vectors) -> None:
        self.model, self.tokenizer, self.vectors = MaskedModel(model, best_device()), tokenizer, vectors
        self.reader = MaskedLMTokenizer(tokenizer, CONFIG.max_length, POSITIONS)
        self.vocabulary = self.reader.vocabulary()

    def slots(self, texts: Sequence[str]) -> list[tuple[list[str], dict[int, list[str]]]]:
        """Return each text's words, and what may stand for those that may be replaced."""
        readings = [self.reader.tokenize(text) for text in texts]
        pieces = predict_tokens(
            self.model, readings, self.tokenizer.mask_token_id, self.tokenizer.pad_token_id, CONFIG.candidates
        )
        known = list({r.words[i]: 0 for r in readings for i in r.split if r.words[i] in self.vectors})
        near = dict(zip(known, self.vectors.nearest(known, CONFIG.candidates), strict=True))
        found = []
        for reading, best in zip(readings, pieces, strict=True):
            slots = {i: near.get(reading.words[i], [reading.words[i]]) for i in reading.split}
            for index, row in zip(reading.masked, best.tolist(), strict=True):
                words = [word for piece in row if (word := self.vocabulary[piece]) is not None]
                slots[index] = words or [reading.words[index]]
            found.append((reading.words, dict(sorted(slots.items()))))
        return found

    def augment(self, texts: Sequence[str]) -> list[list[str]]:
        """Return each text and its variants."""
        return [
            variants(text, words, slots, CONFIG, np.random.default_rng((0, row)))
            for row, (text, (words, slots)) in enumerate(zip(texts, self.slots(texts), strict=True))
        ]


def read_texts(path: Path | None, count: int) -> list[str]:
    """Return distinct texts at random from a Parquet file; without one, made-up ones."""
    if path is not None and path.is_file():
        column = next(name for name in pq.read_schema(path).names if name in ("sentence", "text", "sentence1"))
        texts = list(dict.fromkeys(pq.read_table(path, columns=[column])[column].to_pylist()))
        return random.Random(0).sample(texts, min(count, len(texts)))
    say("no task's texts here, so they are made up")
    draw = random.Random(0)
    words = ["film", "story", "actor", "music", "plot", "scene", "voice", "camera", "the", "of", "is", "dull", "warm"]
    return [" ".join(draw.choices(words, k=draw.randint(3, 20))) for _ in range(count)]


def find_vectors(path: Path | None) -> Vectors:
    """Return the vectors of a file; without one, 100,000 made-up ones of width 50 for made-up words."""
    if path is not None and path.is_file():
        return read_vectors(path, CONFIG.vector_rows)
    say("no word vectors here, so they are made up")
    unit = np.random.default_rng(0).standard_normal((100_000, 50), np.float32)
    words = [f"word{i}" for i in range(len(unit))]
    return Vectors(words, unit / np.linalg.norm(unit, axis=1, keepdims=True), {w: i for i, w in enumerate(words)})


def random_model(layers: int, width: int, pieces: int) -> Any:
    """Return a masked language model with BERT's shape and random weights."""
    from transformers import BertConfig, BertForMaskedLM

    torch.manual_seed(0)
    sizes = {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": 4 * width}
    return BertForMaskedLM(BertConfig(vocab_size=pieces, num_attention_heads=max(1, width // 64), **sizes))


def timed(work: Callable[[], Any], texts: int) -> tuple[float, float]:
    """Return the seconds a text that pass while `work` is done for so many texts, and those of the processor."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / texts, (time.process_time() - cpu) / texts


def measure(
    model: Callable[[], Any], tokenizer: Any, vectors: Vectors, rounds: Sequence[Sequence[str]], both: bool
) -> Any:
    """Return the figures of both ways with one model; `both`: of the other way with and without gradients."""
    ours = Ours(model(), tokenizer, vectors)
    plain = model().eval().to(best_device())
    obvious = ObviousAugmenter(plain, tokenizer, vectors.words, vectors.unit.astype(np.float64), STOP_WORDS)
    agreement = agree(ours, obvious, rounds[0][:20])
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ("ours", "obvious", *["no_grad"] * both)}

    def one_by_one(texts: Sequence[str]) -> None:
        draw = random.Random(0)
        for text in texts:
            obvious.augment(text, draw)

    for texts in rounds:
        say(f"a round of {len(texts)} texts")
        times["ours"].append(timed(lambda: ours.augment(texts), len(texts)))  # noqa: B023
        times["obvious"].append(timed(lambda: one_by_one(texts), len(texts)))  # noqa: B023
        if not both:
            continue
        with torch.no_grad():
            times["no_grad"].append(timed(lambda: one_by_one(texts), len(texts)))  # noqa: B023
    speeds = {name: round(1 / statistics.median(t[0] for t in found), 2) for name, found in times.items()}
    cpu = {name: round(1 / statistics.median(t[1] for t in found), 2) for name, found in times.items()}
    ratios = [
        {
            "ratio" if name == "obvious" else f"ratio_{name}": ratio(times, name, clock)
            for name in times
            if name != "ours"
        }
        for clock in (0, 1)
    ]
    return {**speeds, **ratios[0], "cpu": cpu | ratios[1], "agreement": agreement}


def ratio(times: dict[str, list[tuple[float, float]]], other: str, clock: int) -> float:
    """Return how many times the other way's seconds a text are ours: the median of the rounds."""
    return round(statistics.median(b[clock] / a[clock] for a, b in zip(times["ours"], times[other], strict=True)), 2)


def agree(ours: Ours, obvious: ObviousAugmenter, texts: Sequence[str]) -> float:
    """Return the share of candidates, over all words of some texts, that both ways have."""
    shared = wanted = 0
    for text, (_, mine) in zip(texts, ours.slots(texts), strict=True):
        theirs = obvious.slots(text)
        if mine.keys() != theirs.keys():
            return 0.0
        shared += sum(len(set(mine[i]) & set(theirs[i])) for i in theirs)
        wanted += sum(len(set(theirs[i])) for i in theirs)
    return round(shared / max(wanted, 1), 4)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute on two cores; noisy")
    parser.add_argument("--model", type=Path, help="a masked language model of BERT's kind, instead of the two")
    parser.add_argument("--tokenizer", type=Path, default=PACKAGED, help="of the random models")
    parser.add_argument("--vectors", type=Path, default=DATA / "glove" / "glove.6B.50d.top100k.txt.gz")
    parser.add_argument("--task", type=Path, default=DATA / "glue" / "sst2" / "train.parquet")
    parser.add_argument("--rounds", type=int, help="rounds of each model (default 5, --quick 2)")
    options = parser.parse_args()
    quiet_transformers()
    count = options.rounds or (2 if options.quick else 5)
    vectors = find_vectors(options.vectors)
    tokenizer = load_tokenizer(str(options.model or options.tokenizer))
    if options.model is not None:
        models = {options.model.name: lambda: load_masked_lm(str(options.model))}
    else:
        models = {
            f"{layers}x{width}": lambda layers=layers, width=width: random_model(layers, width, len(tokenizer))
            for layers, width in SIZES
        }
    found = {}
    for name, model in models.items():
        # Of a larger model both do fewer texts, so that a round does not take minutes.
        each = (120 if options.quick else 200) // (1 if name == "2x128" else 5)
        texts = read_texts(options.task, count * each)
        found[name] = measure(model, tokenizer, vectors, [texts[i::count] for i in range(count)], not options.quick)
        say(f"{name}: {found[name]}")
    first = next(iter(found.values()))
    print(json.dumps({**first, "device": name_of(best_device()), "models": found}))
    if worst := [name for name, figures in found.items() if not figures["agreement"] >= AGREE]:
        sys.exit(f"{', '.join(worst)}: the two ways propose other words, so the speeds mean nothing")


if __name__ == "__main__":
    main()
