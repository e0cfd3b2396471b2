"""How long the report of an experiment of 24 cells takes to write, and how large it is.

    python benchmarks/report.py [--cells 24] [--examples 872]

The cells are made up: textbooks by tasks by three seeds, with predictions for so many dev examples each. The time is
that of the whole command in a process of its own. The last line of the output is one JSON object.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

BOOKS = ("none", "task", "general", "contextualized", "importance", "augmented", "chain", "union")


def made_up(cells: int, examples: int) -> dict[str, Any]:
    """Return the results of an experiment as `experiment.json` holds them."""
    random = np.random.default_rng(0)
    gold = random.integers(2, size=examples)
    rows = []
    for number in range(cells):
        book, seed = BOOKS[number // 3 % len(BOOKS)], number % 3
        task = f"task{number // (3 * len(BOOKS))}"
        predicted = np.where(random.random(examples) < 0.2, 1 - gold, gold)
        rows.append(
            {
                "key": str(number),
                "task": task,
                "at": {"task": task, "textbook": book, "seed": seed},
                "seed": seed,
                "metric": "accuracy",
                "dev": float((predicted == gold).mean()),
                "minutes": 8.0,
                "predicted": "".join(map(str, predicted)),
            }
        )
    about = {"kind": "classification", "metric": "accuracy", "labels": ["no", "yes"], "dev": "".join(map(str, gold))}
    gold_of = {row["task"]: about for row in rows}
    return {"name": "made-up", "axes": ["task", "textbook", "seed"], "rows": rows, "gold": gold_of, "failed": {}}


def main() -> None:
    """Make up results, write the report, say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=24)
    parser.add_argument("--examples", type=int, default=872)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "experiment.json"
        results.write_text(json.dumps(made_up(given.cells, given.examples)))
        started = time.monotonic()
        subprocess.run([sys.executable, "-m", "hornbook", "report", folder], check=True)
        seconds = time.monotonic() - started
        size = (Path(folder) / "report.html").stat().st_size
    print(json.dumps({"cells": given.cells, "seconds": round(seconds, 1), "megabytes": round(size / 1e6, 2)}))


if __name__ == "__main__":
    main()
