"""All models that are known by name: those that come along, and those a user added."""

import dataclasses
import difflib
import os
import re

from caffe_gradcam.model import folder as model_folder
from caffe_gradcam.zoo import cache, entries
from prototxt_tools.errors import InputError

LINK = "folder.txt"
_HERE = os.path.dirname(os.path.abspath(__file__))
_PLACES = (os.path.join(_HERE, "models"),
           os.path.join(os.path.dirname(os.path.dirname(_HERE)), "models"))
_NEAR = 5


def shipped():
    """The folder of the registry that comes along: inside the package where it is installed,
    beside it in a checkout."""
    for place in _PLACES:
        if os.path.isfile(os.path.join(place, "labels.yaml")):
            return place
    raise InputError(f"{_PLACES[0]}: the registry of models is missing; install the package again")


def added():
    """The folder of the models that a user added."""
    return os.path.join(cache.home(), "added")


def load():
    """Every model of the registry.

    Returns
    -------
    list of Entry
        By id; what a user added goes before what comes along.

    Raises
    ------
    InputError
        The registry that comes along is missing or damaged.
    """
    found = {name: _shipped(name) for name in _folders(shipped())}
    for name in _folders(added()):
        try:
            found[name] = _added(name)
        except InputError:
            # A folder that is gone must not hide the others; `find` says what is wrong with it.
            continue
    return [found[name] for name in sorted(found)]


def find(name, known=None):
    """The model of a name.

    Parameters
    ----------
    name : str
        Its id, its name or an alias, in any case, with any marks between the words.
    known : list of Entry, optional
        Instead of ``load()``.

    Returns
    -------
    Entry

    Raises
    ------
    InputError
        None has it, or several do; near names are suggested.
    """
    if known is None and name in _folders(added()):
        return _added(name)
    if known is None and name in _folders(shipped()):
        return _shipped(name)
    known = load() if known is None else known
    for plain in (str, _plain):
        hits = [one for one in known if plain(name) in {plain(own) for own in one.names}]
        if len(hits) == 1:
            return hits[0]
        if hits:
            raise InputError("{!r} is the name of {}; say which".format(
                name, " and ".join(one.id for one in hits)))
    plain_ids = {_plain(one.id): one.id for one in known}
    near = [plain_ids[hit] for hit in
            difflib.get_close_matches(_plain(name), plain_ids, _NEAR, 0.5)]
    near += [one.id for one in known if _plain(name) in _plain(one.id) and one.id not in near]
    hint = "near: " + ", ".join(near[:_NEAR]) if near else "`caffe-gradcam models list` has all"
    raise InputError(f"no model is called {name!r}; {hint}")


def is_taken(name):
    """Whether a model has that id."""
    return name in _folders(shipped()) or name in _folders(added())


def selected(known, task=None, max_size=None, license=None, fetchable=False):
    """The models that a filter lets through.

    Parameters
    ----------
    known : list of Entry
    task, license : str, optional
        A part of what the entry says of its task, its kind of classes or its license.
    max_size : int, optional
        In bytes; models of unknown size do not pass.
    fetchable : bool
        Those only whose files all have an address.

    Returns
    -------
    list of Entry
    """
    def passes(one):
        tasks = "{} {}".format(one.facts.get("task"), one.facts.get("about")).lower()
        return ((task is None or task.lower() in tasks)
                and (license is None or license.lower() in str(one.license).lower())
                and (max_size is None or (one.size is not None and one.size <= max_size))
                and (not fetchable or one.is_local or one.is_fetchable))

    return [one for one in known if passes(one)]


def _folders(place):
    try:
        names = sorted(os.listdir(place))
    except OSError:
        return []
    return [name for name in names if any(
        os.path.isfile(os.path.join(place, name, file)) for file in (model_folder.README, LINK))]


def _shipped(name):
    folder = os.path.join(shipped(), name)
    return entries.read(folder, is_local=_has_weights(folder))


def _added(name):
    folder = os.path.join(added(), name)
    link = os.path.join(folder, LINK)
    if os.path.isfile(link):
        with open(link, encoding="utf-8") as file:
            folder = file.read().rstrip("\n")
        if not os.path.isdir(folder):
            raise InputError(f"{folder}: the folder of {name} is gone; `caffe-gradcam models remove {name}` "
                             "forgets it")
    entry = entries.read(folder, is_local=True)
    return dataclasses.replace(entry, id=name)


def _has_weights(folder):
    return any(name.endswith(model_folder.WEIGHTS) for name in os.listdir(folder))


def _plain(name):
    return re.sub("[^a-z0-9]+", "", str(name).lower())
