"""caffe-gradcam explain: figures that show what a net looked at."""

import argparse
import json
import sys

from caffe_gradcam.commands import options as shared
from prototxt_tools.errors import InputError

DESCRIPTION = """\
Write, for each image and class, a figure that shows where the net found what speaks for the
class (Grad-CAM): the photograph beside itself with the map laid over it.
"""

EXAMPLES = """\
examples:
  caffe-gradcam explain models/digits scene.png -o figures
      what is it, and why: the class with the highest score
  caffe-gradcam explain models/squeezenet *.jpg -o figures --class "tiger cat" --class top:2 --npz
      this class and the two likeliest of each photograph, with the arrays behind the figures
  caffe-gradcam explain models/squeezenet cat.jpg -o figures --versus tabby "tiger cat"
      what tells one class from the other
  caffe-gradcam explain models/squeezenet cat.jpg -o figures --class top:3 --figure grid \\
      --method grad-cam,layer-cam,score-cam --layer fire5/concat --layer fire9/concat
      classes, methods and layers in one table

methods, by what they take besides the forward pass:
  nothing    cam (for pooled heads), eigen-cam, random (the baseline)
  gradients  grad-cam, grad-cam++, xgrad-cam, hirescam, element-wise, layer-cam, eigen-grad-cam,
             fullgrad; of the pixels: saliency, guided-backprop, deconvnet, guided-grad-cam
  head       ablation-cam: the layers behind the target, once for each channel
  net        score-cam, ss-cam, smooth-grad-cam++; of the pixels: smoothgrad,
             integrated-gradients, occlusion, rise: the whole net, many times

A model is a folder with deploy.prototxt, a .caffemodel and a readme.md that says how pictures
are prepared; or a prototxt, with --weights. What is not said is found in the net or the folder,
or assumed, and shown; every value can be given here instead.

exit codes: 0 all done, 1 some images failed, 2 nothing could be done
"""


def add(commands):
    """Add the subcommand's parser."""
    parser = commands.add_parser(
        "explain",
        help="show what the net looked at in some images",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL",
                        help="a model folder, a prototxt, or a public model's name")
    parser.add_argument("images", metavar="IMAGE", nargs="+",
                        help="an image file; for a net with several inputs BLOB=IMAGE for each")
    parser.add_argument("-o", dest="folder", metavar="DIR", required=True, help="for the figures")
    asking = parser.add_argument_group("what to explain")
    asking.add_argument("--crop", dest="region", metavar="X,Y,W,H",
                        help="ask about this part of the photograph, and show both")
    shared.add_questions(asking)
    shared.add_methods(parser.add_argument_group("how to explain it"))
    shared.add_running(parser.add_argument_group("how to run"))
    shared.add_model(parser.add_argument_group(
        "the model, where its folder says nothing or is wrong"))
    _add_figures(parser.add_argument_group("figures"))
    _add_output(parser.add_argument_group("output"))
    parser.set_defaults(run=run)


def _add_figures(group):
    group.add_argument("--figure", metavar="KIND", default="side-by-side",
                       help="side-by-side (default), overlay (the bare picture), or grid: a row "
                       "for each class, a column for each method and layer")
    group.add_argument("--style", metavar="NAME", default="fade",
                       help="fade (default), added, clipped, half, 60-40, bare, contours, masked "
                       "or blurred")
    group.add_argument("--colormap", metavar="NAME",
                       help="any of OpenCV's, such as jet (default) or viridis; blue-white-red "
                       "and purple-white-green show what speaks against the class too")
    group.add_argument("--opacity", metavar="X", type=float, help="of the colours, 0 to 1")
    group.add_argument("--boxes", metavar="X", type=float, nargs="?", const=0.15,
                       help="draw boxes around what has this part of the highest heat "
                       "(without X: 0.15), and write them to boxes.csv")
    group.add_argument("--format", metavar="EXT", default="png",
                       help="png (default), jpg or webp; svg or pdf with Matplotlib")


def _add_output(group):
    group.add_argument("--npz", action="store_true",
                       help="also write the arrays: cam, heatmap, scores")
    group.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    shared.add_talk(group)


def run(options):
    """Run the subcommand; the result is the exit code."""
    from caffe_gradcam.asking.grammar import Asker
    from caffe_gradcam.commands.pictures import Writer, items

    model = shared.load_model(options)
    pictures, asking = items(options, model), shared.asking(options)
    Asker(asking, model)  # An unknown class is found before the engine opens.
    writer = Writer(options)
    if not (options.json or options.quiet):
        print(shared.describe(model), file=sys.stderr)
    methods = shared.methods(options)
    with shared.open_explainer(model, options, methods, options.fuse) as explainer:
        asked = Asker(asking, model, explainer.score_blob).questions()
        rows = explain_all(explainer, pictures, asked, writer, options)
        ran = explainer.engine.description
    writer.finish()
    if options.json:
        report = {"model": model.name, "engine": ran["engine"], "device": ran["device"]}
        print(json.dumps(dict(report, images=rows), indent=2))
    failed = sum("error" in row for row in rows)
    return 0 if not failed else 2 if failed == len(rows) else 1


def explain_all(explainer, pictures, asked, writer, options):
    """Explain all pictures, batch by batch; gives the report's entries in their order."""
    from tqdm import tqdm

    from caffe_gradcam.pictures import outputs

    names = outputs.stems([one.name for one in pictures])
    rows = []
    hidden = options.quiet or len(pictures) == 1
    with tqdm(total=len(names), unit="image", disable=True if hidden else None) as progress:
        for start in range(0, len(names), options.batch):
            batch = pictures[start:start + options.batch]
            for one, name, outcome in zip(batch, names[start:],
                                          explain_batch(explainer, batch, asked)):
                row = writer.write(one, name, outcome, explainer.model)
                say(row, options, progress)
                rows.append(row)
                progress.update()
    return rows


def explain_batch(explainer, batch, asked):
    """What there is of each picture: (photographs, result or results), or an InputError.

    A picture with a crop has two results, of the whole and of the crop.
    """
    from caffe_gradcam.explaining.explainer import attempt

    read = [attempt(one.read) for one in batch]
    parts = [[] if isinstance(one, InputError) else one.asked for one in read]
    flat = [part for own in parts for part in own]
    try:
        results = iter(explainer.explain(flat, asked) if flat else [])
    except InputError as error:
        results = iter([error] * len(flat))
    outcomes = []
    for one, own in zip(read, parts):
        answers = [next(results) for _ in own]
        errors = [answer for answer in answers + [one] if isinstance(answer, InputError)]
        outcomes.append(errors[0] if errors else (one, answers))
    return outcomes


def say(row, options, progress):
    """Tell the user what became of an image."""
    if "error" in row:
        progress.write("caffe-gradcam: {}".format(row["error"]), file=sys.stderr)
    elif not (options.json or options.quiet):
        for one in row["explanations"]:
            method = "" if one["method"] == "grad-cam" else one["method"] + " "
            line = "{}: {} {}at {} -> {}".format(
                row["path"], one["question"], method, one["target"], one["figure"]
            )
            # File names may hold bytes, and labels letters, that the terminal's encoding has not.
            encoding = sys.stdout.encoding or "utf-8"
            progress.write(line.encode(encoding, "backslashreplace").decode(encoding))
