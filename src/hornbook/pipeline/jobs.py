"""Students side by side: processes that each distil and adapt one student at a time, with few threads."""

import _thread
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from hornbook.errors import HornbookError, one_line
from hornbook.machine import load as machine
from hornbook.pipeline.stages import run_student, students
from hornbook.recipe import Recipe, validate
from hornbook.store import Store

logger = logging.getLogger("hornbook")

_PROGRAM = "from hornbook.pipeline.jobs import serve; serve()"
# How long a process that is to stop may take to tidy up.
_GRACE_SECONDS = 10.0

Student = tuple[str, int]


def side_by_side(recipe: Recipe, store: Store, jobs: int) -> None:
    """Train the missing students of a recipe, several at a time.

    They are not evaluated: speed must be measured while nothing else runs.

    Args:
        recipe: the whole run.
        store: where artefacts are kept; those that students share must be finished.
        jobs: the number of processes; each has an equal share of the cores.

    Raises:
        HornbookError: a student failed; the others are stopped.
    """
    dry = Store(store.root, dry=True)
    missing = [one for one in students(recipe) if not _is_finished(recipe, dry, one)]
    count = min(jobs, len(missing))
    if count < 2:
        return
    environment = machine.side_by_side(count)
    threads = recipe.threads or environment["OMP_NUM_THREADS"]
    logger.info("%d students, %d at a time; CPU threads of each: %s", len(missing), count, threads)
    waiting = deque(missing)
    workers = [_Worker(recipe, store.root, environment) for _ in range(count)]
    try:
        with ThreadPoolExecutor(count) as pool:
            running = [pool.submit(worker.work, waiting) for worker in workers]
            try:
                done, _ = wait(running, return_when=FIRST_EXCEPTION)
                for one in done:
                    one.result()
            except BaseException:
                waiting.clear()
                for worker in workers:
                    worker.stop()
                raise
    finally:
        for worker in workers:
            worker.end()


def _is_finished(recipe: Recipe, dry: Store, one: Student) -> bool:
    dry.requested.clear()
    run_student(recipe, dry, *one)
    return not any(artifact.planned for artifact in dry.requested)


class _Worker:
    """A process that makes the students sent to it; it ends when this process ends."""

    def __init__(self, recipe: Recipe, store: Path, environment: dict[str, str]) -> None:
        # In a session of its own: Ctrl-C reaches this process alone, which then stops the others.
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        self._stopped = False
        self._lines = threading.Thread(target=self._log_lines, daemon=True)
        self._lines.start()
        self._send({"recipe": recipe.model_dump(mode="json"), "store": str(store)})

    def work(self, waiting: deque[Student]) -> None:
        """Train students until none is left.

        Args:
            waiting: names and seeds of the students; shared with the other workers, each takes the next one.

        Raises:
            HornbookError: a student failed, or the process ended.
        """
        assert self._process.stdout is not None
        while waiting:
            try:
                name, seed = waiting.popleft()
            except IndexError:
                return
            self._send([name, seed])
            answer = self._process.stdout.readline()
            if not answer:
                code = self._process.wait()
                ended = f"by signal {-code}, most often out of memory" if code < 0 else f"with exit code {code}"
                raise HornbookError(
                    f"{_named(name, seed)}: its process ended {ended}; run again, perhaps with fewer --jobs"
                )
            if error := json.loads(answer).get("error"):
                raise HornbookError(f"{_named(name, seed)}: {error}")

    def stop(self) -> None:
        """Stop it at once."""
        self._stopped = True
        self._close()

    def end(self) -> None:
        """Wait until it ends."""
        self._close()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._lines.join()

    def _close(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def _send(self, what: Any) -> None:
        assert self._process.stdin is not None
        # If it has ended or was stopped, no answer will come.
        with suppress(BrokenPipeError, ValueError):
            print(json.dumps(what), file=self._process.stdin, flush=True)

    def _log_lines(self) -> None:
        """Log the lines of its stderr, a pipe so that it shows no progress bars."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if line.strip() and not self._stopped:
                logger.info("%s", line.rstrip())


def serve() -> None:
    """Make the students named on stdin, one line of JSON each, until stdin ends."""
    handler = logging.StreamHandler()
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logger.setLevel(logging.INFO)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # prints of libraries must not mix with answers
    try:
        requests = _requests()
        given = next(requests)
        recipe, store = validate(Recipe, given["recipe"], "recipe"), Store(Path(given["store"]))
        for name, seed in requests:
            handler.setFormatter(logging.Formatter(f"{_named(name, seed)}: %(message)s"))
            print(json.dumps(_answer(recipe, store, name, seed)), file=answers, flush=True)
    except KeyboardInterrupt:
        sys.exit(130)


def _named(name: str, seed: int) -> str:
    return f"{name}, seed {seed}"


def _answer(recipe: Recipe, store: Store, name: str, seed: int) -> dict[str, str]:
    try:
        run_student(recipe, store, name, seed)
    except Exception as error:  # whatever it is, the parent must know
        logger.debug("%s", error, exc_info=True)
        text = one_line(error)
        return {"error": text if isinstance(error, HornbookError) else f"{type(error).__name__}: {text}"}
    return {}


def _requests() -> Iterator[Any]:
    """Yield the lines of stdin; if it ends while an answer is due, interrupt the main thread."""
    lines: SimpleQueue[str] = SimpleQueue()
    due = threading.Event()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        lines.put("")
        if due.is_set():
            _thread.interrupt_main()
            time.sleep(_GRACE_SECONDS)
            os._exit(130)

    threading.Thread(target=read, daemon=True).start()
    while line := lines.get():
        due.set()
        yield json.loads(line)
        due.clear()
