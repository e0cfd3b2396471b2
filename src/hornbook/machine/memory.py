"""The memory of this process."""

from contextlib import suppress
from pathlib import Path


def peak_memory() -> int:
    """Return the most memory that this process has held (kilobytes).

    Linux says it of the program; `ru_maxrss`, which is all that others have, starts there with the peak of whoever
    started the program.
    """
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    import resource  # only where POSIX is

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
