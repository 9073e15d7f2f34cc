"""Batches in ONNX Runtime and OpenVINO, whose graphs make the maps themselves."""

import numpy as np
import pytest
from opened import GRAPH_LIBRARIES
from tables import table

from caffe_gradcam.batch.output.rows import to_explanation
from caffe_gradcam.commands.cli import main

pytest.importorskip("onnx", reason="onnx is not installed here")


def rows(models, folder, engine):
    digits = models / "digits"
    assert main(["batch", str(digits), str(digits / "scenes"), "-o", str(folder / engine), "-q",
                 "--engine", engine, "--class", "top:3", "--method", "grad-cam,layer-cam"]) == 0
    return table(folder / engine)


@pytest.mark.parametrize("engine", sorted(GRAPH_LIBRARIES))
def test_rows_are_those_of_torch(engine, models, tmp_path, torch):
    library = GRAPH_LIBRARIES[engine]
    pytest.importorskip(library, reason=f"{library} is not installed here")
    actual, expected = (rows(models, tmp_path, name) for name in (engine, "torch"))
    for column in ("path", "status", "predicted", "class", "method", "layer"):
        assert [row[column] for row in actual] == [row[column] for row in expected]
    for row, other in zip(actual, expected):
        assert row["score"] == pytest.approx(other["score"], abs=1e-5)
        cam, other_cam = (to_explanation(of).cam for of in (row, other))
        # Cells are kept in half precision.
        np.testing.assert_allclose(cam, other_cam, atol=2e-3 * np.abs(other_cam).max())
