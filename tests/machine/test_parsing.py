"""Whatever bytes come in, a value comes out, or one line that names the file."""

import gzip
import json
import time

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hornbook.errors import HornbookError, one_line
from hornbook.machine import text_files
from hornbook.machine.parsing import parse_json, parse_yaml, read_array, read_arrays, read_json
from hornbook.machine.text_files import read_lines, read_text

FEW = settings(max_examples=60)
DEEP = "[" * 20_000 + "]" * 20_000
DOUBLING = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))


def short(error, where):
    """Check that an error is one short line that begins with the place."""
    message = str(error)
    assert message.startswith(f"{where}: ")
    assert len(message.splitlines()) == 1
    assert len(message) < 400 + len(str(where))


@pytest.mark.parametrize("text", [DEEP, '{"a": ' * 20_000, "", "{", "nope", b"\xff", b'"\xff"'])
def test_what_is_no_json_is_one_line(text):
    with pytest.raises(HornbookError) as error:
        parse_json(text, "here")
    short(error.value, "here")


def test_json_says_where_it_ends():
    with pytest.raises(HornbookError, match=r"here: not JSON: .* line 2 column 1"):
        parse_json('{"a":\n}', "here")


def test_numbers_of_any_length_are_numbers():
    assert parse_json("9" * 5000, "here") == int("9" * 4000) * 10**1000 + int("9" * 1000)
    assert parse_json("12", "here") == 12


@FEW
@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=9))
def test_json_is_read_as_it_was_written(value):
    assert parse_json(json.dumps(value), "here") == value


def test_a_file_that_is_not_there_is_named(tmp_path):
    for read in (read_json, read_array, read_arrays):
        with pytest.raises(HornbookError, match=r"nowhere: .*No such file"):
            read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "text",
    [
        DEEP,
        DOUBLING,
        "!!float x",
        "!!python/object:os.system x",
        "a: [",
        "? [a]\n: b",
        "\0",
        "!!bool x",
        "!!binary é",
    ],
)
def test_what_is_no_yaml_is_one_line_and_soon(text):
    started = time.process_time()
    with pytest.raises(HornbookError) as error:
        parse_yaml(text, "here")
    short(error.value, "here")
    assert time.process_time() - started < 2


def test_dates_octal_numbers_and_too_many_digits_are_text():
    text = "{a: 2020-99-99, b: 2020-01-01, c: 0110, d: 1:30, e: 1_000, f: -7, g: " + "9" * 4001 + "}"
    wanted = {"a": "2020-99-99", "b": "2020-01-01", "c": "0110", "d": "1:30", "e": 1000, "f": -7, "g": "9" * 4001}
    assert parse_yaml(text, "here") == wanted


def test_aliases_are_what_they_stand_for_up_to_a_limit():
    assert parse_yaml("a: &x [1, 2]\nb: *x", "here") == {"a": [1, 2], "b": [1, 2]}
    hundred = f"a: &x [{', '.join('1' * 100)}]\n"
    assert len(parse_yaml(f"{hundred}b: [{', '.join(['*x'] * 900)}]", "here")["b"]) == 900
    with pytest.raises(HornbookError, match="more than 100,000 values"):
        parse_yaml(f"{hundred}b: [{', '.join(['*x'] * 1000)}]", "here")


@FEW
@given(st.text(alphabet="ab:-[]{}&*!#|>?'\"\n 01.,<%@"))
@example("<<: *a")
def test_any_yaml_is_what_the_safe_loader_reads_or_one_line(text):
    try:
        found = parse_yaml(text, "here")
    except HornbookError as error:
        short(error, "here")
        return
    assert str(found) == str(yaml.safe_load(text)) or any(c.isdigit() for c in text)


@FEW
@given(st.data())
def test_arrays_of_damaged_files_are_those_of_sound_ones_or_one_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("arrays") / "x.npz"
    np.savez(path, a=np.arange(5), b=np.ones(3))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2, 0]))])
    try:
        found = read_arrays(path)
    except HornbookError as error:
        short(error, path)
        return
    sound = {"a": np.arange(5), "b": np.ones(3)}
    assert all(np.array_equal(found[name], sound[name]) for name in found.keys() & sound.keys())


def test_pickles_in_arrays_are_not_run(tmp_path):
    np.save(tmp_path / "x.npy", np.array([print], object), allow_pickle=True)
    with pytest.raises(HornbookError, match="not a readable file of arrays"):
        read_array(tmp_path / "x.npy")


def naive_lines(content):
    """The reference of `read_lines`."""
    lines = content.decode().split("\n")
    lines = lines if lines[-1] else lines[:-1]
    return [line.removeprefix("\ufeff") if not number else line for number, line in enumerate(lines)]


@FEW
@given(st.lists(st.sampled_from(["", "a", "é", "bcd" * 5, "\r", "\ufeff"])), st.booleans(), st.integers(1, 9))
def test_lines_are_the_same_in_blocks_of_any_size(tmp_path_factory, lines, ends, size):
    path = tmp_path_factory.mktemp("lines") / "x.txt"
    path.write_bytes(("\n".join(lines) + "\n" * ends).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "BLOCK_BYTES", size)
        assert list(read_lines(path)) == naive_lines(path.read_bytes())


def test_a_long_line_takes_no_longer_in_small_blocks(tmp_path, monkeypatch):
    (tmp_path / "x.txt").write_bytes(b"a" * (1 << 25))
    monkeypatch.setattr(
        text_files, "BLOCK_BYTES", 1 << 15
    )  # 1,024 blocks: held line and block copied each time, 17 GB
    started = time.process_time()
    assert [len(line) for line in read_lines(tmp_path / "x.txt")] == [1 << 25]
    assert time.process_time() - started < 2


def test_a_line_beyond_the_limit_is_refused_with_its_place(tmp_path, monkeypatch):
    (tmp_path / "x.txt").write_bytes(b"one\ntwo\n" + b"a" * 100)
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 8)
    monkeypatch.setattr(text_files, "LONGEST_LINE", 50)
    with pytest.raises(HornbookError, match=r"x.txt: line 3 \(from byte 8\) is longer than"):
        list(read_lines(tmp_path / "x.txt"))


def test_a_file_that_unpacks_to_much_more_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.txt.gz"
    path.write_bytes(gzip.compress(b"a " * 200_000))
    assert len(read_text(path)) == 400_000
    monkeypatch.setattr(text_files, "_ALWAYS_UNPACKED", 1 << 16)
    monkeypatch.setattr(text_files, "BLOCK_BYTES", 1 << 12)
    with pytest.raises(HornbookError, match="unpacks to more than 100 times its size"):
        read_text(path)
    path.write_bytes(gzip.compress(bytes(range(32, 122)) * 3 + np.random.default_rng(0).bytes(90_000).hex().encode()))
    assert len(read_text(path)) > 180_000


def test_a_line_of_an_error_is_short_and_moves_no_cursor():
    assert one_line("a\nb \t c") == "a b c"
    assert one_line("\x1b[2J\ud800") == "\\x1b[2J\\ud800"
    assert one_line("naïve – 日本") == "naïve – 日本"
    cut = one_line("begin " + "x" * 10_000 + " end", 100)
    assert len(cut) == 100
    assert cut.startswith("begin")
    assert cut.endswith(" end")
