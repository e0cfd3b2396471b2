"""One call of a server, with waiting that is bounded and logged. The API key comes from the environment alone."""

import asyncio
import json
import logging
import math
import os
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from hornbook.errors import HornbookError, one_line
from hornbook.labelling.dialect import REFUSED
from hornbook.machine.extras import explain_missing_extra
from hornbook.recipe import LabelConfig

if TYPE_CHECKING:
    import openai

logger = logging.getLogger("hornbook")

API_KEY = "OPENAI_API_KEY"
_NO_KEY = "none"  # the client wants one; local servers ignore it
_AGAIN = (408, 409, 425, 429)
_FIRST_WAIT, _LONGEST_BACKOFF = 1.0, 60.0
_LONGEST_MESSAGE = 300
_KEPT = "all answers are kept: run the same command again later"


class Refused(Exception):  # noqa: N818 - what to do about it is decided elsewhere
    """The server does not understand this request, and would not understand it later."""


class Busy(Exception):  # noqa: N818 - the request has no error
    """The server answered that it failed."""


class Halted(Exception):  # noqa: N818 - the call itself has no error
    """The run stops for another reason while this call waits."""


class Client:
    """A server; made by `connect`.

    Args:
        client: the `openai` client, which must not repeat calls itself: it sleeps as long as a server likes.
        endpoint: its address, for messages.
        config: the bounds of waiting.
    """

    def __init__(self, client: "openai.AsyncOpenAI", endpoint: str, config: LabelConfig) -> None:
        self._client, self._endpoint, self._config = client, endpoint, config
        self._resume = 0.0
        self._halted = asyncio.Event()

    def halt(self) -> None:
        """End all waiting; calls that a server is answering are not affected."""
        self._halted.set()

    async def call(self, body: Mapping[str, Any]) -> Any:
        """Make a call; where the server is busy or out of reach, wait and make it again.

        Args:
            body: the request.

        Returns:
            the parsed answer, or its text if it is not JSON.

        Raises:
            Refused: the request is not understood.
            Halted: `halt` was called while it waited.
            HornbookError: the server refuses the user or the model, or waiting has reached its bound.
        """
        started, failures = time.monotonic(), 0
        while True:
            await self._wait()
            try:
                return await self._once(body)
            except (TimeoutError, Busy, _client_error()) as error:
                failures += 1
                why = self._said(error) or f"no answer for {self._config.timeout:g} s"
                wait = self._seconds_to_wait(error, failures, why)
                if time.monotonic() + wait - started > self._config.patience:
                    raise HornbookError(
                        f"{self._endpoint}: a call failed {failures} times in {time.monotonic() - started:.0f} s, "
                        f"the last: {why}; {_KEPT}"
                    ) from None
                self._hold(wait, why)

    async def _once(self, body: Mapping[str, Any]) -> Any:
        import openai

        try:
            # The client's timeout counts for each read; this one for the whole call.
            async with asyncio.timeout(self._config.timeout):
                raw = await self._client.chat.completions.with_raw_response.create(**body)
        except openai.APIStatusError as error:
            code = error.status_code
            if (code in _AGAIN or code >= 500) and code not in REFUSED and error.code != "insufficient_quota":
                raise
            if code in (*REFUSED, 413):
                raise Refused(self._said(error)) from None
            hints = {401: f"; set {API_KEY}", 403: f"; set {API_KEY}", 404: "; the address often ends in /v1"}
            raise HornbookError(f"{self._endpoint}: {code}: {self._said(error)}{hints.get(code, '')}") from None
        content = raw.http_response.content
        try:
            payload = json.loads(content)
        except ValueError:
            return content.decode("utf-8", "replace")
        if isinstance(payload, dict) and payload.get("error") and not payload.get("choices"):
            raise Busy(json.dumps(payload["error"]))  # some answer so, with status 200
        return payload

    def _seconds_to_wait(self, error: Exception, failures: int, why: str) -> float:
        """Return what the server demands, else a time that doubles from failure to failure."""
        headers = getattr(getattr(error, "response", None), "headers", {})
        demanded = retry_after(headers, time.time())
        if demanded is None:
            doubled = min(_FIRST_WAIT * 2.0 ** min(failures - 1, 10), _LONGEST_BACKOFF)
            return doubled * random.uniform(0.75, 1)  # so that calls do not all come back at once
        if demanded > self._config.longest_wait:
            raise HornbookError(
                f"{self._endpoint}: demands to wait {demanded:,.0f} s ({why}), longer than --longest-wait; {_KEPT}"
            )
        return demanded

    def _hold(self, seconds: float, why: str) -> None:
        """Let all calls that have not begun wait."""
        until = time.monotonic() + seconds
        if until > self._resume:
            if time.monotonic() >= self._resume:
                logger.info("%s: waiting %.1f s: %s", self._endpoint, seconds, why)
            self._resume = until

    async def _wait(self) -> None:
        while (left := self._resume - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(self._halted.wait(), left)
            except TimeoutError:
                continue
            raise Halted

    def _said(self, error: Exception) -> str:
        """Return the message of an error on one line, without the API key."""
        body = getattr(error, "body", None)
        told = body.get("message") if isinstance(body, Mapping) else None
        told = told if isinstance(told, str) and told else str(error)
        cause = error.__cause__
        told = f"{told} ({cause})" if cause is not None and str(cause) and not body else told
        key = os.environ.get(API_KEY)
        return one_line(told.replace(key, "***") if key else told, _LONGEST_MESSAGE)


@asynccontextmanager
async def connect(endpoint: str, config: LabelConfig) -> AsyncIterator[Client]:
    """Open a client for a server.

    Args:
        endpoint: its address, such as http://localhost:8000/v1.
        config: the bounds of waiting.

    Yields:
        the client.

    Raises:
        HornbookError: the address is none.
    """
    with explain_missing_extra("hornbook label"):
        import openai
    if not endpoint.startswith(("http://", "https://")):
        raise HornbookError(f"--endpoint: {endpoint}: give an address such as http://localhost:8000/v1")
    key = os.environ.get(API_KEY) or _NO_KEY
    async with openai.AsyncOpenAI(base_url=endpoint, api_key=key, max_retries=0, timeout=config.timeout) as client:
        yield Client(client, endpoint, config)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds a server demands to wait.

    Args:
        headers: of its response: `retry-after-ms`, or `retry-after` in seconds or as a date.
        now: the time, in seconds since 1970.

    Returns:
        the seconds; None if it demands nothing that can be read.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        return None if math.isnan(seconds) else max(seconds, 0.0)
    try:
        return max(parsedate_to_datetime(headers["retry-after"]).timestamp() - now, 0.0)
    except (KeyError, ValueError, OverflowError):
        return None


def _client_error() -> Any:
    """Return the class of the errors of the client."""
    import openai

    return openai.APIError
