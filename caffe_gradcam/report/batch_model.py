"""The model of a batch, to be asked again later."""

from typing import TYPE_CHECKING, Dict, Mapping, Optional, Tuple

from caffe_gradcam.explaining.recipe import Recipe
from caffe_gradcam.report import lenient
from caffe_gradcam.zoo import hashes
from prototxt_tools.errors import ModelError

if TYPE_CHECKING:
    from caffe_gradcam.model.model import LoadedModel
    from caffe_gradcam.report.output import Output

DIGESTS = ("prototxt_sha256", "weights_sha256")
_SOURCE = "the recipe of the batch"


def recipe_of(output: "Output", trust: bool = False, plugins: Tuple[str, ...] = ()) -> Recipe:
    """The recipe of a batch.

    Parameters
    ----------
    output : Output
    trust : bool
    plugins : tuple of str
        As for ``Recipe.trusted``; they are imported already.

    Raises
    ------
    QuestionError
        The manifest holds no recipe that this version understands, or one that trusts code which
        the user does not.
    """
    recipe = Recipe.from_dict(lenient.mapping(output.manifest, "recipe"), _SOURCE)
    return recipe.trusted(trust, plugins, _SOURCE)


def digests(model: "LoadedModel") -> Dict[str, str]:
    """The SHA-256 of the prototxt and of the weights; raises ModelError where one is gone."""
    try:
        return {name: hashes.digests(path, ("sha256",))["sha256"]
                for name, path in zip(DIGESTS, (model.path, model.weights))}
    except OSError as error:
        raise ModelError(f"{error.filename}: cannot be read: {error.strerror}",
                         model.path) from None


def digests_of(values: Mapping[str, object]) -> Dict[str, Optional[str]]:
    """Those that a file of results, or what rows depend on, tells of its model."""
    return {name: lenient.text_or_none(values.get(name)) for name in DIGESTS}


def check_unchanged(output: "Output", recipe: Recipe) -> None:
    """Raise ModelError where a recipe's model is not the one that the batch used."""
    model = recipe.model.load()
    if digests(model) != digests_of(lenient.mapping(output.manifest, "rows_depend_on")):
        raise ModelError(f"{model.path}: the model has changed since the batch", model.path)
