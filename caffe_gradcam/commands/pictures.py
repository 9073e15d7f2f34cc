"""The pictures that explain is asked about, and the figures that it makes of them."""

import os
from typing import Any, NamedTuple, Optional, Tuple

from caffe_gradcam.asking.grammar import parse_box
from caffe_gradcam.commands import options as shared
from caffe_gradcam.model import choices, images
from caffe_gradcam.pictures import boxes, figures, outputs, render
from prototxt_tools.errors import InputError


class Picture(NamedTuple):
    """An image, or several for a net with several inputs, to be explained as a whole or in part.

    Attributes
    ----------
    name : str
        For the report, and for the names of figures.
    paths : dict or str
        Input blob -> image file; or one file for all inputs.
    crop : (int, int, int, int) or None
        x, y, width, height of the part that is asked about.
    """

    name: str
    paths: Any
    crop: Optional[Tuple[int, int, int, int]]

    def read(self):
        """Read the files: a :class:`Read`; raises InputError."""
        if isinstance(self.paths, dict):
            photographs = {name: images.read(path) for name, path in self.paths.items()}
            return Read(photographs, [photographs])
        whole = images.read(self.paths)
        if self.crop is None:
            return Read(whole, [whole])
        x, y, width, height = self.crop
        if min(x, y) < 0 or x + width > whole.shape[1] or y + height > whole.shape[0]:
            raise InputError("the crop {},{},{},{} goes beyond the picture of {}x{}".format(
                *self.crop + whole.shape[1::-1]))
        return Read(whole, [whole, whole[y:y + height, x:x + width]])


class Read(NamedTuple):
    """A picture's pixels, and what the net is asked about of them."""

    whole: Any
    asked: Any

    def of_input(self, name):
        """The photograph of one input."""
        return self.whole[name] if isinstance(self.whole, dict) else self.whole


def items(options, model):
    """The pictures that the options name.

    Raises
    ------
    InputError
        None at all, or inputs that the net has not.
    """
    crop = None
    if options.region:
        crop = parse_box(options.region, "--crop (of the image; the net's is --crop-size)")
    named = _named(options.images, model)
    if not named:
        return [Picture(path, path, crop) for path in options.images]
    if crop:
        raise InputError("--crop goes with one picture, not with those of several inputs")
    return [_of_inputs(named, [one for one in options.images if one not in named], model)]


def _named(arguments, model):
    """Those of some arguments that give the picture of one input of several: BLOB=IMAGE."""
    several = model.inputs if len(model.inputs) > 1 else ()
    return [one for one in arguments if one.partition("=")[0] in several]


def _of_inputs(named, others, model):
    """One picture of those of several inputs; another one stands for the inputs not named."""
    paths = dict(one.partition("=")[::2] for one in named)
    missing = [name for name in model.inputs if name not in paths]
    if len(others) != (1 if missing else 0):
        raise InputError("give one image for each input: {}".format(
            " ".join(name + "=IMAGE" for name in model.inputs)))
    ordered = {name: paths.get(name, others and others[0]) for name in model.inputs}
    return Picture(" ".join(dict.fromkeys(ordered.values())), ordered, None)


class Writer:
    """Writes what becomes of each picture, as the options of the command line say."""

    def __init__(self, options):
        choices.check([options.figure], figures.KINDS, "figure")
        choices.check([options.format], figures.FORMATS, "format")
        self._options = options
        self._look = render.Look.of(
            options.style, opacity=options.opacity, colormap=options.colormap)
        self._boxes = []

    def write(self, picture, stem, outcome, model):
        """Write what there is of one picture; gives its entry in the report."""
        try:
            if isinstance(outcome, InputError):
                raise outcome
            read, results = outcome
            row = outputs.image_row(picture.name, results[-1], model)
            if picture.crop:
                row["crop"] = list(picture.crop)
            row["explanations"] = self._explanations(picture, stem, read, results)
            return row
        except InputError as error:
            message = str(error)
            known = picture.name in message
            return {"path": picture.name,
                    "error": message if known else picture.name + ": " + message}

    def finish(self):
        """Write what is about all pictures."""
        if self._options.boxes:
            boxes.write(os.path.join(self._options.folder, "boxes.csv"), self._boxes)

    def _explanations(self, picture, stem, read, results):
        made = results[-1].explanations
        bases = outputs.bases(made)
        if self._options.figure == "grid":
            path = self._path(stem + ".grid")
            figures.write(path, figures.grid(
                read.of_input(made[0].input) if len(results) == 1 else read.asked[-1], made,
                self._look))
        rows = []
        for index, (one, base) in enumerate(zip(made, bases)):
            if self._options.figure != "grid":
                path = self._path(stem + "." + base)
                figures.write(path, self._figure(picture, read, results, index))
            npz = None
            if self._options.npz:
                npz = os.path.join(self._options.folder, f"{stem}.{base}.npz")
                outputs.write_arrays(npz, one, results[-1].scores)
            rows.append(outputs.explanation_row(one, path, npz))
            if self._options.boxes:
                rows[-1]["boxes"] = self._boxed(picture, one)
        return rows

    def _figure(self, picture, read, results, index):
        one = results[-1].explanations[index]
        if picture.crop and self._options.figure != "overlay":
            whole = results[0].explanations
            return figures.crop_and_whole(
                read.whole, picture.crop, whole[min(index, len(whole) - 1)], one, self._look)
        photograph = read.asked[-1] if picture.crop else read.of_input(one.input)
        return figures.one(
            photograph, one, self._look, self._options.boxes, self._options.figure)

    def _boxed(self, picture, explanation):
        found = boxes.find(explanation.heatmap, self._options.boxes)
        self._boxes += boxes.rows(
            found, path=picture.name, question=explanation.question, method=explanation.method,
            target=explanation.target)
        return [box._asdict() for box in found]

    def _path(self, base):
        return os.path.join(self._options.folder, f"{base}.{self._options.format}")
