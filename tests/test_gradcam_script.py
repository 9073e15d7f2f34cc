"""``prototxt-tools convert --script``: Grad-CAM with pycaffe, NumPy and OpenCV alone."""

import os
import pathlib
import shutil
import subprocess
import sys

import definitions
import numpy as np
import pytest
from test_convert_cli import convert

GOLDEN = pathlib.Path(__file__).parent / "golden"
# Grey, as models/digits/readme.md says.
DIGITS = ["--mean", "128", "--scale", "0.00390625"]
IN_PLACE = """
input: "data" input_shape { dim: 4 dim: 3 dim: 8 dim: 8 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "side" type: "Convolution" bottom: "conv" top: "side"
  convolution_param { num_output: 4 kernel_size: 1 } }
layer { name: "sum" type: "Eltwise" bottom: "conv" bottom: "side" top: "sum" }
layer { name: "fc" type: "InnerProduct" bottom: "sum" top: "fc"
  inner_product_param { num_output: 3 } }
layer { name: "other" type: "InnerProduct" bottom: "sum" top: "other"
  inner_product_param { num_output: 2 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""


def write_script(prototxt, tmp_path, *options):
    """The script for a net, and the converted net beside it."""
    script, converted = tmp_path / "gradcam.py", tmp_path / "gradcam.prototxt"
    code, _, message = convert(prototxt, "-o", converted, "--script", script, *options)
    assert code == 0, message
    return script, converted


def run_script(script, *arguments):
    """What the script prints, in an environment that does not find this project."""
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    elsewhere = [folder for folder in folders
                 if folder and not os.path.isdir(os.path.join(folder, "caffe_gradcam"))]
    result = subprocess.run(
        [sys.executable, str(script)] + [str(argument) for argument in arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=str(script.parent),
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(elsewhere)))
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode()


def relative_error(values, expected):
    return np.linalg.norm(values - expected) / np.linalg.norm(expected)


def test_the_script_names_the_blobs_of_the_net(models, tmp_path):
    script, _ = write_script(models / "digits" / "deploy.prototxt", tmp_path)
    lines = script.read_text().splitlines()
    assert "INPUT = 'data'" in lines
    assert "SCORE = 'score'" in lines
    assert "LAYER = 'branches/concat'" in lines


def test_names_are_quoted(tmp_path):
    prototxt = tmp_path / "net.prototxt"
    prototxt.write_text(IN_PLACE.replace('"sum"', '"a\\"\'b\\n@SCORE@"'))
    script, _ = write_script(prototxt, tmp_path, "--layer", "a\"'b\n@SCORE@")
    values = {}
    for line in script.read_text().splitlines():
        if line.startswith(("INPUT =", "SCORE =", "LAYER =")):
            exec(line, values)
    assert (values["SCORE"], values["LAYER"]) == ("fc", "a\"'b\n@SCORE@")


def python_2():
    """Python 2.7 as a path, or a skip."""
    paths = sorted(pathlib.Path.home().glob(".pyenv/versions/2.7*/bin/python2.7"))
    path = str(paths[-1]) if paths else shutil.which("python2.7")
    if path is None:
        pytest.skip("Python 2.7 is not installed here")
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_both_pythons_compile_it(version, models, tmp_path):
    python = python_2() if version == 2 else sys.executable
    script, _ = write_script(models / "digits" / "deploy.prototxt", tmp_path)
    code = "import sys; compile(open(sys.argv[1]).read(), 'gradcam.py', 'exec')"
    subprocess.run([python, "-c", code, str(script)], check=True)


def test_it_imports_nothing_of_this_project(models, tmp_path):
    script, _ = write_script(models / "digits" / "deploy.prototxt", tmp_path)
    imports = [line for line in script.read_text().splitlines() if line.startswith("import ")]
    assert imports == ["import argparse", "import os", "import sys", "import caffe", "import cv2",
                       "import numpy as np"]


@pytest.mark.parametrize("text, options, problem", [
    (IN_PLACE.replace('"data"', '"more" input_shape { dim: 1 } input: "data"', 1), [],
     "the net has 2 inputs, and the script of --script feeds one image to one input"),
    (IN_PLACE, ["--layer", "conv", "--layer", "sum"], "--script takes one --layer"),
    (IN_PLACE, ["--layer", "cnov"], "the net has no blob 'cnov'"),
], ids=["two inputs", "two layers", "no such layer"])
def test_what_it_cannot_be_written_for_is_said_and_nothing_is_written(text, options, problem,
                                                                       tmp_path):
    prototxt, script = tmp_path / "net.prototxt", tmp_path / "gradcam.py"
    prototxt.write_text(text)
    code, _, message = convert(prototxt, "-o", tmp_path / "out", "--script", script, *options)
    assert code == 2 and problem in message
    assert not script.exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("backward", ["classic", "lean"])
def test_in_caffe_it_gives_the_maps_of_the_digits(caffe, models, tmp_path, backward):
    golden = np.load(str(GOLDEN / "digits.npz"))
    folder = models / "digits"
    script, converted = write_script(folder / "deploy.prototxt", tmp_path, "--backward", backward)
    for key in ("cam:3-5:3", "cam:3-5:5", "cam:9-0:0"):
        _, scene, class_index = key.split(":")
        line = run_script(
            script, converted, folder / "digits.caffemodel", folder / "scenes" / (scene + ".png"),
            "--class", class_index, "--cam", "cam.npy", "-o", "heatmap.png", *DIGITS)
        score = golden["scores:" + scene][int(class_index)]
        assert abs(float(line.split()[-1]) - score) < 1e-4
        assert relative_error(np.load(str(tmp_path / "cam.npy")), golden[key]) < 1e-4
        assert (tmp_path / "heatmap.png").stat().st_size > 1000


def test_in_caffe_the_gradient_is_that_of_the_value_after_in_place_layers(caffe, tmp_path):
    """Of a blob that an in-place layer changed and two layers read, in a net of two outputs."""
    import cv2
    from opened import open_net

    from caffe_gradcam.explaining.methods.gradients import grad_cam

    prototxt, weights = definitions.write_model(tmp_path, IN_PLACE)
    image = np.random.RandomState(0).randint(0, 256, (8, 8, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "image.png"), image)
    script, converted = write_script(prototxt, tmp_path, "--layer", "conv")
    run_script(script, converted, weights, "image.png", "--class", "2", "--cam", "cam.npy",
               "--mean", "1,2,3", "--channel-order", "RGB")

    blob = image[np.newaxis, :, :, ::-1].transpose(0, 3, 1, 2)
    blob = blob - np.float32([1, 2, 3])[:, np.newaxis, np.newaxis]
    with open_net("caffe", IN_PLACE, weights, ["fc"], ["conv"]) as engine:
        value = engine.forward({"data": blob}, ["conv"])["conv"]
        seed = np.float32([[0, 0, 1]])
        gradient = engine.backward("fc", seed, ["conv"])["conv"]
    cam = np.load(str(tmp_path / "cam.npy"))
    assert relative_error(cam, grad_cam(value, gradient)[0]) < 1e-5
