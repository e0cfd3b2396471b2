import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from hornbook.index.sequences import sequences
from hornbook.terms import terms

PIECES = ["the", "cat", "cats", "Don't", "3.14", "É", "ΣΊΣΥΦΟΣ", "İstanbul", "-", " ", " ", ".", "日本", "𠀀x"]
TEXTS = st.lists(
    st.one_of(st.lists(st.sampled_from(PIECES), max_size=9).map("".join), st.text(max_size=9)), max_size=20
)


@given(texts=TEXTS, skipped=st.integers(0, 3))
def test_the_terms_of_each_text_in_their_order(as_reference, texts, skipped):
    held = pa.array(["left out"] * skipped + texts, pa.string()).slice(skipped)
    found, slow = sequences(held), as_reference(sequences, held)
    words = found.words.to_pylist()
    assert words == sorted({word for text in texts for word in terms(text)})
    start, read = 0, []
    for end in found.ends.tolist():
        read.append([words[place] for place in found.places[start:end]])
        start = end
    assert read == [terms(text) for text in texts]
    assert len(found.places) == start
    assert slow.words.equals(found.words)
    for name in ("ends", "places"):
        assert getattr(slow, name).tolist() == getattr(found, name).tolist()
        assert getattr(slow, name).dtype == getattr(found, name).dtype
