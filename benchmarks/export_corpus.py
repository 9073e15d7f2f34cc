#!/usr/bin/env python3
"""Export each deploy net of a folder of prototxt files with random weights, and compare every blob
in ONNX Runtime with the torch engine.

usage: benchmarks/export_corpus.py DIR [PATTERN] [--openvino]

DIR holds INDEX.tsv, whose column ``kind`` tells which files are deploy nets. The weights and inputs
are random, the same each time. Prints a line for each net, and how many came out how; the exit code
is 1 if a net that was exported differs by more than 1e-5 (relative L2 distance) in any blob.
"""

import collections
import contextlib
import csv
import os
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import definitions  # noqa: E402
import numpy as np  # noqa: E402

from caffe_gradcam.engines.running import Running  # noqa: E402
from caffe_gradcam.export.exporting import ExportOptions, export  # noqa: E402
from caffe_gradcam.export.proof import BLOB_TOLERANCE, compare  # noqa: E402
from caffe_gradcam.export.source import NetSource  # noqa: E402
from prototxt_tools import rewrite, shapes, weights  # noqa: E402
from prototxt_tools.errors import InputError  # noqa: E402
from prototxt_tools.layers.sizes import volume  # noqa: E402
from prototxt_tools.net.net import Net  # noqa: E402
from prototxt_tools.text.document import Document  # noqa: E402

# The size of pixels around their mean.
_PIXEL = 30


def deploy_nets(folder, pattern="*"):
    """The paths of the deploy nets that an INDEX.tsv lists."""
    with open(folder / "INDEX.tsv", encoding="utf-8") as file:
        names = {row["file"] for row in csv.DictReader(file, delimiter="\t")
                 if row["kind"].startswith("deploy")}
    return sorted(path for path in folder.glob(pattern) if path.name in names)


def source_of(path, folder):
    """The net with random weights, at a batch of one image where that is possible."""
    document = Document.load(str(path))
    if Net.parse(document).form in ("V0", "mixed"):
        document = rewrite.upgrade(document).document
    with contextlib.suppress(InputError):
        document = rewrite.batch_size(document, 1).document
    text = document.text()
    weights_path = os.path.join(folder, "weights.caffemodel")
    weights.save(weights_path, _scaled(Net.parse(text).at("TEST"),
                                       definitions.random_weights(text) or {"none": []}))
    return NetSource(path.name, text, weights_path, None, {})


def _scaled(net, blobs):
    """The weights with smaller ones where pixels come in, as trained nets have them.

    Otherwise scores are so far apart that a Softmax shows little but their rounding.
    """
    inputs = {entry.blob for entry in net.inputs}
    for layer in net.layers:
        if layer.name in blobs and inputs.intersection(layer.bottoms):
            blobs[layer.name][0] = blobs[layer.name][0] / np.float32(_PIXEL)
    return blobs


def size_of(path):
    """How many weights a net has; 0 where that cannot be known."""
    try:
        net = Net.parse(Document.load(str(path))).at("TEST")
        parameters = shapes.parameters(net, shapes.infer(net))
    except InputError:
        return 0
    return sum(volume(shape) for arrays in parameters.values() for shape in arrays)


def judge(path):
    """(verdict, details) of a net."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            net = Net.parse(Document.load(str(path))).at("TEST")
            if any(not entry.shape for entry in net.inputs):
                return "no input size in the file", ""
            shapes.infer(net)
            source = source_of(path, folder)
            exported = export(source, ExportOptions(), Running(engine="torch"))
        except InputError as error:
            return "refused: " + type(error).__name__, str(error)
        certificate = exported.certificate
        worst = max(certificate.blobs, key=lambda entry: entry.error)
        details = f"{len(certificate.blobs)} blobs, worst {worst.error:.1e} at {worst.name}"
        details += "".join("; " + note for note in certificate.notes)
        if "--openvino" in sys.argv:
            details += f"; OpenVINO {openvino_error(exported, source):.1e}"
        return "agrees" if certificate.passes else "differs", details


def openvino_error(exported, source):
    """The largest error of an output in OpenVINO, which computes in f32 here."""
    import openvino

    from caffe_gradcam.export.made import made_inputs
    from caffe_gradcam.export.proof import run_graph, written_to_folder

    core = openvino.Core()
    with written_to_folder(exported.model) as folder:
        compiled = core.compile_model(core.read_model(os.path.join(folder, "model.onnx")), "CPU",
                                      {"INFERENCE_PRECISION_HINT": "f32"})
        net = Net.parse(Document.parse(source.prototxt)).at("TEST")
        inputs = made_inputs(net, source.input_shapes)
        results = compiled({port.any_name: inputs[port.any_name] for port in compiled.inputs})
        expected = run_graph(exported.model, inputs)
        return max(compare(name, results[port], expected[name]).error
                   for port in compiled.outputs for name in port.names if name in expected)


def main():
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    verdicts = collections.Counter()
    for path in sorted(deploy_nets(pathlib.Path(arguments[0]), *arguments[1:2]), key=size_of):
        begin = time.time()
        try:
            verdict, details = judge(path)
        except Exception as error:  # Also a defect is a line of the table.
            verdict, details = "fails: " + type(error).__name__, str(error).split("\n")[0]
        verdicts[verdict] += 1
        print(f"{verdict}\t{path.name}\t{details}\t{time.time() - begin:.0f} s", flush=True)
    for verdict, count in verdicts.most_common():
        print(f"{count:5} {verdict}")
    print(f"a blob agrees up to a relative L2 distance of {BLOB_TOLERANCE:g}")
    return int(bool(verdicts["differs"]))


if __name__ == "__main__":
    sys.exit(main())
