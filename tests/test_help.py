"""The examples in the help of every command, and in the manual: they run."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import definitions
import numpy as np
import pytest

from prototxt_tools import weights
from prototxt_tools.commands import cli

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    "convert", "inspect", "draw", "audit", "deploy", "upgrade", "cut", "fold", "rewrite", "diff",
    "weights",
)  # fmt: skip
CONVOLUTION = 'layer {{ name: "{0}" type: "Convolution" bottom: "{1}" top: "{0}" ' \
    "convolution_param {{ num_output: 4 kernel_size: 3 }} }}\n"
LAYER = 'layer {{ name: "{0}" type: "{1}" bottom: "{2}" top: "{3}" {4} }}\n'
DENSE = "inner_product_param { num_output: 4 }"
BODY = (
    CONVOLUTION.format("conv4_3", "data")
    + LAYER.format("bn4_3", "BatchNorm", "conv4_3", "conv4_3", "")
    + CONVOLUTION.format("conv5", "conv4_3")
    + LAYER.format("relu5", "ReLU", "conv5", "conv5", "")
    + LAYER.format("pool5", "Pooling", "conv5", "pool5",
                   "pooling_param { kernel_size: 2 ceil_mode: false }")
    + LAYER.format("fc7", "InnerProduct", "pool5", "fc7", DENSE)
    + LAYER.format("fc8", "InnerProduct", "fc7", "fc8", DENSE)
)
DEPLOY = (
    'name: "n"\ninput: "data"\ninput_shape { dim: 10 dim: 3 dim: 12 dim: 12 }\n' + BODY
    + LAYER.format("prob", "Softmax", "fc8", "prob", "")
)
DATA = 'layer { name: "data" type: "Data" top: "data" top: "label" %s data_param { } }\n'
LOSS = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc8" bottom: "label" top: "loss" }\n'
V1 = 'input: "data" input_dim: [1, 3, 8, 8]\n' \
    'layers { name: "relu" type: RELU bottom: "data" top: "r" }\n'
V0 = 'input: "data" input_dim: [1, 3, 8, 8]\n' \
    'layers { layer { name: "relu" type: "relu" } bottom: "data" top: "r" }\n'
NVIDIA = 'input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }\n' \
    + CONVOLUTION.format("conv", "data") \
    + LAYER.format("bn", "BatchNorm", "conv", "bn", "batch_norm_param { scale_bias: true }")
FILES = {
    "deploy.prototxt": DEPLOY.replace("ceil_mode: false", ""),
    "deploy_v2.prototxt": DEPLOY.replace("ceil_mode: false", "").replace("\n", "\n\n"),
    "stranger.prototxt": DEPLOY,
    "ssd_deploy.prototxt": DEPLOY,
    "densenet121.prototxt": DEPLOY,
    "train_val.prototxt": DATA % "transform_param { crop_size: 12 }" + BODY + LOSS,
    "lenet_train_test.prototxt": DATA % "" + BODY + LOSS,
    "VGG_ILSVRC_16_layers_deploy.prototxt": V1,
    "vgg16.prototxt": V1,
    "old.prototxt": V1,
    "imagenet_2013.prototxt": V0,
    "nv.prototxt": NVIDIA,
}
PROGRAMS = {
    "prototxt-tools": 'exec "{python}" -m prototxt_tools "$@"',
    "dot": "cat > /dev/null; echo '<svg/>'",
    "curl": "cat stranger.prototxt",
    "caffe": "echo tested",
}


@pytest.fixture
def folder(tmp_path):
    """A folder with the files the examples name, and one with the programs they call."""
    (tmp_path / "bin").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "deploy.prototxt").write_text(FILES["deploy.prototxt"])
    arrays = definitions.random_weights(FILES["deploy.prototxt"])
    for name in ("resnet50", "squeezenet", "before", "after"):
        weights.save(tmp_path / (name + ".caffemodel"), arrays)
    # Mean, variance, factor, scale and bias, as NVIDIA's fork keeps them.
    ones = np.ones(4, np.float32)
    weights.save(tmp_path / "nv.caffemodel", {
        "conv": [np.ones((4, 3, 3, 3), np.float32), ones],
        "bn": [ones, ones, ones[:1], ones, ones]})
    for name, line in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.write_text("#!/bin/sh\n" + line.format(python=sys.executable) + "\n")
        program.chmod(0o755)
    return tmp_path


def run(line, folder):
    path = "{}{}{}".format(folder / "bin", os.pathsep, os.environ["PATH"])
    result = subprocess.run(
        ["sh", "-c", line], cwd=str(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=dict(os.environ, PATH=path, PYTHONPATH=str(ROOT)),
    )
    assert result.returncode == 0, (line, result.stderr.decode())
    assert b"Traceback" not in result.stderr
    return result.stdout.decode()


def help_of(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


def test_the_commands_are_those_tested_here(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert tuple(re.findall("^    ([a-z]+) ", capsys.readouterr().out, re.M)) == COMMANDS


@pytest.mark.parametrize("command", [[]] + [[command] for command in COMMANDS])
def test_a_help_fits_two_screens_of_50_lines(command, capsys):
    with pytest.raises(SystemExit):
        cli.main(command + ["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 100 and max(map(len, lines)) <= 100


def test_the_help_lists_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "  2: the input is unusable\n" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_two_examples_of_each_help_run(command, folder, capsys):
    text = help_of(command, capsys).partition("examples:\n")[2].replace("\\\n", "")
    lines = re.findall("^  (?! ).*", text, re.M)
    assert len(lines) == 2
    for line in lines:
        assert "prototxt-tools " + command in line
        output = run(line.strip(), folder)
        written = re.search("(?:-o|>) ([a-z0-9_]+[.][a-z]+)", line)
        if written:
            assert (folder / written.group(1)).stat().st_size > 0
        else:
            assert output or command in ("audit", "diff")  # silent where they find nothing


def blocks(language):
    """The code blocks of the manual in a language."""
    manual = (ROOT / "docs" / "prototxt.md").read_text()
    fenced = re.findall("^```([a-z]*)\n(.*?)^```$", manual, re.M | re.S)
    return [text for name, text in fenced if name == language]


def test_the_commands_in_the_manual_run(folder):
    lines = [line for text in blocks("") for line in text.splitlines()]
    commands = [line for line in lines if line.startswith("prototxt-tools ")]
    assert len(commands) > 0
    for line in commands:
        run(line, folder)


def test_the_first_program_in_the_manual_rewrites_a_net(folder):
    (folder / "program.py").write_text(blocks("python")[0])
    output = run(f'"{sys.executable}" program.py', folder)
    assert 'type: "Input"' in output and "Softmax" in output


def test_a_plugin_as_in_the_manual_gives_a_layer_type_a_shape(folder):
    (folder / "mylayers.py").write_text(blocks("python")[1])
    (folder / "net.prototxt").write_text(
        DEPLOY + LAYER.format("mul", "GatedMul", "conv5", "mul", "")
        + CONVOLUTION.format("conv6", "mul"))
    without = run("prototxt-tools inspect net.prototxt", folder)
    with_plugin = run("prototxt-tools --plugin mylayers inspect net.prototxt", folder)
    assert "output conv6 ?" in without and "output conv6 10x4x6x6" in with_plugin


def test_a_plugin_that_cannot_be_imported_is_named(folder, capsys):
    assert cli.main(["--plugin", "absent_module", "inspect", "deploy.prototxt"]) == 2
    assert "plugin 'absent_module' cannot be imported" in capsys.readouterr().err


def test_the_callers_signals_are_left_as_they_are(tmp_path):
    (tmp_path / "net.prototxt").write_text(DEPLOY)
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # as Python itself begins
    try:
        assert cli.main(["inspect", str(tmp_path / "net.prototxt")]) == 0
        assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGPIPE, before)


def test_a_reader_who_goes_away_is_no_error(tmp_path):
    (tmp_path / "net.prototxt").write_text(DEPLOY + "# more than a pipe holds\n" * 20000)
    process = subprocess.Popen(
        [sys.executable, "-m", "prototxt_tools", "convert", str(tmp_path / "net.prototxt")],
        cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline()
    process.stdout.close()
    assert b"rror" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", [
    ["prototxt_tools", "convert"], ["prototxt_tools", "inspect"], ["caffe_gradcam", "models"],
])
def test_a_full_disk_behind_standard_output_is_one_sentence(tmp_path, command, unbuffered):
    (tmp_path / "net.prototxt").write_text(DEPLOY)
    last = "list" if command[1] == "models" else str(tmp_path / "net.prototxt")
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m"] + command + [last], cwd=str(ROOT), stdout=full,
            stderr=subprocess.PIPE, universal_newlines=True,
            env=dict(os.environ, PYTHONUNBUFFERED=unbuffered))
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == "{}: standard output cannot be written: {}".format(
        command[0].replace("_", "-"), "No space left on device")
    assert "Traceback" not in result.stderr and "ignored" not in result.stderr
