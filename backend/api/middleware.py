"""
What happens around every request, as plain ASGI.

Framework middleware on top of tasks and streams costs more than most requests here; each
of these is a few lines.  Order from outside: request id, measure, headers, body limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend import metrics
from backend.api.problems import Problem, problem_response
from backend.logs import get_logger

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# Asked every second by balancer and scraper: they would drown the product's own requests,
# and a replica that says "not ready" has not failed a request.
_NOT_COUNTED = frozenset({"/ready", "/metrics"})

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_API_CSP = "default-src 'none'; frame-ancestors 'none'"
_PAGES_WITH_SCRIPTS = ("/docs", "/redoc")
_STRICT_TRANSPORT = "max-age=31536000; includeSubDomains"

log = get_logger("backend.access")


class Measure:
    """Count and time requests by template path, and write the access log."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"] in _NOT_COUNTED:
            await self.app(scope, receive, send)
            return
        began, status, to_beginning = time.perf_counter(), 500, 0.0

        async def watch(message: Message) -> None:
            nonlocal status, to_beginning
            if message["type"] == "http.response.start":
                status = message["status"]
                if MutableHeaders(scope=message).get("content-type", "").startswith("text/event"):
                    to_beginning = time.perf_counter() - began
            await send(message)

        metrics.IN_FLIGHT.inc()
        try:
            await self.app(scope, receive, watch)
        finally:
            metrics.IN_FLIGHT.dec()
            seconds = to_beginning or time.perf_counter() - began
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            path = getattr(scope.get("route"), "path", "unmatched")
            metrics.REQUESTS.labels(method, path, str(status)).inc()
            metrics.REQUEST_SECONDS.labels(method, path).observe(seconds)
            emit = log.info if status < 500 else log.warning
            emit("request", method=method, path=path, status=status, seconds=round(seconds, 4))


class AnswerHeaders:
    """
    Add security headers, and close connections while the replica is draining.

    Args:
        app: What answers.
        strict_transport: Whether to insist on TLS, in production.
        is_draining: Asked for each answer; a client told to close sends its next
            request to another replica instead of into a closing connection.
    """

    def __init__(
        self, app: ASGIApp, strict_transport: bool, is_draining: Callable[[], bool]
    ) -> None:
        self.app, self._is_draining = app, is_draining
        self._headers = dict(_SECURITY_HEADERS)
        if strict_transport:
            self._headers["Strict-Transport-Security"] = _STRICT_TRANSPORT

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith(_PAGES_WITH_SCRIPTS):
                    headers.setdefault("Content-Security-Policy", _API_CSP)
                headers.setdefault("Cache-Control", "no-store")
                if self._is_draining():
                    headers["Connection"] = "close"
            await send(message)

        await self.app(scope, receive, add)


class _TooLarge(Exception):
    """The body went over the limit while it was being read."""


class BodyLimit:
    """
    Refuse bodies over a limit, whether or not their length was announced.

    Args:
        app: What answers.
        max_bytes: Largest body accepted.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = MutableHeaders(scope=scope).get("content-length", "")
        if announced.isdigit() and int(announced) > self._max_bytes:
            await self._refuse(scope, receive, send)
            return
        read, began = 0, False

        async def count() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._max_bytes:
                raise _TooLarge
            return message

        async def watch(message: Message) -> None:
            nonlocal began
            if read > self._max_bytes and not began:
                return  # whatever the framework made of the interrupted body
            began = True
            await send(message)

        try:
            await self.app(scope, count, watch)
        except _TooLarge:
            if began:
                raise
        if read > self._max_bytes and not began:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        metrics.OVERSIZED.inc()
        detail = f"The body is larger than {self._max_bytes} bytes."
        problem = Problem(413, "body-too-large", detail, {"Connection": "close"})
        await problem_response(problem)(scope, receive, send)
