"""The main job, top to bottom: read, check, split, train, evaluate, explain, compare with the doctors, report."""

import lazy_loader

# What the room exports, and from where, stands in `__init__.pyi`; it is loaded when first asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
