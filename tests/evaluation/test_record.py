"""Names of labels in files that spreadsheets open."""

import pyarrow as pa

from hornbook.evaluation.record import _no_formulas


def test_a_name_that_is_a_formula_begins_with_an_apostrophe():
    names = ["=cmd|'/c calc'!A0", "+x", "-1", "@SUM(A1)", "good", "\tx", "-2.5", "-", "a=b"]
    table = pa.table([names, *[[0] * len(names)] * len(names)], names=["gold", *names])
    wanted = ["'=cmd|'/c calc'!A0", "'+x", "-1", "'@SUM(A1)", "good", "'\tx", "-2.5", "'-", "a=b"]
    assert _no_formulas(table)["gold"].to_pylist() == wanted
    assert _no_formulas(table).column_names == ["gold", *wanted]
