#!/usr/bin/env python3
"""Processor time of one explanation and of a batch of one, from the program's start to its end.

usage: benchmarks/engine_start.py MODEL IMAGE [ENGINE ...]

Each engine (default: torch, onnx) runs three times in turn, with one thread, after a run that does
not count, which compiles the modules; the lowest time counts, also as a ratio to the first engine.
"first" is a run without graphs that were kept on disk.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile

TIMES = 3


def seconds(command, folder):
    """User and system time of one call."""
    environment = dict(
        os.environ, OMP_NUM_THREADS="1", CAFFE_GRADCAM_HOME=os.path.join(folder, "home"),
        PYTHONPYCACHEPREFIX=os.path.join(folder, "compiled"))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.check_call(
        [sys.executable, "-m", "caffe_gradcam", *command, "-q"], stdout=subprocess.DEVNULL,
        env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(model, image, engines, folder):
    """(command, engine, "first" or "again") -> lowest time."""
    home, output = os.path.join(folder, "home"), os.path.join(folder, "output")
    times = {}
    for _ in range(1 + TIMES):
        for name in ("explain", "batch"):
            for engine in engines:
                shutil.rmtree(home, ignore_errors=True)
                for run in ("first", "again"):
                    shutil.rmtree(output, ignore_errors=True)
                    command = [name, model, image, "-o", output, "--engine", engine]
                    times.setdefault((name, engine, run), []).append(seconds(command, folder))
    return {key: min(values[1:]) for key, values in times.items()}


def main():
    model, image, *engines = sys.argv[1:]
    engines = engines or ["torch", "onnx"]
    with tempfile.TemporaryDirectory() as folder:
        times = measured(model, image, engines, folder)
    for (name, engine, run), time in times.items():
        ratio = time / times[name, engines[0], run]
        print(f"{name}, {engine}, {run}: {time:.2f} s of processor time, {ratio:.2f} of "
              f"{engines[0]}")


if __name__ == "__main__":
    main()
