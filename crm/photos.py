"""A photo as it is kept: upright, of a sensible size, and with nothing in it but what is seen.

It is drawn anew from its pixels, so that neither where and by what it was taken nor anything that hides in the file is
passed on. What it would need in memory is known before a pixel is unfolded.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import pillow_heif
from PIL import ExifTags, Image, ImageOps

from crm.errors import BadInput

LONGEST_SIDE = 2560  # pixels: a number plate across the street is read
QUALITY = 88
SMALL = 2 * 1024 * 1024  # bytes: a screenshot or a scan stays PNG, whose letters have no dirt around them
MOST_PIXELS = 50_000_000  # that are unfolded whole: four bytes each
MOST_SHRUNK = 250_000_000  # of a JPEG that is made smaller while it is unfolded: a telephone's 200 megapixels
WIDEST = 65_535  # pixels, either way

# What is taken, and what Pillow calls it.
KINDS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/heic": "HEIF"}

_AT_A_TIME = threading.BoundedSemaphore(2)  # memory is bounded, however many come

# What else lies in the file is not looked at, and a small picture of it never stands for it.
pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
Image.MAX_IMAGE_PIXELS = None  # its own bound knows nothing of what a JPEG costs


@dataclass(frozen=True, slots=True)
class Photo:
    """``place``: latitude and longitude, degrees, as the photo said."""

    data: bytes
    media_type: str
    place: tuple[float, float] | None


def clean(data: bytes, media_type: str) -> Photo:
    """Draws it anew: a PNG that is small stays one, all others become JPEG. Slow, and heavy: not in an event loop.

    BadInput ``attachment.bomb`` for one that has more pixels than any photo, ``attachment.broken`` for one that cannot
    be shown: cut short, damaged or disguised.
    """
    with _AT_A_TIME:
        try:
            with Image.open(io.BytesIO(data), formats=(KINDS[media_type],)) as image:
                _weigh(image)
                at = place(image.getexif().get_ifd(ExifTags.IFD.GPSInfo))
                return _drawn(image, media_type == "image/png" and len(data) <= SMALL, at)
        except BadInput:
            raise
        except Exception:  # a decoder that meets a hostile file fails in any way there is
            raise BadInput("attachment.broken") from None


def _weigh(image: Image.Image) -> None:
    """Nothing has been unfolded yet. A progressive JPEG is unfolded whole before it can be made smaller."""
    shrinks = image.format in ("JPEG", "MPO") and not image.info.get("progressive")
    width, height = image.size
    if width * height > (MOST_SHRUNK if shrinks else MOST_PIXELS) or max(width, height) > WIDEST:
        raise BadInput("attachment.bomb", megapixels=MOST_PIXELS // 1_000_000)


def place(gps: Mapping[int, object]) -> tuple[float, float] | None:
    """Latitude and longitude as the camera wrote them; None for what is no place. 0, 0 is a camera that knew none."""
    tag = ExifTags.GPS
    latitude = _degrees(gps.get(tag.GPSLatitude), gps.get(tag.GPSLatitudeRef), "N", "S", 90)
    longitude = _degrees(gps.get(tag.GPSLongitude), gps.get(tag.GPSLongitudeRef), "E", "W", 180)
    if latitude is None or longitude is None or (latitude, longitude) == (0, 0):
        return None
    return latitude, longitude


def _degrees(value: object, towards: object, plus: str, minus: str, most: int) -> float | None:
    """Degrees, minutes and seconds as one number, to a metre."""
    try:
        degrees, minutes, seconds = (float(part) for part in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError, ArithmeticError):
        return None
    made = degrees + minutes / 60 + seconds / 3600
    if towards not in (plus, minus) or not math.isfinite(made) or min(degrees, minutes, seconds) < 0 or made > most:
        return None
    return round(made if towards == plus else -made, 5)


def _drawn(image: Image.Image, as_png: bool, at: tuple[float, float] | None) -> Photo:
    image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
    if image.mode not in ("RGB", "L", "RGBA", "LA", "CMYK"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))  # before anything else is made of it: large, it is so but once
    seen = image if image.mode in ("RGB", "L") else _plain(image)
    ImageOps.exif_transpose(seen, in_place=True)
    seen.info.clear()  # or remarks and colour profiles would be written again
    out = io.BytesIO()
    seen.save(out, "PNG" if as_png else "JPEG", quality=QUALITY)
    return Photo(out.getvalue(), "image/png" if as_png else "image/jpeg", at)


def _plain(image: Image.Image) -> Image.Image:
    """In colours, and on white where one could see through it."""
    if image.mode == "CMYK":
        return image.convert("RGB")
    seen = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
