"""Checks an archive of evidence, from itself alone."""

import hashlib
import os
import subprocess
import zipfile
from typing import Any, Dict, List, Optional

from caffe_gradcam.report.evidence import parity, results
from caffe_gradcam.report.evidence.layout import CONTENTS, OUTPUT, PARITY, PICTURES, SUMS
from prototxt_tools.errors import InputError
from prototxt_tools.files import parse_json

# What an archive may hold, so that a hostile one cannot fill the memory.
_MOST_FILES, _MOST_BYTES, _MOST_JSON = 100000, 1 << 33, 1 << 28
_PIECE = 1 << 20
_NAMESPACE = "file"  # of signatures, as ``ssh-keygen -Y sign -n file`` makes them
_SECONDS = 60


def verify(path: str, signers: Optional[str] = None) -> List[str]:
    """What is wrong with an archive of evidence, one sentence each; nothing is extracted.

    Every file must have the SHA-256 in ``SHA256SUMS``, and every file must be listed there; the
    manifest, the lists and the parts must have those that the batch wrote beside them. The
    comparison of engines must be about images of the batch and follow from its own numbers, and
    surveys and evaluations must be about the batch's model.

    Parameters
    ----------
    path : str
        The ``.zip`` file. Where there is a file of the same name with ``.sig``, it must be a
        signature of it by ``ssh-keygen -Y sign -n file``.
    signers : str, optional
        A file of allowed signers (ssh-keygen(1)), one of whom must have signed.

    Raises
    ------
    InputError
        It is not an archive of evidence, or the signature cannot be checked here.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return (_contents(archive, path) or _claims(archive)) + _signature(path, signers)
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise InputError(f"{path}: not a sound archive: {error}", path) from None


def _contents(archive: zipfile.ZipFile, path: str) -> List[str]:
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if SUMS not in names or CONTENTS not in names:
        raise InputError(f"{path}: not an archive of evidence; there is no {SUMS}", path)
    if len(infos) > _MOST_FILES or sum(info.file_size for info in infos) > _MOST_BYTES:
        raise InputError(f"{path}: holds more than an archive of evidence may", path)
    problems = [f"{name}: occurs twice" for name in sorted(set(names)) if names.count(name) > 1] \
        if len(set(names)) < len(names) else []
    listed = _sums(archive.read(SUMS))
    problems += [f"{name}: is not in {SUMS}" for name in names
                 if name != SUMS and name not in listed]
    problems += [f"{name}: is missing" for name in listed if name not in names]
    digests = {name: _digest(archive, name) for name in names if name in listed}
    problems += [f"{name}: its SHA-256 is not the one in {SUMS}"
                 for name, digest in digests.items() if digest != listed[name]]
    for name in names:
        if name.startswith(f"{OUTPUT}/checksums/"):
            for inner, digest in _sums(archive.read(name)).items():
                if digests.get(f"{OUTPUT}/{inner}") != digest:
                    problems.append(f"{OUTPUT}/{inner}: is not what the batch wrote")
    return problems


def _claims(archive: zipfile.ZipFile) -> List[str]:
    """What the files of an archive that is whole say of each other, and is not so."""
    manifest = _json(archive, f"{OUTPUT}/manifest.json")
    problems = []
    for kind in (results.SURVEY, results.EVALUATION, results.PROTOCOL):
        if kind[0] in archive.namelist() and archive.getinfo(kind[0]).file_size <= _MOST_JSON:
            problem = results.about_another_model(kind[0], archive.read(kind[0]), manifest)
            problems += [] if problem is None else [problem]
    if PARITY in archive.namelist():
        problems += parity.contradictions(_json(archive, PARITY), _json(archive, PICTURES))
    return problems


def _json(archive: zipfile.ZipFile, name: str) -> Dict[str, Any]:
    """A file of the archive that holds a JSON object; an empty one for anything else."""
    if name not in archive.namelist() or archive.getinfo(name).file_size > _MOST_JSON:
        return {}
    try:
        values = parse_json(archive.read(name).decode("utf-8"))
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _sums(data: bytes) -> Dict[str, str]:
    lines = data.decode("utf-8", "replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines) if name}


def _digest(archive: zipfile.ZipFile, name: str) -> str:
    digest = hashlib.sha256()
    with archive.open(name) as file:
        for piece in iter(lambda: file.read(_PIECE), b""):
            digest.update(piece)
    return digest.hexdigest()


def _signature(path: str, signers: Optional[str]) -> List[str]:
    signature = path + ".sig"
    if not os.path.isfile(signature):
        return [f"{signature}: there is no signature"] if signers else []
    try:
        if signers is None:
            return _ssh_keygen(path, ["-Y", "check-novalidate", "-n", _NAMESPACE, "-s", signature],
                               f"{signature}: does not fit the archive")
        names = subprocess.run(
            ["ssh-keygen", "-Y", "find-principals", "-s", signature, "-f", signers],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_SECONDS)
        principals = names.stdout.decode("utf-8", "replace").splitlines()
        if names.returncode != 0 or not principals:
            return [f"{signature}: is by nobody in {signers}"]
        return _ssh_keygen(path, ["-Y", "verify", "-n", _NAMESPACE, "-s", signature, "-f", signers,
                                  "-I", principals[0]], f"{signature}: does not fit the archive")
    except FileNotFoundError:
        raise InputError(f"{signature}: cannot be checked; install ssh-keygen (OpenSSH 8.2)",
                         signature) from None
    except subprocess.TimeoutExpired:
        raise InputError(f"{signature}: ssh-keygen did not finish", signature) from None


def _ssh_keygen(path: str, arguments: List[str], problem: str) -> List[str]:
    with open(path, "rb") as file:
        result = subprocess.run(["ssh-keygen", *arguments], stdin=file, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, timeout=_SECONDS)
    return [] if result.returncode == 0 else [problem]
