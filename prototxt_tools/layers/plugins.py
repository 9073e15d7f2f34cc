"""Modules of users that register layer types."""

import importlib
import sys
from typing import Iterable, Optional

from prototxt_tools.errors import QuestionError


def import_plugins(names: Iterable[str], folder: Optional[str] = None) -> None:
    """Import modules, which register layer types when they are imported.

    Parameters
    ----------
    names : iterable of str
    folder : str, optional
        Where to look before Python's own path.

    Raises
    ------
    QuestionError
        A name that no module can have, or a module that cannot be imported.
    """
    names = list(names)
    if names and folder is not None and folder not in sys.path:
        sys.path.insert(0, folder)
    for name in names:
        if name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
            raise QuestionError(f"plugin {name!r}: not the name of a module, such as my_layers (of "
                                "the file my_layers.py) or package.layers", name)
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:  # A module may raise anything.
            raise QuestionError(f"plugin {name!r} cannot be imported "
                                f"({type(error).__name__}: {error})", name) from error
