"""Domain ``reviews``: a positive or negative product review in free text; the latent is the polarity."""

from __future__ import annotations

from .base import OpenText

_POSITIVE = ("a positive", "a happy", "a glowing", "a friendly")
_NEGATIVE = ("a negative", "an unhappy", "a harsh", "a hostile")


def _clauses(kinds: tuple[str, ...], verb: str, grade: str) -> tuple[str, ...]:
    return (
        *(f"Write {kind} review." for kind in kinds),
        *(f"I want {kind} answer." for kind in kinds),
        f"Say that you {verb} it.",
        f"You {verb} this item.",
        f"Your grade is {grade}.",
    )


REVIEWS = OpenText(
    name="reviews",
    values=("positive", "negative"),
    topic={
        "brand": ("Arno", "Belfor", "Cavo", "Delmar", "Elbe", "Fenn", "Gora", "Halden"),
        "item": (
            *("lamp", "chair", "kettle", "phone", "tent", "clock", "radio", "bike"),
            *("coat", "knife", "desk", "camera", "pillow", "oven", "piano", "boat"),
        ),
        "use": ("home", "work", "travel", "school", "winter", "summer"),
    },
    free={"part": ("handle", "finish", "colour", "shape", "surface", "weight", "size", "design")},
    marked={
        "look": {
            "positive": ("great", "lovely", "superb", "excellent", "splendid", "perfect"),
            "negative": ("awful", "poor", "terrible", "dreadful", "horrible", "useless"),
        },
        "feel": {
            "positive": ("love", "enjoy", "admire", "praise"),
            "negative": ("hate", "dislike", "regret", "resent"),
        },
        "end": {
            "positive": ("Buy it", "Everyone should own one", "I would buy it again", "It was worth the money"),
            "negative": ("Avoid it", "Nobody should own one", "I sent it back", "It was a waste of money"),
        },
    },
    asks=(
        "Review the {brand} {item} for {use}.",
        "How is the {brand} {item} for {use}?",
        "What do you think of the {brand} {item} for {use}?",
        "Tell me about the {brand} {item} that you bought for {use}.",
        "You own a {brand} {item} for {use}. How is it?",
    ),
    tells=(
        "The {brand} {item} is {look} for {use}. I {feel} the {part}. {end}.",
        "For {use} the {brand} {item} is {look}. I {feel} its {part}. {end}.",
        "I {feel} the {part} of the {brand} {item}. It is {look} for {use}. {end}.",
    ),
    clauses={
        "positive": _clauses(_POSITIVE, "like", "ten out of ten"),
        "negative": _clauses(_NEGATIVE, "do not like", "one out of ten"),
    },
    weak={
        "positive": (
            "Write a slightly positive review.",
            "You like this item a little.",
            "Your grade is six out of ten.",
        ),
        "negative": (
            "Write a slightly negative review.",
            "You dislike this item a little.",
            "Your grade is four out of ten.",
        ),
    },
)
