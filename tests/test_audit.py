"""What a stranger's net may do."""

import pytest

from prototxt_tools.audit import audit
from prototxt_tools.net import Net


@pytest.mark.parametrize("kind, deed", [
    ("Python", "runs Python code"), ("ImageData", "reads files"), ("Data", "reads a database"),
    ("HDF5Data", "reads files"), ("HDF5Output", "writes a file"), ("WindowData", "reads files"),
])
def test_layers_that_run_code_or_touch_files_are_named(kind, deed):
    findings = audit(Net.parse('layer {{ name: "evil"\n type: "{}" }}'.format(kind)))
    assert [finding.layer for finding in findings] == ["evil"]
    assert deed in findings[0].sentence and "line 1" in findings[0].sentence


def test_arithmetic_is_harmless():
    assert audit(Net.parse('layer { name: "r" type: "ReLU" }')) == []
