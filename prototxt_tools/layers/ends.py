"""The ends of a net: data layers, losses and judges. And layers that keep the shape."""

from prototxt_tools.layers.sizes import Message, Shapes, Tops, axis_of, check, volume


def same_shape(message: Message, bottoms: Shapes, count: int) -> Tops:
    return bottoms[:1]


def lrn(message: Message, bottoms: Shapes, count: int) -> Tops:
    check(message.lrn_param.local_size % 2, "its local_size is even")
    check(len(bottoms[0]) == 4, "it needs 4 axes")
    return bottoms[:1]


def mvn(message: Message, bottoms: Shapes, count: int) -> Tops:
    check(len(bottoms[0]) <= 4, "it needs 4 axes at most")
    return [bottoms[0] + (1,) * (4 - len(bottoms[0]))]


def softmax(message: Message, bottoms: Shapes, count: int) -> Tops:
    axis_of(message.softmax_param.axis, bottoms[0])
    return bottoms[:1]


def softmax_loss(message: Message, bottoms: Shapes, count: int) -> Tops:
    _check_batches(bottoms)
    axis = message.softmax_param.axis
    if message.type == "InfogainLoss":
        axis = message.infogain_loss_param.axis
    scores, labels = bottoms[:2]
    axis = axis_of(axis, scores)
    check(
        volume(scores[:axis] + scores[axis + 1 :]) == volume(labels),
        f"its labels {labels} are not one per score vector of {scores}",
    )
    for matrix in bottoms[2:]:
        needed = (1, 1, scores[axis], scores[axis])
        check(matrix + (1,) * (4 - len(matrix)) == needed, "its matrix does not fit")
    return [(), scores][:count]


def pairwise_loss(message: Message, bottoms: Shapes, count: int) -> Tops:
    _check_batches(bottoms)
    check(volume(bottoms[0]) == volume(bottoms[1]), "its bottoms differ in size")
    return [(), bottoms[0]][:count]


def label_loss(message: Message, bottoms: Shapes, count: int) -> Tops:
    _check_batches(bottoms)
    if message.type == "MultinomialLogisticLoss":
        labels = bottoms[1]
        check(volume(labels[1:]) == 1 and len(labels) <= 4, "it needs one label per item")
    return [(), bottoms[0]][:count]


def contrastive_loss(message: Message, bottoms: Shapes, count: int) -> Tops:
    _check_batches(bottoms)
    first, second, labels = bottoms
    check(first[1:2] == second[1:2], "its bottoms differ in channels")
    check(
        volume(first[2:]) == volume(second[2:]) == volume(labels[1:]) == 1,
        "it needs one vector per item and one label",
    )
    return [()]


def _check_batches(bottoms: Shapes) -> None:
    check(all(bottoms[:2]) and bottoms[0][0] == bottoms[1][0], "its batches differ in size")


def accuracy(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters, (scores, labels) = message.accuracy_param, bottoms
    axis = axis_of(parameters.axis, scores)
    check(parameters.top_k * volume(labels) <= volume(scores), "top_k exceeds the classes")
    check(
        volume(scores[:axis] + scores[axis + 1 :]) == volume(labels),
        f"its labels {labels} are not one per score vector of {scores}",
    )
    return [(), (scores[axis],)][:count]


def dummy_data(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters = message.dummy_data_param
    shapes = [tuple(shape.dim) for shape in parameters.shape]
    columns = [parameters.num, parameters.channels, parameters.height, parameters.width]
    check(not shapes or not any(columns), "it has both shape and num, channels, height, width")
    if not shapes:
        check(
            all(len(column) in (1, count) for column in columns),
            f"it needs num, channels, height and width once, or {count} times each",
        )
        columns = [list(column) * (count if len(column) == 1 else 1) for column in columns]
        shapes = list(zip(*columns))
    check(len(shapes) in (1, count), f"{len(shapes)} shapes for {count} tops")
    return shapes * count if len(shapes) == 1 else shapes


def memory_data(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters = message.memory_data_param
    size = (parameters.batch_size, parameters.channels, parameters.height, parameters.width)
    check(volume(size), "batch_size, channels, height and width must be positive")
    return [size, (parameters.batch_size,)][:count]


def images(message: Message, bottoms: Shapes, count: int) -> Tops:
    """A batch of images; None where only the files know their size.

    The images of a Data layer count as having 3 channels unless its parameters say otherwise.
    """
    transform, image_data = message.transform_param, message.image_data_param
    size = (transform.crop_size,) * 2
    source = {"Data": message.data_param, "ImageData": image_data}.get(
        message.type, message.window_data_param
    )
    if not transform.crop_size and message.type == "ImageData":
        size = (image_data.new_height, image_data.new_width)
    batch = source.batch_size
    shape = (batch, _channels(message)) + size if batch and all(size) else None
    return [shape, (batch,) if batch else None][:count]


def _channels(message: Message) -> int:
    transform = message.transform_param
    if message.type == "ImageData":
        return 3 if message.image_data_param.is_color else 1
    if message.type == "Data" and len(transform.mean_value) > 1:
        return len(transform.mean_value)
    return 1 if message.type == "Data" and transform.force_gray else 3
