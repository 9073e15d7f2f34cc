"""Model folders: what is said in them, found in them, and assumed."""

import copy
import dataclasses
import hashlib
import pickle

import numpy as np
import pytest

from caffe_gradcam.commands.describing import describe
from caffe_gradcam.model import labels
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import InputError
from prototxt_tools.net import schema

NET = """
name: "tiny"
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: %d dim: 8 dim: 6 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
        inner_product_param { num_output: 3 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
TRAINING = """
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN } }
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST }
        transform_param { %s } data_param { source: "x" batch_size: 1 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 2 } }
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deploy.prototxt").write_text(NET % 3)
    (tmp_path / "tiny.caffemodel").write_bytes(b"weights")
    return tmp_path


def say(folder, gradcam, front="caffemodel: tiny.caffemodel\n"):
    section = "".join(f"  {line}\n" for line in gradcam.splitlines())
    text = f"---\n{front}gradcam:\n{section}---\nProse.\n"
    (folder / "readme.md").write_text(text)
    return folder


def write_binaryproto(path, mean):
    blob = schema.new("BlobProto")
    blob.num, (blob.channels, blob.height, blob.width) = 1, mean.shape
    blob.data.extend(mean.ravel().tolist())
    path.write_bytes(blob.SerializeToString())


def values(preprocessing):
    """All but the mean."""
    return (preprocessing.size, preprocessing.channel_order, preprocessing.scale,
            preprocessing.resize, preprocessing.crop, preprocessing.crops)


def refusal(*arguments, **overrides):
    with pytest.raises(InputError) as caught:
        LoadedModel.load(*arguments, **overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_everything_has_a_default_and_says_where_it_comes_from(folder):
    model = LoadedModel.load(folder)
    assert model.name == "tiny"
    assert (model.input, model.score, model.link, model.layers) == (
        "data", "fc", "softmax", ("conv",)
    )
    assert model.preprocessing.size == model.preprocessing.resize == (8, 6)
    assert model.preprocessing.mean.tolist() == [104, 117, 123]
    assert (model.preprocessing.channel_order, model.preprocessing.scale) == ("BGR", 1.0)
    assert model.origins == {
        "weights": "found: the only weights in the folder",
        "score": "found: Softmax prob reads it",
        "size": "found: the net's input",
        "layers": "found: the last blob with spatial extent before fc",
        "channel_order": "found: 3 channels",
        "mean": "assumed: BVLC's for ImageNet",
        "scale": "assumed: values from 0 to 255",
        "resize": "assumed: the whole image, warped",
        "crop": "assumed: nothing cut off",
        "crops": "assumed: the middle",
        "value_range": "assumed: by the kind of image",
        "labels": "found: none",
    }


def test_a_net_without_a_name_is_called_like_its_folder(folder):
    (folder / "deploy.prototxt").write_text((NET % 3).replace('name: "tiny"', ""))
    assert LoadedModel.load(folder).name == folder.name


def test_a_grey_net_gets_grey_images_and_no_mean(folder):
    (folder / "deploy.prototxt").write_text(NET % 1)
    preprocessing = LoadedModel.load(folder).preprocessing
    assert (preprocessing.channel_order, preprocessing.mean) == ("GRAY", None)


def test_a_bare_prototxt_works_with_weights(folder, tmp_path):
    weights = tmp_path / "elsewhere.caffemodel"
    weights.write_bytes(b"")
    model = LoadedModel.load(folder / "deploy.prototxt", weights)
    assert (model.score, model.weights) == ("fc", str(weights))
    assert model.origins["weights"] == "command line"


def test_the_front_matter_goes_before_what_is_found(folder):
    say(folder, """\
inputs: {channel_order: RGB, mean: [1, 2, 3], scale: 1e-2, resize: [10, 9], crop: [8, 6]}
score: fc
layer: conv
labels: names.txt""", "name: Tiny net\ncaffemodel: tiny.caffemodel\n")
    (folder / "names.txt").write_text("a\nb\nc\n")
    model = LoadedModel.load(folder)
    assert model.name == "Tiny net"
    assert model.preprocessing.mean.tolist() == [1, 2, 3]
    assert values(model.preprocessing) == ((8, 6), "RGB", 0.01, (10, 9), (8, 6), 1)
    assert model.class_names == ("a", "b", "c")
    found = {name for name, origin in model.origins.items() if origin != "readme.md"}
    assert found == {"size", "crops", "value_range"}


def test_overrides_go_before_the_front_matter(folder):
    say(folder, "inputs: {mean: [1, 2, 3], scale: 2.0}")
    model = LoadedModel.load(folder, mean="5", scale="0.5", channel_order="rgb", resize="16",
                             crop="8x6")
    assert model.preprocessing.mean.tolist() == [5]
    assert values(model.preprocessing) == ((8, 6), "RGB", 0.5, 16, (8, 6), 1)
    assert model.origins["mean"] == "command line"


def test_none_on_the_command_line_means_none(folder):
    say(folder, "inputs: {mean: [1, 2, 3], crop: 8x6, resize: 9x9}")
    preprocessing = LoadedModel.load(folder, mean="none", crop="none", resize="8x6").preprocessing
    assert (preprocessing.mean, preprocessing.crop) == (None, None)


def test_a_larger_resize_is_followed_by_a_crop_of_the_nets_size(folder):
    preprocessing = LoadedModel.load(folder, resize="12").preprocessing
    assert (preprocessing.resize, preprocessing.crop) == (12, (8, 6))


def test_another_input_size_changes_the_shapes(folder):
    model = LoadedModel.load(folder, size="16x16")
    assert model.preprocessing.size == (16, 16)
    assert model.shapes["conv"] == (1, 4, 14, 14)


def test_a_mean_file_in_the_folder_is_used(folder):
    write_binaryproto(folder / "cifar_mean.binaryproto", np.arange(9.0).reshape(3, 1, 3))
    model = LoadedModel.load(folder)
    assert model.preprocessing.mean.tolist() == [[[0, 1, 2]], [[3, 4, 5]], [[6, 7, 8]]]
    assert model.origins["mean"] == "found: cifar_mean.binaryproto"


def test_a_mean_file_may_be_named(folder):
    np.save(str(folder / "m.npy"), np.float64([1, 2, 3]))
    say(folder, "inputs: {mean: m.npy}")
    assert LoadedModel.load(folder).preprocessing.mean.tolist() == [1, 2, 3]


def test_what_the_training_net_subtracts_goes_before_a_stray_mean_file(folder):
    write_binaryproto(folder / "mean.binaryproto", np.ones((3, 8, 6)))
    transform = "scale: 0.25 mean_value: 1 mean_value: 2 mean_value: 3"
    (folder / "train_val.prototxt").write_text(TRAINING % transform)
    model = LoadedModel.load(folder)
    assert model.preprocessing.mean.tolist() == [1, 2, 3]
    assert model.preprocessing.scale == 0.25
    assert model.origins["scale"] == model.origins["mean"] == "found: train_val.prototxt"


def test_a_training_net_without_a_mean_means_none(folder):
    (folder / "train_test.prototxt").write_text(TRAINING % "scale: 0.5")
    model = LoadedModel.load(folder)
    assert model.preprocessing.mean is None
    assert model.origins["mean"] == "found: train_test.prototxt subtracts none"


def test_the_training_nets_mean_file_is_looked_for_beside_it(folder):
    write_binaryproto(folder / "right.binaryproto", np.ones((3, 8, 6)))
    write_binaryproto(folder / "other_mean.binaryproto", np.zeros((3, 8, 6)))
    (folder / "train_val.prototxt").write_text(TRAINING % 'mean_file: "/far/right.binaryproto"')
    model = LoadedModel.load(folder)
    assert model.preprocessing.mean.min() == 1
    assert model.origins["mean"] == "found: right.binaryproto"


@pytest.mark.parametrize("content", [b"no mean", b"\x93NUMPY", b"\xff" * 40])
@pytest.mark.parametrize("name", ["mean.npy", "mean.binaryproto"])
def test_a_broken_mean_file_is_refused(folder, name, content):
    (folder / name).write_bytes(content)
    assert name in refusal(folder)


def test_a_mean_of_other_channels_is_refused(folder):
    assert "the mean has 2 channels, but the net's input has 3" in refusal(folder, mean="1,2")


def test_a_wrong_checksum_is_a_warning(folder):
    right = hashlib.sha1(b"weights").hexdigest()
    say(folder, "score: fc", f"caffemodel: tiny.caffemodel\nsha1: {right}\n")
    assert LoadedModel.load(folder).warnings == ()
    say(folder, "score: fc", "caffemodel: tiny.caffemodel\nsha1: {}\n".format("0" * 39 + "a"))
    assert "tiny.caffemodel: its SHA-1 is not the one" in LoadedModel.load(folder).warnings[0]


def test_missing_weights_say_where_to_get_them(folder):
    front = "caffemodel: big.caffemodel\ncaffemodel_url: http://example.org/big\n"
    assert "download it from http://example.org/big" in refusal(say(folder, "score: fc", front))


def test_several_weights_are_listed(folder):
    (folder / "later.caffemodel.h5").write_bytes(b"")
    message = refusal(folder)
    assert "later.caffemodel.h5, tiny.caffemodel" in message and "--weights" in message


def test_no_weights_and_no_net_are_refused(folder):
    (folder / "tiny.caffemodel").unlink()
    assert "holds no .caffemodel" in refusal(folder)
    (folder / "deploy.prototxt").unlink()
    assert "holds no deploy.prototxt" in refusal(folder)
    assert "no such model folder" in refusal(folder / "absent")


@pytest.mark.parametrize("gradcam, words", [
    ("scor: fc", "unknown key gradcam.scor; did you mean score?"),
    ("inputs: {chanel_order: RGB}", "did you mean channel_order?"),
    ("inputs: [1, 2]", "gradcam.inputs must consist of"),
    ("inputs: {channel_order: BRG}", "channel-order must be one of BGR, RGB, GRAY"),
    ("inputs: {channel_order: GRAY}", "GRAY has 1 channels, but the net's input has 3"),
    ("inputs: {scale: fast}", "scale must be a number"),
    ("inputs: {mean: [a, b]}", "mean must be numbers"),
    ("inputs: {mean: absent.npy}", "absent.npy: cannot be read: No such file"),
    ("inputs: {resize: [1, 2, 3]}", "resize must be HEIGHTxWIDTH"),
    ("inputs: {resize: 12, crop: 7}", "crop makes images of 7x7, but the net's input is 8x6"),
    ("inputs: {resize: 9x9, crop: null}", "resize makes images of 9x9"),
    ("labels: absent.txt", "absent.txt: cannot be read"),
    ("score: {a: b}", "score must be the name of a blob"),
    ("score: [", "readme.md:4: the front matter"),
])
def test_mistakes_in_the_front_matter_are_named(folder, gradcam, words):
    assert words in refusal(say(folder, gradcam))


def test_a_readme_without_front_matter_is_prose(folder):
    (folder / "readme.md").write_text("# Tiny\n---\nscore: nonsense\n---\n")
    assert LoadedModel.load(folder).score == "fc"


def test_a_layer_may_stand_for_the_blob_it_writes(folder):
    text = NET % 3
    for side in ("top", "bottom"):
        text = text.replace(side + ': "conv"', side + ': "maps"')
    (folder / "deploy.prototxt").write_text(text)
    assert LoadedModel.load(folder, layers=["conv"]).layers == ("maps",)


@pytest.mark.parametrize("overrides, words", [
    ({"layers": ["conf"]}, "no layer or blob 'conf'; near: conv"),
    ({"layers": ["fc"]}, "blob fc (3) has no spatial extent; the last before fc that has is conv"),
    ({"score": "prob"}, "prob holds what Softmax made of the scores; give --score fc"),
    ({"score": "data"}, "data is an input of the net"),
])
def test_blobs_that_cannot_serve_are_refused(folder, overrides, words):
    assert words in refusal(folder, **overrides)


def test_a_layer_behind_the_score_is_refused(folder):
    branch = 'layer { name: "side" type: "Pooling" bottom: "conv" top: "side" ' \
             "pooling_param { kernel_size: 2 } }"
    (folder / "deploy.prototxt").write_text(NET % 3 + branch)
    assert "score fc does not depend on blob side" in refusal(folder, layers=["side"])


def test_a_net_without_spatial_blobs_is_refused(folder):
    (folder / "deploy.prototxt").write_text("""
        input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 6
        layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
                inner_product_param { num_output: 3 } }""")
    assert "no blob with spatial extent before fc" in refusal(folder)


def test_a_training_net_of_unknown_size_is_refused(folder):
    (folder / "deploy.prototxt").write_text(TRAINING % "")
    assert "no file tells the size of its input" in refusal(folder)
    assert "give --size HEIGHTxWIDTH" in refusal(folder)


def test_several_heads_are_said(folder):
    head = 'layer { name: "%s" type: "InnerProduct" bottom: "conv" top: "%s" ' \
           "inner_product_param { num_output: 2 } }\n" \
           'layer { name: "p%s" type: "Softmax" bottom: "%s" top: "p%s" }\n'
    (folder / "deploy.prototxt").write_text(NET % 3 + head % (("second",) * 5))
    model = LoadedModel.load(folder)
    assert model.score == "second"
    assert "others: fc; choose with --score" in model.warnings[0]
    assert LoadedModel.load(folder, score="fc").warnings == ()


def test_labels_lose_their_wordnet_numbers(folder):
    (folder / "synset_words.txt").write_text(
        "n02119789 kit fox, Vulpes macrotis\nn02100735 English setter\nn02096294 terrier\n"
    )
    model = LoadedModel.load(folder)
    assert model.class_name(0) == "kit fox, Vulpes macrotis"
    assert model.class_name(3) is None
    assert model.warnings == ()


def test_labels_that_do_not_fit_are_a_warning(folder):
    (folder / "labels.txt").write_text("a\nb\n")
    assert "2 labels for 3 classes" in LoadedModel.load(folder).warnings[0]


KNOWN = ["tench, Tinca tinca", "tiger cat", "tiger, Panthera tigris", "cougar, Puma", "kit fox"]


@pytest.mark.parametrize("text, index", [
    ("3", 3), ("tiger cat", 1), ("Tiger", 2), ("panthera tigris", 2), ("fox", 4), ("tinca", 0),
])
def test_classes_are_found_by_number_label_name_and_part(text, index):
    assert labels.find(text, KNOWN, 5) == index


@pytest.mark.parametrize("text, words", [
    ("5", "no class 5; the net's classes are 0 to 4"),
    ("-1", "no class -1"),
    ("tig", "fits several labels: 1 (tiger cat), 2 (tiger, Panthera tigris)"),
    ("kit foks", "no class 'kit foks'; near: kit fox (4)"),
    ("zzz", "no class 'zzz' in the labels"),
])
def test_classes_that_are_not_found_are_refused_with_near_names(text, words):
    with pytest.raises(InputError) as caught:
        labels.find(text, KNOWN, 5)
    assert words in str(caught.value)


def test_without_labels_only_numbers_name_classes():
    assert labels.find("7", None, None) == 7
    with pytest.raises(InputError, match="the model has no labels"):
        labels.find("cat", None, 10)


def test_squeezenets_folder_says_it_all(shared):
    model = LoadedModel.load(shared / "models" / "squeezenet_v1.1")
    assert (model.score, model.link, model.layers) == ("pool10", "softmax", ("fire9/concat",))
    assert model.preprocessing.mean == pytest.approx([103.53, 116.28, 123.675])
    assert model.find_class("kit fox") == 278 and model.class_name(243) == "bull mastiff"
    assert "rename input to inputs and target to layer" in " ".join(model.warnings)


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
