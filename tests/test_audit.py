"""What a stranger's net may do, and the command that tells it."""

import subprocess
import sys

import definitions
import pytest

from prototxt_tools.net.net import Net
from prototxt_tools.reports.audit import audit

BIG = ('input: "d" input_shape { dim: 1 dim: 100000 } layer { name: "fc" type: "InnerProduct" '
       'bottom: "d" top: "fc" inner_product_param { num_output: %d } }')


def found(text):
    return [(finding.kind, finding.sentence) for finding in audit(Net.parse(text))]


@pytest.mark.parametrize("kind, deed", [
    ("Python", "runs Python code"), ("ImageData", "reads files"), ("Data", "reads a database"),
    ("HDF5Data", "reads files"), ("HDF5Output", "writes a file"), ("WindowData", "reads files"),
    ("AnnotatedData", "reads a database"), ("VideoData", "may read files"),
])
def test_layers_that_run_code_or_touch_files_are_named(kind, deed):
    findings = audit(Net.parse(f'layer {{ name: "evil"\n type: "{kind}" }}'))
    assert [finding.layer for finding in findings] == ["evil"]
    assert findings[0].kind == ("code" if kind == "Python" else "file")
    assert deed in findings[0].sentence and "line 1" in findings[0].sentence


def test_code_and_files_are_named_with_the_layer():
    text = 'layer { name: "p" type: "Python" python_param { module: "os" layer: "system" } }'
    assert found(text) == [("code", "layer p (line 1) of type Python runs Python code named by the "
                            "file: os")]
    text = 'layer { name: "l" type: "InfogainLoss" infogain_loss_param { source: "m.bin" } }'
    assert found(text) == [("file", "layer l (line 1) of type InfogainLoss names files: m.bin")]


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "C:\\\\x", "\\\\\\\\host\\\\x", "~/x", "../x", "a/../../x"]
)
def test_places_outside_the_folder_are_named(path):
    text = 'layer {\n name: "d" type: "Data"\n data_param { source: "%s" } }' % path
    assert [kind for kind, _ in found(text)] == ["file", "path"]
    assert "layer d (line 3) names a path outside its folder in source: " in found(text)[1][1]


@pytest.mark.parametrize(
    "field", ["python_param { param_str: '%s' }", "data_param { source: '%s' }"]
)
def test_urls_are_named(field):
    text = 'layer { name: "d" type: "Python" %s }' % (field % "http://host/x")
    assert any(kind == "path" and "the URL" in said for kind, said in found(text))


def test_arithmetic_is_harmless():
    assert found('layer { name: "r" type: "ReLU" }') == []
    for text in (definitions.vgg(19), definitions.googlenet(), definitions.resnet(50)):
        assert found(text) == []


def test_data_layers_that_touch_no_file_are_harmless():
    text = ('layer { name: "m" type: "MemoryData" top: "d" top: "l" memory_data_param { '
            "batch_size: 1 channels: 1 height: 2 width: 2 } } layer { name: 'x' type: 'DummyData' "
            "top: 'y' dummy_data_param { shape { dim: 1 } } }")
    assert found(text) == []


def test_gigabytes_of_weights_are_named():
    assert found(BIG % 2600) == []
    assert found(BIG % 2700) == [
        ("size", "layer fc (line 1) of type InnerProduct has 1.0 GB of weights")]
    halves = BIG % 2000 + 'layer { name: "b" type: "InnerProduct" bottom: "d" top: "b" ' \
        "inner_product_param { num_output: 2000 } }"
    assert found(halves) == [("size", "the weights take 1.5 GB")]


def test_gigabytes_of_blobs_and_shapes_that_overflow_are_named():
    blob = 'input: "d%d" input_shape { dim: 1000 dim: 1000 dim: %d }'
    assert found("".join(blob % (i, 1000) for i in range(3))) == [
        ("size", "the blobs take 11.2 GB")]
    assert found(blob % (0, 1000000)) == [
        ("size", "<prototxt>:1:1: input d0 cannot be built: (1000, 1000, 1000000) are over 2^31 "
         "values")]


def test_names_that_would_share_a_file_are_named():
    relu = 'layer { name: "%s" type: "ReLU" bottom: "d" top: "%s" }'
    text = 'input: "d"' + relu % ("a", "conv/1") + relu % ("b", "Conv_1") + relu % ("c", "conv2")
    assert found(text) == [
        ("name", "blobs conv/1 and Conv_1 would share the file name conv_1")]


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a\\nb"])
def test_names_that_lead_out_of_a_folder_are_named(name):
    findings = found('layer { name: "r" type: "ReLU" top: "%s" }' % name)
    assert [kind for kind, _ in findings] == ["name"]
    assert "\n" not in findings[0][1]


def run(text, *arguments):
    result = subprocess.run(
        [sys.executable, "-m", "prototxt_tools", "audit", "-"] + list(arguments),
        input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    return result.returncode, result.stdout.decode()


def test_the_command_says_each_finding_on_a_line_and_exits_1():
    text = 'layer { name: "a" type: "HDF5Output" }\nlayer { name: "b" type: "Python" }'
    assert run(text) == (1, "code: layer b (line 2) of type Python runs Python code named by the "
                         "file\nfile: layer a (line 1) of type HDF5Output writes a file to the "
                         "disk\n")


def test_the_command_exits_0_without_findings_and_2_for_what_is_no_net():
    assert run('layer { name: "a" type: "ReLU" }') == (0, "")
    assert run("net: 'x'")[0] == 2
    assert "examples:" in run("", "--help")[1]
