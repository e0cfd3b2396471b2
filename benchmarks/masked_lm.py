"""A small masked language model for augmented textbooks, where no ready one is at hand.

    python benchmarks/masked_lm.py --out build/masked-lm [--corpus FOLDER] [--model FOLDER] [--tokens 6e6]

Sets a masked-LM head on a pretrained encoder and trains both on general text. What it is worth is measured on
sentences it never saw: the share of masked word pieces that it guesses right (masked as in training: BERT's 15%, of
which 80% show [MASK], 10% another piece, 10% their own), first guess and among the first 15, which is as many as an
augmented textbook draws from. Where the hub can be reached, `google-bert/bert-base-uncased` needs none of this.

The last line of the output is one JSON object; it stands in OUT/masked_lm.json too.
"""

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
)
from transformers.trainer_utils import get_last_checkpoint

ROOT = Path(__file__).resolve().parents[1]
MODEL = Path.home() / ".cache" / "hornbook" / "current" / "model"
GENERAL = ROOT.parent / "shared" / "data" / "general"
HELD_OUT = 4_000  # sentences
LENGTH = 128  # word pieces in a sequence
GUESSES = 15


def read_sentences(folder: Path, wanted: int, seed: int) -> list[list[str]]:
    """Return runs of up to eight neighbouring sentences of a folder of Parquet files, in random order."""
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise SystemExit(f"{folder}: holds no Parquet files")
    texts = [text for file in files for text in pq.read_table(file, columns=["text"]).column("text").to_pylist()]
    starts = np.random.default_rng(seed).permutation(np.arange(0, len(texts), 8))
    runs, found = [], 0
    for start in starts:
        runs.append(texts[start : start + 8])
        found += len(runs[-1])
        if found >= wanted:
            break
    return runs


def sequences(runs: list[list[str]], tokenizer: Any, joined: bool) -> list[list[int]]:
    """Return token ids: each sentence for itself, or the sentences of a run joined and cut."""
    texts = [" ".join(run) for run in runs] if joined else [text for run in runs for text in run]
    ids: list[list[int]] = tokenizer(texts, truncation=True, max_length=LENGTH)["input_ids"]
    return ids


def masked_logits(model: Any, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return what the head says of the masked positions alone, [masked, vocabulary], and what stood there."""
    labels = inputs.pop("labels")
    hidden = model.bert(**inputs).last_hidden_state
    chosen = labels != -100
    return model.cls(hidden[chosen]), labels[chosen]


class MaskedTrainer(Trainer):
    """The Trainer with a head that is computed where something is masked: a third of the work of all positions."""

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
        """Return the mean cross-entropy of the masked pieces."""
        logits, wanted = masked_logits(model, dict(inputs))
        loss = torch.nn.functional.cross_entropy(logits, wanted)
        return (loss, {"logits": logits}) if return_outputs else loss


def new_model(folder: Path, tokenizer: Any, ids: list[list[int]]) -> PreTrainedModel:
    """Return the encoder under a new head, whose bias is each piece's logarithmic frequency in `ids`."""
    torch.manual_seed(0)
    model = BertForMaskedLM.from_pretrained(folder, dtype=torch.float32)
    counts = np.bincount(np.concatenate([np.array(row) for row in ids]), minlength=len(tokenizer)) + 0.1
    with torch.no_grad():
        model.cls.predictions.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))
        model.cls.predictions.transform.dense.weight.copy_(torch.eye(model.config.hidden_size))
    return model


@torch.inference_mode()
def measure(model: Any, ids: list[list[int]], collate: Any, seed: int = 0) -> dict[str, float]:
    """Return the shares of masked pieces guessed right, at once and among `GUESSES`, and the perplexity."""
    torch.manual_seed(seed)
    model.eval()
    first = among = masked = 0
    loss = 0.0
    for start in range(0, len(ids), 64):
        logits, wanted = masked_logits(model, dict(collate([{"input_ids": row} for row in ids[start : start + 64]])))
        best = logits.topk(GUESSES).indices == wanted[:, None]
        first, among, masked = first + int(best[:, 0].sum()), among + int(best.sum()), masked + len(wanted)
        loss += float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))
    return {
        "masked_accuracy": round(first / masked, 4),
        f"among_{GUESSES}": round(among / masked, 4),
        "perplexity": round(float(np.exp(loss / masked)), 2),
        "masked": masked,
    }


def main() -> None:
    """Train and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, default=GENERAL)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--tokens", type=float, default=6e6)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    runs = read_sentences(options.corpus, HELD_OUT + int(options.tokens / 20), seed=0)
    held_out, rest = runs[: HELD_OUT // 8], runs[HELD_OUT // 8 :]
    ids = sequences(rest, tokenizer, joined=True)
    model = new_model(options.model, tokenizer, ids)
    collate = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    mean_length = np.mean([len(row) for row in ids])
    steps = max(1, int(options.tokens / (mean_length * options.batch)))
    arguments = TrainingArguments(
        output_dir=str(options.out / "checkpoints"),
        max_steps=steps,
        per_device_train_batch_size=options.batch,
        learning_rate=options.learning_rate,
        warmup_steps=max(1, steps // 20),
        weight_decay=0.01,
        lr_scheduler_type="linear",
        logging_steps=50,
        save_steps=250,
        save_total_limit=1,
        report_to=[],
        seed=0,
        remove_unused_columns=False,
        disable_tqdm=True,
    )
    started, cpu = time.monotonic(), time.process_time()
    trainer = MaskedTrainer(
        model=model, args=arguments, train_dataset=[{"input_ids": row} for row in ids], data_collator=collate
    )
    checkpoints = options.out / "checkpoints"
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None)
    minutes, cpu_minutes = (time.monotonic() - started) / 60, (time.process_time() - cpu) / 60
    model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    shutil.rmtree(checkpoints)
    reloaded = AutoModelForMaskedLM.from_pretrained(options.out)
    result = {
        **measure(reloaded, sequences(held_out, tokenizer, joined=False), collate),
        "of": "word pieces of single sentences held out",
        "tokens": int(steps * mean_length * options.batch),
        "steps": steps,
        "minutes": round(minutes, 1),
        "cpu_minutes": round(cpu_minutes, 1),
    }
    (options.out / "masked_lm.json").write_text(json.dumps(result) + "\n", "utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
