"""How busy the machine is, and so how the threads of a training should wait for each other.

PyTorch computes with OpenMP's threads, which meet at a barrier some thousand times in a step. Who is there first
spins for a while before it sleeps, by GNU's default for 5 to 15 milliseconds: longer than another program's turn on a
core. Beside a busy program a training then spends most of its time spinning (figures: docs/results/distil.md). How
long to spin is read from the environment when PyTorch is loaded, and stays; it does not change any result.
"""

import logging
import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

logger = logging.getLogger("hornbook")

# In turns of GNU's spin loop. As long as it takes to wake a thread that sleeps (some 100 microseconds): alone the
# machine is as fast as with the default of 300,000, and a program that comes later does less harm.
QUIET = {"GOMP_SPINCOUNT": "5000"}
# LLVM's and Intel's runtimes know the policy only.
BUSY = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "300"}
_OF_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
_OF_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")
# So many cores may be busy with other things, a desktop's own work, and the machine still counts as quiet.
_SPARE = 0.25
_SAMPLE_SECONDS = 0.25
# Over a long time: so many cores, for so long at least, or it would not pay to start anew.
_LASTING = 0.5
_LASTING_SECONDS = 60


@dataclass(frozen=True)
class Machine:
    """What a process finds.

    Attributes:
        cores: how many it may run on.
        limit: how many cores' time its container gives it (a cgroup's quota); None without a limit.
        busy: how many of the cores are taken by other programs or, on a virtual machine, by its neighbours.
    """

    cores: int
    limit: float | None = None
    busy: float = 0.0


@dataclass(frozen=True)
class Choice:
    """What is set before PyTorch is loaded.

    Attributes:
        settings: environment variables.
        busy: whether it was chosen for a busy machine; None where it does not hang on that.
        said: why, in a line; None on a quiet machine.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    busy: bool | None = None
    said: str | None = None


def choose(machine: Machine, environment: Mapping[str, str], threads: int | None = None) -> Choice:
    """Choose how threads wait, and in a container how many there are. What the user has set stays.

    Args:
        machine: what was found.
        environment: this process's.
        threads: how many were asked for, in a recipe perhaps.
    """
    cores, limit = machine.cores, machine.limit
    limited = limit is not None and limit < cores
    waits = not _any(_OF_WAITING, environment)
    count = threads or _asked_for(environment)
    settings: dict[str, str] = {}
    said = None
    if limited and limit is not None and count is None:
        # PyTorch would start a thread for each core of the host, and all together may use no more than the limit.
        count = max(1, math.ceil(limit))
        settings["OMP_NUM_THREADS"] = str(count)
        said = f"this container may use {limit:g} of {cores} cores: {count} thread{'s' * (count > 1)}"
    count = count or cores
    if not waits or count == 1:
        return Choice(settings, said=said)
    if limited:  # to spin is to use up the limit
        return Choice({**settings, **BUSY}, said=said)
    if count + machine.busy > cores + _SPARE:
        taken = f"other programs keep {machine.busy:.1f} of {cores} cores busy"
        return Choice(BUSY, True, f"{taken}: threads wait for each other without spinning")
    return Choice(QUIET, False)


def settle(threads: int | None = None) -> None:
    """Look at the machine for a quarter of a second, choose, set the environment and say so.

    Does nothing where PyTorch is loaded already, or where the user's own settings leave nothing to choose.

    Args:
        threads: how many were asked for.
    """
    global _chosen, _told
    if "torch" in sys.modules or not choose(found := Machine(cores(), cpu_limit()), os.environ, threads).settings:
        return
    load = Load()
    time.sleep(_SAMPLE_SECONDS)
    _chosen = choose(replace(found, busy=load.of_others()), os.environ, threads)
    _told = _chosen.busy
    os.environ.update(_chosen.settings)
    if _chosen.said:
        logger.info("%s", _chosen.said)


def side_by_side(count: int) -> dict[str, str]:
    """Return the environment of one of so many processes that share what this one may use of the machine."""
    user = {name: value for name, value in os.environ.items() if name not in _chosen.settings}
    threads = _asked_for(user) or max(1, int(min(cores(), cpu_limit() or cores())) // count)
    return {**os.environ, "OMP_NUM_THREADS": str(threads)}


# What `settle` has chosen in this process, and what was last told: that the machine is busy, or that it is not.
_chosen = Choice()
_told: bool | None = None


class Lookout:
    """Looks at the machine while a training runs, and tells when it would pay to start anew."""

    def __init__(self) -> None:
        self._load = Load()

    def look(self) -> str | None:
        """Return what to say of the time since the last look, a minute at least: a line at each change, else None."""
        global _told
        if _chosen.busy is None or self._load.seconds < _LASTING_SECONDS:
            return None
        busy = self._load.of_others()
        now = changed(busy, _told)
        if now == _told:
            return None
        _told = now
        return None if now == _chosen.busy else advice(now, busy, cores())


def changed(busy: float, before: bool | None) -> bool | None:
    """Return whether a machine is busy now; between the two thresholds it is what it was before."""
    return True if busy >= _LASTING else False if busy < _SPARE else before


def advice(busy: bool | None, taken: float, of: int) -> str:
    """Return why it pays to start anew where `taken` cores of so many are taken by others."""
    again = "stopped now (Ctrl-C) and started again by the same command, this training goes on from here"
    if busy:
        return f"other programs keep {taken:.1f} of {of} cores busy: {again}, up to a third faster beside them"
    return f"the machine has become quiet: {again}, about a tenth faster"


class Load:
    """Measures how much of the machine other programs use."""

    def __init__(self) -> None:
        self._at, self._busy, self._own = time.monotonic(), _busy_seconds(), own_seconds()

    @property
    def seconds(self) -> float:
        """How long it has measured."""
        return time.monotonic() - self._at

    def of_others(self) -> float:
        """Return how many cores were busy on average since this was last asked, this process not counted."""
        before, self._at, busy, own = self._at, time.monotonic(), self._busy, self._own
        self._busy, self._own = _busy_seconds(), own_seconds()
        taken = self._busy - busy - (self._own - own)
        return max(0.0, min(taken / max(self._at - before, 1e-9), cores()))


def cores() -> int:
    """Return how many cores this process may run on."""
    return len(_allowed()) or os.cpu_count() or 1


def cpu_limit(root: Path = Path("/")) -> float | None:
    """Return how many cores' time the container or slice of this process has, None without a limit.

    Args:
        root: where `proc` and `sys` stand.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    groups = (line.split(":", 2)[1:] for line in lines if line.count(":") >= 2)
    found = [_quota(root / "sys/fs/cgroup", controllers, group) for controllers, group in groups]
    return min((limit for limit in found if limit is not None), default=None)


def _quota(mounted: Path, controllers: str, group: str) -> float | None:
    """Return the quota of a group and those it stands in; inside a container its own is seen at the top."""
    if controllers and "cpu" not in controllers.split(","):
        return None
    folder = mounted / controllers if controllers else mounted
    group = group.strip("/")
    limits = []
    for path in (folder / group, *(folder / group).parents):
        if not path.is_relative_to(folder):
            break
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
        try:
            quota, period = " ".join((path / name).read_text().strip() for name in names).split()
            if quota != "max" and int(quota) > 0:
                limits.append(int(quota) / int(period))
        except (OSError, ValueError):
            continue
    return min(limits, default=None)


def _allowed() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _busy_seconds() -> float:
    """Return the seconds for which the cores that this process may use were busy since the machine started."""
    import psutil

    allowed = _allowed()
    each = psutil.cpu_times(percpu=True)
    # A virtual machine's neighbours ("steal") take a core away as a program does.
    names = ("user", "nice", "system", "irq", "softirq", "steal")
    return sum(
        getattr(times, name, 0.0) for i, times in enumerate(each) if not allowed or i in allowed for name in names
    )


def own_seconds() -> float:
    """Return the CPU time of this process and of those that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _asked_for(environment: Mapping[str, str]) -> int | None:
    """Return how many threads the user's own settings ask for."""
    first = next((environment[name] for name in _OF_THREADS if environment.get(name)), "")
    return int(first.split(",")[0]) if first.split(",")[0].isdecimal() else None


def _any(names: tuple[str, ...], environment: Mapping[str, str]) -> bool:
    return any(environment.get(name) for name in names)
