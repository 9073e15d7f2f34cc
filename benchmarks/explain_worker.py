"""Runs one way to explain at a time when asked, and answers with the seconds it took.

Each line of standard input is ["open", net, batch], ["run", action], ["profile"] or ["peak"];
each line of standard output an answer in JSON. ``explain.py`` starts one worker for each engine.
"""

import contextlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from definitions import random_input, write_model  # noqa: E402
from explain_exported import Graph  # noqa: E402
from nets import NETS  # noqa: E402
from opened import open_net  # noqa: E402

from caffe_gradcam.engines.class_maps import MapRequest  # noqa: E402
from caffe_gradcam.explaining import class_maps  # noqa: E402
from prototxt_tools import rewrite, weights  # noqa: E402
from prototxt_tools.text.document import Document  # noqa: E402


class Session:
    """A net, its weights and a batch; the actions are the methods whose names are asked for."""

    def __init__(self, kind, name, batch, folder):
        self.kind = kind
        text, self.score, self.target = NETS[name]
        self.weights = stored_weights(pathlib.Path(folder), name, text)
        self.text = rewrite.strip_softmax(Document.parse(text)).document.text()
        size = 227 if "227" in text[:200] else 224
        self.data = random_input((batch, 3, size, size))
        self.engine = self.open()
        self.others = {}

    def open(self, text=None, path=None, isolated=False):
        return open_net(self.kind, text or self.text, path or self.weights, [self.score],
                        [self.target], isolated=isolated)

    def other(self, name, make):
        """A second engine or net, made when it is first asked for."""
        if name not in self.others:
            self.others[name] = make()
        return self.others[name]

    def forward(self, engine=None):
        return (engine or self.engine).forward({"data": self.data}, [self.score])

    def explain(self, engine=None, classes=1):
        """Maps of the best classes at the size of the input, as a batch gets them."""
        request = MapRequest(self.score, (self.target,), ("grad-cam",), best=classes)
        maps = class_maps.begin(engine or self.engine, {"data": self.data}, request).result()
        for cams in maps.cams.values():
            for cam in cams:
                cv2.resize(cam, self.data.shape[2:])

    def five(self):
        self.explain(classes=5)

    def folded(self):
        self.forward(self.other("folded", self._fold))

    def _fold(self):
        folded = rewrite.fold(Document.parse(self.text), weights.load(self.weights))
        path = self.weights + ".folded"
        weights.save(path, folded.weights)
        return self.open(folded.document.text(), path)

    def isolated(self):
        self.explain(self.other("isolated", lambda: self.open(isolated=True)))

    def blog(self):
        """The recipe of the pycaffe script: full backward, one image at a time."""
        net = self.other("blog", self._blog_net)
        for image in self.data:
            net.blobs["data"].data[...] = image
            net.forward()
            seed = np.zeros(net.blobs[self.score].data.shape)
            seed.reshape(-1)[0] = 1
            diffs = net.backward(diffs=["data", self.target], **{net.outputs[0]: seed})
            gradient = diffs[self.target]
            gradient = gradient / (np.sqrt(np.mean(np.square(gradient))) + 1e-5)
            activation = net.blobs[self.target].data[0]
            cam = np.ones(activation.shape[1:], np.float32)
            for channel, weight in enumerate(gradient[0].mean(axis=(1, 2))):
                cam += weight * activation[channel]
            cv2.resize(cam, self.data.shape[2:])

    def _blog_net(self):
        import caffe

        with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
            file.write("force_backward: true\n" + self.text)
            file.flush()
            return caffe.Net(file.name, self.weights, caffe.TEST)

    def timed(self, clock, action):
        """The seconds of a second run: the first brings the weights back to the cache."""
        for _ in range(2):
            begin = clock()
            getattr(self, action)()
            taken = clock() - begin
        return taken

    def profile(self, clock):
        """Type of layer -> seconds of one forward pass, by layers that run one at a time."""
        self.forward()
        self.taken = {}
        if self.kind == "caffe":
            net = self.engine._net
            for index, layer in enumerate(net.layers):
                self._timed(clock, layer.type, lambda index=index: net._forward(index, index))
        else:
            run = self.engine._run
            self.engine._run = lambda layer, blobs: self._timed(
                clock, layer.type, lambda: run(layer, blobs))
            self.forward()
            self.engine._run = run
        return self.taken

    def _timed(self, clock, name, function):
        begin = clock()
        value = function()
        self.taken[name] = self.taken.get(name, 0) + clock() - begin
        return value

    def library(self):
        """pytorch-grad-cam on the same layers and weights."""
        from explain_library import make

        self.other("library", lambda: make(self))()

    def close(self):
        for engine in [self.engine] + list(self.others.values()):
            if hasattr(engine, "close"):
                engine.close()


def stored_weights(folder, name, text):
    """The weights of a net, kept until another net's are wanted."""
    mine = folder / name.replace(" ", "")
    if not mine.is_dir():
        for other in folder.iterdir():
            shutil.rmtree(str(other))
        mine.mkdir()
        write_model(mine, text)
    return str(mine / "weights.caffemodel")


class Accelerated(Session):
    """With the trunk compiled by OpenVINO from the first batch on."""

    def __init__(self, *arguments):
        from caffe_gradcam.engines.torch import trunk

        trunk.PATIENCE = 0
        super().__init__(*arguments)


class InBf16(Session):
    def open(self):
        return open_net(self.kind, self.text, self.weights, [self.score], [self.target],
                        precision="bf16")


class AcceleratedInBf16(InBf16, Accelerated):
    pass


class Exported(Session):
    """The graph that ``export --explain`` writes; its kind is a precision."""

    def open(self):
        return Graph(self.text, self.weights, self.target, self.kind)

    def explain(self):
        self.engine.explain(self.data)


def matrix_peak(clock):
    """Operations per second of a large matrix product in torch, the best of some."""
    import torch

    size = 2048
    matrix = torch.rand(size, size)
    taken = []
    for _ in range(8):
        begin = clock()
        torch.mm(matrix, matrix)
        taken.append(clock() - begin)
    return 2 * size ** 3 / min(taken)


def main(kind, clock):
    kinds = {"caffe": ("caffe", Session), "torch": ("torch", Session),
             "accelerated": ("torch", Accelerated), "library": ("torch", Session),
             "onnx": ("onnx", Session), "graphs": ("openvino", Session),
             "bf16": ("torch", AcceleratedInBf16), "bf16-graphs": ("openvino", InBf16),
             "exported": ("fp32", Exported), "int8": ("int8", Exported)}
    if kind in ("torch", "library"):
        from caffe_gradcam.engines.torch import memory, trunk

        trunk.PATIENCE = float("inf")
        if kind == "library":  # Nobody tells the C library to keep memory for it.
            memory.keep_freed = lambda: None
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Whatever a library prints is no answer.
    session = None
    with tempfile.TemporaryDirectory() as folder:
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            if name == "open":
                if session:
                    session.close()
                session = None
                session = kinds[kind][1](kinds[kind][0], *arguments, folder)
                answer = session.engine.description
            elif name == "profile":
                answer = session.profile(clock)
            elif name == "peak":
                answer = matrix_peak(clock)
            else:
                answer = session.timed(clock, arguments[0])
            print(json.dumps(answer), file=out, flush=True)
        with contextlib.suppress(Exception):
            session.close()


if __name__ == "__main__":
    main(sys.argv[1], time.process_time if "--busy" in sys.argv else time.perf_counter)
    os._exit(0)  # Debian 11's torch and caffe may hang in their destructors.
