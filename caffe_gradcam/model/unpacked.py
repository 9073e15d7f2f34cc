"""Models in archives, as DIGITS gives them: unpacked into a temporary folder of this process."""

import atexit
import json
import os
import shutil
import tempfile
from typing import Dict

from caffe_gradcam.model import archives
from prototxt_tools.errors import ModelError

ENDINGS = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz", ".zip")
# Tells the processes that this one starts where it has unpacked what, so that they read it there;
# they may be killed at any time, and would leave folders of their own behind.
FOLDERS = "CAFFE_GRADCAM_UNPACKED"

_own: Dict[str, str] = {}
_owner = os.getpid()


def folder_of(path: str) -> str:
    """The path itself, or the folder that an archive was unpacked into.

    The folder lasts until the process that unpacked the archive ends or calls :func:`remove_all`.

    Parameters
    ----------
    path : str

    Raises
    ------
    ModelError
        The archive cannot be unpacked; see ``archives.unpack``.
    """
    if not path.lower().endswith(ENDINGS) or not os.path.isfile(path):
        return path
    status = os.stat(path)
    key = f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}"
    folders: Dict[str, str] = json.loads(os.environ.get(FOLDERS, "{}"))
    if not os.path.isdir(folders.get(key, "")):
        folders[key] = _unpack(path)
        os.environ[FOLDERS] = json.dumps(folders)
        if os.getpid() == _owner:
            _own[key] = folders[key]
    return folders[key]


def _unpack(path: str) -> str:
    try:
        parent = tempfile.mkdtemp(prefix="caffe-gradcam-")
    except OSError as error:
        raise ModelError(f"{path}: cannot be unpacked: no temporary folder can be made "
                         f"({error.strerror or error}); set TMPDIR, or unpack it by hand",
                         path) from None
    folder = os.path.join(parent, os.path.basename(path).split(".")[0] or "model")
    try:
        os.mkdir(folder)
        archives.unpack(path, folder)
    except BaseException:
        shutil.rmtree(parent, ignore_errors=True)
        raise
    return folder


@atexit.register
def remove_all() -> None:
    """Remove the folders that this process made; a fork leaves them to its parent."""
    if os.getpid() == _owner:
        for folder in _own.values():
            shutil.rmtree(os.path.dirname(folder), ignore_errors=True)
        _own.clear()
