"""The report of explain."""

from typing import TYPE_CHECKING, Any, Dict, List, Optional

from caffe_gradcam import __version__
from caffe_gradcam.commands.describing import model_rows
from caffe_gradcam.report import explained, page
from caffe_gradcam.report.entries import Fact, ImageEntry, Report, Section, facts_of
from prototxt_tools.errors import Outcome, QuestionError

if TYPE_CHECKING:
    from caffe_gradcam.commands.requests import Request
    from caffe_gradcam.explaining.recipe import Recipe
    from caffe_gradcam.model.model import LoadedModel
    from caffe_gradcam.report.explained import Shown
    from caffe_gradcam.report.summary import Summary


class Collector:
    """Collects what explain finds, for a page.

    Parameters
    ----------
    recipe : Recipe
    model : LoadedModel

    Raises
    ------
    InputError
        Jinja2 is missing.
    """

    def __init__(self, recipe: "Recipe", model: "LoadedModel") -> None:
        page.environment()  # Before the net runs.
        self._recipe, self._model = recipe, model
        self._entries: List[ImageEntry] = []
        self._engine: Dict[str, Any] = {}

    def add(self, request: "Request", outcome: "Outcome[Shown]") -> None:
        """Add what became of an image."""
        number = len(self._entries)
        if outcome.error is not None:
            self._entries.append(explained.failure(number, request.name, outcome.error))
            return
        self._entries.append(explained.entry(
            number, request.name, outcome.unwrap(), self._true_class(request.item.true_label)))

    def write(self, path: str, engine: Dict[str, Any]) -> None:
        """Write the page; raises InputError where it cannot be written."""
        self._engine = dict(engine)
        page.write(path, self._report, self._entries)

    def _report(self, summary: "Summary") -> Report:
        model = self._model
        recipe = self._recipe.to_dict()
        asking = {name: value for name, value in recipe["asking"].items() if value is not False}
        sections = [
            Section("Model", [Fact("prototxt", str(model.path))]
                    + [Fact(*row) for row in model_rows(model)]),
            Section("Question and method", facts_of({**asking, **recipe["explaining"]})),
            Section("Engine", facts_of(self._engine))]
        names = {} if model.class_names is None else dict(enumerate(map(str, model.class_names)))
        return Report(f"What {model.name} looked at", f"report of caffe-gradcam {__version__}",
                      summary, names, [section for section in sections if section.facts])

    def _true_class(self, label: Any) -> Optional[int]:
        try:
            return None if label is None else self._model.find_class(str(label))
        except QuestionError:
            return None
