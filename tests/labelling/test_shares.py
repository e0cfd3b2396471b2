"""Probabilities of labels from tokens, compared with all answers of a small language model, one by one."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.labelling.fake_server import token

from hornbook.labelling.answer import label_in
from hornbook.labelling.shares import Spellings, shares_of


def plain(labels, tokens, label=0):
    content = "".join(one["token"] for one in tokens)
    return shares_of(tokens, content, Spellings(labels), label)


def test_a_label_of_one_token_and_what_is_no_label():
    found = plain(["good", "bad"], [token("good", 0.6, bad=0.2, I=0.15)])
    assert found.shares == pytest.approx((0.75, 0.25))
    assert found.mass == pytest.approx(0.8)


def test_other_spellings_count_for_their_label():
    alternatives = {" good": 0.2, "GOOD": 0.1, '"good': 0.1, "bad": 0.1, " Bad": 0.1}
    found = plain(["good", "bad"], [token("good", 0.4, **alternatives)])
    assert found.shares == pytest.approx((0.8, 0.2))


def test_case_counts_where_it_tells_labels_apart():
    found = plain(["US", "us"], [token("US", 0.7, us=0.3)])
    assert found.shares == pytest.approx((0.7, 0.3))
    assert label_in("us", Spellings(["US", "us"])) == 1


def test_a_label_of_several_tokens_is_followed_until_it_is_the_only_one():
    tokens = [token("very", 0.8, fair=0.2), token(" good", 0.75, **{" bad": 0.25}), token("!", 0.1)]
    found = plain(["very good", "very bad", "fair"], tokens[:2])
    assert found.shares == pytest.approx((0.6, 0.2, 0.2))


def test_what_several_labels_begin_with_is_shared_equally():
    found = plain(["fair", "very good", "very bad"], [token("fair", 0.6, very=0.4)])
    assert found.shares == pytest.approx((0.6, 0.2, 0.2))


def test_a_label_that_begins_another():
    on_the_way = [token("1", 0.9, **{"2": 0.1}), token("0", 0.5)]
    found = plain(["1", "2", "10"], [on_the_way[0]])
    assert found.shares == pytest.approx((0.9, 0.1, 0))  # the answer ended there
    quoted = [token('{"label":"', 1), on_the_way[0], token("0", 0.5, **{'"': 0.5}), token('"}', 1)]
    found = shares_of(quoted, '{"label":"10"}', Spellings(["1", "2", "10"]), 2)
    assert found.shares == pytest.approx((0.45, 0.1, 0.45))


def test_a_token_may_hold_the_end_of_what_precedes_the_label():
    tokens = [token('{"label', 0.9), token('": "', 0.8, **{'": "go': 0.1, '":"': 0.1}), token("bad", 0.5, good=0.5)]
    found = shares_of([*tokens, token('"}', 1)], '{"label": "bad"}', Spellings(["good", "bad"]), 1)
    assert found.shares == pytest.approx((0.1 / 0.9 + 0.8 / 0.9 / 2, 0.8 / 0.9 / 2))


def test_characters_in_two_tokens_and_json_escapes():
    halves = [{**token("�", 0.6, grau=0.4), "bytes": list("grü".encode()[:3])}]
    halves[0]["top_logprobs"][0] = {k: v for k, v in halves[0].items() if k != "top_logprobs"}
    halves.append({**token("�", 1.0), "bytes": list("ün".encode()[1:])})
    halves[1]["top_logprobs"] = []
    found = shares_of(halves, "grün", Spellings(["grün", "grau"]), 0)
    assert found.shares == pytest.approx((0.6, 0.4))
    escaped = [token('{"label":"', 1), token("gr", 1), token("\\u00fc", 0.7, au=0.3), token('n"}', 1)]
    found = shares_of(escaped, '{"label":"gr\\u00fcn"}', Spellings(["grün", "grau"]), 0)
    assert found.shares == pytest.approx((0.7, 0.3))


def test_tokens_around_the_text_are_left_out():
    reasoning = [token("<think>bad</think>", 1), token("good", 0.7, bad=0.3), token("<|end|>", 1)]
    assert shares_of(reasoning, "good", Spellings(["good", "bad"]), 0).shares == pytest.approx((0.7, 0.3))


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        [{"token": "good"}],
        [{"token": "good", "logprob": None, "top_logprobs": []}],
        [{"token": "good", "logprob": math.nan, "top_logprobs": []}],
        [{"token": "good", "logprob": -1, "top_logprobs": None}],
        [token("other", 1.0)],
        "tokens",
    ],
)
def test_tokens_that_cannot_be_read_give_no_probabilities(tokens):
    assert shares_of(tokens, "good", Spellings(["good", "bad"]), 0) is None


def test_log_probabilities_below_all_bounds():
    tokens = [{"token": "good", "logprob": -9999.0, "top_logprobs": [{"token": "good", "logprob": -9999.0}]}]
    assert shares_of(tokens, "good", Spellings(["good", "bad"]), 0) is None
    tokens[0]["top_logprobs"].append({"token": "bad", "logprob": -math.inf})
    assert shares_of(tokens, "good", Spellings(["good", "bad"]), 0) is None


@pytest.mark.parametrize(
    ("content", "label"),
    [
        ("good", 0),
        (" Good.\n", 0),
        ('"good"', 0),
        ("**bad**", 1),
        ('{"label": "bad"}', 1),
        ('```json\n{"label": "Good"}\n```', 0),
        ("It is good", None),
        ("good or bad", None),
        ("", None),
        ('{"label": 1}', None),
        ('{"answer": "good"}', None),
        ('{"label": "good"} {"label": "bad"}', None),
        ('{"label": "go', None),
    ],
)
def test_what_is_not_exactly_a_label_is_none(content, label):
    assert label_in(content, Spellings(["good", "bad"])) == label


# A small language model: it spells an answer character by character or in longer pieces, each beginning of an answer
# with its own distribution over pieces. Labels have a first letter of their own or share beginnings.


def pieces(labels, sizes):
    """How the tokenizer cuts each label: as many pieces as sizes, the same cut for all labels."""
    found = []
    for label in labels:
        cuts, at = [], 0
        for size in [*sizes, 99]:
            if at < len(label):
                cuts.append(label[at : at + size])
                at += size
        found.append(tuple(cuts))
    return found


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.text("abü", min_size=1, max_size=5), min_size=2, max_size=5, unique=True),
    st.lists(st.integers(1, 3), max_size=4),
    st.randoms(use_true_random=False),
)
def test_shares_are_those_of_all_answers(labels, sizes, random):
    """The label that is named has its exact probability, and so has each group that leaves its path at one token."""
    spelt = [(*cut, '"') for cut in pieces(labels, sizes)]  # a closing quote ends each
    chance = np.array([random.random() + 0.01 for _ in labels])
    exact = chance / chance.sum()
    named = random.randrange(len(labels))
    tokens, groups = [token('{"label":"', 1.0)], [[named]]
    for at, piece in enumerate(spelt[named]):
        inside = [i for i, cut in enumerate(spelt) if cut[:at] == spelt[named][:at]]
        by_piece = {other: [i for i in inside if spelt[i][at] == other] for other in {spelt[i][at] for i in inside}}
        options = {other: exact[group].sum() / exact[inside].sum() for other, group in by_piece.items()}
        tokens.append(token(piece, options.pop(piece), **options))
        groups += [group for other, group in by_piece.items() if other != piece]
    tokens.append(token("}", 1.0))
    content = "".join(one["token"] for one in tokens)
    assert json.loads(content)["label"] == labels[named]
    found = shares_of(tokens, content, Spellings(labels), named)
    assert found.mass == pytest.approx(1)
    assert sorted(i for group in groups for i in group) == list(range(len(labels)))
    for group in groups:
        assert sum(found.shares[i] for i in group) == pytest.approx(exact[group].sum()), group
