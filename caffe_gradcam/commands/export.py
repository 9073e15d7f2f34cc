"""caffe-gradcam export: the net as an ONNX graph that is proven to compute the same."""

import argparse
import os
from typing import TYPE_CHECKING, Any, List

from caffe_gradcam.commands import options as shared
from prototxt_tools.errors import QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.export.exporting import Exported, ExportOptions, Picture
    from caffe_gradcam.export.inputs import Pictures
    from caffe_gradcam.export.source import NetSource

_EXTENSIONS = {"onnx": ".onnx", "openvino": ".xml", "html": ".html"}
# Of more pictures, these many are taken, spread over all: others hardly change what they show.
_MOST_PICTURES = 300

DESCRIPTION = """\
Write a net as an ONNX graph that ONNX Runtime, OpenCV and OpenVINO read. Before anything is
written, the graph and the net itself run on the same inputs, and every blob has to agree.
"""

EXAMPLES = """\
examples:
  caffe-gradcam export models/digits -o digits.onnx
      digits.onnx, and digits.certificate.json, which lists the error of each blob
  caffe-gradcam export face.prototxt --weights face.caffemodel -o face.onnx
      a net without a model folder, such as a detector
  caffe-gradcam export models/squeezenet -o squeezenet.onnx --image cat.jpg --image dog.jpg
      proven on these images instead of random numbers
  caffe-gradcam export models/squeezenet -o explain.onnx --explain --heatmap --with-preprocessing
      takes images, and gives scores, the best class and its Grad-CAM
  caffe-gradcam export models/squeezenet -o small.xml --format openvino --precision int8 \\
      --calibrate photos
      faster and less exact; the certificate lists what changes on these images
  caffe-gradcam export models/squeezenet -o squeezenet.html --format html \\
      --ort-web node_modules/onnxruntime-web
      a page that does the same in a browser, without a server

exit codes: 0: written and proven; 2: the input is unusable, or the graph differs
"""

DETAILS = """\
Blobs and layers keep their names. The batch size is open where the net allows it; the certificate
lists what is fixed, with the reason. A layer that ONNX cannot express exactly is refused.
"""


def add(commands: Any) -> None:
    """Add the subcommand's parser."""
    parser = shared.add_command(
        commands, "export", "write the net as an ONNX graph, proven to compute the same",
        description=DESCRIPTION, epilog=EXAMPLES, details=DETAILS,
        usage="caffe-gradcam export MODEL -o FILE [option ...]")
    parser.add_argument("model.path", metavar="MODEL",
                        help="a model folder, a prototxt, or the name of a public model")
    parser.add_argument("-o", dest="output", metavar="FILE", required=True,
                        help="the .onnx, .xml or .html file to write; the certificate is named "
                        "after it")
    _add_graph(parser.add_argument_group("the graph"))
    _add_explaining(parser.add_argument_group("a graph that explains itself"))
    proof = parser.add_argument_group("the proof")
    proof.add_argument("--image", dest="images", metavar="FILE", action="append",
                       help="compare on this image; repeatable (default: on random numbers)")
    _add_precision(parser.add_argument_group("precision"))
    shared.add_running(parser.add_argument_group("the engine to compare with"), precisions=False)
    shared.add_model(parser.add_argument_group(
        "the model, where its folder does not specify it"))
    parser.add_argument("--config", help=argparse.SUPPRESS, default=None)
    shared.add_verbosity(parser.add_argument_group("output"))
    parser.set_defaults(run=run)


def _add_graph(graph: shared.Group) -> None:
    graph.add_argument("--format", metavar="NAME", choices=sorted(_EXTENSIONS), default="onnx",
                       help="onnx (default); openvino: its .xml and .bin; html: a page that "
                       "explains the images that are dropped on it")
    graph.add_argument("--ort-web", metavar="DIR",
                       help="html: the folder of the npm package onnxruntime-web")
    graph.add_argument("--output", dest="outputs", metavar="BLOB", action=shared.Names,
                       help="end in these blobs; commas or repeatable (default: those that no "
                       "layer reads)")
    graph.add_argument("--cut", choices=["detections"],
                       help="end in the blobs that DetectionOutput reads")
    graph.add_argument("--open-size", action="store_true",
                       help="leave the height and width of images open, for nets without layers "
                       "that need a fixed size")
    graph.add_argument("--fold", action="store_true",
                       help="let BatchNorm and Scale become part of the convolutions before them")
    graph.add_argument("--with-preprocessing", action="store_true",
                       help="read uint8 images of any size, height x width x 3, red first, and "
                       "prepare them in the graph")


def _add_precision(precision: shared.Group) -> None:
    precision.add_argument("--fp16", action="store_true",
                           help="openvino: store the weights as fp16")
    precision.add_argument("--precision", choices=["fp32", "int8"], default="fp32",
                           help="int8: let the net compute in 8 bits, after the proof in fp32, and "
                           "list in the certificate what that changes")
    precision.add_argument("--calibrate", metavar="SOURCE", action="append",
                           help="int8: images of the kind that the net is made for: a folder or "
                           "another source, as batch takes it; repeatable. The change is measured "
                           "on the images of --image, or without any on these")


def _add_explaining(explaining: shared.Group) -> None:
    explaining.add_argument("--explain", action="store_true",
                            help="add the outputs score, probability, class and cam, the map of "
                            "the best class, or of the class in the input chosen_class")
    explaining.add_argument("--method", metavar="NAME",
                            help="grad-cam (default), cam, hirescam, element-wise, layer-cam, "
                            "xgrad-cam or grad-cam++")
    explaining.add_argument("--layer", dest="layers", metavar="NAME", action=shared.Names,
                            help=shared.LAYER)
    explaining.add_argument("--top", metavar="K", type=shared.positive,
                            help="maps of the K best classes (default: 1)")
    explaining.add_argument("--heatmap", action="store_true",
                            help="also an output heatmap: the map at the size of the input, from 0 "
                            "to 1")


def run(options: argparse.Namespace) -> int:
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam.commands import recipes
    from caffe_gradcam.export.exporting import export
    from caffe_gradcam.export.source import NetSource

    recipes.check_one_device(options)
    _check(options)
    recipe = recipes.located(recipes.from_options(options), options)
    source = NetSource.load(recipe.model)
    exported = export(source, _options(options, source), recipe.running,
                      _pictures(options, source))
    if options.precision == "int8":
        exported = _in_int8(exported, source, options)
    certificate = _write(exported, source, options)
    if not options.quiet:
        _report(exported, options.output, certificate)
    return 0


def _check(options: argparse.Namespace) -> None:
    extension = _EXTENSIONS[options.format]
    if os.path.splitext(options.output)[1] != extension:
        raise QuestionError(f"-o {options.output}: the name must end in {extension}", "-o")
    if (options.format == "html") != bool(options.ort_web):
        raise QuestionError("--format html and --ort-web DIR belong together; DIR is the folder of "
                            "the npm package onnxruntime-web", "--ort-web")
    if options.fp16 and options.format != "openvino":
        raise QuestionError("--fp16 needs --format openvino", "--fp16")
    if options.precision == "int8" and not options.calibrate:
        raise QuestionError("--precision int8 needs images of the kind that the net is made for; "
                            "name a folder of them with --calibrate", "--calibrate")
    if options.calibrate and options.precision != "int8":
        raise QuestionError("--calibrate needs --precision int8", "--calibrate")
    if options.precision == "int8" and (options.fp16 or options.format == "html"):
        raise QuestionError("--precision int8 works only with --format onnx or openvino, and "
                            "without --fp16", "--precision")
    if options.cut and options.outputs:
        raise QuestionError("--cut and --output both set where the net ends; give only one",
                            "--cut")


def _write(exported: "Exported", source: "NetSource", options: argparse.Namespace) -> str:
    """Write the files of the format; the path of the certificate."""
    path = options.output
    exported.certificate.check()
    if options.format == "onnx":
        return exported.write(path)
    if options.format == "html":
        from caffe_gradcam.export.page import page

        return exported.write(path, page(exported, source, options.ort_web))
    from caffe_gradcam.export.openvino_ir import convert

    converted = convert(exported, options.fp16)
    converted.write(path)
    return exported.write_certificate(path)


def _in_int8(exported: "Exported", source: "NetSource", options: argparse.Namespace
             ) -> "Exported":
    """The graph in int8, compared in the library that will run it."""
    from caffe_gradcam.engines.onnx.engine import SESSIONS
    from caffe_gradcam.export.int8 import in_int8

    exported.certificate.check()
    calibration = _sources(options.calibrate, source)
    pictures = _sources(options.images, source) if options.images else calibration
    return in_int8(exported, source, calibration, pictures, SESSIONS[options.format])


def _sources(names: List[str], source: "NetSource") -> "Pictures":
    """The pictures that some sources hold."""
    from caffe_gradcam.batch.sources import InputColumns, open_source
    from caffe_gradcam.batch.sources.reading import fetch, read_image
    from caffe_gradcam.export.inputs import Pictures

    model = source.model
    if model is None:
        raise QuestionError(f"{source.name}: it is not known how the net reads images, so it "
                            "cannot be calibrated on any", "--calibrate")
    columns = InputColumns.of(model)
    items = [item for name in names for item in open_source(name, inputs=columns)]
    count = min(len(items), _MOST_PICTURES)
    items = [items[index * len(items) // count] for index in range(count)]
    return Pictures(
        items, lambda item: {"file": os.path.basename(item.path), "sha256": fetch(item).sha256},
        lambda item: read_image(item, model.inputs))


def _options(options: argparse.Namespace, source: "NetSource") -> "ExportOptions":
    from caffe_gradcam.export.explaining.graph import ExplainOptions
    from caffe_gradcam.export.exporting import ExportOptions

    explain, is_page = None, options.format == "html"
    if options.explain or is_page:
        explain = ExplainOptions(options.method or "grad-cam", tuple(options.layers or ()),
                                 options.top or 1, options.heatmap or is_page)
    for name in ("method", "layers", "top", "heatmap"):
        if getattr(options, name) and explain is None:
            option = "--" + name.rstrip("s") if name == "layers" else "--" + name
            raise QuestionError(f"{option} needs --explain", option)
    outputs = source.before_detections() if options.cut else options.outputs or ()
    return ExportOptions(options.open_size, options.fold, tuple(outputs), explain,
                         options.with_preprocessing or is_page)


def _pictures(options: argparse.Namespace, source: "NetSource") -> "List[Picture]":
    from caffe_gradcam.export.certificate import sha256_of_file
    from caffe_gradcam.model import images

    value_range = source.model.preprocessing.value_range if source.model else None
    return [({"file": os.path.basename(path), "sha256": sha256_of_file(path)},
             images.read(path, value_range)) for path in options.images or ()]


def _report(exported: "Exported", path: str, certificate_path: str) -> None:
    certificate = exported.certificate
    worst = max([*certificate.blobs, *certificate.outputs], key=lambda entry: entry.error)
    engine = certificate.engine
    exactly = "" if certificate.int8 is None else "in fp32, "
    print(f"{path}: {len(exported.model) / 1e6:.1f} MB; {exactly}{len(certificate.blobs)} blobs "
          f"agree with {engine['engine']} {engine['version']}, the worst, {worst.name}, up to "
          f"{worst.error:.1e}")
    for note in certificate.notes:
        print(f"{path}: {note}")
    for sentence in [] if certificate.int8 is None else certificate.int8.sentences():
        print(f"{path}: int8: {sentence}")
    print(f"{certificate_path}: the proof")
