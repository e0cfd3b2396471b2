#!/usr/bin/env bash
# openai: a call with timeout=1 sleeps as long as the server's Retry-After says, and repeats itself.
#
# Packages: openai 3.57.0, httpx2 2.16.2. A server that answers 429 with `Retry-After: 4` twice, then 200.
# A good guess: an error after about a second, since `timeout=1`; or at least a line in the log.
# Seen: 8 seconds and three requests, silently. `timeout` counts for each read; up to two minutes are slept, twice
# (max_retries is 2). Above two minutes there is an error at once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check openai==3.57.0
"$folder/venv/bin/python" - <<'PYTHON'
import time
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai

answers = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        status, kind, data, more = answers.pop(0)
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(data)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none", timeout=1)


def ask():
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])


busy = (429, "application/json", b'{"error": {"message": "busy"}}', {"retry-after": "4"})
answers += [busy, busy, (200, "application/json", b'{"choices": []}', {})]
started = time.monotonic()
ask()
seconds = time.monotonic() - started
print(f"timeout=1: the call took {seconds:.1f} s")
assert seconds >= 8
assert not answers
print("as recorded")
PYTHON
