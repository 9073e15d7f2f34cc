"""All models with a name: those that are shipped, and those a user added."""

import dataclasses
import difflib
import os
import re
from typing import List, Optional, Sequence

from caffe_gradcam.model import folder as model_folder
from caffe_gradcam.model import user_folder
from caffe_gradcam.zoo import entries
from caffe_gradcam.zoo.entries import Entry
from prototxt_tools.errors import InputError, ModelError, QuestionError

LINK = "folder.txt"
_ROOM = os.path.dirname(os.path.abspath(__file__))
_SHIPPED = (os.path.join(_ROOM, "models"),
            os.path.join(os.path.dirname(os.path.dirname(_ROOM)), "models"))
_NEAR = 5


def shipped() -> str:
    """The folder of the shipped registry: inside the package where it is installed, beside it
    in a checkout."""
    for folder in _SHIPPED:
        if os.path.isfile(os.path.join(folder, "labels.yaml")):
            return folder
    raise ModelError(f"{_SHIPPED[0]}: the registry of models is missing; install the package "
                     "again", _SHIPPED[0])


def added() -> str:
    """The folder of the models that a user added."""
    return os.path.join(user_folder.path(), "added")


def load() -> List[Entry]:
    """Every model of the registry.

    Returns
    -------
    list of Entry
        By id; a model that a user added replaces a shipped one of the same name.

    Raises
    ------
    ModelError
        The shipped registry is missing or damaged.
    """
    models = {name: _shipped(name) for name in _folders(shipped())}
    for name in _folders(added()):
        try:
            models[name] = _added(name)
        except InputError:
            # A folder that is gone must not hide the others; `find` tells what is wrong with it.
            continue
    return [models[name] for name in sorted(models)]


def find(name: str, models: Optional[Sequence[Entry]] = None) -> Entry:
    """The model of a name.

    Parameters
    ----------
    name : str
        Its id, its name or an alias, in any case, with any marks between the words.
    models : sequence of Entry, optional
        Instead of ``load()``.

    Returns
    -------
    Entry

    Raises
    ------
    QuestionError
        No model has it, or several do; near names are suggested.
    """
    if models is None and name in _folders(added()):
        return _added(name)
    if models is None and name in _folders(shipped()):
        return _shipped(name)
    models = load() if models is None else models
    for plain in (str, _plain):
        hits = [entry for entry in models if plain(name) in map(plain, entry.names)]
        if len(hits) == 1:
            return hits[0]
        if hits:
            ids = " and ".join(entry.id for entry in hits)
            raise QuestionError(f"{name!r} is the name of {ids}; choose one of them", name)
    plain_ids = {_plain(entry.id): entry.id for entry in models}
    near = [plain_ids[hit] for hit in
            difflib.get_close_matches(_plain(name), plain_ids, _NEAR, 0.5)]
    near += [entry.id for entry in models
             if _plain(name) in _plain(entry.id) and entry.id not in near]
    hint = ("near: " + ", ".join(near[:_NEAR]) if near else
            "`caffe-gradcam models list` lists them all")
    raise QuestionError(f"no model is called {name!r}; {hint}", name)


def is_taken(name: str) -> bool:
    """Whether a model has that id."""
    return name in _folders(shipped()) or name in _folders(added())


def selected(models: Sequence[Entry], task: Optional[str] = None,
             max_size: Optional[float] = None, license: Optional[str] = None,
             fetchable: bool = False) -> List[Entry]:
    """The models that a filter lets through.

    Parameters
    ----------
    models : sequence of Entry
    task, license : str, optional
        A part of the entry's task, its kind of classes, or its licence.
    max_size : int, optional
        In bytes; models of unknown size do not pass.
    fetchable : bool
        Only those whose files all have an address.
    """
    def passes(entry: Entry) -> bool:
        tasks = "{} {}".format(entry.facts.get("task"), entry.facts.get("about")).lower()
        return ((task is None or task.lower() in tasks)
                and (license is None or license.lower() in str(entry.license).lower())
                and (max_size is None or (entry.size is not None and entry.size <= max_size))
                and (not fetchable or entry.is_local or entry.is_fetchable))

    return [entry for entry in models if passes(entry)]


def _folders(parent: str) -> List[str]:
    try:
        names = sorted(os.listdir(parent))
    except OSError:
        return []
    return [name for name in names if any(
        os.path.isfile(os.path.join(parent, name, file)) for file in (model_folder.README, LINK))]


def _shipped(name: str) -> Entry:
    folder = os.path.join(shipped(), name)
    return entries.read(folder, is_local=_has_weights(folder))


def _added(name: str) -> Entry:
    folder = os.path.join(added(), name)
    link = os.path.join(folder, LINK)
    if os.path.isfile(link):
        with open(link, encoding="utf-8") as file:
            folder = file.read().rstrip("\n")
        if not os.path.isdir(folder):
            raise ModelError(f"{folder}: the folder of {name} is gone; "
                             f"`caffe-gradcam models remove {name}` forgets it", folder)
    entry = entries.read(folder, is_local=True)
    return dataclasses.replace(entry, id=name)


def _has_weights(folder: str) -> bool:
    return any(name.endswith(model_folder.WEIGHTS) for name in os.listdir(folder))


def _plain(name: object) -> str:
    return re.sub("[^a-z0-9]+", "", str(name).lower())
