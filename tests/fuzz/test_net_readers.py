"""Readers of definitions, weights and means: each reads a file or refuses it, whatever it holds."""

import io
import pathlib

import definitions
import numpy as np
import pytest
from harness import fuzzed, read
from hypothesis import example, given
from mutations import damaged
from weight_files import old_net

from caffe_gradcam.model import means
from prototxt_tools import rewrite, shapes, weights
from prototxt_tools.errors import InputError
from prototxt_tools.net import schema
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL_NETS = ROOT / "tests" / "small_nets"


# Definitions of nets

PROTOTXTS = [
    definitions.lenet().encode(),
    (ROOT / "models" / "digits" / "deploy.prototxt").read_bytes(),
    (SMALL_NETS / "nv_bn.prototxt").read_bytes(),
    b'name: "v1" input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8 layers { name:'
    b' "c" type: CONVOLUTION bottom: "data" top: "c" convolution_param { num_output: 4 kernel_size'
    b': 3 } } layers { name: "p" type: SOFTMAX bottom: "c" top: "p" }',
    b'input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8 layers { layer { name: "c"'
    b' type: "conv" num_output: 4 kernelsize: 3 pad: 1 } bottom: "data" top: "c" }',
]


def _prototxt(path):
    document = Document.load(path)
    assert document.encode() == pathlib.Path(path).read_bytes()
    net = Net.parse(document).at("TEST")
    shapes.infer(net)
    Graph(net).scores()
    for change in (rewrite.strip_softmax, rewrite.upgrade, rewrite.stock):
        try:
            changed = change(document).document
        except InputError:
            continue
        Net.parse(changed)


@fuzzed
@given(damaged(*PROTOTXTS))
@example(PROTOTXTS[-1].replace(b'"conv"', b'"\xffconv"'))
def test_prototxt(scratch, data):
    read(_prototxt, scratch("net.prototxt", data))


# Weights and means

def _nvidia_weights():
    net = schema.new("NetParameter")
    blob = net.layer.add(name="half", type="Convolution").blobs.add()
    blob.shape.dim.extend([2, 3])
    data = net.SerializeToString()
    # raw_data_type and raw_data, which only NVIDIA's schema has.
    raw = b"\x50\x02\x62\x0c" + np.arange(6, dtype="<f2").tobytes()
    blob_start = data.index(blob.SerializeToString())
    blob_bytes = blob.SerializeToString() + raw
    layer = data[2:blob_start - 2] + b"\x3a" + bytes([len(blob_bytes)]) + blob_bytes
    return data[:1] + bytes([data[1]]) + bytes([len(layer)]) + layer[1:]


CAFFEMODELS = [old_net("V0").SerializeToString(), old_net("V1").SerializeToString(),
               (SMALL_NETS / "bn0.caffemodel").read_bytes(), _nvidia_weights()]


def _weights(path):
    read_weights = weights.load(path)
    for arrays in read_weights.values():
        for array in arrays:
            np.asarray(array).sum(dtype=np.float64)
    weights.describe(read_weights)


@fuzzed
@given(damaged(*CAFFEMODELS))
def test_caffemodel(scratch, data):
    with np.errstate(all="ignore"):
        read(_weights, scratch("net.caffemodel", data))


@fuzzed
@given(damaged((SMALL_NETS / "shared.caffemodel.h5").read_bytes()))
def test_hdf5_weights(scratch, data):
    pytest.importorskip("h5py", reason="h5py is not installed here")
    with np.errstate(all="ignore"):
        read(_weights, scratch("net.caffemodel.h5", data))


def _means():
    blob = schema.new("BlobProto")
    blob.num, blob.channels, blob.height, blob.width = 1, 3, 2, 2
    blob.data.extend(range(12))
    array = io.BytesIO()
    np.save(array, np.arange(12, dtype=np.float32).reshape(3, 2, 2))
    return blob.SerializeToString(), array.getvalue()


@pytest.mark.parametrize("name", ["mean.binaryproto", "mean.npy"])
@fuzzed
@given(data=damaged(*_means()))
def test_mean(scratch, name, data):
    read(means.read, scratch(name, data))
