"""The command ``prototxt-tools inspect``, as a user runs it."""

import json
import subprocess
import sys

import definitions
import pytest


def inspect(text, *arguments):
    result = subprocess.run(
        [sys.executable, "-m", "prototxt_tools", "inspect", "-"] + list(arguments),
        input=text.encode("utf-8"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    return result.returncode, result.stdout.decode("utf-8"), result.stderr.decode("utf-8")


def test_the_table_shows_blobs_shapes_cost_and_receptive_fields():
    code, output, _ = inspect(definitions.lenet())
    lines = [line.split() for line in output.splitlines()]
    assert code == 0
    assert lines[0] == ["LeNet", "(V2,", "phase", "TEST)"]
    assert lines[2] == ["layer", "type", "bottoms", "tops", "shape", "params", "MACs", "field",
                        "stride", "offset"]
    assert lines[3] == ["conv1", "Convolution", "data", "conv1", "1x20x24x24", "520", "288,000",
                        "5x5", "1x1", "2x2"]
    assert ["relu_ip1", "ReLU", "ip1", "ip1", "1x500", "28x28", "0x0", "13.5x13.5"] in lines


def test_below_the_table_stand_totals_inputs_scores_and_targets_with_reasons():
    output = inspect(definitions.nin())[1]
    assert output.splitlines()[-6:] == [
        "",
        "total: 7,595,176 parameters, 1,100,188,800 multiply-adds",
        "input data 1x3x224x224",
        "output prob 1x1000x1x1",
        "score pool4 1x1000x1x1: Softmax prob reads it",
        "  target cccp7 1x1024x6x6: cccp8 makes one channel per class of it",
    ]


def test_json_holds_the_same_for_programs():
    code, output, _ = inspect(definitions.lenet(), "--json")
    net = json.loads(output)
    assert code == 0
    assert (net["name"], net["form"], net["phase"]) == ("LeNet", "V2", "TEST")
    assert net["inputs"] == [{"blob": "data", "shape": [1, 1, 28, 28]}]
    assert net["layers"][0] == {
        "name": "conv1", "type": "Convolution", "line": 4, "bottoms": ["data"], "tops": ["conv1"],
        "shapes": [[1, 20, 24, 24]], "parameters": 520, "multiply_adds": 288000,
        "receptive_field": {"size": [5, 5], "stride": [1, 1], "offset": [2, 2]},
    }
    assert net["outputs"] == [{"blob": "prob", "shape": [1, 10]}]
    assert net["scores"] == [{
        "blob": "ip2", "shape": [1, 10], "reason": "Softmax prob reads it", "link": "softmax",
        "targets": [{"blob": "conv2", "shape": [1, 50, 8, 8],
                     "reason": "the last blob with spatial extent before ip2"}],
    }]
    assert [entry["blob"] for entry in net["candidates"]] == ["conv1", "pool1", "conv2", "pool2"]
    assert net["total"] == {"parameters": 431080, "multiply_adds": 2293000}
    assert net["problems"] == []


DATA = ('layer { name: "in" type: "Data" top: "data" top: "label" include { phase: %s } }\n'
        'layer { name: "c" type: "Convolution" bottom: "data" top: "c" '
        "convolution_param { num_output: 2 kernel_size: 3 } }")


def test_shapes_that_no_file_says_can_be_given():
    train = ["--phase", "TRAIN"]
    assert "output c ?" in inspect(DATA % "TRAIN", *train)[1].splitlines()
    output = inspect(DATA % "TRAIN", "--shape", "data=4,3,8,9", *train)[1]
    assert "output c 4x2x6x7" in output.splitlines()


@pytest.mark.parametrize("shape", ["data", "data=", "=1,2", "data=a", "data=0,1"])
def test_a_shape_that_cannot_be_parsed_is_refused(shape):
    code, _, message = inspect(DATA % "TRAIN", "--shape", shape)
    assert code == 2 and "is not a blob and its shape, such as data=1,3,224,224" in message


def test_a_shape_of_no_blob_is_refused():
    code, _, message = inspect(definitions.lenet(), "--shape", "date=1,1,28,28")
    assert code == 2 and message == "prototxt-tools: <stdin>: the net has no blob 'date'\n"


def test_problems_are_said_and_what_lies_behind_them_is_unknown():
    text = definitions.lenet().replace("kernel_size: 5", "kernel_size: 50", 1)
    code, output, _ = inspect(text)
    assert code == 0
    assert "problem: <stdin>:4:1: layer conv1 (Convolution) cannot be built on (1, 1, 28, 28): " \
        "its kernel of 50 does not fit into 28" in output.splitlines()
    assert "score ip2 ?" in output


def test_files_of_forks_are_shown_as_far_as_they_are_known():
    text = ('input: "d" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\n'
            'layer { name: "w" type: "Warp" bottom: "d" top: "w" warp_param { } }')
    code, output, _ = inspect(text)
    assert code == 0
    assert output.splitlines()[3].split() == ["w", "Warp", "d", "w", "?", "?", "?"]
    assert output.splitlines()[-1] == (
        "problem: <stdin>:2:53: stock Caffe does not know the field warp_param in LayerParameter")


def test_names_cannot_break_the_table():
    text = 'layer { name: "a\\nb\\x1b[31m" type: "ReLU" bottom: "%s" top: "t" }' % ("x" * 100)
    lines = inspect(text)[1].splitlines()
    assert "a?b?[31m" in lines[3] and "x" * 22 + "..." + "x" * 23 in lines[3]


def test_what_is_no_net_gets_one_sentence():
    code, output, message = inspect("net: 'x'")
    assert (code, output) == (2, "")
    assert message.startswith("prototxt-tools: <stdin>:1:1: a solver") and message.count("\n") == 1


def test_help_teaches_with_examples():
    assert inspect("", "--help")[1].count("prototxt-tools inspect ") >= 2


def test_where_shapes_end_is_told_in_the_table_and_in_json():
    text = ('input: "d" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\n'
            'layer { name: "w" type: "Warp" bottom: "d" top: "w" }')
    reason = "the shapes that a layer of type Warp gives are not known"
    assert f"shapes are unknown from w (Warp, line 2) on: {reason}" in inspect(text)[1].splitlines()
    assert json.loads(inspect(text, "--json")[1])["unknown_shapes"] == [
        {"name": "w", "type": "Warp", "line": 2, "blobs": ["w"], "reason": reason}]
