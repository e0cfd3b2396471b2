"""How fast a small student classifies: each of its formats beside a large model, and a file beside the obvious ways.

    python benchmarks/inference.py --quick
    python benchmarks/inference.py [--export FOLDER] [--task FOLDER] [--texts 100000] [--rounds 5]

The models: the student of `--export` (without one a random 6x384, exported here, its int8 graph without a gate), and
one of RoBERTa-large's shape with random weights in PyTorch. They take turns on one thread, tokenizer included, at 1,
8 and 32 texts a call. `ratio_large` and `ratio_onnx_float` compare the student's fastest format with the large model
and with ONNX in float32, at 1 and at 32 texts a call.

The file: JSONL to JSONL with labels and probabilities, on all cores, in turns; loading the model counts.
`ratio_pipeline`: hornbook's predict_file over `transformers.pipeline(batch_size=32)`; `ratio_obvious`: over a loop
with onnxruntime, the same graph, batches of 32 in the order of the file; `share_of_bare`: over the graph alone,
loaded, with tokens that are there, in hornbook's batches.

`agreement` (share of equal labels) and `score_loss` (points of accuracy; with `--task` only) compare the fastest
format with PyTorch. Ratios are medians over rounds. The last line of the output is one JSON object.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from distil_inputs import processor, say
from hornbook.export.files import GRAPH
from hornbook.inference.benchmark import Texts, benchmark, texts_of_task
from hornbook.inference.classifier import graph_of, load_classifier
from hornbook.inference.predict import predict_file
from hornbook.inference.runtimes import similar
from hornbook.machine.load import usable_cores
from hornbook.recipe import BenchmarkConfig, ExportConfig
from hornbook.results import Speed
from hornbook.tasks import open_task
from hornbook.tasks.kinds import KINDS

BATCHES, ENDS = (1, 8, 32), (1, 32)
ISA = ("amx_int8", "avx512_vnni", "avx_vnni", "avx512f", "avx2", "asimddp")


def made_up(vocabulary: Sequence[str], count: int) -> Texts:
    """Return random texts with about the lengths of SST-2's."""
    random = np.random.default_rng(0)
    words = [word for word in vocabulary if word.isalpha()]
    lengths = np.clip(random.lognormal(2.7, 0.6, count), 2, 50).astype(int)
    return [" ".join(random.choice(words, length)) for length in lengths], None


def save_random(folder: Path, large: bool, tokenizer: Any) -> Path:
    """Save a classifier of two labels with random weights: RoBERTa-large's shape, or a BERT of 6x384."""
    import torch
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        RobertaConfig,
        RobertaForSequenceClassification,
    )

    from hornbook.models.saving import save_model

    torch.manual_seed(0)
    special = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    if large:
        sizes = {"num_hidden_layers": 24, "hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096}
        own = {"max_position_embeddings": 514, "type_vocab_size": 1}
        with torch.device("meta"):  # drawing 355 million numbers takes longer than measuring
            model: Any = RobertaForSequenceClassification(RobertaConfig(**special, **sizes, **own))
        model.to_empty(device="cpu")
        with torch.no_grad():
            for tensor in [*model.parameters(), *model.buffers()]:
                tensor.fill_(0.01) if tensor.is_floating_point() else tensor.zero_()
    else:
        sizes = {"num_hidden_layers": 6, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
        model = BertForSequenceClassification(BertConfig(**special, **sizes))
    save_model(model, tokenizer, folder, 128)
    return folder


def export_random(folder: Path, tokenizer: Any) -> Path:
    """Export a random 6x384, with the fastest int8 graph: there is nothing to compare it on."""
    from hornbook.export.files import write_files
    from hornbook.export.graph import write_graph
    from hornbook.export.int8 import publish
    from hornbook.models.loading import load_ready_classifier

    model = load_ready_classifier(str(save_random(folder.with_name("random"), large=False, tokenizer=tokenizer)))
    (folder / GRAPH).parent.mkdir(parents=True)
    write_files(model, tokenizer, folder, 128)
    write_graph(model, folder / GRAPH)
    texts = [(text, None) for text in made_up(sorted(tokenizer.get_vocab()), 300)[0]]
    publish(folder, KINDS["classification"], [], texts, 128, ExportConfig(allow_loss=True))
    return folder


def ratios(rows: Sequence[Speed], fast: tuple[str, str], slow: tuple[str, str]) -> dict[str, float]:
    """Return how many times as many texts a second one way classifies as another, by the size of batches."""
    speed = {(row.model, row.format, row.batch): row.sentences_per_second for row in rows}
    return {str(n): round(speed[*fast, n] / speed[*slow, n], 2) for n in ENDS}


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds that some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Ways:
    """Ways to classify a file of texts."""

    def __init__(self, export: Path, format: str, texts: Sequence[str], folder: Path) -> None:
        self.export, self.folder = export, folder
        self.graph = export / str(graph_of(str(export), format))  # type: ignore[arg-type]
        self.file = folder / "texts.jsonl"
        self.file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
        self._runtime: Any = load_classifier(export, format=format)._runtime  # type: ignore[arg-type]
        encodings = self._runtime._model.encode(texts)
        self._ready = [[encodings[i] for i in batch] for batch in similar([len(one) for one in encodings])]

    def ours(self) -> None:
        """Classify the file with hornbook."""
        predict_file(self.export, self.file, self.folder / "ours.jsonl", force=True)

    def pipeline(self) -> None:
        """Classify the file with transformers' pipeline, a generator of texts, as its documentation shows."""
        from transformers import pipeline

        classify = pipeline("text-classification", str(self.export), truncation=True, batch_size=32, top_k=None)
        rows = self._rows()
        with (self.folder / "pipeline.jsonl").open("w", encoding="utf-8") as out:
            for row, answer in zip(rows, classify(row["text"] for row in rows), strict=True):
                shares = {f"probability_{one['label']}": one["score"] for one in answer}
                out.write(json.dumps({**row, "label": answer[0]["label"], **shares}) + "\n")

    def obvious(self) -> None:
        """Classify the file with onnxruntime, 32 texts at a time in the order of the file."""
        import onnxruntime
        from tokenizers import Tokenizer

        session: Any = onnxruntime.InferenceSession(str(self.graph))
        config = json.loads((self.export / "config.json").read_text("utf-8"))
        tokenizer = Tokenizer.from_file(str(self.export / "tokenizer.json"))
        tokenizer.enable_padding(pad_id=config["pad_token_id"])
        fields = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
        names = [one.name for one in session.get_inputs()]
        labels, rows = config["id2label"], self._rows()
        with (self.folder / "obvious.jsonl").open("w", encoding="utf-8") as out:
            for start in range(0, len(rows), 32):
                part = rows[start : start + 32]
                read = tokenizer.encode_batch([row["text"] for row in part])
                inputs = {name: np.array([getattr(one, fields[name]) for one in read]) for name in names}
                (logits,) = session.run(["logits"], inputs)
                powers = np.exp(logits - logits.max(axis=1, keepdims=True))
                for row, share in zip(part, powers / powers.sum(axis=1, keepdims=True), strict=True):
                    shares = {f"probability_{labels[str(i)]}": float(p) for i, p in enumerate(share)}
                    out.write(json.dumps({**row, "label": labels[str(share.argmax())], **shares}) + "\n")

    def bare(self) -> None:
        """Run the graph alone, on all cores."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(usable_cores()) as pool:
            list(pool.map(self._runtime._run, self._ready))

    def _rows(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self.file.read_text("utf-8").splitlines()]


def file_ratios(ways: Ways, rounds: int) -> dict[str, Any]:
    """Return how many times as fast hornbook classifies a file as the other ways do."""
    names = ("ours", "pipeline", "obvious", "bare")
    seconds: list[dict[str, float]] = []
    for number in range(rounds):
        order = names if number % 2 == 0 else names[::-1]
        seconds.append({name: timed(getattr(ways, name)) for name in order})
        say(f"round {number + 1}: {', '.join(f'{name} {seconds[-1][name]:.2f} s' for name in names)}")

    def ratio(name: str) -> float:
        return round(statistics.median(one[name] / one["ours"] for one in seconds), 3)

    return {"ratio_pipeline": ratio("pipeline"), "ratio_obvious": ratio("obvious"), "share_of_bare": ratio("bare")}


def quality(export: Path, format: str, texts: Texts, gold: Any) -> dict[str, float | None]:
    """Return how the answers of a format compare with PyTorch's."""
    fast, plain = (load_classifier(export, format=one)(*texts).labels for one in (format, "pytorch"))  # type: ignore[arg-type]
    agreement = float(np.mean([a == b for a, b in zip(fast, plain, strict=True)]))
    loss = None
    if gold is not None:
        right = [np.mean([a == b for a, b in zip(found, gold, strict=True)]) for found in (plain, fast)]
        loss = round(100 * float(right[0] - right[1]), 3)
    return {"agreement": round(agreement, 4), "score_loss": loss}


def instruction_sets() -> list[str]:
    """Return which of the instruction sets that matter the processor has."""
    path = Path("/proc/cpuinfo")
    flags = set(path.read_text().split()) if path.is_file() else set()
    return [name for name in ISA if name in flags]


def main() -> None:
    """Measure, and print the figures."""
    parse = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parse.add_argument(
        "--quick", action="store_true", help="under a minute: 600 texts, one round, not 8 texts a call"
    )
    parse.add_argument("--export", type=Path, help="an export of a student with one label per text")
    parse.add_argument("--task", type=Path, help="its prepared task, whose dev texts are classified")
    parse.add_argument("--texts", type=int, default=100_000, help="texts in the file")
    parse.add_argument("--rounds", type=int, default=5)
    given = parse.parse_args()
    count, rounds, seconds = (600, 1, 0.3) if given.quick else (given.texts, given.rounds, 1.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        from transformers import AutoTokenizer

        tokenizer: Any = None
        if given.export is not None:
            tokenizer = AutoTokenizer.from_pretrained(given.export)
        else:
            from distil_inputs import find_tokenizer

            tokenizer = find_tokenizer(
                ["the film is dull and warm"] * 10, Path.home() / ".cache/hornbook/current/model"
            )
        say("making the models")
        export = given.export or export_random(folder / "export", tokenizer)
        large = save_random(folder / "large", large=True, tokenizer=tokenizer)
        task = open_task(given.task) if given.task else None
        texts = texts_of_task(task) if task else made_up(sorted(tokenizer.get_vocab()), 300 if given.quick else 2000)
        fastest = load_classifier(export).format
        config = BenchmarkConfig(batches=ENDS if given.quick else BATCHES, rounds=rounds, seconds=seconds, texts=512)
        rows = benchmark([export, large], texts, config)
        student, teacher = (str(export), fastest), (str(large), "pytorch")
        draw = np.random.default_rng(1).integers(0, len(texts[0]), count)
        ways = Ways(export, fastest, [texts[0][i] for i in draw], folder)
        gold = [task.labels[i] for i in task.gold("dev")] if task else None
        shown = {str(export): "student", str(large): "roberta-large shape"}
        found = {
            "rows": [{**asdict(row), "model": shown[row.model]} for row in rows],
            "ratio_large": ratios(rows, student, teacher),
            "ratio_onnx_float": ratios(rows, student, (str(export), "onnx")) if fastest == "int8" else None,
            **file_ratios(ways, rounds),
            **quality(export, fastest, texts if gold else (texts[0][:100], None), gold),
            "isa": instruction_sets(),
            "processor": processor(),
            "format": fastest,
            "texts": count,
            "rounds": rounds,
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
