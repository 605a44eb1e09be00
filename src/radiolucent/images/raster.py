"""JPEG, PNG, TIFF and BMP, and arrays, to grey levels in [0, 1]."""

import hashlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from radiolucent.errors import ImageError
from radiolucent.types import Radiograph

__all__ = ["from_array", "luminance", "read_raster"]

MAX_PIXELS = 120_000_000
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as PIL's "L"


def luminance(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grey (H, W) from RGB (H, W, 3): 0.299 R + 0.587 G + 0.114 B."""
    return rgb[..., :3] @ LUMINANCE


def read_raster(content: bytes, file: Path, kind: str) -> Radiograph:
    """Decode a raster file's bytes; see `radiolucent.images.read`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL warns of odd metadata; what matters raises
            image = Image.open(io.BytesIO(content), formats=[kind])
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(f"{file}: {image.width} × {image.height} pixels; at most {MAX_PIXELS:,} are read.")
            metadata = _metadata(image, kind)
            image.load()
            orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
            steps: list[str] = []
            if orientation != 1:
                image = ImageOps.exif_transpose(image)
                steps.append(f"EXIF orientation {orientation} applied")
            pixels = _grey(image, steps)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"{file}: starts like {kind} but cannot be decoded; copy or download it again.") from None
    except Image.DecompressionBombError:
        raise ImageError(
            f"{file}: declares more than {MAX_PIXELS:,} pixels; it is no radiograph, or damaged."
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageError(f"{file}: damaged or truncated {kind} ({error}); copy or download it again.") from error
    return Radiograph(np.clip(pixels, 0, 1), transforms=tuple(steps), metadata=metadata)


def _metadata(image: Image.Image, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {"format": kind, "mode": image.mode, "width": image.width, "height": image.height}
    found["bits"] = {"1": 1, "I;16": 16, "I;16B": 16, "I;16L": 16, "I": 32, "F": 32}.get(image.mode, 8)
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        found["frames"] = frames
    tables = getattr(image, "quantization", None)
    if kind == "JPEG" and tables:
        found["jpeg_tables"] = hashlib.sha256(repr(sorted(tables.items())).encode()).hexdigest()[:12]
    return found


def _grey(image: Image.Image, steps: list[str]) -> NDArray[np.float32]:
    mode = image.mode
    if getattr(image, "n_frames", 1) > 1:
        steps.append("first frame taken")
    if mode == "I":
        whole = np.asarray(image, np.float64)
        low, high = int(whole.min()), int(whole.max())
        if low < 0 or high > 65535:
            steps.append(f"32 bit range [{low}, {high}] scaled to [0, 1]")
            return ((whole - low) / max(high - low, 1)).astype(np.float32)
    if mode in ("I;16", "I;16B", "I;16L", "I"):
        steps.append("16 bit scaled by 65535")
        return np.asarray(image, np.float32) / np.float32(65535)
    if mode == "F":
        return _scale_float(np.asarray(image, np.float32), steps)
    if mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")
        steps.append("transparency laid over black")
    if image.mode == "P":
        image = image.convert("RGB")
        steps.append("palette looked up")
    if image.mode not in ("1", "L"):
        steps.append(f"{mode} to grey by luminance")
    return np.asarray(image.convert("L"), np.float32) / np.float32(255)


def _scale_float(values: NDArray[np.float32], steps: list[str]) -> NDArray[np.float32]:
    if not np.isfinite(values).all():
        raise ValueError("holds not-a-number or infinite values")
    low, high = float(values.min()), float(values.max())
    if 0 <= low and high <= 1:
        return values
    steps.append(f"float range [{low:g}, {high:g}] scaled to [0, 1]")
    return (values - np.float32(low)) / np.float32(max(high - low, 1e-12))


def from_array(
    array: NDArray[Any],
    *,
    image_id: str = "array",
    patient_id: str | None = None,
    spacing: tuple[float, float] | None = None,
) -> Radiograph:
    """Make a radiograph from an array.

    Args:
        array: (H, W), or (H, W, 3) or (H, W, 4) colour; bool, uint8 (0–255), uint16 (0–65535) or float in [0, 1].

    Raises:
        ImageError: another shape or type, or floats outside [0, 1].

    >>> from_array(np.full((2, 3), 255, np.uint8)).pixels.max()
    np.float32(1.0)
    """
    scale = {"bool": 1, "uint8": 255, "uint16": 65535}.get(array.dtype.name)
    if scale is None and array.dtype.kind != "f":
        raise ImageError(f"array of type {array.dtype}; expected bool, uint8, uint16 or float in [0, 1].")
    pixels = array.astype(np.float32) / np.float32(scale or 1)
    steps = [f"{array.dtype} scaled by {scale}"] if scale and scale > 1 else []
    if pixels.ndim == 3 and pixels.shape[2] in (3, 4):
        pixels = luminance(pixels)
        steps.append("colour to grey by luminance")
    if pixels.ndim != 2 or 0 in pixels.shape:
        raise ImageError(f"array of shape {array.shape}; expected (H, W), (H, W, 3) or (H, W, 4).")
    if not (float(pixels.min()) >= 0 and float(pixels.max()) <= 1 + 1e-5):
        raise ImageError(f"array ranges over [{pixels.min()}, {pixels.max()}]; expected [0, 1]: scale it first.")
    return Radiograph(np.clip(pixels, 0, 1), image_id, patient_id, spacing, "array", tuple(steps), {"format": "array"})
