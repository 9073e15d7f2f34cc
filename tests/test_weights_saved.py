"""Weights written, checked against a net, compared, and described."""

import math
import os
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from weight_files import error_of, old_net, written

from prototxt_tools import weights
from prototxt_tools.net import schema

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


def test_what_cannot_be_saved_is_refused(tmp_path):
    assert error_of(weights.save, tmp_path / "x", {}).endswith("there are no weights to save")
    (tmp_path / "file").write_bytes(b"")
    in_a_file = tmp_path / "file" / "x"
    assert "cannot be written" in error_of(weights.save, in_a_file, {"a": [np.ones(1)]})
    huge = np.broadcast_to(np.float32(0), (1 << 15, 1 << 15))
    assert "4.3 GB of weights, and Caffe reads at most 2 GB" in error_of(
        weights.save, tmp_path / "x", {"a": [huge]}
    )
    assert os.listdir(str(tmp_path)) == ["file"]


def arrays(*shapes):
    return [np.zeros(shape, np.float32) for shape in shapes]


def test_weights_that_fit_have_no_problems():
    check = weights.check(
        {"conv1": [(4, 3, 2, 2), (4,)], "ip": [(2, 16), (2,)]},
        {"conv1": arrays((4, 3, 2, 2), (1, 1, 1, 4)), "ip": arrays((1, 1, 2, 16), (2,))},
    )
    assert check == weights.Check([], [], [])


def test_the_first_layer_that_does_not_fit_comes_first_with_both_shapes():
    check = weights.check(
        {"a": [(1,)], "conv1": [(96, 3, 11, 11), (96,)], "ip": [(2, 16)]},
        {"ip": arrays((1, 2, 1, 16)), "a": arrays((1,)), "conv1": arrays((64, 3, 7, 7), (64,))},
    )
    assert check.problems == [
        "layer conv1, blob 0: the net needs 96 x 3 x 11 x 11 and the weights hold 64 x 3 x 7 x 7",
        "layer ip, blob 0: the net needs 2 x 16 and the weights hold 1 x 2 x 1 x 16",
    ]


def test_another_number_of_blobs_is_a_problem():
    check = weights.check({"bn": [(4,), (4,), (1,)]}, {"bn": arrays((4,))})
    assert check.problems == ["layer bn needs 3 blobs and the weights hold 1 blob"]


def test_equal_counts_in_another_shape_do_not_fit():
    assert weights.check({"ip": [(2, 8)]}, {"ip": arrays((4, 4))}).problems
    assert weights.check({"ip": [(16,)]}, {"ip": arrays((1, 16))}).problems


def test_only_legacy_blobs_of_a_file_may_have_leading_axes_of_size_1(tmp_path):
    weights.save(tmp_path / "net.caffemodel", {"ip": arrays((1, 1, 2, 16))})
    check = weights.check({"ip": [(2, 16)]}, weights.load(tmp_path / "net.caffemodel"))
    assert check.problems == [
        "layer ip, blob 0: the net needs 2 x 16 and the weights hold 1 x 1 x 2 x 16"
    ]
    old = weights.load(written(tmp_path, old_net("V1")))
    assert weights.check({"ip": [(2, 4)]}, old).problems == []


def test_a_layer_stored_without_its_blobs_does_not_fit(tmp_path):
    weights.save(tmp_path / "net.caffemodel", {"ip": [], "relu": []})
    read = weights.load(tmp_path / "net.caffemodel")
    check = weights.check({"ip": [(2, 4)], "relu": []}, read)
    assert check == weights.Check(["layer ip needs 1 blob and the weights hold 0 blobs"], [], [])


def test_each_of_the_layers_that_share_a_name_has_to_fit(tmp_path):
    net = schema.new("NetParameter")
    for count in (1, 2):
        net.layer.add(name="x").blobs.add(data=[1] * count).shape.dim.append(count)
    read = weights.load(written(tmp_path, net))
    assert weights.check({"x": [(2,)]}, read).problems == [
        "layer x, blob 0: the net needs 2 and the weights hold 1"
    ]


def test_halves_are_compared_and_described_as_doubles():
    halves = np.full(70000, 300, np.float16)
    [statistics] = weights.describe({"x": [halves]})
    assert (statistics.mean, statistics.std, statistics.infs) == (300, 0, 0)
    larger = {"x": [halves * np.float32(1.5)]}
    assert weights.compare({"x": [halves]}, larger) == [weights.Difference("x", 0, 0.5)]


def test_missing_and_extra_layers_are_listed_apart():
    check = weights.check(
        {"conv1": [(1,)], "relu": [], "new": [(2,)]}, {"conv1": arrays((1,)), "fc8": arrays((5,))}
    )
    assert check == weights.Check([], ["new"], ["fc8"])


def test_the_distance_is_the_relative_l2_norm_of_the_difference():
    a = {"x": [np.array([3.0, 4.0]), np.array([1.0])], "y": arrays((2,))}
    b = {"x": [np.array([3.0, 4.5]), np.array([1.0])], "y": [np.ones(2)], "z": arrays((1,))}
    assert weights.compare(a, b) == [
        weights.Difference("x", 0, 0.1),
        weights.Difference("x", 1, 0.0),
        weights.Difference("y", 0, math.inf),
        weights.Difference("z", 0, math.inf),
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
    [statistics] = weights.describe({"fc": [spoilt.reshape(2, -1)]})
    assert (statistics.layer, statistics.index, statistics.shape) == ("fc", 0, (2, 150002))
    assert (statistics.nans, statistics.infs) == (2, 2)
    assert abs(statistics.mean - values.astype(np.float64).mean()) < 1e-9
    assert abs(statistics.std - values.astype(np.float64).std()) < 1e-9
    assert (statistics.min, statistics.max) == (values.min(), values.max())


def test_statistics_of_nothing_are_nan():
    [empty, lost] = weights.describe({"a": arrays((0, 3)), "b": [np.full(2, np.nan)]})
    assert math.isnan(empty.mean) and math.isnan(empty.max) and empty.nans == 0
    assert math.isnan(lost.std) and lost.nans == 2
