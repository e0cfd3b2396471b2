"""One Trainer for all training: a whole optimiser step at a time, with checkpoints that a killed run resumes from."""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_pt_utils import nested_gather

from hornbook.machine.progress import progress
from hornbook.models.encode import Batch
from hornbook.models.taps import Tapped
from hornbook.recipe import TrainingConfig
from hornbook.training.callbacks import (
    LOG_STEPS,
    TENSORBOARD,
    CallAfterSteps,
    Patience,
    Watch,
    check_report_to,
    not_finite,
    tensorboard,
)
from hornbook.training.checkpoints import bytes_needed, last_checkpoint, warn_of_space
from hornbook.training.processes import agreed, process
from hornbook.training.steps import MicroBatch, StepDataset, unwrap_step

# A model's losses on a batch by name, each averaged over its sequences; their sum is minimised.
Loss = Callable[[nn.Module, Batch], Mapping[str, Tensor]]


def use_bfloat16(precision: str) -> bool:
    """Return whether to compute in bfloat16: as requested, or with "auto" if the hardware multiplies it faster.

    Processors without AMX have instructions for it, but are slower with them than in float32 (docs/log.md).
    """
    if precision != "auto":
        return precision == "bfloat16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16", False))


class _StepTrainer(Trainer):
    """The Trainer, with whole steps in their own order, scored by a function, and few checkpoints."""

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
        return DataLoader(dataset, sampler=SequentialSampler(dataset), collate_fn=unwrap_step, **settings)

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
        # On a GPU this would synchronise at each step, and one of several processes would stop alone: there the log,
        # the same in all of them, finds it before any checkpoint.
        if total.device.type == "cpu" and process()[1] == 1 and not total.isfinite():
            raise not_finite(float(total), self.state.global_step + 1, self.args.learning_rate)
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
        last_checkpoint(Path(str(self.args.output_dir)))
        super()._save_checkpoint(*arguments)

    def floating_point_ops(self, inputs: Any) -> int:
        return 0  # the Trainer's count is for one batch, and a step has several

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        assert self._score is not None
        step, metrics = self._scored
        if step != self.state.global_step:  # the Trainer evaluates twice at the end
            metrics = {"eval_score": agreed(self._score())}  # or one might stop early and the others wait
            self._scored = (self.state.global_step, metrics)
            self.log(metrics)
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


@dataclass(frozen=True)
class Scoring:
    """How a training is scored on dev, and stops early.

    Attributes:
        score: called now and then and at the end; higher is better.
        steps: steps between its calls; by default one pass over the data.
        patience: stop after this many calls without a better score; by default never.
    """

    score: Callable[[], float]
    steps: int | None = None
    patience: int | None = None


def train(
    model: nn.Module,
    dataset: StepDataset,
    loss: Loss,
    config: TrainingConfig,
    *,
    description: str,
    folder: Path,
    seed: int,
    scoring: Scoring | None = None,
    adam_epsilon: float = 1e-8,
    must_fall: bool = False,
    keep: Mapping[int, Callable[[], None]] | None = None,
) -> list[dict[str, float]]:
    """Train `model` in place over all steps of `dataset`; resume from the last intact checkpoint in `folder`.

    With `scoring` the weights with the best score are kept, else the last ones.

    Args:
        model: the module to train.
        dataset: the micro-batches of each step.
        loss: the losses of a model on a batch by name, each averaged over its sequences.
        config: learning rate, warm-up and so on.
        description: the title of the progress line.
        folder: the folder of checkpoints during the training.
        seed: the seed of dropout.
        scoring: how it is scored on dev.
        adam_epsilon: AdamW's epsilon.
        must_fall: stop a long run whose loss has not fallen some time after its warm-up.
        keep: functions to call after some steps, by step number from 1; in the first process only.

    Returns:
        the log: rows with "step" and "loss" (with several of them also "loss_NAME"), "learning_rate", "grad_norm",
        "padding" (a share), "tokens_per_second"; or "step" and "score".

    Raises:
        HornbookError: a tracker is not installed.
        TrainingError: the loss is not a number, or does not fall.
    """
    check_report_to(config.report_to)
    warn_of_space(folder, bytes_needed(model, scored=scoring is not None))
    arguments = _arguments(model, dataset, config, folder, seed, adam_epsilon, scoring)
    callbacks: list[TrainerCallback] = [CallAfterSteps(keep)] if keep and process()[0] == 0 else []
    if scoring is not None and scoring.patience is not None:
        callbacks.append(Patience(scoring.patience))
    if TENSORBOARD in config.report_to and process()[0] == 0:
        callbacks.append(tensorboard(folder))
    with progress(description, dataset.plan.tokens, "tokens") as counter:
        trainer = _StepTrainer(
            model=model,
            args=arguments,
            train_dataset=dataset,
            eval_dataset=dataset if scoring else None,  # the Trainer requires one; `evaluate` has its own
            data_collator=unwrap_step,
            loss=loss,
            score=None if scoring is None else scoring.score,
            callbacks=[Watch(counter, dataset, config.checkpoint_minutes, must_fall), *callbacks],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    last_checkpoint(folder)  # deletes older ones, to make room for the model
    return [_log_row(row) for row in trainer.state.log_history if "loss" in row or "eval_score" in row]


def _arguments(
    model: nn.Module,
    dataset: StepDataset,
    config: TrainingConfig,
    folder: Path,
    seed: int,
    adam_epsilon: float,
    scoring: Scoring | None,
) -> TrainingArguments:
    """Return the Trainer's arguments; see `train`."""
    saving: dict[str, Any] = {"save_strategy": "no"}
    if scoring is not None:
        every = min(scoring.steps or dataset.plan.per_epoch, len(dataset))
        saving = {
            "eval_strategy": "steps",
            "eval_steps": every,
            "save_strategy": "steps",
            "save_steps": every,
            "load_best_model_at_end": True,
            "metric_for_best_model": "eval_score",
            "greater_is_better": True,
            "restore_callback_states_from_checkpoint": scoring.patience is not None,
        }
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
        report_to=[name for name in config.report_to if name != TENSORBOARD] or "none",
        remove_unused_columns=False,
        ddp_find_unused_parameters=not isinstance(model, Tapped),  # in Tapped, parameters no tap reaches are frozen
        **saving,
    )
    # A step comes whole out of the dataset: several GPUs take part through torchrun, not through DataParallel.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def write_log(rows: list[dict[str, float]], path: Path) -> None:
    """Write a training log as CSV, with empty cells where a column does not apply.

    Tokens per second, which vary from run to run, are left out.
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
