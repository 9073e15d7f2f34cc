"""Explainers that stay open from one call of ``Model.explain`` to the next."""

import base64
import html
import os

from caffe_gradcam.asking.questions import parse
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.model import images as image_files
from prototxt_tools.errors import InputError

_BATCH = 8


class Explanations(list):
    """A list that a notebook shows as pictures."""

    def _repr_html_(self):
        shown = (base64.b64encode(one._repr_png_()).decode("ascii") for one in self)
        return "".join(f'<img alt="{html.escape(one.question)}" src="data:image/png;base64,{data}">' for one, data in zip(self, shown))


def explain(model, images, classes, methods, targets, options):
    """See ``Model.explain``."""
    methods = _listed(methods)
    asked = [parse(one, model.find_class) if isinstance(one, str) else one
             for one in _listed(classes)]
    photographs = [_read(one) for one in _listed(images)]
    explainer = _explainer(model, methods, targets, options)
    explanations = Explanations()
    for start in range(0, len(photographs), _BATCH):
        part = photographs[start:start + _BATCH]
        for photograph, result in zip(part, explainer.explain(part, asked)):
            if isinstance(result, InputError):
                raise result
            explanations += [one._replace(photograph=_of_input(photograph, one.input))
                             for one in result.explanations]
    return explanations


def _explainer(model, methods, targets, options):
    """The model's open explainer, or a new one in its place."""
    chosen = model.with_targets(_listed(targets)) if targets else model
    key = methods, chosen.targets, options
    known = vars(model).get("session")
    if known and known[0] == key:
        return known[1]
    if known:
        known[1].close()
        del model.session
    model.session = key, Explainer.open(chosen, methods=methods, **options)
    return model.session[1]


def _listed(value):
    """A list of one thing or of several."""
    return list(value) if isinstance(value, (list, range)) or type(value) is tuple else [value]


def _read(image):
    if isinstance(image, dict):
        return {name: _read(one) for name, one in image.items()}
    return image_files.read(image) if isinstance(image, (str, os.PathLike)) else image


def _of_input(photograph, name):
    return photograph[name] if isinstance(photograph, dict) else photograph
