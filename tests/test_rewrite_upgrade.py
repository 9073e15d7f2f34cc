"""V0 and V1 become what Caffe's own upgrade makes of them, and keep their comments."""

import pytest

from prototxt_tools import rewrite, shapes
from prototxt_tools.errors import InputError
from prototxt_tools.net.net import Net
from prototxt_tools.reports.diff import differences
from prototxt_tools.text.document import Document

V1 = """# head
name: "n"  # the name
input: "data"
input_dim: 1
input_dim: 3
input_dim: 8
input_dim: 8

# the first layer
layers {
  name: "c"
  type: CONVOLUTION  # kind
  bottom: "data"
  top: "c"
  blobs_lr: 1
  blobs_lr: 2.
  weight_decay: 1
  weight_decay: 0
  convolution_param { num_output: 4 kernel_size: 3 }
}
layers { name: "r" type: RELU bottom: "c" top: "c" }
"""
V1_AS_V2 = """# head
name: "n"  # the name
layer {
  name: "input"
  type: "Input"
  top: "data"
  input_param {
    shape { dim: 1 dim: 3 dim: 8 dim: 8 }
  }
}

# the first layer
layer {
  name: "c"
  type: "Convolution"  # kind
  bottom: "data"
  top: "c"
  param { lr_mult: 1 decay_mult: 1 }
  param { lr_mult: 2. decay_mult: 0 }
  convolution_param { num_output: 4 kernel_size: 3 }
}
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
"""
V0 = """layers {
  layer {
    # what it is
    name: "c"
    type: "conv"
    # the window
    num_output: 4
    kernelsize: 3  # three
    biasterm: false
    # the rates
    blobs_lr: 1
    weight_decay: 0
    weight_filler {
      type: "gaussian"
    }
  }
  bottom: "data"
  top: "c"
}
"""
V0_AS_V2 = """layer {
  # what it is
  name: "c"
  type: "Convolution"
  convolution_param {
    # the window
    num_output: 4
    kernel_size: 3  # three
    bias_term: false
    weight_filler {
      type: "gaussian"
    }
  }
  # the rates
  param { lr_mult: 1 decay_mult: 0 }
  bottom: "data"
  top: "c"
}
"""
PADDED = """input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { layer { name: "pad" type: "padding" pad: 2 } bottom: "data" top: "pad" }
layers { layer { name: "c" type: "conv" num_output: 4 kernelsize: 3 } bottom: "pad" top: "c" }
"""


def upgrade(text):
    return rewrite.upgrade(Document.parse(text)).document.text()


@pytest.mark.parametrize("old, new", [(V1, V1_AS_V2), (V0, V0_AS_V2)], ids=["V1", "V0"])
def test_an_old_form_becomes_v2_with_its_comments(old, new):
    assert upgrade(old) == new
    assert upgrade(old.replace("\n", "\r\n")) == new.replace("\n", "\r\n")


def test_upgrading_twice_changes_nothing_the_second_time():
    for text in (V0, V1, PADDED):
        assert upgrade(upgrade(text)) == upgrade(text)


def test_a_file_on_one_line_stays_on_one_line():
    one_line = " ".join(line.split("#")[0] for line in V0.splitlines())
    after = upgrade(one_line)
    assert "\n" not in after
    assert differences(Net.parse(after), Net.parse(V0_AS_V2)) == []


@pytest.mark.parametrize(
    "old, new",
    [
        ("layers { type: POOLING blobs_lr: [1, 2] }",
         'layer { type: "Pooling" param { lr_mult: 1 } param { lr_mult: 2 } }'),
        ('layers { type: INNER_PRODUCT param: "w" blob_share_mode: PERMISSIVE weight_decay: 3 }',
         'layer { type: "InnerProduct" '
         'param { name: "w" share_mode: PERMISSIVE decay_mult: 3 } }'),
        ("layers { type: 18 }", 'layer { type: "ReLU" }'),
        ('layers: [ { name: "a" type: RELU }, { name: "b" type: TANH } ]',
         'layer: [ { name: "a" type: "ReLU" }, { name: "b" type: "TanH" } ]'),
        ('layers { type: DATA data_param { scale: 2 source: "x" mirror: true } }',
         'layer { type: "Data" data_param { source: "x" } transform_param { scale: 2 mirror: true }'
         " }"),
        ("layers { type: DATA data_param { scale: 2 } transform_param { scale: 3 mirror: true } }",
         'layer { type: "Data" data_param { } transform_param { scale: 2 mirror: true } }'),
        ('layer { type: "BatchNorm" param {} param { lr_mult: 1 } param { decay_mult: 0 lr_mult: 0'
         " } }",
         'layer { type: "BatchNorm" param { lr_mult: 0  decay_mult: 0 } param { lr_mult: 0 '
         "decay_mult: 0 } param { decay_mult: 0 lr_mult: 0 } }"),
        ('layer { name: "a" } layers { name: "b" type: RELU }',
         'layer { name: "a" } layer { name: "b" type: "ReLU" }'),
    ],
    ids=["list of rates", "shared weights", "type by number", "list of layers", "transformation",
         "transformation twice", "BatchNorm", "mixed"],
)
def test_what_changes_its_place(old, new):
    assert upgrade(old) == new


def test_a_padding_layer_becomes_the_pad_of_the_next():
    after = Net.parse(upgrade(PADDED))
    assert [layer.name for layer in after.layers] == ["input", "c"]
    assert after.layer("c").bottoms == ["data"]
    assert list(after.layer("c").message.convolution_param.pad) == [2]
    before = Net.parse(PADDED)
    assert [layer.name for layer in before.layers] == ["c"]
    assert list(before.layer("c").message.convolution_param.pad) == [2]


def test_an_input_without_a_shape_is_removed_where_a_layer_makes_it():
    text = 'input: "a"\nlayer { type: "Input" top: "a" input_param { shape { dim: 1 } } }'
    assert "input: " not in upgrade(text)
    assert upgrade('input: "a"\nlayer { bottom: "a" }') == 'input: "a"\nlayer { bottom: "a" }'


def test_inputs_that_stand_behind_layers_come_first():
    after = upgrade('layer { name: "x" bottom: "a" }\ninput: "a"\ninput_shape { dim: 1 dim: 2 }\n')
    assert [layer.type for layer in Net.parse(after).layers] == ["Input", ""]


@pytest.mark.parametrize(
    "text, problem",
    [
        ('layers { layer { type: "locally_connected" } }', ":1:1: .* no V0 layer type"),
        ('input: "a" input: "b" input_dim: [1, 2, 3, 4] layer { }', "input b has no shape"),
        ('layers { layer { type: "conv" num_output: x } }', "num_output needs a whole number"),
    ],
)
def test_what_no_form_can_say_is_refused(text, problem):
    with pytest.raises(InputError, match=problem):
        upgrade(text)


def test_what_has_no_place_is_noted():
    text = 'layers { layer { name: "r" type: "relu" group: 2 } bottom: "a" top: "a" }'
    result = rewrite.upgrade(Document.parse(text))
    assert result.notes[0] == "dropped group (line 1), which means nothing to ReLU r (line 1)"
    assert "group" not in result.document.text()
    unknown = rewrite.upgrade(Document.parse('layers { name: "x" type: TREE_LOSS }'))
    assert unknown.document.text() == 'layer { name: "x" type: "TREE_LOSS" }'
    assert unknown.notes[0] == "left the type of TREE_LOSS x (line 1): no Caffe type of form V1"


EVERY_V0_FIELD = """
name: "all" force_backward: true
input: "x" input_dim: 2 input_dim: 3 input_dim: 32 input_dim: 32
layers { layer { name: "d" type: "data" source: "a" meanfile: "m" batchsize: 2 cropsize: 5
    mirror: true scale: 0.5 rand_skip: 7 } top: "d" top: "l" }
layers { layer { name: "i" type: "images" source: "a" batchsize: 2 shuffle_images: true
    new_height: 3 new_width: 4 } top: "i" top: "il" }
layers { layer { name: "w" type: "window_data" source: "a" batchsize: 2 det_fg_threshold: 0.25
    det_bg_threshold: 0.75 det_fg_fraction: 0.5 det_context_pad: 16 det_crop_mode: "square" }
    top: "w" top: "wl" }
layers { layer { name: "h" type: "hdf5_data" source: "a" batchsize: 2 } top: "h" }
layers { layer { name: "p1" type: "padding" pad: 1 } bottom: "d" top: "p1" }
layers { layer { name: "c" type: "conv" num_output: 4 biasterm: false pad: 4 kernelsize: 11
    stride: 4 group: 2 weight_filler { type: "gaussian" std: 0.01 } bias_filler { value: 3. }
    blobs_lr: 1. blobs_lr: 2. weight_decay: 1. } bottom: "p1" top: "c" }
layers { layer { name: "p2" type: "padding" pad: 3 } bottom: "c" top: "p2" }
layers { layer { name: "q" type: "pool" pool: STOCHASTIC kernelsize: 2 stride: 2 }
    bottom: "p2" top: "q" }
layers { layer { name: "n" type: "lrn" local_size: 3 alpha: 0.1 beta: 0.2 k: 2 }
    bottom: "q" top: "n" }
layers { layer { name: "t" type: "concat" concat_dim: 2 } bottom: "n" bottom: "q" top: "t" }
layers { layer { name: "f" type: "innerproduct" num_output: 3 biasterm: true }
    bottom: "t" top: "f" }
layers { layer { name: "o" type: "dropout" dropout_ratio: 0.3 } bottom: "f" top: "f" }
layers { layer { name: "s" type: "infogain_loss" source: "b" } bottom: "f" bottom: "l" }
layers { layer { name: "5" type: "hdf5_output" hdf5_output_param { file_name: "o" } } bottom: "f" }
layers { layer { name: "r" type: "relu" scale: 2 stride: 5 } bottom: "f" top: "f" }
"""
EVERY_V1_FIELD = """
name: "all" state { phase: TRAIN stage: "s" } debug_info: true
input: "x" input: "y" input_shape { dim: 2 } input_shape { dim: 3 dim: 4 }
layers { name: "d" type: DATA data_param { source: "a" scale: 2 mean_file: "m" crop_size: 5
    mirror: true } top: "d" include { phase: TRAIN stage: "t" not_stage: "u" } }
layers { name: "i" type: IMAGE_DATA image_data_param { source: "a" scale: 2 crop_size: 3 }
    transform_param { scale: 3 mirror: true } top: "d" exclude { phase: TRAIN } }
layers { name: "w" type: WINDOW_DATA window_data_param { mirror: true } top: "w" }
layers { name: "c" type: CONVOLUTION param: "w" param: "b" blob_share_mode: [PERMISSIVE, STRICT]
    blobs_lr: 3 weight_decay: [1, 2, 3] convolution_param { num_output: 2 kernel_size: 3
    kernel_size: 5 } bottom: "d" top: "c" loss_weight: 0.5 }
layers { type: SIGMOID_CROSS_ENTROPY_LOSS loss_param { normalize: false } bottom: "c" }
""" + "".join(
    f'layers {{ name: "n{number}" type: {number} bottom: "c" }}\n' for number in range(40)
)


@pytest.mark.parametrize(
    "text", [EVERY_V0_FIELD, EVERY_V1_FIELD, V1, PADDED], ids=["V0", "V1", "small V1", "padded"]
)
def test_caffe_upgrades_the_result_and_the_original_to_the_same_net(caffe, tmp_path, text):
    before, after = both_upgraded(Document.parse(text), tmp_path)
    assert before is not None
    assert after == before


def test_caffe_agrees_on_every_old_file_of_the_shared_folder(caffe, shared, tmp_path):
    compared = 0
    for path in sorted((shared / "prototxt").rglob("*")):
        try:
            document = Document.load(path)
            if Net.parse(document).form == "V2":
                continue
        except InputError:
            continue
        try:
            before, after = both_upgraded(document, tmp_path)
        except InputError:
            continue
        if before is not None:
            compared += 1
            assert after == before, path.name
    assert compared >= 50


def both_upgraded(document, folder):
    """What Caffe's upgrade makes of a document, and of ours; empty messages, which mean nothing
    and which it leaves behind, set aside."""
    from real_upgrade import upgraded

    nets = []
    for version in (document, rewrite.upgrade(document).document):
        path = folder / "net.prototxt"
        path.write_bytes(version.encode())
        net = upgraded(str(path), str(folder / "upgraded"))
        for layer in net.layer if net is not None else ():
            for name in ("transform_param", "data_param", "image_data_param", "window_data_param"):
                if layer.HasField(name) and not getattr(layer, name).ListFields():
                    layer.ClearField(name)
        nets.append(net)
    return nets


def test_a_net_of_c3d_1_0_keeps_the_time_of_its_input_and_the_fields_of_its_windows():
    text = """input: "data" input_dim: 1 input_dim: 3 input_dim: 6 input_dim: 10 input_dim: 12
    layers { name: "conv" type: CONVOLUTION3D bottom: "data" top: "conv"
             convolution_param { num_output: 4 kernel_size: 3 kernel_depth: 2 temporal_pad: 1 } }
    layers { name: "pool" type: POOLING3D bottom: "conv" top: "pool"
             pooling_param { kernel_size: 2 kernel_depth: 1 stride: 2 temporal_stride: 1 } }
    """
    upgraded = rewrite.upgrade(Document.parse(text)).document.text()
    assert "shape { dim: 1 dim: 3 dim: 6 dim: 10 dim: 12 }" in upgraded
    assert "kernel_size: 3 kernel_depth: 2 temporal_pad: 1" in upgraded
    for form in (text, upgraded):
        assert shapes.infer(Net.parse(form))["pool"] == (1, 4, 7, 4, 5)
