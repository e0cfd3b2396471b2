"""Which calls are made: what is not answered yet, several at a time, within the budget."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hornbook.errors import HornbookError
from hornbook.labelling.answer import Answer, read_answer
from hornbook.labelling.answers import AnswerFile
from hornbook.labelling.client import Client, Halted, Refused, connect
from hornbook.labelling.cost import Cost
from hornbook.labelling.dialect import Dialect, first_dialect, request, without
from hornbook.labelling.shares import Spellings
from hornbook.machine.progress import Counter, progress
from hornbook.recipe import LabelConfig

logger = logging.getLogger("hornbook")

_MOST_REJECTED = 20  # calls in a row
_MOST_REFUSED_FIRST = 3  # before anything is answered: one text may be too long


@dataclass(frozen=True)
class Question:
    """A question.

    Attributes:
        key: see `answers.key_of`.
        prompt: the question.
    """

    key: str
    prompt: str


@dataclass
class Asked:
    """What a run has done.

    Attributes:
        samples: the answers that each question needs.
        calls: the calls that were answered.
        rejected: the keys of questions that the server refuses, and its message; they are not paid for.
        stopped: which limit ended the run early, None if none did.
    """

    samples: int
    calls: int = 0
    rejected: dict[str, str] = field(default_factory=dict)
    stopped: str | None = None


def samples_needed(questions: Sequence[Question], answers: AnswerFile, config: LabelConfig) -> int | None:
    """Return how many answers each question needs.

    Args:
        questions: the questions.
        answers: the answers there are.
        config: the settings.

    Returns:
        the number; None if it depends on what the server gives, which no answer shows yet.
    """
    if config.probabilities != "auto":
        return config.samples if config.probabilities == "samples" else 1
    labels = (one for question in questions for one in answers.of(question.key) if one.outcome == "label")
    first = next(labels, None)
    return None if first is None else config.samples if first.shares is None else 1


async def ask_all(
    questions: Sequence[Question],
    answers: AnswerFile,
    endpoint: str,
    model: str,
    config: LabelConfig,
    cost: Cost,
) -> Asked:
    """Ask what is not answered yet, in the order of the questions.

    Args:
        questions: the questions, each key once.
        answers: the answers there are; new ones are added.
        endpoint: the address of the server.
        model: the name of the model.
        config: the settings.
        cost: what the answers there are have cost; new ones are added.

    Returns:
        what was done.

    Raises:
        HornbookError: the server refuses all, or cannot be reached; the answers so far are kept.
    """
    needed = samples_needed(questions, answers, config)
    async with connect(endpoint, config) as client:
        run = _Run(client, answers, model, config, cost, needed)
        await run.settle(deque(questions))
        return await run.finish(questions)


class _Run:
    """One run: what the server understands, what is left to ask, and what was spent."""

    def __init__(
        self,
        client: Client,
        answers: AnswerFile,
        model: str,
        config: LabelConfig,
        cost: Cost,
        needed: int | None,
    ) -> None:
        self._client, self._answers, self._model, self._config = client, answers, model, config
        self._cost, self._settled = cost, needed
        self._spellings = Spellings(config.labels)
        dialect = first_dialect(config)
        # A server that gave no log-probabilities before is not asked for them again.
        self._dialect = replace(dialect, logprobs=dialect.logprobs and (needed == 1 or needed is None))
        self._reserved, self._in_flight, self._rejected_in_row = 0.0, 0, 0
        self._todo: deque[Question] = deque()
        self._counter: Counter | None = None
        self._failed: HornbookError | None = None
        self.asked = Asked(needed or 1)

    async def settle(self, left: deque[Question]) -> None:
        """Ask one after the other until the server has shown what it understands and gives."""
        tried: list[Answer] = []
        while left:
            question = left.popleft()
            if len(self._answers.of(question.key)) >= self.asked.samples:
                continue
            if not self._may_ask(question):
                return
            try:
                tried.append(await self._settle_on(question))
            except Refused as refusal:
                self._reject(question, str(refusal), _MOST_REFUSED_FIRST)
            if self._failed is not None:
                raise self._failed
            if tried and tried[-1].outcome == "label":
                self._settled = self._settled or (1 if tried[-1].shares else self._config.samples)
                self._check_logprobs(tried[-1])
                self.asked.samples = self._settled
                return
            if len(tried) >= _MOST_REJECTED:
                raise HornbookError(
                    f"none of the first {len(tried)} answers is a label, the last: {tried[-1].outcome}: "
                    f"{tried[-1].said!r}; correct the prompt, or see --answer and --answer-tokens"
                )

    async def finish(self, questions: Sequence[Question]) -> Asked:
        """Ask all that is left, several at a time."""
        needed = self.asked.samples
        missing = ((one, needed - len(self._answers.of(one.key))) for one in questions)
        self._todo = deque(one for one, count in missing for _ in range(count))
        with progress("labelling", len(self._todo), "calls") as self._counter:
            await asyncio.gather(*(self._work() for _ in range(self._config.at_once)))
        if self._failed is not None:
            raise self._failed
        return self.asked

    async def _settle_on(self, question: Question) -> Answer:
        """Ask a question in one dialect after the other until the server understands one."""
        waiting: list[tuple[Dialect, tuple[str, ...]]] = [(self._dialect, ())]
        refusals: list[str] = []
        seen: set[Dialect] = set()
        while waiting:
            dialect, does = waiting.pop(0)
            if dialect in seen:
                continue
            seen.add(dialect)
            try:
                answer = await self._ask(question, dialect)
            except Refused as refusal:
                refusals.append(str(refusal))
                others = without(dialect, str(refusal), self._config)
                waiting = [*((other, (*does, said)) for other, said in others), *waiting]
                continue
            if does:
                logger.info("the server refuses a request (%s): %s", refusals[0], "; ".join(does))
            self._dialect = dialect
            return answer
        raise Refused(refusals[0])

    def _check_logprobs(self, answer: Answer) -> None:
        if answer.shares is not None or not self._dialect.logprobs:
            return
        if self._config.probabilities == "logprobs":
            raise HornbookError("the server gives no log-probabilities; use --probabilities samples")
        logger.info("the server gives no log-probabilities: %d samples per text", self._config.samples)
        self._dialect = replace(self._dialect, logprobs=False)

    async def _work(self) -> None:
        """Ask one question after the other until none is left, the budget is spent, or a call has failed."""
        while self._todo and self._failed is None and self._may_ask(self._todo[0]):
            question = self._todo.popleft()
            if question.key in self.asked.rejected:
                continue
            try:
                await self._ask(question, self._dialect)
                self._rejected_in_row = 0
            except Refused as refusal:
                self._reject(question, str(refusal), _MOST_REJECTED)
            except Halted:
                return
            except HornbookError as error:
                # Others finish the calls they are waiting for: these are paid for.
                self._failed = self._failed or error
                self._client.halt()

    async def _ask(self, question: Question, dialect: Dialect) -> Answer:
        estimate = self._cost.estimate(question.prompt)
        self._in_flight += 1
        self._reserved += estimate
        try:
            payload = await self._client.call(request(dialect, question.prompt, self._model, self._config))
        finally:
            self._in_flight -= 1
            self._reserved -= estimate
        answer = read_answer(payload, self._spellings)
        self._answers.add(question.key, answer)
        self._cost.add(question.prompt, answer)
        self.asked.calls += 1
        if self._counter is not None:
            self._counter.advance(note=f"{self._cost.spent:,.0f} tokens")
        return answer

    def _reject(self, question: Question, refusal: str, most: int) -> None:
        self.asked.rejected[question.key] = refusal
        self._rejected_in_row += 1
        if self._rejected_in_row >= most and self._failed is None:
            self._failed = HornbookError(
                f"the server refuses the request, {most} times in a row: {refusal}; see --answer and --probabilities"
            )
            self._client.halt()

    def _may_ask(self, question: Question) -> bool:
        """Return whether the budget allows one more call beside those in flight."""
        calls, tokens = self._config.most_calls, self._config.most_tokens
        if calls is not None and self._cost.calls + self._in_flight >= calls:
            self.asked.stopped = "--most-calls"
        elif tokens is not None:
            planned = self._cost.spent + self._reserved + self._cost.estimate(question.prompt)
            if planned > tokens:
                self.asked.stopped = "--most-tokens"
        return self.asked.stopped is None
