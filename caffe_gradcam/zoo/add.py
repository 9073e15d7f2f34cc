"""Adds a user's models to the registry: folders as in the BVLC Model Zoo, or a gist's readme."""

import dataclasses
import os
import re
import shutil
from typing import Optional

from caffe_gradcam.model import folder as model_folder
from caffe_gradcam.zoo import cache, entries, registry
from caffe_gradcam.zoo.entries import Entry
from prototxt_tools.errors import ModelError, QuestionError
from prototxt_tools.files import open_regular, write_bytes
from prototxt_tools.net.graph import Graph
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document


def add(path: str, name: Optional[str] = None) -> Entry:
    """Add a model to the registry.

    Parameters
    ----------
    path : str
        A folder with a prototxt and weights, or a readme.md that tells where they are. A folder
        stays where it is, and what it lacks is fetched into it; a readme.md alone is copied,
        and the rest is fetched beside the copy.
    name : str, optional
        Instead of the folder's or the one in the readme.md.

    Returns
    -------
    Entry

    Raises
    ------
    ModelError
        There is no model, or it cannot be read.
    QuestionError
        The name is taken, or unusable.
    """
    if not os.path.exists(path):
        raise ModelError(f"{path}: no such folder or readme.md", path)
    is_folder = os.path.isdir(path)
    entry = _from_folder(path) if is_folder else _from_readme(path)
    title = name or (os.path.basename(os.path.abspath(path)) if is_folder else entry.name)
    slug = re.sub(r"[^\w.+-]+", "-", title.lower()).strip("-.")
    if not slug:
        raise QuestionError(f"{title!r} cannot be the name of a model; give --name", title)
    if registry.is_taken(slug):
        raise QuestionError(f"there is already a model called {slug}; give --name", slug)
    folder = os.path.join(registry.added(), slug)
    cache.make_folder(folder)
    if is_folder:
        write_bytes(os.path.join(folder, registry.LINK),
                    (os.path.abspath(path) + "\n").encode("utf-8"))
        return dataclasses.replace(entry, id=slug)
    shutil.copyfile(path, os.path.join(folder, model_folder.README))
    return dataclasses.replace(entry, id=slug, folder=folder)


def remove(name: str) -> None:
    """Remove a model that was added; its folder stays, fetched copies are deleted.

    Raises
    ------
    QuestionError
        No model of that name was added.
    """
    folder = os.path.join(registry.added(), name)
    if not re.match(r"[\w.+-]+$", name) or not os.path.isdir(folder):
        raise QuestionError(f"no model called {name!r} was added", name)
    shutil.rmtree(folder)


def _from_folder(path: str) -> Entry:
    entry = entries.read(path, is_local=True)
    if entry.file("prototxt") is None and entry.file("gist") is None:
        _check_net(model_folder.find_prototxt(path))
    if not entry.files:
        model_folder.find_weights(path, entry.front)
    return entry


def _from_readme(path: str) -> Entry:
    with open_regular(path, ModelError) as file:
        has_front_matter = file.read(8).lstrip(b"\xef\xbb\xbf").startswith(b"---")
    if not has_front_matter or os.path.basename(path).lower() != model_folder.README:
        raise ModelError(f"{path}: not a readme.md that begins with a front matter between --- "
                         "lines", path)
    entry = entries.read(os.path.dirname(os.path.abspath(path)), is_local=True)
    weights = entry.file("weights") or entry.file("archive")
    if weights is None or not weights.urls:
        raise ModelError(f"{path}: names no caffemodel with its caffemodel_url; add its folder "
                         "instead", path)
    return entry


def _check_net(path: str) -> None:
    graph = Graph(Net.parse(Document.load(path)).at("TEST"))
    if not graph.scores():
        raise ModelError(f"{path}: the net has no score blob", path)
