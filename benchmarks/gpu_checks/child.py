"""The process of a check."""

import ctypes
import importlib
import json
import os
import signal
import sys
import traceback
from typing import Any, Dict, NoReturn

from gpu_checks.report import Failed, OutOfTime, Report, Skipped
from gpu_checks.setting import FAILED, PASSED, Setting

_PR_SET_PDEATHSIG = 1


def main(job: Dict[str, Any]) -> NoReturn:
    """Run a check in this process, which was forked for it, write its result, and end.

    Parameters
    ----------
    job : dict
        ``function`` (module:name), its ``arguments``, ``setting`` and ``threads``; ``result`` and
        ``log`` are the files to write.
    """
    try:
        _enter(job)
        _run(job)
    finally:
        # Destructors of CUDA's libraries may hang, and the parent's code must not continue here.
        os._exit(1)


def _enter(job: Dict[str, Any]) -> None:
    """Separate this process from the one that it was forked from."""
    os.setsid()  # A new group, so that what it starts can be killed with it.
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(log, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))
    os.chdir(job["setting"]["folder"])
    _limit_threads(job["threads"])


def _run(job: Dict[str, Any]) -> None:
    report = Report(job["result"], job["setting"]["is_dry"])
    try:
        module, function = job["function"].split(":")
        getattr(importlib.import_module(module), function)(
            Setting(**job["setting"]), report, **job["arguments"])
        report.finish(PASSED)
    except (Failed, Skipped, OutOfTime) as outcome:
        report.finish(outcome.status, str(outcome))
    except BaseException as error:
        traceback.print_exc()
        words = str(error).strip().split("\n")[0]
        report.finish(FAILED, f"{type(error).__name__}: {words}")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _limit_threads(threads: int) -> None:
    """Limit the threads of this process and of those that it starts."""
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def read_result(path: str) -> Dict[str, Any]:
    """The result that a check has written so far, or an empty one that is "running"."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {"status": "running", "reason": "", "numbers": {}, "tables": []}
