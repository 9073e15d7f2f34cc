"""What an archive from the net holds, written into a folder and nowhere else."""

import contextlib
import os
import posixpath
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from typing import Any, NamedTuple

from prototxt_tools.errors import InputError

MOST_FILES = 2000
MOST_BYTES = 8 << 30
# Beyond this an archive of more than a few megabytes is made to fill the disk.
MOST_RATIO = 200
_SMALL = 64 << 20
_DAMAGES = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError)


class _Member(NamedTuple):
    path: str
    size: int
    open: Any


def unpack(archive, folder, but=()):
    """Unpack a tar or zip archive: all of it, or nothing.

    The folder that all members share falls away; members that are neither files nor folders are
    refused, and so are paths that lead out.

    Parameters
    ----------
    archive : str
    folder : str
        Exists; files of the same names are replaced.
    but : sequence of str
        Paths that are left out, where the folder keeps files of its own.

    Returns
    -------
    list of str
        The paths of the files, relative to the folder.

    Raises
    ------
    InputError
        It is no such archive, is damaged, or would write elsewhere or without end.
    """
    temporary = tempfile.mkdtemp(prefix=".unpacking-", dir=folder)
    try:
        with _opened(archive) as members:
            paths = _write_all(members, temporary, archive)
            paths = [path for path in paths if path not in but]
            for path in paths:
                place = os.path.join(folder, *path.split("/"))
                os.makedirs(os.path.dirname(place), exist_ok=True)
                os.replace(os.path.join(temporary, *path.split("/")), place)
        return paths
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_member(archive, name):
    """The bytes of the one member of that base name; InputError if there is none."""
    with _opened(archive) as members:
        for member in members:
            if posixpath.basename(member.path) == name and member.size < _SMALL:
                with member.open() as file:
                    return file.read()
    raise InputError(f"{archive}: holds no {name}")


@contextlib.contextmanager
def _opened(path):
    """The members of an archive, while it is open; damage becomes an InputError."""
    try:
        if tarfile.is_tarfile(path):
            with tarfile.open(path) as file:
                yield list(_tar_members(file, path))
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                yield list(_zip_members(file, path))
        else:
            raise InputError(f"{path}: no tar or zip archive")
    except _DAMAGES as error:
        raise InputError(f"{path}: damaged: {error}") from None
    except OSError as error:
        reason = error.strerror or f"damaged: {error}"
        raise InputError(f"{path}: cannot be unpacked: {reason}") from None


def _tar_members(file, path):
    count = 0
    for member in file:
        count += 1
        if count > MOST_FILES:
            raise InputError(f"{path}: holds more than {MOST_FILES} members")
        if member.isfile():
            yield _Member(member.name, member.size, _opener(file.extractfile, member))
        elif not member.isdir():
            raise InputError(f"{path}: {member.name} is a link or a device, which a model does not need")


def _zip_members(file, path):
    infos = file.infolist()
    if len(infos) > MOST_FILES:
        raise InputError(f"{path}: holds more than {MOST_FILES} members")
    for info in infos:
        if stat.S_ISLNK(info.external_attr >> 16):
            raise InputError(f"{path}: {info.filename} is a link, which a model does not need")
        if info.flag_bits & 1:
            raise InputError(f"{path}: {info.filename} is locked by a password")
        if not info.filename.endswith("/"):
            yield _Member(info.filename, info.file_size, _opener(file.open, info))


def _opener(function, member):
    return lambda: function(member)


def _write_all(members, folder, archive):
    members = [member._replace(path=_checked(member.path, archive)) for member in members]
    limit = MOST_BYTES
    if sum(member.size for member in members) > _SMALL:
        limit = min(limit, MOST_RATIO * os.path.getsize(archive))
    shared = _shared_folder([member.path for member in members])
    paths = []
    for member in members:
        path = member.path[len(shared):]
        if path in paths:
            raise InputError(f"{archive}: holds {path} twice")
        place = os.path.join(folder, *path.split("/"))
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with member.open() as source, open(place, "xb") as file:
            limit = _copy(source, file, limit, archive)
        paths.append(path)
    return paths


def _copy(source, file, limit, archive):
    """Copy; what is left of the limit."""
    for piece in iter(lambda: source.read(1 << 20), b""):
        limit -= len(piece)
        if limit < 0:
            raise InputError(f"{archive}: grows beyond all measure when it is unpacked")
        file.write(piece)
    return limit


def _checked(path, archive):
    clean = posixpath.normpath(path.replace("\\", "/"))
    if clean.startswith(("/", "../")) or clean in ("..", ".") or ":" in clean or "\0" in clean:
        raise InputError(f"{archive}: {path!r} leads out of the folder")
    return clean


def _shared_folder(paths):
    first = {path.split("/")[0] for path in paths}
    if len(first) == 1 and all("/" in path for path in paths):
        return first.pop() + "/"
    return ""
