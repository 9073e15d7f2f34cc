"""The errors that bad input raises, each explained in one sentence, and outcomes that hold them.

Every error is an `InputError`; what it is about decides its class::

    InputError
        ModelError          a net definition, a model folder or its readme.md
            PrototxtError   a prototxt, with file, line and column
        WeightsError        a weights file
        ImageError          an image, or whatever else is fed to an input
        QuestionError       a class, a method, a layer: what is asked about an image
        FetchError          a download
        EngineError         an engine cannot run this net
            EngineMissing   the engine's library is not installed
            EngineFailed    the engine stopped while it ran
            OutOfMemory     the memory does not hold this batch
"""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Generic, Optional, Tuple, Type, TypeVar

Value = TypeVar("Value")
NewValue = TypeVar("NewValue")
Kind = TypeVar("Kind", bound="InputError")

# What messages call a prototxt that is not of a file.
UNNAMED = "<prototxt>"
# A name or a number may fill a file.
_LONGEST = 1000


class InputError(Exception):
    """Input that cannot be used; the message is one sentence that says what to do.

    Parameters
    ----------
    message : str
    subject : str, optional
        What the error is about: the path of a file, or the name of a layer, a blob or an option.
    """

    def __init__(self, message: str, subject: Optional[str] = None) -> None:
        super().__init__(message)
        self.subject = subject

    @classmethod
    def about(cls: "Type[Kind]", path: str, problem: str) -> "Kind":
        """The error of this class for a file."""
        return cls(f"{path}: {problem}", path)

    def __reduce__(self) -> Tuple[Any, ...]:
        return _rebuilt, (type(self), str(self), dict(self.__dict__))


class ModelError(InputError):
    """A net definition, a model folder or its readme.md cannot be used."""


class PrototxtError(ModelError):
    """A prototxt cannot be understood, or says what Caffe would not accept.

    Parameters
    ----------
    problem : str
        What is wrong there.
    path : str, optional
        The file; without it, the message says ``<prototxt>``.
    line, column : int, optional
        Counted from 1; the column counts characters.
    """

    def __init__(self, problem: str, path: Optional[str] = None, line: Optional[int] = None,
                 column: Optional[int] = None) -> None:
        position = str(path) if path is not None else UNNAMED
        if line is not None:
            position += f":{line}:{column}"
        if len(problem) > _LONGEST:
            problem = problem[: _LONGEST // 2] + " ... " + problem[-_LONGEST // 2 :]
        super().__init__(f"{position}: {problem}", None if path is None else str(path))
        self.problem = problem
        self.path = path
        self.line = line
        self.column = column

    @classmethod
    def about(cls, path: str, problem: str) -> "PrototxtError":
        return cls(problem, path)


class WeightsError(InputError):
    """A weights file cannot be used, alone or with this net."""


class ImageError(InputError):
    """An image, or another value for an input blob, cannot be used."""


class QuestionError(InputError):
    """What is asked cannot be answered: an unknown class, method, layer or option value."""


class FetchError(InputError):
    """A download failed, or did not bring what was expected."""


class EngineError(InputError):
    """An engine cannot run this net, or stopped while it ran it."""


class EngineMissing(EngineError):
    """The library that an engine needs is not installed."""


class EngineFailed(EngineError):
    """The engine stopped while it ran; another attempt may succeed."""


class OutOfMemory(EngineError):
    """The memory does not hold this batch; a smaller one may fit. The engine is still usable."""


def shortened(text: str, longest: int = 60) -> str:
    """A value as messages show it: on one line, and a long one ends in "..."."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[:longest - 3] + "..."


def _rebuilt(kind: Type[InputError], message: str, fields: Dict[str, Any]) -> InputError:
    """An unpickled error: its message is complete, so no constructor may add to it again."""
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(fields)
    return error


@dataclass(frozen=True, eq=False)
class Outcome(Generic[Value]):
    """What a step gave for one item: a value, or the error that explains why there is none.

    Attributes
    ----------
    value : object or None
        None where there is an error; check ``ok`` where None is a valid value.
    error : InputError or None
    """

    value: Optional[Value] = None
    error: Optional[InputError] = None

    @classmethod
    def of(cls, function: "Callable[..., Value]", *arguments: Any) -> "Outcome[Value]":
        """Call a function; an InputError that it raises becomes the outcome's error."""
        try:
            return cls(function(*arguments))
        except InputError as error:
            return cls(error=error)

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return self.error is None

    def then(self, function: "Callable[..., NewValue]", *arguments: Any) -> "Outcome[NewValue]":
        """The outcome of a function of the value, or this one's error."""
        if self.error is not None:
            return Outcome(error=self.error)
        return Outcome.of(function, self.value, *arguments)

    def unwrap(self) -> Value:
        """The value; raises the error where there is one."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None can be a value
