"""Evidence: one archive of everything that a batch came to, which can be checked by itself."""

import hashlib
import json
import os
import subprocess
import tempfile
import time
import zipfile
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Sequence, Tuple

from caffe_gradcam import __version__
from caffe_gradcam.batch.versions import versions
from caffe_gradcam.report import page, tables
from caffe_gradcam.report.summary import Summary
from prototxt_tools.errors import InputError

if TYPE_CHECKING:
    from caffe_gradcam.report.output import Output

FORMAT = 1
SUMS, CONTENTS = "SHA256SUMS", "contents.json"
_OUTPUT, _ATTACHED = "output", "attached"
_SURVEY = ("survey.html", "survey.json")
_SURVEY_TEXT = """\
  {}
      Shows: what the maps of each class have in common, their clusters, and regions without which
      answers change, as `caffe-gradcam survey` wrote it last.
      Does not show: that there are no other shortcuts.
"""
# What an archive may hold, so that a hostile one cannot fill the memory.
_MOST_FILES, _MOST_BYTES = 100000, 1 << 33
_PIECE = 1 << 20
_NAMESPACE = "file"  # of signatures, as ``ssh-keygen -Y sign -n file`` makes them
_SECONDS = 60


def write(output: "Output", path: str, attached: Sequence[str] = ()) -> None:
    """Write an archive of evidence.

    Parameters
    ----------
    output : Output
    path : str
        The ``.zip`` file.
    attached : sequence of str
        Further files, such as the results of ``evaluate`` or of a parity test.

    Raises
    ------
    InputError
        A file cannot be read or written, or two attached ones have one name.
    """
    names = [os.path.basename(name) for name in attached]
    if len(set(names)) < len(names):
        raise InputError("two attached files have the same name; rename one", path)
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    temporary = tempfile.NamedTemporaryFile(dir=folder, prefix=".evidence-", delete=False)
    try:
        with temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            sums = []
            for name, data in _files(output, attached):
                archive.writestr(name, data)
                sums.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
            archive.writestr(SUMS, "".join(sums))
        os.chmod(temporary.name, 0o644)
        os.replace(temporary.name, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}", path) from None
    finally:
        if os.path.exists(temporary.name):
            os.remove(temporary.name)


def _files(output: "Output", attached: Sequence[str]) -> Iterator[Tuple[str, bytes]]:
    """The name and the bytes of each file of the archive but the sums."""
    summary = Summary.of(output.entries())
    pictures = {str(row["id"]): row["sha256"] for row in tables.rows(output)}
    with tempfile.TemporaryDirectory(prefix="caffe-gradcam-") as folder:
        side = page.side_for(min(output.size(), page.MOST_ON_PAGE))
        written = page.write(os.path.join(folder, "report.html"), output.report,
                             output.entries(side))
        problems = output.problems
        for file_path in written:
            yield os.path.relpath(file_path, folder).replace(os.sep, "/"), _read(file_path)
    yield "scores.csv", tables.to_csv(output)
    yield "recipe.json", _json(output.manifest.get("recipe"))
    yield "pictures.json", _json(pictures)
    yield "environment.json", _json({"made_with": versions(), "packages": packages(), "runs": [
        run.get("versions") for run in output.manifest.get("runs") or ()
        if isinstance(run, dict)]})
    for name, data in output.files():
        yield f"{_OUTPUT}/{name}", data
    surveyed = [name for name in _SURVEY if output.has(name)]
    for name in surveyed:
        yield name, output.read(name)
    for name in attached:
        yield f"{_ATTACHED}/{os.path.basename(name)}", _read(name)
    accuracy = summary.accuracy
    contents = {
        "format": FORMAT, "version": __version__,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "images": summary.images,
        "statuses": dict(summary.statuses), "right": accuracy.count, "labelled": accuracy.total,
        "problems": problems}
    yield CONTENTS, _json(contents)
    yield "README.txt", _text(contents, [os.path.basename(name) for name in attached], surveyed)


def packages() -> Dict[str, str]:
    """The installed distributions and their versions; none before Python 3.8."""
    try:
        from importlib import metadata
    except ImportError:
        return {}
    return dict(sorted((str(entry.metadata["Name"]), str(entry.version))
                       for entry in metadata.distributions()))


def _text(contents: Dict[str, Any], attached: Sequence[str], surveyed: Sequence[str]) -> bytes:
    with open(os.path.join(os.path.dirname(os.path.abspath(page.__file__)), "templates",
                           "evidence.txt"), encoding="utf-8") as file:
        template = file.read()
    return template.format(
        survey=_SURVEY_TEXT.format(", ".join(surveyed)) if surveyed else "",
        version=contents["version"], made=contents["made"], images=contents["images"],
        right=contents["right"], labelled=contents["labelled"],
        problems="\n".join(f"- {problem}" for problem in contents["problems"]) or "none",
        attached="\n".join(f"- attached/{name}" for name in attached) or "none"
    ).encode("utf-8", "replace")


def verify(path: str, signers: Optional[str] = None) -> List[str]:
    """What is wrong with an archive of evidence, one sentence each; nothing is extracted.

    Every file must have the SHA-256 in ``SHA256SUMS``, and every file must be listed there; the
    manifest, the lists and the parts must have those that the batch wrote beside them.

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
            return _contents(archive, path) + _signature(path, signers)
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
        if name.startswith(f"{_OUTPUT}/checksums/"):
            for inner, digest in _sums(archive.read(name)).items():
                if digests.get(f"{_OUTPUT}/{inner}") != digest:
                    problems.append(f"{_OUTPUT}/{inner}: is not what the batch wrote")
    return problems


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
        raise InputError(f"{signature}: ssh-keygen does not end", signature) from None


def _ssh_keygen(path: str, arguments: List[str], problem: str) -> List[str]:
    with open(path, "rb") as file:
        result = subprocess.run(["ssh-keygen", *arguments], stdin=file, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, timeout=_SECONDS)
    return [] if result.returncode == 0 else [problem]


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode("ascii")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", path) from None
