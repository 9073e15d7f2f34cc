#!/usr/bin/env python3
"""Have OpenCV run the small detectors of tests/detectors.py, and write tests/golden/detections.npz.

    tests/golden/make_detections.py PYTHON

PYTHON is that of an environment with OpenCV 4, the last major version that reads Caffe's files
(pip install "opencv-python-headless<5"); this script itself runs in the project's environment.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from definitions import random_input, write_model  # noqa: E402
from detectors import mobilenet_ssd, vgg_ssd  # noqa: E402

OUTPUTS = ("mbox_loc", "mbox_conf_flatten", "mbox_priorbox", "detection_out")
CASES = {
    "mobilenet": (mobilenet_ssd(), (1, 3, 48, 64)),
    "vgg": (vgg_ssd(), (1, 3, 40, 40)),
    "vgg_corner": (vgg_ssd(code="CORNER"), (1, 3, 40, 40)),
    "vgg_by_class": (vgg_ssd(shared=False), (1, 3, 40, 40)),
}
RUN = """
import sys, cv2, numpy
prototxt, weights, blob, result = sys.argv[1:5]
net = cv2.dnn.readNetFromCaffe(prototxt, weights)
net.enableFusion(False)
net.setInput(numpy.load(blob))
names = sys.argv[5:]
numpy.savez(result, version=cv2.__version__, **dict(zip(names, net.forward(names))))
"""


def run_opencv(python, text, blob, folder):
    """What OpenCV gives for a net with random weights: output -> array, and its version."""
    prototxt, weights = write_model(folder, text)
    np.save(folder / "blob.npy", blob)
    subprocess.run([python, "-c", RUN, prototxt, weights, str(folder / "blob.npy"),
                    str(folder / "result.npz"), *OUTPUTS], check=True)
    with np.load(folder / "result.npz") as result:
        return {name: result[name] for name in result.files}


def main():
    python, = sys.argv[1:]
    golden = {}
    for case, (text, shape) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            values = run_opencv(python, text, random_input(shape) / 40, pathlib.Path(folder))
        golden["version"] = values.pop("version")
        for name, value in values.items():
            golden[f"{case}.{name}"] = value
    np.savez_compressed(ROOT / "tests" / "golden" / "detections.npz", **golden)


if __name__ == "__main__":
    main()
