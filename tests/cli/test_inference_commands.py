"""`hornbook predict` and `hornbook benchmark` on the command line."""

import json

import pytest
from tests.export.models import save_classifier


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_classifier(tmp_path_factory.mktemp("model") / "model")


def test_predict_says_what_it_did_and_in_json_too(hornbook, model, tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.csv"
    source.write_text('{"text": "w1"}\n{\n{"text": "w2"}\n')
    refused = hornbook("predict", model, source, "--out", out)
    assert refused.exit_code == 2
    assert refused.stderr.endswith(
        f"hornbook: {source}: line 2: not a JSON object; JSONL has one object per line; correct it, or leave such "
        "rows out with --bad-rows skip\n"
    )
    done = hornbook("predict", model, source, "--out", out, "--bad-rows", "skip")
    assert done.stdout.startswith(f"{out}: 2 rows, 1 bad row skipped (the first: {source}: line 2: not a JSON")
    again = hornbook("predict", model, source, "--out", out, "--bad-rows", "skip", "--force", "--json")
    answer = json.loads(again.stdout)
    assert (answer["file"], answer["rows"], answer["skipped"], answer["cut"]) == (str(out), 2, 1, 0)
    assert out.read_text().splitlines()[0] == "text,label,probability_bad,probability_middling,probability_good"


def test_rows_on_the_standard_output_leave_no_place_for_json(hornbook, model, tmp_path):
    (tmp_path / "in.csv").write_text("text\nw1\n")
    shown = hornbook("predict", model, tmp_path / "in.csv")
    assert shown.stdout.startswith("text,label,probability_bad,")
    assert shown.stderr.endswith("1 row\n")
    refused = hornbook("predict", model, tmp_path / "in.csv", "--json")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "rows go to the standard output; name a file with --out" in refused.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name the texts to measure on, with --task or with --texts"),
        (("--task", "a", "--texts", "b"), "name the texts to measure on, with --task or with --texts"),
        (("--texts", "none.csv"), "none.csv: no such file"),
        (("--texts", "none.csv", "--label", "x"), "--label: has no effect without --task"),
    ],
)
def test_a_benchmark_needs_texts(hornbook, model, words, message):
    refused = hornbook("benchmark", model, *words)
    assert refused.exit_code == 2
    assert message in refused.stderr
