"""Reports as HTML: one file that holds everything, or a file and a folder of pages."""

import base64
import dataclasses
import hashlib
import itertools
import json
import math
import os
import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from caffe_gradcam import __version__
from caffe_gradcam.pictures.render.colormaps import colormap
from caffe_gradcam.report import thumbnails
from caffe_gradcam.report.entries import ImageEntry, MapEntry, Report
from caffe_gradcam.report.summary import Summary, unlikeness
from prototxt_tools.errors import InputError
from prototxt_tools.files import write_bytes

# Images on one page: a browser still opens it at once.
MOST_ON_PAGE = 2000
COLORMAPS = ("jet", "viridis", "inferno", "bone")
_TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
_STATUSES = {"ok": "Explained", "empty": "Without heat", "unreadable": "Unreadable",
             "failed": "Failed"}
# Characters that turn the order of the letters around them, so that a name looks like another one.
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_MOST_FAILURES = 200
_MOST_CLASSES = 1000


@dataclass(frozen=True)
class PageLink:
    """A page of a report that has several: its file, its images, and what to look at there."""

    link: str
    first: int
    last: int
    wrong: int
    empty: int
    bad: int


def side_for(images: int) -> int:
    """The longer side of the pictures on a page of so many images, in pixels."""
    return 480 if images <= 200 else 320 if images <= 1000 else 224


def write(path: str, report_of: Callable[[Summary], Report], entries: Iterable[ImageEntry],
          on_page: int = MOST_ON_PAGE) -> List[str]:
    """Write a report.

    Parameters
    ----------
    path : str
        The ``.html`` file. Where the images need several pages, these lie in a folder beside it,
        ``report_pages`` for ``report.html``.
    report_of : callable
        The report with a summary, of all images or of those on a page; called when these were
        read.
    entries : iterable of ImageEntry
        They are read once, and only one page of them is held.
    on_page : int
        Images of one page.

    Returns
    -------
    list of str
        The files that were written, ``path`` first.

    Raises
    ------
    InputError
        Jinja2 is missing, or a file cannot be written.
    """
    environment()  # Better no page than half of them.
    rest = iter(entries)
    first = list(itertools.islice(rest, on_page))
    following = list(itertools.islice(rest, 1))
    if not following:
        write_bytes(path, render(report_of(Summary.of(first)), first))
        return [path]
    name = os.path.basename(path)
    folder = os.path.splitext(name)[0] + "_pages"
    links: List[PageLink] = []
    total = Summary()
    for page_entries in _pages(first, itertools.chain(following, rest), on_page):
        summary = Summary.of(page_entries)
        total.include(summary)
        link = f"page-{len(links) + 1:04d}.html"
        report = report_of(summary)
        part = dataclasses.replace(report, title=f"{report.title}, page {len(links) + 1}",
                                   sections=(), problems=())
        write_bytes(os.path.join(os.path.dirname(path), folder, link),
                    render(part, page_entries, home="../" + _as_link(name)))
        links.append(_link(f"{_as_link(folder)}/{link}", page_entries))
    write_bytes(path, render(report_of(total), None, pages=links))
    return [path] + [os.path.join(os.path.dirname(path), folder, os.path.basename(page.link))
                     for page in links]


def render(report: Report, entries: Optional[Sequence[ImageEntry]],
           pages: Sequence[PageLink] = (), home: str = "") -> bytes:
    """A page.

    Parameters
    ----------
    report : Report
    entries : sequence of ImageEntry or None
        None for a page without pictures.
    pages : sequence of PageLink
        The pages that it leads to.
    home : str
        A link to the page that leads here.
    """
    summary = report.summary
    style, script = source("base.css", "report.css"), source("heat.js", "report.js")
    failures = [entry for entry in entries or () if entry.status not in ("ok", "empty")]
    values: Dict[str, Any] = {
        "title": report.title, "made_from": report.made_from, "kind": "report",
        "problems": report.problems, "first": "summary" if entries is None else "pictures",
        "first_name": "the summary" if entries is None else "the pictures",
        "report": report, "summary": summary, "version": __version__, "home": home,
        "style": style, "script": script, "policy": policy(style, script),
        "pages": pages, "statuses": [*_STATUSES, *sorted(
            set(summary.statuses) - set(_STATUSES))],
        "status_names": {**{status: status for status in summary.statuses}, **_STATUSES},
        "matrix": summary.matrix(), "mistakes": summary.mistakes(),
        "lines": summary.classes(), "failures": failures[:_MOST_FAILURES],
        "failures_left_out": max(0, len(failures) - _MOST_FAILURES),
        "entries_json": None if entries is None else _script_json(_data(report, entries)),
        **_choices(report, entries or ())}
    return environment().get_template("report.html").render(values).encode("utf-8", "replace")


def environment() -> Any:
    """Jinja2 with this package's templates; raises InputError where it is missing.

    Everything is escaped but what :func:`source` and :func:`_script_json` give.
    """
    try:
        import jinja2
    except ImportError:
        raise InputError("reports need Jinja2; run: pip install 'caffe-gradcam[report]'",
                         "jinja2") from None
    made = jinja2.Environment(loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True,
                              undefined=jinja2.StrictUndefined,
                              finalize=lambda value: _in_order(value) if type(value) is str
                              else value)
    made.filters.update(share=_share, interval=_interval, ends=_ends)
    return made


def source(*names: str) -> Any:
    """The text of files of this package, which goes into a page as it is."""
    import markupsafe

    texts = []
    for name in names:
        with open(os.path.join(_TEMPLATES, name), encoding="utf-8") as file:
            texts.append(file.read())
    return markupsafe.Markup("".join(texts))


def policy(style: str, script: str) -> str:
    """A content security policy: these two texts, pictures within the page, and nothing else."""
    return (f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
            f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'")


def _hash(text: str) -> str:
    digest = hashlib.sha256(str(text).encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _script_json(values: Any) -> Any:
    """JSON that is safe within a script element, whatever its texts hold."""
    import markupsafe

    text = json.dumps(_all_in_order(values), ensure_ascii=True, allow_nan=False,
                      separators=(",", ":"))
    for letter in "<>&'":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return markupsafe.Markup(text)


def _all_in_order(values: Any) -> Any:
    """JSON values with the texts as :func:`_in_order` gives them."""
    if isinstance(values, dict):
        return {name: _all_in_order(value) for name, value in values.items()}
    if isinstance(values, (list, tuple)):
        return list(map(_all_in_order, values))
    return _in_order(values) if isinstance(values, str) else values


def _in_order(text: str) -> str:
    """A text with the characters that reorder others as escapes such as ``\\u202e``."""
    return _REORDERING.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def _pages(first: List[ImageEntry], rest: Iterator[ImageEntry], size: int
           ) -> Iterator[List[ImageEntry]]:
    page = first
    while page:
        yield page
        page = list(itertools.islice(rest, size))


def _link(link: str, entries: Sequence[ImageEntry]) -> PageLink:
    numbers = [entry.number for entry in entries]
    return PageLink(link, min(numbers), max(numbers), sum(entry.is_wrong for entry in entries),
                    sum(entry.status == "empty" for entry in entries),
                    sum(entry.status not in ("ok", "empty") for entry in entries))


def _as_link(name: str) -> str:
    return re.sub("[^A-Za-z0-9._~-]", lambda match: "".join(
        f"%{byte:02X}" for byte in match.group().encode("utf-8", "surrogateescape")), name)


def _choices(report: Report, entries: Sequence[ImageEntry]) -> Dict[str, Any]:
    """What the lists on the page offer."""
    def named(indices: Iterable[Optional[int]]) -> List[Tuple[int, str]]:
        present = sorted({index for index in indices if index is not None})
        return [(index, report.class_text(index)) for index in present[:_MOST_CLASSES]]

    maps = [shown for entry in entries for shown in entry.maps]
    return {
        "true_classes": named(entry.true_label for entry in entries),
        "answers": named(entry.predicted for entry in entries),
        "ranks": max((len({shown.question for shown in entry.maps}) for entry in entries),
                     default=0),
        "kinds": list(dict.fromkeys(f"{shown.method} at {shown.layer}" for shown in maps)),
        "is_comparison": any(entry.before is not None for entry in entries),
        "has_objects": any(shown.outside is not None for shown in maps),
        "colormaps": COLORMAPS}


def _data(report: Report, entries: Sequence[ImageEntry]) -> Dict[str, Any]:
    """What the page's script reads."""
    distances = unlikeness(entries)
    names = {index for entry in entries for index in (
        entry.true_label, entry.predicted, entry.before)}
    # A tenth of the maps counts as unlike their class, and only what differs by something.
    odd_from = max(0.2, float(np.percentile(list(distances.values()), 90))) if distances else 1.0
    return {
        "class_names": {str(index): report.class_text(index) for index in names
                        if index is not None},
        "colormaps": {name: colormap(name).table[:, ::-1].tobytes().hex() for name in COLORMAPS},
        "odd_from": odd_from,
        "entries": [_image_data(entry, distances.get(entry.number)) for entry in entries]}


def _image_data(entry: ImageEntry, unlike: Optional[float]) -> Dict[str, Any]:
    return {
        "number": entry.number, "id": entry.id, "path": entry.path, "status": entry.status,
        "sha256": entry.sha256, "error": entry.error, "note": entry.note,
        "true_label": entry.true_label, "predicted": entry.predicted,
        "before": entry.before, "alike": entry.alike,
        "certainty": entry.certainty, "size": entry.size, "unlike": unlike,
        "picture": None if entry.picture is None else _base64(entry.picture),
        "missing": entry.missing, "boxes": [list(map(float, box)) for box in entry.boxes],
        "maps": [map_data(shown) for shown in entry.maps]}


def map_data(shown: MapEntry) -> Dict[str, Any]:
    """A map as a page's script reads it."""
    cam = shown.cam
    return {
        "question": shown.question, "class": shown.class_index, "score": shown.score,
        "probability": shown.probability, "method": shown.method, "layer": shown.layer,
        "status": shown.status, "positive_mass": shown.positive_mass,
        "negative_mass": shown.negative_mass, "outside": shown.outside,
        "sentence": shown.sentence,
        "detected_box": None if shown.detected_box is None else list(
            map(float, shown.detected_box)),
        "shape": None if cam is None else list(cam.shape),
        "cam": None if cam is None else _base64(cam.astype("<f4").tobytes()),
        "heat": None if shown.heat is None else _base64(thumbnails.to_png(shown.heat))}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _share(value: Optional[float]) -> str:
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def _ends(interval: Tuple[float, float]) -> str:
    low, high = interval
    return "–" if math.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f} %"


def _interval(interval: Tuple[float, float]) -> str:
    return f"95 % interval {_ends(interval)}"
