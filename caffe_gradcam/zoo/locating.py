"""What a user means by the name or the path of a model."""

import os

from caffe_gradcam.model import folder as model_folder
from prototxt_tools.errors import ModelError


def locate(name_or_path: str, offline: bool = False, quiet: bool = False) -> str:
    """The path that a user means: one that exists, or the folder of a model of that name.

    Parameters
    ----------
    name_or_path : str
    offline, quiet : bool
        See ``fetch``.

    Returns
    -------
    str
        A model folder or a prototxt, for ``Model.load``. The registry's own folder of a model
        counts as its name.

    Raises
    ------
    ModelError, QuestionError
        There is no such path and no such model.
    FetchError
        The model cannot be fetched.
    """
    is_bare_entry = _is_bare_entry(name_or_path)
    if os.path.exists(name_or_path) and not is_bare_entry:
        return name_or_path
    is_path = os.path.dirname(name_or_path) or name_or_path.endswith((".prototxt", ".pt"))
    if is_path and not is_bare_entry:
        raise ModelError(f"{name_or_path}: no such model folder or prototxt", name_or_path)
    # A path that exists needs nothing of what fetches.
    from caffe_gradcam.zoo import entries, fetching, registry

    entry = entries.read(name_or_path) if is_bare_entry else registry.find(name_or_path)
    return fetching.ready(entry, offline, quiet)


def _is_bare_entry(path: str) -> bool:
    """Whether a folder is one of the registry's, without the model itself."""
    has_readme = os.path.isfile(os.path.join(path, model_folder.README))
    return (has_readme and not model_folder.has_net(path)
            and bool(model_folder.read_front_matter(path).get("zoo")))
