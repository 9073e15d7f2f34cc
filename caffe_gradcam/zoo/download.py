"""One file from the first of several addresses that gives it, whole and verified, or not at all.

What has arrived is kept as ``NAME.part`` beside the file's path, to be continued the next time.
"""

import http.client
import json
import os
import random
import re
import socket
import threading
import time
import urllib.parse
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Sequence, Tuple

from caffe_gradcam import __version__
from caffe_gradcam.zoo import hashes, http_headers, links
from caffe_gradcam.zoo.entries import File
from caffe_gradcam.zoo.policy import Policy
from prototxt_tools.errors import FetchError, InputError
from prototxt_tools.files import parse_json

# Small, since the piece in which a connection breaks is lost.
_PIECE = 1 << 14
# The bytes that an attempt must bring to count as success; else a slow server never ends.
_WORTH_IT = 1 << 18
# What a connection and the head of an answer may take beyond their own limits, in seconds.
_GRACE = 5
_NO_HTTP = "answers something that is not proper HTTP"
_TEMPORARY = (408, 425, 429, 500, 502, 503, 504)
_PAGES = (b"<!doctype html", b"<html", b"<?xml")
_LFS = b"version https://git-lfs.github.com/spec/"


class _Refused(Exception):
    """This address will not give the file."""


class _Later(Exception):
    """This address may give the file after a pause, of so many seconds if the host tells.

    ``weight`` tells how many of the tries this one counts for.
    """

    def __init__(self, reason: str, pause: Optional[float] = None, weight: int = 1) -> None:
        super().__init__(reason)
        self.pause, self.weight = pause, weight


def download(file: File, path: str, policy: Optional[Policy] = None, quiet: bool = False,
             reader: Optional[Callable[[str], Any]] = None) -> str:
    """Download a file; only what is whole and verified gets its name.

    Parameters
    ----------
    file : entries.File
    path : str
        Where it is written; its folder exists.
    policy : Policy, optional
    quiet : bool
        No progress bar.
    reader : callable, optional
        Reads a file of the expected form, and raises InputError for others.

    Returns
    -------
    str
        The address that gave it.

    Raises
    ------
    FetchError
        No address gave it; the message tells what each answered, and where a person can get it.
    """
    session = _session()
    answers = []
    for url in file.urls:
        try:
            _Transfer(session, policy or Policy(), file, path, url, quiet).run(reader)
            return url
        except _Refused as error:
            answers.append(f"{links.service(url) or links.host(url)}: {error}")
        except OSError as error:
            raise FetchError(f"{path}: cannot be written: {error.strerror}", path) from None
    raise FetchError(_unavailable(file, path, answers), file.name)


def by_hand(file: File, path: str) -> str:
    """How a person can get a file, or an empty text."""
    pages = [url for url in file.urls if links.is_page(url)] + list(file.elsewhere)
    if not pages:
        return ""
    if file.converter:
        return (f"; get {' or '.join(pages)} by hand, and run {file.converter} with its path and "
                f"{os.path.dirname(path)}")
    return f"; get it by hand from {' or '.join(pages)} and save it as {path}"


def _unavailable(file: File, path: str, answers: Sequence[str]) -> str:
    tried = "; ".join(answers) or "no address is known"
    return f"{file.name}: cannot be fetched ({tried}){by_hand(file, path)}"


def _session() -> Any:
    try:
        import requests
    except ImportError:
        raise FetchError("fetching models needs requests; pip install requests",
                         "requests") from None
    session = requests.Session()
    # Compressed answers have no ranges, and another length than the file's.
    session.headers.update({"Accept-Encoding": "identity",
                            "User-Agent": "caffe-gradcam/" + __version__})
    return session


class _Transfer:
    """A file from one address."""

    def __init__(self, session: Any, policy: Policy, file: File, path: str, url: str,
                 quiet: bool) -> None:
        self.session, self.policy, self.file = session, policy, file
        self.path, self.url, self.quiet = path, url, quiet
        self.part, self.note_path = path + ".part", path + ".part.json"

    def run(self, reader: Optional[Callable[[str], Any]]) -> None:
        for attempt in ("resumed", "fresh"):
            is_resumed = self._received() > 0
            self._receive()
            problem = hashes.mismatch(self.part, self.file.size, self.file.hashes) or _misread(
                self.part, reader)
            if problem is None:
                os.replace(self.part, self.path)
                self._forget()
                return
            self._forget()
            # The beginning may be of another file: try this address from the start.
            if attempt == "fresh" or not is_resumed:
                raise _Refused(f"gives another file, which {problem}")

    def _receive(self) -> None:
        """Continue until the part is whole, with pauses that grow while little arrives."""
        most, failures = self._received(), 0
        while True:
            try:
                return self._attempt()
            except _Later as error:
                if self._received() >= most + _WORTH_IT:
                    most, failures = self._received(), 0
                failures += error.weight
                if failures >= self.policy.tries:
                    raise _Refused(str(error)) from None
                self._pause(failures, error)

    def _pause(self, failures: int, error: _Later) -> None:
        pause = self.policy.pause * 2 ** (failures - 1) * random.uniform(0.75, 1.25)
        if error.pause is not None:
            if error.pause > self.policy.longest_pause:
                raise _Refused(f"{error}, and asks to wait {error.pause:.0f} seconds")
            pause = max(pause, error.pause)
        time.sleep(min(pause, self.policy.longest_pause))

    def _attempt(self) -> None:
        import requests
        import urllib3

        offset, headers = self._resumable()
        try:
            with self._answer(links.direct(self.url), headers) as answer:
                self._take(answer, offset)
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL,
                requests.exceptions.MissingSchema):
            raise _Refused("leads to an address that is neither http nor https") from None
        except requests.exceptions.SSLError:
            raise _Refused("its certificate cannot be verified; REQUESTS_CA_BUNDLE names the "
                           "authorities to trust") from None
        except requests.exceptions.ProxyError:
            raise _Later("the proxy in HTTP_PROXY or HTTPS_PROXY refuses") from None
        except requests.Timeout:
            raise _Later("answers too slowly") from None
        except requests.ConnectionError:
            # A host that is down will hardly come back within seconds.
            was_reached = self._received() > 0
            raise _Later("breaks off" if was_reached else "cannot be reached",
                         weight=1 if was_reached else 2) from None
        except requests.RequestException:
            raise _Later("breaks off") from None
        except (ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError):
            # What requests lets through: malformed headers and addresses of redirects.
            raise _Refused(_NO_HTTP) from None

    def _answer(self, url: str, headers: Mapping[str, str]) -> Any:
        """The answer behind all redirects, whose own bodies are never read."""
        policy = self.policy

        def ask() -> Any:
            return self.session.get(url, headers=headers, stream=True, allow_redirects=False,
                                    timeout=(policy.connect, policy.stall))

        for _ in range(policy.redirects + 1):
            answer = _within(policy.connect + policy.stall + _GRACE, ask)
            target = self.session.get_redirect_target(answer)
            if target is None:
                return answer
            answer.close()
            url = urllib.parse.urljoin(url, target)
            if not re.match("https?://[^/]", url):
                raise _Refused("leads to an address that is neither http nor https")
        raise _Refused("leads in circles")

    def _take(self, answer: Any, offset: int) -> None:
        """Write the content of an answer."""
        if answer.status_code == 416:
            self._past_the_end(answer, offset)
            return
        self._check(answer)
        if answer.status_code == 206:
            begin, total = http_headers.content_range(answer)
            if begin != offset or self._is_other(answer):
                self._forget()
                raise _Later("does not continue where it broke off")
        else:
            offset, total = 0, http_headers.number(answer.headers.get("Content-Length"))
        if self.file.size is not None and total not in (None, self.file.size):
            self._forget()
            raise _Refused(f"offers {total} bytes instead of {self.file.size}")
        if not offset:
            self._begin(answer)
        self._write(answer, offset, total)
        if total is not None and self._received() < total:
            raise _Later("breaks off")

    def _check(self, answer: Any) -> None:
        status = answer.status_code
        if status in _TEMPORARY:
            raise _Later(f"answers {status}", http_headers.retry_after(answer))
        if status not in (200, 206):
            raise _Refused(f"answers {status} {answer.reason or ''}".rstrip())
        if answer.headers.get("Content-Type", "").lower().startswith("text/html"):
            raise _Refused("shows a page for people instead of the file")

    def _write(self, answer: Any, offset: int, total: Optional[int]) -> None:
        from tqdm import tqdm

        with open(self.part, "ab" if offset else "wb") as file, tqdm(
            total=total, initial=offset, unit="B", unit_scale=True, desc=self.file.name,
            disable=True if self.quiet else None, leave=False,
        ) as progress:
            limit = self.policy.largest if self.file.size is None else self.file.size
            pace = _Pace(self.policy)
            for piece in _pieces(answer):
                if not offset:
                    _check_beginning(piece)
                offset += len(piece)
                if offset > limit:
                    self._forget()
                    raise _Refused(f"gives more than {limit} bytes")
                file.write(piece)
                progress.update(len(piece))
                pace.check(len(piece))

    def _past_the_end(self, answer: Any, offset: int) -> None:
        """Nothing follows what was received: it is whole, or of another file."""
        total = http_headers.number(answer.headers.get("Content-Range", "").rpartition("/")[2])
        if total != offset:
            self._forget()
            raise _Later("answers 416")

    def _received(self) -> int:
        return os.path.getsize(self.part) if os.path.exists(self.part) else 0

    def _resumable(self) -> Tuple[int, Dict[str, str]]:
        """From which byte to continue, and the headers that ask for it."""
        offset, note = self._received(), self._note()
        if offset and self.file.hashes:
            return offset, {"Range": f"bytes={offset}-"}
        if offset and note.get("url") == self.url and note.get("validator"):
            return offset, {"Range": f"bytes={offset}-", "If-Range": note["validator"]}
        return 0, {}

    def _is_other(self, answer: Any) -> bool:
        """Whether the rest is of another version, which only a hash could tell later."""
        validator = http_headers.validator(answer)
        return not self.file.hashes and validator != self._note().get("validator")

    def _note(self) -> Dict[str, Any]:
        try:
            with open(self.note_path, encoding="utf-8") as file:
                return dict(parse_json(file.read()))
        except (OSError, ValueError, TypeError):
            return {}

    def _begin(self, answer: Any) -> None:
        with open(self.note_path, "w", encoding="utf-8") as file:
            json.dump({"url": self.url, "validator": http_headers.validator(answer)}, file)

    def _forget(self) -> None:
        for path in (self.part, self.note_path):
            if os.path.exists(path):
                os.remove(path)


class _Pace:
    """Raises _Later where bytes come so slowly that the file would take for ever."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.begin, self.count = time.monotonic(), 0

    def check(self, count: int) -> None:
        """Count some bytes that came."""
        self.count += count
        seconds = time.monotonic() - self.begin
        if seconds < self.policy.stall:
            return
        if self.count < seconds * self.policy.slowest:
            raise _Later("answers too slowly")
        self.begin, self.count = time.monotonic(), 0


def _pieces(answer: Any) -> Iterator[bytes]:
    """The body as it comes: the bytes of a slow server are not collected first."""
    import urllib3

    raw = answer.raw
    read = raw.read1 if hasattr(raw, "read1") else raw._fp.read1  # urllib3 1 hides it.
    weight = 2  # A host that gives nothing will hardly come back within seconds.
    while True:
        try:
            piece = read(_PIECE)
        except (socket.timeout, urllib3.exceptions.TimeoutError):
            raise _Later("answers too slowly", weight=weight) from None
        except (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError):
            raise _Later("breaks off") from None
        except ValueError:  # Of the length of a chunk.
            raise _Refused(_NO_HTTP) from None
        if not piece:
            return
        weight = 1
        yield piece


def _within(seconds: float, function: Callable[[], Any]) -> Any:
    """The value of a function, or what it raises; _Later where it takes longer."""
    outcome: Dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["value"] = function()
        except BaseException as error:  # noqa: B902 - raised again in the caller's thread
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise _Later("answers too slowly")
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def _misread(path: str, reader: Optional[Callable[[str], Any]]) -> Optional[str]:
    try:
        if reader is not None:
            reader(path)
    except InputError as error:
        return f"cannot be read: {str(error).replace(path + ': ', '')}"
    return None


def _check_beginning(piece: bytes) -> None:
    beginning = piece[:100].lstrip().lower()
    if beginning.startswith(_PAGES):
        raise _Refused("shows a page for people instead of the file")
    if beginning.startswith(_LFS):
        raise _Refused("gives a Git LFS pointer instead of the file")
