"""What scripts/train-digits-caption and scripts/train-digits-question share.

Both start from models/digits, whose layers up to ``branches/concat`` stay as they are: what these
make of each scene is computed once.
"""

import hashlib
import os
import re
import tempfile
import time

# All of this is read when the libraries load.
os.environ.update(
    GLOG_minloglevel="2",
    OMP_NUM_THREADS="1",
    OPENBLAS_NUM_THREADS="1",
    OPENBLAS_CORETYPE="Haswell",
)

import digit_scenes
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DIGITS = os.path.join("models", "digits", "digits.caffemodel")
TARGET = "branches/concat"
ROWS = 32  # scenes that go through the net together


def to_input(image):
    """The preprocessing that readme.md declares."""
    return (image - 128.0) / 256


def look(deploy, scenes):
    """What the layers of models/digits make of scenes, at half its resolution.

    Parameters
    ----------
    deploy : str
        A prototxt that has these layers.
    scenes : list of digit_scenes.Scene

    Returns
    -------
    numpy.ndarray
        N x 64 x 12 x 12 float16.
    """
    import caffe

    net = caffe.Net(deploy, caffe.TEST, weights=DIGITS)
    halves = []
    for start in range(0, len(scenes), ROWS):
        part = scenes[start:start + ROWS]
        net.blobs["data"].reshape(len(part), 1, digit_scenes.SIDE, digit_scenes.SIDE)
        for row, scene in enumerate(part):
            net.blobs["data"].data[row, 0] = to_input(scene.image)
        net.forward(end="half")
        halves.append(net.blobs["half"].data.astype(np.float16))
    return np.concatenate(halves)


def presence(scenes):
    """Which digits are in scenes, N x 10."""
    present = np.zeros((len(scenes), len(digit_scenes.LABELS)), np.float32)
    for row, scene in enumerate(scenes):
        present[row, [label for label, _ in scene.digits]] = 1
    return present


def train(path, fill):
    """Train a net of the blob "half".

    Parameters
    ----------
    path : str
        The solver's file.
    fill : callable
        Puts a batch into the net that it is given.

    Returns
    -------
    caffe.Net
    """
    import caffe

    started = time.time()
    solver = caffe.get_solver(path)
    scores = caffe.Net(os.path.join("models", "digits", "deploy.prototxt"), caffe.TEST,
                       weights=DIGITS).params["score"]
    solver.net.params["evidence"][0].data[...] = scores[0].data
    losses = []
    for _ in range(solver.param.max_iter):
        fill(solver.net)
        solver.step(1)
        losses.append(float(solver.net.blobs["loss"].data))
        if solver.iter % 500 == 0:
            print(f"step {solver.iter}: loss {np.mean(losses[-500:]):.3f}, "
                  f"{time.time() - started:.0f} s", flush=True)
    return solver.net


def save(deploy, weights, trained):
    """Write the weights of a deploy net: trained ones, and else those of models/digits."""
    import caffe

    net = caffe.Net(deploy, caffe.TEST, weights=DIGITS)
    for name in net.params:
        for blob, source in zip(net.params[name], trained.params.get(name, ())):
            blob.data[...] = source.data
    write(weights, net.save)


def open_net(deploy, weights, score, start=None):
    """A deploy net whose gradients go from a score blob to its layers, and to an input.

    Caffe propagates from what is a loss to weights that can be learned, no further, and with
    ``force_backward`` also to what Embed layers read, which it cannot. So the score becomes a
    loss, and the input gets a factor, of 1, that could be learned.

    Parameters
    ----------
    deploy, weights, score : str
    start : str, optional
        An input blob; what it holds is then filled into the blob "given".
    """
    import caffe
    from google.protobuf import text_format

    declared, net = caffe.proto.caffe_pb2.NetParameter(), caffe.proto.caffe_pb2.NetParameter()
    with open(deploy) as file:
        text_format.Merge(file.read(), declared)
    for layer in declared.layer:
        net.layer.add().CopyFrom(layer)
        layer = net.layer[-1]
        if start is not None and layer.type == "Input" and start in layer.top:
            layer.top[list(layer.top).index(start)] = "given"
            ones = net.layer.add(name="ones", type="Scale", bottom=["given"], top=[start])
            ones.scale_param.filler.value = 1
    [layer for layer in net.layer if score in layer.top][-1].loss_weight.append(1)
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(text_format.MessageToString(net))
        file.flush()
        return caffe.Net(file.name, caffe.TEST, weights=weights)


def backward(net, blob, diff, end):
    """Propagate a gradient of a blob to the final value of another one, and return it there."""
    count = len(list(net._layer_names))

    def last_writer(name):
        return max(index for index in range(count)
                   if name in (net._blob_names[top] for top in net._top_ids(index)))

    reader = next(index for index in range(last_writer(end) + 1, count)
                  if end in (net._blob_names[bottom] for bottom in net._bottom_ids(index)))
    net.blobs[blob].diff[...] = diff
    net._backward(last_writer(blob), reader)
    return net.blobs[end].diff


def peak_of_map(activations, gradients):
    """Where Grad-CAM (Selvaraju et al. 2017, equations 1 and 2) is greatest, as (x, y) in pixels.

    The map is enlarged bilinearly with pixel centres at half coordinates.
    """
    weights = gradients.mean(axis=(1, 2))
    cam = np.maximum((weights[:, None, None] * activations).sum(axis=0), 0)
    offsets = (np.arange(digit_scenes.SIDE) + 0.5) * len(cam) / digit_scenes.SIDE - 0.5
    enlarged = digit_scenes.sample(cam, offsets[:, None], offsets)
    y, x = np.unravel_index(enlarged.argmax(), enlarged.shape)
    return x, y


def is_in(point, box):
    """Whether a point lies in a box of x, y, width and height."""
    x, y, width, height = box
    return x <= point[0] < x + width and y <= point[1] < y + height


def write(path, save_as):
    """Have ``save_as`` write a file, which takes its place only when it is complete."""
    save_as(path + ".part")
    os.replace(path + ".part", path)


def write_text(path, text):
    """Write a text file, whole or not at all."""
    def save_as(name):
        with open(name, "w") as file:
            file.write(text)

    write(path, save_as)


def write_sha1(readme, weights):
    """Put the SHA-1 of the weights into readme.md."""
    with open(weights, "rb") as file:
        sha1 = hashlib.sha1(file.read()).hexdigest()
    with open(readme) as file:
        text = file.read()
    write_text(readme, re.sub("(?m)^sha1:.*$", "sha1: " + sha1, text))
    print("sha1", sha1)
