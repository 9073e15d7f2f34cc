"""What stock Caffe says against a net, before Caffe is asked.

Caffe dies of what it does not like: of one problem at a time, and of most without naming the
line. The rules follow ``src/caffe/net.cpp``, ``include/caffe/layer.hpp``,
``src/caffe/util/upgrade_proto.cpp`` and ``insert_splits.cpp``.
"""

import re

from prototxt_tools import schema, shapes
from prototxt_tools.errors import InputError, PrototxtError
from prototxt_tools.forks import fork_of
from prototxt_tools.tree import Message

# Bottoms and tops that layers take: 1 just one, 1+ one or more, 1-2 one or two.
_ARITIES = {
    ("1", "1"): """
        AbsVal ArgMax BNLL BatchNorm Clip Dropout ELU Embed Exp Flatten Im2col InnerProduct LRN Log
        MVN PReLU Power ReLU Reduction Reshape SPP Sigmoid Softmax Swish TanH Threshold Tile""",
    ("0", "1"): "Parameter",
    ("0", "1+"): "DummyData HDF5Data Input",
    ("0", "2"): "ImageData MemoryData WindowData",
    ("0", "1-2"): "Data",
    ("1", "1+"): "Slice Split",
    ("1", "1-2"): "Pooling",
    ("1+", "1+"): "Convolution Deconvolution",
    ("1+", "0"): "Silence",
    ("1+", "1"): "Concat",
    ("2+", "1"): "Eltwise",
    ("2+", "1+"): "Filter",
    ("1-2", "1"): "Bias Scale",
    ("2", "0"): "HDF5Output",
    ("2", "1"): "BatchReindex Crop",
    ("2", "1-2"): "Accuracy",
    # A loss makes its top when it has none.
    ("2", "0-1"): "EuclideanLoss HingeLoss MultinomialLogisticLoss",
    ("2", "0-2"): "SigmoidCrossEntropyLoss SoftmaxWithLoss",
    ("2-3", "0-2"): "InfogainLoss",
    ("3", "0-1"): "ContrastiveLoss",
    ("3", "2"): "LSTMUnit",
}
_ARITY = {name: arity for arity, names in _ARITIES.items() for name in names.split()}
_FILLERS = {"bilinear", "constant", "gaussian", "msra", "positive_unitball", "uniform", "xavier"}


def problems(net, phase="TEST"):
    """Everything that stock Caffe refuses about a net, as far as the text tells.

    Whether the files of its data layers are there, and its Python modules, the text does not
    tell.

    Parameters
    ----------
    net : prototxt_tools.net.Net
        Every phase; the whole text is judged, the layers of one phase.
    phase : str

    Returns
    -------
    list of str
        Sentences that begin with ``file:line:column``, in the order of Caffe's steps: text,
        upgrade, layers.
    """
    try:
        found = strangers(net.document)
    except PrototxtError:
        return _errors(net.document)
    if net.form == "mixed":
        field = net.layers[0].field
        found.append(_said(field, "the file mixes layer and layers, or V0 and V1: Caffe refuses"))
    found += _input_problems(net)
    built = net.at(phase)
    for layer in built.layers:
        found += _layer_problems(layer)
    found += _blob_problems(built)
    return found if found else _shape_problems(built)


def strangers(document):
    """What stock Caffe's parser does not know: fields and values that only forks have.

    Parameters
    ----------
    document : Document

    Returns
    -------
    list of str
        One sentence for each name and value, at its first place.

    Raises
    ------
    PrototxtError
        At what no parser accepts: a value of the wrong kind, a field given twice.
    """
    unknown = schema.fill(schema.new("NetParameter"), document.root, stock=True)
    groups = {}
    for field in unknown:
        value = "" if _is_field_unknown(field, document.root) else field.string()
        groups.setdefault((field.name, value), []).append(field)
    found = []
    if document.text().startswith("\ufeff"):
        found.append(_said(document.root, "a byte order mark: stock Caffe refuses it"))
    for (name, value), fields in groups.items():
        said = "stock Caffe knows no {} {}".format(name, value) if value else (
            "stock Caffe knows no field {}".format(name))
        fork = fork_of(value or name)
        said += ", but {} does".format(fork) if fork else ""
        if len(fields) > 1:
            said += "; {} such".format(len(fields))
        found.append(_said(fields[0], said))
    return found
