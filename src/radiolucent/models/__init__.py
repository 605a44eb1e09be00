"""Networks: building, weights, freezing, checkpoints, prediction."""

from radiolucent.models.box import BOX, box_card, box_path, checkpoint_file, is_checkpoint, names_box
from radiolucent.models.build import PRESETS, build
from radiolucent.models.checkpoint import UNFINISHED, finished, load, provenance, save
from radiolucent.models.classifier import Classifier
from radiolucent.models.description import films_path, is_exported_box
from radiolucent.models.export import Exported, export
from radiolucent.models.freeze import freeze, keras_layers, set_train_mode
from radiolucent.models.in_lungs import InLungs
from radiolucent.models.memory import keep_freed_memory
from radiolucent.models.own import is_model_file, names_own, own_model, remember_own
from radiolucent.models.positive import AmbiguousPositive
from radiolucent.models.predict import Case, predict
from radiolucent.models.prefix import FrozenPrefix, frozen_prefix, why_no_prefix
from radiolucent.models.shift import shift_logits
from radiolucent.models.small_cnn import SmallCNN
from radiolucent.models.small_resnet import SmallResNet
from radiolucent.models.weights import WeightsReport
from radiolucent.models.wrap import BlackBox, black_box, wrap, wrap_function

__all__ = [
    "BOX",
    "PRESETS",
    "UNFINISHED",
    "AmbiguousPositive",
    "BlackBox",
    "Case",
    "Classifier",
    "Exported",
    "FrozenPrefix",
    "InLungs",
    "SmallCNN",
    "SmallResNet",
    "WeightsReport",
    "black_box",
    "box_card",
    "box_path",
    "build",
    "checkpoint_file",
    "export",
    "films_path",
    "finished",
    "freeze",
    "frozen_prefix",
    "is_checkpoint",
    "is_exported_box",
    "is_model_file",
    "keep_freed_memory",
    "keras_layers",
    "load",
    "names_box",
    "names_own",
    "own_model",
    "predict",
    "provenance",
    "remember_own",
    "save",
    "set_train_mode",
    "shift_logits",
    "why_no_prefix",
    "wrap",
    "wrap_function",
]
