"""One Trainer for all training: a whole optimiser step at a time, checkpoints that a killed run goes on from."""

import difflib
import json
import logging
import multiprocessing
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, SequentialSampler
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer import OPTIMIZER_NAME, TRAINER_STATE_NAME
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_pt_utils import nested_gather

from hornbook.errors import HornbookError, TrainingError
from hornbook.machine import disk
from hornbook.machine.load import Lookout
from hornbook.machine.progress import Counter, progress
from hornbook.models.encode import Batch
from hornbook.models.taps import Tapped
from hornbook.recipe import TrainingConfig
from hornbook.store import checksum, write_json
from hornbook.training.processes import agreed, process, wait_for_all
from hornbook.training.steps import MicroBatch, StepDataset, only

# A model's losses on a batch by name, each averaged over its sequences; what is learned is their sum.
Loss = Callable[[nn.Module, Batch], Mapping[str, Tensor]]

logger = logging.getLogger("hornbook")

LOG_STEPS = 10
_COMPLETE = "complete.json"
_TENSORBOARD = "tensorboard"
# A run of so many steps must show a lower loss, so many steps after its warm-up, than in its first steps.
_JUDGED_RUN, _JUDGED_AFTER, _JUDGED_OVER = 500, 200, 20


def use_bfloat16(precision: str) -> bool:
    """Return whether to compute in bfloat16: as asked for, or where the hardware multiplies it faster.

    Processors without AMX have instructions for it, but lose to float32 with them (docs/log.md).
    """
    if precision != "auto":
        return precision == "bfloat16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16", False))


class _StepTrainer(Trainer):
    """The Trainer, fed with whole steps in their own order and scored by a function, with few checkpoints."""

    def __init__(self, *, loss: Loss, score: Callable[[], float] | None, **settings: Any) -> None:
        super().__init__(**settings)
        self._loss = loss
        self._score = score
        self._scored: tuple[int, dict[str, float]] = (-1, {})
        self._parts: dict[str, Tensor] = {}
        self._padded = self._tokens = self._since = 0
        self._clock = time.monotonic()

    def get_train_dataloader(self) -> DataLoader[Any]:
        # Every process goes through all steps and computes its own share of each.
        dataset: Any = self.train_dataset
        settings: dict[str, Any] = {}
        can_fork = "fork" in multiprocessing.get_all_start_methods()  # not on Windows
        if self.args.device.type == "cuda" and can_fork:  # the next step is cut while the GPU computes this one
            # Forked, for the steps lie in memory: pickled, the whole textbook would be copied.
            settings = {"pin_memory": True, "num_workers": 1, "multiprocessing_context": "fork"}
        return DataLoader(dataset, sampler=SequentialSampler(dataset), collate_fn=only, **settings)

    def training_step(self, model: nn.Module, inputs: Any, *_: Any, **__: Any) -> Tensor:
        parts: list[MicroBatch] = inputs
        model.train()
        total = torch.zeros((), device=self.args.device)
        for i, (weight, batch) in enumerate(parts):
            # Processes exchange gradients once a step, with the last micro-batch.
            more = i + 1 < len(parts)
            with self.accelerator.no_sync(model) if more else nullcontext():
                here = {name: part.to(self.args.device, non_blocking=True) for name, part in batch.items()}
                losses = self._loss(model, here)
                loss = torch.stack(list(losses.values())).sum() * weight
                self.accelerator.backward(loss)
            total += loss.detach()
            for name, part in losses.items():
                self._parts[name] = self._parts.get(name, 0) + part.detach() * weight
            self._padded += batch["input_ids"].numel()
            self._tokens += int(batch["attention_mask"].sum())
        self._since += 1
        # On a GPU this would wait for the device at each step, and of several processes one would stop alone: there
        # the log, the same in all of them, finds it before any checkpoint.
        if total.device.type == "cpu" and process()[1] == 1 and not total.isfinite():
            raise _no_number(float(total), self.state.global_step + 1, self.args.learning_rate)
        return total

    def log(self, logs: dict[str, float], *arguments: Any) -> None:
        if "loss" in logs:
            if len(self._parts) > 1:
                own = torch.stack(list(self._parts.values()))
                sums: Any = nested_gather(own, self.args.parallel_mode)  # type: ignore[no-untyped-call]
                means = sums.view(-1, len(self._parts)).mean(dim=0) / self._since
                logs |= {f"loss_{name}": mean for name, mean in zip(self._parts, means.tolist(), strict=True)}
            now = time.monotonic()
            logs["padding"] = 1 - self._tokens / self._padded
            logs["tokens_per_second"] = self._tokens / (now - self._clock) * process()[1]
            self._parts, self._padded, self._tokens, self._since, self._clock = {}, 0, 0, 0, now
        super().log(logs, *arguments)

    def _save_checkpoint(self, *arguments: Any) -> None:
        # Before, not after: the older one goes only when the newer one is known to be whole.
        _last_checkpoint(Path(str(self.args.output_dir)))
        super()._save_checkpoint(*arguments)

    def floating_point_ops(self, inputs: Any) -> int:
        return 0  # counts for one batch, and we have several

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        assert self._score is not None
        step, metrics = self._scored
        if step != self.state.global_step:  # the Trainer asks twice at the end
            metrics = {"eval_score": agreed(self._score())}  # or one might stop early and the others wait
            self._scored = (self.state.global_step, metrics)
            self.log(metrics)
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class _Watch(TrainerCallback):
    """Shows progress, stops where nothing is learned, asks for checkpoints by the clock and marks them whole."""

    def __init__(self, counter: Counter, dataset: StepDataset, minutes: float, must_fall: bool) -> None:
        self.counter, self.dataset, self.seconds, self.must_fall = counter, dataset, minutes * 60, must_fall
        self.saved = time.monotonic()
        self.lookout = Lookout()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step:
            self.counter.skip(sum(self.dataset.tokens(step) for step in range(state.global_step)))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.counter.advance(self.dataset.tokens(state.global_step - 1), _note(state.log_history))
        if args.eval_steps and state.global_step % args.eval_steps == 0:
            control.should_log = True  # a checkpoint is taken here
        if state.global_step == state.max_steps:
            control.should_log = True  # no step stays unseen
            if args.eval_steps:
                control.should_evaluate = control.should_save = True
        # Only where the losses are written too, so that a resumed run writes the same table.
        if state.global_step % LOG_STEPS == 0 and agreed(time.monotonic() - self.saved > self.seconds):
            control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        last = state.log_history[-1]
        if "loss" not in last:
            return
        if not torch.isfinite(torch.tensor(last["loss"])):
            raise _no_number(last["loss"], state.global_step, args.learning_rate)
        judged = args.warmup_steps + _JUDGED_AFTER
        if self.must_fall and state.max_steps >= _JUDGED_RUN and 0 <= state.global_step - judged < LOG_STEPS:
            _refuse_flat(state, args.learning_rate)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        wait_for_all()  # each process writes the state of its own random numbers
        if state.is_world_process_zero:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_json(checkpoint / _COMPLETE, _checksums(checkpoint))
            if args.device.type == "cpu" and (advice := self.lookout.look()):
                self.counter.say(advice)
        self.saved = time.monotonic()


class _Patience(EarlyStoppingCallback):
    """Stops early, also where a run that goes on had run out of patience already."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        super().on_train_begin(args, state, control, **more)  # type: ignore[no-untyped-call]
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True


class _Keep(TrainerCallback):
    """Calls what is to be called after some steps."""

    def __init__(self, keep: Mapping[int, Callable[[], None]]) -> None:
        self.keep = keep

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step in self.keep:
            self.keep[state.global_step]()


def check_report_to(names: Sequence[str]) -> None:
    """Check that the trackers a recipe names are known to the Trainer and installed.

    Raises:
        HornbookError: one is not.
    """
    from transformers.integrations import integration_utils

    known = list(integration_utils.INTEGRATION_TO_CALLBACK)
    installed = integration_utils.get_available_reporting_integrations() if names else []  # type: ignore[no-untyped-call]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise HornbookError(f"report_to: no tracker {name!r}; the nearest is {near!r} of {', '.join(known)}")
        if name not in installed:
            package = "'hornbook[tensorboard]'" if name == _TENSORBOARD else name
            raise HornbookError(f"report_to: {name} is not installed; pip install {package}")


def _tensorboard(folder: Path) -> TrainerCallback:
    """Write curves beside the artefact that is being made: `tensorboard/NAME`, which outlives the run."""
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations.integration_utils import TensorBoardCallback

    name = folder.parent.name.removeprefix(".").removesuffix(".partial")
    callback: TrainerCallback = TensorBoardCallback(SummaryWriter(str(folder.parents[1] / _TENSORBOARD / name)))  # type: ignore[no-untyped-call]
    return callback


def _note(history: list[dict[str, float]]) -> str:
    last = next((row for row in reversed(history[-5:]) if "loss" in row), None)
    if last is None:
        return ""
    parts = ", ".join(f"{n.removeprefix('loss_')} {v:.3f}" for n, v in last.items() if n.startswith("loss_"))
    return f"loss {last['loss']:.4f}{f' ({parts})' if parts else ''}, padding {last['padding']:.1%}"


def _no_number(loss: float, step: int, learning_rate: float) -> TrainingError:
    return TrainingError(
        f"the loss is {loss} at step {step}: the learning rate {learning_rate} is likely too high, or the model's "
        "own weights hold no numbers"
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


def train(
    model: nn.Module,
    dataset: StepDataset,
    loss: Loss,
    config: TrainingConfig,
    *,
    description: str,
    folder: Path,
    seed: int,
    score: Callable[[], float] | None = None,
    score_steps: int | None = None,
    patience: int | None = None,
    adam_epsilon: float = 1e-8,
    must_fall: bool = False,
    keep: Mapping[int, Callable[[], None]] | None = None,
) -> list[dict[str, float]]:
    """Train `model` in place over all steps of `dataset`; go on from the last whole checkpoint in `folder`.

    With `score` (on dev) the weights that score best are kept, else the last ones.

    Args:
        model: what learns.
        dataset: the micro-batches of each step.
        loss: the losses of a model on a batch by name, each averaged over its sequences.
        config: learning rate, warm-up and the like.
        description: what the progress line says.
        folder: where checkpoints stand while it runs.
        seed: of dropout.
        score: called now and then and at the end; higher is better.
        score_steps: steps between its calls; by default one pass over the data.
        patience: stop after so many calls without a better score.
        adam_epsilon: AdamW's epsilon.
        must_fall: stop a long run whose loss has not fallen some time after its warm-up.
        keep: what is called after some of the steps, by their numbers from 1; in the first process only.

    Returns:
        the log: rows with "step" and "loss" (with several of them also "loss_NAME"), "learning_rate", "grad_norm",
        "padding" (a share), "tokens_per_second"; or "step" and "score".

    Raises:
        HornbookError: a tracker is not installed.
        TrainingError: the loss is not a number, or does not fall.
    """
    check_report_to(config.report_to)
    needed = bytes_needed(model, scored=score is not None)
    if process()[0] == 0 and (room := disk.free(folder) + disk.size_of(folder)) < needed:
        logger.warning(
            *("%s: %s are free; checkpoints take up to %s while it trains", folder),
            *(disk.megabytes(room), disk.megabytes(needed)),
        )
    scored: dict[str, Any] = {}
    if score is not None:
        every = min(score_steps or dataset.plan.per_epoch, len(dataset))
        scored = {
            "eval_strategy": "steps",
            "eval_steps": every,
            "save_strategy": "steps",
            "save_steps": every,
            "load_best_model_at_end": True,
            "metric_for_best_model": "eval_score",
            "greater_is_better": True,
            "restore_callback_states_from_checkpoint": patience is not None,
        }
    callbacks: list[TrainerCallback] = [_Keep(keep)] if keep and process()[0] == 0 else []
    if patience is not None:
        callbacks.append(_Patience(patience))
    if _TENSORBOARD in config.report_to and process()[0] == 0:
        callbacks.append(_tensorboard(folder))
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=1,
        learning_rate=config.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=_warmup_steps(config.warmup, len(dataset)),
        weight_decay=config.weight_decay,
        adam_epsilon=adam_epsilon,
        max_grad_norm=config.clip,
        bf16=use_bfloat16(config.precision),
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        logging_steps=LOG_STEPS,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to=[name for name in config.report_to if name != _TENSORBOARD] or "none",
        remove_unused_columns=False,
        ddp_find_unused_parameters=not isinstance(model, Tapped),  # of a tapped model only what is reached learns
        **({"save_strategy": "no"} | scored),
    )
    # A step comes whole out of the dataset: several GPUs take part through torchrun, not through DataParallel.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    with progress(description, dataset.plan.tokens, "tokens") as counter:
        trainer = _StepTrainer(
            model=model,
            args=arguments,
            train_dataset=dataset,
            eval_dataset=dataset if score else None,  # asked for by the Trainer; `evaluate` has its own
            data_collator=only,
            loss=loss,
            score=score,
            callbacks=[_Watch(counter, dataset, config.checkpoint_minutes, must_fall), *callbacks],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=_last_checkpoint(folder))
    _last_checkpoint(folder)  # what is older makes room for the model
    return [_log_row(row) for row in trainer.state.log_history if "loss" in row or "eval_score" in row]


def bytes_needed(model: nn.Module, *, scored: bool, snapshots: int = 0) -> int:
    """Return how many bytes checkpoints, and then the model, take on the disk at most while a model is trained.

    A checkpoint holds the weights and twice as much for AdamW. There is the last one and the next, which is being
    written; where the weights that score best are kept, those besides; and snapshots.
    """
    own = [part.numel() * part.element_size() for part in model.parameters()]
    learning = [part.numel() * part.element_size() for part in model.parameters() if part.requires_grad]
    return 2 * (sum(own) + 2 * sum(learning)) + (int(scored) + snapshots) * sum(own)


def write_log(rows: list[dict[str, float]], path: Path) -> None:
    """Write a training log as CSV, one row a line, empty where a column does not apply.

    What varies from run to run (tokens a second) is left out.
    """
    parts = sorted({name for row in rows for name in row if name.startswith("loss_")})
    names = ("step", "loss", *parts, "learning_rate", "grad_norm", "padding", "score")
    kept = [name for name in names if any(name in row for row in rows)]
    table = pa.table({name: [row.get(name) for row in rows] for name in kept})
    pa.csv.write_csv(table, path)


def _log_row(row: dict[str, float]) -> dict[str, float]:
    renamed = {"score" if name == "eval_score" else name: value for name, value in row.items()}
    return {name: value for name, value in renamed.items() if name != "epoch" and not name.startswith("eval_")}


def _warmup_steps(share: float, steps: int) -> int:
    return min(round(share * steps), steps - 1)


def _checksums(checkpoint: Path) -> dict[str, str]:
    files = sorted(p for p in checkpoint.iterdir() if p.is_file() and p.name != _COMPLETE)
    return {path.name: checksum(path) for path in files}


def _is_whole(checkpoint: Path, *, but: str | None = None) -> bool:
    """Whether a checkpoint is as it was written, one of its files perhaps not counted."""
    try:
        listed: dict[str, str] = json.loads((checkpoint / _COMPLETE).read_text("utf-8"))
        found = _checksums(checkpoint)
    except (OSError, ValueError):
        return False
    names = listed.keys() - {but}
    return names == found.keys() - {but} and all(listed[name] == found[name] for name in names)


def _best_of(checkpoint: Path) -> Path | None:
    """Return the checkpoint whose weights scored best when this one was taken, None where nothing was scored."""
    best = json.loads((checkpoint / TRAINER_STATE_NAME).read_text("utf-8")).get("best_global_step")
    return checkpoint.with_name(f"checkpoint-{best}") if best else None


def _last_checkpoint(folder: Path) -> str | None:
    """Return the newest checkpoint that a run can go on from; of all others only the best weights are left.

    It is as it was written, and so are the weights that were the best by then.
    """
    if process()[0] == 0:
        _drop_others(folder)
    wait_for_all()
    found = _checkpoints(folder)
    return str(found[0]) if found else None


def _drop_others(folder: Path) -> None:
    kept: set[Path] = set()
    for path in _checkpoints(folder):
        if kept or not _is_whole(path):
            continue
        best = _best_of(path)
        if best is None or best == path:
            kept = {path}
        elif _is_whole(best, but=OPTIMIZER_NAME):
            (best / OPTIMIZER_NAME).unlink(missing_ok=True)  # two thirds of it, and nothing goes on from there
            kept = {path, best}
    for path in _checkpoints(folder):
        if path not in kept:
            shutil.rmtree(path)


def _checkpoints(folder: Path) -> list[Path]:
    """Return the folders of all checkpoints, the newest first."""
    return sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True)
