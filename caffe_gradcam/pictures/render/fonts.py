"""Text in the letters of the world, by Pillow with the fonts of this machine."""

import functools
import logging
import os
import sys
import unicodedata
from typing import Any, List, Optional, Tuple

import numpy as np

_logger = logging.getLogger(__name__)

_FOLDERS = {
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": ("C:\\Windows\\Fonts",),
}
_FOLDERS_ELSEWHERE = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts",
                      "~/.fonts")
_EXTENSIONS = (".ttf", ".ttc", ".otf")
# Fonts without serifs and with many letters; the others follow by name.
_PREFERRED = ("dejavusans.", "dejavusans-bold.", "notosans-", "liberationsans-", "arial",
              "helvetica", "segoeui", "notosanscjk", "notosans", "wqy", "droidsansfallback",
              "pingfang", "msyh", "unifont")
_LAST = ("italic", "oblique", "mono", "condensed", "narrow", "serif", "light", "thin", "black")
_MOST_FONTS = 400
# The capitals of DejaVu Sans at size 1 have this height.
_CAPITAL = 0.729
_CJK = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "FULLWIDTH", "HALFWIDTH")

Runs = List[Tuple[Any, str]]

_hinted: List[str] = []


def is_installed() -> bool:
    """Whether Pillow is there; where it is not, one warning tells how to install it."""
    try:
        import PIL.ImageFont  # noqa: F401
    except ImportError:
        _hint("letters beyond ASCII are drawn as question marks without Pillow; run: pip install "
              "pillow")
        return False
    return True


def drawable(text: str) -> str:
    """The text as it can be drawn: what no font has loses its accents, or else becomes a question
    mark, as do control characters. One warning names a package of fonts."""
    return "".join(letter if _is_drawable(letter) else _replaced(letter) for letter in text)


def _replaced(letter: str) -> str:
    if unicodedata.combining(letter):
        return ""
    plain = "".join(part for part in unicodedata.normalize("NFKD", letter)
                    if not unicodedata.combining(part))
    return plain if plain and all(" " <= part <= "~" for part in plain) else "?"


def width(text: str, capital: float, bold: bool) -> float:
    """The width of a text whose capitals are so many pixels high."""
    return float(sum(font.getlength(run) for font, run in _runs(text, capital, bold)))


def ink(text: str, capital: float, bold: bool) -> Tuple[np.ndarray, Tuple[int, int]]:
    """A text as ink.

    Returns
    -------
    ink : numpy.ndarray
        h x w float32 in [0, 1].
    origin : (int, int)
        x and y in it of the left end of the base line.
    """
    from PIL import Image, ImageDraw

    runs = _runs(text, capital, bold)
    up = 1 + max(font.getmetrics()[0] for font, _ in runs)
    down = 1 + max(font.getmetrics()[1] for font, _ in runs)
    picture = Image.new("L", (int(width(text, capital, bold)) + 6, up + down))
    x = 2.0
    for font, run in runs:
        ImageDraw.Draw(picture).text((x, up), run, fill=255, font=font, anchor="ls")
        x += font.getlength(run)
    return np.asarray(picture, np.float32) / np.float32(255), (2, up)


def _runs(text: str, capital: float, bold: bool) -> Runs:
    """The text in pieces, each with a font that has its letters."""
    size = max(4, int(round(capital / _CAPITAL)))
    runs: Runs = []
    for letter in text:
        if runs and (letter == " " or unicodedata.combining(letter)):
            font = runs[-1][0]
        else:
            font = _font(_font_of(letter, bold), size)
        if runs and runs[-1][0] is font:
            runs[-1] = font, runs[-1][1] + letter
        else:
            runs.append((font, letter))
    return runs


def _is_drawable(letter: str) -> bool:
    if not letter.isprintable():
        return False
    if letter == " " or any(_has(path, letter) for path in _candidates(False)):
        return True
    name = unicodedata.name(letter, "")
    package = "fonts-noto-cjk" if name.startswith(_CJK) else "fonts-noto-core"
    _hint(f"no font of this machine has the letter U+{ord(letter):04X} ({name.lower()}); install "
          f"one, such as Debian's package {package}")
    return False


def _hint(sentence: str) -> None:
    """Tell the first of such sentences, and that once."""
    if not _hinted:
        _hinted.append(sentence)
        _logger.warning(sentence)


@functools.lru_cache(maxsize=65536)
def _font_of(letter: str, bold: bool) -> Optional[str]:
    """The path of the first font with a letter; None for Pillow's own."""
    candidates = _candidates(bold)
    return next((path for path in candidates if _has(path, letter)), None)


@functools.lru_cache(maxsize=2)
def _candidates(bold: bool) -> Tuple[Optional[str], ...]:
    """The fonts of this machine, the preferred ones first, and Pillow's own (None)."""
    folders = _FOLDERS.get(sys.platform, _FOLDERS_ELSEWHERE)
    paths = [os.path.join(folder, name) for root in folders
             for folder, _, names in os.walk(os.path.expanduser(root)) for name in names
             if name.lower().endswith(_EXTENSIONS)]

    def rank(path: str) -> Tuple[bool, int, bool, str]:
        name = os.path.basename(path).lower()
        preferred = next((index for index, start in enumerate(_PREFERRED)
                          if name.startswith(start)), len(_PREFERRED))
        return (any(word in name for word in _LAST), preferred if preferred > 1 else 0,
                ("bold" in name) != bold, path)

    return tuple(sorted(paths, key=rank)[:_MOST_FONTS]) + (None,)


@functools.lru_cache(maxsize=65536)
def _has(path: Optional[str], letter: str) -> bool:
    """Whether a font has a letter: whether it draws it otherwise than what it does not have."""
    font = _font(path, 24)
    if font is None:
        return False
    try:
        mask, missing = font.getmask(letter), font.getmask("\uffff")
    except (OSError, TypeError, ValueError):
        return False
    return mask.size != missing.size or bytes(mask) != bytes(missing)


@functools.lru_cache(maxsize=512)
def _font(path: Optional[str], size: int) -> Any:
    """A font at a size; None for a file that is none."""
    from PIL import ImageFont

    if path is None:
        try:
            return ImageFont.load_default(size)
        except TypeError:  # Before Pillow 10.1, of one size, without FreeType.
            return None
    try:
        return ImageFont.truetype(path, size)
    except OSError:
        return None
