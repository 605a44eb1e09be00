"""radiolucent makes an X-ray classifier transparent.

It trains the classifier, explains its decisions, and compares the explanations with what doctors marked:

    import radiolucent as rl

    clf = rl.load("runs/kermany")
    film = rl.read("film.dcm")
    explanation = rl.explain(clf, film, rl.GradCAM(), target="PNEUMONIA")

The names below are loaded when first used, so that `import radiolucent` is quick.
"""

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from radiolucent.audits.agreement import agreement as agreement
    from radiolucent.audits.trial import audit as audit
    from radiolucent.audits.trial import examine as examine
    from radiolucent.audits.trial import masks_from_folder as masks_from_folder
    from radiolucent.audits.trust import stamp as stamp
    from radiolucent.data import check as check
    from radiolucent.data import load_dataset as load_dataset
    from radiolucent.data import read_annotations as read_annotations
    from radiolucent.data import split_dataset as split_dataset
    from radiolucent.data.xrv import from_torchxrayvision as from_torchxrayvision
    from radiolucent.errors import RadiolucentError as RadiolucentError
    from radiolucent.explainers import Explainer as Explainer
    from radiolucent.explainers import explain as explain
    from radiolucent.explainers.ablationcam import AblationCAM as AblationCAM
    from radiolucent.explainers.attnlrp import AttnLRP as AttnLRP
    from radiolucent.explainers.cam import CAM as CAM
    from radiolucent.explainers.chefer import Chefer as Chefer
    from radiolucent.explainers.deeplift import DeepLift as DeepLift
    from radiolucent.explainers.eigencam import EigenCAM as EigenCAM
    from radiolucent.explainers.gradcam import GradCAM as GradCAM
    from radiolucent.explainers.gradcamplusplus import GradCAMPlusPlus as GradCAMPlusPlus
    from radiolucent.explainers.gradientshap import GradientSHAP as GradientSHAP
    from radiolucent.explainers.guidedbackprop import GuidedBackprop as GuidedBackprop
    from radiolucent.explainers.guidedgradcam import GuidedGradCAM as GuidedGradCAM
    from radiolucent.explainers.hirescam import HiResCAM as HiResCAM
    from radiolucent.explainers.inputtimesgradient import InputTimesGradient as InputTimesGradient
    from radiolucent.explainers.integratedgradients import IntegratedGradients as IntegratedGradients
    from radiolucent.explainers.kernelshap import KernelSHAP as KernelSHAP
    from radiolucent.explainers.layercam import LayerCAM as LayerCAM
    from radiolucent.explainers.legrad import LeGrad as LeGrad
    from radiolucent.explainers.lime import LIME as LIME
    from radiolucent.explainers.lrp import LRP as LRP
    from radiolucent.explainers.occlusion import Occlusion as Occlusion
    from radiolucent.explainers.reciprocam import ReciproCAM as ReciproCAM
    from radiolucent.explainers.rise import RISE as RISE
    from radiolucent.explainers.saliency import Saliency as Saliency
    from radiolucent.explainers.scorecam import ScoreCAM as ScoreCAM
    from radiolucent.explainers.smoothgrad import SmoothGrad as SmoothGrad
    from radiolucent.explainers.sobol import Sobol as Sobol
    from radiolucent.explainers.xgradcam import XGradCAM as XGradCAM
    from radiolucent.images import Preprocess as Preprocess
    from radiolucent.images import from_array as from_array
    from radiolucent.images import read as read
    from radiolucent.metrics import evaluate as evaluate
    from radiolucent.metrics import evaluate_labels as evaluate_labels
    from radiolucent.models import Classifier as Classifier
    from radiolucent.models import build as build
    from radiolucent.models import export as export
    from radiolucent.models import load as load
    from radiolucent.models import own_model as own_model
    from radiolucent.models import predict as predict
    from radiolucent.models import save as save
    from radiolucent.models import wrap as wrap
    from radiolucent.models import wrap_function as wrap_function
    from radiolucent.models.hub import load_from_hub as load_from_hub
    from radiolucent.models.hub import push_to_hub as push_to_hub
    from radiolucent.models.hub import save_for_hub as save_for_hub
    from radiolucent.passes.session import Session as Session
    from radiolucent.reports import write_report as write_report
    from radiolucent.segment import lungs as lungs
    from radiolucent.segment import markers as markers
    from radiolucent.study import RepairConfig as RepairConfig
    from radiolucent.study import StudyConfig as StudyConfig
    from radiolucent.study import demo as demo
    from radiolucent.study import explain_many as explain_many
    from radiolucent.study import repair as repair
    from radiolucent.study import run_study as run_study
    from radiolucent.study.estimator import XrayEstimator as XrayEstimator
    from radiolucent.study.handover import hand_over as hand_over
    from radiolucent.training import TrainConfig as TrainConfig
    from radiolucent.training import fit as fit
    from radiolucent.types import Annotation as Annotation
    from radiolucent.types import Radiograph as Radiograph
    from radiolucent.types import Region as Region

__version__ = "0.1.0"

_ROOM_OF = {
    "agreement": "audits.agreement",
    "stamp": "audits.trust",
    "audit": "audits.trial",
    "examine": "audits.trial",
    "masks_from_folder": "audits.trial",
    "check": "data",
    "load_dataset": "data",
    "read_annotations": "data",
    "split_dataset": "data",
    "RadiolucentError": "errors",
    "Explainer": "explainers",
    "explain": "explainers",
    "Preprocess": "images",
    "from_array": "images",
    "read": "images",
    "evaluate": "metrics",
    "evaluate_labels": "metrics",
    "Classifier": "models",
    "build": "models",
    "export": "models",
    "load": "models",
    "own_model": "models",
    "predict": "models",
    "save": "models",
    "wrap": "models",
    "wrap_function": "models",
    "load_from_hub": "models.hub",
    "push_to_hub": "models.hub",
    "save_for_hub": "models.hub",
    "Session": "passes.session",
    "write_report": "reports",
    "lungs": "segment",
    "markers": "segment",
    "RepairConfig": "study",
    "StudyConfig": "study",
    "demo": "study",
    "explain_many": "study",
    "repair": "study",
    "run_study": "study",
    "XrayEstimator": "study.estimator",
    "hand_over": "study.handover",
    "from_torchxrayvision": "data.xrv",
    "TrainConfig": "training",
    "fit": "training",
    "Annotation": "types",
    "Radiograph": "types",
    "Region": "types",
}


def __getattr__(name: str) -> Any:
    if name in _ROOM_OF:
        return getattr(importlib.import_module(f"radiolucent.{_ROOM_OF[name]}"), name)
    if name == "__all__":
        return [*_ROOM_OF, *_methods()]
    # Only a class can be a method: a room that is not imported yet must not load all of them.
    if name[:1].isupper() and name in (methods := _methods()):
        return methods[name]
    if not name.startswith("_") and find_spec(f"radiolucent.{name}"):  # a room, such as `rl.metrics`
        return importlib.import_module(f"radiolucent.{name}")
    raise AttributeError(f"module 'radiolucent' has no attribute {name!r}")


def _methods() -> dict[str, Any]:
    """Every explanation method, by its class's name."""
    found = importlib.import_module("radiolucent.explainers").METHODS
    return {method.__name__: method for method in found.values()}


def __dir__() -> list[str]:
    return sorted({"__version__", *_ROOM_OF, *_methods()})
