"""What the tests of the engines share."""

import pytest
from definitions import random_weights
from nets import BRANCHES, TARGETS
from opened import GRAPH_LIBRARIES, open_net

from prototxt_tools import weights


@pytest.fixture(params=["caffe", "torch"])
def kind(request):
    """Each engine, where its library is."""
    request.getfixturevalue(request.param)
    return request.param


@pytest.fixture(params=sorted(GRAPH_LIBRARIES))
def graph_kind(request):
    """Each engine that runs graphs, where its library is."""
    library = GRAPH_LIBRARIES[request.param]
    pytest.importorskip(library, reason=f"{library} is not installed here")
    return request.param


@pytest.fixture
def write_weights(tmp_path):
    """A function that writes random weights for the text of a net and gives the path."""
    def write(text):
        path = str(tmp_path / "random.caffemodel")
        weights.save(path, random_weights(text))
        return path
    return write


@pytest.fixture
def branches(kind, write_weights):
    """A function that opens the net of that name."""
    path = write_weights(BRANCHES)

    def open_branches(targets=TARGETS, scores=("score",), **options):
        return open_net(kind, BRANCHES, path, scores, targets, **options)
    return open_branches
