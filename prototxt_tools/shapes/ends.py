"""The ends of a net: data layers, losses and judges. And layers that keep the shape."""

from prototxt_tools.shapes.rules import axis_of, check, tops_of, volume

_SAME = (
    "AbsVal BNLL Clip Dropout ELU Exp Log Power ReLU ReLU6 Sigmoid Swish TanH Threshold "
    "BN Normalize ShuffleChannel"
)


@tops_of(*_SAME.split())
def _same(message, bottoms, count):
    return bottoms[:1]


@tops_of("LRN")
def _lrn(message, bottoms, count):
    check(message.lrn_param.local_size % 2, "its local_size is even")
    check(len(bottoms[0]) == 4, "it wants 4 axes")
    return bottoms[:1]


@tops_of("MVN")
def _mvn(message, bottoms, count):
    check(len(bottoms[0]) <= 4, "it wants 4 axes at most")
    return [bottoms[0] + (1,) * (4 - len(bottoms[0]))]


@tops_of("Softmax")
def _softmax(message, bottoms, count):
    axis_of(message.softmax_param.axis, bottoms[0])
    return bottoms[:1]


@tops_of("SoftmaxWithLoss", "InfogainLoss")
def _softmax_loss(message, bottoms, count):
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
        wanted = (1, 1, scores[axis], scores[axis])
        check(matrix + (1,) * (4 - len(matrix)) == wanted, "its matrix does not fit")
    return [(), scores][:count]


@tops_of("EuclideanLoss", "SigmoidCrossEntropyLoss")
def _pairwise_loss(message, bottoms, count):
    _check_batches(bottoms)
    check(volume(bottoms[0]) == volume(bottoms[1]), "its bottoms differ in size")
    return [(), bottoms[0]][:count]


@tops_of("HingeLoss", "MultinomialLogisticLoss")
def _label_loss(message, bottoms, count):
    _check_batches(bottoms)
    if message.type == "MultinomialLogisticLoss":
        labels = bottoms[1]
        check(volume(labels[1:]) == 1 and len(labels) <= 4, "it wants one label per item")
    return [(), bottoms[0]][:count]


@tops_of("ContrastiveLoss")
def _contrastive_loss(message, bottoms, count):
    _check_batches(bottoms)
    one, other, same = bottoms
    check(one[1:2] == other[1:2], "its bottoms differ in channels")
    check(
        volume(one[2:]) == volume(other[2:]) == volume(same[1:]) == 1,
        "it wants one vector per item and one label",
    )
    return [()]


def _check_batches(bottoms):
    check(all(bottoms[:2]) and bottoms[0][0] == bottoms[1][0], "its batches differ in size")


@tops_of("Accuracy")
def _accuracy(message, bottoms, count):
    parameters, (scores, labels) = message.accuracy_param, bottoms
    axis = axis_of(parameters.axis, scores)
    check(parameters.top_k * volume(labels) <= volume(scores), "top_k exceeds the classes")
    check(
        volume(scores[:axis] + scores[axis + 1 :]) == volume(labels),
        f"its labels {labels} are not one per score vector of {scores}",
    )
    return [(), (scores[axis],)][:count]


@tops_of("DummyData")
def _dummy_data(message, bottoms, count):
    parameters = message.dummy_data_param
    shapes = [tuple(shape.dim) for shape in parameters.shape]
    columns = [parameters.num, parameters.channels, parameters.height, parameters.width]
    check(not shapes or not any(columns), "it has both shape and num, channels, height, width")
    if not shapes:
        check(
            all(len(column) in (1, count) for column in columns),
            f"it wants num, channels, height and width once, or {count} times each",
        )
        columns = [list(column) * (count if len(column) == 1 else 1) for column in columns]
        shapes = list(zip(*columns))
    check(len(shapes) in (1, count), f"{len(shapes)} shapes for {count} tops")
    return shapes * count if len(shapes) == 1 else shapes


@tops_of("MemoryData")
def _memory_data(message, bottoms, count):
    parameters = message.memory_data_param
    size = (parameters.batch_size, parameters.channels, parameters.height, parameters.width)
    check(volume(size), "batch_size, channels, height and width must be positive")
    return [size, (parameters.batch_size,)][:count]


@tops_of("Data", "ImageData", "WindowData")
def _pictures(message, bottoms, count):
    """A batch of pictures; None where only the files know their size.

    A Data layer's pictures are taken to have 3 channels unless it says otherwise.
    """
    transform, images = message.transform_param, message.image_data_param
    size = (transform.crop_size,) * 2
    source = {"Data": message.data_param, "ImageData": images}.get(
        message.type, message.window_data_param
    )
    if not transform.crop_size and message.type == "ImageData":
        size = (images.new_height, images.new_width)
    batch = source.batch_size
    pictures = (batch, _channels(message)) + size if batch and all(size) else None
    return [pictures, (batch,) if batch else None][:count]


def _channels(message):
    transform = message.transform_param
    if message.type == "ImageData":
        return 3 if message.image_data_param.is_color else 1
    if message.type == "Data" and len(transform.mean_value) > 1:
        return len(transform.mean_value)
    return 1 if message.type == "Data" and transform.force_gray else 3
