"""The exception tree: one root, so that a caller can catch everything radiolucent raises on purpose.

Every message says what was got, what was expected and the next step.
"""

__all__ = [
    "AnnotationError",
    "BusyError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "ExplainError",
    "ImageError",
    "MissingExtraError",
    "ModelError",
    "RadiolucentError",
    "WeightsError",
]


class RadiolucentError(Exception):
    """Root of all errors raised on purpose."""


class ImageError(RadiolucentError):
    """A file is not a readable radiograph; the message names the file."""


class DataError(RadiolucentError):
    """A data set, manifest or split is unusable as it is."""


class AnnotationError(RadiolucentError):
    """An annotation file or region is malformed, or does not fit its image."""


class ConfigError(RadiolucentError, ValueError):
    """A configuration value is out of range or contradicts another."""


class BusyError(RadiolucentError):
    """Another process is writing the same folder."""


class ModelError(RadiolucentError):
    """A network cannot be built, or does not fit what is asked of it."""


class WeightsError(ModelError):
    """Weights cannot be found, downloaded or fitted to the network."""


class CheckpointError(ModelError):
    """A checkpoint file is missing, damaged or from an unknown format version."""


class ExplainError(RadiolucentError):
    """An explanation method does not apply to this network, target or image."""


class MissingExtraError(RadiolucentError, ImportError):
    """An optional dependency is not installed; the message holds the install command."""
