"""Pictures: what a file becomes, what is refused, and that the same pixels are the same item."""

import base64
import io
import json
import struct
import threading
import warnings
import zlib
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageCms

from labelwise.flows.demos import Edition, pictures
from labelwise.tasks.errors import InputError
from labelwise.tasks.items import stored
from labelwise.tasks.kinds import files, image, picture
from labelwise.tasks.learners import serving
from labelwise.tasks.learners.frozen import Head
from labelwise.tasks.settings import Kind, Pull
from labelwise.tasks.workspace import Workspace
from tests.tasks.kinds.pictures import BLUE, RED, as_bytes, drawn

PULL = Pull(pool="", gold="")
pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")  # pytest puts its own filters in place of the module's
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def shown(cell: str) -> np.ndarray:
    return np.asarray(picture.of_cell(cell))


def cell_of(content: bytes, name: str = "a.png", side: int = 512) -> str:
    return picture.cell_of(content, name, side)


def fault_of(content: bytes) -> str:
    with pytest.raises(ValueError) as refused:
        picture.cell_of(content, "a.png", 512)
    return str(refused.value)


def header(width: int, height: int) -> bytes:
    """A PNG that claims such a size, and holds nothing."""
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = b"\x89PNG\r\n\x1a\n"
    for kind, content in ((b"IHDR", body), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")):
        parts += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return parts


def test_the_same_pixels_are_the_same_item_whatever_the_file() -> None:
    made = drawn(RED)
    cells = [cell_of(as_bytes(made, form), f"a.{form}") for form in ("PNG", "BMP", "TIFF", "PPM")]
    cells += [cell_of(as_bytes(made, "WEBP", lossless=True)), cell_of(as_bytes(made), side=12)]
    assert len({image.identify(cell) for cell in cells}) == 1 == len({image.fold(cell) for cell in cells})
    assert all((shown(cell) == np.asarray(made)).all() for cell in cells[:-1])
    assert image.identify(cell_of(as_bytes(drawn(RED, 1)))) != image.identify(cells[0])
    assert cell_of(as_bytes(made)) == cell_of(as_bytes(made))


def test_a_changed_picture_has_another_id() -> None:
    cell = cell_of(as_bytes(drawn(RED)))
    other = cell_of(as_bytes(drawn(RED, 1)))
    forged = cell.partition("base64,")[0] + "base64," + other.partition("base64,")[2]
    assert image.identify(forged) not in (image.identify(cell), image.identify(other))


def test_exif_turns_and_is_not_kept() -> None:
    wide = Image.new("RGB", (40, 20), "white")
    wide.paste((0, 0, 0), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    exif[0x010F] = "the camera of somebody"
    cell = cell_of(as_bytes(wide, "JPEG", quality=95, exif=exif))
    assert shown(cell).shape == (40, 20, 3) and shown(cell)[2:15].mean() < 20 and shown(cell)[25:].mean() > 235
    parsed = picture.parsed(cell)
    assert parsed is not None and b"somebody" not in parsed.content and b"Exif" not in parsed.content


def test_exif_that_is_damaged_turns_nothing_and_is_said() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "a maker", "a model", 6
    whole, wide = exif.tobytes(), Image.new("RGB", (40, 20), "white")
    shapes = {}
    for name, content in (
        ("whole", whole),
        ("none", b""),
        ("cut before it", whole[:40]),
        ("cut behind it", whole[:-6]),
        ("of no order", whole.replace(b"MM", b"XX").replace(b"II", b"XX")),
        ("noise", b"Exif\0\0" + b"\xff" * 50),
    ):
        cell = cell_of(as_bytes(wide, "JPEG", **({"exif": content} if content else {})))
        parsed = picture.parsed(cell)
        assert parsed is not None and image.identify(cell) == parsed.id
        shapes[name] = (shown(cell).shape[:2], parsed.unturned)
    turned, lying = ((40, 20), False), ((20, 40), True)
    assert shapes.pop("none") == ((20, 40), False)
    assert shapes == {"whole": turned, "cut behind it": turned} | dict.fromkeys(list(shapes)[2:], lying) | {
        "cut before it": lying
    }
    cells = [cell_of(as_bytes(wide, "JPEG", exif=whole[:40])), cell_of(as_bytes(wide))]
    assert image.notes(cells) == {image.UNTURNED: 1}


def directory(*entries: tuple[int, int, bytes]) -> bytes:
    """EXIF data of such tags, types and values."""
    body = b"".join(struct.pack(">HHI", tag, kind, 1) + value for tag, kind, value in entries)
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + body + bytes(4)


def test_exif_with_tags_that_nobody_knows_is_not_damaged() -> None:
    width, strange, turn = (0x0100, 3, b"\0\x14\0\0"), (0xC000, 14, bytes(4)), (0x0112, 3, b"\0\6\0\0")
    for entries in ((), (width,), (width, width), (width, strange), (strange, strange, width)):
        assert not picture.decoded(as_bytes(drawn(RED), "JPEG", exif=directory(*entries))).unturned, entries
    made = Image.new("RGB", (40, 20))
    for entries, size, unturned in (
        ((width, width, strange, turn), (20, 40), False),
        ((width, (0x0112, 14, b"\0\6\0\0")), (40, 20), True),  # it is said, in a type that is none
    ):
        found = picture.decoded(as_bytes(made, "JPEG", exif=directory(*entries)))
        assert (found.image.size, found.unturned) == (size, unturned)


def profile(red: tuple[float, float, float], more: int = 0, space: bytes = b"RGB ") -> bytes:
    """A colour profile with this red (X, Y, Z) and a gamma of 2; more: bytes that it has too many."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, 2 * 256) + bytes(2)
    primaries = red, (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)
    tags = {name: xyz(each) for name, each in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC", b"kTRC"), curve) | {b"junk": b"text" + bytes(4 + more)}
    return written(b"mntr", space, b"XYZ ", tags)


def of_inks() -> bytes:
    """The colour profile of a printer whose cyan is green."""
    lightness_a_b = [
        bytes([int(255 * (1 - k) * (1 - (c + m + y) / 4)), 128 - 80 * c + 60 * m, 128 + 60 * y + 30 * c])
        for c, m, y, k in np.ndindex(2, 2, 2, 2)
    ]
    ramp, none = bytes(range(256)), struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536)
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + none + ramp * 4 + b"".join(lightness_a_b) + ramp * 3
    return written(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})


def xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def written(device: bytes, space: bytes, between: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A profile of version 2.4 with these tags."""
    tags |= {b"wtpt": xyz(white := (0.9642, 1, 0.8249))}
    place, table, body = 132 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += name + struct.pack(">II", place + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", place + len(body), bytes(4), 0x02400000, device, space, between)
    head += struct.pack(">6H4s28x", 2026, 1, 1, 0, 0, 0, b"acsp") + xyz(white)[8:] + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + body


P3 = (0.5151, 0.2412, -0.0011)


def test_colours_are_what_the_profile_of_a_file_means() -> None:
    made, wide = drawn(RED, side=300), profile(P3)
    srgb = ImageCms.createProfile("sRGB")
    wanted = np.asarray(ImageCms.profileToProfile(made, ImageCms.ImageCmsProfile(io.BytesIO(wide)), srgb))
    assert np.abs(wanted.astype(int) - np.asarray(made)).max() > 20
    for form, more in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
        found = picture.decoded(as_bytes(made, form, icc_profile=wide, **more)).image
        assert (np.asarray(found) == wanted).all(), form
    clear = made.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(made.size))
    white = Image.new("RGB", made.size, "white")
    shown_on_white = Image.composite(Image.fromarray(wanted), white, clear.getchannel("A"))
    found = picture.decoded(as_bytes(clear, icc_profile=wide)).image
    assert np.abs(np.asarray(found, dtype=int) - np.asarray(shown_on_white)).max() <= 1
    palette = made.quantize(16)
    flat = ImageCms.profileToProfile(palette.convert("RGB"), ImageCms.ImageCmsProfile(io.BytesIO(wide)), srgb)
    assert (np.asarray(picture.decoded(as_bytes(palette, icc_profile=wide)).image) == np.asarray(flat)).all()
    grey = made.convert("L")
    dark = np.asarray(picture.decoded(as_bytes(grey, icc_profile=profile(P3, space=b"GRAY"))).image)
    assert (dark == dark[..., :1]).all() and np.abs(dark[..., 0].astype(int) - np.asarray(grey)).max() > 3
    for cell in (cell_of(as_bytes(made, "JPEG", icc_profile=wide)), cell_of(as_bytes(drawn(RED), icc_profile=wide))):
        parsed = picture.parsed(cell)
        assert parsed is not None and "icc_profile" not in Image.open(io.BytesIO(parsed.content)).info
        assert image.identify(cell_of(parsed.content)) == image.identify(cell) or parsed.kind == "jpeg"


def test_a_picture_for_printers_is_seen_by_its_profile() -> None:
    inks = Image.new("CMYK", (40, 40), (255, 0, 0, 0))
    inks.paste((0, 0, 0, 0), (20, 0, 40, 40))
    srgb = ImageCms.createProfile("sRGB")
    read = ImageCms.ImageCmsProfile(io.BytesIO(of_inks()))
    wanted = np.asarray(ImageCms.profileToProfile(inks, read, srgb, outputMode="RGB"))
    found = np.asarray(picture.decoded(as_bytes(inks, "TIFF", icc_profile=of_inks())).image)
    assert (found == wanted).all() and found[0, 0].argmax() == 1 and found[0, -1].min() > 245
    jpeg = np.asarray(picture.decoded(as_bytes(inks, "JPEG", quality=95, icc_profile=of_inks())).image)
    assert np.abs(jpeg[:, :8].astype(int) - wanted[:, :8]).max() < 8
    without = np.asarray(picture.decoded(as_bytes(inks, "TIFF")).image)
    assert without[0, 0].tolist() == [0, 255, 255]


def test_a_profile_that_says_nothing_or_is_broken_changes_no_picture() -> None:
    for mode in ("RGB", "L", "RGBA", "CMYK"):
        made = drawn(RED).convert(mode)
        form = "TIFF" if mode == "CMYK" else "PNG"
        plain = image.identify(cell_of(as_bytes(made, form)))
        of_another = profile(P3, space=b"GRAY") if mode != "L" else profile(P3)
        chance = np.random.default_rng(0)
        useless = [SRGB, of_another, b"none", SRGB[:200], chance.bytes(5000), profile(P3, picture.MOST_PROFILE)]
        for each in useless:
            assert image.identify(cell_of(as_bytes(made, form, icc_profile=each))) == plain, (mode, each[:20])
    for number in range(300):
        spoilt = bytearray(profile(P3))
        at = int(np.random.default_rng(number).integers(0, len(spoilt)))
        spoilt[at : at + 4] = np.random.default_rng(number).bytes(4)
        assert picture.of_cell(cell_of(as_bytes(drawn(RED), icc_profile=bytes(spoilt)))).size == (24, 24)


def test_a_large_profile_gives_a_cell_that_opens() -> None:
    large, made = profile(P3, 2_000_000), drawn(RED, side=60)
    wanted = picture.decoded(as_bytes(made, "TIFF", icc_profile=profile(P3))).image
    cells = [cell_of(as_bytes(made, "TIFF", icc_profile=large)), cell_of(as_bytes(made, "JPEG", icc_profile=large))]
    assert (shown(cells[0]) == np.asarray(wanted)).all() and shown(cells[1]).shape == (60, 60, 3)
    assert max(map(len, cells)) < 20_000
    # Of a PNG, Pillow refuses to open one: its colours are taken as they are
    assert (shown(cell_of(as_bytes(made, icc_profile=large))) == np.asarray(made)).all()
    broken = as_bytes(made, icc_profile=SRGB).replace(b"iCCPICC Profile\0\0", b"iCCPICC Profile\0\7")
    assert (shown(cell_of(broken)) == np.asarray(made)).all()


def test_large_pictures_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "MANY_PIXELS", 1000)
    together, most, real = 0, list[int](), picture._decoded
    both = threading.Barrier(2)

    def counted(made: Any) -> picture.Decoded:
        nonlocal together
        together += 1
        most.append(together)
        if made.width < 30:  # of the small ones two are at work
            both.wait(timeout=20)
        found = real(made)
        together -= 1
        return found

    monkeypatch.setattr(picture, "_decoded", counted)
    large = pd.DataFrame({"image": [files.packed(as_bytes(drawn(RED, number, 40)), "") for number in range(8)]})
    assert image.read(large, PULL).notna().all() and max(most) == 1
    small = pd.DataFrame({"image": [files.packed(as_bytes(drawn(RED, number)), "") for number in range(2)]})
    assert image.read(small, PULL).notna().all() and max(most) == 2


def test_the_filters_of_warnings_are_left_alone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        assert fault_of(header(10_000, 10_000)) == picture.LARGE
        cell_of(as_bytes(drawn(RED)))
        assert warnings.filters == before


def test_nothing_that_a_file_says_beside_its_pixels_is_kept() -> None:
    noise = Image.effect_noise((200, 200), 60)
    coloured = Image.merge("RGB", [noise, noise.rotate(90), noise.rotate(180)])
    for made in (coloured, noise):
        parsed = picture.parsed(cell_of(as_bytes(made, "JPEG", comment=b"somebody", xmp=b"<x>somebody</x>")))
        assert parsed is not None and parsed.kind == "jpeg" and b"somebody" not in parsed.content


@pytest.mark.parametrize("error", [MemoryError(), InputError("refused"), AttributeError("a bug")])
def test_what_is_no_fault_of_the_file_is_not_called_one(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(type(error)):
        picture.cell_of(as_bytes(drawn(RED)), "a.png", 64)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "I", "F"])
def test_each_mode_is_seen_as_people_see_it(mode: str) -> None:
    grey = Image.linear_gradient("L").resize((40, 40))
    if mode in ("I;16", "I", "F"):  # 12 of 16 bits, as cameras and scanners give
        made = Image.fromarray(np.asarray(grey).astype(np.uint16) * 16).convert(mode) if mode != "I;16" else None
        made = made or Image.fromarray(np.asarray(grey).astype(np.uint16) * 16)
        form = "TIFF"
    else:
        made, form = grey.convert("RGB").convert(mode), "TIFF" if mode == "CMYK" else "PNG"
    got = shown(cell_of(as_bytes(made, form)))
    assert got.shape == (40, 40, 3) and got[:4].mean() < 40 and got[-4:].mean() > 215


def test_what_shines_through_is_white() -> None:
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    clear.paste((255, 0, 0, 255), (0, 0, 10, 20))
    got = shown(cell_of(as_bytes(clear)))
    assert (got[:, 15] == 255).all() and (got[:, 5] == (255, 0, 0)).all()
    palette = clear.convert("P")
    assert (shown(cell_of(as_bytes(palette, "GIF", transparency=palette.getpixel((15, 5)))))[:, 15] == 255).all()


def test_of_one_that_moves_the_first_frame_is_kept_and_said() -> None:
    frames = [drawn(RED, number) for number in range(3)]
    for form, more in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {})):
        moving = as_bytes(frames[0], form, save_all=True, append_images=frames[1:], **more)
        cells = [cell_of(moving), cell_of(as_bytes(frames[0]))]
        assert image.notes(cells) == {image.MOVES: 1}, form
        assert form == "GIF" or image.identify(cells[0]) == image.identify(cells[1])


def test_large_ones_are_scaled_down_and_small_ones_left_alone() -> None:
    noise = Image.effect_noise((1600, 400), 60).convert("RGB").point(lambda value: value)
    large = Image.merge("RGB", (noise.getchannel(0), noise.getchannel(1).rotate(180), noise.getchannel(2)))
    parsed = picture.parsed(cell_of(as_bytes(large, "JPEG"), "big.jpg"))
    assert parsed is not None and parsed.kind == "jpeg" and picture.opened(parsed).size == (512, 128)
    assert picture.of_cell(cell_of(as_bytes(drawn(RED, side=1)))).size == (1, 1)
    assert picture.of_cell(cell_of(as_bytes(Image.new("RGB", (3000, 1))))).size == (512, 1)
    drawing = Image.new("RGB", (400, 300), "white")  # of few colours: kept without loss
    parsed = picture.parsed(cell_of(as_bytes(drawing)))
    assert parsed is not None and parsed.kind == "png"


JPEG = as_bytes(Image.effect_noise((300, 300), 60).convert("RGB"), "JPEG")
PNG = as_bytes(Image.effect_noise((300, 300), 60))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", picture.EMPTY),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", picture.SVG),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg/>", picture.SVG),
        (b"  <!DOCTYPE html><html><img src=x onerror=alert(1)></html>", picture.HTML),
        (b"just some text", picture.NONE),
        (b"%PDF-1.4", picture.NONE),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", picture.NONE),
        (b"\0\0\0\x18ftypheic\0\0\0\0", picture.IS_HEIC),
        (header(10_000, 10_000), picture.LARGE),
        (header(2**31 - 1, 2**31 - 1), picture.LARGE),
        (JPEG[: len(JPEG) // 2], picture.TRUNCATED),
        (PNG[: len(PNG) // 2], picture.TRUNCATED),
        (header(50, 50), picture.DAMAGED),
    ],
)
def test_what_is_no_picture_is_refused_with_its_reason(content: bytes, fault: str) -> None:
    found = fault_of(content)
    assert found == fault or {found, fault} <= {picture.TRUNCATED, picture.DAMAGED}


def test_damaged_files_are_used_or_refused() -> None:
    chance = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    forms = ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000", "MPO"]
    sources = [as_bytes(drawn(RED), form, **({} if form in ("GIF", "PPM") else {"exif": exif})) for form in forms]
    moving = [drawn(RED, number) for number in (1, 2)]
    sources += [as_bytes(drawn(RED), form, save_all=True, append_images=moving) for form in ("PNG", "GIF", "WEBP")]
    sources += [as_bytes(drawn(RED), "TIFF", compression=way) for way in ("tiff_lzw", "jpeg", "tiff_adobe_deflate")]
    found = Counter[str]()
    for number in range(100 * len(sources)):
        content = bytearray(sources[number % len(sources)])
        at = int(chance.integers(0, len(content)))
        match number // len(sources) % 4:
            case 0:
                content = content[:at]
            case 1:
                content[at] = chance.integers(0, 256)
            case 2:
                del content[at : at + int(chance.integers(1, 40))]
            case 3:
                content[at : at + 4] = [b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"][number % 3]
        try:
            cell = picture.cell_of(bytes(content), "a", 64)
        except picture.NoPicture as error:
            found[str(error)] += 1
        else:
            found["used"] += 1
            assert picture.parsed(cell) is not None
    assert set(found) <= {"used", *picture.FAULTS} and min(found["used"], found[picture.TRUNCATED]) > 100, found


def test_names_are_kept_and_cannot_break_a_cell() -> None:
    for name in ("a b.png", "x;base64,AAAA.png", "é/日本.png", "\udcff.png", "<img src=x onerror=1>.png", "%2e%2e", ""):
        cell = cell_of(as_bytes(drawn(RED)), name)
        parsed = picture.parsed(cell)
        assert parsed is not None and cell.isascii() and parsed.whole
        assert parsed.name == name.encode("utf-8", "replace").decode()
        assert image.task(cell) == {"image": parsed.address} and "name" not in parsed.address


def test_faults_hold_no_colon_by_which_they_are_parted_from_the_name() -> None:
    assert not any(":" in fault for fault in image.FAULTS) and len(set(image.FAULTS)) == len(image.FAULTS)
    cell = files.unread(files.MISSING, "c:/a.png")
    assert files.unpacked(cell) == files.Held("c:/a.png", fault=files.MISSING)
    assert image.brief(cell) == "c:/a.png" and image.thumbnail(cell) == ""


def test_a_cell_that_a_stranger_made_is_no_trap() -> None:
    for content in (header(10_000, 10_000), b"no picture", JPEG[:500]):
        body = base64.b64encode(content).decode()
        cell = f"data:image/png;id=0123456789abcdef;sum=0123456789abcdef;base64,{body}"
        assert image.thumbnail(cell) == "" and image.identify(cell) != "0123456789abcdef"
        with pytest.raises(InputError, match="the picture 0123456789abcdef of the workspace"):
            picture.of_cell(cell)
    with pytest.raises(InputError, match="an item of the workspace is no picture"):
        picture.of_cell("data:image/svg+xml;base64,AAAA")


def test_a_thumbnail_is_small() -> None:
    large = as_bytes(Image.effect_noise((900, 700), 60).convert("RGB"), "JPEG")
    address = image.thumbnail(cell_of(large))
    assert address.startswith("data:image/") and len(address) < 30_000


def test_a_program_gives_paths_bytes_and_pictures(tmp_path: Path) -> None:
    made = drawn(RED)
    (tmp_path / "a.png").write_bytes(as_bytes(made))
    clear = made.convert("RGBA")
    address = f"data:image/png;base64,{base64.b64encode(as_bytes(made)).decode()}"
    given = [str(tmp_path / "a.png"), tmp_path / "a.png", as_bytes(made), made, clear, address]
    assert len({image.identify(cell) for cell in image.given(given, PULL)}) == 1
    assert len(list(image.given(pd.DataFrame({"x": [1], "image": [as_bytes(made)]}), PULL))) == 1
    for wrong, said in (
        (b"text", picture.NONE),
        (str(tmp_path / "b"), files.MISSING),
        ("~draft.png", files.MISSING),
        ("n" * 5000, files.MISSING),
        ("a\0b", files.MISSING),
        ("data:image/png;base64,A=A", files.NO_DATA),
        (None, "missing"),
        (7, "missing"),
    ):
        with pytest.raises(InputError, match=f"picture 1: .*{said}"):
            list(image.given([made, wrong], PULL))


def test_a_loaded_model_reads_pictures_at_the_side_it_learned_at(tmp_path: Path) -> None:
    encoder = {"embed": {"encoder": "efficientnet-lite0"}}
    params = {"project": {"name": "n", "id": "i"}, "classes": ["a", "b"], "kind": {"item": "image"}, **encoder}
    pull = {"pool": "p", "gold": "g", "picture_side": 64}
    (tmp_path / "params.yaml").write_text(json.dumps(params | {"pull": pull}))
    head = Head(["a", "b"], np.array([0, 1]), np.zeros((2, 1280), np.float32), np.zeros(2, np.float32))
    kept = tmp_path / "kept"
    kept.mkdir()
    head.save(kept)
    about = serving.about(Workspace(tmp_path))
    sides = []
    for said in (about, {key: about[key] for key in about if key != "picture_side"}):  # as it was registered before
        (kept / serving.ENCODER_FILE).write_text(json.dumps(said))
        model = serving.load(kept)
        (cell,) = model.item.given([drawn(RED, side=600)], model.pull)
        sides.append(max(picture.of_cell(cell).size))
    assert sides == [64, 512]


def test_pictures_are_judged_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    held = list[int]()

    def encode(cells: list[str]) -> np.ndarray:
        held.append(len(cells))
        return np.stack([np.asarray(picture.of_cell(cell)).mean((0, 1)) / 255 for cell in cells]).astype(np.float32)

    head = Head(["red", "blue"], np.array([0, 1]), np.array([[9, 0, -9], [-9, 0, 9]], np.float32), np.zeros(2))
    made = [drawn((RED, BLUE)[number % 2], number) for number in range(20)]
    encoder: Any = SimpleNamespace(encode=encode)
    model = serving.Classifier(encoder, head, item=image)
    whole = model.predict(made)
    size = len(next(image.given(made, PULL)))
    monkeypatch.setattr(serving, "CHARACTERS", 6 * size)
    assert model.predict(made).equals(whole) and whole.label.tolist() == ["red", "blue"] * 10
    assert held[0] == 20 and len(held) > 3 and max(held[1:]) <= 7
    assert model.predict([]).empty


def test_tables_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [f"{number:04}" * 25 for number in range(50)]
    table = pa.table({"image": cells})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=7)
    monkeypatch.setattr(stored, "BYTES_AT_ONCE", 1000)
    pieces = list(stored.pieces(tmp_path / "t.parquet", "image", 8))
    assert [len(piece) for piece in pieces] == [8] * 6 + [2] and [cell for piece in pieces for cell in piece] == cells
    assert max(map(len, stored.pieces(tmp_path / "t.parquet", "image", 100))) == 10
    pq.write_table(table.slice(0, 0), tmp_path / "none.parquet")
    assert list(stored.pieces(tmp_path / "none.parquet", "image", 8)) == [[]]


def test_the_demos_digits_are_pictures_in_class_folders(tmp_path: Path) -> None:
    made = pictures.make(Edition("digits", Kind(item="image"), "", "", pictures.make), tmp_path)
    count = {name: len(list(getattr(made, name).rglob("*.png"))) for name in ("pool", "gold", "answers")}
    assert count["pool"] == count["answers"] and 300 < count["gold"] < 420 and count["pool"] + count["gold"] == 1797
    assert sorted(folder.name for folder in made.gold.iterdir()) == sorted(pictures.NAMES)
    assert not [folder for folder in made.pool.iterdir() if folder.is_dir()]
