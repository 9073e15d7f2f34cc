#!/usr/bin/env python3
"""Processor time of one explanation from the start of the program to its end, for each engine.

usage: benchmarks/engine_start.py MODEL IMAGE [ENGINE ...]

Each engine (default: torch, onnx) runs three times in turn; the lowest time counts.
"""

import os
import resource
import subprocess
import sys
import tempfile

TIMES = 3


def seconds(model, image, engine, folder):
    """User and system time of one call."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.check_call(
        [sys.executable, "-m", "caffe_gradcam", "explain", model, image, "-o", folder, "--engine",
         engine, "-q"], env=dict(os.environ, OMP_NUM_THREADS="1"), stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    model, image, *engines = sys.argv[1:]
    engines = engines or ["torch", "onnx"]
    with tempfile.TemporaryDirectory() as folder:
        measured = [[seconds(model, image, engine, folder) for engine in engines]
                    for _ in range(TIMES)]
    for engine, *times in zip(engines, *measured):
        print(f"{engine}: {min(times):.2f} s of processor time")


if __name__ == "__main__":
    main()
