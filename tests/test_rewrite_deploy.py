"""A training definition as a deploy net."""

import numpy as np
import pytest

from prototxt_tools import rewrite, shapes
from prototxt_tools.errors import InputError
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

TRAIN_VAL = """# training
name: "n"
layer {
  name: "data"
  type: "Data"
  top: "data"
  top: "label"
  include { phase: TRAIN }
  transform_param { crop_size: 99 }
}
layer {
  name: "data"
  type: "Data"
  top: "data"
  top: "label"
  include { phase: TEST }
  transform_param { crop_size: 9 mean_value: 104 mean_value: 117 mean_value: 123 scale: 0.5 }
}
# the trunk
layer {
  name: "fc"
  type: "InnerProduct"
  bottom: "data"
  top: "fc"
  inner_product_param { num_output: 4 }
}
layer {
  name: "drop"
  type: "Dropout"
  bottom: "fc"
  top: "fc"
  include { phase: TRAIN }
}
layer { name: "flat" type: "Flatten" bottom: "label" top: "flat" include { phase: TEST } }
layer { name: "acc" type: "Accuracy" bottom: "fc" bottom: "flat" include { phase: TEST } }
layer {
  name: "loss"
  type: "SoftmaxWithLoss"
  # the score
  bottom: "fc"
  bottom: "label"
  top: "loss"
  loss_weight: 2
  softmax_param { axis: 1 }
  include { phase: TRAIN }
}
"""
DEPLOY = """# training
name: "n"
layer {
  name: "data"
  type: "Input"
  top: "data"
  input_param {
    shape { dim: 1 dim: 3 dim: 9 dim: 9 }
  }
}
# the trunk
layer {
  name: "fc"
  type: "InnerProduct"
  bottom: "data"
  top: "fc"
  inner_product_param { num_output: 4 }
}
layer {
  name: "prob"
  type: "Softmax"
  # the score
  bottom: "fc"
  top: "prob"
  softmax_param { axis: 1 }
}
"""


def deploy(text, input_shape=None):
    return rewrite.deploy(Document.parse(text), input_shape)


def test_data_losses_and_phases_go():
    result = deploy(TRAIN_VAL)
    assert result.document.text() == DEPLOY
    assert list(result.notes) == [
        "made Data data (line 11) an Input: data is 1 x 3 x 9 x 9 (crop_size, as many channels as "
        "mean_value)",
        "Data data (line 11) prepared images with mean_value: 104, mean_value: 117, "
        "mean_value: 123, scale: 0.5",
        "removed Data data (line 3)",
        "removed Dropout drop (line 27)",
        "removed Flatten flat (line 34)",
        "removed Accuracy acc (line 35)",
        "made SoftmaxWithLoss loss (line 36) a Softmax",
    ]


def test_a_deploy_net_stays_as_it_is():
    result = deploy(DEPLOY)
    assert result.document.text() == DEPLOY
    assert list(result.notes) == []


FC = 'layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param ' \
     "{ num_output: 4 } }\n"


@pytest.mark.parametrize(
    "source, shape, reason",
    [
        ('type: "Data" transform_param { crop_size: 9 }', (1, 3, 9, 9),
         "crop_size, 3 channels assumed"),
        ('type: "Data" transform_param { crop_size: 9 force_gray: true }', (1, 1, 9, 9),
         "crop_size, force_gray"),
        ('type: "ImageData" image_data_param { new_height: 5 new_width: 7 is_color: false }',
         (1, 1, 5, 7), "new_height and new_width, is_color: false"),
        ('type: "ImageData" image_data_param { new_height: 5 new_width: 7 } '
         "transform_param { crop_size: 3 }", (1, 3, 3, 3), "crop_size, 3 channels assumed"),
        ('type: "MemoryData" memory_data_param { batch_size: 2 channels: 4 height: 5 width: 6 }',
         (1, 4, 5, 6), "memory_data_param"),
        ('type: "AnnotatedData" transform_param { resize_param { height: 5 width: 6 } }',
         (1, 3, 5, 6), "resize_param, 3 channels assumed"),
    ],
)
def test_the_shape_is_that_of_the_data_layer(source, shape, reason):
    result = deploy(f'layer {{ name: "d" top: "data" top: "label" {source} }}\n' + FC)
    inputs = Net.parse(result.document).inputs
    assert [(entry.blob, entry.shape) for entry in inputs] == [("data", shape)]
    assert f"({reason})" in result.notes[0]


@pytest.mark.parametrize("source", ['type: "Data"', 'type: "HDF5Data"', 'type: "Python"'])
def test_a_shape_that_is_not_in_the_file_is_asked_for(source):
    text = f'layer {{ name: "d" top: "data" top: "label" {source} }}\n' + FC
    with pytest.raises(InputError, match="--input-shape data=1,3,224,224"):
        deploy(text)
    for shape in ((2, 5), {"data": (2, 5)}):
        assert Net.parse(deploy(text, shape).document).inputs[0].shape == (2, 5)


def test_a_shape_for_several_inputs_needs_their_names():
    text = 'layer { name: "d" type: "Python" top: "data" top: "more" }\n' + FC + FC.replace(
        '"data"', '"more"').replace('"fc"', '"fd"')
    with pytest.raises(InputError, match=r"several inputs \(data, more\)"):
        deploy(text, (1, 2))
    net = Net.parse(deploy(text, {"data": (1, 2), "more": (3, 4)}).document)
    assert [entry.shape for entry in net.inputs] == [(1, 2), (3, 4)]
    with pytest.raises(InputError, match="no blob 'nope'"):
        deploy(text, {"nope": (1,)})


DATA = 'layer { name: "d" type: "Data" top: "data" top: "label" ' \
    "transform_param { crop_size: 9 } }\n"


def outputs(text):
    net = Net.parse(deploy(DATA + text).document)
    return [(net.layers[-1].type, blob) for blob in net.outputs()]


def loss(kind, bottom, name="loss", more=""):
    return f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" bottom: "label" {more} }}\n'


def test_a_loss_without_a_top_becomes_a_layer_with_one():
    assert outputs(FC + loss("SoftmaxWithLoss", "fc")) == [("Softmax", "prob")]
    assert outputs(FC + loss("SigmoidCrossEntropyLoss", "fc")) == [("Sigmoid", "prob")]


@pytest.mark.parametrize("kind", ["EuclideanLoss", "HingeLoss", "SmoothL1Loss", "Accuracy"])
def test_other_judges_leave_the_score(kind):
    assert outputs(FC + loss(kind, "fc")) == [("InnerProduct", "fc")]


def test_a_softmax_that_is_there_serves_in_place_of_the_loss():
    softmax = 'layer { name: "p" type: "Softmax" bottom: "fc" top: "p" include { phase: TEST } }\n'
    assert outputs(FC + loss("SoftmaxWithLoss", "fc") + softmax) == [("Softmax", "p")]


def test_several_heads_give_several_outputs():
    second = FC.replace('"fc"', '"fd"')
    text = DATA.replace('"label"', '"label" top: "other"') + FC + second
    text += loss("SoftmaxWithLoss", "fc")
    text += loss("SoftmaxWithLoss", "fd", "b").replace("label", "other")
    assert Net.parse(deploy(text).document).outputs() == ["prob_fc", "prob_fd"]


def test_auxiliary_heads_go():
    auxiliary = loss("SoftmaxWithLoss", "aux", "a", "loss_weight: 0.3")
    heads = FC.replace('"fc"', '"aux"') + auxiliary + FC + loss("SoftmaxWithLoss", "fc")
    after = deploy(DATA + heads).document
    assert [layer.name for layer in Net.parse(after).layers] == ["d", "fc", "prob"]


def test_what_only_a_loss_or_a_silence_reads_is_removed():
    flat = 'layer { name: "flat" type: "Flatten" bottom: "data" top: "flat" }\n'
    against = 'layer { name: "e" type: "EuclideanLoss" bottom: "fc" bottom: "flat" }\n'
    second = FC.replace('"fc"', '"fd"') + 'layer { name: "s" type: "Silence" bottom: "fd" }\n'
    after = deploy(DATA + flat + FC + against + second).document
    assert [layer.name for layer in Net.parse(after).layers] == ["d", "fc"]


def test_an_input_that_is_a_label_is_removed():
    head = 'input: "data"\ninput_dim: 1\ninput_dim: 3\ninput_dim: 9\ninput_dim: 9\n'
    label = 'input: "label"\ninput_dim: 1\ninput_dim: 1\ninput_dim: 1\ninput_dim: 1\n'
    assert deploy(head + label + FC + loss("Accuracy", "fc")).document.text() == head + FC


def test_the_stage_deploy_is_taken_where_rules_name_it():
    staged = 'layer { name: "p" type: "Softmax" bottom: "fc" top: "p" ' \
        'include { stage: "deploy" } }\n'
    text = DATA.replace(" top:", ' include { stage: "train" } top:', 1) + FC + staged
    after = deploy(text).document
    assert Net.parse(after).outputs() == ["p"]
    assert "stage" not in after.text()


def test_an_old_form_is_upgraded_first():
    text = 'layers { name: "d" type: DATA top: "data" top: "label" data_param { crop_size: 9 } }\n'
    text += 'layers { name: "fc" type: INNER_PRODUCT bottom: "data" top: "fc" }\n'
    text += 'layers { name: "loss" type: SOFTMAX_LOSS bottom: "fc" bottom: "label" }\n'
    net = Net.parse(deploy(text).document)
    assert (net.form, net.outputs(), net.inputs[0].shape) == ("V2", ["prob"], (1, 3, 9, 9))


def test_a_file_without_a_net_in_it_is_refused():
    with pytest.raises(InputError, match="only data layers and losses"):
        deploy(DATA + loss("EuclideanLoss", "data"))


MEMORY = """
layer { name: "data" type: "MemoryData" top: "data" top: "label"
  memory_data_param { batch_size: 1 channels: 3 height: 12 width: 12 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "aux" type: "InnerProduct" bottom: "conv" top: "aux"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "auxloss" type: "SoftmaxWithLoss" bottom: "aux" bottom: "label" loss_weight: 0.3 }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "drop" type: "Dropout" bottom: "fc" top: "fc" include { phase: TRAIN } }
layer { name: "acc" type: "Accuracy" bottom: "fc" bottom: "label" top: "acc" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""


def test_caffe_gives_the_scores_of_the_test_phase(caffe, tmp_path):
    before, after = tmp_path / "train_val.prototxt", tmp_path / "deploy.prototxt"
    before.write_text(MEMORY)
    after.write_bytes(deploy(MEMORY).document.encode())
    trained = caffe.Net(str(before), caffe.TEST)
    trained.save(str(tmp_path / "weights.caffemodel"))
    image = np.random.RandomState(0).uniform(-1, 1, (1, 3, 12, 12)).astype(np.float32)
    trained.set_input_arrays(image, np.array([2], np.float32))
    trained.forward()
    net = caffe.Net(str(after), caffe.TEST, weights=str(tmp_path / "weights.caffemodel"))
    assert (list(net.inputs), list(net.outputs)) == (["data"], ["prob"])
    prob = net.forward(data=image)["prob"][0]
    assert np.array_equal(net.blobs["fc"].data, trained.blobs["fc"].data)
    assert prob.sum() == pytest.approx(1)
    assert -np.log(prob[2]) == pytest.approx(float(trained.blobs["loss"].data), rel=1e-5)


def test_layers_in_a_list_stay_in_it():
    layers = [line.strip()[len("layer ") :] for line in (DATA, FC, loss("SoftmaxWithLoss", "fc"))]
    expected = 'layer: [{ name: "d" type: "Input" top: "data" input_param { shape { dim: 1 ' \
        'dim: 3 dim: 9 dim: 9 } } }, %s, { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }]'
    accuracy = loss("Accuracy", "fc").strip()[len("layer ") :]
    document = deploy("layer: [{}]".format(", ".join(layers + [accuracy]))).document
    assert document.text() == expected % layers[1]


def test_a_batch_norm_that_uses_each_batch_is_noted():
    norm = 'layer { name: "bn" type: "BatchNorm" bottom: "fc" top: "fc" %s }\n'
    parameters = "batch_norm_param { use_global_stats: false }"
    notes = deploy(DATA + FC + norm % parameters).notes
    assert "left 1 BatchNorm layers with use_global_stats: false, BatchNorm bn (line 3) first: " \
        "they use the statistics of each batch, not the learned ones" in notes
    assert not any("BatchNorm" in note for note in deploy(DATA + FC + norm % "").notes)


DUMMY = ('layer { name: "data" type: "DummyData" top: "data" include { phase: %s } '
         'dummy_data_param { shape { dim: %d dim: 3 dim: 17 dim: 19 } } }\n'
         'layer { name: "label" type: "DummyData" top: "label" include { phase: %s } '
         "dummy_data_param { shape { dim: %d } } }\n")
CLASSIFIER = ('layer { name: "fc" type: "InnerProduct" bottom: "%s" top: "fc" '
              "inner_product_param { num_output: 3 } }\n"
              'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" }\n')


def test_dummy_data_in_place_of_images_becomes_an_input():
    text = DUMMY % ("TRAIN", 32, "TRAIN", 32) + DUMMY % ("TEST", 10, "TEST", 10)
    net = Net.parse(rewrite.deploy(Document.parse(text + CLASSIFIER % "data")).document)
    assert [(entry.blob, entry.shape) for entry in net.inputs] == [("data", (1, 3, 17, 19))]
    assert [layer.type for layer in net.layers] == ["Input", "InnerProduct", "Softmax"]


def test_constant_data_beside_an_input_gets_its_batch_of_one():
    text = ('layer { name: "d" type: "Data" top: "d" top: "label" data_param { batch_size: 5 } '
            'transform_param { crop_size: 12 } }\n'
            'layer { name: "m" type: "DummyData" top: "m" dummy_data_param { '
            "shape { dim: 5 dim: 3 dim: 12 dim: 12 } } }\n"
            'layer { name: "mul" type: "Eltwise" bottom: "d" bottom: "m" top: "mul" '
            "eltwise_param { operation: PROD } }\n" + CLASSIFIER % "mul")
    result = rewrite.deploy(Document.parse(text))
    assert "made the batch of DummyData m (line 2) 1 instead of 5" in result.notes
    assert shapes.infer(Net.parse(result.document))["fc"] == (1, 3)


def test_the_size_of_images_may_come_from_the_data_layer_of_phase_train():
    text = "".join(
        'layer { name: "data" type: "Data" top: "data" top: "label" include { phase: %s } %s }\n'
        % phase for phase in (("TRAIN", "transform_param { crop_size: 28 }"), ("TEST", "")))
    result = rewrite.deploy(Document.parse(text + CLASSIFIER % "data"))
    assert Net.parse(result.document).inputs[0].shape == (1, 3, 28, 28)
    assert result.notes[0] == ("made Data data (line 2) an Input: data is 1 x 3 x 28 x 28 "
                               "(crop_size, 3 channels assumed, of Data data (line 1))")


def test_what_faster_rcnn_needs_for_training_only_is_gone():
    text = """
layer { name: "in" type: "Python" top: "data" top: "im_info" top: "gt_boxes"
  python_param { module: "roi_data_layer.layer" layer: "RoIDataLayer" } }
layer { name: "rpn" type: "Convolution" bottom: "data" top: "rpn"
  convolution_param { num_output: 18 kernel_size: 1 } }
layer { name: "at" type: "Python" bottom: "rpn" bottom: "gt_boxes" bottom: "im_info" top: "rl"
  python_param { module: "rpn.anchor_target_layer" layer: "AnchorTargetLayer" } }
layer { name: "rloss" type: "SoftmaxWithLoss" bottom: "rpn" bottom: "rl" top: "rloss" }
layer { name: "p" type: "Python" bottom: "rpn" bottom: "im_info" top: "proposals"
  python_param { module: "rpn.proposal_layer" layer: "ProposalLayer" } }
layer { name: "pt" type: "Python" bottom: "proposals" bottom: "gt_boxes" top: "rois" top: "labels"
  python_param { module: "rpn.proposal_target_layer" layer: "ProposalTargetLayer" } }
layer { name: "fc" type: "InnerProduct" bottom: "rois" top: "fc"
  inner_product_param { num_output: 21 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "labels" top: "loss" }
"""
    result = rewrite.deploy(Document.parse(text), {"data": (1, 3, 64, 64)})
    net = Net.parse(result.document)
    assert {entry.blob: entry.shape for entry in net.inputs} == {
        "data": (1, 3, 64, 64), "im_info": (1, 3)}
    assert "gt_boxes" not in result.document.text()
    assert not any("Target" in layer.message.python_param.layer for layer in net.layers)
    split = net.layer("pt")
    assert (split.type, split.bottoms, split.tops) == ("Split", ["proposals"], ["rois"])


def test_yolos_losses_are_gone():
    text = ('input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\n'
            'layer { name: "c" type: "Convolution" bottom: "data" top: "c" '
            "convolution_param { num_output: 75 kernel_size: 1 } }\n")
    for kind in ("Yolov3", "RegionLoss", "YoloSeg"):
        loss = 'layer { name: "y" type: "%s" bottom: "c" bottom: "label" top: "y" }\n' % kind
        data = 'layer { name: "l" type: "HDF5Data" top: "label" }\n'
        result = rewrite.deploy(Document.parse(text + data + loss))
        assert [layer.type for layer in Net.parse(result.document).layers] == ["Convolution"]
