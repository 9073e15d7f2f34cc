"""What to explain and how, as one frozen value.

The command line, Python calls and configuration files all make a :class:`Recipe`; batches, reports
and manifests store it, and it is enough to repeat a run.
"""

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Mapping, Optional, Tuple

from caffe_gradcam.asking.asker import Asker, Asking
from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.methods import usual_method
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model import choices
from caffe_gradcam.model.fields import READERS
from caffe_gradcam.model.folder import check_yaml
from caffe_gradcam.model.model import LoadedModel
from prototxt_tools.errors import QuestionError, shortened
from prototxt_tools.files import parse_json, read_bytes, write_bytes
from prototxt_tools.layers.plugins import import_plugins

if TYPE_CHECKING:
    from typing import Union

    StrPath = Union[str, "os.PathLike[str]"]

FORMAT = 1
# A configuration is a page; what is larger is something else.
_LARGEST_FILE = 1 << 20
# No map depends on these, but for its last digits.
_WITHOUT_EFFECT = ("engine", "device", "timeout", "verbose", "isolated", "trust")


@dataclass(frozen=True)
class ModelChoice:
    """Which model, and what is given instead of what its folder specifies.

    Attributes
    ----------
    path : str
        A model folder or a prototxt.
    weights : str, optional
        A weights file.
    overrides : dict
        Values for ``Model.load``'s keywords: ``size, channel_order, mean, scale, resize, crop,
        crops, value_range, score, layers, labels``. JSON values.

    Raises
    ------
    QuestionError
        An unknown keyword among the overrides.
    """

    path: str
    weights: Optional[str] = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        choices.check_keywords("Model.load", set(self.overrides) - set(READERS), READERS)
        given = {name: value for name, value in self.overrides.items() if value is not None}
        object.__setattr__(self, "overrides", given)

    def load(self) -> LoadedModel:
        """The model; see ``Model.load``."""
        return LoadedModel.load(self.path, self.weights, **self.overrides)


@dataclass(frozen=True)
class Recipe:
    """A model, what is asked, how it is explained, and on what it runs."""

    model: ModelChoice
    asking: Asking = Asking()
    explaining: Explaining = Explaining()
    running: Running = Running()

    def open(self) -> Explainer:
        """Load the model and open an engine for it: ``with recipe.open() as explainer``.

        Raises
        ------
        InputError
            See ``Model.load`` and ``Explainer.open``.
        """
        import_plugins(self.running.plugins)  # They may register layers and methods.
        return Explainer.open(self.model.load(), self.explaining, self.running)

    def asker(self, explainer: Explainer) -> Asker:
        """What builds the questions about each image, with an open Explainer."""
        return Asker(self.asking, explainer.model, explainer.score_blob)

    def to_dict(self) -> Dict[str, Any]:
        """The recipe as JSON values.

        Raises
        ------
        QuestionError
            An override, such as an array, is none.
        """
        try:
            values: Dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        except (TypeError, ValueError) as error:
            raise QuestionError(f"this recipe cannot be written to a file: {error}") from None
        return {"format": FORMAT, **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "the configuration") -> "Recipe":
        """The recipe that :meth:`to_dict` gave, or that a configuration file describes.

        What is absent has its default.

        Parameters
        ----------
        values : dict
        source : str
            What messages call it.

        Raises
        ------
        QuestionError
            An unknown key, or a value of the wrong type.
        """
        sections = _mapping(values, source, "")
        if sections.pop("format", FORMAT) != FORMAT:
            raise QuestionError(f"{source}: this version reads format {FORMAT} only", source)
        choices.check_keys(sections, ("format", *_READERS), source)
        if "path" not in _mapping(sections.get("model", {}), source, "model"):
            raise QuestionError(f"{source}: model.path is missing", source)
        read = {name: _section(name, _mapping(sections.get(name, {}), source, name), source)
                for name in _READERS}
        read["explaining"].setdefault(
            "methods", (usual_method(read["asking"].get("detections", False)),))
        try:
            return cls(ModelChoice(**read["model"]), Asking(**read["asking"]),
                       Explaining(**read["explaining"]), Running(**read["running"]))
        except QuestionError as error:
            raise QuestionError(f"{source}: {error}", source) from None

    @classmethod
    def load(cls, path: "StrPath", trust: bool = False, plugins: Iterable[str] = ()) -> "Recipe":
        """The recipe in a configuration file, YAML or JSON.

        A file never trusts code by itself: where it sets ``running.trust`` or names
        ``running.plugins``, the caller has to give the same here.

        Parameters
        ----------
        path : str or os.PathLike
        trust : bool
            Whether the user trusts the code that layers run.
        plugins : iterable of str
            The modules that the user wants imported; that happens first, since they may register
            methods that the file names.

        Raises
        ------
        QuestionError
            The file cannot be read, is neither YAML nor JSON, has an unknown key or a value of
            the wrong type, or trusts code that the caller does not.
        """
        path, plugins = os.fspath(path), tuple(plugins)
        import_plugins(plugins)
        return cls.from_dict(_parsed(_text(path), path), path).trusted(trust, plugins, path)

    def trusted(self, trust: bool, plugins: Tuple[str, ...], source: str) -> "Recipe":
        """This recipe, which comes from a file, with the trust and the plugins of the user.

        Parameters
        ----------
        trust : bool
        plugins : tuple of str
            As for :meth:`load`; they are imported already.
        source : str
            What the recipe comes from, for the messages.

        Raises
        ------
        QuestionError
            It trusts code that the user does not.
        """
        running = self.running
        if running.trust and not trust:
            raise QuestionError(
                f"{source} sets running.trust, but a file cannot trust code by itself; give "
                "--trust (in Python: trust=True) if you trust this net", source)
        for plugin in running.plugins:
            if plugin not in plugins:
                raise QuestionError(
                    f"{source} names the plugin {plugin!r}, but a file cannot import code by "
                    f"itself; give --plugin {plugin} (in Python: plugins=[{plugin!r}]) if you "
                    "trust it", source)
        return dataclasses.replace(self, running=dataclasses.replace(
            running, trust=bool(trust), plugins=plugins))

    def save(self, path: "StrPath") -> None:
        """Write the recipe to a file that :meth:`load` reads.

        Parameters
        ----------
        path : str or os.PathLike
            The extension decides the format: .yaml, .yml or .json.

        Raises
        ------
        QuestionError
            Another extension, or an override that no file can hold.
        InputError
            The file cannot be written.
        """
        path = os.fspath(path)
        extension = os.path.splitext(path)[1].lower()
        if extension == ".json":
            text = json.dumps(self.to_dict(), indent=2) + "\n"
        elif extension in (".yaml", ".yml"):
            import yaml

            text = yaml.safe_dump(self.to_dict(), default_flow_style=False, allow_unicode=True)
        else:
            raise QuestionError(f"{path}: a configuration is a .yaml or a .json file", path)
        write_bytes(path, text.encode("utf-8"))

    def digest(self) -> str:
        """SHA-256 of everything that a map depends on, in hexadecimal."""
        values = self.to_dict()
        for name in _WITHOUT_EFFECT:
            del values["running"][name]
        return digest_of(values)

    @property
    def is_default(self) -> bool:
        """Whether nothing differs from the defaults but what file names show anyway: the classes,
        the methods and the layers."""
        named = Recipe(
            ModelChoice(self.model.path, self.model.weights), Asking(self.asking.classes),
            Explaining(self.explaining.methods, self.explaining.layers))
        return self.digest() == named.digest()


Reader = Callable[[Any], Any]


def digest_of(values: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values, in hexadecimal, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode("utf-8")).hexdigest()


def _text_value(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a whole number")
    return value


def _index(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("a whole number from 0 up")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ValueError("a number of seconds above 0")
    return float(value)


def _fraction(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError("a number from 0 to 1")
    return float(value)


def _texts(value: Any) -> Tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)) or not all(
            isinstance(entry, str) for entry in values):
        raise ValueError("a text or a list of texts")
    return tuple(values)


def _classes(value: Any) -> Tuple[str, ...]:
    """Texts; in a file, a class may also be a bare number."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return _texts([str(entry) if isinstance(entry, int) and not isinstance(entry, bool) else entry
                   for entry in values])


def _region(value: Any) -> Tuple[int, ...]:
    if not isinstance(value, (list, tuple)) or len(value) != 4 or not all(
            isinstance(entry, int) and not isinstance(entry, bool) for entry in value) or min(
                value[2:]) < 1:
        raise ValueError("four whole numbers: x, y, width, height, at least 1 wide and high")
    return tuple(value)


def _dictionary(value: Any) -> Dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError("a mapping of keywords")
    return value


# Section -> key -> what reads its value.
_READERS: Dict[str, Dict[str, Reader]] = {
    "model": {"path": _text_value, "weights": _text_value, "overrides": _dictionary},
    "asking": {"classes": _classes, "at": _region, "mask": _text_value, "crop": _region,
               "like": _text_value, "step": _index, "prior": _index,
               "cosine": _yes_or_no, "probability": _yes_or_no, "counterfactual": _yes_or_no,
               "caption": _yes_or_no, "sentence": _text_value, "beam": _count,
               "detections": _yes_or_no, "min_score": _fraction, "edge": _text_value},
    "explaining": {"methods": _texts, "layers": _texts, "fuse": _text_value,
                   "gradient": _text_value, "placement": _text_value, "samples": _count,
                   "batch_statistics": _yes_or_no},
    "running": {"engine": _text_value, "device": _text_value, "precision": _text_value,
                "trust": _yes_or_no, "allow_missing": _yes_or_no,
                "ignore_unknown_fields": _yes_or_no, "timeout": _seconds,
                "verbose": _yes_or_no, "isolated": _yes_or_no, "plugins": _texts},
}


def _section(name: str, values: Mapping[str, Any], source: str) -> Dict[str, Any]:
    """One section's values, checked; null means the default."""
    readers = _READERS[name]
    choices.check_keys(values, readers, f"{source}: the section {name}")
    read = {}
    for key, value in values.items():
        try:
            if value is not None:
                read[key] = readers[key](value)
        except ValueError as expected:
            raise QuestionError(f"{source}: {name}.{key} must be {expected}, "
                                f"not {shortened(repr(value))}",
                                source) from None
    return read


def _mapping(values: Any, source: str, section: str) -> Dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, Mapping) or not all(isinstance(key, str) for key in values):
        where = f"{source}: {section}" if section else source
        raise QuestionError(f"{where} must consist of lines of `key: value`", source)
    return dict(values)


def _text(path: str) -> str:
    data = read_bytes(path, _LARGEST_FILE, QuestionError)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise QuestionError(f"{path}: not a text in UTF-8", path) from None


def _parsed(text: str, path: str) -> Any:
    """The values in a configuration's text; JSON is YAML too, but is read as what it is."""
    try:
        if path.lower().endswith(".json"):
            return parse_json(text)
        import yaml

        check_yaml(yaml.parse(text, yaml.SafeLoader))
        return yaml.safe_load(text)
    except RecursionError:
        raise QuestionError(f"{path}: nested too deeply", path) from None
    except QuestionError:
        raise
    except Exception as error:  # noqa: B902 - yaml's own, and what its values of odd kinds raise
        kind = "JSON" if path.lower().endswith(".json") else "YAML"
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = str(getattr(error, "problem", None) or error).split("\n")[0]
        raise QuestionError(f"{path}{line}: not {kind}: {problem}", path) from None
