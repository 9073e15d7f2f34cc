"""Mean files: read by their content; what is something else is named."""

import numpy as np
import pytest

from caffe_gradcam.model import means
from prototxt_tools.errors import ModelError
from prototxt_tools.net import schema

IMAGE = np.arange(48, dtype=np.float32).reshape(3, 4, 4)


def blob_bytes(array):
    blob = schema.new("BlobProto")
    blob.shape.dim.extend(array.shape)
    blob.data.extend(array.ravel().tolist())
    return blob.SerializeToString()


def numpy_bytes(path, array):
    with open(str(path), "wb") as file:
        np.save(file, array, allow_pickle=True)
    return path


@pytest.mark.parametrize("name", ["mean.npy", "mean.binaryproto"])
def test_the_content_decides_not_the_name(tmp_path, name):
    path = tmp_path / name
    numpy_bytes(path, IMAGE)
    assert means.read(str(path)).tolist() == IMAGE.tolist()
    path.write_bytes(blob_bytes(IMAGE[np.newaxis]))
    assert means.read(str(path)).tolist() == IMAGE.tolist()


@pytest.mark.parametrize("array, shape", [
    (np.float64(5), (1,)), (np.ones(3), (3,)), (np.ones((4, 4)), (1, 4, 4)),
    (np.ones((1, 3, 4, 4)), (3, 4, 4)), (np.ones((3, 1, 1)), (3, 1, 1)),
])
def test_means_of_each_form(tmp_path, array, shape):
    assert means.read(str(numpy_bytes(tmp_path / "m.npy", array))).shape == shape


@pytest.mark.parametrize("array, words", [
    (np.ones((4, 5, 3)), "not float64 of shape 4x5x3; put the channels first"),
    (np.ones((2, 3, 4, 4)), "of shape 2x3x4x4"),
    (np.array([1, np.nan, 3]), "with NaN or infinity"),
    (np.array(["a", "b"]), "not <U1 of shape 2"),
    (np.array([{}, None], object), "holds Python objects, not numbers"),
])
def test_arrays_that_are_no_means_are_refused(tmp_path, array, words):
    with pytest.raises(ModelError) as caught:
        means.read(str(numpy_bytes(tmp_path / "m.npy", array)))
    assert words in str(caught.value)


def weights():
    net = schema.new("NetParameter")
    net.name = "net"
    net.layer.add().name = "conv"
    return net.SerializeToString()


@pytest.mark.parametrize("content, words", [
    (weights(), "it holds the weights of a net"),
    (b"", "the file is empty"),
    (b"104 117 123\n", "a text; give the numbers themselves as the mean"),
    (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    (b"\n<!DOCTYPE html><html>", "a web page"),
    (b"\x89PNG\r\n\x1a\n", "an image"), (b"\x1f\x8b\x08", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive"), (b"\x93NUMPY\x01\x00\xff", "a damaged .npy file"),
    (blob_bytes(IMAGE)[:-40], "not a mean file"),
])
def test_other_files_are_named_as_what_they_are(tmp_path, content, words):
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        means.read(str(path))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_only_regular_files_are_read(tmp_path):
    (tmp_path / "mean.npy").symlink_to("/dev/zero")
    with pytest.raises(ModelError, match="a device, not a regular file"):
        means.read(str(tmp_path / "mean.npy"))
