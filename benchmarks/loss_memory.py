"""Peak memory of the relation loss, forward and backward, ours or the obvious way; run by distil_step.py.

    python benchmarks/loss_memory.py ours|obvious [cpu|cuda]

A micro-batch of 32 x 128 tokens, 64 relation heads, RoBERTa-large's width against a student of 384. Prints MB (2**20)
beyond what stood in memory before. On a processor this is the process's peak, so each way needs a process of its own.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

from hornbook.training.objectives.relations import RELATIONS, relation_loss
from obvious_minilmv2 import obvious_relation_loss

SEQUENCES, LENGTH, HEADS, TEACHER, STUDENT = 32, 128, 64, 1024, 384


def main(way: str, device: str) -> None:
    """Print the peak."""
    loss(way, *inputs(1, device)).backward()  # libraries, threads and their buffers
    given = inputs(SEQUENCES, device)
    before, _ = memory(device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    loss(way, *given).backward()
    _, peak = memory(device)
    print(round((peak - before) / 2**20))


def inputs(sequences: int, device: str) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Return the projections of teacher and student, and the mask."""
    teacher = [torch.randn(sequences, LENGTH, TEACHER, device=device) for _ in RELATIONS]
    student = [torch.randn(sequences, LENGTH, STUDENT, device=device, requires_grad=True) for _ in RELATIONS]
    return teacher, student, torch.ones(sequences, LENGTH, dtype=torch.long, device=device)


def loss(way: str, teacher: list[Tensor], student: list[Tensor], mask: Tensor) -> Tensor:
    """Return the sum of the three relations' losses."""
    if way == "obvious":
        return obvious_relation_loss(teacher, student, mask, HEADS)
    named = (dict(zip(RELATIONS, tensors, strict=True)) for tensors in (teacher, student))
    return torch.stack(list(relation_loss(*named, mask, HEADS).values())).sum()


def memory(device: str) -> tuple[int, int]:
    """Return what is in memory now, and the most there was, in bytes."""
    if device == "cuda":
        return torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
    # Not getrusage: what it calls the peak begins with that of the process that started this one.
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now, peak = (int(lines[name].split()[0]) * 2**10 for name in ("VmRSS", "VmHWM"))
    return now, peak


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "cpu")
