"""Photos: upright, bounded, and with nothing in them but what is seen, whatever was sent."""

from __future__ import annotations

import contextlib
import io
import resource
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from crm import photos
from crm.errors import BadInput
from tests.pictures import BANDERA, HEIC, JPEG, PNG, gps, picture, seen

TELEPHONES = [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp"), ("HEIF", "image/heic")]


def is_red(pixel: Any) -> bool:
    return bool(pixel[0] > 200 and max(pixel[1:3]) < 60)


@pytest.mark.parametrize(("kind", "media_type"), TELEPHONES)
def test_it_is_shown_upright_and_tells_no_more_where_it_was_taken(kind: str, media_type: str) -> None:
    photo = photos.clean(picture(kind, turned=True, place=True), media_type)
    image = seen(photo.data)
    assert image.size == (48, 64)
    assert is_red(image.getpixel((24, 10)))
    assert not is_red(image.getpixel((24, 54)))
    assert photo.place == BANDERA
    assert len(image.getexif()) == 0
    assert b"Maria" not in photo.data
    assert image.format == photo.media_type.removeprefix("image/").upper() == ("PNG" if kind == "PNG" else "JPEG")


def test_remarks_profiles_and_what_follows_the_picture_are_gone() -> None:
    out, image = io.BytesIO(), seen(JPEG)
    image.save(out, "JPEG", comment=b"secret remark", icc_profile=b"secret profile", xmp=b"secret xmp")
    assert b"secret" not in photos.clean(out.getvalue() + b"PK secret archive", "image/jpeg").data
    remarks = PngImagePlugin.PngInfo()
    remarks.add_text("Author", "secret", zip=False)
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=remarks, icc_profile=b"secret profile")
    assert b"secret" not in photos.clean(out.getvalue(), "image/png").data


def test_it_is_made_smaller_and_a_large_png_becomes_a_jpeg() -> None:
    photo = photos.clean(picture("JPEG", size=(5200, 400)), "image/jpeg")
    assert seen(photo.data).size == (photos.LONGEST_SIDE, 197)
    noise = io.BytesIO()
    Image.effect_noise((1600, 1600), 90).save(noise, "PNG")
    assert len(noise.getvalue()) > photos.SMALL
    assert photos.clean(noise.getvalue(), "image/png").media_type == "image/jpeg"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "CMYK", "L", "I;16"])
def test_every_way_of_colours_is_taken(mode: str) -> None:
    out = io.BytesIO()
    Image.new(mode, (20, 20)).save(out, "JPEG" if mode == "CMYK" else "PNG")
    assert seen(photos.clean(out.getvalue(), "image/jpeg" if mode == "CMYK" else "image/png").data).size == (20, 20)


def test_what_one_sees_through_is_white() -> None:
    assert seen(photos.clean(picture("PNG", "#00000000", mode="RGBA"), "image/png").data).getpixel((9, 9)) == (255,) * 3


# ── hostile ──
def png_of(width: int, height: int) -> bytes:
    """A PNG of so many black points, as small as can be: a bomb if they are many."""
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer, rows = zlib.compressobj(9), bytearray()
    for _ in range(height // 1000):
        rows += packer.compress(bytes((1 + width // 8) * 1000))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
            + chunk(b"IDAT", bytes(rows) + packer.flush()) + chunk(b"IEND", b""))  # fmt: skip


def test_a_bomb_is_refused_before_it_unfolds() -> None:
    bomb = png_of(32_000, 32_000)
    assert len(bomb) < 200_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data, media_type in ((bomb, "image/png"), (resized(JPEG, 65_000, 65_000), "image/jpeg"),
                             (png_of(80_000, 1000), "image/png")):  # fmt: skip
        with pytest.raises(BadInput, match=r"attachment\.bomb"):
            photos.clean(data, media_type)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000, "KiB"


def resized(jpeg: bytes, width: int, height: int, marker: bytes = b"\xff\xc0") -> bytes:
    """A JPEG that says that it is of another size."""
    at = jpeg.index(marker) + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def test_a_telephones_largest_photo_is_no_bomb_and_a_progressive_one_is() -> None:
    large = photos.clean(resized(JPEG, 12_000, 9_000), "image/jpeg")  # but for a corner of it grey
    assert seen(large.data).size == (2560, 1920)
    out = io.BytesIO()
    seen(JPEG).save(out, "JPEG", progressive=True)
    with pytest.raises(BadInput, match=r"attachment\.bomb"):
        photos.clean(resized(out.getvalue(), 12_000, 9_000, b"\xff\xc2"), "image/jpeg")


def test_a_heic_that_lies_of_its_size_is_refused() -> None:
    out = io.BytesIO()
    Image.new("RGB", (1600, 1600)).save(out, "HEIF", quality=1)
    said, lie = (struct.pack(">4sIII", b"ispe", 0, size, size) for size in (1600, 64))
    lying = out.getvalue().replace(said, lie)
    assert lying != out.getvalue()
    with pytest.raises(BadInput, match=r"attachment\.broken"):
        photos.clean(lying, "image/heic")


@pytest.mark.parametrize(("data", "media_type"), [
    (JPEG[: len(JPEG) // 2], "image/jpeg"), (PNG[: len(PNG) // 2], "image/png"), (HEIC[:-20], "image/heic"),
    (JPEG, "image/png"), (PNG, "image/jpeg"), (b"\xff\xd8\xff", "image/jpeg"),
])  # fmt: skip
def test_what_is_cut_short_or_disguised_is_refused(data: bytes, media_type: str) -> None:
    with pytest.raises(BadInput, match=r"attachment\.broken"):
        photos.clean(data, media_type)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(TELEPHONES), st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=8),
       st.integers(0, 4000))  # fmt: skip
def test_a_damaged_photo_is_a_photo_or_refused(kind: tuple[str, str], changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(picture(kind[0], turned=True, place=True))
    for at, value in changes:
        data[at % len(data)] = value
    with contextlib.suppress(BadInput):
        photo = photos.clean(bytes(data[: len(data) - cut % (2 * len(data)) if cut % 3 else None]), kind[1])
        assert max(seen(photo.data).size) <= photos.LONGEST_SIDE


# ── the place ──
@given(st.floats(-90, 90), st.floats(-180, 180))
def test_a_place_is_read_to_a_metre(latitude: float, longitude: float) -> None:
    found = photos.place(gps(latitude, longitude))
    if found is None:
        assert abs(latitude) < 1e-4
        assert abs(longitude) < 1e-4
    else:
        assert found == pytest.approx((latitude, longitude), abs=2e-5)


anything = st.one_of(st.none(), st.text(max_size=3), st.floats(), st.binary(max_size=3), st.integers(),
                     st.tuples(st.floats(), st.floats(), st.floats()), st.sampled_from("NSEW"))  # fmt: skip


@given(st.dictionaries(st.integers(0, 6), anything))
def test_what_is_no_place_is_none(tags: dict[int, object]) -> None:
    found = photos.place(tags)
    assert found is None or (abs(found[0]) <= 90 and abs(found[1]) <= 180 and found != (0, 0))


def test_a_camera_that_knew_no_place_says_none() -> None:
    assert photos.place(gps(0.0, 0.0)) is None
    assert photos.place({**gps(*BANDERA), ExifTags.GPS.GPSLatitude: (91.0, 0.0, 0.0)}) is None
