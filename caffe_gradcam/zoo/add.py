"""A user's own models in the registry: any folder as in the BVLC Model Zoo, any gist's readme."""

import dataclasses
import os
import re
import shutil

from caffe_gradcam.model import folder as model_folder
from caffe_gradcam.zoo import cache, entries, registry
from prototxt_tools.errors import InputError
from prototxt_tools.files import write_bytes
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document


def add(path, name=None):
    """Make a model known by a name.

    Parameters
    ----------
    path : str
        A folder with a prototxt and weights, or a readme.md that says where they are. A folder
        stays where it is, and what it lacks is fetched into it; of a readme.md alone a copy is
        kept, with what is fetched beside it.
    name : str, optional
        Instead of the folder's or the one in the readme.md.

    Returns
    -------
    Entry

    Raises
    ------
    InputError
        There is no model, it cannot be read, or the name is taken.
    """
    if not os.path.exists(path):
        raise InputError(f"{path}: no such folder or readme.md")
    is_folder = os.path.isdir(path)
    entry = _from_folder(path) if is_folder else _from_readme(path)
    own = name or (os.path.basename(os.path.abspath(path)) if is_folder else entry.name)
    slug = re.sub(r"[^\w.+-]+", "-", own.lower()).strip("-.")
    if not slug:
        raise InputError(f"{own!r} is no name for a model; give --name")
    if registry.is_taken(slug):
        raise InputError(f"a model called {slug} is known already; give --name")
    place = os.path.join(registry.added(), slug)
    cache.make_folder(place)
    if is_folder:
        write_bytes(os.path.join(place, registry.LINK),
                    (os.path.abspath(path) + "\n").encode("utf-8"))
        return dataclasses.replace(entry, id=slug)
    shutil.copyfile(path, os.path.join(place, model_folder.README))
    return dataclasses.replace(entry, id=slug, folder=place)


def remove(name):
    """Forget a model that was added; its folder stays, fetched copies go.

    Raises
    ------
    InputError
        No model of that name was added.
    """
    place = os.path.join(registry.added(), name)
    if not re.match(r"[\w.+-]+$", name) or not os.path.isdir(place):
        raise InputError(f"no model called {name!r} was added")
    shutil.rmtree(place)


def _from_folder(path):
    entry = entries.read(path, is_local=True)
    if entry.file("prototxt") is None and entry.file("gist") is None:
        _check_net(model_folder.find_prototxt(path))
    if not entry.files:
        model_folder.find_weights(path, entry.front)
    return entry


def _from_readme(path):
    with open(path, "rb") as file:
        begins = file.read(8).lstrip(b"\xef\xbb\xbf").startswith(b"---")
    if not begins or os.path.basename(path).lower() != model_folder.README:
        raise InputError(f"{path}: wants a readme.md that begins with a front matter between --- "
                         "lines")
    entry = entries.read(os.path.dirname(os.path.abspath(path)), is_local=True)
    weights = entry.file("weights") or entry.file("archive")
    if weights is None or not weights.urls:
        raise InputError(f"{path}: names no caffemodel with its caffemodel_url; add its folder "
                         "instead")
    return entry


def _check_net(path):
    graph = Graph(Net.parse(Document.load(path)).at("TEST"))
    if not graph.scores():
        raise InputError(f"{path}: the net has no score blob")
