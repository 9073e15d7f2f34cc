"""What a data layer says about the shape of the images it gives."""

# The layers whose first top is a batch of images that transform_param describes.
_IMAGES = {"Data", "ImageData", "WindowData", "AnnotatedData"}


def data_shape(layer, top):
    """The shape of one image of a data layer, as a batch of one.

    The size is the crop_size; else what images are resized to. There are 3 channels unless the
    layer asks for grey images or subtracts another number of mean values.

    Parameters
    ----------
    layer : prototxt_tools.net.net.Layer
    top : str

    Returns
    -------
    shape : tuple of int or None
    reason : str
        Where the shape is from, or what is missing.
    """
    message = layer.message
    if layer.type == "MemoryData" and top == layer.tops[0]:
        memory = message.memory_data_param
        return (1, memory.channels, memory.height, memory.width), "memory_data_param"
    if layer.type not in _IMAGES or top != layer.tops[0]:
        return None, f"a {layer.type} layer does not say what shape its data have"
    size, source = _size(layer)
    if size is None:
        return None, f"nothing says the size of the images of {layer.name or layer.type}"
    channels, assumption = _channels(layer)
    return (1, channels) + size, f"{source}, {assumption}"


def _size(layer):
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
    return None, None


def _channels(layer):
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
