"""Who may ask the server: middleware for every request, whatever it asks."""

import hmac
import ipaddress
import json
import re
from typing import Any, Awaitable, Callable, Dict, FrozenSet, List, Optional, Tuple
from urllib.parse import parse_qs

Scope = Dict[str, Any]
Receive = Callable[[], Awaitable[Dict[str, Any]]]
Send = Callable[[Dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "caffe_gradcam_token"
MOST_BYTES = 32 << 20
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::\d{1,5})?$")
_HEADERS = [
    (b"content-security-policy",
     b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
     b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Guard:
    """Lets requests through to an application that come from its own pages or from programs.

    - The ``Host`` header must name the loopback interface, an address in numbers, or one of
      ``names``: a page whose own name leads here by DNS ("DNS rebinding") has another.
    - ``Origin`` and ``Sec-Fetch-Site``, which browsers send, must be those of our own pages.
    - Where a token is set, it must be there: in ``Authorization: Bearer``, in the cookie, or in
      the address of the first page, which sets the cookie.
    - A body has at most ``MOST_BYTES``.

    Parameters
    ----------
    application : callable
        An ASGI application.
    token : str, optional
    names : frozenset of str
        Further names of this server.
    """

    def __init__(self, application: App, token: Optional[str] = None,
                 names: FrozenSet[str] = frozenset()) -> None:
        self._application, self._token = application, token
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1")
                   for name, value in scope["headers"]}
        send = _with_headers(send)
        problem = self._problem(scope, headers)
        if problem is not None:
            await _refuse(send, *problem)
        elif self._token is not None and not self._has_token(headers):
            await self._ask_for_token(scope, send)
        else:
            await self._application(scope, _Limited(receive), send)

    def _problem(self, scope: Scope, headers: Dict[str, str]) -> Optional[Tuple[int, str]]:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return 421, "this server does not go by that name; see --allow-host"
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return 403, "a page of another origin asks"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            if scope["method"] != "GET" or headers.get("sec-fetch-mode") != "navigate":
                return 403, "a page of another site asks"
        if scope["method"] == "POST" and not headers.get("content-type", "").startswith(
                "application/json"):
            return 415, "the body must be application/json"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MOST_BYTES:
            return 413, f"more than {MOST_BYTES} bytes"
        return None

    def _is_ours(self, host: str) -> bool:
        match = _HOST.match(host)
        if match is None:
            return False
        name = match.group(1).strip("[]").lower()
        if name == "localhost" or name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # Without a token this server listens on the loopback interface alone.
        return self._token is not None or address.is_loopback

    def _has_token(self, headers: Dict[str, str]) -> bool:
        candidates = [headers.get("authorization", "").partition("Bearer ")[2]]
        for pair in headers.get("cookie", "").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == COOKIE:
                candidates.append(value)
        return any(self._fits(candidate) for candidate in candidates)

    def _fits(self, candidate: str) -> bool:
        return hmac.compare_digest(candidate.encode("utf-8"), (self._token or "").encode("utf-8"))

    async def _ask_for_token(self, scope: Scope, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        candidate = query.get("token", [""])[0]
        if scope["method"] == "GET" and scope["path"] == "/" and self._fits(candidate):
            cookie = f"{COOKIE}={candidate}; HttpOnly; SameSite=Strict; Path=/"
            await send({"type": "http.response.start", "status": 303, "headers": [
                (b"location", b"/"), (b"set-cookie", cookie.encode("latin-1"))]})
            await send({"type": "http.response.body", "body": b""})
            return
        await _refuse(send, 401, "this server needs the token that it printed when it started")


class TooLarge(Exception):
    """A body has more bytes than it may."""


class _Limited:
    """Receives a body, as far as it is not too large."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._bytes = receive, 0

    async def __call__(self) -> Dict[str, Any]:
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        if self._bytes > MOST_BYTES:
            raise TooLarge
        return message


def _with_headers(send: Send) -> Send:
    async def with_headers(message: Dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers: List[Tuple[bytes, bytes]] = list(message.get("headers", []))
            message = dict(message, headers=headers + _HEADERS)
        await send(message)

    return with_headers


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"error": sentence}).encode("ascii")
    await send({"type": "http.response.start", "status": status, "headers": [
        (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
