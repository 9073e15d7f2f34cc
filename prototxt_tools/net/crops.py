"""Where the CROP layers of the first fully convolutional nets cut.

They are written in V1 without an offset, and align their two bottoms: walking back from both to
the blob that both come from, each layer tells where the cells of its top lie among those of its
bottom. Source: ``CropLayer::LayerSetUp`` and ``FilterMap`` of longjon's fork of Caffe, branch
``future``, whose ``python/caffe/coord_map.py`` in stock Caffe does the same for Crop.
"""

from fractions import Fraction
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple

from prototxt_tools import layers as types
from prototxt_tools.layers import receptive, windows

if TYPE_CHECKING:
    from prototxt_tools.net.net import Layer

TYPE = "CROP"
# Along one axis: cell x of a blob lies at scale * x + shift of another blob's cells.
_Map = Tuple[Fraction, Fraction]
_SAME = (Fraction(1), Fraction(0))


def align(layers: Sequence["Layer"]) -> None:
    """Let each V1 CROP whose offset can be told become a Crop with that offset."""
    makers: Dict[str, "Layer"] = {}
    for layer in layers:
        if layer.form == "V1" and layer.type == TYPE and len(layer.bottoms) == 2:
            offset = _offset(layer, makers)
            if offset is not None:
                layer.type, layer.offset = "Crop", offset
        for top in layer.tops:
            if top not in layer.bottoms:
                makers[top] = layer


def _offset(crop: "Layer", makers: Dict[str, "Layer"]) -> Optional[Tuple[int, int]]:
    """The offset of a CROP along height and width; None where it cannot be told."""
    cut, like = (_path(blob, makers) for blob in crop.bottoms)
    shared = next((blob for blob in like if blob in cut), None)
    if shared is None:
        return None
    offsets: List[int] = []
    for axis in (0, 1):
        ours, theirs = (_position(path[:path.index(shared)], makers, axis) for path in (cut, like))
        if ours is None or theirs is None or ours[0] != theirs[0]:
            return None
        offset = (theirs[1] - ours[1]) / ours[0]
        if offset.denominator != 1 or offset < 0:
            return None
        offsets.append(int(offset))
    return offsets[0], offsets[1]


def _path(blob: str, makers: Dict[str, "Layer"]) -> List[str]:
    """A blob, the first bottom of the layer that makes it, and so on."""
    path = [blob]
    while path[-1] in makers and makers[path[-1]].bottoms:
        path.append(makers[path[-1]].bottoms[0])
    return path


def _position(path: Sequence[str], makers: Dict[str, "Layer"], axis: int) -> Optional[_Map]:
    """Where the cells of a path's first blob lie among those of the last layer's bottom."""
    scale, shift = _SAME
    for blob in path:
        step = _step(makers[blob], axis)
        if step is None:
            return None
        scale, shift = step[0] * scale, step[0] * shift + step[1]
    return scale, shift


def _step(layer: "Layer", axis: int) -> Optional[_Map]:
    """Where the cells of a layer's top lie among those of its first bottom."""
    try:
        message = layer.message
        if layer.type in ("Convolution", "Deconvolution"):
            kernel, stride, pad, dilation = (
                values[axis] for values in windows.convolution_windows(
                    message.convolution_param, 2))
            shift = Fraction(dilation * (kernel - 1), 2) - pad
            if layer.type == "Deconvolution":
                return Fraction(1, stride), -shift / stride
            return Fraction(stride), shift
        if layer.type == "Pooling" and not message.pooling_param.global_pooling:
            kernel, stride, pad = (values[axis] for values in windows.pooling_windows(
                message.pooling_param, (1, 1)))
            return Fraction(stride), Fraction(kernel - 1, 2) - pad
    except ValueError:  # A window that Caffe would not accept.
        return None
    if layer.offset is not None:
        return Fraction(1), Fraction(layer.offset[axis])
    return _SAME if types.of(layer.type).receptive is receptive.pointwise else None
