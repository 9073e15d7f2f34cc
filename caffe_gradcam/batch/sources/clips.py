"""Clips: videos, animated GIFs and folders of frames, each an item of its own."""

import glob as glob_module
import hashlib
import os
from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional, Sequence, Set

import numpy as np

from caffe_gradcam.batch import storage
from caffe_gradcam.batch.sources import lmdb
from caffe_gradcam.batch.sources.files import class_folders, missing, subfolders, text_list, walk
from caffe_gradcam.batch.sources.item import Item
from caffe_gradcam.batch.sources.kinds import (
    has_image_name,
    is_pattern,
    read_start,
    stranger,
)
from caffe_gradcam.model import clip_files
from caffe_gradcam.model.clips import Clip
from prototxt_tools.errors import ImageError, InputError

_TAKES = "the net takes clips; give a video, a folder of frames or of videos, or a list of them"


@dataclass(frozen=True, eq=False)
class FetchedClip:
    """The frames of a clip that a net sees.

    Attributes
    ----------
    frames : list of numpy.ndarray
        H x W x 3 uint8, blue first.
    indices : tuple of int
        Which frames of the clip they are, counted from 0.
    sha256 : str
        Of the file's bytes; of a folder, of the digests of these frames' files.
    """

    frames: List[np.ndarray]
    indices: Sequence[int]
    sha256: str


def local(source: str, root: Optional[str] = None, class_names: Optional[Sequence[str]] = None
          ) -> Iterator[Item]:
    """The clips of a file, a folder or a pattern of this machine, or of a list of paths."""
    if os.path.isdir(source):
        if lmdb.is_lmdb(source):
            raise InputError(f"{source}: this is an LMDB; {_TAKES}", source)
        return folder(source, class_names)
    if is_pattern(source) and not os.path.exists(source):
        return matches(source, class_names)
    if clip_files.is_video(source) or has_image_name(source):
        return iter([Item.of(source)])
    if not os.path.exists(source):
        raise missing(source)
    if os.path.isfile(source):
        start = read_start(source)
        if lmdb.is_lmdb(source) or stranger(source, start) is not None:
            raise InputError(f"{source}: neither a list nor a video by its name; {_TAKES}", source)
    return text_list(source, root)


def folder(path: str, class_names: Optional[Sequence[str]] = None) -> Iterator[Item]:
    """The clips in a folder and below, by name.

    A folder with images and without videos is one clip. Where all folders in it are named after
    classes, they give the true labels.
    """
    labels = class_folders(subfolders(path), class_names)
    clips: Dict[str, str] = {}
    of_frames: Dict[str, str] = {}
    with_videos: Set[str] = set()
    for name, file_path in walk(path):
        parent = os.path.dirname(file_path)
        if clip_files.is_video(name):
            clips[name] = file_path
            with_videos.add(parent)
        elif clip_files.is_frame(os.path.basename(name)):
            of_frames[os.path.dirname(name)] = parent
    clips.update((name, parent) for name, parent in of_frames.items() if parent not in with_videos)
    if not clips:
        raise InputError(f"{path}: there are neither videos nor frames in this folder", path)
    for name in sorted(clips):
        yield Item.of(clips[name], id=name or path,
                      true_label=labels.get(name.split("/")[0]))


def matches(pattern: str, class_names: Optional[Sequence[str]] = None) -> Iterator[Item]:
    """The videos that a pattern such as ``videos/*.avi`` matches, and the clips in the folders
    that it matches."""
    count = 0
    for path in sorted(glob_module.glob(pattern, recursive=True)):
        if os.path.isdir(path):
            items = iter(()) if "**" in pattern else folder(path, class_names)
        else:
            items = iter([Item.of(path)] if clip_files.is_video(path) else [])
        for item in items:
            count += 1
            yield item
    if not count:
        raise InputError(f"{pattern}: no clip matches this pattern", pattern)


def fetch(item: Item, clip: Clip) -> FetchedClip:
    """The frames of an item that a net sees.

    Raises
    ------
    InputError
        It cannot be read, is no clip, or ends before the net has seen enough.
    """
    if item.error is not None:
        raise InputError(item.error, item.path)
    if item.box is not None:
        raise ImageError(f"{item.path}: a box needs a net that takes single images, not clips",
                         item.path)
    if item.image is not None:
        return _given(item, clip)
    frames = _opened(item)
    indices = clip.chosen(frames.count, item.path)
    return FetchedClip(frames.read(indices), indices, frames.sha256(indices))


def fetch_frames(item: Item, indices: Sequence[int]) -> FetchedClip:
    """These frames of an item; raises InputError as :func:`fetch` does."""
    frames = _opened(item)
    return FetchedClip(frames.read(indices), indices, frames.sha256(indices))


def _opened(item: Item) -> clip_files.Frames:
    path = storage.local_path(item.path)
    if item.position is not None:
        assert item.archive is not None
        kind, *position = item.position
        if kind != "tar":
            raise ImageError(f"{item.path}: {_TAKES}", item.path)
        offset, size = position
        data = storage.read(item.archive, offset, size, clip_files.MOST_BYTES)
    elif storage.is_url(path):
        data = storage.read(path, limit=clip_files.MOST_BYTES)
    else:
        return clip_files.open_frames(path)
    return clip_files.open_frames(path, data)


def _given(item: Item, clip: Clip) -> FetchedClip:
    """Frames as arrays, which are those that the net sees."""
    frames = list(item.image)
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(np.ascontiguousarray(frame).tobytes())
    return FetchedClip(frames, tuple(range(len(frames))), digest.hexdigest())
