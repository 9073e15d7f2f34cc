"""Ask real Caffe about a net, in a child process: what it refuses kills the process.

Only for nets that ``prototxt_tools.reports.audit`` has no findings for, since Caffe runs what a
net names.
"""

import faulthandler
import json
import os
import resource
import select
import signal
import tempfile
import time
from typing import Dict, List, NamedTuple, Optional, Tuple

from prototxt_tools.text.edits import Edits

_FILLERS = ("weight_filler", "bias_filler", "filler")
_PARAMETERS = ("convolution_param", "inner_product_param", "scale_param", "embed_param")
SECONDS = 60


class Answer(NamedTuple):
    """What Caffe built, or its refusal: the last words of the child."""

    blobs: Dict[str, Tuple[int, ...]]
    weights: Dict[str, List[Tuple[int, ...]]]
    refusal: Optional[str]


def build(document, phase="TEST"):
    """Let Caffe build a net.

    Parameters
    ----------
    document : prototxt_tools.text.document.Document
    phase : str

    Returns
    -------
    Answer
        Without the blobs of Split layers that Caffe adds, and those without a name.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.prototxt")
        with open(path, "wb") as file:
            file.write(_without_fillers(document).encode())
        said, last_words = in_child(folder, lambda: _build(path, phase))
    if said is None:
        return Answer({}, {}, last_words)
    blobs = {
        name: tuple(shape)
        for name, shape in said["blobs"].items()
        if name != "(automatic)" and name not in said["splits"]
    }
    weights = {name: [tuple(shape) for shape in shapes] for name, shapes in said["weights"].items()}
    return Answer(blobs, weights, None)


def _build(path, phase):
    import caffe

    net = caffe.Net(path, getattr(caffe, phase))
    splits = [
        top
        for name, tops in net.top_names.items()
        if net.layer_dict[name].type == "Split"
        for top in tops
        if "_split_" in top
    ]
    return {
        "blobs": {name: list(blob.shape) for name, blob in net.blobs.items()},
        "weights": {name: [list(b.shape) for b in blobs] for name, blobs in net.params.items()},
        "splits": splits,
    }


def _without_fillers(document):
    """Random values for the weights of a VGG take seconds, and no shape depends on them."""
    edits = Edits(document)
    for layer in document.root:
        if layer.name in ("layer", "layers") and layer.is_message:
            for parameters in layer.value:
                if parameters.name in _PARAMETERS and parameters.is_message:
                    for field in parameters.value:
                        if field.name in _FILLERS:
                            edits.remove(field)
    return edits.apply()


def in_child(folder, work, seconds=SECONDS):
    """The result of ``work`` in a forked process, or None and its last words.

    The result goes through JSON.
    """
    reader, writer = os.pipe()
    errors = tempfile.TemporaryFile()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _run_and_exit(folder, work, writer, errors.fileno())
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = _read_for(pipe, seconds)
    if data is None:
        is_leader = os.getpgid(child) == child
        (os.killpg if is_leader else os.kill)(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if data:
        return json.loads(data.decode()), ""
    if data is None:
        return None, f"no answer in {seconds} s"
    errors.seek(0)
    return None, _last_words(errors.read()) or f"died without a word, status {status}"


def _run_and_exit(folder, work, writer, errors):
    try:
        faulthandler.disable()  # pytest's writes past the file that takes the last words
        os.dup2(errors, 2)
        os.dup2(errors, 1)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.chdir(folder)
        answer = json.dumps(work()).encode()
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(answer)
        os._exit(0)
    except BaseException as error:  # an exception must not run on as a second parent
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(1)


def _read_for(pipe, seconds):
    """All that comes until the pipe closes; None if it does not in time."""
    pieces, end = [], time.time() + seconds
    while True:
        left = end - time.time()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            return None
        piece = os.read(pipe.fileno(), 1 << 16)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)


def _last_words(data):
    """The fatal line of glog's, without its time; else the last line."""
    lines = data.decode("utf-8", "replace").splitlines()
    for line in lines:
        if line.startswith("F") and "] " in line:
            return line.partition("] ")[2]
    return lines[-1] if lines else ""
