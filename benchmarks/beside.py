"""Tokens a second of a distillation alone and beside busy programs: this build and an earlier one.

    python benchmarks/beside.py --quick
    python benchmarks/beside.py [--rounds 7] [--seconds 4] [--before COMMIT]

What runs is `hornbook distil` itself, with the shapes of the quickstart (beside_work.py). A process of this build is
started beside the load that it is measured beside, and keeps what it has set by the time it loads PyTorch. The rest
of its start runs without load, to save time; where two loads lead to the same settings, one process does for both.
The earlier build looks at nothing, so one process of it does for all. The processes take turns; one that has no turn
waits. Figures are medians over rounds, ratios are medians of the rounds' ratios; the last line of the output is one
JSON object.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from beside_work import make_inputs
from distil_inputs import processor, say
from hornbook.machine.load import cores

ROOT = Path(__file__).resolve().parents[1]
WORK = Path(__file__).with_name("beside_work.py")
BEFORE = "25f9746"
LOADS = {"alone": 0, "beside_one": 1, "beside_three": 3}
SETTLE_SECONDS = 0.2
QUICK_SECONDS = 52
STARTED = time.monotonic()
OPENMP = ("OMP_", "GOMP_", "KMP_", "MKL_")


class Distillation:
    """A process that distils, a turn at a time.

    Attributes:
        settings: its settings of OpenMP as it loads PyTorch.
    """

    def __init__(self, inputs: Path, out: Path, *arguments: str) -> None:
        command = [sys.executable, str(WORK), str(inputs), str(out), *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(OPENMP)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.settings = self._answer()

    def start(self) -> None:
        """Let it load PyTorch and make its first steps."""
        self._ask(0)

    def wait(self) -> None:
        """Wait until it has made its first steps."""
        self._answer()

    def turn(self, seconds: float) -> float:
        """Let it work for some seconds, to the end of a step, and return tokens a second."""
        self._ask(seconds)
        return float(self._answer())

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _ask(self, seconds: float) -> None:
        assert self._process.stdin is not None
        print(seconds, file=self._process.stdin, flush=True)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"a distillation ended too soon, with exit code {self._process.wait()}")
        return json.loads(line)


class Programs:
    """Single-threaded programs that compute only while they are let run."""

    def __init__(self, count: int) -> None:
        work = f"import os\nwhile os.getppid() == {os.getpid()}:\n  for _ in range(10**6): pass"
        self._started = [subprocess.Popen([sys.executable, "-S", "-c", work]) for _ in range(count)]
        self.let_run(0)

    def let_run(self, count: int) -> None:
        """Let so many of them run, and no more."""
        for number, program in enumerate(self._started):
            program.send_signal(signal.SIGCONT if number < count else signal.SIGSTOP)
        time.sleep(SETTLE_SECONDS)

    def stop(self) -> None:
        """End them."""
        for program in self._started:
            program.kill()
            program.wait()


@contextmanager
def started(source: Path | None, programs: Programs) -> Iterator[tuple[Distillation, dict[str, Distillation]]]:
    """Yield a distillation of the earlier build, and of this one for each load, warm and waiting for their turns."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        inputs = folder / "inputs"
        make_inputs(inputs)

        def new(name: str, *arguments: str) -> Distillation:
            made = Distillation(inputs, folder / name, *arguments)
            stack.callback(made.stop)
            return made

        # First what they choose, while nothing but the load is at work.
        found: dict[str, Distillation] = {}
        for name, count in LOADS.items():
            programs.let_run(count)
            made = new(name)
            programs.let_run(0)
            same = next((other for other in found.values() if other.settings == made.settings), made)
            if same is not made:
                made.stop()
            found[name] = same
        before = new("before", *(["--source", str(source)] if source else ["--as-it-comes"]))
        for one in {id(one): one for one in (before, *found.values())}.values():
            one.start()
        for one in {id(one): one for one in (before, *found.values())}.values():
            one.wait()
        yield before, found


def measure(options: argparse.Namespace, source: Path | None) -> dict[str, Any]:
    """Return the figures."""
    programs = Programs(max(LOADS.values()))
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in LOADS}
    try:
        with started(source, programs) as (before, now):
            for turn in range(options.rounds):
                began = time.monotonic()
                for name, count in LOADS.items():
                    programs.let_run(count)
                    first, second = (now[name], before) if turn % 2 else (before, now[name])
                    found = {id(one): one.turn(options.seconds) for one in (first, second)}
                    ours, theirs = found[id(now[name])], found[id(before)]
                    speeds[name].append((ours, theirs))
                    say(f"round {turn + 1}, {name}: {ours:.0f} tokens/s, before {theirs:.0f}")
                if options.quick and 2 * time.monotonic() - began > STARTED + QUICK_SECONDS:
                    break
            chosen = {name: one.settings for name, one in now.items()}
    finally:
        programs.stop()
    median = statistics.median
    return {
        **{name: round(median(ours for ours, _ in pairs)) for name, pairs in speeds.items()},
        "today": {name: round(median(theirs for _, theirs in pairs)) for name, pairs in speeds.items()},
        **{
            f"ratio_{name.removeprefix('beside_')}": round(median(ours / theirs for ours, theirs in pairs), 2)
            for name, pairs in speeds.items()
        },
        "chosen": chosen,
        "today_is": options.before if source else "this build, choosing nothing",
        "rounds": len(speeds["alone"]),
        "machine": f"{processor()}, {cores()} cores, {platform.system()} {platform.release()}",
    }


@contextmanager
def source_of(commit: str) -> Iterator[Path | None]:
    """Yield a folder with the package as it was at a commit, None where the history does not reach back to it."""
    done = subprocess.run(["git", "-C", str(ROOT), "archive", commit, "src"], capture_output=True)
    if done.returncode:
        say(f"commit {commit} is not here (a shallow clone?): compared with this build, choosing nothing")
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder) / "src"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="as many short rounds as 55 seconds allow")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a turn (default 4)")
    parser.add_argument("--before", default=BEFORE, metavar="COMMIT", help="the earlier build (default %(default)s)")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 5, 1.3
    with source_of(options.before) as source:
        print(json.dumps(measure(options, source)))


if __name__ == "__main__":
    main()
