"""The main job on real weights and images: SqueezeNet v1.1 looks at a cat and a dog."""

import json
import pathlib

import numpy as np
import pytest

from caffe_gradcam.commands.cli import main

# Rows and columns of cat_dog.png (224 x 224), read off the image.
DOG_HEAD = (slice(8, 75), slice(78, 142))
CAT = (slice(118, 224), slice(42, 202))


@pytest.fixture(params=["caffe", "torch"])
def explain(request, shared, tmp_path, capsys):
    """Run the command line on each engine, where its library is; gives the report."""
    request.getfixturevalue(request.param)

    def run(*arguments):
        model = str(shared / "models" / "squeezenet_v1.1")
        code = main(["explain", model, "-o", str(tmp_path / "out"), "--engine", request.param,
                     "--npz", "--json"] + [str(argument) for argument in arguments])
        assert code == 0
        return json.loads(capsys.readouterr().out)["images"]

    return run


def heatmap_of(explanation):
    return np.load(explanation["npz"])["heatmap"]


def test_the_classes_are_those_of_real_caffe(explain, shared):
    images = explain(shared / "images" / "cat.jpg", shared / "images" / "cat_dog.png")
    fox, mastiff = [image["top"][0] for image in images]
    assert (fox["class"], fox["class_name"].split(",")[0]) == (278, "kit fox")
    assert (mastiff["class"], mastiff["class_name"].split(",")[0]) == (243, "bull mastiff")
    golden = np.load(str(pathlib.Path(__file__).parent / "golden" / "squeezenet.npz"))
    for image, name in zip(images, ("cat.jpg", "cat_dog.png")):
        powers = np.exp(golden["scores:" + name] - golden["scores:" + name].max())
        expected = powers.max() / powers.sum()
        assert image["top"][0]["probability"] == pytest.approx(expected, abs=1e-3)


def test_each_animal_explains_its_own_class(explain, shared):
    image = explain(shared / "images" / "cat_dog.png", "--class", "243", "--class", "tiger cat")[0]
    dog, cat = image["explanations"]
    assert (dog["class"], cat["class"], dog["layer"]) == (243, 282, "fire9/concat")
    heat = heatmap_of(dog)
    assert heat.shape == (224, 224)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert DOG_HEAD[0].start <= row < DOG_HEAD[0].stop
    assert DOG_HEAD[1].start <= column < DOG_HEAD[1].stop


def test_the_map_of_the_cat_has_its_mass_on_the_cat(explain, shared):
    image = explain(shared / "images" / "cat_dog.png", "--class", "281", "--class", "243")[0]
    cat, dog = [heatmap_of(one) for one in image["explanations"]]
    area = np.zeros((224, 224), bool)
    area[CAT] = True
    assert area.mean() < 0.35
    assert cat[area].sum() / cat.sum() > 0.5
    assert dog[area].sum() / dog.sum() < 0.3
