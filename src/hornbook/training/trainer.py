"""One Trainer for all training: a whole optimiser step at a time, checkpoints that a killed run goes on from."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.csv
import torch
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from hornbook.errors import HornbookError
from hornbook.models.encode import Batch
from hornbook.progress import Counter, progress
from hornbook.recipe import TrainingConfig
from hornbook.training.steps import StepDataset, only

Loss = Callable[[nn.Module, Batch], Tensor]

LOG_STEPS = 10
_COMPLETE = "complete"


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
    """The Trainer, fed with whole steps in their own order and scored by a function."""

    def __init__(self, *, loss: Loss, score: Callable[[], float] | None, **settings: Any) -> None:
        super().__init__(**settings)
        self._loss = loss
        self._score = score
        self._scored: tuple[int, dict[str, float]] = (-1, {})

    def compute_loss(self, model: nn.Module, inputs: Batch, *_: Any, **__: Any) -> Tensor:
        return self._loss(model, inputs)

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(
            train_dataset if train_dataset is not None else cast(StepDataset, self.train_dataset)
        )

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        assert self._score is not None
        step, metrics = self._scored
        if step != self.state.global_step:  # the Trainer asks twice at the end
            metrics = {"eval_score": self._score()}
            self._scored = (self.state.global_step, metrics)
            self.log(metrics)
        return metrics


class _Watch(TrainerCallback):
    """Shows progress, stops at a loss that is no number, asks for checkpoints by the clock."""

    def __init__(self, counter: Counter, dataset: StepDataset, minutes: float) -> None:
        self.counter, self.dataset, self.seconds = counter, dataset, minutes * 60
        self.saved = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        for step in range(state.global_step):
            self.counter.done += int(self.dataset.encoded.lengths[self.dataset.plan.indices(step)].sum())

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        losses = [row["loss"] for row in state.log_history[-5:] if "loss" in row]
        indices = self.dataset.plan.indices(state.global_step - 1)
        note = f"loss {losses[-1]:.4f}" if losses else ""
        self.counter.advance(int(self.dataset.encoded.lengths[indices].sum()), note)
        # Only where the losses are written too, so that a resumed run writes the same table.
        if state.global_step % LOG_STEPS == 0 and time.monotonic() - self.saved > self.seconds:
            control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        last = state.log_history[-1]
        if not torch.isfinite(torch.tensor(last.get("loss", 0.0))):
            raise HornbookError(
                f"the loss is {last['loss']} at step {state.global_step}: the learning rate {args.learning_rate} is "
                "likely too high, or the model's own weights hold no numbers"
            )

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / _COMPLETE).touch()
        self.saved = time.monotonic()


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
    adam_epsilon: float = 1e-8,
) -> list[dict[str, float]]:
    """Train `model` in place over all steps of `dataset`; go on from the last whole checkpoint in `folder`.

    With `score` (on dev) the weights after the best pass over the data are kept, else the last ones.

    Args:
        model: what learns.
        dataset: a batch a step.
        loss: of a model on a batch, averaged over its sequences.
        config: learning rate, warm-up and the like.
        description: what the progress line says.
        folder: where checkpoints stand while it runs.
        seed: of dropout.
        score: called after each pass; higher is better.
        adam_epsilon: AdamW's epsilon.

    Returns:
        the log: rows with "step" and "loss", "learning_rate", "grad_norm", or "score".

    Raises:
        HornbookError: the loss is not a number.
    """
    scored: dict[str, Any] = {}
    if score is not None:
        every = dataset.plan.per_epoch
        scored = {
            "eval_strategy": "steps",
            "eval_steps": every,
            "save_strategy": "steps",
            "save_steps": every,
            "load_best_model_at_end": True,
            "metric_for_best_model": "eval_score",
            "greater_is_better": True,
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
        report_to="none",
        save_total_limit=1,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
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
            callbacks=[_Watch(counter, dataset, config.checkpoint_minutes)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=_last_checkpoint(folder))
    return [_log_row(row) for row in trainer.state.log_history if "loss" in row or "eval_score" in row]


def write_log(rows: list[dict[str, float]], path: Path) -> None:
    """Write a training log as CSV, one row a line, empty where a column does not apply."""
    names = ("step", "loss", "learning_rate", "grad_norm", "score")
    kept = [name for name in names if any(name in row for row in rows)]
    table = pa.table({name: [row.get(name) for row in rows] for name in kept})
    pa.csv.write_csv(table, path)


def _log_row(row: dict[str, float]) -> dict[str, float]:
    renamed = {"score" if name == "eval_score" else name: value for name, value in row.items()}
    return {n: renamed[n] for n in ("step", "loss", "learning_rate", "grad_norm", "score") if n in renamed}


def _warmup_steps(share: float, steps: int) -> int:
    return min(round(share * steps), steps - 1)


def _last_checkpoint(folder: Path) -> str | None:
    """Return the newest checkpoint that was written whole, and drop the others that were not."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for path in found:
        if not (path / _COMPLETE).is_file():
            shutil.rmtree(path)
    whole = [path for path in found if path.exists()]
    return str(whole[-1]) if whole else None
