"""The folder of everything this program keeps for a user."""

import os
import sys

VARIABLE = "CAFFE_GRADCAM_HOME"


def path() -> str:
    """The folder of everything this program keeps for a user.

    ``CAFFE_GRADCAM_HOME``, else the platform's place for caches.
    """
    if os.environ.get(VARIABLE):
        return os.path.abspath(os.path.expanduser(os.environ[VARIABLE]))
    if sys.platform == "darwin":
        caches = os.path.expanduser("~/Library/Caches")
    elif os.name == "nt":
        caches = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/AppData/Local")
    else:
        # The XDG specification says to ignore relative paths.
        caches = os.environ.get("XDG_CACHE_HOME", "")
        caches = caches if os.path.isabs(caches) else os.path.expanduser("~/.cache")
    return os.path.join(caches, "caffe-gradcam")
