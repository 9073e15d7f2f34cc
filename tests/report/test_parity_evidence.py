"""Evidence compares the engine of a batch with another one."""

import hashlib
import json
import zipfile

import pytest

pytest.importorskip("jinja2", reason="jinja2 is not installed here")

from test_evidence import rewrite  # noqa: E402

from caffe_gradcam.commands import cli  # noqa: E402
from caffe_gradcam.report import evidence  # noqa: E402
from caffe_gradcam.report.evidence import parity  # noqa: E402
from prototxt_tools.errors import EngineMissing  # noqa: E402

MODEL = "models/digits"


@pytest.fixture(scope="module")
def out(tmp_path_factory, torch):
    """The output of a batch of six scenes, which torch explained."""
    folder = tmp_path_factory.mktemp("parity") / "out"
    assert cli.main(["batch", MODEL, MODEL + "/scenes", "-o", str(folder), "--engine", "torch",
                     "-q"]) == 0
    return folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory, out):
    """Its evidence, with ONNX Runtime as the reference."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed here")
    path = tmp_path_factory.mktemp("evidence") / "evidence.zip"
    assert cli.main(["evidence", str(out), "-o", str(path), "--reference", "onnx", "-q"]) == 0
    return path


def read(path, name):
    with zipfile.ZipFile(str(path)) as opened:
        return opened.read(name).decode()


def test_another_engine_gives_the_maps_of_the_batch(archive):
    values = json.loads(read(archive, "parity.json"))
    assert (values["engine"], values["reference"]["engine"]) == ("torch", "onnx")
    assert (values["images"], values["agreeing"], len(values["maps"])) == (6, 6, 6)
    assert all(entry["map_distance"] < 1e-3 and entry["score_distance"] < 1e-5
               for entry in values["maps"])
    assert "Of 6 maps, 6 agree" in read(archive, "README.txt")
    assert evidence.verify(str(archive)) == []


@pytest.mark.parametrize("change, problem", [
    (lambda values: values["maps"][0].update(id="other.png"),
     "parity.json: other.png is not an image of the batch"),
    (lambda values: values["maps"][0].update(map_distance=0.5),
     "'agrees' does not follow from the distances"),
    (lambda values: values.update(agreeing=5),
     "parity.json: the number of maps that agree is wrong"),
    (lambda values: values["maps"].append(None), "parity.json: an entry is damaged"),
    (lambda values: values.update(format=9), "parity.json: is not a comparison")])
def test_a_comparison_that_contradicts_itself_is_found(archive, tmp_path, change, problem):
    copy = tmp_path / "evidence.zip"
    copy.write_bytes(archive.read_bytes())
    old = read(copy, "parity.json").encode()
    values = json.loads(old.decode())
    change(values)
    new = json.dumps(values).encode()
    sums = [hashlib.sha256(data).hexdigest().encode() for data in (old, new)]
    rewrite(copy, lambda name, data: new if name == "parity.json" else data.replace(
        *sums) if name == "SHA256SUMS" else data)
    assert any(problem in text for text in evidence.verify(str(copy)))


def test_a_model_that_has_changed_is_not_compared(out, tmp_path, capsys):
    manifest = out / "manifest.json"
    text = manifest.read_text()
    digest = json.loads(text)["rows_depend_on"]["weights_sha256"]
    manifest.write_text(text.replace(digest, "0" * 64))
    try:
        path = tmp_path / "evidence.zip"
        assert cli.main(["evidence", str(out), "-o", str(path)]) == 0
    finally:
        manifest.write_text(text)
    assert "not compared with another one" in capsys.readouterr().err
    assert "the model has changed since the batch" in read(path, "README.txt")


def test_the_reference_is_caffe_or_an_independent_engine(monkeypatch):
    present = {"torch", "onnx", "openvino"}

    def resolve(kind):
        if kind not in present:
            raise EngineMissing("not here")
        return kind

    monkeypatch.setattr(parity, "resolve_engine", resolve)
    assert [parity.reference_for(kind) for kind in ("torch", "onnx", "openvino", "caffe")] == [
        "onnx", "torch", "torch", "torch"]
    present.add("caffe")
    assert [parity.reference_for(kind) for kind in ("torch", "onnx", "caffe")] == [
        "caffe", "caffe", "torch"]
    present.clear()
    with pytest.raises(EngineMissing, match="independent of onnx"):
        parity.reference_for("onnx")
