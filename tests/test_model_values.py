"""Models with uncertain layers, with several inputs, as values, and from odd readme.md files."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
from model_folders import NET, refusal, say, tiny

from caffe_gradcam.commands.describing import describe
from caffe_gradcam.model.model import LoadedModel


@pytest.fixture
def folder(tmp_path):
    return tiny(tmp_path)


GATED = """
input: "data" input_shape { dim: 1 dim: 3 dim: 16 dim: 16 }
layer { name: "stem" type: "Convolution" bottom: "data" top: "stem"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "gate" type: "GatedMul" bottom: "stem" top: "gated" }
layer { name: "conv" type: "Convolution" bottom: "gated" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
        inner_product_param { num_output: 3 } }
"""
FULL_SHAPES = {"stem": (1, 4, 14, 14), "gated": (1, 4, 14, 14), "conv": (1, 4, 12, 12),
               "fc": (1, 3)}


@pytest.fixture
def gated(folder):
    """A net whose shapes are unknown from a layer of another Caffe on."""
    (folder / "deploy.prototxt").write_text(GATED)
    return folder


def test_where_shapes_end_is_told_and_the_layer_is_not_certain(gated):
    model = LoadedModel.load(gated)
    assert model.layers == ("stem",) and not model.layers_are_certain
    assert "the shapes of blobs are unknown from layer gate (GatedMul) on" in model.warnings[0]
    assert "the last blob of known shape" in model.origins["layers"]
    assert model.class_count is None


def test_shapes_that_an_engine_found_settle_the_layer(gated):
    model = LoadedModel.load(gated).with_shapes(FULL_SHAPES)
    assert model.layers == ("conv",) and model.layers_are_certain
    assert model.origins["layers"] == "found: the last blob with spatial extent before fc"
    assert model.class_count == 3


def test_a_layer_that_was_given_stays(gated):
    model = LoadedModel.load(gated, layers="gated")
    assert model.layers_are_certain and model.warnings == ()
    assert model.with_shapes(FULL_SHAPES).layers == ("gated",)


def test_shapes_that_do_not_matter_may_be_unknown(folder):
    text = (NET % 3).replace('bottom: "conv" top: "fc"', 'bottom: "rois" top: "fc"') + """
        layer { name: "propose" type: "Python" bottom: "conv" top: "boxes" }"""
    text = text.replace('layer { name: "fc"', """
        layer { name: "propose" type: "Python" bottom: "conv" top: "boxes" }
        layer { name: "pool" type: "ROIPooling" bottom: "conv" bottom: "boxes" top: "rois"
                roi_pooling_param { pooled_h: 2 pooled_w: 2 } }
        layer { name: "fc\"""", 1)
    (folder / "deploy.prototxt").write_text(text)
    model = LoadedModel.load(folder)
    assert model.layers == ("conv",) and model.layers_are_certain and model.warnings == ()


def test_without_any_known_spatial_blob_a_layer_is_asked_for(folder):
    (folder / "deploy.prototxt").write_text(GATED.replace('"Convolution" bottom: "data"',
                                                          '"Strange" bottom: "data"'))
    assert "unknown from layer stem (Strange) on" in refusal(folder)
    assert LoadedModel.load(folder, layers="conv").layers == ("conv",)


TWO_INPUTS = """
input: "left" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
input: "right" input_shape { dim: 1 dim: 1 dim: 6 dim: 6 }
layer { name: "a" type: "Convolution" bottom: "left" top: "a"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "b" type: "Convolution" bottom: "right" top: "b"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "fa" type: "InnerProduct" bottom: "a" top: "fa"
        inner_product_param { num_output: 3 } }
layer { name: "fb" type: "InnerProduct" bottom: "b" top: "fb"
        inner_product_param { num_output: 3 } }
layer { name: "sum" type: "Eltwise" bottom: "fa" bottom: "fb" top: "sum" }
"""


@pytest.fixture
def pair(folder):
    (folder / "deploy.prototxt").write_text(TWO_INPUTS)
    return folder


def test_each_input_may_have_its_own_preprocessing(pair):
    say(pair, """\
inputs:
  left: {channel_order: RGB, mean: [1, 2, 3]}
  right: {mean: none, scale: 0.5}""")
    model = LoadedModel.load(pair)
    left, right = model.inputs["left"], model.inputs["right"]
    assert (left.channel_order, left.mean.tolist(), left.scale) == ("RGB", [1, 2, 3], 1.0)
    assert (right.channel_order, right.mean, right.scale) == ("GRAY", None, 0.5)
    assert (left.size, right.size) == ((8, 8), (6, 6))
    assert model.origins["channel_order"] == "readme.md"
    assert model.origins["right.channel_order"] == "found: 1 channel"
    assert model.layers == ("a", "b")


def test_fields_for_all_inputs_go_to_each(pair):
    say(pair, "inputs: {mean: 7, scale: 2}")
    model = LoadedModel.load(pair)
    assert [(entry.mean.tolist(), entry.scale) for entry in model.inputs.values()] == [
        ([7], 2.0)] * 2
    assert model.origins["mean"] == model.origins["right.mean"] == "readme.md"


@pytest.mark.parametrize("gradcam, words", [
    ("inputs: {lfet: {mean: 1}}", "unknown key gradcam.inputs.lfet; did you mean left?"),
    ("inputs: {left: {maen: 1}}", "unknown key gradcam.inputs.left.maen; did you mean mean?"),
    ("inputs: {left: {mean: 1}, scale: 2}", "unknown key gradcam.inputs.left"),
])
def test_mistakes_in_the_fields_of_one_input_are_named(pair, gradcam, words):
    assert words in refusal(say(pair, gradcam))


def test_keys_of_the_first_version_are_read_with_one_warning(folder):
    say(folder, "input: {mean: [1, 2, 3]}\ntarget: conv")
    model = LoadedModel.load(folder)
    assert model.preprocessing.mean.tolist() == [1, 2, 3] and model.layers == ("conv",)
    assert model.warnings == (f"{folder / 'readme.md'}: gradcam uses keys of an older version; "
                              "rename input to inputs and target to layer",)
    say(folder, "target: conv\nlayer: conv")
    assert "has both an old and a new key; rename target to layer" in refusal(folder)


@pytest.mark.parametrize("keyword, words", [
    ("means", "Model.load has no keyword 'means'; did you mean 'mean'?"),
    ("layer", "Model.load has no keyword 'layer'; did you mean 'layers'?"),
    ("zzz", "Model.load has no keyword 'zzz'; known are weights, size, channel_order"),
])
def test_an_unknown_keyword_is_refused_with_a_near_name(folder, keyword, words):
    assert words in refusal(folder, **{keyword: 1})


@pytest.mark.parametrize("keywords, field, value", [
    ({"mean": 128}, "mean", [128]), ({"mean": [128]}, "mean", [128]),
    ({"mean": np.float32([1, 2, 3])}, "mean", [1, 2, 3]),
    ({"mean": (1.5, 2, 3)}, "mean", [1.5, 2, 3]),
    ({"mean": np.zeros((3, 1, 1))}, "mean", [[[0]]] * 3),
    ({"size": (16, 16)}, "size", (16, 16)), ({"size": 16}, "size", (16, 16)),
    ({"size": np.int64(16)}, "size", (16, 16)),
    ({"scale": 0.5}, "scale", 0.5), ({"crop": (8, 6), "resize": (9, 9)}, "crop", (8, 6)),
    ({"resize": "none", "crop": "none"}, "resize", None),
])
def test_values_of_python_are_taken(folder, keywords, field, value):
    found = getattr(LoadedModel.load(folder, **keywords).preprocessing, field)
    assert (found.tolist() if isinstance(found, np.ndarray) else found) == value


def test_labels_may_be_given_as_names(folder):
    model = LoadedModel.load(folder, labels=["red", "green", "blue"])
    assert model.class_names == ("red", "green", "blue") and model.find_class("green") == 1
    assert model.origins["labels"] == "command line"
    assert "2 labels for 3 classes" in LoadedModel.load(folder, labels=["a", "b"]).warnings[0]


@pytest.mark.parametrize("key", ["labels: ", "inputs: {mean: "])
@pytest.mark.parametrize("name", ["/etc/secret.npy", "../secret.npy", "a/../../secret.npy"])
def test_a_readme_names_files_of_its_own_folder_only(folder, key, name):
    line = key + name + ("}" if "{" in key else "")
    assert "must name a file in the model's folder" in refusal(say(folder, line))


def test_a_model_is_a_value_with_identity(folder):
    model, other = LoadedModel.load(folder), LoadedModel.load(folder)
    assert model != other and model == model and len({model, other}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.score = "other"


def test_a_models_repr_is_one_line(folder):
    assert repr(LoadedModel.load(folder)) == (
        "<LoadedModel 'tiny': data 8x6 BGR -> fc (3 classes), layer conv>")


@pytest.mark.parametrize("again", [
    copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_model_pickles(folder, again):
    model = LoadedModel.load(folder, mean="1,2,3")
    twin = again(model)
    assert twin.preprocessing.mean.tolist() == [1, 2, 3]
    assert (twin.shapes, twin.layers, twin.prototxt) == (
        model.shapes, model.layers, model.prototxt)
    assert [layer.name for layer in twin.graph.net.layers] == ["data", "conv", "relu", "fc", "prob"]
    assert twin.with_layers(["conv"]).layers == ("conv",)


def test_the_table_of_a_model_has_what_differs_between_inputs(pair):
    say(pair, """\
inputs:
  left: {mean: 7, channel_order: RGB}
  right: {mean: none}""")
    lines = describe(LoadedModel.load(pair)).splitlines()
    assert [line.split() for line in lines[1:8]] == [
        ["weights", str(pair / "tiny.caffemodel"), "readme.md"],
        ["left.size", "8x8", "found:", "the", "net's", "inputs"],
        ["right.size", "6x6", "found:", "the", "net's", "inputs"],
        ["left.channel-order", "RGB", "readme.md"],
        ["right.channel-order", "GRAY", "found:", "1", "channel"],
        ["left.mean", "7", "readme.md"], ["right.mean", "none", "readme.md"]]
    assert [line.split()[:2] for line in lines if "scale" in line] == [["scale", "1"]]


LAUGHS = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 8)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij"))


@pytest.mark.parametrize("front, words", [
    (LAUGHS + "gradcam: {inputs: {mean: *j}}\n", "aliases are not supported"),
    ("gradcam: {inputs: {mean: 1" + "0" * 400 + "}}\n", "mean must be numbers"),
    ("gradcam: {inputs: {mean: " + "[" * 40 + "]" * 40 + "}}\n", "mean must be numbers"),
    ("gradcam: " + "[" * 9000 + "\n", "more than 50 deep"),
    ("x: 2020-99-99\n", "the front matter"),
    ("x: " + "y" * (1 << 20) + "\n", "more than the 1048576 that are read"),
])
def test_a_readme_made_to_do_harm_is_refused_in_a_short_sentence(folder, front, words):
    (folder / "readme.md").write_text(f"---\n{front}---\n")
    message = refusal(folder)
    assert words in message and len(message) < 400


def test_a_name_may_be_whatever_yaml_makes_of_it(folder):
    (folder / "readme.md").write_text("---\nname: 2020-01-02\n---\n")
    assert LoadedModel.load(folder).name == "2020-01-02"
