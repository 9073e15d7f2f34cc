"""What the files beside a model specify of its training: data layers, DIGITS' info.json."""

import os
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np

from prototxt_tools import layers
from prototxt_tools import weights as weight_files
from prototxt_tools.errors import InputError, ModelError
from prototxt_tools.files import parse_json, read_bytes
from prototxt_tools.net.net import Layer, Net
from prototxt_tools.rewrite import deploy
from prototxt_tools.text.document import Document

INFO = "info.json"
_MOST_INFO = 1 << 20
_LONGEST_SIDE = 1 << 16

Size = Tuple[int, int]


@dataclass(frozen=True, eq=False)
class Transform:
    """What a training net does to its images.

    Attributes
    ----------
    file_name : str
        Of the training net.
    mean : numpy.ndarray or None
        C float32.
    mean_file : str or None
        The name of a mean file, without its folder.
    scale : float
    crop : int or None
        ``crop_size``, of phase TEST or else TRAIN.
    resize : (int, int) or None
        Height and width that an ImageData layer resizes images to, before the crop.
    channels : int or None
        Where the data layer says so.
    """

    file_name: str
    mean: Optional[np.ndarray]
    mean_file: Optional[str]
    scale: float
    crop: Optional[int] = None
    resize: Optional[Size] = None
    channels: Optional[int] = None


@dataclass(frozen=True)
class Info:
    """What DIGITS writes into its ``info.json``.

    Attributes
    ----------
    size : (int, int) or None
        Height and width of the images of the data set.
    channels : int or None
    resize_mode : str or None
        "squash", "crop", "fill" or "half_crop".
    snapshot, labels, mean : str or None
        Names of files, without folders.
    """

    size: Optional[Size] = None
    channels: Optional[int] = None
    resize_mode: Optional[str] = None
    snapshot: Optional[str] = None
    labels: Optional[str] = None
    mean: Optional[str] = None


def find_transform(folder: str, prototxt: str) -> Optional[Transform]:
    """What the training net does to its images: the net itself, or one beside it.

    Parameters
    ----------
    folder : str
    prototxt : str
        The net to explain; where it has data layers it is the training net itself.

    Returns
    -------
    Transform or None
        None where no file of the folder has a data layer.
    """
    others = [name for name in sorted(os.listdir(folder))
              if name.endswith(".prototxt") and name != os.path.basename(prototxt)
              and any(word in name for word in ("train", "test", "val", "original"))]
    others.sort(key=lambda name: "train" not in name)
    for path in [prototxt] + [os.path.join(folder, name) for name in others]:
        try:
            sources = _data_layers(Net.load(path))
        except InputError:
            continue
        if sources:
            return _transform(os.path.basename(path), sources)
    return None


def _data_layers(net: Net) -> List[Layer]:
    """The data layers of phase TEST, then those of phase TRAIN."""
    return [layer for phase in ("TEST", "TRAIN") for layer in net.at(phase).layers
            if not layer.bottoms and layer.tops and layers.of(layer.type).is_data]


def _transform(file_name: str, sources: List[Layer]) -> Transform:
    messages = [layer.message for layer in sources]
    first = messages[0].transform_param
    mean = np.array(list(first.mean_value), np.float32) if first.mean_value else None
    mean_file = _base_name(first.mean_file)
    crop = next((message.transform_param.crop_size for message in messages
                 if message.transform_param.crop_size), None)
    images = [message.image_data_param for message in messages]
    resize = next(((image.new_height, image.new_width) for image in images
                   if image.new_height and image.new_width), None)
    return Transform(file_name, mean, mean_file, first.scale, crop, resize, _channels(messages[0]))


def _channels(message: Any) -> Optional[int]:
    transform = message.transform_param
    if transform.force_gray or (message.type == "ImageData"
                                and not message.image_data_param.is_color):
        return 1
    if transform.force_color or message.data_param.force_encoded_color:
        return 3
    return len(transform.mean_value) if len(transform.mean_value) > 1 else None


def read_info(folder: str) -> Info:
    """DIGITS' info.json in a folder; an empty Info where there is none.

    Raises
    ------
    ModelError
        It is not JSON.
    """
    path = os.path.join(folder, INFO)
    if not os.path.exists(path):
        return Info()
    try:
        values = parse_json(read_bytes(path, _MOST_INFO, ModelError).decode("utf-8-sig"))
    except ValueError:
        raise ModelError(f"{path}: not JSON; delete it if it does not belong to the model",
                         path) from None
    if not isinstance(values, dict):
        return Info()
    size, channels = _dimensions(values.get("image dimensions"))
    return Info(size, channels, _text(values, "image resize mode"),
                _base_name(_text(values, "snapshot file")),
                _base_name(_text(values, "labels file")),
                _base_name(_text(values, "mean image file")))


def _dimensions(value: Any) -> Tuple[Optional[Size], Optional[int]]:
    """Height, width and channels of ``[64, 64, 3]``."""
    if not isinstance(value, list) or len(value) != 3 or not all(
            isinstance(number, int) and 0 < number <= _LONGEST_SIDE for number in value):
        return None, None
    return (value[0], value[1]), value[2]


def _text(values: Dict[str, Any], key: str) -> Optional[str]:
    value = values.get(key)
    return value if isinstance(value, str) and value else None


def _base_name(path: Optional[str]) -> Optional[str]:
    """The last part of a path of any system, or None where there is none."""
    return (path or "").replace("\\", "/").rsplit("/", 1)[-1] or None


def needs_deploying(net: Net) -> bool:
    """Whether images reach a net through data layers instead of inputs."""
    return not net.at("TEST").inputs and bool(_data_layers(net))


def deployed(document: Document, weights: str, size: Optional[Size],
             channels: Optional[int]) -> Tuple[Document, str]:
    """A deploy net of a training net, in memory, and what was done in one sentence.

    Parameters
    ----------
    document : Document
    weights : str
        The path of the weights, which tell how many channels the first layer reads.
    size : (int, int) or None
        Height and width of the net's input.
    channels : int or None
        Where a file specifies them.

    Raises
    ------
    ModelError
        No file gives the size of the input.
    """
    path = document.shown_path
    sources = _data_layers(Net.parse(document))
    if size is None:
        raise ModelError(
            f"{path}: a training net, and no file gives the size of its input (crop_size, "
            "new_height and new_width, or a mean image); give --size HEIGHTxWIDTH", path)
    shapes = {layer.tops[0]: (1, channels or _weights_channels(document, layer.tops[0], weights)
                              or 3) + size for layer in sources}
    result = deploy(document, shapes)
    inputs = [f"{entry.blob} of {'x'.join(map(str, entry.shape or ()))}"
              for entry in Net.parse(result.document).at("TEST").inputs]
    return result.document, (
        f"{path}: a training net, turned into a deploy net in memory with input "
        f"{' and '.join(inputs)}; `prototxt-tools deploy` writes one")


def _weights_channels(document: Document, blob: str, weights: str) -> Optional[int]:
    """The channels that the convolution behind an input has weights for."""
    try:
        stored = weight_files.load(weights)
    except InputError:
        return None
    for layer in Net.parse(document).at("TEST").layers:
        if layer.type == "Convolution" and blob in layer.bottoms and layer.name in stored:
            shape = stored[layer.name][0].shape
            return int(shape[1]) * layer.message.convolution_param.group if len(shape) > 2 else None
    return None


def training_nets(names: List[str]) -> List[str]:
    """Those of some prototxts that a deploy net can be made of: the first kind that there is."""
    nets = [name for name in names if "solver" not in name]
    for words in _kinds():
        matches = [name for name in nets if any(word in name for word in words)]
        if matches:
            return matches
    return nets


def _kinds() -> Iterator[Tuple[str, ...]]:
    """Words in the names of nets, those for validation first."""
    yield ("train_val", "train_test", "trainval", "train-val")
    yield ("val", "test")
    yield ("train",)
