"""Exports in other programs: each answers 1,000 texts as PyTorch does, in a process of its own without hornbook.

What it runs is the code of docs/how-to/ship.md. `make test-loaders` installs the programs that are not in .venv.
"""

import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from tests.inference.models import export
from tests.models.tiny_tokenizers import made_up_texts, random_text, whole_tokenizer

from hornbook import load_classifier

pytestmark = pytest.mark.slow

DOCS = Path(__file__).resolve().parents[2] / "docs" / "how-to"
PAGE = (DOCS / "ship.md").read_text("utf-8")
PLACE = "HORNBOOK_LOADERS"
# Families and numbers of segments: one, as RoBERTa and XLM-R are published.
FAMILIES = {"wordpiece": ("bert", 2), "byte-level": ("roberta", 1), "unigram": ("xlm-roberta", 1)}
WORDS = ["the", "film", "is", "not", "good", "bad", "dull", "10", "$5", "U.S.", "don't", "well-made", "naïve"]
ODD = [
    *("", " \n\t ", "bading " * 2000, "x" * 300, "a" * 101 + " b", "naïve Ünï ÀÉ", "e\u0301 cafe\u0301", "İ ﬁlm ①½"),
    *(
        "🎬👩\u200d👩\u200d👧 ok",
        "日本語 中国",
        "مرحبا بالعالم",
        "हिन्दी किताबें",
        "don’t it's “q”",
        "ǅ ẞ ß ς Σ",
        "١٢ x² ₂",
    ),
    *("[SEP] [CLS] <mask> </s> zenzen", "\u200b\ufeff a\u00adb", "a\u0000b \u0007", "\u00a0a\u3000b\u0085c\u2028d"),
]


def block(contained: str) -> str:
    """Return the code block of the page that contains a text."""
    (found,) = [one for one in re.findall(r"```(?:python|js)\n(.*?)```", PAGE, re.DOTALL) if contained in one]
    return found


def some_texts() -> list[str | list[str]]:
    """Return 1,000 texts, and pairs as lists; no second text is empty, which transformers and its port drop."""
    draw = random.Random(0)
    made_up = made_up_texts(400)

    def text() -> str:
        words = " ".join(draw.choices(WORDS, k=draw.randint(1, 60)))
        return draw.choice((words, draw.choice(made_up), random_text(draw)))

    pairs = [[text(), text() or "film"] for _ in range(250)]
    pairs += [["bading " * 2000, "dull"], ["dull", "bading " * 500], ["", "dull"]]
    singles = [text() for _ in range(1000 - len(pairs) - len(ODD))]
    return [*ODD, *singles, *pairs]


TEXTS = some_texts()


class Place:
    """A folder with an export and the texts, where other programs run; and what PyTorch answers.

    Attributes:
        folder: has `my-export`, `texts.json` and what npm installed.
        labels: of the model.
        wanted: the probabilities, shape (texts, labels).
    """

    def __init__(self, folder: Path, exported: Path) -> None:
        self.folder = folder
        (folder / "my-export").symlink_to(exported)
        self.is_unigram = json.loads((exported / "tokenizer.json").read_text("utf-8"))["model"]["type"] == "Unigram"
        (folder / "texts.json").write_text(json.dumps(TEXTS), "utf-8")
        for name in ("classify.mjs", "classify.html"):
            shutil.copy(DOCS / name, folder)
        modules = Path(os.environ.get(PLACE, "")) / "node" / "node_modules"
        if PLACE in os.environ and modules.is_dir():
            (folder / "node_modules").symlink_to(modules)
        classify = load_classifier(exported, format="pytorch", threads=1)
        both = [[one, None] if isinstance(one, str) else one for one in TEXTS]
        self.labels = classify.labels
        self.wanted = classify(*map(list, zip(*both, strict=True))).probabilities

    def run(self, *command: str) -> list:
        """Return what a program wrote: an answer for each text."""
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads((self.folder / "answers.json").read_text("utf-8"))

    def python(self, code: str, answers: str, python: str = sys.executable) -> list:
        begin = "import sys; sys.modules['hornbook'] = None\nimport json\ntexts = json.load(open('texts.json'))\n"
        end = f"\nanswers = {answers}\njson.dump(answers, open('answers.json', 'w'))\n"
        (self.folder / "ask.py").write_text(begin + code + end, "utf-8")
        return self.run(python, "ask.py")

    def node(self, code: str, answer: str) -> list:
        if shutil.which("node") is None:
            pytest.skip("no Node here: apt-get install nodejs npm")
        if not (self.folder / "node_modules").is_dir():
            pytest.skip("@huggingface/transformers is not installed: make test-loaders")
        begin = 'import { readFileSync, writeFileSync } from "node:fs";\n'
        end = (
            '\nconst answers = [];\nfor (const one of JSON.parse(readFileSync("texts.json"))) '
            f'answers.push({answer});\nwriteFileSync("answers.json", JSON.stringify(answers));\n'
        )
        (self.folder / "ask.mjs").write_text(begin + code + end, "utf-8")
        return self.run("node", "ask.mjs")

    def check(self, answers: list, kept: list[int] | slice = slice(None)) -> None:
        """Assert that the best label of each text and its probability are those of PyTorch."""
        wanted = self.wanted[kept]
        best = wanted.argmax(axis=-1)
        assert len(set(best)) > 1
        found, shares = zip(*answers, strict=True)
        assert list(found) == [self.labels[i] for i in best]
        assert np.array(shares) == pytest.approx(wanted.max(axis=-1), abs=1e-4)

    def check_all(self, answers: list) -> None:
        """Assert that all labels of each text and their probabilities are those of PyTorch."""
        assert [[one["label"] for one in answer] for answer in answers] == [self.labels] * len(TEXTS)
        shares = np.array([[one["probability"] for one in answer] for answer in answers])
        assert np.ptp(self.wanted, axis=0).min() > 0.1
        # Of two equally likely readings of a word, @huggingface/transformers may take the other one.
        unlike = ~np.isclose(shares, self.wanted, rtol=0, atol=1e-4).all(axis=1)
        assert unlike.sum() <= (3 if self.is_unigram else 0)


def made(folder: Path, tokenizer: str, **settings) -> Path:
    """Export a tiny random model with a tokenizer of a kind."""
    family, segments = FAMILIES[tokenizer]
    reader = whole_tokenizer(tokenizer)
    tokens = {f"{one}_token_id": getattr(reader, f"{one}_token_id") for one in ("pad", "cls", "sep")}
    sizes = {"vocab_size": len(reader), "max_position_embeddings": 70, "type_vocab_size": segments}
    return export(folder, family=family, reader=reader, length=48, **tokens, **sizes, **settings)


@pytest.fixture(scope="module", params=[*FAMILIES, os.environ.get("HORNBOOK_EXPORT", "")])
def place(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    if request.param in FAMILIES:
        return Place(folder, made(folder / "made", request.param))
    if not request.param:
        pytest.skip("no further export to try: HORNBOOK_EXPORT=FOLDER names one")
    return Place(folder, Path(request.param).resolve())


def python_of(name: str) -> str:
    """Return the interpreter of an environment of `make test-loaders`."""
    path = Path(os.environ.get(PLACE, "")) / name / "bin" / "python"
    if PLACE not in os.environ or not path.exists():
        pytest.skip(f"{name} is not installed: make test-loaders")
    return str(path)


def test_onnxruntime_and_tokenizers(place):
    code = block("onnxruntime.InferenceSession")
    assert code.count("\n") <= 20
    place.check(place.python(code, "classify([one if isinstance(one, str) else tuple(one) for one in texts])"))


def test_pipeline_of_transformers(place):
    asked = "classify([t if isinstance(t, str) else {'text': t[0], 'text_pair': t[1]} for t in texts])"
    place.check(place.python(block("from transformers import"), f"[(a['label'], a['score']) for a in {asked}]"))


def test_cross_encoder_of_sentence_transformers(place):
    python = python_of("sentence-transformers")
    each = "[model.predict(one) for one in texts]"
    answers = f"[(model.config.id2label[int(row.argmax())], float(row.max())) for row in {each}]"
    place.check(place.python(block("CrossEncoder("), answers, python))


def test_infinity_serves_single_texts(place):
    command = [python_of("infinity"), "-m", "infinity_emb.cli", "v2", "--model-id", "my-export", "--device", "cpu"]
    command += ["--served-model-name", "mine", "--no-bettertransformer", "--no-model-warmup"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1"}
    log = place.folder / "infinity.log"
    address = f"http://127.0.0.1:{port}"
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with log.open("w") as file:
        server = subprocess.Popen(command, cwd=place.folder, env=environment, stdout=file, stderr=file)
    # It strips white space, which is part of the text for byte-level BPE and Unigram.
    kept = [i for i, one in enumerate(TEXTS) if isinstance(one, str) and one == one.strip()]
    body = json.dumps({"model": "mine", "input": [TEXTS[i] for i in kept]}).encode()
    try:
        for _ in range(120):
            assert server.poll() is None, log.read_text("utf-8")[-2000:]
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5)
                break
            except OSError:
                time.sleep(1)
        asked = urllib.request.Request(f"{address}/classify", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=120) as answer:
            rows = json.load(answer)["data"]
    finally:
        server.terminate()
        server.wait(30)
    place.check([(row[0]["label"], row[0]["score"]) for row in rows], kept)


def test_node(place):
    place.check_all(place.node(block("loadClassifier(library"), "await classify(...[one].flat())"))


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_node_with_other_kinds_of_tasks(kind, tmp_path):
    place = Place(tmp_path, made(tmp_path / "made", "wordpiece", kind=kind))
    place.check_all(place.node(block("loadClassifier(library"), "await classify(...[one].flat())"))


def test_pipeline_of_transformers_js_on_single_texts_that_are_not_cut(place):
    def fits(i: int, one) -> bool:
        return isinstance(one, str) and len(one.encode()) < 40

    kept = [i for i, one in enumerate(TEXTS) if fits(i, one)]
    assert len(kept) > 100
    code = block('from "@huggingface/transformers";\n\nconst classify = await pipeline')
    answers = place.node(code, "(await classify([one].flat()[0])).map((a) => [a.label, a.score])[0]")
    place.check([answers[i] for i in kept], kept)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def address(place):
    """Serve a folder on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=place.folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_the_page_in_a_browser(place, browser, address):
    if not (place.folder / "node_modules").is_dir():
        pytest.skip("@huggingface/transformers is not installed: make test-loaders")
    page = browser.new_page(viewport={"width": 800, "height": 600})
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}classify.html")
    page.locator("#status").filter(has_text=" ms ").wait_for(timeout=60_000)
    answers = [
        page.evaluate("(texts) => classify(...texts)", [one] if isinstance(one, str) else one) for one in TEXTS
    ]
    place.check_all(answers)
    number = next(i for i, one in enumerate(TEXTS) if i > len(ODD) and isinstance(one, str) and len(one) > 20)
    page.locator("#text").fill(TEXTS[number])
    best = place.wanted[number].argmax()
    value = f"{place.wanted[number][best]:.3f}"
    page.locator("li.best").filter(has_text=place.labels[best]).filter(has_text=value).wait_for(timeout=5000)
    assert page.locator("#answer li").count() == len(place.labels)
    assert said == []
    assert all(url.startswith((address, "data:")) for url in asked)
    page.close()
