"""The memory of this process."""

import sys
from contextlib import suppress
from pathlib import Path


def peak_memory() -> int:
    """Return the peak memory of this process (kilobytes).

    Linux reports it for the program; `ru_maxrss`, which other POSIX systems have, may include the peak of the process
    that started the program.
    """
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(psutil.Process().memory_info().peak_wset) // 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak  # macOS counts bytes
