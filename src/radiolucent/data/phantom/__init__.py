"""Procedural chest radiographs of children, with true masks and simulated readers: known answers to test against."""

from radiolucent.data.phantom.draw import Phantom, draw
from radiolucent.data.phantom.generate import PhantomConfig, generate
from radiolucent.data.phantom.generate_several import SeveralConfig, generate_several
from radiolucent.data.phantom.opacities import KINDS
from radiolucent.data.phantom.readers import ReaderModel, readings
from radiolucent.data.phantom.several import FINDINGS, draw_several

__all__ = [
    "FINDINGS", "KINDS", "Phantom", "PhantomConfig", "ReaderModel", "SeveralConfig", "draw", "draw_several", "generate",
    "generate_several", "readings",
]  # fmt: skip
