"""The process of the net: it opens the engine, then explains batches until its pipe closes."""

import time
import warnings
from multiprocessing.connection import Connection
from typing import List, Optional, Union

import numpy as np

from caffe_gradcam.asking.grammar import Asker
from caffe_gradcam.asking.questions import Question
from caffe_gradcam.batch.pipeline.net import NetInput, Prediction
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.explanation import Result
from caffe_gradcam.explaining.memory import SmallerBatch
from caffe_gradcam.explaining.recipe import Recipe
from caffe_gradcam.model.preprocess import Prepared
from caffe_gradcam.processes.memory import SharedMemory
from prototxt_tools.errors import EngineError, EngineFailed, InputError, Outcome


def serve(pipe: Connection, count: int, size: int, descriptor: int, recipe: Recipe, batch: int
          ) -> None:
    """Answer each list of inputs with an outcome; its value is a list with one for each input.

    An engine that can run nothing more ends the process, and another one takes its place.
    """
    memory = SharedMemory(count, size, descriptor)
    started = time.perf_counter()
    try:
        explainer = recipe.open()
        explainer.engine.settle(batch)
        asker = Asker(recipe.asking, explainer.model, explainer.score_blob)
    except InputError as error:
        pipe.send(("refused", error, 0.0))
        return
    # torch's version is an object of torch, which would import torch in the other process.
    description = {name: str(value) for name, value in explainer.engine.description.items()}
    pipe.send(("open", description, time.perf_counter() - started))
    while True:
        inputs = pipe.recv()
        started = time.perf_counter()
        answer = _answer(explainer, asker, memory, inputs)
        if isinstance(answer.error, EngineFailed):
            pipe.send(("failed", answer.error, time.perf_counter() - started))
            return
        pipe.send(("done", answer, time.perf_counter() - started))


def _answer(explainer: Explainer, asker: Asker, memory: SharedMemory, inputs: List[NetInput]
            ) -> "Outcome[List[Outcome[Prediction]]]":
    try:
        return Outcome.of(_explain, explainer, asker, memory, inputs)
    except Exception as error:  # a fault of the engine or of this package: the run continues
        message = str(error).strip().split("\n")[0]
        return Outcome(error=EngineError(f"{type(error).__name__}: {message}"))


def _explain(explainer: Explainer, asker: Asker, memory: SharedMemory, inputs: List[NetInput]
             ) -> "List[Outcome[Prediction]]":
    questions_of_all = [Outcome.of(asker.questions, entry.questions, entry.box) for entry in inputs]

    def load(entry: NetInput, questions: "Outcome[List[Question]]") -> "Outcome[Prepared]":
        return questions.then(lambda _: memory.load(entry.data, entry.slot))

    lists: List[List[Union[int, Question]]] = [
        list(questions.value or ()) for questions in questions_of_all]
    prepared = list(map(load, inputs, questions_of_all))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SmallerBatch)
        results = explainer.explain_prepared(prepared, lists)
    smaller = [str(entry.message) for entry in caught if entry.category is SmallerBatch]
    return [result.then(_prediction, "; ".join(smaller) or None) for result in results]


def _prediction(result: Result, note: Optional[str]) -> Prediction:
    return Prediction(int(np.argmax(result.scores)), result.explanations, note)
