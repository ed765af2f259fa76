"""What becomes of each kind of image file, through the data set that trains."""

import io
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from difflab.data import DataError, ImageFolder, ShardedImages, open_image_set
from difflab.data.checked_files import LIMIT
from difflab.data.packing import Mds, Parquet, WebDataset, open_source, pack

SIDE = 16
RNG = np.random.default_rng(0)
WIDE = RNG.integers(0, 65536, (SIDE, SIDE)).astype(np.uint16)
WIDE[0, :2] = 0, 65535
BYTES = RNG.integers(0, 256, (SIDE, SIDE, 4)).astype(np.uint8)
RGB = Image.fromarray(BYTES[..., :3])


def saved(path: Path, image: Image.Image, **settings) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **settings)
    return path


def pixels(folder: Path, channels: int = 3, index: int = 0) -> np.ndarray:
    """[C, H, W]."""
    return ImageFolder(folder, SIDE, channels).images([index])[0].numpy()


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_of_16_bits_is_scaled_to_the_nearest_of_8(name, channels, tmp_path):
    saved(tmp_path / name, Image.fromarray(WIDE))
    nearest = np.rint(WIDE / 257).astype(np.uint8)
    with pytest.warns(UserWarning, match=f"1 of 1 images hold 16 bits a value.*{name}"):
        assert np.array_equal(pixels(tmp_path, channels), np.stack([nearest] * channels))
    with pytest.warns(UserWarning, match="hold 16 bits a value"):
        assert np.array_equal(open_image_set(tmp_path).images([0])[0, 0].numpy(), nearest)


def test_floats_from_0_to_1_are_scaled(tmp_path):
    saved(tmp_path / "a.tif", Image.fromarray((WIDE / 65535).astype(np.float32)))
    with pytest.warns(UserWarning, match=r"hold floats in \[0, 1\]"):
        assert np.array_equal(pixels(tmp_path, 1)[0], np.rint(WIDE / 257).astype(np.uint8))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (WIDE.astype(np.float32), r"a.tif .*cannot be read .*mode F, floats from 0 to 65535"),
        ((WIDE / 65535 - 0.5).astype(np.float32), r"a.tif .*mode F, floats from -0.5 to 0.5"),
        (np.full((SIDE, SIDE), np.nan, np.float32), r"a.tif .*mode F, floats from nan to nan"),
        (WIDE.astype(np.int32), r"a.tif .*mode I, integers of which nothing says which one is white"),
    ],
)
def test_values_without_a_known_white_are_refused(values, message, tmp_path):
    saved(tmp_path / "a.tif", Image.fromarray(values))
    for read in (lambda: ImageFolder(tmp_path, SIDE), lambda: open_image_set(tmp_path)):
        with pytest.raises(DataError, match=message):
            read()


def test_scaling_enters_the_fingerprint_of_the_sets_concerned_alone(tmp_path):
    """Fingerprints as they were before any file was scaled: those of other sets stay."""
    colour = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    for name, values in {"cat": colour, "dog": colour[::-1]}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.ppm").write_bytes(b"P6 8 8 255\n" + values.tobytes())
    assert ImageFolder(tmp_path, 8).fingerprint == "fed7a3cb979b359e5100a619e9343ff9"
    assert ImageFolder(tmp_path, 4, 1).fingerprint == "145abc4447c27076326fe8ad487720f0"
    (tmp_path / "dog/b.pgm").write_bytes(b"P5 8 8 65535\n" + np.arange(64).astype(">u2").tobytes())
    with pytest.warns(UserWarning, match="16 bits"):
        assert ImageFolder(tmp_path, 8).fingerprint != "088d5fbbeb40bf947ba026a2a4727cd0"


def with_transparent_corner() -> Image.Image:
    alpha = BYTES.copy()
    alpha[..., 3] = 255
    alpha[:4, :4, 3] = 0
    return Image.fromarray(alpha)


def test_transparency_is_said_and_the_colours_below_are_those_of_adms_loader(tmp_path):
    image = with_transparent_corner()
    saved(tmp_path / "cat/a.png", image)
    saved(tmp_path / "cat/b.webp", image, lossless=True, exact=True)
    saved(tmp_path / "cat/c.png", Image.fromarray(np.dstack([BYTES[..., 0], image.getchannel("A")])))
    saved(tmp_path / "cat/d.png", RGB.quantize(16), transparency=3)
    saved(tmp_path / "cat/e.png", Image.fromarray(np.dstack([BYTES[..., :3], np.full_like(BYTES[..., 0], 255)])))
    with pytest.warns(UserWarning, match="transparent") as said:
        dataset = ImageFolder(tmp_path, SIDE)
    assert len(said) == 1
    text = str(said[0].message)
    assert "4 of 5 images are transparent in places" in text
    assert "a.png" in text
    assert "and 1 more" in text
    for index, path in enumerate(sorted((tmp_path / "cat").iterdir())):
        with Image.open(path) as opened:
            as_adm = np.asarray(opened.convert("RGB"))
        assert np.array_equal(dataset.images([index])[0].permute(1, 2, 0).numpy(), as_adm)


def test_transparent_samples_are_refused_and_opaque_ones_are_not(tmp_path):
    saved(tmp_path / "a/a.png", with_transparent_corner())
    with pytest.raises(DataError, match=r"a.png \(image 0\) is of the mode RGBA and transparent in places"):
        open_image_set(tmp_path / "a")
    saved(tmp_path / "a/b.png", RGB)
    saved(tmp_path / "a/0.png", RGB)
    saved(tmp_path / "a/c.png", with_transparent_corner())
    with pytest.raises(DataError, match=r"^2 of 4 images cannot be used: .* Lay all images over a ground first"):
        open_image_set(tmp_path / "a")
    saved(tmp_path / "b/a.png", RGB.convert("RGBA"))
    assert np.array_equal(open_image_set(tmp_path / "b").images([0])[0].permute(1, 2, 0).numpy(), np.asarray(RGB))


@pytest.mark.parametrize("form", ["jpg", "png", "webp"])
def test_an_exif_orientation_is_said(form, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = saved(tmp_path / f"a.{form}", RGB, exif=exif)
    saved(tmp_path / f"b.{form}", RGB)
    for read in (lambda: ImageFolder(tmp_path, SIDE), lambda: open_image_set(tmp_path)):
        with pytest.warns(
            UserWarning, match=f"1 of 2 images are to be turned by their EXIF orientation.*a.{form}"
        ) as said:
            images = read()
        assert len(said) == 1
        with Image.open(path) as opened:
            assert np.array_equal(images.images([0])[0].permute(1, 2, 0).numpy(), np.asarray(opened.convert("RGB")))


@pytest.mark.parametrize("form", ["png", "webp", "tif"])
def test_further_frames_are_said(form, tmp_path):
    second = Image.fromarray(BYTES[::-1, :, :3].copy())
    lossless = {"lossless": True} if form == "webp" else {}
    saved(tmp_path / f"a.{form}", RGB, save_all=True, append_images=[second], **lossless)
    with pytest.warns(UserWarning, match="1 of 1 images have several frames or pages"):
        assert np.array_equal(pixels(tmp_path), np.asarray(RGB).transpose(2, 0, 1))


def test_a_cameras_jpeg_with_a_preview_is_a_jpeg(tmp_path, recwarn):
    content = io.BytesIO()
    RGB.save(content, "MPO", save_all=True, append_images=[RGB])
    (tmp_path / "a.jpg").write_bytes(content.getvalue())
    ImageFolder(tmp_path, SIDE)
    assert not recwarn.list


def test_cmyk_is_said(tmp_path):
    saved(tmp_path / "a.jpg", RGB.convert("CMYK"))
    with pytest.warns(UserWarning, match="1 of 1 images are CMYK"):
        ImageFolder(tmp_path, SIDE)


def test_modes_that_lose_nothing_are_taken_as_they_are(tmp_path, recwarn):
    grey, black_and_white = RGB.convert("L"), RGB.convert("1")
    saved(tmp_path / "a.png", grey)
    saved(tmp_path / "b.png", black_and_white)
    saved(tmp_path / "c.png", RGB.quantize(16))
    gamma = io.BytesIO()
    RGB.save(gamma, "PNG")
    whole = gamma.getvalue()
    chunk = b"gAMA" + (100000).to_bytes(4, "big")
    (tmp_path / "d.png").write_bytes(
        whole[:33] + (4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + whole[33:]
    )
    colour, single = ImageFolder(tmp_path, SIDE).images(range(4)), ImageFolder(tmp_path, SIDE, 1).images(range(4))
    for index, image in enumerate((grey, black_and_white, RGB.quantize(16), RGB)):
        assert np.array_equal(colour[index].permute(1, 2, 0).numpy(), np.asarray(image.convert("RGB")))
        assert np.array_equal(single[index, 0].numpy(), np.asarray(image.convert("L")))
    assert not recwarn.list


def test_small_images_are_said(tmp_path):
    saved(tmp_path / "a.png", RGB)
    saved(tmp_path / "b.png", RGB.resize((40, 12)))
    with pytest.warns(
        UserWarning, match=r"1 of 2 images are smaller than image_size=16 .* shortest side has 12 pixels"
    ):
        ImageFolder(tmp_path, SIDE)


FORMATS = {
    "jpg": {},
    "png": {},
    "bmp": {},
    "ppm": {},
    "webp": {},
    "tif": {"compression": "tiff_lzw"},
    "tiff": {},
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("missing", [20, 200])
def test_a_truncated_file_is_named_before_training(form, missing, tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)  # as some libraries leave it
    for name in "abc":
        path = saved(tmp_path / f"{name}.{form}", RGB, **FORMATS[form])
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(DataError, match=f"c.{form} cannot be read as an image") as error:
        ImageFolder(tmp_path, SIDE)
    assert "\n" not in str(error.value)


def test_all_broken_files_are_counted_and_the_first_are_named(tmp_path):
    for number in range(8):
        saved(tmp_path / f"{number}.jpg", RGB)
    (tmp_path / "0.jpg").write_bytes(b"")
    (tmp_path / "2.jpg").write_bytes(b"<html>no image</html>")
    for number in (4, 5, 6):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(path.read_bytes()[:-90])
    with pytest.raises(DataError) as error:
        ImageFolder(tmp_path, SIDE)
    text = str(error.value)
    assert text.startswith("5 of 8 images cannot be used: ")
    for part in (
        "0.jpg cannot be read as an image (it is empty)",
        "begins with b'<html>no ima'",
        "4.jpg",
        "and 2 more",
    ):
        assert part in text
    assert "0x" not in text


def test_a_bomb_is_named_and_a_large_image_said(tmp_path, monkeypatch):
    saved(tmp_path / "a.png", RGB)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", SIDE * SIDE // 3)
    with pytest.raises(DataError, match=r"a.png cannot be read as an image \(Image size \(256 pixels\) exceeds limit"):
        ImageFolder(tmp_path, SIDE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", SIDE * SIDE - 1)
    with pytest.warns(UserWarning, match=r"1 of 1 images have more than .*a.png"):
        ImageFolder(tmp_path, SIDE)


def test_files_that_may_not_be_read_are_named(tmp_path):
    for name in "ab":
        saved(tmp_path / f"{name}.png", RGB)
    (tmp_path / "b.png").chmod(0)
    if os.access(tmp_path / "b.png", os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(DataError, match=r"b\.png cannot be read as an image .*Permission denied"):
        ImageFolder(tmp_path, SIDE)


def test_decoding_a_part_is_by_wish_and_still_names_broken_headers(tmp_path, monkeypatch):
    for number in range(9):
        saved(tmp_path / f"{number}.jpg", RGB)
    monkeypatch.setenv(LIMIT, "3")  # 0, 4 and 8
    broken = tmp_path / "1.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-90])
    partly = ImageFolder(tmp_path, SIDE).fingerprint
    monkeypatch.delenv(LIMIT)
    with pytest.raises(DataError, match=r"1\.jpg"):
        ImageFolder(tmp_path, SIDE)
    broken.write_bytes(whole)
    os.utime(broken, ns=(1, 1))
    assert ImageFolder(tmp_path, SIDE).fingerprint != partly
    monkeypatch.setenv(LIMIT, "3")
    (tmp_path / "2.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2\.jpg"):
        ImageFolder(tmp_path, SIDE)
    monkeypatch.setenv(LIMIT, "many")
    with pytest.raises(DataError, match=f"{LIMIT}=many: expected how many"):
        ImageFolder(tmp_path, SIDE)


def test_what_was_found_is_remembered_with_all_remarks(tmp_path, monkeypatch):
    saved(tmp_path / "cat/a.png", with_transparent_corner())
    saved(tmp_path / "dog/a.png", with_transparent_corner())
    with pytest.warns(UserWarning, match="transparent") as first:
        before = ImageFolder(tmp_path, SIDE).fingerprint
    monkeypatch.setattr("difflab.data.checked_files.examined", None)
    with pytest.warns(UserWarning, match="transparent") as second:
        assert ImageFolder(tmp_path, SIDE).fingerprint == before
    texts = [str(warning.message) for warning in first]
    assert [str(warning.message) for warning in second] == texts
    assert len(texts) == 2
    assert "1 images lie in a second class, too: " in texts[1]
    assert "cat/a.png = " in texts[1]


@pytest.mark.parametrize("form", [WebDataset(), Mds(), Parquet()])
def test_shards_are_decoded_and_scaled_as_the_folder_they_come_from(form, tmp_path):
    pytest.importorskip("pyarrow")
    saved(tmp_path / "set/cat/a.png", Image.fromarray(WIDE))
    saved(tmp_path / "set/dog/b.png", with_transparent_corner())
    with pytest.warns(UserWarning, match=r"16 bits"):
        pack(open_source(str(tmp_path / "set")), tmp_path / "shards", form)
    with pytest.warns(UserWarning, match=r"transparent"):
        folder = ImageFolder(tmp_path / "set", SIDE)
    with pytest.warns(UserWarning, match=r"1 of 2 images hold 16 bits.*shards"):
        shards = ShardedImages(tmp_path / "shards", SIDE)
    assert folder.fingerprint == shards.fingerprint
    assert np.array_equal(shards.images([0])[0, 0].numpy(), np.rint(WIDE / 257).astype(np.uint8))
    assert np.array_equal(folder.images([0, 1]).numpy(), shards.images([0, 1]).numpy())


def test_damaged_files_are_not_packed(tmp_path):
    path = saved(tmp_path / "set/a.jpg", RGB)
    saved(tmp_path / "set/b.jpg", RGB)
    path.write_bytes(path.read_bytes()[:-90])
    for image_size in (None, 8):
        with pytest.raises(DataError, match=r"a\.jpg cannot be read as an image"):
            pack(open_source(str(tmp_path / "set"), image_size), tmp_path / f"shards{image_size}", WebDataset())


def test_grey_of_12_bits_is_refused(tmp_path):
    path = saved(tmp_path / "a.tif", Image.fromarray(WIDE[:, : SIDE // 2 * 2]))
    content = bytearray(path.read_bytes())
    bits = content.index(b"\x02\x01\x03\x00\x01\x00\x00\x00\x10\x00")  # BitsPerSample, SHORT, one, 16
    content[bits + 8] = 12
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tif cannot be read as an image \(mode I;16"):
        ImageFolder(tmp_path, SIDE)
