"""LIME on superpixels: an image is hidden piece by piece, and a linear model tells what each piece adds."""

from radiolucent.explainers.lime.method import LIME
from radiolucent.explainers.lime.views import LimeView, lime_view

__all__ = ["LIME", "LimeView", "lime_view"]
