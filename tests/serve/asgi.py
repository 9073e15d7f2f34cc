"""Asks an ASGI application without a network."""

import asyncio
import json

HOST = "127.0.0.1:8000"


class Response:
    """What the application sent."""

    def __init__(self, messages):
        self.status = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])

    @property
    def json(self):
        return json.loads(self.body.decode("utf-8"))


def ask(application, path="/", body=None, host=HOST, **headers):
    """The response to a request; ``sec_fetch_site="none"`` is a header."""
    return run(asked(application, path, body, host, **headers))


def run(coroutine):
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


async def asked(application, path="/", body=None, host=HOST, **headers):
    """As :func:`ask`, within a loop."""
    messages = []
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"host": host, "content-length": str(len(data))}
    if body is not None:
        fields["content-type"] = "application/json"
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    path, _, query = path.partition("?")

    async def receive():
        return {"type": "http.request", "body": data, "more_body": False}

    async def send(message):
        messages.append(message)

    await application({
        "type": "http", "method": "GET" if body is None else "POST", "path": path,
        "raw_path": path.encode(), "query_string": query.encode(), "http_version": "1.1",
        "scheme": "http", "root_path": "", "client": ("127.0.0.1", 5000),
        "server": ("127.0.0.1", 8000), "headers": [
            (name.encode(), value.encode()) for name, value in fields.items()]}, receive, send)
    return Response(messages)
