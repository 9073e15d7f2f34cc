"""How many multiply-adds the matrix products of a layer take, for all items of the batch.

Each rule takes the layer's message and the shapes of its bottoms, of its tops as far as they are
known, and of its learned blobs.
"""

from prototxt_tools.layers.sizes import Message, Shape, Shapes, axis_of, volume


def convolution(message: Message, bottoms: Shapes, tops: Shapes, blobs: Shapes) -> int:
    """Each weight is used once for each cell of the output."""
    axis = axis_of(message.convolution_param.axis, bottoms[0])
    return sum(_positions(top, axis) for top in tops) * volume(blobs[0])


def deconvolution(message: Message, bottoms: Shapes, tops: Shapes, blobs: Shapes) -> int:
    """Each weight meets each cell of the input once, with the channels of its group."""
    axis = axis_of(message.convolution_param.axis, bottoms[0])
    return _positions(bottoms[0], axis) * volume(blobs[0]) * len(bottoms)


def inner_product(message: Message, bottoms: Shapes, tops: Shapes, blobs: Shapes) -> int:
    """The matrix, for each row of the input."""
    axis = axis_of(message.inner_product_param.axis, bottoms[0])
    return volume(bottoms[0][:axis]) * volume(blobs[0])


def recurrent(message: Message, bottoms: Shapes, tops: Shapes, blobs: Shapes) -> int:
    """Every matrix, for each step of each sequence."""
    return volume(bottoms[0][:2]) * sum(volume(blob) for blob in blobs if len(blob) > 1)


def _positions(shape: Shape, axis: int) -> int:
    return volume(shape[:axis] + shape[axis + 1 :])
