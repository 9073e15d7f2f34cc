"""The command batch in a process of its own, to be killed."""

import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = """import sys
sys.path[:0] = [{!r}, {!r}, {!r}]
import faulty
faulty.install()
from caffe_gradcam.commands.cli import main
sys.exit(main())
"""


def program():
    """``caffe-gradcam`` with the fake engine, as a command line without its arguments."""
    return [sys.executable, "-c", PROGRAM.format(*map(str, (HERE, HERE.parent, HERE.parents[1])))]


def start(*arguments, **options):
    """Start ``caffe-gradcam batch`` with the fake engine; standard error is kept."""
    pause = options.pop("pause", 0)
    return subprocess.Popen(
        program() + ["batch"] + [str(argument) for argument in arguments]
        + ["--engine", "torch", "--decoders", "1", "--batch", "4", "--part-size", "6",
           "--threads", str(len(os.sched_getaffinity(0)))],
        env=dict(os.environ, FAULTY_PAUSE=str(pause)), stderr=subprocess.PIPE,
        universal_newlines=True, **options)


def family(pid):
    """A process and all that descend from it, as pids."""
    members = [pid]
    for member in members:
        try:
            for thread in os.listdir(f"/proc/{member}/task"):
                with open(f"/proc/{member}/task/{thread}/children") as file:
                    members += map(int, file.read().split())
        except OSError:
            continue
    return members


def command_line(pid):
    """What a process was called with; nothing where it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


def kill(pid):
    """kill -9, if it is still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def are_gone(pids, seconds=10.0):
    """Whether processes end within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(map(_is_alive, pids)):
            return True
        time.sleep(0.02)
    return False


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds=60.0):
    """Wait until something holds; fails where it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)
