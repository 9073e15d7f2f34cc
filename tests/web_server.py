"""A web server on this machine that does whatever a test tells it, well or badly."""

import contextlib
import http.server
import socketserver
import threading
import time


class Answer:
    """What the server says to one request.

    Parameters
    ----------
    body : bytes
        What a good server would have.
    status : int
    headers : dict
    only : int, optional
        Bytes of the body after which the connection breaks.
    stall : float
        Seconds of silence after these bytes, instead of breaking at once.
    ranges : bool
        Whether a Range is heeded.
    length : int, optional
        A Content-Length to claim; -1 for none.
    drip : float
        Seconds after each byte.
    raw : bytes, optional
        All that is sent, head included.
    """

    def __init__(self, body=b"", status=200, headers=None, only=None, stall=0, ranges=True,
                 length=None, drip=0, raw=None):
        self.body, self.status, self.headers = body, status, headers or {}
        self.only, self.stall, self.ranges, self.length = only, stall, ranges, length
        self.drip, self.raw = drip, raw


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.requests.append((self.path, dict(self.headers)))
        answers = server.answers.get(self.path.split("?")[0], [Answer(b"nothing here", 404)])
        answer = answers[min(server.served.get(self.path, 0), len(answers) - 1)]
        server.served[self.path] = server.served.get(self.path, 0) + 1
        self.close_connection = True
        self._send(answer)

    def _send(self, answer):
        if answer.raw is not None:
            self.wfile.write(answer.raw)
            return
        status, body, extra = answer.status, answer.body, dict(answer.headers)
        wanted = self.headers.get("Range")
        tag = self.headers.get("If-Range")
        if wanted and answer.ranges and status == 200 and tag in (None, extra.get("ETag")):
            start = int(wanted[len("bytes="):-1])
            if start >= len(body):
                status, body = 416, b""
                extra["Content-Range"] = f"bytes */{len(answer.body)}"
            else:
                status, body = 206, body[start:]
                size = len(answer.body)
                extra.setdefault("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_response(status)
        for name, value in extra.items():
            self.send_header(name, value)
        length = answer.length if answer.length is not None else len(body)
        if length >= 0:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()
        for index in range(len(body) if answer.drip else 0):
            self.wfile.write(body[index:index + 1])
            time.sleep(answer.drip)
        self.wfile.write(b"" if answer.drip else body[:answer.only])
        self.wfile.flush()
        if answer.stall:
            time.sleep(answer.stall)

    def log_message(self, *arguments):
        pass


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # A client that hangs up is what some tests are about.


@contextlib.contextmanager
def serving(answers):
    """Run a server.

    Parameters
    ----------
    answers : dict
        Path -> list of Answer: one for each request, the last one for ever.

    Yields
    ------
    _Server
        ``url`` its address, ``requests`` what was asked: (path, headers).
    """
    server = _Server(("127.0.0.1", 0), _Handler)
    server.answers, server.served, server.requests = answers, {}, []
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.daemon = True
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
