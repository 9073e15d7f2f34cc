"""The commands deploy, upgrade, cut, fold, rewrite and diff, as a user runs them."""

import subprocess
import sys

import definitions
import pytest

from prototxt_tools import weights
from prototxt_tools.net.net import Net

TRAIN_VAL = """name: "n"
layer { name: "data" type: "Data" top: "data" top: "label" transform_param { crop_size: 9 } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
V1 = 'layers { name: "r" type: RELU bottom: "a" top: "a" }\n'
V2 = 'layer { name: "r" type: "ReLU" bottom: "a" top: "a" }\n'


def tools(*arguments, **options):
    command = [sys.executable, "-m", "prototxt_tools"] + [str(a) for a in arguments]
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, input=options.get("input", b"")
    )
    return result.returncode, result.stdout.decode(), result.stderr.decode()


@pytest.fixture
def file(tmp_path):
    def write(text, name="net.prototxt"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_upgrade_writes_v2_and_a_note(file):
    assert tools("upgrade", file(V1)) == (0, V2, "upgraded the V1 layers to V2\n")


def test_commands_work_in_pipes(file):
    _, upgraded, _ = tools("upgrade", "-", input=V1.encode())
    code, output, _ = tools("rewrite", "-", "--un-in-place", input=upgraded.encode())
    assert (code, output) == (0, V2.replace('top: "a"', 'top: "r"'))


def test_deploy_writes_a_deploy_net(file, tmp_path):
    code, output, notes = tools("deploy", file(TRAIN_VAL), "-o", tmp_path / "out.prototxt")
    assert (code, output) == (0, "")
    net = Net.load(tmp_path / "out.prototxt")
    assert ([entry.shape for entry in net.inputs], net.outputs()) == ([(1, 3, 9, 9)], ["prob"])
    assert "3 channels assumed" in notes and "made SoftmaxWithLoss loss (line 4) a Softmax" in notes


def test_deploy_asks_for_a_shape_and_takes_it(file, tmp_path):
    path = file(TRAIN_VAL.replace("crop_size: 9", "scale: 2"))
    code, output, message = tools("deploy", path, "-o", tmp_path / "out.prototxt")
    assert (code, output) == (2, "")
    assert message == (
        f"prototxt-tools: {path}: the size of the images of data is not in the file; give the "
        "shape of data, for example --input-shape data=1,3,224,224\n"
    )
    assert not (tmp_path / "out.prototxt").exists()
    for shape in ("2,1,4,5", "data=2,1,4,5"):
        output = tools("deploy", path, "--input-shape", shape)[1]
        assert "shape { dim: 2 dim: 1 dim: 4 dim: 5 }" in output


@pytest.mark.parametrize("shape", ["1,x", "", "1,0,3", "data="])
def test_an_input_shape_that_cannot_be_parsed_is_refused(file, shape):
    code, _, message = tools("deploy", file(TRAIN_VAL), "--input-shape", shape)
    assert code == 2 and "are not positive whole numbers" in message


def test_cut_keeps_what_the_named_blobs_need(file):
    path = file(definitions.lenet())
    code, output, notes = tools("cut", path, "--blob", "conv2")
    assert code == 0
    assert [layer.name for layer in Net.parse(output).layers] == ["conv1", "pool1", "conv2"]
    assert notes.count("removed ") == 5
    _, output, notes = tools("cut", path)
    assert "score blob ip2 (Softmax prob reads it)" in notes
    assert Net.parse(output).outputs() == ["ip2"]
    assert tools("cut", path, "--blob", "nope")[0] == 2


def test_fold_writes_net_and_weights(file, tmp_path):
    text = definitions.resnet(18, 5)
    weights.save(str(tmp_path / "w.caffemodel"), definitions.random_weights(text))
    code, output, notes = tools(
        "fold", file(text), tmp_path / "w.caffemodel", "-o", tmp_path / "out.prototxt",
        "--weights-out", tmp_path / "out.caffemodel",
    )
    assert (code, output, notes.count("folded")) == (0, "", 40)
    kept = {layer.name for layer in Net.load(tmp_path / "out.prototxt").layers}
    assert set(weights.load(tmp_path / "out.caffemodel")) <= kept


def test_rewrite_makes_several_changes_at_once(file):
    text = 'input: "a" input_shape { dim: 10 dim: 3 }\n' + V2.replace('"ReLU"', '"ReLU6"')
    code, output, notes = tools(
        "rewrite", file(text), "--stock", "--batch-size", "1", "--un-in-place"
    )
    assert code == 0
    assert output == text.replace("dim: 10", "dim: 1").replace('"ReLU6"', '"Clip"').replace(
        'top: "a"', 'top: "r" clip_param { min: 0 max: 6 }'
    )
    assert len(notes.splitlines()) == 3
    assert tools("rewrite", file(text)) == (
        2, "", "prototxt-tools: nothing to do: give --stock, --batch-size or --un-in-place\n"
    )


def test_diff_lists_what_differs_and_exits_1(file):
    before = file(TRAIN_VAL)
    after = file(TRAIN_VAL.replace("crop_size: 9", "crop_size: 8"), "after.prototxt")
    assert tools("diff", before, before) == (0, "", "")
    expected = "~ layer data transform_param.crop_size: 9 -> 8\n"
    assert tools("diff", before, after) == (1, expected, "")
    assert tools("diff", "-", after, input=TRAIN_VAL.encode()) == (1, expected, "")
    assert tools("diff", before, before.parent / "absent")[0] == 2


def test_a_device_as_output_is_written_to_and_not_replaced(file):
    code, output, _ = tools("upgrade", file(V1), "-o", "/dev/stdout")
    assert (code, output) == (0, V2)


@pytest.mark.parametrize("command", ["deploy", "upgrade", "cut", "fold", "rewrite", "diff"])
def test_help_teaches_with_two_examples(command):
    code, output, _ = tools(command, "--help")
    assert code == 0
    assert output.count("\n  prototxt-tools " + command) + output.count("| prototxt-tools") >= 2
