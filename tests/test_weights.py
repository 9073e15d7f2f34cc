"""What is read from weight files, good and bad."""

import os
import struct
import sys
import tempfile

import cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from weight_files import error_of, old_net, shape, tagged, v2_file, written

from prototxt_tools import rewrite, weights
from prototxt_tools.errors import InputError
from prototxt_tools.net import schema
from prototxt_tools.text.document import Document


@pytest.mark.parametrize("form", ["V0", "V1"])
def test_old_forms_are_read_with_their_legacy_shapes(tmp_path, form):
    read = weights.load(written(tmp_path, old_net(form)))
    assert list(read) == ["conv1", "ip"]
    assert [blob.shape for blob in read["conv1"]] == [(2, 1, 1, 3), (1, 1, 1, 2)]
    assert read["conv1"][0].ravel().tolist() == [0, 1, 2, 3, 4, 5]
    assert read["ip"][0].shape == (1, 1, 2, 4)
    assert read["ip"][0].dtype == np.float32


def test_doubles_win_over_floats(tmp_path):
    blob = shape(2) + tagged(5, struct.pack("<2f", 9, 9)) + tagged(8, struct.pack("<2d", 0.1, 2))
    [array] = weights.load(v2_file(tmp_path, blob))["conv1"]
    assert array.dtype == np.float64
    assert array.tolist() == [0.1, 2]


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
    assert array.dtype == dtype
    assert array.tolist() == values.tolist()


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


def hdf5_file(tmp_path, blobs):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed here")
    path = str(tmp_path / "net.caffemodel.h5")
    with h5py.File(path, "w") as file:
        for name, values in blobs.items():
            file[name] = values
    return path


def test_hdf5_is_read_whatever_the_layer_is_called(tmp_path):
    blobs = {f"data/inception_3a/1x1/{index}": [float(index)] for index in range(11)}
    blobs["data/conv1/0"] = np.ones((2, 3), np.float64)
    path = hdf5_file(tmp_path, blobs)
    os.rename(path, str(tmp_path / "renamed.caffemodel"))
    read = weights.load(tmp_path / "renamed.caffemodel")
    assert list(read) == ["conv1", "inception_3a/1x1"]
    assert read["conv1"][0].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert [blob.tolist() for blob in read["inception_3a/1x1"]] == [[i] for i in range(11)]


def test_hdf5_in_pieces_or_of_other_numbers_is_read(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed here")
    with h5py.File(str(tmp_path / "net.h5"), "w") as file:
        file.create_dataset("data/packed/0", data=np.arange(6.0), chunks=(4,), compression="gzip")
        file.create_dataset("data/motorola/0", data=np.arange(3, dtype=">f4"))
        file.create_dataset("data/none/0", shape=(0, 3), dtype="<f4")
    read = weights.load(tmp_path / "net.h5")
    assert read["packed"][0].tolist() == [0, 1, 2, 3, 4, 5]
    assert read["motorola"][0].dtype == np.dtype("<f4")
    assert read["motorola"][0].tolist() == [0, 1, 2]
    assert read["none"][0].shape == (0, 3)


def test_hdf5_of_others_is_refused(tmp_path):
    assert error_of(weights.load, hdf5_file(tmp_path, {"model_weights/x": [1.0]})).endswith(
        ": HDF5, but not Caffe's data/LAYER/INDEX"
    )
    assert error_of(weights.load, hdf5_file(tmp_path, {"data/x/kernel": [1.0]})).endswith(
        ": HDF5, but not Caffe's data/LAYER/INDEX"
    )


def test_hdf5_that_lacks_a_shared_blob_is_not_written_without_the_net(tmp_path):
    stored = weights.load(hdf5_file(tmp_path, {"data/x/1": [1.0]}))
    assert stored.gaps == {"x": (0,)}
    assert "layer x shares a blob with another layer" in error_of(
        weights.save, tmp_path / "copy.caffemodel", stored)


def test_blobs_that_hdf5_leaves_out_come_from_the_layers_that_share_them():
    stored = weights.load(cases.path_of("shared.caffemodel.h5"))
    document = Document.load(cases.path_of("shared.prototxt"))
    filled = rewrite.separate(document, stored).weights
    for a, b in (("ip1", "ip1_p"), ("ip2", "ip2_p")):
        np.testing.assert_array_equal(filled[a][0], filled[b][0])
    np.testing.assert_array_equal(filled["ip1"][1], filled["ip1_p"][1])
    assert (filled["ip2"][1] != filled["ip2_p"][1]).all()


def test_hdf5_cut_short_is_refused(tmp_path):
    path = hdf5_file(tmp_path, {"data/x/0": np.ones(5000)})
    with open(path, "r+b") as file:
        file.truncate(2500)
    assert "HDF5 that cannot be read" in error_of(weights.load, path)


def test_without_h5py_the_error_tells_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    path = tmp_path / "net.caffemodel.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    assert error_of(weights.load, path).endswith("reading HDF5 needs h5py; pip install h5py")


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"\n\n<!DOCTYPE html>\n<html>" + b"\xc3\xa9" * 200, "a web page saved in place"),
        (b"<html><body>404</body></html>", "a web page saved in place"),
        (b'name: "AlexNet"\nlayer { name: "data" }\n', "text, perhaps a prototxt"),
        (b"PK\x03\x04" + bytes(40), "a zip archive, such as those that PyTorch writes"),
        (b"\x1f\x8b\x08" + bytes(40), "a gzip archive; unpack it first"),
        (b"BZh91AY&SY" + bytes(40), "a bzip2 archive; unpack it first"),
        (b"\xfd7zXZ\x00" + bytes(40), "an xz archive; unpack it first"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(40), "a 7z archive; unpack it first"),
        (b"Rar!\x1a\x07\x00" + bytes(40), "a rar archive; unpack it first"),
        (b"net.caffemodel" + bytes(243) + b"ustar" + bytes(250),
         "a tar archive; unpack it first"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
         "XML, perhaps the error"),
        (b'{"message": "Not Found"}', "JSON, perhaps the error message of a server"),
        (b"\x08\xa0\x1f" + tagged(2, b"/home/a/net_iter_4000.caffemodel"),
         "a solver state, which holds no weights; use the snapshot beside it, "
         "net_iter_4000.caffemodel"),
        (b"\x08\x07" + tagged(2, b"pytorch"), "perhaps an ONNX model that pytorch wrote"),
        (b"\x08\x01\x10\x03\x18\x01\x20\x01" + tagged(5, bytes(12)),
         "a mean image (.binaryproto), not weights"),
        (b"\r\n\x03net\xa2\x06", "damaged by a transfer as text"),
        (b"\xff\xfen\x00a\x00", "text in UTF-16; save it as UTF-8"),
        (b"\x93NUMPY\x01\x00" + bytes(40), "a NumPy array"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "an image"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "an image"),
        (bytes(600), "it begins with zeros only, so the download failed; fetch it again"),
        (b"\xee\x01\x02" + bytes(40), "not written by Caffe, or damaged at byte 0"),
        (tagged(1, b"only a name"), "no layers in it, so it is not a caffemodel"),
    ],
)
def test_other_kinds_of_files_are_named(tmp_path, content, sentence):
    path = tmp_path / "weights.caffemodel"
    path.write_bytes(content)
    message = error_of(weights.load, path)
    assert message.startswith(str(path) + ": ")
    assert sentence in message


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    assert error_of(weights.load, tmp_path / "none").endswith("none: no such file")
    assert "a folder, not a file" in error_of(weights.load, tmp_path)


def test_a_file_cut_short_tells_how_much_is_missing(tmp_path):
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
    assert "damaged at byte" in error_of(weights.load, path)


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
    position = data.draw(st.integers(0, len(small_file) - 1))
    byte = data.draw(st.integers(0, 255))
    try:
        load_bytes(small_file[:position] + bytes([byte]) + small_file[position + 1 :])
    except InputError as error:
        assert str(error).startswith(tempfile.gettempdir())


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
