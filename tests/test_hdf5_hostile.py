"""HDF5 weights that read other files, describe terabytes or are damaged: refused, in a sentence."""

import random

import numpy as np
import pytest

from prototxt_tools import weights
from prototxt_tools.errors import WeightsError

h5py = pytest.importorskip("h5py")


def refusal(path):
    with pytest.raises(WeightsError) as caught:
        weights.load(path)
    message = str(caught.value)
    assert message.startswith(str(path) + ": ") and "\n" not in message
    assert caught.value.subject == str(path)
    return message[len(str(path)) + 2:]


@pytest.fixture
def refused(tmp_path):
    """A function that gives the refusal of a file that another function fills."""
    def refused(fill):
        path = str(tmp_path / "net.caffemodel.h5")
        with h5py.File(path, "w") as file:
            fill(file.create_group("data"))
        return refusal(path)
    return refused


def test_external_storage_is_not_read(refused, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(80))
    assert refused(lambda data: data.create_dataset(
        "a/0", shape=(20,), dtype="<f4", external=[(str(secret), 0, 80)])) == (
            "HDF5 in which /data/a/0 lies in other files, which are not read")


def test_virtual_datasets_are_not_read(refused, tmp_path):
    def fill(data):
        layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", shape=(4,))
        data.create_group("a").create_virtual_dataset("0", layout)
    assert "lies in other files" in refused(fill)


@pytest.mark.parametrize("link", [lambda: h5py.ExternalLink("other.h5", "/data/a"),
                                  lambda: h5py.SoftLink("/data/b")])
def test_links_are_not_followed(refused, link):
    assert refused(lambda data: data.__setitem__("a", link())) == (
        "HDF5 in which a is a link, to another file perhaps; Caffe writes none")


def test_the_group_of_all_layers_may_be_no_link(tmp_path):
    path = str(tmp_path / "net.caffemodel.h5")
    with h5py.File(path, "w") as file:
        file["data"] = h5py.ExternalLink("other.h5", "/data")
    assert refusal(path)


@pytest.mark.parametrize("shape", [(2000, 10**6), (10**6, 10**6)])
def test_sizes_are_checked_before_anything_is_read(refused, shape):
    assert "describes far more data than its" in refused(lambda data: data.create_dataset(
        "a/0", shape=shape, dtype="f4", chunks=(1000, 1000), compression="gzip"))


def test_a_small_array_without_values_is_refused(refused):
    assert "has a size, 100 values, and no values" in refused(
        lambda data: data.create_dataset("a/0", shape=(100,), dtype="f4", chunks=(10,)))


def test_what_holds_no_numbers_is_refused(refused):
    assert "holds no plain numbers" in refused(
        lambda data: data.create_dataset("a/0", data=np.zeros(3, [("x", "f4"), ("y", "i4")])))
    assert "is neither a group nor an array" in refused(
        lambda data: data.create_group("a").__setitem__("0", np.dtype("f4")))


def test_deep_groups_and_groups_that_hold_themselves_are_refused(refused):
    def loop(data):
        group = data.create_group("a")
        group["a"] = group
    for fill in (loop, lambda data: data.create_dataset("a/" * 300 + "0", data=np.zeros(2))):
        assert refused(fill) == "HDF5 with groups nested over 100 deep"


def test_names_that_are_no_index_are_refused(refused):
    for name in ("a/weight", "a/-1", "0", "a/99999"):
        assert refused(lambda data, name=name: data.create_dataset(name, data=np.zeros(2))) == (
            "HDF5, but not Caffe's data/LAYER/INDEX")
    assert "numbered over 100" in refused(
        lambda data: data.create_dataset("a/9999", data=np.zeros(2)))


def test_every_damaged_file_is_refused_or_read(tmp_path):
    path = tmp_path / "net.caffemodel.h5"
    with h5py.File(str(path), "w") as file:
        for name in ("conv", "block/fc"):
            file.create_dataset(f"data/{name}/0", data=np.ones((20, 10), np.float32))
            file.create_dataset(f"data/{name}/1", data=np.ones(20), chunks=(5,),
                                compression="gzip")
    whole, numbers = path.read_bytes(), random.Random(5)
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(numbers.randint(1, 8)):
            damaged[numbers.randrange(min(len(damaged), 6000))] ^= 1 << numbers.randrange(8)
        path.write_bytes(bytes(damaged[:numbers.choice([len(damaged)] * 3 + [len(damaged) // 2])]))
        try:
            weights.load(str(path))
        except WeightsError as error:
            assert "\n" not in str(error)
