"""What it costs to open an engine and to explain once, in a process of its own.

    python benchmarks/explain_costs.py ENGINE NET BATCH

prints, in JSON: the seconds of reading the weights' file and of opening the engine, and the peak
of the process's memory against that of weights and blobs, with and without what the libraries
take before anything is opened.
"""

import json
import os
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
from definitions import write_model  # noqa: E402
from nets import NETS  # noqa: E402
from opened import open_net  # noqa: E402

from prototxt_tools import rewrite, shapes  # noqa: E402
from prototxt_tools.net.net import Net  # noqa: E402
from prototxt_tools.text.document import Document  # noqa: E402


def memory(field):
    """Bytes: VmHWM is the peak, VmRSS what is in use."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(field))


def apart(function):
    """The seconds that a function takes in a process of its own, whose memory does not count."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        begin = time.perf_counter()
        function()
        os.write(theirs, repr(time.perf_counter() - begin).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return float(os.read(ours, 100))


def explain(engine, data, score, target):
    seed = np.zeros_like(engine.forward({"data": data}, [score, target])[score])
    seed.reshape(len(seed), -1)[:, 1] = 1
    engine.backward(score, seed, [target])


def measure(kind, name, batch, folder):
    text, score, target = NETS[name]
    apart(lambda: write_model(folder, text))
    path = folder / "weights.caffemodel"
    document = rewrite.strip_softmax(Document.parse(text)).document
    __import__(kind)
    libraries = memory("VmRSS")
    reading = apart(path.read_bytes)
    begin = time.perf_counter()
    engine = open_net(kind, document.text(), path, [score], [target], isolated=False)
    opening = time.perf_counter() - begin
    net = Net.parse(document).at("TEST")
    data = np.zeros((batch,) + tuple(net.inputs[0].shape[1:]), np.float32)
    explain(engine, data, score, target)
    blobs = shapes.infer(net, {"data": data.shape})
    needed = path.stat().st_size + sum(4 * np.prod(shape) for shape in blobs.values())
    peak = memory("VmHWM")
    return {"opening / reading the file": f"{opening / reading:.1f}",
            "seconds": f"{opening:.2f}",
            "peak / weights and blobs": f"{peak / needed:.2f}",
            "without libraries": f"{(peak - libraries) / needed:.2f}"}


def main():
    out = os.dup(1)
    os.dup2(2, 1)  # Whatever a library prints is no answer.
    with tempfile.TemporaryDirectory() as folder:
        answer = measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), pathlib.Path(folder))
    os.write(out, json.dumps(answer).encode())
    os._exit(0)  # Debian 11's torch and caffe may hang in their destructors.


if __name__ == "__main__":
    main()
