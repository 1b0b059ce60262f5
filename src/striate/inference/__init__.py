"""Using a trained network: its figures on held-out images, and labels for files."""

from striate.inference.answering import accelerate, answering
from striate.inference.doubt import Doubt, Restated, Suspect, doubt, split_as_trained
from striate.inference.ensemble import Ensemble, Member, evaluate_ensemble
from striate.inference.evaluate import Images, evaluate, find_images
from striate.inference.evaluation import ClassFigures, Evaluation, Figures, Mistake
from striate.inference.model import Model, open_model
from striate.inference.outcome import Outcome, measure
from striate.inference.pictures import draw_run, write_evaluation
from striate.inference.pixels import PixelNet, of_levels, read_pixels, to_picture
from striate.inference.predict import Guess, Prediction, find, predict, prediction
from striate.inference.weights import load, load_weights

__all__ = [
    "ClassFigures",
    "Doubt",
    "Ensemble",
    "Evaluation",
    "Figures",
    "Guess",
    "Images",
    "Member",
    "Mistake",
    "Model",
    "Outcome",
    "PixelNet",
    "Prediction",
    "Restated",
    "Suspect",
    "accelerate",
    "answering",
    "doubt",
    "draw_run",
    "evaluate",
    "evaluate_ensemble",
    "find",
    "find_images",
    "load",
    "load_weights",
    "measure",
    "of_levels",
    "open_model",
    "predict",
    "prediction",
    "read_pixels",
    "split_as_trained",
    "to_picture",
    "write_evaluation",
]
