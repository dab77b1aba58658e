"""Freeing a figure from a plain studio backdrop by keying, as the image model gives no transparency."""

from contract import Failure, emit
from PIL import Image, ImageChops, ImageDraw, ImageFilter

BACKDROP = 24  # a pixel this near to the backdrop, in its worst channel, belongs to it
FIGURE = 72  # this far away it belongs to the figure; between the two it is half transparent
PLAIN_SHARE = 0.85  # of the border that must look like the backdrop
CORNER = 24  # pixels of a corner patch
COARSE = 320  # width at which connected areas are searched: a flood fill in pure Python takes 0.1 s there
FEATHER = 48


def cut_out(picture: Image.Image, name: str) -> Image.Image:
    """The figure of an RGBA picture, cropped to what is visible; fails with the name where that is nothing.

    Existing transparency is used as it is. Without any, the backdrop is removed as far as it is connected to the
    border, so that a white shirt before a white wall stays. A picture without a plain backdrop gets soft edges, and a
    warning says so.
    """
    if picture.getchannel("A").getextrema() == (255, 255):
        picture.putalpha(_matte(picture.convert("RGB")) or _feathered(picture.size))
    box = picture.getchannel("A").point(lambda alpha: 255 if alpha > 8 else 0).getbbox()
    if not box:
        raise Failure("permanent", f"{name} is transparent everywhere: nothing of it would be seen")
    return picture.crop(box)


def _matte(picture: Image.Image) -> Image.Image | None:
    """Transparency from the distance to the backdrop; None where the border is not plain or nothing would be left."""
    distance = _distance(picture, _backdrop(picture))
    if _plain_share(distance) < PLAIN_SHARE:
        return None
    soft = distance.point([_opacity(value) for value in range(256)])
    matte = Image.composite(soft, Image.new("L", picture.size, 255), _outside(distance))
    if not matte.histogram()[255]:
        return None
    return matte.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(0.8))  # a pixel less: no bright rim


def _backdrop(picture: Image.Image) -> Image.Image:
    """The backdrop as four corner colours blended over the frame: studio backdrops are often shaded, seldom flat."""
    right, bottom = picture.width - CORNER, picture.height - CORNER
    corners = Image.new("RGB", (2, 2))
    for x, left in ((0, 0), (1, right)):
        upper = _mean(picture, left, 0)
        lower = _mean(picture, left, bottom)
        covered = max(abs(a - b) for a, b in zip(upper, lower, strict=True)) > FIGURE  # the figure stands there
        corners.putpixel((x, 0), upper)
        corners.putpixel((x, 1), upper if covered else lower)
    return corners.resize(picture.size, Image.Resampling.BILINEAR)


def _mean(picture: Image.Image, left: int, top: int) -> tuple[int, int, int]:
    patch = picture.crop((left, top, left + CORNER, top + CORNER)).resize((1, 1), Image.Resampling.BOX)
    red, green, blue = patch.tobytes()
    return red, green, blue


def _distance(picture: Image.Image, backdrop: Image.Image) -> Image.Image:
    """How far each pixel is from the backdrop in its worst channel."""
    red, green, blue = ImageChops.difference(picture, backdrop).split()
    return ImageChops.lighter(ImageChops.lighter(red, green), blue)


def _plain_share(distance: Image.Image) -> float:
    """How much of the upper border looks like the backdrop; the lower part is where figures are cut by the frame."""
    width, height = distance.size
    side = height * 7 // 10
    strips = ((0, 0, width, 4), (0, 0, 4, side), (width - 4, 0, width, side))
    counts = [distance.crop(strip).histogram() for strip in strips]
    return sum(sum(count[: BACKDROP + 1]) for count in counts) / sum(sum(count) for count in counts)


def _opacity(distance: int) -> int:
    return round(255 * min(1.0, max(0.0, (distance - BACKDROP) / (FIGURE - BACKDROP))))


def _outside(distance: Image.Image) -> Image.Image:
    """Mask of what is connected to the border, a little wider than the backdrop so that soft edges lie inside it."""
    size = (COARSE, max(1, COARSE * distance.height // distance.width))
    near = distance.point(lambda value: 255 if value <= FIGURE else 0).resize(size, Image.Resampling.BOX)
    framed = Image.new("L", (size[0] + 2, size[1] + 2), 255)
    framed.paste(near.point(lambda share: 255 if share > 127 else 0), (1, 1))
    ImageDraw.floodfill(framed, (0, 0), 128)
    reached = framed.crop((1, 1, size[0] + 1, size[1] + 1)).point(lambda value: 255 if value == 128 else 0)
    return reached.filter(ImageFilter.MaxFilter(3)).resize(distance.size, Image.Resampling.NEAREST)


def _feathered(size: tuple[int, int]) -> Image.Image:
    """Opaque with soft edges at the top and the sides."""
    emit(
        "warning",
        message="the character has neither transparency nor a plain backdrop: its edges are softened",
    )
    inner = Image.new("L", size, 0)
    inner.paste(255, (FEATHER, FEATHER, max(FEATHER + 1, size[0] - FEATHER), size[1]))
    return inner.filter(ImageFilter.GaussianBlur(FEATHER / 3))
