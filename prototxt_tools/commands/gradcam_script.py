"""The script that computes Grad-CAM of one net with pycaffe alone."""

import os
from typing import Dict

from prototxt_tools.errors import ModelError
from prototxt_tools.net.net import Net

_TEMPLATE = os.path.join(os.path.dirname(__file__), "gradcam_script.py.txt")


def gradcam_script(net: Net, score: str, target: str) -> str:
    """A script in Python 2.7 and 3 that needs pycaffe, NumPy and OpenCV.

    Parameters
    ----------
    net : Net
        At phase TEST.
    score, target : str
        The blobs at which its backward pass starts and ends, unless its user names others.

    Raises
    ------
    ModelError
        The net does not have one input; the script feeds a single image.
    """
    path = net.document.path
    if len(net.inputs) != 1:
        count = "no input" if not net.inputs else f"{len(net.inputs)} inputs"
        raise ModelError(f"{path}: the net has {count}, and the script of --script feeds one image "
                         "to one input", subject=path)
    with open(_TEMPLATE, encoding="utf-8") as file:
        text = file.read()
    names = {"@INPUT@": net.inputs[0].blob, "@SCORE@": score, "@LAYER@": target}
    # One line for each, so that no name is searched for the others.
    return "".join(_filled(line, names) for line in text.splitlines(keepends=True))


def _filled(line: str, names: Dict[str, str]) -> str:
    for mark, name in names.items():
        if line.endswith(f"= {mark}\n"):
            return line.replace(mark, repr(name))
    return line
