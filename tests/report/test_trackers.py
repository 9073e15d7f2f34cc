"""What tools that follow experiments read of a batch."""

import sys

import pytest
from outputs import pets

from caffe_gradcam.report import trackers
from caffe_gradcam.report.output import Output
from prototxt_tools.errors import InputError

pytest.importorskip("jinja2", reason="jinja2 is not installed here")


def test_tensorboard_reads_scalars_and_overlays(tmp_path, torch):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator",
                                 reason="TensorBoard is not installed here")
    trackers.log_tensorboard(Output(str(pets(tmp_path))), str(tmp_path / "logs"), step=7, most=2)
    events = reader.EventAccumulator(str(tmp_path / "logs")).Reload()
    accuracy, = events.Scalars("accuracy")
    assert (accuracy.step, accuracy.value) == (7, pytest.approx(2 / 3))
    assert events.Scalars("images/unreadable")[0].value == 1
    assert sorted(events.Tags()["images"]) == ["overlays/0000.png", "overlays/0001.png"]
    picture, = events.Images("overlays/0000.png")
    assert (picture.width, picture.height) == (80, 60)


def test_mlflow_reads_metrics_parameters_and_the_report(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed here")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    with mlflow.start_run() as run:
        trackers.log_mlflow(Output(str(pets(tmp_path))), step=3)
    client = mlflow.MlflowClient()
    logged = client.get_run(run.info.run_id).data
    assert logged.metrics["accuracy"] == pytest.approx(2 / 3)
    assert logged.params["prototxt_sha256"] == "a" * 64 and logged.params["model"] == "Pets"
    path = client.download_artifacts(run.info.run_id, "caffe-gradcam/report.html")
    with open(path, encoding="utf-8") as file:
        assert "What Pets looked at" in file.read()


@pytest.mark.parametrize("module, log", [
    ("torch.utils.tensorboard", lambda output: trackers.log_tensorboard(output, "logs")),
    ("mlflow", trackers.log_mlflow)])
def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch, module, log):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match="run: pip install"):
        log(Output(str(pets(tmp_path))))
