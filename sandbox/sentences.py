"""The text model's stock of words: a documentary's arc in halves of sentences, people, places, moves and sounds."""

import re

# Nine words around the subject (one to four words) and eleven more: 21 to 24 words, spoken in under ten seconds.
OPENINGS = (
    "Look closely at {subject}, and a much larger story begins.",
    "Long ago, {subject} meant something very different to ordinary people.",
    "The first clue about {subject} was hidden in plain sight.",
    "Those who lived close to {subject} learned to listen early.",
    "By day, everything around {subject} seems calm, steady and simple.",
    "Then night falls, and {subject} can show another face entirely.",
    "One small decision changed the course of {subject} for good.",
    "The tools used to study {subject} were rough but clever.",
    "Every expert on {subject} remembers the very first big mistake.",
    "Money, luck and patience all shaped the fate of {subject}.",
    "Letters and diaries about {subject} tell us what was felt.",
    "Up close, the details of {subject} are a quiet wonder.",
    "Even hard times could not put an end to {subject}.",
    "Children still ask simple questions about {subject}, and rightly so.",
    "Modern science looks at {subject} with new and sharper eyes.",
    "Around the world, people now treat {subject} as shared memory.",
    "What comes next for {subject} is being decided right now.",
    "So remember {subject} the next time the world feels ordinary.",
)
FOLLOW_UPS = (
    "Stay with us, because almost nothing here is what it seems.",
    "They built their days around it and passed the knowledge on.",
    "Most people walked straight past it for more than a century.",
    "A change in the air was enough to set them working.",
    "Yet beneath the surface, a hundred small things happen at once.",
    "Shadows grow long, sounds carry further, and the real work starts.",
    "Nobody in the room that morning knew what they had begun.",
    "With little more than brass and rope, they reached astonishing precision.",
    "It cost them a winter, and it taught them nearly everything.",
    "Some fortunes were lost overnight, while others grew slowly and stayed.",
    "There is fear in those lines, but far more often pride.",
    "Look at the edges, the colours, and the patience behind them.",
    "Each generation found a reason to repair, rebuild and carry on.",
    "The honest answers are often stranger than anything we could invent.",
    "What once took whole years can now be measured before lunch.",
    "Each country tells it differently, and each version holds some truth.",
    "The choices made this decade will still be felt for centuries.",
    "Wonder is close at hand, and it was there all along.",
)
PEOPLE = (
    "keeper",
    "engineer",
    "historian",
    "young explorer",
    "captain",
    "teacher",
    "scientist",
    "apprentice",
    "artist",
    "farmer",
)
PLACES = (
    "rocky coast at dawn",
    "old workshop interior",
    "forest valley in the morning",
    "harbour at night under the stars",
    "city street at dusk",
    "quiet library",
    "mountain pass in clear light",
    "market square at noon",
    "river bend at sunset",
    "station platform at midnight",
    "island seen from the sea",
    "meadow in late summer",
)
THINGS = ("brass lantern", "worn logbook", "pocket compass", "iron key", "folded map")
LIGHTS = ("soft golden light", "cool morning haze", "warm evening glow", "clear even daylight")
ACTIONS = (
    "turns slowly toward the light",
    "takes three steps forward and looks up",
    "lifts a hand and points into the distance",
    "leans closer to study the details",
    "waits while the clouds drift past",
    "walks along the edge and stops",
)
CAMERAS = (
    "slow dolly in",
    "gentle pan to the right",
    "steady push toward the horizon",
    "slow tilt up",
    "wide shot drifting left",
)
SOUNDS = (
    "waves rolling in, gulls far away",
    "soft wind over open ground",
    "a busy street, footsteps, distant voices",
    "birds in a morning forest",
    "steady rain on a roof",
    "a slow machine with turning gears",
    "a crackling fire in a quiet room",
)
QUESTION = re.compile(r"^(how to|how|why|what|when|where|who)\b\s*", re.I)
FILLER = re.compile(r"^(happened to|happens to|a (day|week|year|night) (in|of|with)|inside|meet)\s+", re.I)
LEAD = re.compile(
    r"^(the )?(secret |hidden |true |untold |short |strange )*(story|history|life|world|art|science) of ", re.I
)
VERB = re.compile(
    r"\b(is|are|was|were|do|does|did|can|could|will|would|have|has|had|makes?|made|works?|became|becomes?|changed?|"
    r"saved?|keeps?|kept|lived?|built|happens?|happened|matters?|began|begins?|saw|see|became|shaped?|won|lost)\b",
    re.I,
)
SUBJECT_WORDS = 4
JOINING = {"a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "that", "the", "to", "with"}


def subject_of(topic: str) -> str:
    """The thing a topic is about, in one to four words: "How lighthouses work, and why" is "lighthouses"."""
    head = re.split(r"[,.:;?!()\u2013\u2014|]", topic.strip())[0].strip()
    question = QUESTION.match(head)
    head = FILLER.sub("", LEAD.sub("", QUESTION.sub("", head))).strip()
    verb = VERB.search(head)
    if verb and verb.start():
        head = head[: verb.start()].strip()
    elif question and len(head.split()) > 1:
        head = head.rsplit(" ", 1)[0]
    words = head.split()[:SUBJECT_WORDS]
    while words and words[-1].lower() in JOINING:
        words.pop()
    return " ".join(words) or "this place"


def narration(subject: str, index: int, count: int) -> str:
    """The spoken text of clip `index` of `count`: the arc from its first sentence to its last, none twice."""
    number = len(OPENINGS)
    if count <= number:
        at = round(index * (number - 1) / max(count - 1, 1))
        return f"{OPENINGS[at].format(subject=subject)} {FOLLOW_UPS[at]}"
    lap, at = divmod(index, number)
    return f"{OPENINGS[at].format(subject=subject)} {FOLLOW_UPS[(at + 5 * lap) % number]}"


def pick(stock: tuple[str, ...], index: int, seed: int = 0) -> str:
    """One of the stock, the next for the next index; the seed turns where it begins."""
    return stock[(index + seed) % len(stock)]


def a(words: str) -> str:
    """The words with their article: "an iron key"."""
    return f"{'an' if words[:1].lower() in 'aeiou' else 'a'} {words}"


def slug(words: str) -> str:
    """Lower case, hyphens: "Rocky coast at dawn" is "rocky-coast-at-dawn"."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "thing"
