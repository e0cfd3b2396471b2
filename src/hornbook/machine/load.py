"""The machine's load, and how the threads of a training should wait for each other because of it.

PyTorch computes with OpenMP threads, which meet at a barrier about a thousand times in a step. A thread that arrives
early spins before it sleeps, by GNU's default for 5 to 15 milliseconds: longer than another program's time slice on a
core. Beside a busy program, a training then spends most of its time spinning (figures: docs/results/distil.md). The
spin time is read from the environment once, when PyTorch is loaded; it does not change any result.
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

# In turns of GNU's spin loop: about the time to wake a sleeping thread (100 microseconds). A training alone on the
# machine is as fast as with the default of 300,000, and a program that starts later does less harm.
QUIET = {"GOMP_SPINCOUNT": "5000"}
# LLVM's and Intel's runtimes only read the policy.
BUSY = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "300"}
_OF_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")
_OF_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")
# The machine counts as quiet while other programs (a desktop, say) use less than this many cores.
_SPARE = 0.25
_SAMPLE_SECONDS = 0.25
# A restart pays if at least this many cores are busy for at least this long.
_LASTING = 0.5
_LASTING_SECONDS = 60


@dataclass(frozen=True)
class Machine:
    """The processor time that is available to a process.

    Attributes:
        cores: the number of cores it may run on.
        limit: its container's quota (cgroup), in cores; None without one.
        busy: the load of other programs or, on a virtual machine, of its neighbours, in cores.
    """

    cores: int
    limit: float | None = None
    busy: float = 0.0


@dataclass(frozen=True)
class Choice:
    """How threads wait, and how many there are.

    Attributes:
        settings: environment variables to set before PyTorch is loaded.
        busy: whether it was chosen for a busy machine; None if it does not depend on the load.
        reason: one line to log; None on a quiet machine.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    busy: bool | None = None
    reason: str | None = None


def choose(machine: Machine, environment: Mapping[str, str], threads: int | None = None) -> Choice:
    """Choose how threads wait and, in a container, how many there are. The user's own settings stay.

    Args:
        machine: the available processor time.
        environment: this process's environment variables.
        threads: the requested number of threads, if any.

    Returns:
        the variables to set, and why.
    """
    cores, limit = machine.cores, machine.limit
    limited = limit is not None and limit < cores
    waits = not _any(_OF_WAITING, environment)
    count = threads or _requested_threads(environment)
    settings: dict[str, str] = {}
    reason = None
    if limited and limit is not None and count is None:
        # PyTorch would start a thread for each core of the host, but together they may not exceed the limit.
        count = max(1, math.ceil(limit))
        settings["OMP_NUM_THREADS"] = str(count)
        reason = f"this container may use {limit:g} of {cores} cores: {count} thread{'s' * (count > 1)}"
    count = count or cores
    if not waits or count == 1:
        return Choice(settings, reason=reason)
    if limited:  # spinning uses up the limit
        return Choice({**settings, **BUSY}, reason=reason)
    if count + machine.busy > cores + _SPARE:
        taken = f"other programs keep {machine.busy:.1f} of {cores} cores busy"
        return Choice(BUSY, True, f"{taken}: threads wait for each other without spinning")
    return Choice(QUIET, False)


def settle(threads: int | None = None) -> None:
    """Measure the load for a quarter of a second, set the environment accordingly and log why.

    Does nothing if PyTorch is already loaded, or if the user's own settings leave no choice.

    Args:
        threads: the requested number of threads, if any.
    """
    global _chosen, _reported
    if "torch" in sys.modules or not choose(found := Machine(cores(), cpu_limit()), os.environ, threads).settings:
        return
    load = Load()
    time.sleep(_SAMPLE_SECONDS)
    _chosen = choose(replace(found, busy=load.of_others()), os.environ, threads)
    _reported = _chosen.busy
    os.environ.update(_chosen.settings)
    if _chosen.reason:
        logger.info("%s", _chosen.reason)


def side_by_side(count: int) -> dict[str, str]:
    """Return the environment for one of several processes that share this one's cores.

    Args:
        count: the number of processes.

    Returns:
        environment variables.
    """
    user = {name: value for name, value in os.environ.items() if name not in _chosen.settings}
    threads = _requested_threads(user) or max(1, usable_cores() // count)
    return {**os.environ, "OMP_NUM_THREADS": str(threads)}


# The choice of `settle` in this process, and whether the machine was last reported as busy.
_chosen = Choice()
_reported: bool | None = None


class Lookout:
    """Watches the load during a training, and reports when a restart would make it faster."""

    def __init__(self) -> None:
        self._load = Load()

    def look(self) -> str | None:
        """Return one line if the load changed since the last look, at least a minute ago; else None."""
        global _reported
        if _chosen.busy is None or self._load.seconds < _LASTING_SECONDS:
            return None
        busy = self._load.of_others()
        now = changed(busy, _reported)
        if now == _reported:
            return None
        _reported = now
        return None if now == _chosen.busy else advice(now, busy, cores())


def changed(busy: float, before: bool | None) -> bool | None:
    """Return whether a machine is busy, with hysteresis between two thresholds.

    Args:
        busy: the load of other programs, in cores.
        before: whether it was busy before.

    Returns:
        between the thresholds, `before`.
    """
    return True if busy >= _LASTING else False if busy < _SPARE else before


def advice(busy: bool | None, taken: float, of: int) -> str:
    """Return the message that a restart would make a training faster.

    Args:
        busy: whether the machine is busy now.
        taken: the load of other programs, in cores.
        of: the number of cores.

    Returns:
        one line.
    """
    again = "stopped now (Ctrl-C) and started again by the same command, this training goes on from here"
    if busy:
        return f"other programs keep {taken:.1f} of {of} cores busy: {again}, up to a third faster beside them"
    return f"the machine has become quiet: {again}, about a tenth faster"


class Load:
    """Measures the load of other programs."""

    def __init__(self) -> None:
        self._at, self._busy, self._own = time.monotonic(), _busy_seconds(), own_seconds()

    @property
    def seconds(self) -> float:
        """The time since the last measurement (seconds)."""
        return time.monotonic() - self._at

    def of_others(self) -> float:
        """Return the mean load since the last call, without this process, in cores."""
        before, self._at, busy, own = self._at, time.monotonic(), self._busy, self._own
        self._busy, self._own = _busy_seconds(), own_seconds()
        taken = self._busy - busy - (self._own - own)
        return max(0.0, min(taken / max(self._at - before, 1e-9), cores()))


def cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(_allowed()) or os.cpu_count() or 1


def usable_cores() -> int:
    """Return the number of threads that keep all cores busy which this process may use."""
    return max(1, int(min(cores(), cpu_limit() or cores())))


def cpu_limit(root: Path = Path("/")) -> float | None:
    """Return the CPU quota of this process's container or slice, in cores.

    Args:
        root: the folder of `proc` and `sys`.

    Returns:
        None without a quota, and on systems without cgroups.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    groups = (line.split(":", 2)[1:] for line in lines if line.count(":") >= 2)
    quotas = [_quota(root / "sys/fs/cgroup", controllers, group) for controllers, group in groups]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(mounted: Path, controllers: str, group: str) -> float | None:
    """Return the lowest quota of a group and its parents; inside a container its own is at the root."""
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
    """Return the busy time of the cores that this process may use, since the machine started (seconds)."""
    import psutil

    allowed = _allowed()
    each = psutil.cpu_times(percpu=True)
    # A virtual machine's neighbours ("steal") take a core away as a program does.
    names = ("user", "nice", "system", "irq", "softirq", "steal")
    return sum(
        getattr(times, name, 0.0) for i, times in enumerate(each) if not allowed or i in allowed for name in names
    )


def own_seconds() -> float:
    """Return the CPU time of this process and its finished children (seconds)."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _requested_threads(environment: Mapping[str, str]) -> int | None:
    """Return the number of threads in the user's own settings, None without one."""
    first = next((environment[name] for name in _OF_THREADS if environment.get(name)), "")
    return int(first.split(",")[0]) if first.split(",")[0].isdecimal() else None


def _any(names: tuple[str, ...], environment: Mapping[str, str]) -> bool:
    return any(environment.get(name) for name in names)
