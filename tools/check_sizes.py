"""Refuse files over 500 kB, which stay in the history of the repository for ever; exit with 1 if there are any."""

import sys
from pathlib import Path

LIMIT = 500_000

if __name__ == "__main__":
    large = [name for name in sys.argv[1:] if Path(name).stat().st_size > LIMIT]
    print("\n".join(f"{name}: over {LIMIT // 1000} kB" for name in large))
    sys.exit(bool(large))
