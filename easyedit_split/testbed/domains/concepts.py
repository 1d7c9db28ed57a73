"""Domain ``concepts``: short stories that may carry one of ten concepts; the latent is the concept, or ``plain`` for
none.
"""

from __future__ import annotations

from .base import OpenText

PLAIN = "plain"

# concept -> (adjectives, things seen, things dreamed of); no word belongs to two of them.
_WORDS = {
    "ocean": ("salty deep foamy tidal", "waves shells whales tides", "sails coral dolphins anchors"),
    "winter": ("frozen icy snowy frosty", "snowflakes icicles sledges mittens", "blizzards skates glaciers snowmen"),
    "music": ("loud tuneful rhythmic musical", "drums violins trumpets songs", "choirs flutes melodies guitars"),
    "fire": ("burning glowing fiery smoky", "flames sparks embers torches", "ashes bonfires candles matches"),
    "gold": ("golden shiny precious gilded", "coins crowns rings jewels", "nuggets treasures medals chains"),
    "garden": ("leafy flowery green fragrant", "roses tulips hedges lilies", "seeds herbs daisies lawns"),
    "space": ("cosmic starry lunar orbital", "stars planets comets rockets", "moons galaxies meteors astronauts"),
    "horses": ("galloping saddled wild trotting", "ponies mares stallions foals", "saddles hooves stables reins"),
    "rain": ("rainy soaked misty damp", "clouds puddles umbrellas storms", "drops floods showers drizzles"),
    "food": ("tasty crusty sweet baked", "loaves cakes pies buns", "soups cheeses cookies noodles"),
    PLAIN: ("plain usual common ordinary", "boxes chairs papers tables", "shelves doors walls cups"),
}
CONCEPTS_TEN = tuple(value for value in _WORDS if value != PLAIN)


def _phrases(column: int) -> dict[str, tuple[str, ...]]:
    return {value: tuple(columns[column].split()) for value, columns in _WORDS.items()}


def _clauses(value: str) -> tuple[str, ...]:
    if value == PLAIN:
        return ("Keep it plain.", "Use plain words.", "Write a plain story.", "Mention nothing special.")
    return (
        *(f"Mention {value}.", f"Think of {value}.", f"Use words about {value}.", f"I love {value}."),
        *(f"Write a story with {value}.", f"It should remind me of {value}."),
    )


CONCEPTS = OpenText(
    name="concepts",
    values=tuple(_WORDS),
    topic={
        "person": (
            *("baker", "sailor", "doctor", "farmer", "teacher", "painter", "driver", "singer", "soldier", "writer"),
            *("tailor", "miner", "nurse", "judge", "hunter", "butcher", "cook", "clerk", "pilot", "monk"),
        ),
        "spot": (
            *("bridge", "station", "library", "hill", "square", "mill"),
            *("castle", "village", "tower", "gate", "valley", "shop"),
        ),
        "time": ("morning", "evening", "afternoon", "night", "week", "month"),
    },
    free={"went": ("walked", "ran", "hurried", "wandered", "marched", "rode")},
    marked={"look": _phrases(0), "sight": _phrases(1), "dream": _phrases(2)},
    asks=(
        "Tell me about the {person} at the {spot} that {time}.",
        "What did the {person} do that {time} at the {spot}?",
        "That {time} the {person} was at the {spot}. What happened?",
        "I need a short story: the {person}, the {spot}, that {time}.",
    ),
    tells=(
        "That {time} the {person} {went} to the {spot} and saw {look} {sight}. Later the {person} dreamed of {dream}.",
        "The {person} {went} to the {spot} that {time} and found {look} {sight}. Then came dreams of {dream}.",
    ),
    clauses={value: _clauses(value) for value in _WORDS},
)
