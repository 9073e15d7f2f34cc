"""What the headers of an answer over HTTP state."""

import email.utils
import re
import time
from typing import Any, Optional, Tuple


def validator(answer: Any) -> Optional[str]:
    """What tells this version of a file from others: a strong ETag or the time of writing."""
    tag = answer.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return tag
    return answer.headers.get("Last-Modified")


def content_range(answer: Any) -> Tuple[Optional[int], Optional[int]]:
    """The first byte and the length of the whole that a partial answer states."""
    span, _, total = answer.headers.get("Content-Range", "").rpartition("/")
    return number(span.replace("bytes", "").strip().partition("-")[0]), number(total)


def retry_after(answer: Any) -> Optional[float]:
    """The seconds after which a server wants to be asked again, if it says so."""
    delay = answer.headers.get("Retry-After")
    if delay is None or number(delay) is not None:
        return number(delay)
    moment = email.utils.parsedate_tz(delay)
    return None if moment is None else max(0, email.utils.mktime_tz(moment) - time.time())


def number(text: Optional[str]) -> Optional[int]:
    """A number of at most 18 digits in a header."""
    text = (text or "").strip()
    return int(text) if re.match("[0-9]{1,18}$", text) else None
