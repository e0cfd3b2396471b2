"""Label the rows of a file: read them, ask what is not answered yet, write them in their order with their labels."""

import asyncio
import json
import logging
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from hornbook.errors import HornbookError
from hornbook.inference.formats import writer_of
from hornbook.inference.output import refuse_existing
from hornbook.inference.rows import STDIN, find_columns, open_windows, readable, suffix_of
from hornbook.labelling.answer import Answer
from hornbook.labelling.answers import AnswerFile, key_of, open_answers
from hornbook.labelling.ask import Asked, Question, ask_all, samples_needed
from hornbook.labelling.cost import Cost
from hornbook.labelling.prompt import Prompt, read_prompt
from hornbook.machine.tables.json_lines import LinesWindow
from hornbook.recipe import LabelConfig

logger = logging.getLogger("hornbook")

_DIGITS = 6
_LOW_MASS = 0.5
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Labelled:
    """What `label_file` has done.

    Attributes:
        rows: the rows with a label.
        refused: rows that the model or its filter refused to label.
        nonsense: rows whose answer is no label.
        cut: rows whose answer was longer than `answer_tokens`.
        rejected: rows that the server refuses, such as those that are too long.
        left: rows that are not answered, because a limit was reached.
        skipped: rows of the input without a text.
        calls: the calls of this run that were answered.
        tokens: the tokens of all answers to these rows, of this and earlier runs.
        samples: the answers per text; 1 with log-probabilities.
        low_mass: rows whose answer is a label with a probability below 0.5.
        stopped: the limit that was reached, None if none was.
        first_fault: the first row without a label, and why.
    """

    rows: int
    refused: int
    nonsense: int
    cut: int
    rejected: int
    left: int
    skipped: int
    calls: int
    tokens: int
    samples: int
    low_mass: int
    stopped: str | None
    first_fault: str | None


@dataclass(frozen=True)
class _Rows:
    """The rows of the input that have a text, and those that have none."""

    numbers: list[str]
    texts: list[str]
    pairs: list[str] | None
    faults: list[str]


def label_file(
    source: Path | str,
    out: Path | str,
    *,
    endpoint: str,
    model: str,
    prompt: Path | str,
    config: LabelConfig,
    answers: Path | str | None = None,
    format: str | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> Labelled:
    """Label the rows of a file with a language model, and write them in their order with their probabilities.

    Columns of the result: `text`, `text_pair` for pairs, `label`, and the probability of each label under its name.
    Rows without an answer that is a label are left out and counted. Each answer is kept in `answers` as soon as it
    arrives: if a run is killed, the same call makes only the calls that are not answered.

    Args:
        source: JSON lines, CSV, TSV or Parquet; `-` is the standard input.
        out: the file to make: .jsonl, .csv, .tsv or .parquet.
        endpoint: an OpenAI-compatible address, such as http://localhost:8000/v1. Its key is in OPENAI_API_KEY.
        model: the name of the model there.
        prompt: a file with the question: {text} in it is the text, {text_pair} its pair, {labels} the labels.
        config: the labels, and how they are asked for.
        answers: the file of answers. Default: beside `out`, `NAME.answers.jsonl`.
        format: the format of the input, if its name does not state it.
        force: replace `out` if it is there; answers are kept.
        dry_run: only log what it would cost.

    Returns:
        how many rows have a label, and what became of the others.

    Raises:
        HornbookError: a file cannot be read, the server refuses or cannot be reached, or no row has a label.
    """
    source, out = str(source), Path(out)
    writer = writer_of(out.suffix.lower())
    refuse_existing(out, force or dry_run)
    question = read_prompt(Path(prompt), config.labels)
    rows = _read(source, suffix_of(source, format), question, config)
    questions, keys = _questions(rows, question, model, config)
    cost = Cost(max(map(len, config.labels)))
    with open_answers(Path(answers) if answers else out.with_name(f"{out.stem}.answers.jsonl")) as kept:
        for one in questions:
            for answer in kept.of(one.key):
                cost.add(one.prompt, answer)
        _say_cost(questions, kept, config, cost)
        needed = samples_needed(questions, kept, config)
        if dry_run:
            asked = Asked(needed or 1, stopped="--dry-run")
        else:
            asked = _run(ask_all(questions, kept, endpoint, model, config, cost))
        found = [_outcome(kept.of(key)[: asked.samples], asked, key) for key in keys]
        done = _summary(rows, found, kept, keys, asked, cost)
    labelled = [i for i, (outcome, _) in enumerate(found) if outcome == "label"]
    if dry_run:
        return done
    if not labelled:
        raise HornbookError(f"no row has a label: {done.first_fault}")
    part = out.with_name(f".{out.name}.part")
    part.write_bytes(writer.encode(_window(rows, labelled), _added(config, [found[i][1] for i in labelled])))
    writer.finish(part, out)
    return done


def _read(source: str, suffix: str, prompt: Prompt, config: LabelConfig) -> _Rows:
    """Read the texts of all rows."""
    windows = open_windows(source, suffix)
    first = next(windows, None)
    if first is None:
        raise HornbookError(f"{source}: holds no rows")
    if config.text_pair is not None and not prompt.pairs:
        raise HornbookError("--text-pair: the prompt has no {text_pair}")
    pair = (config.text_pair or "text_pair") if prompt.pairs else None
    columns = find_columns(first, source, config.text, pair)
    rows = _Rows([], [], [] if prompt.pairs else None, [])
    for window in chain([first], windows):
        found = readable(window, columns, source)
        if found.faults and config.bad_rows == "fail":
            raise HornbookError(f"{found.faults[0]}; correct it, or leave such rows out with --bad-rows skip")
        rows.numbers.extend(f"{window.unit} {number}" for number in found.window.numbers)
        rows.texts.extend(found.texts)
        rows.faults.extend(found.faults)
        if rows.pairs is not None:
            rows.pairs.extend(found.pairs or ())
    where = "standard input" if source == STDIN else source
    rows.numbers[:] = [f"{where}: {number}" for number in rows.numbers]
    return rows


def _questions(rows: _Rows, prompt: Prompt, model: str, config: LabelConfig) -> tuple[list[Question], list[str]]:
    """Return each question once, and the key of each row's question."""
    questions: dict[str, Question] = {}
    keys = []
    for i, text in enumerate(rows.texts):
        pair = None if rows.pairs is None else rows.pairs[i]
        filled = prompt.fill(text, pair)
        key = key_of(filled, text, pair, model, config)
        questions.setdefault(key, Question(key, filled))
        keys.append(key)
    return list(questions.values()), keys


def _say_cost(questions: Sequence[Question], answers: AnswerFile, config: LabelConfig, cost: Cost) -> None:
    """Log what is left to ask, before anything is asked."""
    needed = samples_needed(questions, answers, config)
    missing = [(one, max((needed or 1) - len(answers.of(one.key)), 0)) for one in questions]
    calls = sum(count for _, count in missing)
    tokens = sum(cost.estimate(one.prompt) * count for one, count in missing)
    limits = [f"--most-calls {config.most_calls:,}"] if config.most_calls else []
    limits += [f"--most-tokens {config.most_tokens:,}"] if config.most_tokens else []
    times = f"; {config.samples} times as much if the server gives no log-probabilities"
    logger.info(
        "%s different texts, %s calls answered already (%s tokens): %s calls to make, about %s tokens (%s)%s%s",
        *(f"{n:,.0f}" for n in (len(questions), cost.calls, cost.spent, calls, tokens)),
        cost.basis,
        times if needed is None and config.samples > 1 else "",
        f"; stops at {' or '.join(limits)}" if limits else "",
    )


def _run(asking: Coroutine[Any, Any, Asked]) -> Asked:
    """Run a coroutine in a thread of its own; where this one is interrupted, calls in flight are cancelled.

    Python raises a signal inside whatever the main thread runs, and a task does not survive that cleanly; and in a
    notebook the main thread runs a loop already.
    """
    found: Future[Asked] = Future()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def ask() -> Asked:
        task = asyncio.current_task()
        assert task is not None
        running.append((asyncio.get_running_loop(), task))
        return await asking

    def run() -> None:
        try:
            found.set_result(asyncio.run(ask()))
        except BaseException as error:
            found.set_exception(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        return found.result()
    finally:
        for loop, task in running:
            if not found.done():
                loop.call_soon_threadsafe(task.cancel)
            thread.join(_PATIENCE_SECONDS)  # not for ever: a connection may not close


def _outcome(answers: Sequence[Answer], asked: Asked, key: str) -> tuple[str, Sequence[Answer]]:
    """Return what became of a question, and its answers that are labels."""
    labels = [one for one in answers if one.outcome == "label"]
    if key in asked.rejected:
        return "rejected", ()
    if len(answers) < asked.samples:
        return "left", ()
    return ("label", labels) if labels else (answers[0].outcome, answers)


def _summary(
    rows: _Rows,
    found: Sequence[tuple[str, Sequence[Answer]]],
    answers: AnswerFile,
    keys: Sequence[str],
    asked: Asked,
    cost: Cost,
) -> Labelled:
    count = Counter(outcome for outcome, _ in found)
    faults = (
        f"{where}: {outcome}: {asked.rejected.get(key) or (answers.of(key)[0].said if answers.of(key) else '')!r}"
        for where, key, (outcome, _) in zip(rows.numbers, keys, found, strict=True)
        if outcome not in ("label", "left")
    )
    low = [one for outcome, ones in found if outcome == "label" for one in ones if (one.mass or 1) < _LOW_MASS]
    return Labelled(
        rows=count["label"],
        refused=count["refused"],
        nonsense=count["nonsense"],
        cut=count["cut"],
        rejected=count["rejected"],
        left=count["left"],
        skipped=len(rows.faults),
        calls=asked.calls,
        tokens=round(cost.spent),
        samples=asked.samples,
        low_mass=len(low),
        stopped=asked.stopped,
        first_fault=next(chain(faults, rows.faults), None),
    )


def _window(rows: _Rows, kept: Sequence[int]) -> LinesWindow:
    """Return the texts of some rows as rows of JSON lines."""
    pairs = rows.pairs
    values: list[dict[str, Any]] = [
        {"text": rows.texts[i], **({} if pairs is None else {"text_pair": pairs[i]})} for i in kept
    ]
    lines = [json.dumps(value, ensure_ascii=False) for value in values]
    return LinesWindow([i + 1 for i in kept], lines, values, {})


def _added(config: LabelConfig, found: Sequence[Sequence[Answer]]) -> Mapping[str, Sequence[Any]]:
    """Return labels and probabilities: the mean of the answers, each of them probabilities or one label."""
    shares = np.array([np.mean(list(_vectors(config, answers)), axis=0) for answers in found])
    labels = [config.labels[i] for i in shares.argmax(axis=1)]
    columns = zip(config.labels, np.round(shares, _DIGITS).T.tolist(), strict=True)
    return {"label": labels, **dict(columns)}


def _vectors(config: LabelConfig, answers: Sequence[Answer]) -> Iterator[Sequence[float]]:
    for answer in answers:
        yield answer.shares or [float(label == answer.label) for label in config.labels]
