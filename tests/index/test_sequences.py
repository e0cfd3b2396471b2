import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.index import sequences as module
from hornbook.index.sequences import sequences
from hornbook.terms import terms

PIECES = ["the", "cat", "cats", "Don't", "3.14", "É", "ΣΊΣΥΦΟΣ", "İstanbul", "-", " ", " ", ".", "日本", "𠀀x"]
TEXTS = st.lists(
    st.one_of(st.lists(st.sampled_from(PIECES), max_size=9).map("".join), st.text(max_size=9)), max_size=20
)


@pytest.mark.parametrize("compiled", [True, False])
@given(texts=TEXTS, skipped=st.integers(0, 3))
def test_the_terms_of_each_text_in_their_order(compiled, texts, skipped):
    held = pa.array(["left out"] * skipped + texts, pa.string()).slice(skipped)
    found = sequences(held) if compiled else module._slowly(held)
    words = found.words.to_pylist()
    assert words == sorted({word for text in texts for word in terms(text)})
    start, read = 0, []
    for end in found.ends.tolist():
        read.append([words[place] for place in found.places[start:end]])
        start = end
    assert read == [terms(text) for text in texts]
    assert len(found.places) == start


def test_without_the_compiled_core_they_are_the_same(monkeypatch):
    texts = pa.array(["The cat, the ΣΊΣΥΦΟΣ.", "", "a cat"])
    compiled = sequences(texts)
    monkeypatch.setattr(module, "core", lambda: None)
    slow = sequences(texts)
    assert slow.words.equals(compiled.words)
    for name in ("ends", "places"):
        assert getattr(slow, name).tolist() == getattr(compiled, name).tolist()
        assert getattr(slow, name).dtype == getattr(compiled, name).dtype
