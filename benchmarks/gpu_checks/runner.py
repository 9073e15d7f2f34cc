"""Runs checks, each in a separate process that costs at most its time limit."""

import dataclasses
import os
import shutil
import signal
import sys
import time
from typing import Any, Callable, Dict, List, Optional

from gpu_checks import child
from gpu_checks.results import Record
from gpu_checks.setting import FAILED, SKIPPED, TIMED_OUT, Check, Result, Setting
from prototxt_tools import files

# A check is not started with fewer seconds left.
LEAST = 4.0
_TICK = 0.02


@dataclasses.dataclass
class _Process:
    """A check that runs."""

    check: Check
    pid: int
    folder: str
    job: Dict[str, Any]
    started: float
    limit: float


class Runner:
    """Runs checks until a deadline.

    The checks' processes are forked from this one, which may have imported what they need but must
    not have touched CUDA. It has a single thread, since a fork copies no others.

    Parameters
    ----------
    setting : Setting
        Of all checks; each gets a folder inside ``folder``.
    record : Record
        Takes each result at once.
    deadline : float
        Of ``time.monotonic()``; no check runs longer.
    lanes : int
        Checks that may run at the same time.
    cores : int
        Processor cores, which the lanes share.
    """

    def __init__(self, setting: Setting, record: Record, deadline: float, lanes: int = 1,
                 cores: int = 1) -> None:
        self._setting, self._record, self._deadline = setting, record, deadline
        self._lanes, self._cores = lanes, cores
        self._running: List[_Process] = []

    def run(self, checks: List[Check]) -> None:
        """Run checks in their order; neighbours that may run together do."""
        waiting = list(checks)
        try:
            while waiting or self._running:
                while waiting and self._has_room(waiting[0]):
                    self._begin(waiting.pop(0))
                time.sleep(_TICK)
                for process in list(self._running):
                    self._look_after(process)
        finally:
            for process in self._running:
                _kill(process.pid, [os.killpg, os.kill])
                os.waitpid(process.pid, 0)

    def _has_room(self, check: Check) -> bool:
        if check.is_alone or any(process.check.is_alone for process in self._running):
            return not self._running
        return len(self._running) < self._lanes

    def _begin(self, check: Check) -> None:
        reason = check.reason_to_skip(self._setting) if check.reason_to_skip else None
        limit = min(check.limit, self._deadline - time.monotonic())
        if reason is None and limit < min(LEAST, check.limit):
            reason = "no time was left; give more --minutes"
        if reason is not None:
            self._record.add(Result(check.name, SKIPPED, reason))
            return
        folder = os.path.join(self._setting.folder, check.name)
        job = self._job(check, folder, limit)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            child.main(job)
        self._running.append(_Process(check, pid, folder, job, time.monotonic(), limit))

    def _job(self, check: Check, folder: str, limit: float) -> Dict[str, Any]:
        """What ``child.main`` takes."""
        work = os.path.join(folder, "work")
        os.makedirs(work)
        setting = dataclasses.replace(self._setting, folder=work, seconds=limit)
        lanes = 1 if check.is_alone else self._lanes
        return {"function": check.function, "arguments": dict(check.arguments),
                "setting": dataclasses.asdict(setting),
                "threads": max(1, self._cores // lanes),
                "result": os.path.join(folder, "result.json"), "log": os.path.join(folder, "log")}

    def _look_after(self, process: _Process) -> None:
        """Record a check that has ended, or that has had its time."""
        seconds = time.monotonic() - process.started
        pid, status = os.waitpid(process.pid, os.WNOHANG)
        code = os.waitstatus_to_exitcode(status) if pid else None
        if code is None:
            if seconds < process.limit:
                return
            _kill(process.pid, [os.killpg, os.kill])
            os.waitpid(process.pid, 0)
        _kill(process.pid, [os.killpg])  # What it has started.
        self._running.remove(process)
        self._record.log(process.check.name, files.readable_text(process.job["log"]))
        answer = child.read_result(process.job["result"])
        shutil.rmtree(process.folder, ignore_errors=True)
        self._record.add(_result(process, answer, code, seconds))


def _kill(pid: int, ways: List[Callable[[int, int], None]]) -> None:
    """Kill what is left of a check: its group, and the process that leads it."""
    for kill in ways:
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass


def _result(process: _Process, answer: Dict[str, Any], code: Optional[int],
            seconds: float) -> Result:
    """The result of a check whose process is gone; without a code, it was stopped."""
    status, reason = answer["status"], answer["reason"]
    if code is None:
        status, reason = TIMED_OUT, f"stopped after {process.limit:.0f} s"
    elif code < 0:
        status, reason = FAILED, f"its process was killed by signal {-code}"
    elif status == "running" or code > 0:
        status = FAILED
        reason = f"its process ended with status {code} and without a result"
    return Result(process.check.name, status, reason, round(seconds, 2), answer["numbers"],
                  answer["tables"])
