"""What a data layer tells about the shape of the images that it gives."""


from typing import Optional, Tuple

from prototxt_tools import layers
from prototxt_tools.layers import ends
from prototxt_tools.net.net import Layer


def data_shape(layer: Layer, top: str) -> Tuple[Optional[Tuple[int, ...]], str]:
    """The shape of one image of a data layer, as a batch of one.

    Height and width are the crop_size, or else the size that images are resized to. There are
    three channels unless the layer asks for grey images or subtracts another number of mean
    values.

    Parameters
    ----------
    layer : Layer
    top : str

    Returns
    -------
    shape : tuple of int or None
    reason : str
        Where the shape comes from, or what is missing.
    """
    message = layer.message
    if layer.type == "MemoryData" and top == layer.tops[0]:
        memory = message.memory_data_param
        return (1, memory.channels, memory.height, memory.width), "memory_data_param"
    if layer.type == "DummyData":
        shape = ends.dummy_data(message, [], len(layer.tops))[layer.tops.index(top)]
        return (1,) + tuple(shape or ())[1:], "dummy_data_param"
    if layer.type == "Python" and top == "im_info":
        return (1, 3), "height, width and scale of the image"
    if layers.of(layer.type).role != "images" or top != layer.tops[0]:
        return None, f"a {layer.type} layer does not give the shape of its data"
    size, source = _size(layer)
    if size is None:
        return None, f"the size of the images of {layer.name or layer.type} is not in the file"
    channels, assumption = _channels(layer)
    return (1, channels) + size, f"{source}, {assumption}"


def _size(layer: Layer) -> Tuple[Optional[Tuple[int, ...]], str]:
    """Height and width, and the field that they come from."""
    transform = layer.message.transform_param
    if transform.crop_size:
        return (transform.crop_size,) * 2, "crop_size"
    images = layer.message.image_data_param
    if images.new_height and images.new_width:
        return (images.new_height, images.new_width), "new_height and new_width"
    field = layer.field.value.first("transform_param")
    resize = field.value.first("resize_param") if field is not None else None
    if resize is not None and resize.is_message:
        sizes = [resize.value.strings(name)[:1] for name in ("height", "width")]
        if all(size and size[0].isdigit() for size in sizes):
            return tuple(int(size[0]) for size in sizes), "resize_param"
    return None, ""


def _channels(layer: Layer) -> Tuple[int, str]:
    """The number of channels, and why."""
    transform = layer.message.transform_param
    if transform.force_gray:
        return 1, "force_gray"
    if layer.type == "ImageData" and not layer.message.image_data_param.is_color:
        return 1, "is_color: false"
    if transform.force_color or layer.message.data_param.force_encoded_color:
        return 3, "colour"
    if len(transform.mean_value) > 1:
        return len(transform.mean_value), "as many channels as mean_value"
    return 3, "3 channels assumed"
