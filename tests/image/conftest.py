"""What the tests of the finished image share: scripts/test-image makes it and says where it is."""

import os
import pathlib
import subprocess
from typing import NamedTuple

import pytest

# With nothing of the host but /proc and /dev: a mount namespace of its own, the image read-only, no
# network. The arguments are the image's folder, a folder for results, one to read, and the command.
IN_THE_IMAGE = """
mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"
mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev"
mount --bind "$2" "$1/mnt" && mount --bind "$3" "$1/media" && mount -o remount,ro,bind "$1/media"
cd "$1/mnt" && root=$1 && shift 3
exec chroot "$root" setpriv --reuid 31415 --regid 92653 --clear-groups --no-new-privs \\
    env -i HOME=/tmp GLOG_minloglevel=2 PYTHONDONTWRITEBYTECODE=1 \\
    PATH=/usr/local/bin:/usr/bin:/bin \\
    sh -c 'cd /mnt && exec "$@"' sh "$@"
"""


class Image(NamedTuple):
    """An image with its files in the folder `root`; `identity` is the digest of its contents."""

    root: pathlib.Path
    identity: str


def built(name):
    root = os.environ.get("CAFFE_GRADCAM_IMAGE_" + name)
    if not root:
        pytest.skip("scripts/test-image builds the images and runs these tests")
    return Image(pathlib.Path(root), os.environ["CAFFE_GRADCAM_DIGEST_" + name])


@pytest.fixture(scope="session")
def target():
    """The target that scripts/test-image has built: cpu or cuda."""
    return os.environ.get("CAFFE_GRADCAM_TARGET")


@pytest.fixture(scope="session")
def image():
    """The image of that target."""
    return built("FIRST")


@pytest.fixture(scope="session")
def again():
    """The same, built a second time and from nothing but the base."""
    return built("AGAIN")


def listed(name):
    path = os.environ.get("CAFFE_GRADCAM_LISTING_" + name)
    if not path:
        pytest.skip("scripts/test-image --target cuda lists the device code")
    return pathlib.Path(path).read_text()


@pytest.fixture(scope="session")
def listing():
    """What cuobjdump lists of libcaffe in the image cuda: its machine code, then its PTX."""
    return listed("FIRST")


@pytest.fixture(scope="session")
def listing_again():
    """The same of the second build."""
    return listed("AGAIN")


@pytest.fixture
def run(image, tmp_path):
    """A function that runs a command as a user that the image does not know.

    /mnt is a folder for results, `tmp_path` outside; /media is the folder `reading`.
    """
    def run(*command, reading=tmp_path):
        tmp_path.chmod(0o777)
        return subprocess.run(
            ["unshare", "--mount", "--net", "sh", "-ec", IN_THE_IMAGE, "sh", str(image.root),
             str(tmp_path), str(reading), *command],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return run
