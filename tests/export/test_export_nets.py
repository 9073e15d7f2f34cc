"""How nets become graphs: names, versions of blobs, open sizes, weights, and what is refused."""

import numpy as np
import pytest
from export_nets import TORCH, random_blobs

from caffe_gradcam.engines.onnx.registry import Unsupported
from caffe_gradcam.explaining.recipe import ModelChoice
from caffe_gradcam.export.exporting import ExportOptions, export
from caffe_gradcam.export.proof import compare, run_graph
from caffe_gradcam.export.source import NetSource

onnx = pytest.importorskip("onnx")

INPUT = 'input: "data" input_shape { dim: 1 dim: 3 dim: 12 dim: 12 }\n'
LAYER = 'layer {{ name: "{0}" type: "{1}" bottom: "{2}" top: "{3}" {4} }}\n'
CONVOLUTION = "convolution_param { num_output: 4 kernel_size: 3 }"
CHAIN = (INPUT + LAYER.format("conv", "Convolution", "data", "conv", CONVOLUTION)
         + LAYER.format("bn", "BatchNorm", "conv", "conv", "")
         + LAYER.format("scale", "Scale", "conv", "conv", "scale_param { bias_term: true }")
         + LAYER.format("relu", "ReLU", "conv", "conv", "")
         + LAYER.format("pool", "Pooling", "conv", "pool", "pooling_param { global_pooling: true "
                        "pool: AVE }")
         + LAYER.format("fc", "InnerProduct", "pool", "fc", "inner_product_param { num_output: 5 }")
         + LAYER.format("prob", "Softmax", "fc", "prob", ""))


def graph_of(exported):
    return onnx.load_from_string(exported.model).graph


def test_layers_and_blobs_keep_their_names(exported_of):
    graph = graph_of(exported_of(CHAIN))
    assert {"conv", "bn", "scale", "relu", "pool", "fc", "prob"} <= {
        node.name for node in graph.node}
    written = {name for node in graph.node for name in node.output}
    assert {"conv", "pool", "fc", "prob"} <= written
    assert [entry.name for entry in graph.input] == ["data"]
    assert [entry.name for entry in graph.output] == ["prob"]


def test_a_blob_has_the_name_after_its_last_in_place_layer(exported_of):
    makers = {name: node.name for node in graph_of(exported_of(CHAIN)).node for name in node.output}
    assert makers["conv"] == "relu"
    assert makers["conv@bn"] == "bn"


def test_an_input_that_is_changed_in_place_is_fed_under_its_name(exported_of):
    text = INPUT + LAYER.format("power", "Power", "data", "data", "power_param { scale: 2 }")
    text += LAYER.format("relu", "ReLU", "data", "out", "")
    exported = exported_of(text)
    value = np.float32(np.random.RandomState(0).randn(1, 3, 12, 12))
    assert exported.certificate.passes
    assert compare("out", run_graph(exported.model, {"data": value})["out"],
                   np.maximum(2 * value, 0)).passes


@pytest.mark.parametrize("rows", [1, 3])
def test_the_batch_is_open(exported_of, rows):
    value = np.zeros((rows, 3, 12, 12), np.float32)
    assert run_graph(exported_of(CHAIN).model, {"data": value})["prob"].shape == (rows, 5)


def test_a_batch_that_the_net_fixes_stays_fixed_and_the_certificate_says_why(exported_of):
    text = INPUT + LAYER.format("reshape", "Reshape", "data", "flat",
                                "reshape_param { shape { dim: 1 dim: 432 } }")
    exported = exported_of(text)
    assert exported.certificate.passes
    assert graph_of(exported).input[0].type.tensor_type.shape.dim[0].dim_value == 1
    assert exported.certificate.notes[0].startswith("the batch is fixed: layer reshape")


def test_the_size_is_open_where_it_was_asked_for(exported_of):
    exported = exported_of(CHAIN, open_size=True)
    assert exported.certificate.passes
    value = np.zeros((2, 3, 31, 18), np.float32)
    assert run_graph(exported.model, {"data": value})["prob"].shape == (2, 5)


def test_an_open_size_is_refused_with_the_layer_that_needs_it(exported_of):
    text = INPUT + LAYER.format("fc", "InnerProduct", "data", "fc",
                                "inner_product_param { num_output: 5 }")
    with pytest.raises(Unsupported, match="layer fc needs a fixed size"):
        exported_of(text, open_size=True)


def test_several_inputs_and_outputs(exported_of):
    text = INPUT + 'input: "other" input_shape { dim: 1 dim: 3 dim: 12 dim: 12 }\n'
    text += LAYER.format("sum", "Eltwise", 'data" bottom: "other', "sum", "")
    text += LAYER.format("a", "ReLU", "sum", "a", "") + LAYER.format("b", "TanH", "sum", "b", "")
    graph = graph_of(exported_of(text))
    assert [entry.name for entry in graph.input] == ["data", "other"]
    assert [entry.name for entry in graph.output] == ["a", "b"]


def test_shared_weights_stand_in_the_graph_once(exported_of):
    shared = 'param {{ name: "w" }} param {{ name: "b" }} {}'.format(
        "convolution_param { num_output: 3 kernel_size: 1 }")
    text = INPUT + LAYER.format("first", "Convolution", "data", "x", shared)
    text += LAYER.format("second", "Convolution", "x", "y", shared)
    exported = exported_of(text)
    assert exported.certificate.passes
    assert sorted(entry.name for entry in graph_of(exported).initializer) == ["first.0", "first.1"]


def test_folded_layers_are_gone_and_the_rest_agrees(exported_of):
    exported = exported_of(CHAIN, fold=True)
    assert exported.certificate.passes
    assert not {"bn", "scale"} & {node.name for node in graph_of(exported).node}


def test_chosen_outputs_leave_out_what_they_do_not_need(exported_of):
    graph = graph_of(exported_of(CHAIN, outputs=("pool",)))
    assert [entry.name for entry in graph.output] == ["pool"]
    assert "fc" not in {node.name for node in graph.node}


def test_a_layer_that_cannot_be_expressed_is_refused_by_name(exported_of):
    text = INPUT + LAYER.format("pool", "Pooling", "data", "pool",
                                "pooling_param { pool: STOCHASTIC kernel_size: 2 }")
    with pytest.raises(Unsupported, match=r"layer pool \(Pooling\) cannot be exported: stochastic"):
        exported_of(text)


def test_an_unknown_type_is_refused_by_name(source_of):
    text = INPUT + LAYER.format("odd", "Unpooling", "data", "out", "")
    with pytest.raises(Unsupported, match=r"layer odd \(Unpooling\) cannot be exported"):
        export(source_of(text), ExportOptions(), TORCH)


def test_the_graph_carries_what_is_known_of_the_model(models):
    import json

    source = NetSource.load(ModelChoice(str(models / "digits")))
    exported = export(source, ExportOptions(), TORCH)
    metadata = {entry.key: json.loads(entry.value)
                for entry in onnx.load_from_string(exported.model).metadata_props}
    assert metadata["caffe_gradcam.labels"][3] == "three"
    assert metadata["caffe_gradcam.score"] == source.model.score
    assert metadata["caffe_gradcam.preprocessing"]["data"]["channel_order"] == "GRAY"
    assert metadata["caffe_gradcam.sha256"] == source.hashes


def test_random_blobs_are_the_same_each_time():
    assert all((a == b).all() for name, arrays in random_blobs(CHAIN).items()
               for a, b in zip(arrays, random_blobs(CHAIN)[name]))
