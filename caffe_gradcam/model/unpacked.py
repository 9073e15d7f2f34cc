"""Models in archives, as DIGITS gives them: unpacked into a temporary folder of this process."""

import atexit
import os
import shutil
import tempfile
from typing import Dict, Tuple

from caffe_gradcam.model import archives
from prototxt_tools.errors import ModelError

ENDINGS = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz", ".zip")

# Path, size and time of an archive -> its folder; and the process whose folders these are.
_folders: Dict[Tuple[str, int, int], str] = {}
_owner = os.getpid()


def folder_of(path: str) -> str:
    """The path itself, or the folder that an archive was unpacked into.

    The folder lasts until the process ends or :func:`remove_all` is called.

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
    key = (os.path.abspath(path), status.st_size, status.st_mtime_ns)
    if key not in _folders:
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
        _folders[key] = folder
    return _folders[key]


@atexit.register
def remove_all() -> None:
    """Remove the folders that this process made; a fork leaves them to its parent."""
    if os.getpid() == _owner:
        for folder in _folders.values():
            shutil.rmtree(os.path.dirname(folder), ignore_errors=True)
        _folders.clear()
