"""Sentences as rows of word numbers, for nets that read or write words."""

import difflib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterable, List, Sequence, Tuple, Union

import numpy as np

from caffe_gradcam.model import label_files
from prototxt_tools.errors import ImageError, ModelError, QuestionError

if TYPE_CHECKING:
    StrPath = Union[str, "os.PathLike[str]"]

# What stands before the first word and after the last one, where a vocabulary leaves it out.
END = "<EOS>"
_TOKEN = re.compile(r"<[^<>\s]+>|\w+(?:['-]\w+)*|[^\w\s]")
_MOST_NEAR = 3


@dataclass(frozen=True)
class Vocabulary:
    """The words that a net knows, by their numbers.

    Attributes
    ----------
    words : tuple of str
        Word 0, word 1, and so on.
    """

    words: Tuple[str, ...]

    @classmethod
    def read(cls, path: "StrPath", count: int) -> "Vocabulary":
        """Read a labels file of words.

        Parameters
        ----------
        path : str or os.PathLike
            See ``label_files.load``.
        count : int
            How many words the net knows. A file of one word fewer is one that leaves out word 0,
            the end of the sentence, as those of LRCN do.

        Raises
        ------
        ModelError
            The file cannot be read, or has another number of words.
        """
        words = label_files.load(path)
        if len(words) == count - 1 and END not in words:
            words = [END] + words
        if len(words) != count:
            raise ModelError(f"{os.fspath(path)}: {len(words)} words for a net that knows {count}",
                             os.fspath(path))
        return cls(tuple(words))

    @classmethod
    def numbers(cls, count: int) -> "Vocabulary":
        """Words without names, which are called by their numbers."""
        return cls(tuple(map(str, range(count))))

    def parse(self, text: str) -> List[int]:
        """The numbers of a sentence's words.

        Case does not count, and punctuation that the vocabulary lacks is left out.

        Raises
        ------
        QuestionError
            A word that the net does not know, with near ones; or no word at all.
        """
        numbers = {word.lower(): number for number, word in reversed(list(enumerate(self.words)))}
        tokens = [token for token in _TOKEN.findall(text.lower())
                  if token in numbers or token[0].isalnum() or token[0] in "<_"]
        for token in tokens:
            if token not in numbers:
                near = difflib.get_close_matches(token, numbers, _MOST_NEAR, 0.5)
                hint = "; near: " + ", ".join(near) if near else ""
                raise QuestionError(f"the net does not know the word {token!r}{hint}", token)
        if not tokens:
            raise QuestionError(f"the sentence {text!r} holds no word", text)
        return [numbers[token] for token in tokens]

    def row(self, text: str, shape: Sequence[int], name: str) -> np.ndarray:
        """A sentence as the numbers of an input, with zeros behind its last word.

        Parameters
        ----------
        text : str
        shape : sequence of int
            Of the input for one item.
        name : str
            What messages call it.

        Returns
        -------
        numpy.ndarray
            float32, of that shape.

        Raises
        ------
        QuestionError
            As of :meth:`parse`; or there are more words than the input takes.
        """
        numbers = self.parse(text)
        row = np.zeros(shape, np.float32)
        if len(numbers) > row.size:
            raise QuestionError(f"{name} takes {row.size} words, and {text!r} has {len(numbers)}",
                                text)
        row.reshape(-1)[:len(numbers)] = numbers
        return row

    def name(self, number: int) -> str:
        """The word of a number."""
        return self.words[number]

    def sentence(self, numbers: Iterable[int]) -> str:
        """Words as text; punctuation follows the word before it."""
        return re.sub(r"\s+([?.!,;:])", r"\1", " ".join(self.name(number) for number in numbers))


def check_numbers(numbers: Sequence[float], count: int, blob: str) -> None:
    """Raise an ImageError for a number beyond the vocabulary.

    Parameters
    ----------
    numbers : sequence of int
    count : int
        How many words the net knows.
    blob : str
        The input that they are for.
    """
    for position, number in enumerate(numbers):
        if not 0 <= number < count or number != int(number):
            raise ImageError(f"{number:g} at position {position} of input {blob} is no word; the "
                             f"net knows the words 0 to {count - 1}", blob)
