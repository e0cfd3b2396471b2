"""Training in several processes started by torchrun: all compute, the first one writes."""

import atexit
import logging
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from hornbook.errors import DiskFull, HornbookError, TrainingError
from hornbook.store import MANIFEST, RESUME, Artifact, Destination, StageContext, make

logger = logging.getLogger("hornbook")

CELL = "cell-"
PART = "part-"


def process() -> tuple[int, int]:
    """Return this process's number, from 0, and the number of processes; (0, 1) outside torchrun."""
    if not torch.distributed.is_torchelastic_launched():
        return 0, 1
    state = _joined()
    return int(state.process_index), int(state.num_processes)


@cache
def _joined() -> PartialState:
    """Join the group of processes; leave it at exit, as its threads must not outlive the interpreter."""
    state = PartialState(cpu=not torch.cuda.is_available())
    atexit.register(_leave)
    return state


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def agreed(value: Any) -> Any:
    """Return the first process's value in all processes."""
    if process()[1] == 1:
        return value
    holder = [value]
    torch.distributed.broadcast_object_list(holder)
    return holder[0]


def wait_for_all() -> None:
    """Wait until every process is here."""
    if process()[1] > 1:
        torch.distributed.barrier()


def make_together(out: Destination, *, build: Callable[[StageContext], None], **identity: Any) -> Artifact:
    """Make the artefact of a training stage in all processes together; in one process, this is `store.make`.

    The first process locks, writes and publishes. The others compute with it from the same checkpoints, write to
    temporary folders of their own, and then find the artefact finished. All processes must share a file system.

    Args:
        out: the artefact's folder, or a store.
        build: computes the artefact into the folder of its context.
        identity: stage, version, config, inputs and seed; see `store.make`.

    Returns:
        the artefact.
    """
    index, count = process()

    def attempt(context: StageContext) -> None:
        try:
            build(context)
        except BaseException as error:
            if isinstance(error, TrainingError) or not _worth_resuming(context.resume):
                context.discard_resume_state()
            raise

    if count == 1:
        return make(out, build=attempt, **identity)
    if index == 0:

        def lead(context: StageContext) -> None:
            agreed(context.resume.resolve())
            attempt(context)

        try:
            made = make(out, build=lead, **identity)
        except HornbookError as error:
            if not isinstance(error, DiskFull):  # torchrun ends the others, which do not know of it
                agreed(None)
            raise
        agreed(None)  # nothing is left to build; the others find it finished
        return made
    logger.setLevel(logging.ERROR)  # only the first one reports
    if checkpoints := agreed(None):
        with tempfile.TemporaryDirectory() as own:
            (Path(own) / RESUME).symlink_to(checkpoints)
            # An error in the input occurs in all processes: wait for the first one to end. An error of this one alone
            # (its memory, say) ends it at once, and torchrun ends the others, which would wait for it.
            try:
                build(StageContext(Path(own)))
            except HornbookError:
                agreed(None)
                raise
            agreed(None)
    return make(out, build=build, **identity)


def _worth_resuming(resume: Path) -> bool:
    """Return whether a checkpoint, a part or a finished cell is left; token ids alone are quickly made again."""
    patterns = ("checkpoint-*", f"{PART}*", f"{CELL}*/{MANIFEST}", f".{CELL}*/{RESUME}/checkpoint-*")
    return any(next(resume.glob(pattern), None) for pattern in patterns)
