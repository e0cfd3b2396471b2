"""Peak memory of a retrieval; run by retrieval.py.

    python benchmarks/retrieval_memory.py CORPUS QUERIES K

CORPUS is a finished corpus of hornbook, QUERIES a JSON file: a list of lists of terms. Opens the one, retrieves K
hits for each of the other, and prints the most MB (2**20) that this process held, pages of mapped files among them.
"""

import json
import sys
from pathlib import Path

from hornbook.corpus import open_corpus
from hornbook.machine.memory import peak_memory
from hornbook.retrieval import retrieve


def main(corpus: str, queries: Path, k: int) -> None:
    """Print the peak."""
    retrieve(open_corpus(corpus), json.loads(queries.read_text()), k)
    print(round(peak_memory() / 2**10))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
