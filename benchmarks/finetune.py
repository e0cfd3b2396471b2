"""Fine-tuning speed: hornbook's length-bucketed steps beside transformers' Trainer, grouping by length and plain.

    python benchmarks/finetune.py --quick
    python benchmarks/finetune.py [--tasks sst2 mnli] [--glue FOLDER] [--model FOLDER]

All fine-tune the same model on the same random sample of a task's train split, tokenised beforehand, with the same
optimiser, precision, dropout and settings. How much is padded depends on how many sequences are sorted at once: the
Trainer sorts 50 batches, but of a small sample only a quarter. So each way makes the steps of a whole pass over the
large sample, the Trainer's by its own sampler, and computes some of them: one of typical size out of each of several
layers, from the shortest steps to the longest. Rounds differ in their order, and the ways take turns in them.

Figures are medians over rounds, in sequences a second, without what a training begins with and ends with.
`padding_share` is that of whole passes; it does not depend on the machine. `padding_share_computed` is that of the
steps computed, and `rounds` the speed in each round: where they differ much, something else was running. The last
line of the output is one JSON object: the figures of the first task and, under `others`, those of the others.
"""

import argparse
import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distil_inputs import find_teacher, find_tokenizer, say
from distil_step import figures, name_of

ROOT = Path(__file__).resolve().parents[1]
MODEL = Path.home() / ".cache" / "hornbook" / "current" / "model"
SAMPLE = 16_384  # sequences: two of our windows, ten of the Trainer's
TASKS = ("sst2", "mnli", "qqp", "qnli", "rte")
QUICK_STEPS = {"sst2": 5}  # single sentences are soon done
AGREEMENT_STEPS = 2


def read_sample(task: str, folder: Path) -> tuple[list[str], list[str] | None, NDArray[np.int64]]:
    """Return a random sample of a task's train split: texts, second texts if it has any, labels."""
    import pyarrow.parquet as pq

    from hornbook.tasks.glue import GLUE

    columns = GLUE[task]
    table = pq.read_table(folder / task / "train.parquet")
    table = table.take(np.random.default_rng(0).permutation(len(table))[:SAMPLE])
    pairs = table[columns.text_pair].to_pylist() if columns.text_pair else None
    return table[columns.text].to_pylist(), pairs, table["label"].to_numpy()


def made_up_sample() -> tuple[list[str], None, NDArray[np.int64]]:
    """Return sentences of random words, for want of data; their lengths are spread about as SST-2's."""
    random = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(random.choice(letters, size=size)) for size in random.integers(2, 9, size=5000)]
    lengths = np.clip(random.lognormal(np.log(8), 0.75, size=SAMPLE), 1, 60).astype(int)
    texts = [" ".join(words[i] for i in random.integers(len(words), size=length)) for length in lengths]
    return texts, None, random.integers(2, size=SAMPLE)


def find_classifier(folder: Path, labels: int, dropout: float | None = None) -> Any:
    """Return the encoder in a folder with a new head; without one a random BERT of 6x384."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from hornbook.models.families import set_dropout
    from hornbook.models.loading import load_classifier

    torch.manual_seed(0)
    if (folder / "config.json").is_file():
        return load_classifier(str(folder), [str(i) for i in range(labels)], "classification", dropout=dropout)
    config = find_teacher(None, large=False).config
    config.num_labels = labels
    if dropout is not None:
        set_dropout(config, dropout)
    return AutoModelForSequenceClassification.from_config(config)


def typical(steps: Sequence[Any], sizes: Sequence[int], count: int) -> list[Any]:
    """Return `count` of the steps, in their order: of each layer of like size the one nearest to the layer's mean."""
    if count >= len(steps):
        return list(steps)
    values = np.array(sizes)
    layers = np.array_split(np.argsort(values, kind="stable"), count)
    chosen = [layer[np.abs(values[layer] - values[layer].mean()).argmin()] for layer in layers]
    return [steps[i] for i in sorted(chosen)]


def measure(setting: Any, ways: Sequence[str], rounds: int, count: int) -> dict[str, Any]:
    """Return the figures of all ways on one task."""
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    shares: dict[str, dict[str, list[float]]] = {"padding_share": {}, "padding_share_computed": {}}
    setting.seconds("plain", setting.steps("plain", seed=0)[:1], seed=0)  # warm up
    for turn in range(rounds):
        for way in [*ways[turn % len(ways) :], *ways[: turn % len(ways)]]:
            steps = setting.steps(way, seed=turn)
            # Steps at random are alike in size: half as many of them say as much, and take as long.
            some = count if way in ("ours", "group_by_length") else -(-count // 2)
            chosen = typical(steps, [setting.computed(way, step) for step in steps], some)
            speeds[way].append(sum(map(len, chosen)) / setting.seconds(way, chosen, seed=turn))
            for name, of in (("padding_share", steps), ("padding_share_computed", chosen)):
                shares[name].setdefault(way, []).append(padding_share(setting, way, of))
            say(f"round {turn}: {way} {speeds[way][-1]:.0f}/s")
    means = {n: {way: round(float(np.mean(values[way])), 4) for way in ways} for n, values in shares.items()}
    each = {way: [round(speed, 1) for speed in speeds[way]] for way in ways}
    return figures(speeds) | means | {"rounds": each}


def padding_share(setting: Any, way: str, steps: Sequence[Any]) -> float:
    """Return the share of padding in what is computed of these steps."""
    tokens = sum(int(setting.encoded.lengths[step].sum()) for step in steps)
    return 1 - tokens / sum(setting.computed(way, step) for step in steps)


def agreement(setting: Any) -> dict[str, float]:
    """Return how far the Trainer is from ours on the same steps without dropout, relative: loss and gradient norm."""
    steps = setting.steps("plain", seed=0)[:AGREEMENT_STEPS]
    mine, other = (
        setting.fit(copy.deepcopy(setting.classifier), way, steps, seed=0)[-1] for way in ("ours", "plain")
    )
    return {name: abs(mine[name] / other[name] - 1) for name in ("loss", "grad_norm")}


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute on two cores; noisy; no `max_length`")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["sst2", "mnli"], metavar="TASK")
    parser.add_argument("--glue", type=Path, default=ROOT.parent / "shared" / "data" / "glue")
    parser.add_argument("--model", type=Path, default=MODEL, help="a model folder; else random weights")
    parser.add_argument("--rounds", type=int, help="default 3; quick 2")
    parser.add_argument("--steps", type=int, help="optimiser steps of a way in a round; default 64; quick 3 to 8")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = parse()
    from finetune_ways import Setting
    from hornbook.models.encode import encode
    from hornbook.models.loading import quiet_transformers
    from hornbook.recipe import FinetuneConfig
    from hornbook.training.trainer import use_bfloat16

    quiet_transformers()
    tasks = [task for task in options.tasks if (options.glue / task / "train.parquet").is_file()]
    if not tasks:
        say(f"{options.glue}: no GLUE here, so sentences are made up")
    ways = ["ours", "group_by_length", "plain", *([] if options.quick else ["max_length"])]
    config = FinetuneConfig(dropout=None)
    found: dict[str, dict[str, Any]] = {}
    for task in tasks or ["made up"]:
        texts, pairs, labels = read_sample(task, options.glue) if tasks else made_up_sample()
        tokenizer = find_tokenizer(texts, options.model)
        encoded = encode(texts, pairs, tokenizer, config.max_length)
        setting = Setting(
            classifier=find_classifier(options.model, int(labels.max()) + 1),
            tokenizer=tokenizer,
            encoded=encoded,
            labels=labels,
            config=config,
        )
        say(f"{task}: {len(encoded)} sequences of {encoded.lengths.mean():.1f} tokens")
        steps = options.steps or (QUICK_STEPS.get(task, 3) if options.quick else 64)
        found[task] = {
            "data": task,
            **measure(setting, ways, options.rounds or (2 if options.quick else 3), steps),
            "steps": steps,
        }
        say(f"{found[task]}")
    first, *others = found
    still = Setting(find_classifier(options.model, int(labels.max()) + 1, 0.0), tokenizer, encoded, labels, config)
    result = {
        **found[first],
        "others": {task: found[task] for task in others},
        "agreement": agreement(still),
        "model": str(options.model) if (options.model / "config.json").is_file() else "random weights",
        "precision": "bfloat16" if use_bfloat16(config.precision) else "float32",
        "device": name_of(next(still.classifier.parameters()).device),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
