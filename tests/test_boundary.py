"""Model.explain takes an image in any form that Python gives it, with one and the same result."""

import pathlib

import cv2
import numpy as np
import pytest

from caffe_gradcam.explaining.session import Model
from prototxt_tools.errors import ImageError

SCORE_OF_THREE = 3.663


@pytest.fixture(scope="module")
def model(torch, models):
    with Model.load(models / "digits") as digits:
        yield digits


@pytest.fixture(scope="module")
def path(models):
    return models / "digits" / "scenes" / "3-5.png"


FORMS = {
    "text": str,
    "path": pathlib.Path,
    "bytes": lambda path: path.read_bytes(),
    "array": lambda path: cv2.imread(str(path)),
    "grey array": lambda path: cv2.imread(str(path), cv2.IMREAD_GRAYSCALE),
    "grey array with an axis": lambda path: cv2.imread(str(path), 0)[:, :, np.newaxis],
    "transparent array": lambda path: np.dstack(
        [cv2.imread(str(path)), np.zeros((96, 96), np.uint8)]),
    "opaque array": lambda path: np.dstack(
        [cv2.imread(str(path)), np.full((96, 96), 255, np.uint8)]),
    "PIL image": lambda path: pytest.importorskip("PIL.Image").open(str(path)),
    "tensor": lambda path: pytest.importorskip("torch").from_numpy(cv2.imread(str(path))),
    "row": lambda path: {"image": cv2.imread(str(path)), "label": 3},
    "row of a data set": lambda path: {"image": {"bytes": path.read_bytes(), "path": None}},
    "generator": lambda path: (name for name in [str(path)]),
    "stack": lambda path: cv2.imread(str(path))[np.newaxis],
}


@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_form_of_an_image_has_the_same_explanation(model, path, form):
    expected = model.explain(path, engine="torch")[0]
    explanation, = model.explain(FORMS[form](path), engine="torch")
    assert explanation.class_index == 3
    assert explanation.score == pytest.approx(SCORE_OF_THREE, abs=1e-3)
    assert np.array_equal(explanation.cam, expected.cam)
    assert explanation.status == "ok"


@pytest.mark.parametrize("convert", [
    lambda image: image / 255.0, lambda image: np.float32(image), lambda image: np.int64(image),
    lambda image: np.uint16(image) * 257, lambda image: image.transpose(2, 0, 1),
])
def test_what_would_have_to_be_guessed_is_never_explained(model, path, convert):
    with pytest.raises(ImageError, match="convert with|put them last with"):
        model.explain(convert(cv2.imread(str(path))), engine="torch")


def test_pixels_from_0_to_1_of_a_kit_fox_are_not_a_nematode(torch, shared):
    image = cv2.imread(str(shared / "images" / "cat.jpg"))
    with Model.load(shared / "models" / "squeezenet_v1.1") as squeezenet:
        explanation, = squeezenet.explain(image, engine="torch")
        assert explanation.class_name == "kit fox, Vulpes macrotis"
        with pytest.raises(ImageError, match="with values from 0 to 1; images must be uint8"):
            squeezenet.explain(image.astype(np.float32) / 255, engine="torch")
