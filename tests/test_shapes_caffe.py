"""Shapes and refusals of single layers are those of real Caffe."""

import os
import random
import sys
from pathlib import Path

import pytest
import random_layers

from prototxt_tools import layers, shapes
from prototxt_tools.net.net import Net
from prototxt_tools.reports import check
from prototxt_tools.text.document import Document

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

SEED = int(os.environ.get("TEST_SEED", "1"))
FILE_LAYERS = {"Data", "HDF5Data", "HDF5Output", "ImageData", "Python", "WindowData"}


def test_random_layers_of_every_type_that_needs_no_files_are_tried():
    assert set(random_layers.KINDS) == layers.stock_types() - FILE_LAYERS - {"Input"}


@pytest.mark.parametrize("kind", random_layers.KINDS)
def test_random_layers_have_the_shapes_and_refusals_of_real_caffe(caffe, kind):
    import stock_caffe

    choose = random_layers.Choose(random.Random(SEED))
    common = kind in random_layers.SAME + ["Silence", "Split", "Parameter", "MemoryData"]
    verdicts = []
    # With some seeds the first dozen has no layer that Caffe builds.
    while len(verdicts) < (4 if common else 12) or not any(verdicts):
        assert len(verdicts) < 200
        text = random_layers.text(kind, *random_layers.layer(kind, choose))
        document = Document.parse(text)
        real = stock_caffe.build(document)
        assert (check.problems(Net.parse(document)) == []) == (real.refusal is None), (text, real)
        if real.refusal is None:
            net = Net.parse(document).at("TEST")
            sizes = shapes.infer(net)
            assert sizes == real.blobs, text
            assert shapes.parameters(net, sizes) == real.weights, text
        verdicts.append(real.refusal is None)
