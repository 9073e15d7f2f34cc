"""What a graph and the engine are run on, so that they can be compared."""

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Tuple

import numpy as np

from caffe_gradcam.engines.onnx.net import Translated
from caffe_gradcam.engines.onnx.writer import Value
from caffe_gradcam.export.made import made_inputs
from caffe_gradcam.export.source import NetSource
from caffe_gradcam.model.preprocess import prepare
from prototxt_tools.errors import ModelError

# A picture with what a certificate calls it: {"file": ..., "sha256": ...}.
Picture = Tuple[Mapping[str, Any], Any]

# How many made inputs there are in a batch that is open.
_ROWS = 2
# By how much an open size differs from that of the file, so that it shows whether it is open.
_MORE_ROWS, _MORE_COLUMNS = 33, 46


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures that are read one by one, when they are needed.

    Attributes
    ----------
    items : sequence
    describe : callable
        Item -> what a certificate calls it.
    read : callable
        Item -> an image as ``prepare`` takes it.
    """

    items: Sequence[Any]
    describe: Callable[[Any], Mapping[str, Any]]
    read: Callable[[Any], Any]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        return map(self.read, self.items)

    @property
    def descriptions(self) -> List[Mapping[str, Any]]:
        """What a certificate calls the pictures."""
        return list(map(self.describe, self.items))


@dataclass(frozen=True, eq=False)
class ProofInputs:
    """What a graph is run on to prove it.

    Attributes
    ----------
    arrays : dict
        Input blob -> array.
    descriptions : list of dict
    pictures : list
        What the arrays were prepared from, if they were.
    """

    arrays: Dict[str, np.ndarray]
    descriptions: List[Mapping[str, Any]] = field(default_factory=list)
    pictures: List[Any] = field(default_factory=list)


def proof_inputs(source: NetSource, translated: Translated, pictures: Sequence[Picture]
                 ) -> ProofInputs:
    """The arrays that the graph and the engine are run on."""
    shapes = {value.name: value.shape for value in translated.inputs}
    is_open = all(0 in value.open_axes for value in translated.inputs)
    if not pictures:
        shapes = {value.name: _run_shape(value, is_open) for value in translated.inputs}
        return ProofInputs(made_inputs(translated.subnet.net, shapes),
                           [{"made": "uniform random numbers", "seed": 0}])
    if source.model is None:
        raise ModelError.about(source.name, "how it reads images is not known, so it is proven "
                                            "on random numbers alone; leave --image out")
    inputs = source.model.inputs
    prepared = [prepare(image, inputs) for _, image in pictures]
    arrays = {blob: np.concatenate([image.blobs[blob] for image in prepared]) for blob in inputs}
    if not is_open:
        arrays = {blob: np.resize(array, shapes[blob]) for blob, array in arrays.items()}
    missing = {blob: shape for blob, shape in shapes.items() if blob not in arrays}
    arrays.update(made_inputs(translated.subnet.net, missing))
    return ProofInputs(arrays, [description for description, _ in pictures],
                       [image for _, image in pictures])


def _run_shape(value: Value, is_open: bool) -> Tuple[int, ...]:
    """The shape of a made input: open sizes differ from those of the file."""
    shape = list(value.shape)
    if is_open:
        shape[0] = _ROWS
    for axis, more in ((2, _MORE_ROWS), (3, _MORE_COLUMNS)):
        if axis in value.open_axes:
            shape[axis] += more
    return tuple(shape)


def made_pictures(source: NetSource) -> List[Picture]:
    """Random pictures, for a graph that reads pictures where none are given."""
    if source.model is None:
        raise ModelError.about(source.name, "how it reads images is not known, so their "
                                            "preparation cannot be part of the graph")
    random = np.random.RandomState(0)
    pictures: List[Picture] = []
    for seed, factor in enumerate((1.3, 2.1)):
        image = {}
        for blob, preprocessing in source.model.inputs.items():
            height, width = preprocessing.crop or preprocessing.size
            if preprocessing.resize is not None or preprocessing.crop is not None:
                height, width = int(height * factor) + 3, int(width * factor) + 20
            image[blob] = random.randint(0, 256, (height, width, 3)).astype(np.uint8)
        values = list(image.values())
        pictures.append(({"made": "random pixels", "seed": seed},
                         values[0] if len(values) == 1 else image))
    return pictures


def red_first(picture: Any) -> Dict[str, np.ndarray]:
    """A picture as an input of the graph; of nets with several inputs, one for each."""
    if isinstance(picture, Mapping):
        return {"image_" + blob: np.ascontiguousarray(image[:, :, ::-1])
                for blob, image in picture.items()}
    return {"image": np.ascontiguousarray(picture[:, :, ::-1])}
