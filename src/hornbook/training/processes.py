"""One training in several processes, as torchrun starts them: the first writes, all compute."""

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


def process() -> tuple[int, int]:
    """Return which of several processes this is, and how many there are; (0, 1) outside torchrun."""
    if not torch.distributed.is_torchelastic_launched():
        return 0, 1
    state = _joined()
    return int(state.process_index), int(state.num_processes)


@cache
def _joined() -> PartialState:
    """Join the group of processes; it is left at the end, for its threads may not outlive the interpreter."""
    state = PartialState(cpu=not torch.cuda.is_available())
    atexit.register(_leave)
    return state


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def agreed(value: Any) -> Any:
    """Return what the first process passed, in all of them."""
    if process()[1] == 1:
        return value
    holder = [value]
    torch.distributed.broadcast_object_list(holder)
    return holder[0]


def wait_for_all() -> None:
    """Wait until every process has come here."""
    if process()[1] > 1:
        torch.distributed.barrier()


def make_together(out: Destination, *, build: Callable[[StageContext], None], **identity: Any) -> Artifact:
    """Make the artefact of a training stage in all processes at once; alone, the same as `artifact.make`.

    The first process locks, writes and publishes. The others compute beside it with the same checkpoints,
    write what they write to a folder of their own that is thrown away, and find the artefact finished.
    All processes must see one file system.
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
            if not isinstance(error, DiskFull):  # the others do not know of it: torchrun ends them
                agreed(None)
            raise
        agreed(None)  # nothing is left to build; the others go on to find it finished
        return made
    logger.setLevel(logging.ERROR)  # the first one tells what happens
    if checkpoints := agreed(None):
        with tempfile.TemporaryDirectory() as own:
            (Path(own) / RESUME).symlink_to(checkpoints)
            # What is wrong with the input is so in all processes: wait for the first one's end. What is wrong with
            # this one alone (its memory, say) ends it at once, and torchrun the others, who would wait for it.
            try:
                build(StageContext(Path(own)))
            except HornbookError:
                agreed(None)
                raise
            agreed(None)
    return make(out, build=build, **identity)


def _worth_resuming(resume: Path) -> bool:
    """Whether a training left a checkpoint, or a grid one or a whole cell; token ids are soon made again."""
    patterns = ("checkpoint-*", f"{CELL}*/{MANIFEST}", f".{CELL}*/{RESUME}/checkpoint-*")
    return any(next(resume.glob(pattern), None) for pattern in patterns)
