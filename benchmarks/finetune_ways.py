"""What finetune.py compares: fine-tuning by hornbook's steps, and by transformers' Trainer in three ways."""

import copy
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from hornbook.models.encode import Encoded
from hornbook.recipe import FinetuneConfig
from hornbook.training.callbacks import LOG_STEPS
from hornbook.training.finetune import task_loss
from hornbook.training.steps import StepDataset, StepPlan, epoch_steps
from hornbook.training.trainer import train, use_bfloat16

Step = NDArray[np.int64]  # the indices of an optimiser step's sequences
Log = list[dict[str, float]]

# The Trainer's own settings: which order it takes the sequences in, and how it pads a batch.
TRAINER_WAYS = {
    "group_by_length": ("group_by_length", "longest"),
    "plain": ("random", "longest"),
    "max_length": ("random", "max_length"),
}


@dataclass(frozen=True)
class Setting:
    """What all ways share.

    Attributes:
        classifier: the model to begin with; every run trains a copy.
        tokenizer: its tokenizer, which pads for the Trainer.
        encoded: the texts of the sample as token ids.
        labels: their labels, shape (sequences,).
        config: hornbook's settings; the Trainer gets the same.
    """

    classifier: Any
    tokenizer: Any
    encoded: Encoded
    labels: NDArray[np.int64]
    config: FinetuneConfig

    def steps(self, way: str, seed: int) -> list[Step]:
        """Return the steps that a way makes of a whole pass over the sample, without a last one that is not full."""
        lengths, batch = self.encoded.lengths, self.config.batch
        if way == "ours":
            made = epoch_steps(lengths, batch, seed, epoch=0)
        else:
            with tempfile.TemporaryDirectory() as folder:
                trainer = Trainer(
                    model=self.classifier,
                    args=trainer_arguments(self.config, 1, TRAINER_WAYS[way][0], seed, folder),
                    train_dataset=self.features,
                )
            torch.manual_seed(seed)
            order = np.array(list(trainer._get_train_sampler() or []))
            made = [order[i : i + batch] for i in range(0, len(order), batch)]
        return [step for step in made if len(step) == batch]

    def computed(self, way: str, step: Step) -> int:
        """Return how many tokens of a step are computed, padding counted."""
        longest = self.config.max_length if way == "max_length" else int(self.encoded.lengths[step].max())
        return len(step) * longest

    def seconds(self, way: str, steps: Sequence[Step], seed: int) -> float:
        """Return how long a way takes for these steps, within a training that has begun and goes on.

        The shortest of them comes once more before them and after them: the clock goes from the second forward pass
        to the last one, so that neither what a training begins with counts nor what it ends with.
        """
        shortest = min(steps, key=lambda step: self.computed(way, step))
        model, times = copy.deepcopy(self.classifier), []

        def note(*_: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times.append(time.perf_counter())

        model.register_forward_pre_hook(note)
        self.fit(model, way, [shortest, *steps, shortest], seed)
        assert len(times) == len(steps) + 2  # no step is cut into micro-batches
        return times[-1] - times[1]

    def fit(self, model: Any, way: str, steps: Sequence[Step], seed: int) -> Log:
        """Fine-tune a model over these steps; return the log."""
        return _ours(self, model, steps, seed) if way == "ours" else _trainer(self, model, way, steps, seed)

    @cached_property
    def features(self) -> "_Features":
        """The sample as the Trainer takes it."""
        return _Features(self.encoded, self.labels, self.tokenizer.model_input_names)


class _Given(StepPlan):
    """Steps that are given."""

    def __init__(self, steps: Sequence[Step], lengths: NDArray[np.int64]) -> None:
        self.steps = steps
        self.count = self.per_epoch = len(steps)
        self.tokens = sum(int(lengths[step].sum()) for step in steps)

    def indices(self, step: int) -> Step:
        return self.steps[step]


class _InOrder(Trainer):
    """The Trainer, with its sequences in a given order."""

    def __init__(self, *, order: list[int], **settings: Any) -> None:
        super().__init__(**settings)
        self._order = order

    def _get_train_sampler(self, *_: Any) -> Any:
        return self._order


class _Features(torch.utils.data.Dataset[dict[str, Any]]):
    """What a tokenizer's output is to the Trainer: a mapping for each sequence, not padded; all made beforehand."""

    def __init__(self, encoded: Encoded, labels: NDArray[np.int64], names: Sequence[str]) -> None:
        self.rows = []
        for i, label in enumerate(labels.tolist()):
            length, second = int(encoded.lengths[i]), int(encoded.second[i])
            all_inputs = {
                "input_ids": encoded.ids(i).tolist(),
                "attention_mask": [1] * length,
                "token_type_ids": [0] * second + [1] * (length - second),
            }
            self.rows.append({name: all_inputs[name] for name in names} | {"labels": label})

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


def _ours(setting: Setting, model: Any, steps: Sequence[Step], seed: int) -> Log:
    encoded, config = setting.encoded, setting.config
    columns: dict[str, NDArray[Any]] = {
        "gold": setting.labels,
        "gold_weight": np.ones(len(setting.labels), np.float32),
    }
    plan = _Given(steps, encoded.lengths)
    dataset = StepDataset(encoded, plan, columns, max_tokens=config.micro_batch_tokens)
    with tempfile.TemporaryDirectory() as folder:
        loss = task_loss("classification")
        return train(model, dataset, loss, config, description="ours", folder=Path(folder), seed=seed)


def _trainer(setting: Setting, model: Any, way: str, steps: Sequence[Step], seed: int) -> Log:
    order, padding = TRAINER_WAYS[way]
    collator = DataCollatorWithPadding(setting.tokenizer, padding, max_length=setting.config.max_length)
    with tempfile.TemporaryDirectory() as folder:
        trainer = _InOrder(
            order=np.concatenate(steps).tolist(),
            model=model,
            args=trainer_arguments(setting.config, len(steps), order, seed, folder),
            train_dataset=setting.features,
            data_collator=collator,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return [row for row in trainer.state.log_history if "loss" in row]


def trainer_arguments(config: FinetuneConfig, steps: int, order: str, seed: int, folder: str) -> TrainingArguments:
    """Return the Trainer's settings that do what hornbook's do."""
    arguments = TrainingArguments(
        output_dir=folder,
        num_train_epochs=1,
        per_device_train_batch_size=config.batch,
        train_sampling_strategy=order,
        learning_rate=config.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=min(round(config.warmup * steps), steps - 1),
        weight_decay=config.weight_decay,
        max_grad_norm=config.clip,
        bf16=use_bfloat16(config.precision),
        use_cpu=not torch.cuda.is_available(),
        seed=seed,
        logging_steps=min(LOG_STEPS, steps),
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
        remove_unused_columns=False,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
