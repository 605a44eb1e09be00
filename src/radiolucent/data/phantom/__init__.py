"""Procedural chest radiographs of children, with true masks and simulated readers: known answers to test against."""

from radiolucent.data.phantom.draw import Phantom, draw
from radiolucent.data.phantom.generate import PhantomConfig, generate
from radiolucent.data.phantom.opacities import KINDS
from radiolucent.data.phantom.readers import ReaderModel, readings

__all__ = ["KINDS", "Phantom", "PhantomConfig", "ReaderModel", "draw", "generate", "readings"]
