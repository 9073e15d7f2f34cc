"""OpenVINO is used without the statistics that it would send over the network."""

import subprocess
import sys

import pytest

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
