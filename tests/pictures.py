"""Small real photos, of every kind that a telephone sends: made once."""

from __future__ import annotations

import io
from functools import cache

import pillow_heif
from PIL import ExifTags, Image

pillow_heif.register_heif_opener()

BANDERA = (50.48721, 30.49702)  # where the photos with a place were taken


@cache
def picture(kind: str = "JPEG", colour: str = "red", size: tuple[int, int] = (64, 48), *, turned: bool = False,
            place: bool = False, mode: str = "RGB") -> bytes:  # fmt: skip
    """``turned``: it lies on its side, and says so: its upper half is ``colour`` once upright, and its lower white."""
    image = Image.new(mode, size, colour)
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maria's camera"
    if turned:
        image.paste("white", (size[0] // 2, 0, *size))
        exif[ExifTags.Base.Orientation] = 6  # to be turned right
    if place:
        exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps(*BANDERA))
    out = io.BytesIO()
    image.save(out, kind, exif=exif.tobytes())  # of which HEIF makes its own sign that it is turned
    return out.getvalue()


def gps(latitude: float, longitude: float) -> dict[int, object]:
    """As cameras write a place."""
    tag = ExifTags.GPS
    return {tag.GPSLatitudeRef: "N" if latitude >= 0 else "S", tag.GPSLatitude: _parts(abs(latitude)),
            tag.GPSLongitudeRef: "E" if longitude >= 0 else "W", tag.GPSLongitude: _parts(abs(longitude))}  # fmt: skip


def _parts(degrees: float) -> tuple[float, float, float]:
    minutes = degrees % 1 * 60
    return float(int(degrees)), float(int(minutes)), minutes % 1 * 60


def seen(data: bytes) -> Image.Image:
    """What a browser would show."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


JPEG, PNG, HEIC = picture(), picture("PNG"), picture("HEIF")
PDF = b"%PDF-1.7 act"
