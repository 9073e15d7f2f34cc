"""Masks, parts and removal: read from a file, measured of maps whose numbers follow by hand."""

import json

import cv2
import numpy as np
import pytest
from fake_engine import FakeEngine, write_model

from caffe_gradcam.commands import cli
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.measuring.bench import Bench
from caffe_gradcam.measuring.measurement import Settings
from caffe_gradcam.measuring.scene_objects import (
    Part,
    SceneObject,
    objects_of,
    read_object_files,
)
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import InputError, Outcome

BLUE, GREEN = 0, 1


def squares(blue=200, green=0):
    """An 8 x 8 picture, blue in its upper left quarter, green in its lower right one."""
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4, :4, 0], picture[4:, 4:, 1] = blue, green
    return picture


def mask_of(rows, columns):
    mask = np.zeros((8, 8), bool)
    mask[rows, columns] = True
    return mask


UPPER_LEFT, LOWER_RIGHT = mask_of(slice(4), slice(4)), mask_of(slice(4, 8), slice(4, 8))


def scene_objects():
    """The two squares of ``squares(200, 100)``; the blue one has an upper and a lower part."""
    upper, lower = squares(200, 100), squares(200, 100)
    upper[:2, :4], lower[2:4, :4] = 0, 0
    parts = (Part(mask_of(slice(2), slice(4)), upper),
             Part(mask_of(slice(2, 4), slice(4)), lower),
             Part(LOWER_RIGHT, squares(200, 0)))
    return [SceneObject(BLUE, Part(UPPER_LEFT, squares(0, 100)), parts),
            SceneObject(GREEN, Part(LOWER_RIGHT, squares(200, 0)))]


@pytest.fixture
def bench(tmp_path):
    """A function that makes a bench of the colour model, for some metrics."""
    model = LoadedModel.load(write_model(tmp_path / "model"))

    def make(*metrics):
        explainer = Explainer(model, FakeEngine(), Explaining(placement="stretch"))
        return Bench(explainer, Settings(metrics=metrics))
    return make


def measure(bench, objects, picture=None):
    picture = squares(200, 100) if picture is None else picture
    outcome, = bench.measure(["a.png"], [Outcome(picture)], [BLUE], [{}], [objects])
    return {measurement.method: measurement.values for measurement in outcome.unwrap()}


def test_the_heat_on_the_objects_of_the_class_is_measured(bench):
    values = measure(bench("objects"), scene_objects())["grad-cam"]
    assert values["mass"] > 0.5 and values["rank"] > 0.7


def test_an_image_without_objects_of_the_class_has_no_number(bench):
    assert "mass" not in measure(bench("objects"), scene_objects()[1:])["grad-cam"]


def test_the_cause_is_the_square_without_which_the_probability_falls(bench):
    numbers = measure(bench("removal"), scene_objects())
    assert numbers["grad-cam"]["cause"] == 1
    assert numbers["grad-cam"]["parts"] > 0.8
    assert set(numbers["random"]) == {"cause", "parts"}


def test_without_images_without_the_objects_nothing_is_said_of_causes(bench):
    objects = [SceneObject(BLUE, Part(UPPER_LEFT)), SceneObject(GREEN, Part(LOWER_RIGHT))]
    assert measure(bench("removal"), objects)["grad-cam"] == {}


def test_a_mask_of_another_size_than_the_image_is_refused(bench):
    objects = [SceneObject(BLUE, Part(np.ones((4, 4), bool)))]
    with pytest.raises(InputError, match="a mask is 4 x 4 pixels large and the image 8 x 8"):
        measure(bench("objects"), objects)


def test_the_map_of_another_class_and_adcc_and_faithfulness_have_their_columns(bench):
    numbers = measure(bench("complexity", "logit", "adcc", "faithfulness"), [])
    assert set(numbers["grad-cam"]) == {
        "sparse", "logit", "adcc", "drop", "increase", "estimate", "faithful"}
    assert set(numbers["centre"]) == {"sparse", "drop", "increase", "estimate", "faithful"}
    assert numbers["grad-cam"]["logit"] < 1 and 0 < numbers["grad-cam"]["adcc"] < 1
    assert numbers["grad-cam"]["estimate"] > numbers["centre"]["estimate"]


@pytest.fixture
def truth(tmp_path):
    """A function that writes an image and a file of its objects, and returns the file's path."""
    cv2.imwrite(str(tmp_path / "a.png"), squares(200, 100))
    cv2.imwrite(str(tmp_path / "blue.png"), UPPER_LEFT.astype(np.uint8) * 255)
    cv2.imwrite(str(tmp_path / "no-blue.png"), squares(0, 100))

    def write(*entries):
        path = tmp_path / "objects.json"
        path.write_text(json.dumps({"a.png": entries}))
        return str(path)
    return write


def find_class(text):
    return {"blue": BLUE}[text]


def test_masks_and_images_without_objects_are_read_beside_the_file(truth):
    path = truth({"class": "blue", "mask": "blue.png", "without": "no-blue.png",
                  "parts": [{"mask": "blue.png"}]})
    files, = objects_of("elsewhere/a.png", read_object_files(path, find_class))
    scene_object = files.read()
    assert scene_object.class_index == BLUE
    assert np.array_equal(scene_object.whole.mask, UPPER_LEFT)
    assert np.array_equal(scene_object.whole.without, squares(0, 100))
    assert scene_object.parts[0].without is None


@pytest.mark.parametrize("entry, message", [
    ({"mask": "blue.png"}, "must be a list of objects"),
    ({"class": "blue"}, 'needs "mask"'),
    ({"class": "blue", "mask": "../blue.png"}, "must lie in the folder"),
    ({"class": "blue", "mask": "/etc/blue.png"}, "must lie in the folder"),
    ({"class": "blue", "mask": "blue.png", "parts": [3]}, 'needs "mask"'),
])
def test_an_entry_that_is_no_object_is_refused(truth, entry, message):
    with pytest.raises(InputError, match=message):
        read_object_files(truth(entry), find_class)


@pytest.mark.parametrize("text, message", [
    ("[" * 100000, "not a JSON file"), ("{}", "holds no objects"),
    ('{"a.png": []}', "holds no objects"), ("[1]", "must hold a JSON object")])
def test_a_file_without_objects_is_refused(tmp_path, text, message):
    (tmp_path / "objects.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_object_files(str(tmp_path / "objects.json"), find_class)


def test_a_black_mask_marks_no_object(truth, tmp_path):
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((8, 8), np.uint8))
    files, = read_object_files(truth({"class": "blue", "mask": "black.png"}),
                               find_class)["a.png"]
    with pytest.raises(InputError, match="the mask is black everywhere"):
        files.read()


def run(*arguments):
    return cli.main(["evaluate"] + [str(argument) for argument in arguments])


def test_objects_need_their_file(models, truth, tmp_path, capsys):
    assert run(models / "digits", tmp_path / "a.png", "--metrics", "removal") == 2
    assert "need --objects" in capsys.readouterr().err


def test_the_command_measures_the_scenes_of_a_file_of_objects(models, tmp_path, torch, capsys):
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    import digit_objects

    kinds = digit_objects.write(digit_objects.true_scenes(3), tmp_path / "truth")
    assert list(kinds.values()) == list(digit_objects.KINDS)
    assert run(models / "digits", tmp_path / "truth" / "scenes", "--objects",
               tmp_path / "truth" / "objects.json", "--method", "grad-cam", "--layer",
               "branches/concat", "--metrics", "objects,removal", "--engine", "torch",
               "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["columns"]) == ["mass", "rank", "cause", "parts"]
    cells = report["rows"][0]["cells"]
    assert cells["mass"]["count"] == 6 and cells["mass"]["mean"] > 0.2


def test_the_digits_of_a_scene_are_removed_one_by_one():
    pytest.importorskip("sklearn", reason="the digits come from scikit-learn")
    import digit_objects

    for scene in digit_objects.true_scenes(6):
        for item in scene.objects:
            changed = item.whole.without != scene.image
            x, y, width, height = item.box
            assert changed[item.whole.mask].mean() > 0.9
            changed[y:y + height, x:x + width] = False
            assert not changed.any()
            assert 2 <= len(item.parts) <= 4
        first, second = (item.whole.mask for item in scene.objects)
        assert scene.kind == "overlapping" or not (first & second).any()
