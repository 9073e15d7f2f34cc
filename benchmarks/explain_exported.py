"""Exported graphs that explain themselves, as ways to explain for ``explain_worker.py``."""

import pathlib
import subprocess
import sys

import cv2
import numpy as np

from caffe_gradcam.engines.onnx.openvino_session import OpenVinoSession
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

ROOT = pathlib.Path(__file__).resolve().parents[1]
# How many pictures the ranges of values are chosen on, and the seed of their noise.
PICTURES, SEED = 24, 3


class Graph:
    """An exported graph in OpenVINO.

    Parameters
    ----------
    text, weights : str
        The deploy net, and the path of its weights.
    layer : str
        The blob to explain.
    precision : str
        "fp32" or "int8".
    """

    def __init__(self, text, weights, layer, precision):
        folder = pathlib.Path(weights).parent
        path = folder / f"{precision}.onnx"
        self._input = Net.parse(Document.parse(text)).inputs[0].blob
        if not path.exists():
            (folder / "deploy.prototxt").write_text(text, encoding="utf-8")
            self._export(folder, path, layer, precision)
        self._session = OpenVinoSession(path.read_bytes())
        self.description = {"engine": f"exported graph, {precision}"}

    @staticmethod
    def _export(folder, path, layer, precision):
        command = [sys.executable, "-m", "caffe_gradcam", "export", str(folder / "deploy.prototxt"),
                   "--weights", str(folder / "weights.caffemodel"), "-o", str(path), "--explain",
                   "--layer", layer]
        if precision == "int8":
            command += ["--precision", "int8", "--calibrate", str(made_pictures(folder))]
        subprocess.check_call(command, cwd=str(ROOT), stdout=subprocess.DEVNULL)

    def explain(self, images):
        """The scores, and the maps at the size of the input."""
        values = self._session.run({self._input: images}, ["score", "cam"])
        return values["score"], [cv2.resize(cam, images.shape[2:]) for cam in values["cam"]]

    def close(self):
        self._session = None


def made_pictures(folder):
    """A folder of pictures with coarse and fine structure."""
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    random = np.random.RandomState(SEED)
    for index in range(PICTURES):
        layers = [cv2.resize(random.randint(0, 256, (cells, cells, 3)).astype(np.float32),
                             (256, 256), interpolation=cv2.INTER_CUBIC) for cells in (3, 12, 48)]
        cv2.imwrite(str(pictures / f"{index:02}.png"),
                    np.clip(sum(layers) / len(layers), 0, 255).astype(np.uint8))
    return pictures
