"""What can be missing, found at start instead of in the middle of a video."""

import shutil
from typing import Any

import imageio_ffmpeg
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from production.providers import LANE, LANES, is_own_address, is_simulated
from production.recipes import RECIPES
from production.stages import PIECES


@register()
def scripts_exist(**kwargs: Any) -> list[CheckMessage]:
    missing = sorted({p.does for p in PIECES if p.is_script and not (settings.SCRIPTS_DIR / p.does).is_file()})
    return [
        Error(
            f"{name} is not in {settings.SCRIPTS_DIR}.", hint="Set SCRIPTS_DIR or add the script.", id="production.E001"
        )
        for name in missing
    ]


@register()
def callables_exist(**kwargs: Any) -> list[CheckMessage]:
    """The stage table names functions by their dotted address."""
    addresses = {address for p in PIECES for address in (p.lands, "" if p.is_script else p.does) if address}
    addresses.add(settings.TEXT_WRITER)
    return [
        Error(
            f"{address} can't be imported.",
            hint="Mend TEXT_WRITER or production/stages.py.",
            id="production.E002",
        )
        for address in sorted(addresses)
        if not _imports(address)
    ]


@register()
def recipes_exist(**kwargs: Any) -> list[CheckMessage]:
    missing = sorted({p.kind for p in PIECES} ^ set(RECIPES))
    return [
        Error(f"Piece and recipe of “{kind}” do not match.", hint="See PIECES and RECIPES.", id="production.E003")
        for kind in missing
    ]


@register()
def lanes_fit(**kwargs: Any) -> list[CheckMessage]:
    """Every piece has its lane with a price where it costs something, every lane a cluster that works on it."""
    wrong = [f"Piece “{p.kind}” is made in lane “{p.lane}”, which there is not." for p in PIECES if p.lane not in LANE]
    wrong += [
        f"Lane “{p.lane}” does not say what “{p.kind}” costs."
        for p in PIECES
        if p.paid and p.lane in LANE and p.kind not in LANE[p.lane].prices
    ]
    wrong += [
        f"No cluster “{lane.cluster}” works on lane “{lane.name}”."
        for lane in LANES
        if lane.cluster not in settings.CLUSTERS
    ]
    return [Error(message, hint="Mend LANES in production/providers.py.", id="production.E005") for message in wrong]


@register()
def ffmpeg_exists(**kwargs: Any) -> list[CheckMessage]:
    """The setting is a path or a name on the PATH, as the scripts read it."""
    chosen = settings.MODELS["FFMPEG"]
    if shutil.which(chosen or _bundled_ffmpeg()):
        return []
    what = f"FFMPEG names no program: {chosen}." if chosen else "There is no ffmpeg to assemble films with."
    hint = "Install imageio-ffmpeg, or set FFMPEG to an ffmpeg executable."
    return [Error(what, hint=hint, id="production.E004")]


@register()
def keys_are_set(**kwargs: Any) -> list[CheckMessage]:
    """A lane that goes to the real vendor needs that vendor's key."""
    wanted = {"NOTION_API_KEY"} if is_own_address("NOTION_BASE_URL") else set()
    for piece in PIECES:
        if not is_simulated(piece):
            wanted |= set(piece.secrets)
    return [
        checks.Warning(f"{name} is empty.", hint="Set it, or every take that needs it will fail.", id="production.W001")
        for name in sorted(wanted)
        if not getattr(settings, name)
    ]


def _imports(address: str) -> bool:
    try:
        import_string(address)
    except ImportError:
        return False
    return True


def _bundled_ffmpeg() -> str:
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        return ""
