"""Checkpoints that a killed run resumes from: checking, deleting, and the disk space they take.

A checkpoint is valid once a list of its files' checksums has been written after them.
"""

import logging
import shutil
from pathlib import Path

from torch import nn
from transformers.trainer import OPTIMIZER_NAME, TRAINER_STATE_NAME

from hornbook.errors import HornbookError
from hornbook.machine import disk
from hornbook.machine.parsing import read_json
from hornbook.store import checksum, write_json
from hornbook.training.processes import process, wait_for_all

logger = logging.getLogger("hornbook")

_COMPLETE = "complete.json"


def bytes_needed(model: nn.Module, *, scored: bool, snapshots: int = 0) -> int:
    """Return the most bytes that checkpoints and the model take on disk during a training.

    A checkpoint holds the weights and twice as much for AdamW. There are at most two, the last one and the one being
    written; besides these the weights with the best score, if there are scores, and the snapshots.
    """
    own = [part.numel() * part.element_size() for part in model.parameters()]
    learning = [part.numel() * part.element_size() for part in model.parameters() if part.requires_grad]
    return 2 * (sum(own) + 2 * sum(learning)) + (int(scored) + snapshots) * sum(own)


def warn_of_space(folder: Path, needed: int) -> None:
    """Warn if the disk of `folder` has fewer than `needed` bytes free, counting those that the folder takes."""
    if process()[0] == 0 and (room := disk.free(folder) + disk.size_of(folder)) < needed:
        logger.warning(
            *("%s: %s are free; checkpoints take up to %s during training", folder),
            *(disk.megabytes(room), disk.megabytes(needed)),
        )


def mark_complete(checkpoint: Path) -> None:
    """Write the list of checksums that makes a checkpoint valid."""
    write_json(checkpoint / _COMPLETE, _checksums(checkpoint))


def _checksums(checkpoint: Path) -> dict[str, str]:
    files = sorted(p for p in checkpoint.iterdir() if p.is_file() and p.name != _COMPLETE)
    return {path.name: checksum(path) for path in files}


def _is_intact(checkpoint: Path, *, but: str | None = None) -> bool:
    """Return whether a checkpoint is unchanged, ignoring one of its files."""
    try:
        listed: dict[str, str] = dict(read_json(checkpoint / _COMPLETE))
        found = _checksums(checkpoint)
    except (HornbookError, OSError, ValueError, TypeError):
        return False
    names = listed.keys() - {but}
    return names == found.keys() - {but} and all(listed[name] == found[name] for name in names)


def _best_of(checkpoint: Path) -> Path | None:
    """Return the checkpoint with the best score when this one was taken, None if nothing was scored."""
    best = read_json(checkpoint / TRAINER_STATE_NAME).get("best_global_step")
    return checkpoint.with_name(f"checkpoint-{best}") if best else None


def last_checkpoint(folder: Path) -> str | None:
    """Return the newest checkpoint that a run can resume from, or None; delete the others.

    It is intact, and so are the weights with the best score up to it, which are kept too.
    """
    if process()[0] == 0:
        _drop_others(folder)
    wait_for_all()
    found = _checkpoints(folder)
    return str(found[0]) if found else None


def _drop_others(folder: Path) -> None:
    kept: set[Path] = set()
    for path in _checkpoints(folder):
        if kept or not _is_intact(path):
            continue
        best = _best_of(path)
        if best is None or best == path:
            kept = {path}
        elif _is_intact(best, but=OPTIMIZER_NAME):
            (best / OPTIMIZER_NAME).unlink(missing_ok=True)  # two thirds of its size, and no run resumes from it
            kept = {path, best}
    for path in _checkpoints(folder):
        if path not in kept:
            shutil.rmtree(path)


def _checkpoints(folder: Path) -> list[Path]:
    """Return the folders of all checkpoints, the newest first."""
    return sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True)
