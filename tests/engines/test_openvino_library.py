"""OpenVINO without the statistics that it would send, and without cores of its own choice."""

import os
import subprocess
import sys
import threading

import numpy as np
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


def cores_of_threads():
    """The cores that each thread of this process may run on."""
    for thread in os.listdir("/proc/self/task"):
        try:
            yield os.sched_getaffinity(int(thread))
        except ProcessLookupError:  # It has ended.
            continue


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core here")
def test_a_net_of_one_thread_is_not_pinned_to_the_core_of_the_next_one():
    pytest.importorskip("openvino", reason="OpenVINO is not installed here")
    openvino = openvino_library.load()
    import openvino.opset13 as operators

    data = np.zeros((8, 64, 56, 56), np.float32)
    blob = operators.parameter(data.shape, np.float32)
    kernels = operators.constant(np.ones((64, 64, 3, 3), np.float32))
    top = operators.convolution(blob, kernels, [1, 1], [1, 1], [1, 1], [1, 1])
    request = openvino.Core().compile_model(openvino.Model([top], [blob]), "CPU", dict(
        openvino_library.SETTINGS, INFERENCE_NUM_THREADS=1)).create_infer_request()
    running = threading.Thread(target=lambda: [request.infer([data]) for _ in range(5)])
    running.start()
    smallest = min(map(len, cores_of_threads()))
    while running.is_alive():
        smallest = min([smallest, *map(len, cores_of_threads())])
    assert smallest == len(os.sched_getaffinity(0))
