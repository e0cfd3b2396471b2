"""Try ways to quantize, the fastest first; publish the first that passes the gate."""

import dataclasses
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hornbook.export.answers import ANSWERS, store_answers
from hornbook.export.files import CALIBRATION, CONFIG, GRAPH, INT8_FOLDER, INT8_GRAPH, TOKENIZER
from hornbook.export.gate import Comparison, Sample, answers, compare_outputs, depends_on_batch, faults, moved
from hornbook.export.quantize import VARIANTS, quantize
from hornbook.export.ranges import activation_ranges
from hornbook.export.session import OnnxClassifier, Pairs
from hornbook.machine.processor import processor
from hornbook.recipe import ExportConfig
from hornbook.tasks.kinds import TaskKind

_CALIBRATED_ON = 256  # texts
_SMALL_FILES = (CONFIG, TOKENIZER, "tokenizer_config.json", CALIBRATION, ANSWERS)


def publish(
    folder: Path, kind: TaskKind, asked: Sequence[Sample], made_up: Pairs, length: int, config: ExportConfig
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Add an int8 graph to an export if one passes the gate.

    Args:
        folder: the export, with its float32 graph.
        kind: what the outputs mean.
        asked: what to compare on, with the student's outputs.
        made_up: texts of no data set: batches are made of them, and short ones are stored with their answers.
        length: the most tokens of an input.
        config: the limits.

    Returns:
        for the manifest: `published` (the variant or None), `bytes` or `why_not`, `tried` (a row for each variant),
        `processor`; and for the measurements the sentences per second of each variant over the samples.
    """
    target = folder / INT8_GRAPH
    tried: list[dict[str, Any]] = []
    speeds: dict[str, Any] = {}
    about: dict[str, Any] = {"published": None, "why_not": "", "tried": tried, "processor": processor()}
    if not asked and not config.allow_loss:
        about["why_not"] = "neither a task nor a textbook was given to compare it on; give --task, --textbook or both"
        return about, speeds
    ranges = activation_ranges(folder, (asked[-1].texts if asked else made_up)[:_CALIBRATED_ON])
    for variant in VARIANTS:
        quantize(folder / GRAPH, target, variant, ranges)
        row, speeds[variant] = _try(folder, kind, asked, made_up, length, config)
        tried.append({"variant": variant, **row})
        if not row["faults"] or (config.allow_loss and not row["depends_on_batch"]):
            break
    else:
        target.unlink()
        reason = "; ".join(tried[0]["faults"])
        about["why_not"] = f"{tried[0]['variant']}, the fastest variant: {reason}; --allow-loss publishes it"
        return about, speeds
    store_answers(OnnxClassifier(folder, INT8_GRAPH), made_up, folder / ANSWERS)
    own = folder / INT8_FOLDER
    own.mkdir()
    shutil.copy(target, own / "model.onnx")
    for name in _SMALL_FILES:
        if (folder / name).is_file():
            shutil.copy(folder / name, own / name)
    del about["why_not"]
    return {**about, "published": variant, "bytes": target.stat().st_size}, speeds


def _try(
    folder: Path, kind: TaskKind, asked: Sequence[Sample], made_up: Pairs, length: int, config: ExportConfig
) -> tuple[dict[str, Any], float | None]:
    """Return a row of the table of variants, and sentences per second.

    A variant that has failed is not compared on further samples.
    """
    classify = OnnxClassifier(folder, INT8_GRAPH)
    difference = moved(kind, classify, made_up[:48], length)
    dependent = depends_on_batch(difference)
    compared: dict[str, Comparison] = {}
    wrong = ["an answer depends on its batch"] if dependent else []
    texts, seconds = 0, 0.0
    for sample in asked:
        started = time.perf_counter()
        found = answers(classify, sample.texts, f"int8 on {sample.name}")
        seconds += time.perf_counter() - started
        texts += len(sample.texts)
        compared[sample.name] = compare_outputs(kind, sample, found)
        wrong += faults(kind, {sample.name: compared[sample.name]}, config)
        if wrong and not config.allow_loss:
            break
    row = {
        "bytes": (folder / INT8_GRAPH).stat().st_size,
        "compared": {name: dataclasses.asdict(one) for name, one in compared.items()},
        "batch_difference": difference,
        "depends_on_batch": dependent,
        "faults": wrong,
    }
    return row, round(texts / seconds, 1) if asked else None
