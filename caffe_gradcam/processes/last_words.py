"""Why a process ended, from its exit status and what it wrote to stderr."""

import re
import signal
import sys
from dataclasses import dataclass
from typing import IO, Iterable, List, MutableSequence

from prototxt_tools.errors import EngineError, EngineFailed, OutOfMemory

# What Caffe, the C++ library and CUDA write where memory is short.
MEMORY_WORDS = "host allocation of size", "bad_alloc", "out of memory", "Cannot allocate memory"
# What CUDA writes where there is no card, or no driver for it.
NO_CARD_WORDS = "no CUDA-capable device", "driver version is insufficient"
# Since glog 0.6 with the year before month and day.
_GLOG = re.compile(r"[FEWI]\d{4}(?:\d{4})? [\d:.]+ +\d+ [^\]]*\] ?")
_PROTOBUF = re.compile(r"\[libprotobuf (?:ERROR|FATAL) [^\]]*\] ?")


@dataclass(frozen=True)
class Death:
    """How a process ended.

    Attributes
    ----------
    status : int
        Its exit status; -N where signal N ended it.
    words : str
        One sentence that says why, as far as is known.
    """

    status: int
    words: str

    def error(self) -> EngineError:
        """The error for callers of an engine that ran in the process."""
        # Linux kills a process that takes more memory than there is.
        is_memory = self.status == -signal.SIGKILL or any(
            words in self.words for words in MEMORY_WORDS)
        return OutOfMemory(self.words) if is_memory else EngineFailed(self.words)


def keep_lines(stream: "IO[bytes]", lines: MutableSequence[str], verbose: bool) -> None:
    """Collect the lines of a stream, and pass them on to stderr if `verbose`; then close it."""
    with stream:
        for line in stream:
            lines.append(line.decode("utf-8", "replace").rstrip())
            if verbose:
                sys.stderr.write(lines[-1] + "\n")


def last_words(lines: Iterable[str], status: int, name: str = "engine") -> str:
    """One sentence on why a process ended.

    glog marks a fatal message with F, and a stack trace follows; what protobuf wrote before it
    explains it better.

    Parameters
    ----------
    lines : iterable of str
        What it wrote to stderr, the last of it at least.
    status : int
        As of ``Death``.
    name : str
        What the process was for.
    """
    lines = list(lines)
    fatal: List[str] = []
    for line in lines:
        if line.startswith("*** Check failure stack trace"):
            break
        is_fatal = line.startswith("F") and _GLOG.match(line)
        if is_fatal:
            fatal = [earlier for earlier in fatal if _PROTOBUF.match(earlier)]
        if is_fatal or _PROTOBUF.match(line) or (fatal and not _GLOG.match(line)):
            fatal.append(line)
    words = " ".join(_PROTOBUF.sub("", _GLOG.sub("", line)).strip() for line in fatal)
    if any(reason in words for reason in NO_CARD_WORDS):
        return ("Caffe found no NVIDIA card that it can use; check the card and its driver with "
                "nvidia-smi, or use --device cpu")
    if words:
        return "Caffe stopped: " + words
    if status == -signal.SIGKILL:
        return f"the {name}'s process was killed; is there enough memory?"
    ending = f"the {name}'s process " + (
        f"was killed by signal {-status}" if status < 0 else f"ended with status {status}")
    return f"{ending}: {lines[-1]}" if lines else f"{ending} and no error message"
