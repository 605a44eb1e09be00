"""Results in, matplotlib Figures out. The only room that normalises a map for display.

Figures are `matplotlib.figure.Figure` objects outside pyplot's state: nothing needs closing, nothing pops up. Texts are
drawn as they are given, whatever they hold.
"""

import lazy_loader

# What the room exports, and from where, stands in `__init__.pyi`; it is loaded when first asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
