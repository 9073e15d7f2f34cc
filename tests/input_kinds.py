"""Small nets of every kind of input and score, and something to show each of them."""

import numpy as np
from cases import path_of
from explaining import photographs

from caffe_gradcam.model import images
from caffe_gradcam.model.array_files import read
from caffe_gradcam.model.model import LoadedModel

# Net -> the axes of its score blob.
AXES = {
    "siam": ("item",), "pair": ("item", "class"), "ch4": ("item", "class"),
    "sig1d": ("item", "class"), "timefirst": ("step", "item", "class"),
    "batchfirst": ("item", "step", "class"), "lrcn": ("step", "item", "class"),
    "rois": ("roi", "class"), "frcnn": ("roi", "class"),
    "fcn": ("item", "class", "row", "column"),
}
# Nets with layers that stock Caffe does not have.
FORKS = ("timefirst", "batchfirst", "rois", "frcnn")


def net(name, **overrides):
    """One of the nets; pixels go from -1 to 1 unless something else is given."""
    fields = {"mean": "none", "scale": 1 / 255.0}
    if name == "sig1d":
        fields = {"mean": "none"}
    return LoadedModel.load(path_of(name), **dict(fields, **overrides))


def item(name, number=0):
    """What one of the nets is shown: an image, or a dict of what its inputs take."""
    pictures = photographs(4, (40, 52))
    picture, other = pictures[number], pictures[number + 1]
    if name == "siam":
        return {"data": picture, "data_p": other}
    if name == "pair":
        return {"data": picture, "data_p": other}
    if name == "ch4":
        return np.dstack([picture, other[:, :, 0]])
    if name == "sig1d":
        return signal(number)[np.newaxis, :, np.newaxis]
    if name == "lrcn":
        return {"data": picture, "cont_sentence": read(path_of("lrcn/cont.npy")),
                "input_sentence": np.roll(read(path_of("lrcn/words.npy")), number)}
    if name == "frcnn":
        return {"data": picture, "rois": read(path_of("frcnn/rois.npy"))}
    return picture


def signal(number=0):
    """A wave with a bump, 250 samples."""
    time = np.arange(250)
    bump = 3 * np.exp(-((time - 100 - 40 * number) / 6.0) ** 2)
    return np.float32(np.sin(time / 9.0) + bump)


def write_files(folder):
    """The values of :func:`item` as files in a folder: a signal, images, arrays."""
    for number, picture in enumerate(photographs(4, (40, 52))):
        images.write(str(folder / f"{number}.png"), picture)
    np.save(str(folder / "signal.npy"), signal())
    np.save(str(folder / "cont.npy"), read(path_of("lrcn/cont.npy")))
    np.save(str(folder / "words.npy"), read(path_of("lrcn/words.npy")))
    np.save(str(folder / "rois.npy"), read(path_of("frcnn/rois.npy")))
