"""From the command line, and a configuration file, to one recipe and its model."""

import argparse
import dataclasses
import logging
import os
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from caffe_gradcam.commands.options import devices
from prototxt_tools.errors import QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.explaining.explainer import Explainer
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.model.model import LoadedModel
    from caffe_gradcam.pictures.figures import FigureOptions

Sections = Dict[str, Dict[str, Any]]

_SECTIONS = ("model", "overrides", "asking", "explaining", "running")
_MODEL_FILES = (".prototxt", ".pbtxt", ".prototxt.txt", ".pt")

_logger = logging.getLogger(__name__)


def from_options(options: argparse.Namespace) -> "Recipe":
    """The recipe that the command line describes, on top of that of ``--config``.

    With several devices, the recipe's is the first one; see :func:`devices_of`.

    Raises
    ------
    QuestionError
        The configuration cannot be read, a value in it or on the command line is unusable, or a
        plugin cannot be imported.
    """
    from caffe_gradcam.asking.asker import refuse_crop
    from caffe_gradcam.explaining.recipe import ModelChoice, Recipe

    plugins = import_named_plugins(options)  # They may register methods that the recipe names.
    if options.config:
        # Code runs only where the command line asks for it.
        recipe = Recipe.load(options.config, bool(getattr(options, "running.trust")), plugins)
        _shift_arguments(options)
    else:
        recipe = Recipe(ModelChoice(getattr(options, "model.path")))
    if not hasattr(options, "asking.crop"):
        refuse_crop(recipe.asking)
    given = _given(options)
    given["model"]["overrides"] = dict(recipe.model.overrides, **given.pop("overrides"))
    return Recipe(**{name: dataclasses.replace(getattr(recipe, name), **values)
                     for name, values in given.items()})


def for_each_score(options: argparse.Namespace) -> "List[Recipe]":
    """A recipe for each score blob that ``--score`` names, in order; one without the option.

    Raises
    ------
    QuestionError
        As :func:`from_options`; or a configuration, which holds one recipe, is to be saved of
        several.
    """
    names = list(dict.fromkeys(getattr(options, "overrides.score") or ()))
    if len(names) > 1 and options.save_config:
        raise QuestionError("--save-config: a configuration holds one score; give --score once",
                            "--save-config")
    setattr(options, "overrides.score", names[0] if names else None)
    recipe = from_options(options)
    others = [dataclasses.replace(recipe.model, overrides=dict(recipe.model.overrides, score=name))
              for name in names[1:]]
    return [recipe] + [dataclasses.replace(recipe, model=model) for model in others]


def import_named_plugins(options: argparse.Namespace) -> Tuple[str, ...]:
    """Import the modules that ``--plugin`` names, also from the current folder; their names.

    Raises
    ------
    QuestionError
        One cannot be imported.
    """
    from prototxt_tools.layers.plugins import import_plugins

    plugins = tuple(getattr(options, "running.plugins") or ())
    import_plugins(plugins, os.getcwd())
    return plugins


def _given(options: argparse.Namespace) -> Sections:
    """The values on the command line, by section of the recipe."""
    from caffe_gradcam.asking.grammar import parse_box, parse_region
    from caffe_gradcam.explaining.methods import usual_method

    given: Sections = {name: {} for name in _SECTIONS}
    for dest, value in vars(options).items():
        section, dot, key = dest.partition(".")
        if dot and value is not None:
            given[section][key] = tuple(value) if isinstance(value, list) else value
    if "at" in given["asking"]:
        given["asking"]["at"] = parse_region(given["asking"]["at"])
    if "crop" in given["asking"]:
        given["asking"]["crop"] = parse_box(given["asking"]["crop"])
    if "device" in given["running"]:
        given["running"]["device"] = devices(given["running"]["device"])[0]
    if given["asking"].get("detections") and not options.config:
        given["explaining"].setdefault("methods", (usual_method(of_boxes=True),))
    if options.verbose:
        given["running"]["verbose"] = True
    return given


def save(recipe: "Recipe", options: argparse.Namespace) -> None:
    """Write the recipe where ``--save-config`` asks for it."""
    if options.save_config:
        recipe.save(options.save_config)


def devices_of(options: argparse.Namespace) -> Tuple[str, ...]:
    """All devices that the command line names."""
    return tuple(devices(getattr(options, "running.device") or []))


def check_one_device(options: argparse.Namespace) -> None:
    """Raise a QuestionError for several devices, for commands that use one."""
    if len(devices_of(options)) > 1:
        raise QuestionError("--device: this command runs on one device; `caffe-gradcam batch` uses "
                            "several", "--device")


def located(recipe: "Recipe", options: argparse.Namespace) -> "Recipe":
    """The recipe with the path of its model, which is fetched if need be, instead of a name."""
    from caffe_gradcam import zoo

    path = zoo.locate(recipe.model.path, options.offline, options.quiet)
    return dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, path=str(path)))


def load_model(recipe: "Recipe", options: argparse.Namespace) -> "LoadedModel":
    """The recipe's model, fetched if need be; its warnings are logged."""
    choice = located(recipe, options).model
    if recipe.explaining.layers:
        layers = {"layers": list(recipe.explaining.layers)}
        choice = dataclasses.replace(choice, overrides={**choice.overrides, **layers})
    model = choice.load()
    for warning in model.warnings:
        _logger.warning(warning)
    return model


def open_explainer(recipe: "Recipe", model: "LoadedModel") -> "Explainer":
    """The recipe's explainer, for a model that was loaded by :func:`load_model`."""
    from caffe_gradcam.explaining.explainer import Explainer

    return Explainer.open(model, recipe.explaining, recipe.running)


def figure_options(options: argparse.Namespace) -> "FigureOptions":
    """How figures are drawn."""
    from caffe_gradcam.pictures.figures import FigureOptions
    from caffe_gradcam.pictures.render import Look

    look = Look(options.style, options.opacity, options.colormap)
    return FigureOptions(options.figure, look, options.heat_boxes, options.format,
                         options.named)


def _shift_arguments(options: argparse.Namespace) -> None:
    """Where the configuration names the model, all arguments may be images."""
    first = getattr(options, "model.path")
    if first is None:
        return  # The command names configurations itself.
    sources: List[str] = options.images if isinstance(options.images, list) else [options.images]
    sources = [source for source in sources if source is not None]
    if not (sources and _names_model(first)):
        sources.insert(0, first)
        setattr(options, "model.path", None)
        options.images = sources if isinstance(options.images, list) else sources[0]


def _names_model(text: str) -> bool:
    """Whether an argument is a model rather than an image or a source of images."""
    if text.lower().endswith(_MODEL_FILES):
        return True
    if os.path.isdir(text):
        return any(name.endswith(_MODEL_FILES) or name.lower() == "readme.md"
                   for name in os.listdir(text))
    return not os.path.exists(text) and not any(letter in text for letter in "*?[/.:-")
