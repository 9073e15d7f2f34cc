"""Unpacks archives of models into a folder, and nowhere else."""

import contextlib
import os
import posixpath
import shutil
import stat
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass, replace
from typing import IO, Any, Callable, Collection, Iterator, List, Optional, Sequence

from prototxt_tools.errors import InputError, ModelError
from prototxt_tools.files import MAX_BYTES, byte_limit

MOST_FILES = 2000
MOST_BYTES = 8 << 30
# Beyond this an archive of more than a few megabytes is made to fill the disk.
MOST_RATIO = 200
_SMALL = 64 << 20
_NEGATIVE = "a member of negative size"


@dataclass(frozen=True, eq=False)
class _Member:
    path: str
    size: int
    open: Callable[[], Any]


def unpack(archive: str, folder: str, without: Collection[str] = ()) -> List[str]:
    """Unpack a tar or zip archive: all of it, or nothing.

    The folder that all members share is dropped; members that are neither files nor folders are
    refused, and so are paths that lead out of the folder.

    Parameters
    ----------
    archive : str
    folder : str
        Exists; files of the same names are replaced.
    without : collection of str
        Paths in lower case that are left out, where the folder keeps files of its own.

    Returns
    -------
    list of str
        The paths of the files, relative to the folder.

    Raises
    ------
    ModelError
        It is no such archive, is damaged, or would write elsewhere or without end.
    """
    temporary = tempfile.mkdtemp(prefix=".unpacking-", dir=folder)
    try:
        with _opened(archive) as members:
            paths = _write_all(members, temporary, archive)
            paths = [path for path in paths if path.lower() not in without]
            for path in paths:
                target = os.path.join(folder, *path.split("/"))
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.replace(os.path.join(temporary, *path.split("/")), target)
        return paths
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_member(archive: str, name: str) -> bytes:
    """The bytes of the member of that base name; ModelError if there is none."""
    with _opened(archive) as members:
        for member in members:
            if posixpath.basename(member.path) == name and member.size < _SMALL:
                with member.open() as file:
                    return file.read()
    raise ModelError.about(archive, f"holds no {name}")


class _CheckedTarInfo(tarfile.TarInfo):
    """A member whose size is not negative, which older Pythons read again and again."""

    def _block(self, count: int) -> int:
        if count < 0:
            raise tarfile.ReadError(_NEGATIVE)
        return int(super()._block(count))  # type: ignore[misc]  # not in typeshed


@contextlib.contextmanager
def _opened(path: str) -> Iterator[List[_Member]]:
    """The members of an archive, while it is open; damage becomes a ModelError."""
    try:
        tar = _opened_tar(path)
        if tar is not None:
            with tar:
                yield list(_tar_members(tar, path))
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                yield list(_zip_members(file, path))
        else:
            raise ModelError(f"{path}: not a tar or zip archive", path)
    except InputError:
        raise
    except OSError as error:
        reason = f"cannot be unpacked: {error.strerror}" if error.strerror else f"damaged: {error}"
        raise ModelError(f"{path}: {reason}", path) from None
    except NotImplementedError as error:  # A method of compression that Python's zip lacks.
        raise ModelError(f"{path}: cannot be unpacked here ({error}); unpack it by hand",
                         path) from None
    except Exception as error:  # noqa: B902 - tarfile, zipfile, zlib and lzma have kinds of their own
        raise ModelError(f"{path}: damaged: {error or type(error).__name__}", path) from None


def _opened_tar(path: str) -> Optional[tarfile.TarFile]:
    """The tar archive, or None where the file is none."""
    try:
        return tarfile.open(path, tarinfo=_CheckedTarInfo)
    except tarfile.ReadError as error:
        if _NEGATIVE in str(error):
            raise tarfile.ReadError(_NEGATIVE) from None
        return None


def _tar_members(file: tarfile.TarFile, path: str) -> Iterator[_Member]:
    count, size = 0, 0
    for member in file:
        count, size = count + 1, size + member.size
        if count > MOST_FILES:
            raise ModelError(f"{path}: holds more than {MOST_FILES} members", path)
        if size > byte_limit(MOST_BYTES):
            raise ModelError(f"{path}: unpacks to far more bytes than a model has; "
                             f"--max-bytes (in Python, {MAX_BYTES}) allows more", path)
        if not member.isfile() and not member.isdir():
            raise ModelError(f"{path}: {member.name} is a link or a device, which "
                             "a model does not need", path)
        if member.isfile() and member.issparse():
            raise ModelError(f"{path}: {member.name} is a sparse file, which a model does not "
                             "need", path)
        if member.isfile():
            yield _Member(member.name, member.size, _opener(file.extractfile, member))


def _zip_members(file: zipfile.ZipFile, path: str) -> Iterator[_Member]:
    infos = file.infolist()
    if len(infos) > MOST_FILES:
        raise ModelError.about(path, f"holds more than {MOST_FILES} members")
    for info in infos:
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ModelError.about(path, f"{info.filename} is a link, which a model does not need")
        if info.flag_bits & 1:
            raise ModelError.about(path, f"{info.filename} is protected by a password")
        if not info.filename.endswith("/"):
            yield _Member(info.filename, info.file_size, _opener(file.open, info))


def _opener(function: Callable[[Any], Any], member: Any) -> Callable[[], Any]:
    return lambda: function(member)


def _write_all(members: Sequence[_Member], folder: str, archive: str) -> List[str]:
    members = [replace(member, path=_checked(member.path, archive)) for member in members]
    limit = MOST_BYTES
    if sum(member.size for member in members) > _SMALL:
        limit = min(limit, MOST_RATIO * os.path.getsize(archive))
    limit = byte_limit(limit)
    shared = _shared_folder([member.path for member in members])
    paths: List[str] = []
    for member in members:
        path = member.path[len(shared):]
        if path in paths:
            raise ModelError.about(archive, f"holds {path} twice")
        target = os.path.join(folder, *path.split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with member.open() as source, open(target, "xb") as file:
            limit = _copy(source, file, limit, archive)
        paths.append(path)
    return paths


def _copy(source: IO[bytes], file: IO[bytes], limit: int, archive: str) -> int:
    """Copy; gives what is left of the limit."""
    for piece in iter(lambda: source.read(1 << 20), b""):
        limit -= len(piece)
        if limit < 0:
            raise ModelError.about(archive, "unpacks to far more bytes than a model has; "
                                            f"--max-bytes (in Python, {MAX_BYTES}) allows more")
        file.write(piece)
    return limit


def _checked(path: str, archive: str) -> str:
    clean = posixpath.normpath(path.replace("\\", "/"))
    if clean.startswith(("/", "../")) or clean in ("..", ".") or ":" in clean or "\0" in clean:
        raise ModelError.about(archive, f"{path!r} leads out of the folder")
    return clean


def _shared_folder(paths: Sequence[str]) -> str:
    first = {path.split("/")[0] for path in paths}
    if len(first) == 1 and all("/" in path for path in paths):
        return first.pop() + "/"
    return ""
