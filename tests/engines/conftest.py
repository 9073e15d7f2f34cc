"""What the tests of the engines share."""

import os
import sys

import numpy as np
import pytest
from definitions import random_weights

from prototxt_tools import weights


@pytest.fixture(params=["caffe", "torch"])
def kind(request):
    """Each engine, where its library is."""
    request.getfixturevalue(request.param)
    return request.param


@pytest.fixture
def write_weights(tmp_path):
    """A function that writes random weights for the text of a net and gives the path."""
    def write(text):
        path = str(tmp_path / "random.caffemodel")
        weights.save(path, random_weights(text))
        return path
    return write


def relative_error(found, expected):
    """Relative L2 distance of two arrays of one shape."""
    assert found.shape == expected.shape
    scale = np.linalg.norm(expected)
    return np.linalg.norm(found - expected) / scale if scale else np.linalg.norm(found)


def pytest_sessionfinish(session, exitstatus):
    session.config.exit_status = int(exitstatus)


def pytest_unconfigure(config):
    # Debian 11's torch 1.7 hangs or aborts when Python 3.9 ends after a backward pass.
    torch = sys.modules.get("torch")
    if torch is not None and torch.__version__.startswith("1.7"):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.exit_status)
