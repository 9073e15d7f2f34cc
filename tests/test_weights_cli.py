"""The command ``prototxt-tools weights``, as a user runs it."""

import json
import subprocess
import sys

import definitions
import numpy as np
import pytest
from weight_files import shape, tagged, v2_file

from prototxt_tools import weights
from prototxt_tools.net import schema


def run(*arguments):
    result = subprocess.run(
        [sys.executable, "-m", "prototxt_tools", "weights"] + [str(a) for a in arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    return result.returncode, result.stdout.decode(), result.stderr.decode()


@pytest.fixture
def model(tmp_path):
    """Paths of a prototxt and of weights."""
    return definitions.write_model(tmp_path, definitions.pooled_linear())


def saved(path, arrays):
    arrays = {name: [np.float32(blob) for blob in blobs] for name, blobs in arrays.items()}
    weights.save(str(path), arrays)
    return path


def test_lists_names_shapes_and_statistics(tmp_path):
    path = saved(tmp_path / "w.caffemodel", {"fc": [[[1, 2], [3, np.nan]], [-1, np.inf]]})
    code, output, _ = run(path)
    assert code == 0
    assert [line.split() for line in output.splitlines()] == [
        ["layer", "blob", "shape", "mean", "std", "min", "max", "nans", "infs"],
        ["fc", "0", "2x2", "2", "0.8165", "1", "3", "1"],
        ["fc", "1", "2", "-1", "0", "-1", "-1", "1"],
    ]


def test_json_has_null_for_what_is_no_number(tmp_path):
    path = saved(tmp_path / "w.caffemodel", {"fc": [[np.nan]]})
    blob = json.loads(run(path, "--json")[1])["blobs"][0]
    assert (blob["layer"], blob["shape"], blob["mean"], blob["nans"]) == ("fc", [1], None, 1)


def test_two_files_that_differ_exit_1_with_their_distance(tmp_path):
    a = saved(tmp_path / "a.caffemodel", {"x": [[3, 4]], "y": [[1, 1]]})
    b = saved(tmp_path / "b.caffemodel", {"x": [[3, 4]], "y": [[1, 2]]})
    code, output, _ = run(a, "--against", b)
    assert code == 1
    assert [line.split() for line in output.splitlines()] == [
        ["layer", "blob", "distance"], ["x", "0", "0"], ["y", "0", "0.7071"]]
    assert run(a, "--against", a)[0] == 0


def test_weights_that_fit_a_net_exit_0_and_others_1(model, tmp_path):
    prototxt, caffemodel = model
    code, output, _ = run(caffemodel, "--net", prototxt)
    assert code == 0 and output.splitlines()[-1] == "the weights fit the net"
    other = saved(tmp_path / "o.caffemodel", {"conv": [[1, 2, 3]], "more": [[1]]})
    code, output, _ = run(other, "--net", prototxt)
    assert code == 1
    assert "problem: layer conv needs 2 blobs and the weights hold 1" in output
    assert "layer score: not in the file" in output and "layer more: not in the net" in output


def test_another_kind_of_file_gets_one_sentence(tmp_path):
    (tmp_path / "x.caffemodel").write_text("layer {")
    code, output, message = run(tmp_path / "x.caffemodel")
    assert (code, output) == (2, "") and message.count("\n") == 1


def test_help_teaches_with_examples():
    assert run("--help")[1].count("prototxt-tools weights ") >= 2


def test_weights_of_any_form_are_written_as_floats_for_stock_caffe(tmp_path):
    values = np.array([0.5, -2], "<f2")
    blob = shape(2) + b"\x50\x02" + tagged(12, values.tobytes())
    code, _, _ = run(v2_file(tmp_path, blob), "-o", tmp_path / "out.caffemodel")
    net = schema.new("NetParameter")
    net.ParseFromString((tmp_path / "out.caffemodel").read_bytes())
    assert (code, list(net.layer[0].blobs[0].data)) == (0, [0.5, -2])
