"""Reference numbers from plain pycaffe: none of this project's own computations is used here.

Run where pycaffe is, from the root of a checkout, with the third-party models beside it:

    python3 tests/golden/make_golden.py
    OPENBLAS_CORETYPE=Haswell OPENBLAS_NUM_THREADS=1 python3 tests/golden/make_golden.py avx2

It writes the .npz files beside itself, or into a folder there: sums depend on the processor's
kernels in OpenBLAS and on the number of threads, and those in avx2 fix both. Per net the files
hold, from a classic ``force_backward`` net stopped by ``net.backward(end=...)`` at the first layer
above the target: norm and 64 sampled values of every blob, the gradient's norm and samples, and
the raw Grad-CAM (Selvaraju et al. 2017, equations 1 and 2, before the ReLU), computed below in two
lines of NumPy.
"""

import os
import pathlib
import sys
import tempfile
import zlib

os.environ["GLOG_minloglevel"] = "2"

import caffe
import cv2
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE.parent)]

import definitions  # noqa: E402 (texts and random weights only)

# name: (text, score, target, first layer above the target)
NETS = {
    "caffenet": (definitions.caffenet(), "fc8", "conv5", "pool5"),
    "googlenet": (
        definitions.googlenet(), "loss3/classifier", "inception_5b/output", "pool5/7x7_s1"
    ),
    "vgg16": (definitions.vgg(16, form="V1"), "fc8", "conv5_3", "pool5"),
    "resnet50": (definitions.resnet(50), "fc1000", "res5c", "pool5"),
    "lenet": (definitions.lenet(), "ip2", "conv2", "pool2"),
    "densenet": (definitions.densenet(), "fc", "conv3_blk/bn", "pool_last"),
}
SAMPLES = 64


def samples(name, array):
    """Values of an array at places that depend on the name alone."""
    places = np.random.RandomState(zlib.crc32(name.encode())).randint(0, array.size, SAMPLES)
    return array.reshape(-1)[places].copy()


def build(text, weights=None):
    """The net by hand: the last layer (the Softmax) cut off, force_backward in front."""
    text = "force_backward: true\n" + text[: text.rindex("layer")]
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(text)
        file.flush()
        if weights is None:
            return caffe.Net(file.name, caffe.TEST)
        return caffe.Net(file.name, caffe.TEST, weights=weights)


def grad_cam(net, score, target, end, classes):
    """Activation, gradient and raw Grad-CAM of every image for its class."""
    seed = np.zeros_like(net.blobs[score].data)
    for row, label in enumerate(classes):
        seed.reshape(len(seed), -1)[row, label] = 1
    gradient = net.backward(diffs=[target], end=end, **{score: seed})[target].copy()
    activation = net.blobs[target].data
    weights = gradient.mean(axis=(2, 3))
    return gradient, np.einsum("nk,nkhw->nhw", weights, activation)


def random_net(name):
    """Numbers of a net with random weights."""
    text, score, target, end = NETS[name]
    net = build(text)
    for layer, blobs in definitions.random_weights(text).items():
        for index, values in enumerate(blobs):
            net.params[layer][index].data[...] = values
    return numbers(net, score, target, end)


def learned(shared):
    """Numbers of SqueezeNet v1.1 with ImageNet weights on two random images."""
    folder = pathlib.Path(shared) / "models" / "squeezenet_v1.1"
    text = (folder / "deploy.prototxt").read_text()
    net = build(text, str(folder / "squeezenet_v1.1.caffemodel"))
    return numbers(net, "pool10", "fire9/concat", "conv10")


def numbers(net, score, target, end):
    """Samples and norms of all blobs, gradient and map on two random images, classes 3 and 5."""
    shape = (2,) + tuple(net.blobs["data"].data.shape[1:])
    net.blobs["data"].reshape(*shape)
    net.reshape()
    net.blobs["data"].data[...] = definitions.random_input(shape)
    net.forward()
    found = {}
    for blob in net.blobs:
        if "_split_" not in blob and blob != "data":
            found["norm:" + blob] = np.linalg.norm(net.blobs[blob].data.astype(np.float64))
            found["data:" + blob] = samples(blob, net.blobs[blob].data)
    gradient, cam = grad_cam(net, score, target, end, [3, 5])
    found["gradient norm"] = np.linalg.norm(gradient.astype(np.float64))
    found["gradient"] = samples("gradient", gradient)
    found["cam"] = cam
    return found


def squeezenet(shared):
    """SqueezeNet v1.1 with ImageNet weights on photographs, whole image to 227 x 227."""
    folder = shared / "models" / "squeezenet_v1.1"
    text = (folder / "deploy.prototxt").read_text()
    net = build(text, str(folder / "squeezenet_v1.1.caffemodel"))
    net.blobs["data"].reshape(1, 3, 227, 227)
    net.reshape()
    found = {}
    for name in ("cat.jpg", "cat_dog.png", "fish-bike.jpg"):
        image = cv2.imread(str(shared / "images" / name)).astype(np.float32)
        image = cv2.resize(image, (227, 227)) - np.float32([103.53, 116.28, 123.675])
        net.blobs["data"].data[0] = image.transpose(2, 0, 1)
        net.forward()
        found["scores:" + name] = net.blobs["pool10"].data[0].reshape(-1).copy()
        best = int(found["scores:" + name].argmax())
        for label in sorted({best, 243, 281}):
            cam = grad_cam(net, "pool10", "fire9/concat", "conv10", [label])[1][0]
            found[f"cam:{name}:{label}"] = cam
    return found


def digits():
    """models/digits, trained by this project, on its own scenes: 96 x 96 grey, no resizing."""
    folder = ROOT / "models" / "digits"
    net = build((folder / "deploy.prototxt").read_text(), str(folder / "digits.caffemodel"))
    found = {}
    for path in sorted(folder.glob("scenes/*.png")):
        net.blobs["data"].data[0, 0] = (cv2.imread(str(path), 0).astype(np.float32) - 128) / 256
        net.forward()
        found["scores:" + path.stem] = net.blobs["score"].data[0].reshape(-1).copy()
        for label in sorted(found["scores:" + path.stem].argsort()[-2:]):
            cam = grad_cam(net, "score", "branches/concat", "pool", [label])[1][0]
            found[f"cam:{path.stem}:{label}"] = cam
    return found


def main():
    folder = HERE / (sys.argv[1] if len(sys.argv) > 1 else ".")
    folder.mkdir(exist_ok=True)
    for name in NETS:
        np.savez_compressed(str(folder / (name + ".npz")), **random_net(name))
    np.savez_compressed(str(folder / "digits.npz"), **digits())
    shared = ROOT.parent / "shared" / "data"
    np.savez_compressed(str(folder / "squeezenet.npz"), **squeezenet(shared))
    np.savez_compressed(str(folder / "learned.npz"), **learned(shared))


if __name__ == "__main__":
    main()
