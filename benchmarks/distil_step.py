"""Distillation steps a second: ours, the obvious way, and minilmv2.bb where a checkout is given.

    python benchmarks/distil_step.py --quick
    python benchmarks/distil_step.py [--peer CHECKOUT] [--teacher FOLDER] [--corpus FOLDER] [--device cuda]

All take turns on the same sentences with the same teacher, the same student, the same precision and the same
optimiser. A round is a random pool of sentences: ours makes its steps of it, the others take it in batches at random.
Figures are medians over rounds, in sequences a second; the last line of the output is one JSON object.
"""

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from distil_inputs import find_teacher, find_tokenizer, joined, name_of, read_units, say
from distil_ways import Setting, StageContext, Step, cut, from_disk, our_loss, ours, ours_step, plain, plain_loss
from hornbook.machine.memory import peak_memory
from hornbook.training.objectives.relations import RELATIONS, relation_loss

ROOT = Path(__file__).resolve().parents[1]
TOKENIZER = Path.home() / ".cache" / "hornbook" / "current" / "model"
STUDENTS = ((3, 192), (6, 384))
MAX_LENGTH = 128
AGREE = 1e-4


@dataclass(frozen=True)
class Plan:
    """How much of an input is measured: so many rounds of so many optimiser steps of so many sequences.

    A round is a pool of sentences. Ours goes through all of it; the others, slower, may do with some of it, drawn at
    random.
    """

    rounds: int
    steps: int
    others: int
    batch: int


def timed(setting: Setting, work: Callable[[], Any]) -> float:
    """Return the seconds that `work` takes."""
    if setting.device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if setting.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(setting: Setting, size: tuple[int, int], encoded: Any, plan: Plan) -> dict[str, Any]:
    """Return the figures of all ways for one student and one input."""
    ways = {"ours": ours(setting, size, encoded), "obvious": plain(setting, size, encoded)}
    if setting.peer:
        ways["peer"] = plain(setting, size, encoded, peer=True)
    for name in list(ways):
        warm_up(ways, name)
    order = np.random.default_rng(0).permutation(len(encoded))
    size_of_pool = plan.steps * plan.batch
    pools = [order[start:][:size_of_pool] for start in range(0, len(order), size_of_pool)]
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    shares = []
    for pool in pools[: plan.rounds]:
        spent, done, of_loss = dict.fromkeys(ways, 0.0), dict.fromkeys(ways, 0), 0.0
        bucketed, shuffled = our_steps(encoded, pool, plan.batch), np.array_split(pool, plan.steps)
        for turn in range(plan.others):  # they take turns
            mine = bucketed[turn :: plan.others]
            for name, work in ways.items():
                for step in mine if name == "ours" else shuffled[turn : turn + 1]:
                    spent[name] += timed(setting, lambda work=work, step=step: work(step))
                    done[name] += len(step)
            of_loss += sum(loss_seconds(setting, size, encoded, step) for step in mine)
        for name in ways:
            speeds[name].append(done[name] / spent[name])
        shares.append(of_loss / spent["ours"])
    return figures(speeds) | {
        **({"peer": None} if setting.peer and "peer" not in ways else {}),
        "padding_share": round(padding_share(encoded, plan.batch), 4),
        "loss_share": round(statistics.median(shares), 3),
    }


def cached(setting: Setting, size: tuple[int, int], encoded: Any, plan: Plan, dtype: str) -> dict[str, Any]:
    """Return the sequences a second of the first and of a later student that read the teacher from the disk.

    The first one waits until the teacher has been asked. `ratio_later` is against our own way with the live teacher;
    the two take turns.
    """
    some = np.random.default_rng(1).permutation(len(encoded))[: min(plan.steps, 8) * plan.batch]
    pool = encoded.subset(some)
    live = ours(setting, size, pool)
    with tempfile.TemporaryDirectory() as folder:
        later, asking, bytes_token = from_disk(setting, size, pool, Path(folder), dtype)
        spent: dict[str, list[float]] = {"live": [], "later": []}
        for way in (live, later):
            way(np.arange(4))
        for step in our_steps(pool, np.arange(len(pool)), plan.batch):
            for name, way in (("live", live), ("later", later)):
                spent[name].append(timed(setting, lambda way=way, step=step: way(step)))
    total = {name: sum(seconds) for name, seconds in spent.items()}
    ratios = [a / b for a, b in zip(spent["live"], spent["later"], strict=True)]
    return {
        "first": round(len(pool) / (asking + total["later"]), 1),
        "later": round(len(pool) / total["later"], 1),
        "ratio_later": round(statistics.median(ratios), 2),
        "disk_bytes_token": bytes_token,
    }


def our_steps(encoded: Any, pool: NDArray[np.int64], batch: int) -> list[Step]:
    """Return the steps that hornbook makes of these sequences."""
    from hornbook.training.steps import epoch_steps

    return [pool[step] for step in epoch_steps(encoded.lengths[pool], batch, seed=0, epoch=0)]


def padding_share(encoded: Any, batch: int) -> float:
    """Return the share of padding in what ours computes, in one pass over the whole input."""
    steps = our_steps(encoded, np.arange(len(encoded)), batch)
    masks = [micro.batch["attention_mask"] for step in steps for micro in cut(encoded, step)]
    return 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)


def warm_up(ways: dict[str, StageContext], name: str) -> None:
    """Do a small first step; drop the peer, with the reason, where it cannot."""
    try:
        ways[name](np.arange(4))
    except Exception as error:
        if name != "peer":
            raise
        say(f"the peer cannot run here: {type(error).__name__}: {' '.join(str(error).split())}")
        del ways[name]


def figures(speeds: dict[str, list[float]]) -> dict[str, Any]:
    """Return the medians, and those of the ratio of ours to each other way."""
    found: dict[str, Any] = {name: round(statistics.median(values), 1) for name, values in speeds.items()}
    for name in speeds.keys() - {"ours"}:
        ratios = [a / b for a, b in zip(speeds["ours"], speeds[name], strict=True)]
        found["ratio" if name == "obvious" else f"ratio_{name}"] = round(statistics.median(ratios), 2)
    return found


def loss_seconds(setting: Setting, size: tuple[int, int], encoded: Any, step: Step) -> float:
    """Return the seconds that our loss alone, forward and backward, takes for a step."""
    heads, total = setting.heads(size[1]), 0.0
    for _, batch in cut(encoded, step):
        mask = batch["attention_mask"].to(setting.device)
        teacher = random_projections(setting, mask, setting.teacher.config.hidden_size)
        student = random_projections(setting, mask, size[1], learns=True)

        def work(teacher: Any = teacher, student: Any = student, mask: Any = mask) -> None:
            torch.stack(list(relation_loss(teacher, student, mask, heads).values())).sum().backward()

        total += timed(setting, work)
    return total


def random_projections(setting: Setting, mask: Any, width: int, learns: bool = False) -> dict[str, Any]:
    """Return projections of the shape that a model of this width would give."""
    kind = {"device": setting.device, "dtype": torch.bfloat16 if setting.bfloat16 else torch.float32}
    return {name: torch.randn(*mask.shape, width, **kind, requires_grad=learns) for name in RELATIONS}


def agreement(setting: Setting, size: tuple[int, int], encoded: Any, peer: bool = False) -> dict[str, float]:
    """Return how far another way is from ours, relative: the loss and the gradient of one batch, in float32."""
    exact = dataclasses.replace(setting, bfloat16=False, dropout=0.0)
    indices = np.arange(32)
    student, loss = our_loss(exact, size)
    our_value = ours_step(exact, loss, cut(encoded, indices, max_tokens=1024))
    plain_student, other_loss = plain_loss(exact, size, peer)
    value = other_loss(exact.to_device(encoded.batch(indices)))
    value.backward()
    pairs = {
        "loss": (torch.tensor(our_value), value.detach().cpu()),
        "gradient": map(gradient, (student, plain_student)),
    }
    return {name: float((a - b).norm() / b.norm()) for name, (a, b) in pairs.items()}


def gradient(model: Any) -> Any:
    """Return the gradient of all weights, 0 where there is none."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in model.parameters()])


def loss_memory(device: str) -> dict[str, int]:
    """Return the peak memory of the loss in MB, ours and the obvious way's, each measured in its own process."""
    script = str(Path(__file__).with_name("loss_memory.py"))
    found = {}
    for way in ("ours", "obvious"):
        done = subprocess.run([sys.executable, script, way, device], capture_output=True, text=True, check=True)
        found[way] = int(done.stdout)
    return found


def peak_mb(device: torch.device) -> int:
    """Return the most memory that this process has held: the GPU's where there is one."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated() / 2**20)
    return round(peak_memory() / 2**10)


def parse() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32, help="sequences in an optimiser step (default 32)")
    parser.add_argument("--quick", action="store_true", help="under a minute on two cores; noisy")
    parser.add_argument("--peer", type=Path, help="a checkout of minilmv2.bb")
    parser.add_argument("--teacher", type=Path, help="a model folder; else random weights")
    parser.add_argument("--corpus", type=Path, default=ROOT.parent / "shared" / "data" / "general")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="cuda: RoBERTa-large's shapes")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], help="default: bfloat16 on cuda, else float32")
    parser.add_argument("--dropout", type=float, default=0.0, help="the student's, the same for all (default 0)")
    options = parser.parse_args()
    if options.peer and not (options.peer / "minilmv2" / "minilmv2.py").is_file():
        parser.error(
            f"--peer {options.peer}: no minilmv2/minilmv2.py in it; give a checkout of bloomberg/minilmv2.bb"
        )
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no GPU here")
    return options


def main() -> None:
    """Measure and print."""
    options = parse()
    units = read_units(options.corpus, count=max(4096, 128 * options.batch))
    from hornbook.models.encode import encode
    from hornbook.models.families import default_teacher_layer
    from hornbook.models.loading import quiet_transformers

    quiet_transformers()
    teacher = find_teacher(options.teacher, large=options.device == "cuda")
    tokenizer = find_tokenizer(units, options.teacher or TOKENIZER)
    setting = Setting(
        teacher=teacher.to(options.device).eval(),
        layer=default_teacher_layer(teacher.config),
        dropout=options.dropout,
        device=torch.device(options.device),
        bfloat16=(options.dtype or {"cuda": "bfloat16"}.get(options.device)) == "bfloat16",
        peer=options.peer,
    )
    sentences = encode(units, None, tokenizer, MAX_LENGTH)
    packed = encode(joined(units, tokenizer, MAX_LENGTH), None, tokenizer, MAX_LENGTH)
    say(f"{len(sentences)} units of {sentences.lengths.mean():.0f} tokens; {len(packed)} packed ones")
    inputs = {
        "sentences": (sentences, Plan(1, 12, 2, options.batch) if options.quick else Plan(3, 32, 32, options.batch)),
        "packed": (packed, Plan(1, 2, 1, options.batch // 2) if options.quick else Plan(3, 4, 4, options.batch)),
    }
    students: dict[str, Any] = {}
    for size in STUDENTS:
        name = f"{size[0]}x{size[1]}"
        students[name] = {}
        for kind, (encoded, plan) in inputs.items():
            students[name][kind] = measure(setting, size, encoded, plan)
            say(f"{name} {kind}: {students[name][kind]}")
    first, *others = students
    result = {
        **students[first],
        "padding_share": students[first]["sentences"]["padding_share"],
        "loss_share": students[first]["sentences"]["loss_share"],
        "peak_mb": peak_mb(setting.device),
        "device": name_of(setting.device),
        "students": {name: students[name] for name in others},
        "cached": cached(setting, STUDENTS[0], *inputs["sentences"], "float16"),
        "agreement": agreement(setting, STUDENTS[0], sentences),
        "loss_memory_mb": loss_memory(options.device),
    }
    if "ratio_peer" in students[first]["sentences"]:
        result["agreement"]["peer"] = agreement(setting, STUDENTS[0], sentences, peer=True)
    print(json.dumps(result))
    apart = max(value for name, value in result["agreement"].items() if name != "peer")
    if not apart < AGREE:  # a not-a-number is no agreement either
        sys.exit(f"ours and the obvious way are {apart:.1e} apart, more than {AGREE:.0e}: the speeds mean nothing")


if __name__ == "__main__":
    main()
