"""Every layer type of the torch engine against real Caffe, forward and backward."""

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from caffe_layers import compare
from layer_cases import CASES, fill, net_text
from layer_variations import USUAL, VARIABLE, fields_of, values_of, varied

from prototxt_tools import shapes
from prototxt_tools.errors import InputError
from prototxt_tools.layers.sizes import axis_of
from prototxt_tools.layers.windows import pooling_windows
from prototxt_tools.net.net import Net
from prototxt_tools.reports import check
from prototxt_tools.text.document import Document

pytest.importorskip("torch")

SEED = int(os.environ.get("TEST_SEED", "1"))
# Without a seed, a quarter of the cases.
VARIED = VARIABLE if "TEST_SEED" in os.environ else VARIABLE[::4]
sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))


@pytest.mark.parametrize("case", CASES)
def test_layer_equals_caffe(case, caffe, tmp_path):
    compare(CASES[case], caffe, tmp_path / "net.prototxt", len(case))


@pytest.mark.parametrize("case", VARIED)
def test_layer_with_other_values_equals_caffe(case, caffe, tmp_path):
    import stock_caffe

    choose = random.Random(f"{SEED} {case}")
    kind, text, bottoms, tops = CASES[case]
    fields = [field for field in fields_of(kind, text, USUAL) if field.name != "engine"]
    for _ in range(300):
        settings = [(field.name, choose.choice(values_of(field, USUAL)))
                    for field in choose.sample(fields, min(len(fields), choose.choice([1, 2, 3])))]
        changed = varied(kind, text, settings)
        # torch takes no dilation of 0, with which Caffe reads one cell for all places of a kernel.
        if "STOCHASTIC" in changed or "dilation: 0" in changed:
            continue
        if is_built(kind, changed, bottoms, tops, stock_caffe):
            compare((kind, changed, bottoms, tops), caffe, tmp_path / "net.prototxt", SEED)
            return
    pytest.fail("no other values that can be built")


def is_left_out(layer, blobs):
    """Whether Caffe builds a layer and then reads or writes what is not there, or torch has no
    convolution over so many axes."""
    if layer.type in ("Convolution", "Deconvolution"):
        shape = blobs[layer.bottoms[0]]
        if len(shape) - axis_of(layer.message.convolution_param.axis, shape) - 1 > 3:
            return True
    if layer.type == "Pooling":
        kernel, stride, _ = pooling_windows(
            layer.message.pooling_param, blobs[layer.bottoms[0]][2:])
        # A window outside the blob has no maximum.
        return any(step > size for size, step in zip(kernel, stride))
    return not all(map(all, blobs.values()))


def is_built(kind, text, bottoms, tops, stock_caffe):
    """Whether both we and Caffe build a layer; what it reads has its usual range."""
    arrays = {f"b{index}": fill(bottom, np.random.RandomState(0))
              for index, bottom in enumerate(bottoms)}
    document = Document.parse(net_text(kind, text, arrays, [f"t{i}" for i in range(tops)], []))
    try:
        net = Net.parse(document).at("TEST")
        layer, blobs = net.layers[-1], shapes.infer(net)
        if check.misfits(layer) or is_left_out(layer, blobs):
            return False
    except InputError:
        return False
    return stock_caffe.build(document).refusal is None
