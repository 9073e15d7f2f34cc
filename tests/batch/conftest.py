"""What tests of batch share."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from fake_engine import write_model  # noqa: E402


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The model folder of the fake engine; all nets that batches start are that engine."""
    import faulty

    from caffe_gradcam.engines import opening
    from caffe_gradcam.processes import child

    monkeypatch.setattr(child, "_PROGRAM", faulty.PROGRAM)
    monkeypatch.setattr(opening, "is_installed", lambda library: True)
    return write_model(tmp_path / "model")


@pytest.fixture(params=["parquet", "npz"])
def written_as(request, monkeypatch):
    """Both forms of parts, one after the other."""
    if request.param == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed here")
    else:
        monkeypatch.setattr("caffe_gradcam.batch.output.parts.preferred_format", lambda: "npz")
    return request.param
