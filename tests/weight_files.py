"""Weight files made by hand, for the tests that read them."""

import numpy as np
import pytest

from prototxt_tools.errors import InputError
from prototxt_tools.net import schema


def tagged(number, payload):
    """A field of bytes in protobuf's wire format; payloads here are shorter than 128."""
    assert len(payload) < 128
    tag = number << 3 | 2
    head = bytes([tag]) if tag < 128 else bytes([tag & 127 | 128, tag >> 7])
    return head + bytes([len(payload)]) + payload


def v2_file(tmp_path, blob, name=b"conv1"):
    """A file of one layer with one blob, given as bytes."""
    path = tmp_path / "net.caffemodel"
    path.write_bytes(tagged(100, tagged(1, name) + tagged(7, blob)))
    return str(path)


def shape(*dims):
    return tagged(7, tagged(1, bytes(dims)))


def written(tmp_path, message):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(message.SerializeToString())
    return str(path)


def old_net(form):
    """A V0 or V1 net of a convolution with legacy blobs and a layer without any."""
    net = schema.new("NetParameter")
    for name, kind in (("conv1", "CONVOLUTION"), ("relu1", "RELU"), ("ip", "INNER_PRODUCT")):
        layer = net.layers.add()
        if form == "V0":
            layer = layer.layer
            layer.type = {"CONVOLUTION": "conv", "RELU": "relu"}.get(kind, "innerproduct")
        else:
            layer.type = (
                layer.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_name[kind].number
            )
        layer.name = name
        for sizes in {"conv1": [(2, 1, 1, 3), (1, 1, 1, 2)], "ip": [(1, 1, 2, 4)]}.get(name, []):
            blob = layer.blobs.add()
            blob.num, blob.channels, blob.height, blob.width = sizes
            blob.data.extend(range(int(np.prod(sizes))))
    return net


def error_of(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence
