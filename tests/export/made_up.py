"""A store of manifests as the stages of a run write them, without the data and models beside them."""

import json
from pathlib import Path
from typing import Any

from hornbook.store import Artifact, load, write_json

KEYS = {name: f"{i:032x}" for i, name in enumerate(("student", "book", "whole", "corpus", "teacher", "task"), 1)}
SCORES = {"dev": {"accuracy": 0.875, "macro_f1": 0.87}, "test": {"accuracy": 0.5, "macro_f1": 0.4}}
LABELS = ["bad", "<b>good</b>"]
INT8 = {
    "published": "rows-8bit",
    "bytes": 2_600_000,
    "processor": {"name": "A processor", "instructions": "x86_64 avx2"},
    "tried": [
        {
            "variant": "rows-7bit",
            "bytes": 2_500_000,
            "compared": {"dev": {"agreement": 0.971, "mean_difference": 0.02, "gain": None}},
            "batch_difference": 1e-5,
            "depends_on_batch": False,
            "faults": ["its agreement with the student on dev is 97.10%"],
        },
        {
            "variant": "rows-8bit",
            "bytes": 2_600_000,
            "compared": {
                "dev": {
                    "agreement": 0.991,
                    "mean_difference": 0.01,
                    "gain": {"mean": -0.1, "low": -0.3, "high": 0.1, "seeds": 1},
                },
                "textbook": {"agreement": 0.9875, "mean_difference": 0.01, "gain": None},
            },
            "batch_difference": 1e-5,
            "depends_on_batch": False,
            "faults": [],
        },
    ],
}
CALIBRATION = {
    "temperature": 1.5,
    "examples": 872,
    "error_before": 0.06,
    "error_after": 0.02,
    "thresholds": [
        {"threshold": 0.0, "answered": 1.0, "accuracy": 0.875},
        {"threshold": 0.99, "answered": 0.0, "accuracy": None},
    ],
}


def artifact(
    folder: Path,
    stage: str,
    key: str,
    inputs: dict[str, str],
    *,
    counts: dict[str, int] | None = None,
    info: dict[str, Any] | None = None,
    measured: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    files: dict[str, bytes] | None = None,
) -> Artifact:
    """Write a manifest and files."""
    from hornbook.store.keys import known_checksum

    listed = {}
    for name, content in (files or {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        listed[name] = {"bytes": len(content), "xxh3_128": known_checksum(path)}
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {"stage": stage, "key": key, "config": config or {}, "inputs": inputs, "counts": counts or {}}
    manifest |= {"info": info or {}, "files": listed, "versions": {"hornbook": "1"}}
    write_json(folder / "manifest.json", manifest)
    write_json(folder / "run.json", {"seconds": 1.0, "host": "a-secret-host", **(measured or {})})
    return load(folder)


def store(root: Path) -> Artifact:
    """Write a student of a store, with everything that it was made from; return it."""

    def put(stage: str, key: str, inputs: dict[str, str], **more: Any) -> Artifact:
        return artifact(root / stage / key[:16], stage, key, inputs, **more)

    put("corpus", KEYS["corpus"], {}, info={"sources": {"wiki": 900, "news": 100}})
    put("textbook", KEYS["whole"], {"corpus": KEYS["corpus"]}, counts={"units": 5}, info={"kind": "contextualized"})
    books = {"corpus": KEYS["corpus"], "like": KEYS["whole"]}
    put("textbook", KEYS["book"], books, counts={"units": 250}, info={"kind": "general"})
    put("task", KEYS["task"], {}, counts={"train_rows": 1000}, info={"name": "films"})
    put("model", KEYS["teacher"], {"tokenizer": "t", "task": KEYS["task"]})
    taught = {"teacher": KEYS["teacher"], "textbook": KEYS["book"], "tokenizer": "t"}
    put("student", KEYS["student"], taught, counts={"tokens": 1_500_000})
    own = "a" * 32
    inputs = {"model": KEYS["student"], "task": KEYS["task"], "tokenizer": "t"}
    model = put("model", own, inputs)
    chance = {"score": 0.875, "low": 0.85, "high": 0.9, "chance": 0.5, "metric": "accuracy"}
    info = {"task": "films", "metric": "accuracy", "scores": SCORES, "chance": chance}
    for key, of, million in (("e" * 32, own, 10), ("f" * 32, KEYS["teacher"], 350)):
        counts = {"parameters": million * 10**6, "weight_bytes": 4 * million * 10**6}
        speeds = {"model": 900.0, "teacher": 20.0} if of == own else {"model": 21.0}
        put(
            *("evaluation", key, {"model": of, "task": KEYS["task"]}),
            counts=counts,
            info=info,
            measured={"sentences_per_second": speeds, "device": "cpu"},
            config={"batch": 32},
        )
    return model


def export(folder: Path, model: str = "a" * 32, *, int8: bool = True, problem: str = "single_label_classification"):
    """Write an export whose graphs are a few bytes."""
    config = {"id2label": dict(enumerate(LABELS)), "problem_type": problem}
    files = {"config.json": json.dumps(config).encode(), "tokenizer.json": b"{}", "onnx/model.onnx": b"graph" * 9}
    counts, info = {"graph_bytes": 10_000_000, "compared_texts": 2000}, {"labels": LABELS, "max_length": 128}
    measured: dict[str, Any] = {"largest_difference": 2e-6}
    if int8:
        files |= {"onnx/model_quantized.onnx": b"int8", "int8/model.onnx": b"int8"}
        counts["int8_bytes"] = 2_600_000
        info |= {"int8": INT8, "calibration": CALIBRATION}
        measured["int8"] = {"rows-8bit": 4321.0}
    inputs = {"model": model, "tokenizer": "t", **({"task": KEYS["task"]} if int8 else {})}
    return artifact(folder, "export", "b" * 32, inputs, counts=counts, info=info, measured=measured, files=files)
