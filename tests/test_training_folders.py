"""Folders as trainings and DIGITS leave them: the files beside a net specify its preprocessing."""

import json
import tarfile

import numpy as np
import pytest

from caffe_gradcam.model import unpacked
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import InputError
from prototxt_tools.net import schema

BODY = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
        inner_product_param { num_output: 3 } }
"""
DEPLOY = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
""" + BODY + 'layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }\n'
TRAIN = """
name: "trained"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
        transform_param { %s } data_param { source: "x" batch_size: 64 } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
        transform_param { %s } data_param { source: "y" batch_size: 10 } }
""" + BODY + (
    'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "l" }\n')
MEAN = 'mean_file: "/somewhere/else/mean.binaryproto"'


@pytest.fixture
def folder(tmp_path):
    """A training folder without a deploy net."""
    folder = tmp_path / "mynet"
    folder.mkdir()
    (folder / "solver.prototxt").write_text('net: "train_val.prototxt"\n')
    (folder / "net_iter_9.caffemodel").write_bytes(b"")
    return folder


def train(folder, training="", testing=""):
    (folder / "train_val.prototxt").write_text(TRAIN % (training, testing))


def write_mean(folder, size, name="mean.binaryproto", channels=3):
    blob = schema.new("BlobProto")
    blob.num, blob.channels, blob.height, blob.width = 1, channels, size, size
    blob.data.extend([100.0] * (channels * size * size))
    (folder / name).write_bytes(blob.SerializeToString())


def refusal(*arguments, **overrides):
    with pytest.raises(InputError) as caught:
        LoadedModel.load(*arguments, **overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def warned(model, words):
    return any(words in warning for warning in model.warnings)


@pytest.mark.parametrize("training, testing", [
    ("crop_size: 8", "crop_size: 8"), ("crop_size: 8 mirror: true", ""), ("", "crop_size: 8"),
])
def test_a_training_net_is_deployed_in_memory_with_the_crop_size_of_either_phase(
        folder, training, testing):
    train(folder, training, testing)
    model = LoadedModel.load(folder)
    assert (model.preprocessing.size, model.score, model.link) == ((8, 8), "fc", "softmax")
    assert warned(model, "train_val.prototxt: a training net, turned into a deploy net in memory "
                         "with input data of 1x3x8x8")
    assert not (folder / "deploy.prototxt").exists()


def test_the_mean_image_gives_the_size_where_nothing_is_cropped(folder):
    train(folder, MEAN, MEAN)
    write_mean(folder, 12)
    model = LoadedModel.load(folder)
    assert model.preprocessing.size == model.preprocessing.resize == (12, 12)
    assert model.preprocessing.mean.shape == (3, 12, 12)


def test_a_size_that_is_given_goes_first(folder):
    train(folder)
    assert "give --size" in refusal(folder)
    assert LoadedModel.load(folder, size="10x9").preprocessing.size == (10, 9)


def test_the_weights_tell_how_many_channels_the_first_layer_reads(folder):
    train(folder)
    net = schema.new("NetParameter")
    layer = net.layer.add()
    layer.name = "conv"
    blob = layer.blobs.add()
    blob.shape.dim.extend([4, 1, 3, 3])
    blob.data.extend([0.0] * 36)
    (folder / "net_iter_9.caffemodel").write_bytes(net.SerializeToString())
    assert LoadedModel.load(folder, size=8).preprocessing.channel_order == "GRAY"


def test_images_are_resized_to_the_mean_image_and_cropped_as_in_training(folder):
    (folder / "deploy.prototxt").write_text(DEPLOY)
    train(folder, MEAN + " crop_size: 8", MEAN)
    write_mean(folder, 12)
    model = LoadedModel.load(folder)
    assert (model.preprocessing.resize, model.preprocessing.crop) == ((12, 12), (8, 8))
    assert model.origins["resize"] == "found: the size of mean.binaryproto"
    assert model.origins["crop"] == "found: train_val.prototxt"
    assert model.warnings == ()


def test_a_crop_of_images_whose_size_no_file_tells_is_a_warning(folder):
    (folder / "deploy.prototxt").write_text(DEPLOY)
    train(folder, "crop_size: 8 mean_value: 1 mean_value: 2 mean_value: 3")
    model = LoadedModel.load(folder)
    assert model.preprocessing.resize == (8, 8)
    assert warned(model, "crops images to 8x8, but no file gives their size before the crop")
    assert LoadedModel.load(folder, resize="12").warnings == ()


def test_a_crop_of_another_size_than_the_input_is_a_warning(folder):
    (folder / "deploy.prototxt").write_text(DEPLOY)
    train(folder, "crop_size: 7")
    assert warned(LoadedModel.load(folder), "crops images to 7x7, but the net's input is 8x8")


def test_a_mean_file_that_is_missing_is_named_with_what_is_assumed(folder):
    (folder / "deploy.prototxt").write_text(DEPLOY)
    train(folder, MEAN, MEAN)
    model = LoadedModel.load(folder)
    assert model.preprocessing.mean.tolist() == [104, 117, 123]
    assert warned(model, "train_val.prototxt names the mean file mean.binaryproto, which is "
                         "missing; BVLC's mean for ImageNet is assumed")
    assert LoadedModel.load(folder, mean="1,2,3").warnings == ()


def test_another_mean_file_in_the_place_of_a_missing_one_is_named(folder):
    (folder / "deploy.prototxt").write_text(DEPLOY)
    train(folder, MEAN, MEAN)
    write_mean(folder, 8, "my_mean.binaryproto")
    assert warned(LoadedModel.load(folder), "which is missing; my_mean.binaryproto is taken")


def test_a_mean_image_of_other_channels_or_smaller_than_the_input_is_not_taken_in_silence(folder):
    (folder / "deploy.prototxt").write_text(DEPLOY)
    write_mean(folder, 8, channels=1)
    assert "the mean has 1 channels, but the net's input has 3" in refusal(folder)
    write_mean(folder, 5)
    assert warned(LoadedModel.load(folder), "the mean image of 5x5 is smaller than")


def digits(folder, mode="squash", size=12, **more):
    (folder / "deploy.prototxt").write_text(DEPLOY)
    train(folder, MEAN + " crop_size: 8", MEAN + " crop_size: 8")
    write_mean(folder, 12)
    info = {"image dimensions": [size, size, 3], "image resize mode": mode,
            "snapshot file": "snapshot_iter_100.caffemodel", "labels file": "names.txt"}
    info.update(more)
    (folder / "info.json").write_text(json.dumps(info))
    (folder / "snapshot_iter_100.caffemodel").write_bytes(b"")
    (folder / "names.txt").write_text("cat\ndog\nbird\n")


def test_digits_info_gives_size_snapshot_and_labels(folder):
    digits(folder)
    model = LoadedModel.load(folder)
    assert (model.preprocessing.resize, model.preprocessing.crop) == ((12, 12), (8, 8))
    assert model.origins["resize"] == model.origins["weights"] == "found: info.json"
    assert model.weights.endswith("snapshot_iter_100.caffemodel")
    assert model.class_names == ("cat", "dog", "bird") and model.warnings == ()


@pytest.mark.parametrize("mode, size, resize, words", [
    ("crop", 12, 12, None), ("fill", 12, (12, 12), "mode 'fill'"),
    ("half_crop", 12, (12, 12), "mode 'half_crop', which is not known"),
])
def test_digits_modes_of_resizing(folder, mode, size, resize, words):
    digits(folder, mode, size)
    model = LoadedModel.load(folder)
    assert model.preprocessing.resize == resize
    assert model.warnings == () if words is None else warned(model, words)


@pytest.mark.parametrize("content", ["[" * 100000, "{", b"\xff\xfe\xff"])
def test_a_damaged_info_is_refused_in_one_sentence(folder, content):
    digits(folder)
    (folder / "info.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert "info.json: not JSON" in refusal(folder)


@pytest.mark.parametrize("value", [
    {"image dimensions": [1e99, -3, True]}, {"image dimensions": "big"}, {"labels file": 7},
    {"labels file": "../../etc/passwd"}, {"snapshot file": "/etc/passwd"},
])
def test_info_of_other_forms_is_passed_over_and_leads_nowhere_else(folder, value):
    (folder / "deploy.prototxt").write_text(DEPLOY)
    (folder / "info.json").write_text(json.dumps(value))
    model = LoadedModel.load(folder)
    assert model.class_names is None and model.weights.endswith("net_iter_9.caffemodel")


def test_the_newest_snapshot_is_taken_and_named(folder):
    (folder / "deploy.prototxt").write_text(DEPLOY)
    (folder / "net_iter_10000.caffemodel").write_bytes(b"")
    (folder / "net_iter_2000.caffemodel").write_bytes(b"")
    model = LoadedModel.load(folder)
    assert model.weights.endswith("net_iter_10000.caffemodel")
    assert warned(model, "net_iter_10000.caffemodel: taken as the newest of 3 snapshots")
    (folder / "other_iter_5.caffemodel").write_bytes(b"")
    assert "cannot tell which is the .caffemodel" in refusal(folder)


@pytest.mark.parametrize("ending, mode", [(".tar.gz", "w:gz"), (".tar", "w")])
def test_an_archive_of_digits_is_read_as_it_comes(folder, tmp_path, ending, mode):
    digits(folder)
    path = tmp_path / ("model" + ending)
    with tarfile.open(str(path), mode) as archive:
        archive.add(str(folder), ".")
    model = LoadedModel.load(path)
    assert model.class_names == ("cat", "dog", "bird")
    assert np.unique(model.preprocessing.mean) == [100] and model.warnings == ()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(["mynet", path.name])
    unpacked.remove_all()
    with pytest.raises(OSError):
        open(model.weights)


def test_a_damaged_archive_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "model.tar.gz").write_bytes(b"\x1f\x8b\x08 nonsense")
    assert "model.tar.gz: " in refusal(tmp_path / "model.tar.gz")
