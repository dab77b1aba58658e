"""Pictures drawn from a prompt: a scene, or a figure or thing on plain ground; the same words, the same picture."""

import io
import math
import random
import re
from dataclasses import dataclass

from PIL import Image, ImageColor, ImageDraw, ImageFilter, ImageFont
from PIL.PngImagePlugin import PngInfo

from sandbox.media import MARK, fingerprint

Rgb = tuple[int, int, int]

# Gemini's sizes at 1K by aspect ratio; 2K and 4K are these times two and four.
SIZES = {
    "1:1": (1024, 1024),
    "2:3": (848, 1264),
    "3:2": (1264, 848),
    "3:4": (896, 1200),
    "4:3": (1200, 896),
    "4:5": (928, 1152),
    "5:4": (1152, 928),
    "9:16": (768, 1376),
    "16:9": (1376, 768),
    "21:9": (1584, 672),
}
SCALES = {"1K": 1, "2K": 2, "4K": 4}
PLAIN = re.compile(
    r"transparent|(plain|solid|white|neutral|isolated|empty|green)[\w ,-]{0,24} (background|backdrop|screen)", re.I
)
PERSON = re.compile(
    r"character|person|figure|man\b|woman|keeper|host|narrator|girl|boy|child|portrait|captain|scientist|engineer|"
    r"farmer|king|queen|soldier|worker|teacher|sailor|explorer|doctor|artist|people|hero",
    re.I,
)
NIGHT = re.compile(r"night|star|moon|space|dark|midnight|galaxy", re.I)
WATER = re.compile(r"sea|ocean|lake|river|harbo|coast|island|beach|lighthouse|ship|water|rain", re.I)
TOWN = re.compile(r"city|town|street|office|factory|room|interior|workshop|library|market|lab|station|building", re.I)
TOWER = re.compile(r"lighthouse|tower|rocket|castle|monument", re.I)

# Sky top, sky bottom, far hills, near ground.
DAYS: list[tuple[str, str, str, str]] = [
    ("#3d6fb4", "#f6d9b0", "#7d93b8", "#27405e"),
    ("#5b8fc7", "#eaf3f4", "#86a88f", "#2f5a45"),
    ("#f08a5d", "#ffe3b3", "#b0607a", "#4a2b4f"),
    ("#6a78c9", "#ffd3c4", "#8f77ad", "#3a2f5c"),
    ("#2f8f9d", "#f4f1de", "#6fae9b", "#1f5560"),
]
NIGHTS: list[tuple[str, str, str, str]] = [
    ("#0b1030", "#3f3d7a", "#2b2f63", "#0c1026"),
    ("#07131f", "#23566b", "#1b4455", "#06141d"),
    ("#180f2e", "#6a3f74", "#43305f", "#130b22"),
]
SKINS = ["#f2c9a1", "#e0a97c", "#b9794a", "#8a5634", "#f7d9bf"]
CLOTHES = ["#c8553d", "#2a6f97", "#588157", "#7b506f", "#e09f3e", "#3d5a80", "#9b2226", "#4a4e69"]
HAIRS = ["#2b2118", "#5b3a21", "#8d5524", "#c9b79c", "#3a3a3a", "#a23b1e"]


@dataclass(frozen=True)
class Picture:
    """Encoded bytes and their type."""

    data: bytes
    mime: str


def paint(prompt: str, aspect: str = "16:9", size: str = "1K") -> Picture:
    """A person or thing on plain ground comes as PNG, a scene as JPEG, as the real models do."""
    width, height = (side * SCALES[size] for side in SIZES[aspect])
    dice = random.Random(fingerprint(prompt))
    plain = bool(PLAIN.search(prompt))
    image = _plain(prompt, width, height, dice) if plain else _scene(prompt, width, height, dice)
    _caption(image, prompt, dark=plain)
    return _encode(image, "image/png" if plain else "image/jpeg")


def _encode(image: Image.Image, mime: str) -> Picture:
    out = io.BytesIO()
    if mime == "image/png":
        info = PngInfo()
        info.add_text("Comment", MARK)
        image.save(out, "PNG", pnginfo=info, compress_level=1)
    else:
        image.save(out, "JPEG", quality=90, comment=MARK.encode())
    return Picture(out.getvalue(), mime)


def _rgb(colour: str) -> Rgb:
    return ImageColor.getrgb(colour)[:3]


def _mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _sky(width: int, height: int, top: Rgb, bottom: Rgb) -> Image.Image:
    strip = Image.new("RGB", (1, 64))
    for y in range(64):
        strip.putpixel((0, y), _mix(top, bottom, y / 63))
    return strip.resize((width, height), Image.Resampling.BICUBIC)


def _scene(prompt: str, width: int, height: int, dice: random.Random) -> Image.Image:
    night = bool(NIGHT.search(prompt))
    top, bottom, far, near = (_rgb(colour) for colour in dice.choice(NIGHTS if night else DAYS))
    image = _sky(width, height, top, bottom)
    draw = ImageDraw.Draw(image)
    if night:
        _stars(draw, width, height, dice)
    light = (255, 244, 214) if night else (255, 250, 232)
    _glow(image, (dice.uniform(0.15, 0.85) * width, dice.uniform(0.14, 0.34) * height), height * 0.075, light)
    _hills(draw, width, height, far, near, dice)
    if TOWN.search(prompt):
        _houses(draw, width, height, near, dice, night=night)
    if WATER.search(prompt):
        _water(image, width, height, bottom, near, dice)
    elif not TOWN.search(prompt):
        _trees(draw, width, height, near, dice)
    if TOWER.search(prompt):
        _tower(draw, (dice.uniform(0.25, 0.75) * width, height * 0.80), height * 0.46)
    if PERSON.search(prompt):
        _figure(image, (width * dice.uniform(0.3, 0.7), height * 0.93), height * 0.5, dice)
    return image


def _stars(draw: ImageDraw.ImageDraw, width: int, height: int, dice: random.Random) -> None:
    for _ in range(160):
        x, y, r = dice.uniform(0, width), dice.uniform(0, height * 0.6), dice.choice([0.6, 0.9, 1.4])
        draw.ellipse((x - r, y - r, x + r, y + r), fill=_mix((160, 170, 220), (255, 255, 255), dice.random()))


def _glow(image: Image.Image, at: tuple[float, float], radius: float, light: Rgb) -> None:
    """Sun or moon with a halo; the halo is blurred at an eighth of the size, which is as soft and far faster."""
    small = Image.new("L", (image.width // 8, image.height // 8))
    x, y, r = at[0] / 8, at[1] / 8, radius / 8
    ImageDraw.Draw(small).ellipse((x - 2.2 * r, y - 2.2 * r, x + 2.2 * r, y + 2.2 * r), fill=120)
    halo = small.filter(ImageFilter.GaussianBlur(r * 1.6)).resize(image.size, Image.Resampling.BICUBIC)
    image.paste(Image.new("RGB", image.size, light), mask=halo)
    x, y = at
    ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=light)


def _hills(draw: ImageDraw.ImageDraw, width: int, height: int, far: Rgb, near: Rgb, dice: random.Random) -> None:
    for layer in range(4):
        base = height * (0.56 + 0.09 * layer)
        waves = [(dice.uniform(0.6, 2.6), dice.uniform(0, math.tau), height * 0.055 / (n + 1)) for n in range(3)]
        ridge = [
            (x, base + sum(size * math.sin(math.tau * beat * x / width + turn) for beat, turn, size in waves))
            for x in range(0, width + 16, 16)
        ]
        draw.polygon([*ridge, (width, height), (0, height)], fill=_mix(far, near, layer / 3))


def _houses(draw: ImageDraw.ImageDraw, width: int, height: int, near: Rgb, dice: random.Random, *, night: bool) -> None:
    x = -20.0
    while x < width:
        wide, tall = dice.uniform(0.05, 0.10) * width, dice.uniform(0.16, 0.48) * height
        wall = _mix(near, (200, 190, 180), dice.uniform(0.08, 0.32))
        top = height * 0.86 - tall
        draw.rectangle((x, top, x + wide, height * 0.86), fill=wall)
        lit = (255, 214, 130) if night else _mix(wall, (255, 255, 255), 0.35)
        step = width * 0.018
        for row in range(int(tall / step) - 1):
            for column in range(int(wide / step) - 1):
                if dice.random() < 0.6:
                    left, up = x + step * (column + 0.6), top + step * (row + 0.6)
                    draw.rectangle((left, up, left + step * 0.45, up + step * 0.55), fill=lit)
        x += wide + dice.uniform(0, 0.02) * width


def _water(image: Image.Image, width: int, height: int, bottom: Rgb, near: Rgb, dice: random.Random) -> None:
    line = round(height * 0.78)
    sea = _sky(width, height - line, _mix(bottom, near, 0.35), _mix(near, (0, 20, 50), 0.4))
    image.paste(sea, (0, line))
    draw = ImageDraw.Draw(image)
    for _ in range(110):
        y = line + (height - line) * dice.random() ** 1.5
        long = width * 0.02 + (y - line) * dice.uniform(0.1, 0.6)
        x = dice.uniform(-0.05, 1) * width
        shine = _mix(bottom, near, dice.uniform(0.1, 0.6))
        draw.line((x, y, x + long, y), fill=shine, width=max(1, round((y - line) / 60)))


def _trees(draw: ImageDraw.ImageDraw, width: int, height: int, near: Rgb, dice: random.Random) -> None:
    for _ in range(26):
        x, depth = dice.uniform(0, width), dice.random()
        foot, tall = height * (0.80 + 0.16 * depth), height * (0.07 + 0.13 * depth)
        leaf = _mix(near, (20, 40, 30), 0.25 + 0.35 * depth)
        draw.rectangle((x - tall * 0.03, foot - tall * 0.3, x + tall * 0.03, foot), fill=_mix(leaf, (60, 30, 10), 0.5))
        for step in range(3):
            up, half = foot - tall * (0.18 + 0.24 * step), tall * (0.30 - 0.07 * step)
            draw.polygon([(x - half, up), (x + half, up), (x, up - tall * 0.42)], fill=leaf)


def _tower(draw: ImageDraw.ImageDraw, foot: tuple[float, float], tall: float) -> None:
    x, y = foot
    for stripe in range(6):
        low, high = stripe / 6, (stripe + 1) / 6
        left, right = tall * (0.12 - 0.05 * low), tall * (0.12 - 0.05 * high)
        corners = [(x - left, y - tall * low), (x + left, y - tall * low), (x + right, y - tall * high)]
        colour = (244, 240, 232) if stripe % 2 else (196, 69, 54)
        draw.polygon([*corners, (x - right, y - tall * high)], fill=colour)
    lamp = y - tall
    draw.polygon(
        [(x, lamp - tall * 0.05), (x + tall * 6, lamp - tall * 1.2), (x + tall * 6, lamp + tall * 0.3)],
        fill=(255, 240, 190),
    )
    draw.rectangle((x - tall * 0.06, lamp - tall * 0.1, x + tall * 0.06, lamp), fill=(255, 224, 130))
    draw.polygon(
        [(x - tall * 0.08, lamp - tall * 0.1), (x + tall * 0.08, lamp - tall * 0.1), (x, lamp - tall * 0.2)],
        fill=(90, 40, 40),
    )


def _plain(prompt: str, width: int, height: int, dice: random.Random) -> Image.Image:
    """One figure or thing on one colour, so that it can be cut out: white, or green where green is asked for."""
    ground = (0, 200, 83) if re.search(r"green", prompt, re.I) else (255, 255, 255)
    image = Image.new("RGB", (width, height), ground)
    if PERSON.search(prompt):
        _figure(image, (width / 2, height * 0.95), height * 0.86, dice)
    else:
        _thing(image, (width / 2, height * 0.52), min(width, height) * 0.34, dice)
    return image


def _figure(image: Image.Image, foot: tuple[float, float], tall: float, dice: random.Random) -> None:
    """A standing person, `tall` pixels high, feet at `foot`."""
    x, y = foot
    skin, hair = _rgb(dice.choice(SKINS)), _rgb(dice.choice(HAIRS))
    coat, legs = (_rgb(colour) for colour in dice.sample(CLOTHES, 2))
    legs = _mix(legs, (20, 20, 30), 0.45)
    u = tall / 100
    draw = ImageDraw.Draw(image)

    def block(left: float, top: float, right: float, bottom: float, colour: Rgb, round_by: float = 3) -> None:
        box = (x + left * u, y - top * u, x + right * u, y - bottom * u)
        draw.rounded_rectangle(box, radius=round_by * u, fill=colour)

    block(-9, 40, -1, 2, legs)
    block(1, 40, 9, 2, legs)
    block(-13, 5, -1, 0, (48, 36, 30), 2)
    block(1, 5, 13, 0, (48, 36, 30), 2)
    block(-19, 72, -12, 36, _mix(coat, (0, 0, 0), 0.12), 3.5)
    block(12, 72, 19, 36, _mix(coat, (0, 0, 0), 0.12), 3.5)
    block(-18.5, 40, -12.5, 33, skin)
    block(12.5, 40, 18.5, 33, skin)
    block(-13, 75, 13, 34, coat, 6)
    block(-1, 74, 1, 36, _mix(coat, (255, 255, 255), 0.3), 1)
    block(-3.5, 80, 3.5, 72, _mix(skin, (90, 40, 20), 0.15), 2)
    block(-11, 101, 11, 84, hair, 8)
    block(-9, 97, 9, 77, skin, 8)
    _face(draw, x, y - 87 * u, u, dice)
    block(-10, 101, 10, 93, hair, 5)
    if dice.random() < 0.4:
        block(-14, 97, 14, 95, _mix(coat, (0, 0, 0), 0.35), 1)
        block(-9, 104, 9, 96, _mix(coat, (0, 0, 0), 0.35), 3)


def _face(draw: ImageDraw.ImageDraw, x: float, y: float, u: float, dice: random.Random) -> None:
    for side in (-1, 1):
        draw.ellipse((x + side * 3.6 * u - u, y - u, x + side * 3.6 * u + u, y + u), fill=(40, 30, 30))
    smile = dice.uniform(2.4, 4.0) * u
    draw.arc(
        (x - smile, y + 1.5 * u, x + smile, y + 6.5 * u), 20, 160, fill=(120, 50, 50), width=max(2, round(0.7 * u))
    )


def _thing(image: Image.Image, centre: tuple[float, float], radius: float, dice: random.Random) -> None:
    """A prop: a lantern-like body of stacked shapes with a shine."""
    x, y = centre
    draw = ImageDraw.Draw(image)
    main, other = (_rgb(colour) for colour in dice.sample(CLOTHES, 2))
    draw.arc(
        (x - radius * 0.5, y - radius * 1.5, x + radius * 0.5, y - radius * 0.5),
        180,
        360,
        fill=main,
        width=round(radius * 0.1),
    )
    draw.rounded_rectangle((x - radius * 0.7, y - radius, x + radius * 0.7, y - radius * 0.7), radius * 0.1, fill=other)
    draw.rounded_rectangle(
        (x - radius * 0.6, y - radius * 0.7, x + radius * 0.6, y + radius * 0.8), radius * 0.2, fill=main
    )
    draw.ellipse((x - radius * 0.38, y - radius * 0.4, x + radius * 0.38, y + radius * 0.5), fill=(255, 224, 150))
    draw.ellipse((x - radius * 0.2, y - radius * 0.25, x + radius * 0.1, y + radius * 0.1), fill=(255, 246, 214))
    draw.rounded_rectangle((x - radius * 0.8, y + radius * 0.8, x + radius * 0.8, y + radius), radius * 0.1, fill=other)


def _caption(image: Image.Image, prompt: str, *, dark: bool) -> None:
    """The prompt's words small along the bottom, the mark in the corner."""
    draw = ImageDraw.Draw(image)
    size = max(12, image.height // 52)
    font = ImageFont.load_default(size)
    words = " ".join(prompt.split())
    fits = round(image.width * 0.8 / (size * 0.52))
    line = words if len(words) <= fits else words[: fits - 1] + "…"
    fill = (120, 120, 120) if dark else (255, 255, 255)
    y = image.height - round(size * 1.6)
    for text, anchor, x in ((line, "la", size), ("SIMULATED", "ra", image.width - size)):
        if not dark:
            draw.text((x + 1, y + 1), text, font=font, fill=(0, 0, 0), anchor=anchor)
        draw.text((x, y), text, font=font, fill=fill, anchor=anchor)
