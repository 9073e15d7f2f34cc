"""The pycaffe that is installed gives the numbers of Debian 11's, of which tests/golden was made.

The nets run as ``tests/golden/make_golden.py`` runs them, by plain pycaffe alone, with the kernels
and the single thread with which tests/golden/avx2 was made.
"""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

GOLDEN = pathlib.Path(__file__).parent / "golden"
NETS = ["caffenet", "densenet", "googlenet", "lenet", "resnet50", "vgg16"]
PROGRAM = """
import sys
import numpy as np
import make_golden
np.savez(sys.argv[1], **getattr(make_golden, sys.argv[2])(*sys.argv[3:]))
"""


@pytest.fixture(autouse=True)
def needs_avx2(caffe):
    if " avx2 " not in pathlib.Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no AVX2")


def relative_error(values, expected):
    """Relative L2 distance."""
    values, expected = np.asarray(values, np.float64), np.asarray(expected, np.float64)
    return np.linalg.norm(values - expected) / (np.linalg.norm(expected) or 1.0)


def assert_equal_to_golden(tmp_path, name, function, *arguments):
    path = str(tmp_path / "arrays.npz")
    subprocess.run(
        [sys.executable, "-c", PROGRAM, path, function, *arguments], check=True,
        env=dict(os.environ, OPENBLAS_CORETYPE="Haswell", OPENBLAS_NUM_THREADS="1",
                 PYTHONPATH=os.pathsep.join([str(GOLDEN), os.environ.get("PYTHONPATH", "")])))
    arrays, golden = np.load(path), np.load(str(GOLDEN / "avx2" / (name + ".npz")))
    assert sorted(arrays.files) == sorted(golden.files)
    errors = {key: relative_error(arrays[key], golden[key]) for key in golden.files}
    assert {key: error for key, error in errors.items() if not error < 1e-6} == {}


@pytest.mark.parametrize("name", NETS)
def test_blobs_gradient_and_map_of_random_weights(name, tmp_path):
    assert_equal_to_golden(tmp_path, name, "random_net", name)


def test_scores_and_maps_of_digits(tmp_path):
    assert_equal_to_golden(tmp_path, "digits", "digits")


def test_blobs_gradient_and_map_of_learned_weights(shared, tmp_path):
    assert_equal_to_golden(tmp_path, "learned", "learned", str(shared))
