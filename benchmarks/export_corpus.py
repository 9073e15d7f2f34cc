#!/usr/bin/env python3
"""Export each deploy net of a folder of prototxt files with random weights, and compare every blob
in ONNX Runtime with the torch engine.

usage: benchmarks/export_corpus.py DIR [PATTERN] [--openvino] [--results FILE]

DIR holds INDEX.tsv, whose column ``kind`` tells which files are deploy nets. The weights and inputs
are random, the same each time. Each net runs in a process of its own, the smallest first. Prints a
line for each, and how many came out how; the exit code is 1 if a net that was exported differs by
more than 1e-5 (relative L2 distance) in any blob.
"""

import argparse
import collections
import contextlib
import csv
import glob
import os
import pathlib
import resource
import subprocess
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
from prototxt_tools.rewrite.training_data import with_single_images  # noqa: E402
from prototxt_tools.text.document import Document  # noqa: E402
from prototxt_tools.text.edits import Edits  # noqa: E402

# The size of pixels around their mean.
_PIXEL = 30
# What the weights and the biases are multiplied by: errors then shrink from layer to layer.
_PRODUCTS, _BIASES = 0.8, 3


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
    document = _with_single_made_images(rewrite.native(document).document)
    text = document.text()
    weights_path = os.path.join(folder, "weights.caffemodel")
    weights.save(weights_path, _scaled(Net.parse(text).at("TEST"),
                                       definitions.random_weights(text) or {"none": []}))
    return NetSource(path.name, text, weights_path, None, {})


def _with_single_made_images(document):
    """The net with one image where DummyData layers give a batch of equal ones."""
    layers = [layer for layer in Net.parse(document).layers if layer.type == "DummyData"]
    sizes = {shape.dim[0] for layer in layers for shape in layer.message.dummy_data_param.shape
             if shape.dim}
    edits = Edits(document)
    with_single_images(edits, layers, sizes)
    return edits.apply()


def _scaled(net, blobs):
    """The weights with smaller ones where pixels come in, as trained nets have them, and with
    products that count less beside the biases.

    Otherwise scores are so far apart that a Softmax shows little but their rounding, and each
    layer of a deep net adds to the relative errors of those before it.
    """
    inputs = {entry.blob for entry in net.inputs}
    for layer in net.layers:
        if layer.name not in blobs or layer.type == "BatchNorm":
            continue
        weight, *biases = blobs[layer.name]
        factor = _PRODUCTS / _PIXEL if inputs.intersection(layer.bottoms) else _PRODUCTS
        kept = 1 if layer.type in ("Scale", "PReLU", "Normalize", "Embed") else factor
        blobs[layer.name] = [weight * np.float32(kept), *(bias * np.float32(_BIASES)
                                                          for bias in biases)]
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
        worst = max(certificate.blobs, key=lambda entry: (not entry.passes, entry.error))
        details = f"{len(certificate.blobs)} blobs, worst {worst.error:.1e} at {worst.name}"
        details += "".join("; " + note for note in certificate.notes)
        if "--openvino" in sys.argv:
            details += f"; OpenVINO {openvino_error(exported, source):.1e}"
        if any(entry.layer_error is not None for entry in certificate.blobs):
            return "agrees layer by layer", details
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


def judged_apart(path, folder, arguments):
    """A line of the table, from a process of its own with bounds on its memory and its time."""
    command = [sys.executable, __file__, str(folder), glob.escape(path.name), "--here"]
    begin = time.time()
    try:
        result = subprocess.run(
            command + ["--openvino"] * arguments.openvino, stdout=subprocess.PIPE, check=False,
            stderr=subprocess.PIPE, timeout=arguments.seconds, universal_newlines=True,
            preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_AS, (arguments.gigabytes << 30, arguments.gigabytes << 30)))
    except subprocess.TimeoutExpired:
        return f"not run: time\t{path.name}\tover {arguments.seconds} s"
    lines = [line for line in result.stdout.split("\n") if path.name in line]
    if lines:
        return lines[0]
    last = result.stderr.strip().split("\n")[-1]
    return f"not run: ended {result.returncode}\t{path.name}\t{last}\t{time.time() - begin:.0f} s"


def judged_here(path):
    """A line of the table, made in this process."""
    begin = time.time()
    try:
        verdict, details = judge(path)
    except Exception as error:  # Also a defect is a line of the table.
        verdict, details = "fails: " + type(error).__name__, str(error).split("\n")[0]
    return f"{verdict}\t{path.name}\t{details}\t{time.time() - begin:.0f} s"


def arguments_of():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("pattern", nargs="?", default="*")
    parser.add_argument("--openvino", action="store_true", help="run each in OpenVINO too")
    parser.add_argument("--results", type=pathlib.Path, metavar="FILE",
                        help="append the lines to FILE; nets that stand there are left out")
    parser.add_argument("--here", action="store_true", help="in this process, without bounds")
    parser.add_argument("--gigabytes", type=int, default=14, help="of memory for each net")
    parser.add_argument("--seconds", type=int, default=1800, help="of time for each net")
    return parser.parse_args()


def main():
    arguments = arguments_of()
    nets = sorted(deploy_nets(arguments.folder, arguments.pattern), key=size_of)
    lines = []
    if arguments.results is not None and arguments.results.exists():
        lines = arguments.results.read_text(encoding="utf-8").splitlines()
    present = {line.split("\t")[1] for line in lines}
    for path in nets:
        if path.name in present:
            continue
        line = judged_here(path) if arguments.here else judged_apart(
            path, arguments.folder, arguments)
        lines.append(line)
        print(line, flush=True)
        if arguments.results is not None:
            with open(arguments.results, "a", encoding="utf-8") as file:
                file.write(line + "\n")
    verdicts = collections.Counter(line.split("\t")[0] for line in lines)
    for verdict, count in verdicts.most_common():
        print(f"{count:5} {verdict}")
    print(f"a blob agrees up to a relative L2 distance of {BLOB_TOLERANCE:g}")
    return int(bool(verdicts["differs"]))


if __name__ == "__main__":
    sys.exit(main())
