import pytest
from PIL import Image

from tests.media import picture


@pytest.fixture
def environment(tmp_path):
    path = tmp_path / "environment.jpg"
    path.write_bytes(picture((1376, 768), "blue", "JPEG"))
    return path


def loaded(path):
    with Image.open(path) as image:
        return image.convert("RGB")


def compose(run, character, environment, target, *extra):
    flags = ("--character", character, "--environment", environment, "--output", target, *extra)
    outcome = run("create_composite.py", *flags)
    assert (outcome.code, outcome.all("sending")) == (0, []), outcome.stdout
    return loaded(target), outcome


def colour(pixel):
    names = {"red": (255, 0, 0), "blue": (0, 0, 255), "white": (255, 255, 255), "green": (0, 128, 0)}
    return min(names, key=lambda name: sum(abs(a - b) for a, b in zip(names[name], pixel, strict=True)))


def columns(frame, row, name):
    return [x for x in range(frame.width) if colour(frame.getpixel((x, row))) == name]


def test_create_composite_keys_out_a_plain_backdrop(run, figure, environment, tmp_path):
    frame, outcome = compose(run, figure, environment, tmp_path / "c.png")
    assert frame.size == (1920, 1080)
    assert outcome.names == ["started"]
    assert colour(frame.getpixel((100, 100))) == "blue"
    red = columns(frame, 1000, "red")
    assert abs((red[0] + red[-1]) / 2 - 960) < 5
    height = 1080 - next(y for y in range(1080) if colour(frame.getpixel((red[5], y))) == "red")
    assert (red[-1] - red[0]) / height == pytest.approx(161 / 300, rel=0.03), "stretched"
    assert colour(frame.getpixel((960, 1080 - round(height * 190 / 300)))) == "white", "the inside was keyed out"
    assert columns(frame, 1000, "white") == []


def test_create_composite_uses_transparency_and_scale(run, environment, tmp_path):
    image = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (150, 100, 250, 300))
    image.save(tmp_path / "alpha.png")
    frame, _ = compose(run, tmp_path / "alpha.png", environment, tmp_path / "c.png", "--scale", "0.5")
    red = columns(frame, 1070, "red")
    assert len(red) == pytest.approx(1080 * 0.88 * 0.5 / 2, abs=4)
    assert colour(frame.getpixel((960, 1080 - round(1080 * 0.44) - 20))) == "blue"


def test_create_composite_warns_where_nothing_can_be_keyed(run, environment, tmp_path):
    image = Image.effect_noise((300, 300), 120).convert("RGB")
    image.save(tmp_path / "busy.png")
    _, outcome = compose(run, tmp_path / "busy.png", environment, tmp_path / "c.png")
    assert "plain backdrop" in outcome.the("warning")["message"]


@pytest.mark.parametrize("size", [(1376, 768), (600, 900), (900, 100)])
def test_create_composite_of_one_picture_alone_fits_it_to_the_frame(run, tmp_path, size):
    """A square stays a square, and no bar is left beside it."""
    image = Image.new("RGB", size, "blue")
    middle, half = (size[0] // 2, size[1] // 2), min(size) // 8
    image.paste((255, 0, 0), (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half))
    image.save(tmp_path / "wide.png")
    frame, outcome = compose(run, tmp_path / "wide.png", tmp_path / "wide.png", tmp_path / "c.png")
    assert (frame.size, outcome.names) == ((1920, 1080), ["started"])
    assert {colour(frame.getpixel(corner)) for corner in ((0, 0), (1919, 0), (0, 1079), (1919, 1079))} == {"blue"}
    height = sum(colour(frame.getpixel((960, y))) == "red" for y in range(1080))
    assert len(columns(frame, 540, "red")) == pytest.approx(height, abs=6), "stretched"


def test_create_composite_names_a_broken_file(run, environment, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    flags = ("--character", tmp_path / "bad.png", "--environment", environment, "--output", tmp_path / "c.png")
    outcome = run("create_composite.py", *flags)
    assert (outcome.code, outcome.the("error")["kind"]) == (1, "permanent")
    assert "character" in outcome.the("error")["message"]
    assert "bad.png" in outcome.the("error")["message"]
    assert not (tmp_path / "c.png").exists()


@pytest.mark.parametrize("alpha", [0, 5])
def test_create_composite_names_a_character_that_nobody_would_see(run, environment, tmp_path, alpha):
    Image.new("RGBA", (300, 300), (255, 0, 0, alpha)).save(tmp_path / "ghost.png")
    flags = ("--character", tmp_path / "ghost.png", "--environment", environment, "--output", tmp_path / "c.png")
    outcome = run("create_composite.py", *flags)
    assert (outcome.code, outcome.the("error")["kind"]) == (1, "permanent")
    assert "ghost.png is transparent everywhere" in outcome.the("error")["message"]
    assert not (tmp_path / "c.png").exists()


def test_create_split_screen_fills_two_halves(run, tmp_path):
    (tmp_path / "left.png").write_bytes(picture((1376, 768), "red"))
    (tmp_path / "right.png").write_bytes(picture((300, 900), "green"))
    flags = ("--left", tmp_path / "left.png", "--right", tmp_path / "right.png", "--output", tmp_path / "s.png")
    assert run("create_split_screen.py", *flags).code == 0
    frame = loaded(tmp_path / "s.png")
    assert frame.size == (1920, 1080)
    assert [colour(frame.getpixel((x, y))) for x in (0, 959, 960, 1919) for y in (0, 1079)] == ["red"] * 4 + [
        "green"
    ] * 4
