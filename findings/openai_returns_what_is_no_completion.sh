#!/usr/bin/env bash
# openai: what is no chat completion is returned as if it were one: a web page as `str`, an error as one without choices.
#
# Packages: openai 3.57.0, httpx2 2.16.2. Answers with status 200: a page of HTML (a wrong address, a login), and
# {"error": …} (some services report failures so).
# A good guess: an exception of the client, which has one for this (APIResponseValidationError).
# Seen: `create` returns the page as a `str`, and a ChatCompletion whose `choices` is None.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check openai==3.57.0
"$folder/venv/bin/python" - <<'PYTHON'
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


answers.append((200, "text/html", b"<html>log in</html>", {}))
page = ask()
print("a page:", repr(page))
assert page == "<html>log in</html>"
answers.append((200, "application/json", b'{"error": {"message": "upstream failed", "code": 502}}', {}))
failed = ask()
print("an error:", type(failed).__name__, failed.choices)
assert type(failed).__name__ == "ChatCompletion"
assert failed.choices is None
print("as recorded")
PYTHON
