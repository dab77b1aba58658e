"""Reading, fitting and writing still images with Pillow."""

import io
import warnings
from pathlib import Path

from contract import Failure, require_file
from PIL import ExifTags, Image, ImageOps
from PIL.PngImagePlugin import PngInfo

FRAME = (1920, 1080)
MAX_PIXELS = 50_000_000
MAX_BYTES = 200_000_000  # 50 megapixels with transparency, not packed at all
FORMATS = ("PNG", "JPEG", "WEBP")
MOST_COMMENT = 500  # characters


def open_picture(path: Path, role: str, *, mode: str = "RGB", near: tuple[int, int] | None = None) -> Image.Image:
    """Load a picture upright in the given mode. near: a size that is enough; a JPEG is then decoded small."""
    return decode(read_picture(path, role), f"{role} {path}", mode=mode, near=near)


def read_picture(path: Path, role: str) -> bytes:
    """The file's bytes; one that no picture of ours can fill is not read into memory."""
    require_file(path, role)
    if path.stat().st_size > MAX_BYTES:
        raise Failure("permanent", f"{role} {path} is larger than {MAX_BYTES // 1_000_000} MB")
    return path.read_bytes()


def check_picture(content: bytes, name: str) -> None:
    """Fail unless the bytes are a sound PNG, JPEG or WebP; checks structure and sums without unpacking the pixels."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            picture.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise Failure("permanent", f"{name} is not a readable PNG, JPEG or WebP") from None


def decode(content: bytes, name: str, *, mode: str = "RGB", near: tuple[int, int] | None = None) -> Image.Image:
    """Decode PNG, JPEG or WebP; anything else, broken or over 50 megapixels fails with the name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
            if picture.width * picture.height > MAX_PIXELS:
                raise Failure("permanent", f"{name} is larger than 50 megapixels")
            if near:
                picture.draft(None, near)
            ImageOps.exif_transpose(picture, in_place=True)
            picture.load()
            return picture if picture.mode == mode else picture.convert(mode)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise Failure("permanent", f"{name} is not a readable PNG, JPEG or WebP") from None


def cover(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Fill the size: scaled, never stretched, cropped evenly at the sides that stick out."""
    return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)


def as_jpeg(picture: Image.Image, quality: int) -> bytes:
    """The picture as JPEG bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def save_png(picture: Image.Image, file: Path) -> None:
    """Write the picture as PNG, with the comment it came with: stand-ins of a vendor mark what they made there.

    Level 3: half the time of the default 6 for a few percent of size.
    """
    text = PngInfo()
    if comment := _comment(picture):
        text.add_itxt("Comment", comment)
    picture.save(file, "PNG", compress_level=3, pnginfo=text)


def _comment(picture: Image.Image) -> str:
    """The comment of a JPEG, or of EXIF, where WebP has it."""
    said = picture.info.get("comment") or picture.getexif().get(ExifTags.Base.ImageDescription) or ""
    return (said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said))[:MOST_COMMENT].replace("\0", "")
