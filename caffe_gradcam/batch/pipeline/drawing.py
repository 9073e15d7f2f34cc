"""Pictures of rows: overlays while a batch runs, and later by ``render``."""

from caffe_gradcam.batch.output.plan import OVERLAYS
from caffe_gradcam.model import choices
from caffe_gradcam.pictures import figures, outputs, render
from prototxt_tools.errors import InputError

# How figures look unless somebody says otherwise: one of ``figures.KINDS`` but the grid, what
# ``render.Look.of`` takes, a format that OpenCV writes, and the threshold of boxes to draw.
LOOK = {"figure": "side-by-side", "style": "fade", "opacity": None, "colormap": None,
        "format": "png", "boxes": None}
KINDS, FORMATS = ("side-by-side", "overlay"), ("png", "jpg", "webp")


def check(look):
    """Raise an InputError for a look that there is not."""
    choices.check([look["figure"]], KINDS, "figure")
    choices.check([look["format"]], FORMATS, "format")
    _look_of(look)


def errands(plan, shard, outcomes, work):
    """What decoders shall draw of a shard.

    Parameters
    ----------
    plan : Plan
    shard : int
    outcomes : list of Outcome
    work : Work

    Returns
    -------
    folder : str
        Within the plan's folder.
    errands : list of tuple
        Arguments of ``decode.draw``.
    """
    folder = f"{OVERLAYS}/part-{shard:06d}"
    place = plan.folder.place(folder)
    made = [errand(one.item, one.sha256, one.explanations, work.look, place)
            for one in outcomes if one.status == "done" and _is_wanted(one, work.overlays)]
    return folder, made


def errand(item, sha256, explanations, look, folder):
    """The arguments of ``decode.draw`` for an item."""
    stem = f"{item.number:09d}.{outputs.stems([item.path])[0]}"
    names = ["{}.{}.{}".format(stem, base, look["format"]) for base in outputs.bases(explanations)]
    return item, sha256, list(zip(names, explanations)), look, folder


def _is_wanted(outcome, overlays):
    if isinstance(overlays, int):
        return outcome.item.number < overlays
    if overlays == "wrong":
        return outcome.label is not None and outcome.label != outcome.predicted
    return overlays == "all"


def picture_of(photograph, explanation, look):
    """The figure of an explanation as an image file's bytes.

    Parameters
    ----------
    photograph : numpy.ndarray
        H x W x 3 uint8, blue first.
    explanation : Explanation
    look : dict

    Returns
    -------
    bytes
    """
    import cv2

    size = tuple(explanation.geometry.image_size)
    if photograph.shape[:2] != size:
        raise InputError("the photograph is {}x{}, the explanation's was {}x{}".format(
            *photograph.shape[:2] + size))
    figure = figures.one(
        photograph, explanation, _look_of(look), look["boxes"], look["figure"])
    pixels = render.draw(figure) if isinstance(figure, render.Sheet) else figure
    return cv2.imencode("." + look["format"], pixels)[1].tobytes()


def _look_of(look):
    return render.Look.of(look["style"], opacity=look["opacity"], colormap=look["colormap"])
