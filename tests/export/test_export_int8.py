"""Graphs in int8 are written with a report of what that changes."""

import json
import logging
import subprocess
import sys

import numpy as np
import pytest

from caffe_gradcam.commands import cli
from caffe_gradcam.engines.onnx.session import RuntimeSession
from caffe_gradcam.export.change import Comparing, Spread


@pytest.fixture(scope="module")
def handler():
    """A user's handler of what NNCF logs."""
    pytest.importorskip("nncf", reason="NNCF is not installed here")
    handler = logging.NullHandler()
    logging.getLogger("nncf").addHandler(handler)
    yield handler
    logging.getLogger("nncf").removeHandler(handler)


@pytest.fixture(scope="module")
def digits(models, tmp_path_factory, handler):
    """The digits in int8: (certificate, graph, its path)."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed here")
    pytest.importorskip("torch", reason="torch is not installed here")
    path = tmp_path_factory.mktemp("int8") / "digits.onnx"
    code = cli.main(["export", str(models / "digits"), "-o", str(path), "--engine", "torch",
                     "--explain", "--with-preprocessing", "--precision", "int8",
                     "--calibrate", str(models / "digits" / "scenes"), "-q"])
    assert code == 0
    certificate = json.loads(path.with_suffix(".certificate.json").read_text())
    return certificate, onnx.load(str(path)), path


def test_the_certificate_tells_what_changed(digits):
    certificate, _, _ = digits
    change = certificate["int8"]
    assert change["pictures"] == 6 and change["outputs"]["class"]["best_class_changed"] <= 1
    assert 0 < change["outputs"]["score"]["relative_error"]["median"] < 0.2
    assert 0 < change["outputs"]["probability"]["largest_difference"] < 0.5
    assert 0.9 < change["outputs"]["cam"]["rank_correlation"]["worst"] < 1


def test_the_certificate_names_the_pictures_and_the_proven_graph(digits):
    certificate, _, _ = digits
    for pictures in ("calibrated_on", "compared_on"):
        assert {picture["file"] for picture in certificate["int8"][pictures]} == {
            "2-7.png", "3-4.png", "3-5.png", "6-1.png", "8-9.png", "9-0.png"}
    assert set(certificate["sha256"]) == {"prototxt", "weights", "graph", "fp32_graph"}
    assert certificate["result"] == "pass" and "nncf" in certificate["versions"]


def test_handlers_of_nncf_and_its_logger_keep_their_levels(digits, handler):
    assert handler.level == logging.NOTSET
    assert logging.getLogger("nncf").level == logging.INFO


def test_the_net_is_in_int8_and_what_explains_it_is_not(digits):
    _, graph, _ = digits
    writers = {name: node for node in graph.graph.node for name in node.output}
    in_int8 = {node.name for node in graph.graph.node if any(
        name in writers and writers[name].op_type == "DequantizeLinear" for name in node.input)}
    assert "conv1" in in_int8
    assert not [name for name in in_int8 if name.startswith(("explain", "prepare_"))]


def test_the_graph_says_that_it_is_in_int8(digits):
    _, graph, _ = digits
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    assert json.loads(metadata["caffe_gradcam.precision"]) == "int8"
    assert "caffe_gradcam.labels" in metadata


def test_the_graph_still_reads_pictures_of_any_size(digits):
    _, _, path = digits
    session = RuntimeSession(path.read_bytes())
    picture = np.random.RandomState(0).randint(0, 256, (70, 50, 3)).astype(np.uint8)
    assert session.run({"image": picture}, ["cam"])["cam"].shape == (1, 24, 24)


def test_openvino_files_hold_what_was_compared_in_openvino(models, tmp_path, capsys):
    for library in ("nncf", "openvino", "torch"):
        pytest.importorskip(library, reason=f"{library} is not installed here")
    scenes = str(models / "digits" / "scenes" / "3-5.png")
    code = cli.main(["export", str(models / "digits"), "-o", str(tmp_path / "digits.xml"),
                     "--format", "openvino", "--engine", "torch", "--precision", "int8",
                     "--calibrate", scenes])
    assert code == 0
    assert "the best class of prob is another one for 0 of 1 images" in capsys.readouterr().out
    certificate = json.loads((tmp_path / "digits.certificate.json").read_text())
    assert certificate["int8"]["library"] == "openvino"
    assert "i8" in (tmp_path / "digits.xml").read_text()


@pytest.mark.parametrize("options, message", [
    (["--precision", "int8"], "name a folder of them with --calibrate"),
    (["--calibrate", "photos"], "--calibrate needs --precision int8"),
    (["--precision", "int8", "--calibrate", "missing.png"], "missing.png"),
    (["--precision", "int8", "--calibrate", "photos", "--fp16", "--format", "openvino"],
     "without --fp16"),
])
def test_what_is_refused(options, message, models, tmp_path, capsys):
    path = tmp_path / ("digits.xml" if "openvino" in options else "digits.onnx")
    assert cli.main(["export", str(models / "digits"), "-o", str(path), "--engine", "torch",
                     *options]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_nncf_the_message_says_what_to_install(models, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    code = cli.main(["export", str(models / "digits"), "-o", str(tmp_path / "digits.onnx"),
                     "--engine", "torch", "--precision", "int8",
                     "--calibrate", str(models / "digits" / "scenes")])
    assert code == 2
    assert "pip install 'caffe-gradcam[int8]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nncf_is_loaded_without_its_telemetry():
    code = ("import sys, types; from caffe_gradcam.engines.onnx import libraries\n"
            "sys.modules['nncf'] = types.ModuleType('nncf'); libraries.load('nncf')\n"
            "print(sys.modules['openvino_telemetry'])")
    assert subprocess.check_output([sys.executable, "-c", code]).decode().strip() == "None"


def outputs(scores, cam):
    scores = np.float32([scores])
    return {"score": scores, "class": np.argmax(scores, axis=1)[:, np.newaxis],
            "cam": np.float32([cam])}


def test_maps_of_different_classes_are_not_compared():
    pytest.importorskip("scipy", reason="SciPy is not installed here")
    comparing = Comparing(explains=True)
    comparing.add(outputs([3, 4], [[1, 2], [3, 4]]), outputs([3, 4], [[1, 2], [4, 3]]))
    comparing.add(outputs([0, 2], [[1, 2], [3, 4]]), outputs([2, 0], [[4, 3], [2, 1]]))
    change = comparing.change("onnxruntime", [], [{}, {}])
    assert change.changed == {"class": 1} and change.resized == {}
    assert change.correlations["cam"] == Spread(pytest.approx(0.8), pytest.approx(0.8))
    assert change.errors["score"].worst == pytest.approx(2 ** 0.5)
    assert change.errors["cam"].worst == pytest.approx(2 ** 0.5 / 30 ** 0.5)
    assert change.differences == {"score": 2, "cam": 1}


def test_constant_maps_have_no_ranks():
    pytest.importorskip("scipy", reason="SciPy is not installed here")
    comparing = Comparing(explains=True)
    comparing.add(outputs([3, 4], [[0, 0]]), outputs([3, 4], [[0, 0]]))
    assert comparing.change("onnxruntime", [], [{}]).correlations == {}


def test_each_head_has_a_best_class_of_its_own():
    comparing = Comparing(explains=False)
    comparing.add({"a": np.float32([[1, 2]]), "b": np.float32([[[[1]], [[2]]]])},
                  {"a": np.float32([[1, 2]]), "b": np.float32([[[[2]], [[1]]]])})
    change = comparing.change("onnxruntime", [], [{}])
    assert change.changed == {"a": 0, "b": 1}
    assert change.sentences()[1] == "the best class of b is another one for 1 of 1 images"


def test_lists_of_another_length_are_counted():
    comparing = Comparing(explains=False)
    comparing.add({"detections": np.ones((1, 1, 3, 7))}, {"detections": np.ones((1, 1, 2, 7))})
    comparing.add({"detections": np.ones((1, 1, 3, 7))}, {"detections": np.ones((1, 1, 3, 7))})
    change = comparing.change("onnxruntime", [], [{}, {}])
    assert change.resized == {"detections": 1} and change.errors == {"detections": Spread(0, 0)}
    json.dumps(change.to_dict(), allow_nan=False)


def test_a_net_without_a_score_per_class_has_no_best_class():
    comparing = Comparing(explains=False)
    comparing.add({"map": np.ones((1, 2, 3, 3))}, {"map": np.ones((1, 2, 3, 3))})
    change = comparing.change("onnxruntime", [], [{}])
    assert change.changed == {} and change.errors == {"map": Spread(0, 0)}


def test_a_picture_that_cannot_be_read_is_named(models, tmp_path, capsys):
    pytest.importorskip("nncf", reason="NNCF is not installed here")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    code = cli.main(["export", str(models / "digits"), "-o", str(tmp_path / "digits.onnx"),
                     "--engine", "torch", "--precision", "int8", "--calibrate", str(broken)])
    assert code == 2
    assert "broken.png" in capsys.readouterr().err
    assert not (tmp_path / "digits.onnx").exists()


def test_other_commands_name_the_one_that_has_int8(models, tmp_path, capsys):
    assert cli.main(["explain", str(models / "digits"), "3.png", "-o", str(tmp_path),
                     "--precision", "int8"]) == 2
    assert "caffe-gradcam export --precision int8" in capsys.readouterr().err
