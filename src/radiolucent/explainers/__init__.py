"""Explanations: one verb, `explain()`, and one method a file."""

from radiolucent.explainers.ablationcam import AblationCAM
from radiolucent.explainers.base import Attribution, Explainer, Goal, explain
from radiolucent.explainers.cam import CAM
from radiolucent.explainers.deeplift import DeepLift
from radiolucent.explainers.eigencam import EigenCAM
from radiolucent.explainers.gradcam import GradCAM
from radiolucent.explainers.gradcamplusplus import GradCAMPlusPlus
from radiolucent.explainers.gradientshap import GradientSHAP
from radiolucent.explainers.guidedbackprop import GuidedBackprop
from radiolucent.explainers.guidedgradcam import GuidedGradCAM
from radiolucent.explainers.hirescam import HiResCAM
from radiolucent.explainers.inputtimesgradient import InputTimesGradient
from radiolucent.explainers.integratedgradients import IntegratedGradients
from radiolucent.explainers.kernelshap import KernelSHAP
from radiolucent.explainers.layercam import LayerCAM
from radiolucent.explainers.lime import LIME, LimeView, lime_view
from radiolucent.explainers.lrp import LRP
from radiolucent.explainers.occlusion import Occlusion
from radiolucent.explainers.reciprocam import ReciproCAM
from radiolucent.explainers.rise import RISE
from radiolucent.explainers.saliency import Saliency
from radiolucent.explainers.scorecam import ScoreCAM
from radiolucent.explainers.smoothgrad import SmoothGrad
from radiolucent.explainers.sobol import Sobol
from radiolucent.explainers.store import load_explanation, save_explanation
from radiolucent.explainers.xgradcam import XGradCAM

METHODS: dict[str, type[Explainer]] = {
    "gradcam": GradCAM,
    "cam": CAM,
    "gradcamplusplus": GradCAMPlusPlus,
    "hirescam": HiResCAM,
    "layercam": LayerCAM,
    "xgradcam": XGradCAM,
    "eigencam": EigenCAM,
    "saliency": Saliency,
    "inputtimesgradient": InputTimesGradient,
    "smoothgrad": SmoothGrad,
    "integratedgradients": IntegratedGradients,
    "gradientshap": GradientSHAP,
    "deeplift": DeepLift,
    "guidedbackprop": GuidedBackprop,
    "guidedgradcam": GuidedGradCAM,
    "lrp": LRP,
    "lime": LIME,
    "kernelshap": KernelSHAP,
    "occlusion": Occlusion,
    "rise": RISE,
    "sobol": Sobol,
    "scorecam": ScoreCAM,
    "ablationcam": AblationCAM,
    "reciprocam": ReciproCAM,
}

__all__ = [
    "CAM",
    "LIME",
    "LRP",
    "METHODS",
    "RISE",
    "AblationCAM",
    "Attribution",
    "DeepLift",
    "EigenCAM",
    "Explainer",
    "Goal",
    "GradCAM",
    "GradCAMPlusPlus",
    "GradientSHAP",
    "GuidedBackprop",
    "GuidedGradCAM",
    "HiResCAM",
    "InputTimesGradient",
    "IntegratedGradients",
    "KernelSHAP",
    "LayerCAM",
    "LimeView",
    "Occlusion",
    "ReciproCAM",
    "Saliency",
    "ScoreCAM",
    "SmoothGrad",
    "Sobol",
    "XGradCAM",
    "explain",
    "lime_view",
    "load_explanation",
    "save_explanation",
]
