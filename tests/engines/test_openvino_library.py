"""OpenVINO without the statistics that it would send, and without cores of its own choice."""

import logging
import os
import subprocess
import sys
import threading

import pytest

from caffe_gradcam.engines import openvino_library

PROGRAM = """
from caffe_gradcam.engines import openvino_library
from caffe_gradcam.engines.onnx import libraries
{}
import openvino.tools.ovc.telemetry_utils as used
print(used.tm.__name__)
"""


@pytest.mark.parametrize("load", ["openvino_library.load()", "libraries.load('openvino')"])
def test_telemetry_is_left_out(load):
    pytest.importorskip("openvino", reason="OpenVINO is not installed here")
    output = subprocess.check_output([sys.executable, "-c", PROGRAM.format(load)],
                                     universal_newlines=True)
    assert output.strip() == "openvino.tools.ovc.telemetry_stub"


# The cores that the threads of a net of one thread may run on, while it computes.
NET = """
import os
import threading
import numpy as np
from caffe_gradcam.engines import openvino_library

openvino = openvino_library.load()
import openvino.opset13 as operators

def fewest():
    for thread in os.listdir("/proc/self/task"):
        try:
            yield len(os.sched_getaffinity(int(thread)))
        except ProcessLookupError:  # It has ended.
            continue

data = np.zeros((8, 64, 56, 56), np.float32)
blob = operators.parameter(data.shape, np.float32)
kernels = operators.constant(np.ones((64, 64, 3, 3), np.float32))
top = operators.convolution(blob, kernels, [1, 1], [1, 1], [1, 1], [1, 1])
request = openvino.Core().compile_model(openvino.Model([top], [blob]), "CPU", dict(
    openvino_library.SETTINGS, INFERENCE_NUM_THREADS=1)).create_infer_request()
running = threading.Thread(target=lambda: [request.infer([data]) for _ in range(5)])
running.start()
counts = [*fewest()]
while running.is_alive():
    counts += fewest()
print(min(counts))
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core here")
def test_a_net_of_one_thread_is_not_pinned_to_the_core_of_the_next_one():
    pytest.importorskip("openvino", reason="OpenVINO is not installed here")
    # In a process of its own: other libraries may have pinned threads of this one.
    output = subprocess.check_output([sys.executable, "-c", NET], universal_newlines=True)
    assert int(output) == len(os.sched_getaffinity(0))


@pytest.fixture
def doubling():
    """A traced module, and its input."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("openvino", reason="OpenVINO is not installed here")
    data = torch.ones(1, 3)
    return torch.jit.trace(torch.nn.Flatten(), data), data


def test_a_traced_module_is_converted(doubling):
    traced, data = doubling
    model = openvino_library.converted(traced, [data])
    request = openvino_library.load().Core().compile_model(model, "CPU")
    assert list(request([data.numpy()])[0][0]) == [1, 1, 1]


def test_conversion_in_several_threads_leaves_the_root_logger_alone(doubling, monkeypatch):
    traced, data = doubling
    changes = []
    monkeypatch.setattr(logging.getLogger(), "setLevel", changes.append)
    handlers = logging.getLogger().handlers
    threads = [threading.Thread(target=openvino_library.converted, args=(traced, [data]))
               for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert changes == []
    assert logging.getLogger().handlers is handlers
