"""Where a batch reads and writes: a local folder, or any URL that fsspec knows."""

import os
import posixpath
import uuid
from inspect import signature
from typing import Any, Callable, List, Optional, Tuple, Union

from prototxt_tools import files
from prototxt_tools.errors import InputError

# Names of files that a killed process leaves behind begin with this; the next run removes them.
TEMPORARY = ".tmp-"
# Here a file appears whole or not at all even without a temporary name, and renaming is a copy.
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "memory"}

# Of these fsspec's own file systems know writes on the condition that there is no such file. Stores
# that imitate S3 may ignore it.
_CONDITIONAL = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"}


def is_url(path: str) -> bool:
    """Whether a path is for fsspec: ``s3://bucket/folder``."""
    return "://" in os.fsdecode(path)


def local_path(path: str) -> str:
    """The path of a ``file:`` URL, so that a file has one name; other paths as they are."""
    scheme, separator, rest = path.partition("://")
    return rest if separator and scheme in ("file", "local") else path


def open_folder(path: str) -> "Folder":
    """The ``LocalFolder`` or ``UrlFolder`` of a path."""
    path = local_path(os.fspath(path))
    return UrlFolder(path) if is_url(path) else LocalFolder(path)


def file_system(url: str) -> Tuple[Any, str]:
    """fsspec's file system for a URL, and the path within it."""
    try:
        import fsspec
    except ImportError:
        raise InputError(f"{url}: URLs need fsspec; pip install fsspec", url) from None
    try:
        system, inner = fsspec.core.url_to_fs(url)
        return system, inner
    except (ImportError, ValueError) as error:
        raise InputError(f"{url}: {error}", url) from None


def read(path: str, offset: int = 0, size: Optional[int] = None, limit: Optional[int] = None
         ) -> bytes:
    """The bytes of a file, or of a span of it.

    Parameters
    ----------
    path : str
        A local path or a URL.
    offset, size : int
        The span; to the end without a size.
    limit : int, optional
        Refuse what is longer, before it is read; see ``prototxt_tools.files.byte_limit``.

    Raises
    ------
    InputError
        Missing, not a regular file, too long, or unreadable.
    """
    path = local_path(path)
    if not is_url(path):
        return files.read_bytes(path, limit, offset=offset, size=size)
    try:
        system, inner = file_system(path)
        length = size or system.size(inner)
        most = None if limit is None else files.byte_limit(limit)
        _check_length(path, length or 0, most)
        if length is None and most is not None:  # The server does not tell.
            with system.open(inner, "rb") as file:
                file.seek(offset)
                data: bytes = file.read(most + 1)
            _check_length(path, len(data), most)
            return data
        data = system.cat_file(inner, offset, offset + size if size else None)
        return data
    except FileNotFoundError:
        raise InputError(f"{path}: no such file", path) from None
    except IsADirectoryError:
        raise InputError(f"{path}: a folder, not a file", path) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}", path) from None


def _check_length(path: str, length: int, most: Optional[int]) -> None:
    if most is not None and length > most:
        raise InputError(f"{path}: {files.too_long(length, most)}", path)


def reason(error: Exception) -> str:
    """The reason that an OSError gives, without the path."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class LocalFolder:
    """A folder of this machine or of a file system mounted on it.

    Parameters
    ----------
    path : str

    Attributes
    ----------
    locks : bool
        Whether the kernel's locks hold here; see ``output.lock``.
    creates : bool
        Whether ``create`` is one step, so that of two processes one alone succeeds.
    """

    locks = True
    creates = True

    def __init__(self, path: str) -> None:
        self.path = path

    def locate(self, name: str) -> str:
        """The path of a file in this folder; its name has slashes between folders."""
        return os.path.join(self.path, *name.split("/")) if name else self.path

    def make(self, *names: str) -> None:
        """Make the folder, and the ones with these names in it."""
        for name in names or ("",):
            path = self.locate(name)
            try:
                os.makedirs(path, exist_ok=True)
            except OSError as error:
                raise InputError(f"{path}: cannot be made: {reason(error)}", path) from None

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of this name."""
        return os.path.exists(self.locate(name))

    def names(self, folder: str) -> List[str]:
        """The sorted names of the files in a folder within, none where it is missing."""
        try:
            return sorted(os.listdir(self.locate(folder)))
        except FileNotFoundError:
            return []

    def modified(self, name: str) -> Optional[float]:
        """When a file was last written, in seconds by the store's clock; None if unknown."""
        try:
            return os.stat(self.locate(name)).st_mtime
        except OSError:
            return None

    def read(self, name: str) -> bytes:
        """A whole file; raises InputError as :func:`read` does."""
        return read(self.locate(name))

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file, so that after a crash it is there whole or not at all.

        The file's folder is never made again: if it disappeared in the middle of a run, what the
        run wrote before disappeared too, and the user must know.

        Raises
        ------
        InputError
            It cannot be written: disk full, permission lost, the folder gone.
        """
        self._write(self.locate(name), data, os.replace)

    def create(self, name: str, data: bytes) -> bool:
        """As ``write``, unless there is a file of that name; whether it was written."""
        try:
            self._write(self.locate(name), data, _link)
            return True
        except FileExistsError:
            return False

    def _write(self, path: str, data: bytes, move: Callable[[str, str], None]) -> None:
        folder, last = os.path.split(path)
        temporary = os.path.join(folder, TEMPORARY + last + "-" + uuid.uuid4().hex[:8])
        try:
            try:
                with open(temporary, "xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                move(temporary, path)
            finally:
                if os.path.exists(temporary):
                    os.remove(temporary)
            _sync_folder(folder)
        except FileExistsError:
            raise
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {reason(error)}", path) from None

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            os.remove(self.locate(name))
        except FileNotFoundError:
            pass


def _link(source: str, target: str) -> None:
    """Give a file a second name; raises FileExistsError where it is taken."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # A file system without links.
        if os.path.lexists(target):
            raise FileExistsError from None
        os.replace(source, target)


def _sync_folder(folder: str) -> None:
    """Make a rename durable, as far as the file system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        pass  # Some network file systems cannot sync folders and need not.
    finally:
        os.close(handle)


class UrlFolder:
    """A folder behind a URL of fsspec, with the methods of ``LocalFolder``."""

    locks = False

    def __init__(self, url: str) -> None:
        self.path = url.rstrip("/")
        self._fs, self._root = file_system(self.path)
        protocol = self._fs.protocol
        protocols = {protocol} if isinstance(protocol, str) else set(protocol)
        self._is_object_store = bool(protocols & _OBJECT_STORES)
        write = getattr(self._fs, "_pipe_file", self._fs.pipe_file)
        self.creates = bool(protocols & _CONDITIONAL) and "mode" in signature(write).parameters

    def locate(self, name: str) -> str:
        return posixpath.join(self.path, name)

    def _inner(self, name: str) -> str:
        return posixpath.join(self._root, name) if name else self._root

    def make(self, *names: str) -> None:
        for name in names or ("",):
            self._guard(name, self._fs.makedirs, self._inner(name), exist_ok=True)

    def exists(self, name: str) -> bool:
        self._fs.invalidate_cache()  # What others have removed would be there still.
        return bool(self._guard(name, self._fs.exists, self._inner(name)))

    def names(self, folder: str) -> List[str]:
        self._fs.invalidate_cache()
        try:
            listed = self._fs.ls(self._inner(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(posixpath.basename(path.rstrip("/")) for path in listed)

    def modified(self, name: str) -> Optional[float]:
        try:
            return float(self._fs.modified(self._inner(name)).timestamp())
        except Exception:  # each file system has errors of its own
            return None

    def read(self, name: str) -> bytes:
        return read(self.locate(name))

    def write(self, name: str, data: bytes) -> None:
        """As ``LocalFolder.write``; an object store shows an object when all of it is there."""
        if self._is_object_store:
            self._guard(name, self._fs.pipe_file, self._inner(name), data)
            return
        folder, last = posixpath.split(self._inner(name))
        temporary = posixpath.join(folder, TEMPORARY + last + "-" + uuid.uuid4().hex[:8])
        try:
            self._guard(name, self._fs.pipe_file, temporary, data)
            self._guard(name, self._fs.mv, temporary, self._inner(name))
        except InputError:
            if self._fs.exists(temporary):
                self._fs.rm(temporary)
            raise

    def create(self, name: str, data: bytes) -> bool:
        """As ``LocalFolder.create``; in one step where the store has conditional writes."""
        if not self.creates:
            if self.exists(name):
                return False
            self.write(name, data)
            return True
        try:
            self._fs.pipe_file(self._inner(name), data, mode="create")
            return True
        except FileExistsError:
            return False
        except Exception as error:  # each file system has errors of its own
            raise InputError(f"{self.locate(name)}: {reason(error)}", self.locate(name)) from None

    def remove(self, name: str) -> None:
        if self._fs.exists(self._inner(name)):
            self._guard(name, self._fs.rm, self._inner(name))

    def _guard(self, name: str, function: Callable[..., Any], *arguments: Any, **options: Any
               ) -> Any:
        try:
            return function(*arguments, **options)
        except Exception as error:  # each file system has errors of its own
            raise InputError(f"{self.locate(name)}: {reason(error)}", self.locate(name)) from None


Folder = Union[LocalFolder, UrlFolder]
