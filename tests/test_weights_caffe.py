"""Weight files of real models, and real Caffe as the judge."""

import csv
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from weight_files import old_net, shape, tagged, v2_file, written

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

import stock_caffe  # noqa: E402

from prototxt_tools import weights  # noqa: E402
from prototxt_tools.net import schema  # noqa: E402


def verified(shared):
    """What VERIFY.tsv records of each pair of net and weights that real Caffe loads."""
    text = (shared / "models" / "VERIFY.tsv").read_text()
    for row in csv.DictReader(io.StringIO(text), delimiter="\t"):
        if not row["result with BVLC Caffe 1.0.0 (Debian)"].startswith("FAIL"):
            yield row


def shapes_of(net):
    return {layer: [tuple(blob.shape) for blob in net.params[layer]] for layer in net.params}


def needs_h5py(path):
    if path.endswith(".h5"):
        pytest.importorskip("h5py", reason="h5py is not installed here")
    return path


def test_halves_of_nvcaffe_are_the_floats_of_the_same_model(shared):
    folder = shared / "models" / "hyperlpr_finemapping"
    floats = weights.load(folder / "weights.caffemodel")
    halves = weights.load(folder / "weights_old.caffemodel")
    differences = weights.compare(floats, halves)
    assert len(differences) == 8
    assert 0 < max(difference.distance for difference in differences) < 2.0**-11


def test_real_caffe_reads_the_same_from_every_model(caffe, shared):
    compared = 0
    for row in verified(shared):
        folder = shared / "models" / row["model"]
        path = needs_h5py(str(folder / row["weights"]))
        net = caffe.Net(str(folder / row["prototxt"]), caffe.TEST, weights=path)
        read = weights.load(path)
        for layer, blobs in net.params.items():
            for ours, theirs in zip(read.get(layer, []), blobs):
                same = ours.astype(np.float32).tobytes() == theirs.data.tobytes()
                assert same, (path, layer)
                compared += 1
        check = weights.check(shapes_of(net), read)
        assert check.problems == [], path
        assert ",".join(check.missing) == row["missing in weights"], path
        # The file also counts layers without weights, of which Caffe's HDF5 keeps empty groups.
        assert set(check.extra) <= set(row["extra in weights"].split(",")), path
    assert compared > 500


def test_weights_that_caffe_dies_on_are_found(caffe, shared):
    folder = shared / "models" / "densenet_cifar10_lijianfei"
    net = caffe.Net(str(folder / "deploy_b.prototxt"), caffe.TEST)
    check = weights.check(shapes_of(net), weights.load(folder / "weights.caffemodel"))
    assert check.problems[0] == (
        "layer Convolution8, blob 0: the net needs 32 x 128 x 1 x 1 "
        "and the weights hold 128 x 128 x 1 x 1"
    )


def parameter_net(tmp_path, shapes):
    """A net that holds blobs of any shape, one layer each."""
    layer = (
        "layer {{ name: '{0}' type: 'Parameter' top: '{0}' parameter_param {{ shape {{ {1} }} }} }}"
    )
    layers = "".join(
        layer.format(name, " ".join(f"dim: {size}" for size in sizes))
        for name, sizes in shapes.items()
    )
    path = tmp_path / "net.prototxt"
    path.write_bytes(layers.encode("utf-8"))
    return str(path)


def test_real_caffe_loads_what_is_saved(caffe, tmp_path):
    shapes = {"scalar": (), "a/1x1": (7,), "层": (2, 3), "4d": (2, 3, 4, 5), "5d": (1, 2, 1, 3, 2)}
    random = np.random.RandomState(0)
    blobs = {name: [np.asarray(random.randn(*sizes), np.float32)] for name, sizes in shapes.items()}
    weights.save(tmp_path / "net.caffemodel", blobs)
    net = caffe.Net(
        parameter_net(tmp_path, shapes), caffe.TEST, weights=str(tmp_path / "net.caffemodel")
    )
    assert list(net.params) == list(shapes)
    for name, [blob] in blobs.items():
        assert tuple(net.params[name][0].shape) == shapes[name]
        assert net.params[name][0].data.tobytes() == blob.tobytes()


def test_real_caffe_loads_halves_of_nvcaffe_once_they_are_saved(caffe, tmp_path):
    values = np.array([0.5, -2, 1.0 / 3], "<f2")
    halves = v2_file(tmp_path, shape(3) + b"\x50\x02" + tagged(12, values.tobytes()), b"x")
    floats = str(tmp_path / "floats.caffemodel")
    weights.save(floats, weights.load(halves))
    net = caffe.Net(parameter_net(tmp_path, {"x": (3,)}), caffe.TEST, weights=floats)
    assert net.params["x"][0].data.tolist() == values.tolist()


def v2_layer(tmp_path, *blobs):
    """A file of a layer x with blobs that have a shape, and ones."""
    message = schema.new("NetParameter")
    layer = message.layer.add(name="x")
    for sizes in blobs:
        blob = layer.blobs.add(data=[1] * int(np.prod(sizes)))
        blob.shape.dim.extend(sizes)
    return written(tmp_path, message)


@pytest.mark.parametrize(
    "expected, stored, error",
    [
        ((2, 3), [(2, 3)], None),
        ((2, 3), [(1, 1, 2, 3)], "Cannot copy param 0 weights from layer 'x'; shape mismatch."),
        ((1, 1, 2, 3), [(2, 3)], "Cannot copy param 0 weights from layer 'x'; shape mismatch."),
        ((2, 3), [], "(1 vs. 0) Incompatible number of blobs for layer x"),
        ((2, 3), [(2, 3), (2,)], "(1 vs. 2) Incompatible number of blobs for layer x"),
    ],
)
def test_weights_fit_a_net_where_real_caffe_copies_them(caffe, tmp_path, expected, stored, error):
    path = v2_layer(tmp_path, *stored)
    net = parameter_net(tmp_path, {"x": expected})
    check = weights.check({"x": [expected]}, weights.load(path))
    assert check.missing == []
    answer = stock_caffe.in_child(
        str(tmp_path), lambda: caffe.Net(net, caffe.TEST, weights=path) and {})
    assert (error or "") in (answer[1] or "") and bool(check.problems) == (answer[0] is None)
    assert bool(check.problems) == (error is not None)


@pytest.mark.parametrize("form", ["V0", "V1"])
def test_real_caffe_reads_the_same_from_old_forms(caffe, tmp_path, form):
    path = written(tmp_path, old_net(form))
    prototxt = tmp_path / "net.prototxt"
    prototxt.write_text(
        "layer { name: 'data' type: 'Input' top: 'data' input_param { shape {"
        " dim: 1 dim: 1 dim: 2 dim: 4 } } }"
        "layer { name: 'conv1' type: 'Convolution' bottom: 'data' top: 'conv1'"
        " convolution_param { num_output: 2 kernel_h: 1 kernel_w: 3 } }"
        "layer { name: 'ip' type: 'InnerProduct' bottom: 'conv1' top: 'ip'"
        " inner_product_param { num_output: 2 axis: 2 bias_term: false } }"
    )
    net = caffe.Net(str(prototxt), caffe.TEST, weights=path)
    read = weights.load(path)
    assert weights.check(shapes_of(net), read) == weights.Check([], [], [])
    for name in ("conv1", "ip"):
        for ours, theirs in zip(read[name], net.params[name]):
            assert ours.ravel().tolist() == theirs.data.ravel().tolist()


def test_real_caffe_too_takes_the_last_of_layers_that_share_a_name(caffe, tmp_path):
    message = schema.new("NetParameter")
    for value in (1, 2):
        message.layer.add(name="twice").blobs.add(data=[value]).shape.dim.append(1)
    path = written(tmp_path, message)
    net = caffe.Net(parameter_net(tmp_path, {"twice": (1,)}), caffe.TEST, weights=path)
    assert net.params["twice"][0].data.tolist() == weights.load(path)["twice"][0].tolist() == [2]


def test_real_caffe_saves_what_is_read_in_both_formats(caffe, tmp_path):
    net = caffe.Net(parameter_net(tmp_path, {"x": (2, 2), "y": (3,)}), caffe.TEST)
    net.params["x"][0].data[...] = [[1, 2], [3, 4]]
    net.save(str(tmp_path / "a.caffemodel"))
    net.save_hdf5(needs_h5py(str(tmp_path / "a.caffemodel.h5")))
    for name in ("a.caffemodel", "a.caffemodel.h5"):
        read = weights.load(tmp_path / name)
        assert list(read) == ["x", "y"]
        assert read["x"][0].tolist() == [[1, 2], [3, 4]]


def test_real_means_are_read_as_pycaffe_reads_them(caffe, shared):
    from caffe.proto import caffe_pb2

    paths = sorted((shared / "models").glob("*/*.binaryproto"))
    assert len(paths) == 6
    for path in paths:
        blob = caffe_pb2.BlobProto.FromString(path.read_bytes())
        assert weights.read_mean(path).tobytes() == (
            caffe.io.blobproto_to_array(blob).astype(np.float32).tobytes()
        )
