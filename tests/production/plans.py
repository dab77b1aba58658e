"""Plans of every shape that the checks allow, for hypothesis."""

from typing import Any

from hypothesis import strategies as st

from production.documents.markdown import clean

Json = dict[str, Any]
KINDS = ["character", "environment", "prop"]
LETTERS = st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"])
SHARP = st.sampled_from(
    ["|", "\\", "`", "*", "_", "<br>", "“", "”", '"', "\n", "\n\n", "#", "&amp;", "[a](b)", "1. ", "- "]
)


def texts(most: int = 60) -> st.SearchStrategy[str]:
    """Text without space at the ends of its lines, with much in it that means something in Markdown."""
    words = st.lists(LETTERS | SHARP | st.sampled_from(["Narrator: ", "hero", ".png", " "]), min_size=1, max_size=20)
    return words.map(lambda parts: clean("".join(parts))[:most].strip()).map(clean).filter(bool)


@st.composite
def plans(draw: st.DrawFn) -> Json:
    """A plan as `planning.check` takes it."""
    keys = draw(
        st.lists(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,11}", fullmatch=True), min_size=1, max_size=5, unique=True)
    )
    assets = [
        {
            "key": key,
            "kind": draw(st.sampled_from(KINDS)),
            "prompt": draw(texts(200)),
            "reference": draw(st.sampled_from(["", *keys[:at]])),
        }
        for at, key in enumerate(keys)
    ]
    clip = st.fixed_dictionaries(
        {
            "narration": texts(),
            "motion_prompt": texts(),
            "sound_prompt": texts(),
            "layout": st.sampled_from(["composite", "split"]),
            "character": st.sampled_from(keys),
            "environment": st.sampled_from(keys),
        }
    )
    tags = st.lists(st.from_regex(r"[a-z][a-z &]{0,18}[a-z]", fullmatch=True), min_size=3, max_size=6, unique=True)
    return {
        "title": draw(texts().filter(lambda text: "\n" not in text)),
        "story": draw(texts()),
        "description": draw(texts()),
        "tags": draw(tags),
        "assets": assets,
        "clips": draw(st.lists(clip, min_size=1, max_size=4)),
    }
