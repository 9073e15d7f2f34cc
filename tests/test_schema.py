"""Caffe's messages without Caffe: the tables, and how text becomes values."""

import math
import os
import re
import subprocess
import sys

import pytest
from google.protobuf.descriptor import FieldDescriptor

from prototxt_tools import layers
from prototxt_tools.errors import PrototxtError
from prototxt_tools.net import schema
from prototxt_tools.net.schema import tables
from prototxt_tools.text.document import Document

# A value, and whether protobuf's C++ parser, which Caffe uses, takes it.
VALUES = [
    ("value: 0.5", True),
    ("value: 1.f", True),
    ("value: .5e-3F", True),
    ("value: -inf", True),
    ("value: Infinity", True),
    ("value: nan", True),
    ("value: 3", True),
    ("value: 0x1F", False),
    ("value: 010", False),
    ("value: true", False),
    ('value: "1"', False),
    ("value: one", False),
    ("value { }", False),
    ("level: 0x1F", True),
    ("level: 017", True),
    ("level: -1", True),
    ("level: - 1", True),
    ("level: 2147483648", False),
    ("level: -2147483648", True),
    ("level: 1.0", False),
    ("level: 1e3", False),
    ("variance_norm: AVERAGE", True),
    ("variance_norm: 2", True),
    ("variance_norm: 3", False),
    ("variance_norm: 'AVERAGE'", False),
    ("variance_norm: average", False),
    ("type: 'constant'", True),
    ("type: 'con' \"stant\"", True),
    ("type: constant", False),
    ("type: 'constant' type: 'constant'", False),
    ("value: 1 value: 1", False),
]
BOOLS = [
    ("true", True),
    ("True", True),
    ("t", True),
    ("1", True),
    ("0x1", True),
    ("False", True),
    ("f", True),
    ("0", True),
    ("2", False),
    ("yes", False),
    ("TRUE", False),
    ("'true'", False),
]


def parse(text, message="LayerParameter"):
    message = schema.new(message)
    unknown = schema.fill(message, Document.parse(text, "deploy.prototxt").root)
    return message, unknown


def net_with(text):
    """A net, with a level in its state, or with something in the filler of its data."""
    head, inside = ("state { " + text + " }", "") if "level" in text else ("", text)
    return head + (
        " layer { name: 'd' type: 'DummyData' top: 'd'"
        " dummy_data_param { shape { dim: 1 } data_filler { " + inside + " } } }"
    )


def value_of(text):
    name = text.partition(":")[0]
    net, _ = parse(net_with(text), "NetParameter")
    return getattr(
        net.state if name == "level" else net.layer[0].dummy_data_param.data_filler[0], name
    )


def error_of(text, message="LayerParameter"):
    with pytest.raises(PrototxtError) as caught:
        parse(text, message)
    return str(caught.value)


def test_fields_not_given_have_the_defaults_of_caffe():
    layer, _ = parse('name: "pool1" pooling_param { kernel_size: 3 }')
    assert layer.pooling_param.kernel_size == 3
    assert layer.pooling_param.stride == 1
    assert layer.pooling_param.pool == layer.pooling_param.MAX
    assert not layer.pooling_param.HasField("stride")
    assert layer.lrn_param.beta == 0.75
    assert layer.inner_product_param.bias_term is True
    assert abs(layer.batch_norm_param.eps - 1e-5) < 1e-12


def test_an_empty_message_is_present():
    layer, _ = parse("pooling_param { }")
    assert layer.HasField("pooling_param")
    assert not layer.HasField("relu_param")


def test_repeated_fields_and_lists_give_the_same():
    apart, _ = parse("convolution_param { kernel_size: 3 kernel_size: 5 }")
    listed, _ = parse("convolution_param { kernel_size: [3, 5] }")
    assert list(apart.convolution_param.kernel_size) == [3, 5]
    assert apart == listed


def test_nested_repeated_messages_keep_their_order():
    layer, _ = parse("param { lr_mult: 1 } param { lr_mult: 2 name: 'shared' }")
    assert [(spec.lr_mult, spec.name) for spec in layer.param] == [(1, ""), (2, "shared")]


@pytest.mark.parametrize(
    "text, value",
    [
        ("1.f", 1.0),
        ("-2.5e1", -25.0),
        (".5", 0.5),
        ("3", 3.0),
        ("-inf", -math.inf),
        ("INFINITY", math.inf),
        ("- 4", -4.0),
        ("1e2F", 100.0),
    ],
)
def test_floats_are_read_as_protobuf_reads_them(text, value):
    assert value_of("value: " + text) == value


@pytest.mark.parametrize("text, value", [("31", 31), ("0x1f", 31), ("037", 31), ("- 31", -31)])
def test_integers_are_decimal_hexadecimal_or_octal(text, value):
    assert value_of("level: " + text) == value


@pytest.mark.parametrize("text, accepted", VALUES)
def test_a_value_is_taken_or_refused(text, accepted):
    if accepted:
        parse(net_with(text), "NetParameter")
    else:
        assert error_of(net_with(text), "NetParameter").startswith("deploy.prototxt:1:")


@pytest.mark.parametrize("text, accepted", BOOLS)
def test_a_bool_is_taken_or_refused(text, accepted):
    if accepted:
        layer, _ = parse("inner_product_param { bias_term: " + text + " }")
        assert layer.inner_product_param.bias_term is (text[0] in "tT1" or text == "0x1")
    else:
        assert "bias_term needs true or false" in error_of(
            "inner_product_param { bias_term: " + text + " }"
        )


def test_an_unknown_enum_name_is_refused_with_place_and_choices():
    assert error_of("pooling_param {\n  pool: MAXX\n}") == (
        'deploy.prototxt:2:3: pool needs one of MAX, AVE, STOCHASTIC, not "MAXX"'
    )


def test_the_choices_offered_are_those_of_stock_caffe():
    message = error_of("convolution_param { engine: FAST }")
    assert "one of DEFAULT, CAFFE, CUDNN, not" in message


def test_a_number_out_of_range_is_refused():
    assert error_of("pooling_param { stride: -1 }") == (
        'deploy.prototxt:1:17: stride needs a whole number from 0 to 4294967295, not "-1"'
    )


def test_a_word_for_a_string_is_refused():
    assert error_of("name: resnet_50") == 'deploy.prototxt:1:1: name needs quotes: "resnet_50"'


def test_a_singular_field_given_twice_is_refused_at_the_second():
    assert error_of('name: "a"\nname: "a"') == (
        "deploy.prototxt:2:1: name is given twice, but may be given only once"
    )
    assert "given twice" in error_of("relu_param { } relu_param { }")


def test_braces_and_values_are_not_mistaken_for_each_other():
    assert "pooling_param needs braces: pooling_param { ... }" in error_of("pooling_param: 1")
    assert "name needs a value, not braces" in error_of("name { }")


def test_a_required_field_must_be_given():
    assert error_of("clip_param { min: 0 }") == "deploy.prototxt:1:1: clip_param must give max"


def test_a_string_of_bytes_that_are_no_utf8_is_kept_apart_from_others():
    first, second = parse(b'name: "caf\xe9"')[0], parse(b'name: "caf\xe8"')[0]
    assert first.name != second.name
    assert first.name.startswith("caf")


def test_unknown_fields_come_back_from_any_depth():
    _, unknown = parse("pooling_param { kernel_size: 2 wow: 1 } wow_param { a: 1 }")
    assert [field.name for field in unknown] == ["wow", "wow_param"]
    assert unknown[0].column == 32


def test_fields_of_forks_are_read_and_marked():
    layer, unknown = parse(
        "pooling_param { ceil_mode: false } permute_param { order: 0 order: 2 order: 3 order: 1 }"
        "convolution_param { engine: MKL2017 } upsample_param { scale: 2 upsample_w: 60 }"
        "norm_param { across_spatial: false scale_filler { value: 20 } }"
        "bn_param { bn_mode: INFERENCE }"
    )
    assert unknown == []
    assert layer.pooling_param.ceil_mode is False
    assert list(layer.permute_param.order) == [0, 2, 3, 1]
    assert layer.upsample_param.upsample_w == 60
    assert layer.norm_param.scale_filler.value == 20
    assert not schema.is_stock("PoolingParameter", "ceil_mode")
    assert not schema.is_stock("LayerParameter", "permute_param")
    assert not schema.is_stock("PermuteParameter", "order")
    assert not schema.is_stock("ConvolutionParameter", "engine", "MKL2017")
    assert schema.is_stock("ConvolutionParameter", "engine", "CUDNN")
    assert schema.is_stock("PoolingParameter", "round_mode")
    assert not schema.is_stock("PoolingParameter", "nobody_knows")


def test_a_v1_type_of_a_fork_is_an_unknown_field():
    layer, unknown = parse("name: 'roi' type: ROI_POOLING", "V1LayerParameter")
    assert layer.name == "roi"
    assert [field.value.text for field in unknown] == ["ROI_POOLING"]


def test_a_v1_type_may_be_a_number():
    layer, unknown = parse("type: 14", "V1LayerParameter")
    assert layer.type == layer.INNER_PRODUCT
    assert unknown == []


def test_old_forms_have_v2_names():
    assert schema.V1_TYPES["INNER_PRODUCT"] == "InnerProduct"
    assert schema.V1_TYPES["SOFTMAX_LOSS"] == "SoftmaxWithLoss"
    assert schema.V0_TYPES["innerproduct"] == "InnerProduct"
    assert schema.V0_TYPES["softmax_loss"] == "SoftmaxWithLoss"
    assert len(layers.stock_types()) == 61
    assert set(schema.V0_TYPES.values()) <= set(schema.V1_TYPES.values())
    assert set(schema.V1_TYPES.values()) - {""} <= layers.stock_types()


def test_every_v1_and_v0_type_of_the_tables_is_known():
    layer_type = schema.new("V1LayerParameter").DESCRIPTOR.fields_by_name["type"].enum_type
    assert set(schema.V1_TYPES) == set(layer_type.values_by_name)
    assert len(schema.V0_TYPES) == 24


def test_the_tables_are_those_of_the_installed_caffe(caffe):
    from caffe.proto import caffe_pb2

    theirs = caffe_pb2.DESCRIPTOR.message_types_by_name
    assert set(theirs) - set(tables.MESSAGES) == {
        "BlobProtoVector",
        "SolverParameter",
        "SolverState",
    }
    for name in tables.MESSAGES:
        ours = schema.new(name).DESCRIPTOR
        assert stock_fields(ours) == stock_fields(theirs[name]), name
        assert stock_enums(ours) == stock_enums(theirs[name]), name
    assert schema.SOLVER_FIELDS == (
        set(theirs["SolverParameter"].fields_by_name) - set(theirs["NetParameter"].fields_by_name)
    )
    # A build without OpenCV lacks the layers that read images from files.
    missing = layers.stock_types() - set(caffe.layer_type_list())
    assert missing in (set(), {"ImageData", "WindowData"})
    assert set(caffe.layer_type_list()) <= layers.stock_types()


def occurrence(field):
    """Whether a field is required and whether it is repeated; protobuf 7 has no label."""
    if hasattr(field, "is_repeated"):
        return field.is_required, field.is_repeated
    return (field.label == FieldDescriptor.LABEL_REQUIRED,
            field.label == FieldDescriptor.LABEL_REPEATED)


def stock_fields(descriptor):
    """What a message's fields are, those of forks left out."""
    return {
        field.name: (
            field.number,
            field.type,
            occurrence(field),
            field.default_value,
            field.has_options,
            field.message_type and field.message_type.full_name,
            field.enum_type and field.enum_type.full_name,
        )
        for field in descriptor.fields
        if field.number < 100000
    }


def stock_enums(descriptor):
    return {
        enum.name: {
            value.name: value.number
            for value in enum.values
            if not value.name.startswith(("MKL", "PRE_FIXED"))
        }
        for enum in descriptor.enum_types
        if descriptor.name + "." + enum.name in tables.ENUMS
    }


def test_old_types_become_what_caffe_upgrades_them_to(caffe):
    for form, types in (
        ("layers { name: '%s' type: %s }", schema.V1_TYPES),
        ("layers { layer { name: '%s' type: '%s' } }", schema.V0_TYPES),
    ):
        net = "".join(form % (name, name) for name in sorted(types))
        log = in_caffe(READ, net, GLOG_minloglevel="0")[1].decode()
        upgraded = re.findall(r'layer {\n  name: "(\w+)"\n  type: "(\w*)"', log)
        assert dict(upgraded) == types


# A log of level 0 prints the net as upgraded before any layer is made.
READ = """
import sys, tempfile
import caffe
with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
    file.write(sys.stdin.read())
    file.flush()
    caffe.Net(file.name, caffe.TEST)
"""

# Parses each net in a child, since Caffe aborts on what it refuses.
JUDGE = """
import os, sys, tempfile
import caffe
for net in sys.stdin.read().split("\\0"):
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(net)
        file.flush()
        child = os.fork()
        if child == 0:
            caffe.Net(file.name, caffe.TEST)
            os._exit(0)
        print(int(os.waitpid(child, 0)[1] == 0), flush=True)
"""


def in_caffe(script, text, **environment):
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ, **environment),
    )
    return process.communicate(text.encode())


def test_real_caffe_takes_and_refuses_the_same_values(caffe):
    nets = [net_with(text) for text, _ in VALUES]
    nets += ["force_backward: " + text + net_with("") for text, _ in BOOLS]
    judged = in_caffe(JUDGE, "\0".join(nets), GLOG_minloglevel="2")[0].split()
    texts = [text for text, _ in VALUES + BOOLS]
    assert dict(zip(texts, judged)) == {
        text: b"1" if accepted else b"0" for text, accepted in VALUES + BOOLS
    }
