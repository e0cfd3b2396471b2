"""Callbacks of the Trainer: progress, timed checkpoints, early stopping, trackers."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback, TrainerCallback

from hornbook.errors import HornbookError, TrainingError, nearest
from hornbook.machine.load import Lookout
from hornbook.machine.progress import Counter
from hornbook.training.checkpoints import mark_complete
from hornbook.training.processes import agreed, wait_for_all
from hornbook.training.steps import StepDataset

LOG_STEPS = 10
TENSORBOARD = "tensorboard"
# In a run of at least _JUDGED_RUN steps, the mean loss of the last _JUDGED_OVER steps, _JUDGED_AFTER steps after the
# warm-up, must be below that of the first _JUDGED_OVER.
_JUDGED_RUN, _JUDGED_AFTER, _JUDGED_OVER = 500, 200, 20


class Watch(TrainerCallback):
    """Shows progress, stops a run that does not learn, requests checkpoints at intervals and marks them complete."""

    def __init__(self, counter: Counter, dataset: StepDataset, minutes: float, must_fall: bool) -> None:
        self.counter, self.dataset, self.seconds, self.must_fall = counter, dataset, minutes * 60, must_fall
        self.saved = time.monotonic()
        self.lookout = Lookout()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Count the steps of the earlier run."""
        if state.global_step:
            self.counter.skip(sum(self.dataset.tokens(step) for step in range(state.global_step)))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Advance the progress line; request a log, a score or a checkpoint if one is due."""
        self.counter.advance(self.dataset.tokens(state.global_step - 1), _note(state.log_history))
        if args.eval_steps and state.global_step % args.eval_steps == 0:
            control.should_log = True  # a checkpoint is taken here
        if state.global_step == state.max_steps:
            control.should_log = True  # no step goes unlogged
            if args.eval_steps:
                control.should_evaluate = control.should_save = True
        # Only where the losses are written too, so that a resumed run writes the same table.
        if state.global_step % LOG_STEPS == 0 and agreed(time.monotonic() - self.saved > self.seconds):
            control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop the run if the loss is not finite or does not fall."""
        last = state.log_history[-1]
        if "loss" not in last:
            return
        if not torch.isfinite(torch.tensor(last["loss"])):
            raise not_finite(last["loss"], state.global_step, args.learning_rate)
        judged = args.warmup_steps + _JUDGED_AFTER
        if self.must_fall and state.max_steps >= _JUDGED_RUN and 0 <= state.global_step - judged < LOG_STEPS:
            _refuse_flat(state, args.learning_rate)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark a checkpoint complete; advise once if the machine's load has changed."""
        wait_for_all()  # each process writes the state of its own random numbers
        if state.is_world_process_zero:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            mark_complete(checkpoint)
            if args.device.type == "cpu" and (advice := self.lookout.look()):
                self.counter.say(advice)
        self.saved = time.monotonic()


class Patience(EarlyStoppingCallback):
    """Stops early, also in a resumed run whose patience had already run out."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Stop at once if no patience is left."""
        super().on_train_begin(args, state, control, **more)  # type: ignore[no-untyped-call]
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True


class CallAfterSteps(TrainerCallback):
    """Calls functions after some steps."""

    def __init__(self, keep: Mapping[int, Callable[[], None]]) -> None:
        self.keep = keep

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Call what is due after this step."""
        if state.global_step in self.keep:
            self.keep[state.global_step]()


def check_report_to(names: Sequence[str]) -> None:
    """Check that the Trainer knows the trackers that a recipe names, and that they are installed.

    Args:
        names: the trackers, as in `report_to` of the recipe.

    Raises:
        HornbookError: one is not.
    """
    from transformers.integrations import integration_utils

    known = list(integration_utils.INTEGRATION_TO_CALLBACK)
    installed = integration_utils.get_available_reporting_integrations() if names else []  # type: ignore[no-untyped-call]
    for name in names:
        if name not in known:
            near = nearest(name, known)
            raise HornbookError(f"report_to: no tracker {name!r}; the nearest is {near!r} of {', '.join(known)}")
        if name not in installed:
            package = "'hornbook[tensorboard]'" if name == TENSORBOARD else name
            raise HornbookError(f"report_to: {name} is not installed; pip install {package}")


def tensorboard(folder: Path) -> TrainerCallback:
    """Return a callback that writes curves to `tensorboard/NAME` beside the artefact, which outlive the run."""
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations.integration_utils import TensorBoardCallback

    name = folder.parent.name.removeprefix(".").removesuffix(".partial")
    callback: TrainerCallback = TensorBoardCallback(SummaryWriter(str(folder.parents[1] / TENSORBOARD / name)))  # type: ignore[no-untyped-call]
    return callback


def _note(history: list[dict[str, float]]) -> str:
    last = next((row for row in reversed(history[-5:]) if "loss" in row), None)
    if last is None:
        return ""
    parts = ", ".join(f"{n.removeprefix('loss_')} {v:.3f}" for n, v in last.items() if n.startswith("loss_"))
    return f"loss {last['loss']:.4f}{f' ({parts})' if parts else ''}, padding {last['padding']:.1%}"


def not_finite(loss: float, step: int, learning_rate: float) -> TrainingError:
    """Return the error of a loss that is infinite or not a number."""
    return TrainingError(
        f"the loss is {loss} at step {step}: the learning rate {learning_rate} is likely too high, or the model's "
        "own weights are not numbers"
    )


def _refuse_flat(state: Any, learning_rate: float) -> None:
    losses = {row["step"]: row["loss"] for row in state.log_history if "loss" in row}
    first = [loss for step, loss in losses.items() if step <= _JUDGED_OVER]
    recent = [loss for step, loss in losses.items() if step > state.global_step - _JUDGED_OVER]
    before, after = sum(first) / len(first), sum(recent) / len(recent)
    if after >= before:
        raise TrainingError(
            f"the loss does not fall: {before:.4f} over the first {_JUDGED_OVER} steps, {after:.4f} at step "
            f"{state.global_step}: the learning rate {learning_rate} is likely too high (it diverged) or far too "
            "low, or teacher and textbook do not fit together (another language, another tokenizer)"
        )
