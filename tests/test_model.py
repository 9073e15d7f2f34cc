"""Model folders: what is said in them, found in them, and assumed."""

import hashlib

import numpy as np
import pytest
from model_folders import NET, TRAINING, refusal, say, tiny, values, write_binaryproto

from caffe_gradcam.model import labels
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import InputError


@pytest.fixture
def folder(tmp_path):
    return tiny(tmp_path)



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
    assert refusal("") == "'': no such model folder or prototxt"
    assert refusal(None) == "a model must be the path of a folder or a prototxt, not None"


@pytest.mark.parametrize("gradcam, words", [
    ("scor: fc", "unknown key gradcam.scor; did you mean score?"),
    ("inputs: {chanel_order: RGB}", "did you mean channel_order?"),
    ("inputs: [1, 2]", "gradcam.inputs must consist of"),
    ("inputs: {channel_order: BRG}", "channel-order must be one of BGR, RGB, GRAY"),
    ("inputs: {channel_order: GRAY}", "GRAY has 1 channels, but the net's input has 3"),
    ("inputs: {scale: fast}", "scale must be a number"),
    ("inputs: {mean: [a, b]}", "mean must be numbers"),
    ("inputs: {mean: absent.npy}", "absent.npy: no such file"),
    ("inputs: {resize: [1, 2, 3]}", "resize must be HEIGHTxWIDTH"),
    ("inputs: {resize: 12, crop: 7}", "crop makes images of 7x7, but the net's input is 8x6"),
    ("inputs: {resize: 9x9, crop: null}", "resize makes images of 9x9"),
    ("labels: absent.txt", "absent.txt: no such file"),
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
    assert "no file gives the size of its input" in refusal(folder)
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
