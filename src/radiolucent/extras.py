"""Optional dependencies, imported at the edge and only when needed."""

import importlib
from types import ModuleType

from radiolucent.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional module, or say how to install it.

    Args:
        module: dotted module name, e.g. ``"pydicom"``.
        extra: the extra of this package that brings it, e.g. ``"dicom"``.

    Raises:
        MissingExtraError: the module is not installed.

    >>> require("json", extra="none").dumps([1])
    '[1]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"this needs the package {module.split('.')[0]!r}, which is not installed ({error}); "
            f"run: pip install 'radiolucent[{extra}]'"
        ) from error
