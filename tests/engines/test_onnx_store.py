"""Graphs of the engine on ONNX Runtime that are kept on disk."""

import os

import definitions
import numpy as np
import pytest
from opened import open_net

from caffe_gradcam.engines.onnx import graphs
from caffe_gradcam.engines.onnx.store import Store
from caffe_gradcam.model import user_folder

pytest.importorskip("onnx", reason="onnx is not installed here")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed here")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where graphs are kept; the program does not change meanwhile."""
    monkeypatch.setattr("caffe_gradcam.engines.onnx.identity._modules", lambda: [])
    monkeypatch.setenv(user_folder.VARIABLE, str(tmp_path / "kept"))
    return tmp_path / "kept" / "graphs"


@pytest.fixture
def translations(monkeypatch):
    """The nets that were translated."""
    nets, translate = [], graphs.translate
    monkeypatch.setattr(graphs, "translate", lambda net, *arguments, **options: (
        nets.append(net), translate(net, *arguments, **options))[1])
    return nets


@pytest.fixture
def explained(tmp_path):
    """A function that runs LeNet forwards and back, and gives all values."""
    text = definitions.lenet()
    caffemodel = definitions.write_model(tmp_path, text)[1]

    def run(targets=("conv2",), **running):
        with open_net("onnx", text, caffemodel, ["ip2"], targets, **running) as engine:
            images = definitions.random_input((2, 1, 28, 28))
            scores = engine.forward({"data": images}, ["ip2"])["ip2"]
            seed = np.ones_like(scores)
            return [scores, *engine.mean_gradients("ip2", seed, targets).values(),
                    *engine.backward("ip2", seed, targets).values()]
    return run


def assert_equal(values, others):
    assert len(values) == len(others)
    assert all((value == other).all() for value, other in zip(values, others))


def test_a_net_that_was_run_before_is_not_translated_again(explained, translations, folder):
    first = explained()
    assert len(translations) == 1 and list(folder.iterdir())
    assert_equal(explained(), first)
    assert len(translations) == 1


def test_another_question_or_other_weights_are_another_net(explained, translations, tmp_path):
    explained()
    explained(targets=("conv1",))
    assert len(translations) == 2
    definitions.write_model(tmp_path, definitions.lenet(), seed=5)
    explained()
    assert len(translations) == 3


def test_a_program_that_has_changed_does_not_use_what_it_kept_before(
        explained, translations, monkeypatch):
    explained()
    monkeypatch.setattr("caffe_gradcam.engines.onnx.identity._modules", lambda: ["changed"])
    explained()
    assert len(translations) == 2


@pytest.mark.parametrize("damage", [
    lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: data[:40], lambda data: b""])
def test_a_damaged_file_is_made_anew(damage, explained, translations, folder):
    first = explained()
    for path in folder.iterdir():
        path.write_bytes(damage(path.read_bytes()))
    assert_equal(explained(), first)
    assert len(translations) == 2
    assert_equal(explained(), first)
    assert len(translations) == 2


def test_a_file_under_the_name_of_another_is_not_used(tmp_path):
    store = Store(str(tmp_path))
    store.put("one", b"graph")
    store.put("other", b"another graph")
    one, other = sorted(tmp_path.iterdir())
    one.write_bytes(other.read_bytes())
    assert sorted([store.get("one") or b"", store.get("other") or b""])[0] == b""


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owner here")
def test_a_file_of_another_user_is_not_used(tmp_path, monkeypatch):
    store = Store(str(tmp_path))
    store.put("key", b"graph")
    assert store.get("key") == b"graph"
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert store.get("key") is None


def test_what_was_read_longest_ago_makes_room(tmp_path):
    store = Store(str(tmp_path), most=300)
    for key in "abc":
        store.put(key, bytes(50))
        for path in tmp_path.iterdir():
            os.utime(str(path), (path.stat().st_atime, path.stat().st_mtime - 10))
    store.get("a")
    store.put("d", bytes(50))
    assert [store.get(key) is None for key in "abcd"] == [False, True, False, False]


def test_what_is_too_large_is_not_kept(tmp_path):
    store = Store(str(tmp_path), most_each=100)
    store.put("key", bytes(80))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_changes_nothing(explained, folder):
    first = explained()
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_bytes(b"a file")
    assert_equal(explained(), first)


def test_nothing_is_kept_where_plugins_take_part(explained, folder):
    explained(plugins=("json",))
    assert not folder.exists()


def test_openvino_compiles_a_graph_once(tmp_path, folder, monkeypatch):
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed here")
    text = definitions.lenet()
    caffemodel = definitions.write_model(tmp_path, text)[1]
    images = definitions.random_input((2, 1, 28, 28))

    def scores():
        with open_net("openvino", text, caffemodel, ["ip2"], []) as engine:
            return engine.forward({"data": images}, ["ip2"])["ip2"]

    first = scores()
    monkeypatch.delattr(openvino.Core, "compile_model")
    assert_equal([scores()], [first])
