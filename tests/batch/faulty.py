"""Nets of batch that are the fake engine, in all processes that a run starts.

The engine dies of images whose red is ``ABORTS``, leaves a process behind when it dies of those of
``ORPHANS``, hangs at those of ``HANGS``, does not bear
two of ``LARGE`` at once, refuses those of ``REFUSED`` and fails of ``BREAKS`` with an error of
its own. After an image of ``STICKS`` it fails of every further one, as CUDA does after some
errors. All others it explains.
"""

import os
import time

import numpy as np
from fake_engine import FakeEngine

from caffe_gradcam.processes import child
from prototxt_tools.errors import EngineError, EngineFailed, OutOfMemory

ABORTS, HANGS, LARGE, REFUSED, BREAKS, STICKS = 200, 210, 220, 230, 240, 250
ORPHANS, ORPHAN_SECONDS = 190, 30
_IMPORT = "from caffe_gradcam.processes.child"
PROGRAM = child._PROGRAM.replace(_IMPORT, "import faulty\nfaulty.install()\n" + _IMPORT)
# Seconds per batch, for tests that need to find a run at work.
PAUSE = float(os.environ.get("FAULTY_PAUSE", "0"))


class FaultyEngine(FakeEngine):
    is_lost = False

    def __init__(self, device="cpu"):
        super().__init__()
        self.description = dict(self.description, device=device)

    def forward(self, inputs, keep):
        reds = np.rint(inputs["data"][:, 2].max(axis=(1, 2)) * 100).astype(int).tolist()
        time.sleep(PAUSE)
        if ABORTS in reds:
            os.write(2, b"F1121 09:00:00.000000  4242 net.cpp:42] Check failed: red != 200\n"
                        b"*** Check failure stack trace: ***\n")
            os.abort()
        if ORPHANS in reds:
            if not os.fork():  # It holds the pipe of the net's process open.
                time.sleep(ORPHAN_SECONDS)
                os._exit(0)
            os.abort()
        if HANGS in reds:
            time.sleep(3600)
        if reds.count(LARGE) > 1:
            raise OutOfMemory("too many large ones")
        if REFUSED in reds:
            raise EngineError("the engine refuses this batch")
        if BREAKS in reds:
            raise ZeroDivisionError("a bug")
        self.is_lost = self.is_lost or STICKS in reds
        if self.is_lost:
            raise EngineFailed("the engine can run nothing more in this process")
        return super().forward(inputs, keep)


def install():
    """Take this engine in this process, and in its children."""
    from caffe_gradcam.engines import opening
    from caffe_gradcam.explaining import explainer

    explainer.open_engine = lambda net, running: FaultyEngine(running.device)
    opening.is_installed = lambda library: True
    child._PROGRAM = PROGRAM
