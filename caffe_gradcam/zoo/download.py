"""One file from the first of several addresses that gives it, whole and verified, or not at all.

What has arrived waits as ``NAME.part`` beside the file's place, to be gone on with the next time.
"""

import email.utils
import json
import os
import random
import time
from typing import NamedTuple

from caffe_gradcam import __version__
from caffe_gradcam.zoo import hashes, links
from prototxt_tools.errors import InputError

# Small, since the piece that a connection breaks off in is lost.
_PIECE = 1 << 14
# What an attempt must bring to count as success; else a server that drips keeps us for ever.
_WORTH_IT = 1 << 18
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_PAGES = (b"<!doctype html", b"<html", b"<?xml")
_LFS = b"version https://git-lfs.github.com/spec/"


class Policy(NamedTuple):
    """How patient a download is; all times in seconds.

    Attributes
    ----------
    connect, stall : float
        To wait for a connection, and for the next bytes.
    tries : int
        Attempts at one address that bring little or nothing, before the next one is taken.
    pause, longest_pause : float
        Before the second attempt, doubled each time, and at most; a host that asks for a longer
        pause is given up.
    redirects : int
    """

    connect: float = 15
    stall: float = 60
    tries: int = 5
    pause: float = 1
    longest_pause: float = 60
    redirects: int = 10


class _Refused(Exception):
    """This address will not give the file."""


class _Later(Exception):
    """This address may give the file after a pause, of seconds if it says so.

    ``weight`` tells how many of the tries this one counts for.
    """

    def __init__(self, reason, pause=None, weight=1):
        super().__init__(reason)
        self.pause, self.weight = pause, weight


def download(file, path, policy=None, quiet=False, reader=None):
    """Download a file; only what is whole and verified gets its name.

    Parameters
    ----------
    file : entries.File
    path : str
        Where it goes; its folder exists.
    policy : Policy, optional
    quiet : bool
        No progress bar.
    reader : callable, optional
        Reads a file of that form, and raises InputError if it is none.

    Returns
    -------
    str
        The address that gave it.

    Raises
    ------
    InputError
        No address gave it; says what each answered, and where a person may get it.
    """
    session = _session(policy or Policy())
    answers = []
    for url in file.urls:
        try:
            _Transfer(session, policy or Policy(), file, path, url, quiet).run(reader)
            return url
        except _Refused as error:
            answers.append(f"{links.service(url) or links.host(url)}: {error}")
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    raise InputError(_unavailable(file, path, answers))


def by_hand(file, path):
    """How a person can get a file, or an empty text."""
    pages = [url for url in file.urls if links.is_page(url)] + list(file.elsewhere)
    if not pages:
        return ""
    return "; get it by hand from {} and save it as {}".format(" or ".join(pages), path)


def _unavailable(file, path, answers):
    tried = "; ".join(answers) or "no address is known"
    return f"{file.name}: cannot be fetched ({tried}){by_hand(file, path)}"


def _session(policy):
    try:
        import requests
    except ImportError:
        raise InputError("fetching models wants requests; pip install requests") from None
    session = requests.Session()
    session.max_redirects = policy.redirects
    # Compressed answers have no ranges, and another length than the file's.
    session.headers.update({"Accept-Encoding": "identity",
                            "User-Agent": "caffe-gradcam/" + __version__})
    return session


class _Transfer:
    """A file from one address."""

    def __init__(self, session, policy, file, path, url, quiet):
        self.session, self.policy, self.file = session, policy, file
        self.path, self.url, self.quiet = path, url, quiet
        self.part, self.note = path + ".part", path + ".part.json"

    def run(self, reader):
        for attempt in ("resumed", "fresh"):
            was_begun = self._have() > 0
            self._receive()
            wrong = hashes.mismatch(self.part, self.file.size, self.file.hashes) or _misread(
                self.part, reader)
            if wrong is None:
                os.replace(self.part, self.path)
                self._forget()
                return
            self._forget()
            # The beginning may be of another file: give the address a chance of its own.
            if attempt == "fresh" or not was_begun:
                raise _Refused(f"gives another file, which {wrong}")

    def _receive(self):
        """Go on until the part is whole, with pauses that grow while little comes."""
        most, failures = self._have(), 0
        while True:
            try:
                return self._attempt()
            except _Later as error:
                if self._have() >= most + _WORTH_IT:
                    most, failures = self._have(), 0
                failures += error.weight
                if failures >= self.policy.tries:
                    raise _Refused(str(error)) from None
                self._pause(failures, error)

    def _pause(self, failures, error):
        pause = self.policy.pause * 2 ** (failures - 1) * random.uniform(0.75, 1.25)
        if error.pause is not None:
            if error.pause > self.policy.longest_pause:
                raise _Refused(f"{error}, and asks to wait {error.pause:.0f} seconds")
            pause = max(pause, error.pause)
        time.sleep(min(pause, self.policy.longest_pause))

    def _attempt(self):
        import requests

        have, headers = self._resumable()
        try:
            with self.session.get(
                links.direct(self.url), headers=headers, stream=True,
                timeout=(self.policy.connect, self.policy.stall),
            ) as answer:
                self._take(answer, have)
        except requests.TooManyRedirects:
            raise _Refused("leads in circles") from None
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL,
                requests.exceptions.MissingSchema):
            raise _Refused("leads to an address that is none of http or https") from None
        except requests.exceptions.SSLError:
            raise _Refused("its certificate cannot be verified; REQUESTS_CA_BUNDLE names the "
                           "authorities to trust") from None
        except requests.exceptions.ProxyError:
            raise _Later("the proxy in HTTP_PROXY or HTTPS_PROXY refuses") from None
        except requests.Timeout:
            raise _Later("answers too slowly") from None
        except requests.ConnectionError:
            # A host that is not there will hardly come back within seconds.
            reached = self._have() > 0
            raise _Later("breaks off" if reached else "cannot be reached",
                         weight=1 if reached else 2) from None
        except requests.RequestException:
            raise _Later("breaks off") from None

    def _take(self, answer, have):
        """Write what an answer brings."""
        if answer.status_code == 416:
            return self._past_the_end(answer, have)
        self._check(answer)
        if answer.status_code == 206:
            begin, total = _content_range(answer)
            if begin != have or self._is_other(answer):
                self._forget()
                raise _Later("does not go on where it broke off")
        else:
            have, total = 0, _number(answer.headers.get("Content-Length"))
        if self.file.size is not None and total not in (None, self.file.size):
            self._forget()
            raise _Refused(f"offers {total} bytes instead of {self.file.size}")
        if not have:
            self._begin(answer)
        self._write(answer, have, total)
        if total is not None and self._have() < total:
            raise _Later("breaks off")

    def _check(self, answer):
        status = answer.status_code
        if status in _PASSING:
            raise _Later(f"answers {status}", _retry_after(answer))
        if status not in (200, 206):
            raise _Refused("answers {} {}".format(status, answer.reason or "").rstrip())
        if answer.headers.get("Content-Type", "").lower().startswith("text/html"):
            raise _Refused("shows a page for people instead of the file")

    def _write(self, answer, have, total):
        from tqdm import tqdm

        with open(self.part, "ab" if have else "wb") as file, tqdm(
            total=total, initial=have, unit="B", unit_scale=True, desc=self.file.name,
            disable=True if self.quiet else None, leave=False,
        ) as progress:
            for piece in answer.iter_content(_PIECE):
                if not have:
                    _check_beginning(piece)
                have += len(piece)
                if self.file.size is not None and have > self.file.size:
                    raise _Refused(f"gives more than {self.file.size} bytes")
                file.write(piece)
                progress.update(len(piece))

    def _past_the_end(self, answer, have):
        """Nothing comes after what is there: it is whole, or of another file."""
        total = _number(answer.headers.get("Content-Range", "").rpartition("/")[2])
        if total != have:
            self._forget()
            raise _Later("answers 416")

    def _have(self):
        return os.path.getsize(self.part) if os.path.exists(self.part) else 0

    def _resumable(self):
        """How much of the file is there to go on from, and what to ask for."""
        have, said = self._have(), self._said()
        if have and self.file.hashes:
            return have, {"Range": f"bytes={have}-"}
        if have and said.get("url") == self.url and said.get("validator"):
            return have, {"Range": f"bytes={have}-", "If-Range": said["validator"]}
        return 0, {}

    def _is_other(self, answer):
        """Whether the rest is of another version, which only a hash could tell later."""
        return not self.file.hashes and _validator(answer) != self._said().get("validator")

    def _said(self):
        try:
            with open(self.note, encoding="utf-8") as file:
                return dict(json.load(file))
        except (OSError, ValueError, TypeError):
            return {}

    def _begin(self, answer):
        with open(self.note, "w", encoding="utf-8") as file:
            json.dump({"url": self.url, "validator": _validator(answer)}, file)

    def _forget(self):
        for path in (self.part, self.note):
            if os.path.exists(path):
                os.remove(path)


def _misread(path, reader):
    try:
        if reader is not None:
            reader(path)
    except InputError as error:
        return "cannot be read: {}".format(str(error).replace(path + ": ", ""))
    return None


def _check_beginning(piece):
    beginning = piece[:100].lstrip().lower()
    if beginning.startswith(_PAGES):
        raise _Refused("shows a page for people instead of the file")
    if beginning.startswith(_LFS):
        raise _Refused("gives a Git LFS pointer instead of the file")


def _validator(answer):
    """What tells this version of a file from others: a strong ETag or the time of writing."""
    tag = answer.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return answer.headers.get("Last-Modified")


def _content_range(answer):
    """The first byte and the length of the whole that a partial answer states."""
    span, _, total = answer.headers.get("Content-Range", "").rpartition("/")
    return _number(span.replace("bytes", "").strip().partition("-")[0]), _number(total)


def _retry_after(answer):
    said = answer.headers.get("Retry-After")
    if said is None or _number(said) is not None:
        return _number(said)
    moment = email.utils.parsedate_tz(said)
    return None if moment is None else max(0, email.utils.mktime_tz(moment) - time.time())


def _number(text):
    text = (text or "").strip()
    return int(text) if text.isdigit() else None
