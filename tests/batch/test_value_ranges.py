"""Images of 12 bits in a batch: explained as alone, and told of."""

import itertools

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("pyarrow")

from caffe_gradcam import Model  # noqa: E402
from caffe_gradcam.batch import explain_batch  # noqa: E402
from caffe_gradcam.batch.pipeline import lane  # noqa: E402


@pytest.fixture
def paths(tmp_path, models):
    """A scene of digits, stored with 12 bits in 16."""
    scene = cv2.imread(str(models / "digits" / "scenes" / "3-5.png"), 0)
    deep = np.round(scene / 255.0 * 4095).astype(np.uint16)
    paths = [str(tmp_path / f"{number}.png") for number in range(4)]
    for path in paths:
        cv2.imwrite(path, deep)
    return paths


def test_12_bits_are_explained_as_the_8_bit_image_and_told_of(
        paths, models, monkeypatch, caplog):
    monkeypatch.setattr(lane, "_numbers", itertools.count(1))
    with Model.load(models / "digits") as model:
        score = model.explain(models / "digits" / "scenes" / "3-5.png", 3,
                              engine="torch")[0].score
    caplog.clear()
    rows = explain_batch(paths, model=models / "digits", classes=3, engine="torch")
    assert [row["score"] for row in rows] == pytest.approx([score] * 4, abs=1e-4)
    messages = [record.getMessage() for record in caplog.records]
    assert sum("taken as 12 bits (0 to 4095)" in message for message in messages) == 3
    assert messages[-1] == "further warnings about images are not shown"


def test_a_range_that_is_given_goes_first_and_needs_no_warning(paths, models, caplog):
    rows = explain_batch(paths[:1], model=models / "digits", classes=3, engine="torch",
                         value_range=(0, 65535))
    dark = Model.load(models / "digits", value_range=(0, 65535))
    with dark:
        assert rows[0]["score"] == pytest.approx(
            dark.explain(paths[0], 3, engine="torch")[0].score, abs=1e-4)
    assert not [record for record in caplog.records if "12 bits" in record.getMessage()]
