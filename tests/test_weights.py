"""Weight files: what is read is what Caffe reads, what is written Caffe loads."""

import csv
import io
import math
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prototxt_tools import schema, weights
from prototxt_tools.errors import InputError

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


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


# Reading


@pytest.mark.parametrize("form", ["V0", "V1"])
def test_old_forms_are_read_with_their_legacy_shapes(tmp_path, form):
    read = weights.load(written(tmp_path, old_net(form)))
    assert list(read) == ["conv1", "ip"]
    assert [blob.shape for blob in read["conv1"]] == [(2, 1, 1, 3), (1, 1, 1, 2)]
    assert read["conv1"][0].ravel().tolist() == [0, 1, 2, 3, 4, 5]
    assert read["ip"][0].shape == (1, 1, 2, 4)
    assert read["ip"][0].dtype == np.float32


def test_doubles_are_read_as_floats_and_win_over_floats(tmp_path):
    blob = shape(2) + tagged(5, struct.pack("<2f", 9, 9)) + tagged(8, struct.pack("<2d", 0.1, 2))
    [array] = weights.load(v2_file(tmp_path, blob))["conv1"]
    assert array.dtype == np.float32
    assert array.tolist() == [np.float32(0.1), 2]


def test_unpacked_numbers_are_read(tmp_path):
    blob = b"".join(b"\x2d" + struct.pack("<f", value) for value in (1, 2, 45, -4)) + shape(2, 2)
    assert weights.load(v2_file(tmp_path, blob))["conv1"][0].tolist() == [[1, 2], [45, -4]]
    blob = shape(3) + b"".join(b"\x41" + struct.pack("<d", value) for value in (1, 2, 0.5))
    assert weights.load(v2_file(tmp_path, blob))["conv1"][0].tolist() == [1, 2, 0.5]


def test_many_unpacked_numbers_are_read(tmp_path):
    values = np.arange(20000, dtype="<f4")
    rows = np.full((20000, 5), 0x2D, np.uint8)
    rows[:, 1:] = values.view(np.uint8).reshape(-1, 4)
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(tagged(7, tagged(1, b"\x01\x01\xa0\x9c\x01")) + rows.tobytes())
    mean = weights.read_mean(path)
    assert mean.shape == (1, 1, 20000)
    assert mean.ravel().tolist() == values.tolist()


def test_numbers_packed_in_several_parts_are_joined(tmp_path):
    blob = tagged(5, struct.pack("<2f", 1, 2)) + shape(3) + tagged(5, struct.pack("<f", 3))
    assert weights.load(v2_file(tmp_path, blob))["conv1"][0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("number, dtype", [(0, "<f8"), (1, "<f4"), (2, "<f2")])
def test_raw_data_of_nvcaffe_is_read_in_all_its_precisions(tmp_path, number, dtype):
    values = np.array([0.5, -2, 1.0 / 3], dtype)
    blob = shape(3) + b"\x50" + bytes([number]) + tagged(12, values.tobytes())
    [array] = weights.load(v2_file(tmp_path, blob))["conv1"]
    assert array.dtype == np.float32
    assert array.tolist() == values.astype(np.float32).tolist()


def test_raw_data_of_integers_is_refused(tmp_path):
    path = v2_file(tmp_path, shape(1) + b"\x50\x03" + tagged(12, b"\0\0\0\0"))
    assert error_of(weights.load, path) == (
        path + ": layer conv1, blob 0: raw_data of type 3 is neither double, float nor half"
    )


def test_a_scalar_has_no_axes_and_an_empty_blob_no_values(tmp_path):
    scalar = weights.load(v2_file(tmp_path, tagged(7, b"") + tagged(5, struct.pack("<f", 7))))
    assert scalar["conv1"][0].shape == ()
    assert float(scalar["conv1"][0]) == 7
    empty = weights.load(v2_file(tmp_path, shape(0, 3)))
    assert empty["conv1"][0].shape == (0, 3)


def test_fields_that_are_no_weights_are_passed_over(tmp_path):
    blob = shape(1) + tagged(6, struct.pack("<f", 5)) + tagged(5, struct.pack("<f", 6))
    path = tmp_path / "net.caffemodel"
    layer = tagged(1, b"a") + b"\x2d\0\0\x80\x3f" + b"\xf8\x01\x05" + tagged(7, blob)
    path.write_bytes(tagged(1, b"net") + b"\x28\x01" + tagged(100, layer) + tagged(100, b""))
    assert [(name, blobs[0].tolist()) for name, blobs in weights.load(path).items()] == [("a", [6])]


def test_of_layers_that_share_a_name_the_last_one_counts(tmp_path):
    net = schema.new("NetParameter")
    for value in (1, 2):
        layer = net.layer.add(name="twice")
        layer.blobs.add(data=[value]).shape.dim.append(1)
    assert weights.load(written(tmp_path, net))["twice"][0].tolist() == [2]


def test_arrays_are_views_of_the_file_that_can_be_changed_without_changing_it(tmp_path):
    path = tmp_path / "net.caffemodel"
    weights.save(path, {"a": [np.arange(4)]})
    before = path.read_bytes()
    [array] = weights.load(path)["a"]
    assert not array.flags.owndata
    array[:] = 7
    assert path.read_bytes() == before
    assert weights.load(path)["a"][0].tolist() == [0, 1, 2, 3]


# Reads a file of 64 MB or writes one, and prints how far the peak of memory rose, in bytes.
MEASURE = """
import sys
import numpy as np
from prototxt_tools import weights

def peak():
    return 1024 * int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])

what, path = sys.argv[1:]
blobs = {"fc6": [np.ones((4096, 2048), np.float32)], "fc7": [np.ones((4096, 2048), np.float32)]}
if what == "read":
    del blobs
before = peak()
if what == "read":
    assert sum(float(blob.sum()) for [blob] in weights.load(path).values()) == 1 << 24
else:
    weights.save(path, blobs)
print(peak() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="measures as Linux does")
def test_memory_stays_under_one_and_a_tenth_of_the_file(tmp_path):
    path = str(tmp_path / "large.caffemodel")

    def rise(what):
        command = [sys.executable, "-c", MEASURE, what, path]
        return int(subprocess.check_output(command, cwd=ROOT))

    assert rise("write") < 0.1 * (1 << 26)
    assert rise("read") < 1.1 * os.path.getsize(path)


# HDF5


def hdf5_file(tmp_path, blobs):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed here")
    path = str(tmp_path / "net.caffemodel.h5")
    with h5py.File(path, "w") as file:
        for name, values in blobs.items():
            file[name] = values
    return path


def test_hdf5_is_read_whatever_the_layer_is_called(tmp_path):
    blobs = {"data/inception_3a/1x1/{}".format(index): [float(index)] for index in range(11)}
    blobs["data/conv1/0"] = np.ones((2, 3), np.float64)
    path = hdf5_file(tmp_path, blobs)
    os.rename(path, str(tmp_path / "renamed.caffemodel"))
    read = weights.load(tmp_path / "renamed.caffemodel")
    assert list(read) == ["conv1", "inception_3a/1x1"]
    assert read["conv1"][0].dtype == np.float32
    assert [blob.tolist() for blob in read["inception_3a/1x1"]] == [[i] for i in range(11)]


def test_hdf5_of_others_is_refused(tmp_path):
    assert error_of(weights.load, hdf5_file(tmp_path, {"model_weights/x": [1.0]})).endswith(
        ": HDF5, but not Caffe's data/LAYER/INDEX"
    )
    assert error_of(weights.load, hdf5_file(tmp_path, {"data/x/kernel": [1.0]})).endswith(
        ": HDF5, but not Caffe's data/LAYER/INDEX"
    )


def test_hdf5_that_lacks_a_shared_blob_is_refused(tmp_path):
    path = hdf5_file(tmp_path, {"data/x/1": [1.0]})
    assert "layer x shares a blob with another layer" in error_of(weights.load, path)


def test_hdf5_cut_short_is_refused(tmp_path):
    path = hdf5_file(tmp_path, {"data/x/0": np.ones(5000)})
    with open(path, "r+b") as file:
        file.truncate(2500)
    assert "HDF5 that cannot be read" in error_of(weights.load, path)


def test_without_h5py_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    path = tmp_path / "net.caffemodel.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    assert error_of(weights.load, path).endswith("reading HDF5 needs h5py; pip install h5py")


# Bad files


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"\n\n<!DOCTYPE html>\n<html>" + b"\xc3\xa9" * 200, "a web page saved in place"),
        (b"<html><body>404</body></html>", "a web page saved in place"),
        (b'name: "AlexNet"\nlayer { name: "data" }\n', "text, a prototxt perhaps"),
        (b"PK\x03\x04" + bytes(40), "a zip archive, such as PyTorch writes"),
        (b"\x1f\x8b\x08" + bytes(40), "a gzip archive; unpack it first"),
        (b"\x93NUMPY\x01\x00" + bytes(40), "an array of NumPy"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "the bytes at 0 make no sense"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "make no sense"),
        (bytes(100), "the bytes at 0 make no sense"),
        (tagged(1, b"only a name"), "no layers in it, so it is no caffemodel"),
    ],
)
def test_what_is_no_weight_file_is_named(tmp_path, content, sentence):
    path = tmp_path / "weights.caffemodel"
    path.write_bytes(content)
    said = error_of(weights.load, path)
    assert said.startswith(str(path) + ": ")
    assert sentence in said


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    assert error_of(weights.load, tmp_path / "none").endswith(
        "none: cannot be read: No such file or directory"
    )
    assert "Is a directory" in error_of(weights.load, tmp_path)


def test_a_file_cut_short_says_how_much_is_missing(tmp_path):
    path = tmp_path / "net.caffemodel"
    weights.save(path, {"a": [np.ones(10)], "b": [np.ones(1000)]})
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    assert error_of(weights.load, path) == (
        str(path) + ": cut off, at least 100 bytes are missing; fetch it again"
    )


def test_a_blob_with_too_few_values_is_named(tmp_path):
    path = v2_file(tmp_path, shape(10, 3) + tagged(5, bytes(8)))
    assert error_of(weights.load, path) == (
        path + ": layer conv1, blob 0: the shape is 10 x 3, and the file holds 2 values"
    )


@pytest.mark.parametrize(
    "blob",
    [
        tagged(5, b"\0\0\0"),
        b"\x2a\x7f",
        b"\x3d\0\0\0\0",
        tagged(1, b"abc"),
        tagged(7, tagged(1, b"\xff" * 9 + b"\x01")),
        b"\x08" + b"\xff" * 9 + b"\x01",
        b"\x0b",
    ],
)
def test_damaged_blobs_are_refused(tmp_path, blob):
    path = v2_file(tmp_path, blob)
    with open(path, "ab") as file:
        file.write(tagged(100, tagged(1, b"next")))
    assert "make no sense" in error_of(weights.load, path)


SMALL = {"conv1": [np.arange(6.0).reshape(2, 3), np.ones(2)], "fc": [np.zeros((2, 2))]}


@pytest.fixture(scope="module")
def small_file():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.caffemodel")
        weights.save(path, SMALL)
        with open(path, "rb") as file:
            yield file.read()


def load_bytes(content):
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return weights.load(file.name)


def test_every_beginning_of_a_file_is_refused_or_ends_between_layers(small_file):
    for length in range(len(small_file)):
        try:
            read = load_bytes(small_file[:length])
        except InputError:
            continue
        assert list(read) == ["conv1"]
        assert [blob.tolist() for blob in read["conv1"]] == [b.tolist() for b in SMALL["conv1"]]


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_do_worse_than_a_sentence(content):
    try:
        load_bytes(content)
    except InputError as error:
        assert str(error).startswith(tempfile.gettempdir())


@settings(deadline=None)
@given(st.data())
def test_no_damage_does_worse_than_a_sentence(small_file, data):
    place = data.draw(st.integers(0, len(small_file) - 1))
    byte = data.draw(st.integers(0, 255))
    try:
        load_bytes(small_file[:place] + bytes([byte]) + small_file[place + 1 :])
    except InputError as error:
        assert str(error).startswith(tempfile.gettempdir())


# Writing

shapes = st.lists(st.integers(0, 4), max_size=5)
bits = st.integers(0, 2**32 - 1)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=20), st.lists(shapes, min_size=1, max_size=3), min_size=1, max_size=4
    ),
    bits,
)
def test_what_is_saved_is_loaded_again_bit_for_bit(layers, seed):
    random = np.random.RandomState(seed)
    blobs = {
        name: [
            random.randint(0, 2**32, sizes, np.uint32).view(np.float32)
            if np.prod(sizes) and sizes
            else np.full(sizes, 0.5, np.float32)
            for sizes in shapes
        ]
        for name, shapes in layers.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.caffemodel")
        weights.save(path, blobs)
        read = weights.load(path)
        assert list(read) == list(blobs)
        for name in blobs:
            assert [blob.shape for blob in read[name]] == [blob.shape for blob in blobs[name]]
            assert [blob.tobytes() for blob in read[name]] == [b.tobytes() for b in blobs[name]]


def test_names_of_any_kind_are_kept(tmp_path):
    names = ["inception_3a/1x1", "层 1", "caf\udce9", "{0}", ""]
    weights.save(tmp_path / "a", {name: [np.ones(1)] for name in names})
    assert list(weights.load(tmp_path / "a")) == names


def test_a_saved_file_is_a_v2_net(tmp_path):
    path = tmp_path / "net.caffemodel"
    weights.save(
        path,
        {"conv1": [np.ones((2, 1), np.float64)[:, ::-1]], "relu": []},
        types={"conv1": "Convolution"},
    )
    net = schema.new("NetParameter")
    net.ParseFromString(path.read_bytes())
    assert [(layer.name, layer.type) for layer in net.layer] == [
        ("conv1", "Convolution"),
        ("relu", ""),
    ]
    assert list(net.layer[0].blobs[0].shape.dim) == [2, 1]
    assert list(net.layer[0].blobs[0].data) == [1, 1]


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "net.caffemodel"
    weights.save(path, {"a": [np.ones(1)]})
    with pytest.raises(ValueError):
        weights.save(path, {"a": [np.ones(1)], "b": [np.array(["text"])]})
    assert weights.load(path)["a"][0].tolist() == [1]
    assert os.listdir(str(tmp_path)) == ["net.caffemodel"]


def test_a_file_may_be_saved_over_the_one_its_arrays_are_read_from(tmp_path):
    path = tmp_path / "net.caffemodel"
    weights.save(path, {"a": [np.arange(3)]})
    weights.save(path, weights.load(path), types={"a": "InnerProduct"})
    assert weights.load(path)["a"][0].tolist() == [0, 1, 2]


def test_what_cannot_be_saved_is_said(tmp_path):
    assert error_of(weights.save, tmp_path / "x", {}).endswith("there are no weights to save")
    assert "cannot be written" in error_of(weights.save, tmp_path / "no" / "x", {"a": [np.ones(1)]})
    huge = np.broadcast_to(np.float32(0), (1 << 15, 1 << 15))
    assert "4.3 GB of weights, and Caffe reads at most 2 GB" in error_of(
        weights.save, tmp_path / "x", {"a": [huge]}
    )
    assert os.listdir(str(tmp_path)) == []


# Means


def test_a_mean_is_channels_by_height_by_width(tmp_path):
    blob = schema.new("BlobProto")
    blob.num, blob.channels, blob.height, blob.width = 1, 3, 2, 2
    blob.data.extend(range(12))
    mean = weights.read_mean(written(tmp_path, blob))
    assert mean.shape == (3, 2, 2)
    assert mean.dtype == np.float32
    assert mean[2].tolist() == [[8, 9], [10, 11]]


def test_what_is_no_mean_is_refused(tmp_path):
    weights.save(tmp_path / "a.caffemodel", {"x": [np.ones(1)]}, {"x": "Scale"})
    assert error_of(weights.read_mean, tmp_path / "a.caffemodel").endswith(
        "the shape is a single number, and the file holds 0 values"
    )
    blob = schema.new("BlobProto")
    blob.num, blob.channels, blob.height, blob.width = 2, 1, 1, 1
    blob.data.extend([1, 2])
    assert error_of(weights.read_mean, written(tmp_path, blob)).endswith(
        "a mean image is channels x height x width, and this is 2 x 1 x 1 x 1"
    )
    assert "text" in error_of(weights.read_mean, __file__)


# Checks


def arrays(*shapes):
    return [np.zeros(shape, np.float32) for shape in shapes]


def test_weights_that_fit_have_no_problems():
    found = weights.check(
        {"conv1": [(4, 3, 2, 2), (4,)], "ip": [(2, 16), (2,)]},
        {"conv1": arrays((4, 3, 2, 2), (1, 1, 1, 4)), "ip": arrays((1, 1, 2, 16), (2,))},
    )
    assert found == weights.Check([], [], [])


def test_the_first_layer_that_does_not_fit_comes_first_with_both_shapes():
    found = weights.check(
        {"a": [(1,)], "conv1": [(96, 3, 11, 11), (96,)], "ip": [(2, 16)]},
        {"ip": arrays((1, 2, 1, 16)), "a": arrays((1,)), "conv1": arrays((64, 3, 7, 7), (64,))},
    )
    assert found.problems == [
        "layer conv1, blob 0: the net wants 96 x 3 x 11 x 11 and the weights hold 64 x 3 x 7 x 7",
        "layer ip, blob 0: the net wants 2 x 16 and the weights hold 1 x 2 x 1 x 16",
    ]


def test_another_number_of_blobs_is_a_problem():
    found = weights.check({"bn": [(4,), (4,), (1,)]}, {"bn": arrays((4,))})
    assert found.problems == ["layer bn wants 3 blobs and the weights hold 1 blob"]


def test_equal_counts_in_another_shape_do_not_fit():
    assert weights.check({"ip": [(2, 8)]}, {"ip": arrays((4, 4))}).problems
    assert weights.check({"ip": [(16,)]}, {"ip": arrays((1, 16))}).problems


def test_missing_and_extra_layers_are_listed_apart():
    found = weights.check(
        {"conv1": [(1,)], "relu": [], "new": [(2,)]}, {"conv1": arrays((1,)), "fc8": arrays((5,))}
    )
    assert found == weights.Check([], ["new"], ["fc8"])


# Comparing and describing


def test_the_distance_is_the_relative_l2_norm_of_the_difference():
    a = {"x": [np.array([3.0, 4.0]), np.array([1.0])], "y": arrays((2,))}
    b = {"x": [np.array([3.0, 4.5]), np.array([1.0])], "y": [np.ones(2)], "z": arrays((1,))}
    assert weights.compare(a, b) == [
        ("x", 0, 0.1),
        ("x", 1, 0.0),
        ("y", 0, math.inf),
        ("z", 0, math.inf),
    ]
    assert weights.compare({"x": arrays((2, 3))}, {"x": arrays((3, 2))})[0].distance == math.inf


def test_the_distance_of_large_blobs_is_summed_over_all_parts():
    a = np.ones(400000, np.float32)
    b = a.copy()
    b[-1] = 1001
    [difference] = weights.compare({"fc": [a]}, {"fc": [b]})
    assert abs(difference.distance - 1000 / math.sqrt(400000)) < 1e-12


def test_statistics_are_those_of_numpy_over_the_finite_values():
    values = np.random.RandomState(0).randn(300000).astype(np.float32) + 5
    spoilt = np.concatenate([values, np.float32([np.nan, np.inf, -np.inf, np.nan])])
    [found] = weights.describe({"fc": [spoilt.reshape(2, -1)]})
    assert (found.layer, found.index, found.shape) == ("fc", 0, (2, 150002))
    assert (found.nans, found.infs) == (2, 2)
    assert abs(found.mean - values.astype(np.float64).mean()) < 1e-9
    assert abs(found.std - values.astype(np.float64).std()) < 1e-9
    assert (found.min, found.max) == (values.min(), values.max())


def test_statistics_of_nothing_are_nan():
    [empty, lost] = weights.describe({"a": arrays((0, 3)), "b": [np.full(2, np.nan)]})
    assert math.isnan(empty.mean) and math.isnan(empty.max) and empty.nans == 0
    assert math.isnan(lost.std) and lost.nans == 2


# Real files and real Caffe


def verified(shared):
    """What VERIFY.tsv says of each pair of net and weights that real Caffe loads."""
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
                assert ours.tobytes() == theirs.data.tobytes(), (path, layer)
                compared += 1
        found = weights.check(shapes_of(net), read)
        assert found.problems == [], path
        assert ",".join(found.missing) == row["missing in weights"], path
        # The file also counts layers without weights, of which Caffe's HDF5 keeps empty groups.
        assert set(found.extra) <= set(row["extra in weights"].split(",")), path
    assert compared > 500


def test_weights_that_caffe_dies_on_are_found(caffe, shared):
    folder = shared / "models" / "densenet_cifar10_lijianfei"
    net = caffe.Net(str(folder / "deploy_b.prototxt"), caffe.TEST)
    found = weights.check(shapes_of(net), weights.load(folder / "weights.caffemodel"))
    assert found.problems[0] == (
        "layer Convolution8, blob 0: the net wants 32 x 128 x 1 x 1 "
        "and the weights hold 128 x 128 x 1 x 1"
    )


def parameter_net(tmp_path, shapes):
    """A net that holds blobs of any shape, one layer each."""
    layers = "".join(
        "layer {{ name: '{0}' type: 'Parameter' top: '{0}' parameter_param {{ shape {{ {1} }} }} }}".format(
            name, " ".join("dim: {}".format(size) for size in sizes)
        )
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
