"""A fake OpenAI-compatible server on loopback: answers by rules, refuses what it is told to refuse, counts calls."""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], Any]


def completion(content: str | None, logprobs: list | None = None, **message: Any) -> dict:
    """The body of an answer."""
    choice = {"index": 0, "finish_reason": message.pop("finish_reason", "stop")}
    choice["message"] = {"role": "assistant", "content": content, **message}
    if logprobs is not None:
        choice["logprobs"] = {"content": logprobs}
    usage = {"prompt_tokens": 40, "completion_tokens": 5, "total_tokens": 45}
    return {"id": "x", "object": "chat.completion", "model": "fake", "choices": [choice], "usage": usage}


def token(text: str, p: float, **others: float) -> dict:
    """A token with its probability and those of its alternatives."""
    top = [{"token": t, "logprob": math.log(q), "bytes": list(t.encode())} for t, q in ((text, p), *others.items())]
    return {**top[0], "top_logprobs": top}


def graded(label: str, p: float, other: str) -> dict:
    """An answer in JSON with a label of one token."""
    tokens = [token('{"', 1.0), token("label", 1.0), token('":"', 1.0), token(label, p, **{other: 1 - p})]
    return completion(json.dumps({"label": label}, separators=(",", ":")), [*tokens, token('"}', 1.0)])


class FakeServer:
    """The server while it runs.

    Args:
        reply: takes the body of a request and returns status, headers and the body of the answer.
        seconds: how long an answer takes.
    """

    def __init__(self, reply: Callable[[dict], Reply | dict], seconds: float = 0.0) -> None:
        self.reply, self.seconds = reply, seconds
        self.requests: list[dict] = []
        self.keys: list[str | None] = []
        self.most_at_once = self.at_once = 0
        self.lock = threading.Lock()
        self.endpoint = ""

    @property
    def texts(self) -> list[str]:
        return [one["messages"][0]["content"] for one in self.requests]


@contextmanager
def fake_server(reply: Callable[[dict], Reply | dict], seconds: float = 0.0) -> Iterator[FakeServer]:
    """Run a server in a thread."""
    fake = FakeServer(reply, seconds)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with fake.lock:
                fake.requests.append(body)
                fake.keys.append(self.headers.get("authorization"))
                fake.at_once += 1
                fake.most_at_once = max(fake.most_at_once, fake.at_once)
            found = fake.reply(body) if self.path.endswith("/chat/completions") else (404, {}, {"error": "no"})
            time.sleep(fake.seconds)
            with fake.lock:
                fake.at_once -= 1
            status, headers, answer = (200, {}, found) if isinstance(found, dict) else found
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            kind = "text/html" if isinstance(answer, str) else "application/json"
            for name, value in {"content-type": kind, "content-length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.endpoint = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
