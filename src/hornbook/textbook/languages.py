"""The languages of a textbook's units: a corpus of several languages may give a task units of another one."""

import logging
from collections.abc import Iterator

import pyarrow as pa

from hornbook.terms.detection import count_languages
from hornbook.textbook.store import SCHEMA

logger = logging.getLogger("hornbook")

_UNITS = 5_000
_UNITS_OF_A_TABLE = 500
# Warn below this share of units in the corpus's language. Short units are taken for a related language now and then.
_LEAST_SHARE = 0.9


class Sample:
    """A sample of the units in a stream of tables: some of each table, evenly spaced, `_UNITS` at most."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def watch(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Yield the tables, and keep a sample of their units.

        Args:
            tables: tables of `store.SCHEMA`.

        Yields:
            The same tables.
        """
        for table in tables:
            if table.schema != SCHEMA:  # refused where it is written
                yield table
                continue
            count = min(_UNITS_OF_A_TABLE, len(table), _UNITS - len(self._texts))
            rows = [position * len(table) // count for position in range(count)]
            # The second text of a pair is always the corpus's, the first may be the task's.
            pairs = table.column("text_pair")
            texts = table.column("text") if pairs.null_count else pairs
            self._texts += texts.take(pa.array(rows, pa.int64())).to_pylist()
            yield table

    def languages(self, expected: str) -> dict[str, int]:
        """Return the number of units of each language in the sample, by their stop words, and warn of many others.

        Args:
            expected: the language of the corpus; units without a stop word of any language count as its own.

        Returns:
            units by language, most first; languages of less than 1% of the units are left out.
        """
        counts = count_languages(self._texts, expected)
        total = max(counts.total(), 1)
        found = {language: units for language, units in counts.most_common() if units >= 0.01 * total}
        if counts[expected] < _LEAST_SHARE * total:
            others = ", ".join(f"{units / total:.0%} {one}" for one, units in found.items() if one != expected)
            logger.warning(
                "%.0f%% of the units seem to be %s (%s): leave other languages out of the corpus",
                100 * counts[expected] / total,
                expected,
                others,
            )
        return found
