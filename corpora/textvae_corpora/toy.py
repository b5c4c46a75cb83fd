"""A toy grammar: as many distinct everyday sentences as asked for, to try things on without any file."""

from __future__ import annotations

import random
from collections.abc import Iterator

from textvae.errors import RequestError
from textvae_corpora.base import Options, Split, Splits, digest
from textvae_corpora.store import Rows, store

DEFAULT = 2_000
MOST = 100_000

_PEOPLE = ["man", "woman", "boy", "girl", "teacher", "doctor", "farmer", "singer", "cook", "neighbour"]
_KINDS = ["old", "young", "tall", "happy", "tired", "kind"]
_ACTIONS = [
    ("reads", "read", ["a book", "a letter", "the newspaper", "a long story", "the menu"]),
    ("eats", "eat", ["an apple", "some bread", "the soup", "a sandwich", "breakfast"]),
    ("drinks", "drink", ["a cup of tea", "some water", "cold milk", "black coffee"]),
    ("sings", "sing", ["a song", "an old song", "a quiet tune"]),
    ("buys", "buy", ["a ticket", "some flowers", "a new coat", "fresh fish", "two books"]),
    ("paints", "paint", ["a picture", "the door", "a small boat", "the kitchen"]),
    ("waits for", "wait for", ["the bus", "a friend", "the train", "good news"]),
    ("looks at", "look at", ["the moon", "the sea", "a map", "the clock", "the snow"]),
    ("talks about", "talk about", ["the weather", "work", "the holidays", "music"]),
    ("carries", "carry", ["a heavy bag", "a box", "the chairs", "an umbrella"]),
]
_PLACES = ["in the garden", "at home", "in the park", "at the station", "near the river", "in the kitchen"]
_TIMES = ["every morning", "at night", "on Sunday", "after lunch", "in the summer", "before work"]


def sentences(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """``count`` distinct sentences and the kind of each: a statement, a negation or a question."""
    if not 1 <= count <= MOST:
        raise RequestError(f"The toy grammar gives from 1 to {MOST:,} sentences, not {count:,}.")
    chance = random.Random(seed)
    found: dict[str, str] = {}
    while len(found) < count:
        text, kind = _sentence(chance)
        found.setdefault(text, kind)
    return list(found), list(found.values())


def _sentence(chance: random.Random) -> tuple[str, str]:
    person, (does, do, things) = chance.choice(_PEOPLE), chance.choice(_ACTIONS)
    who = f"the {chance.choice(_KINDS)} {person}" if chance.random() < 0.5 else f"the {person}"
    what = chance.choice(things)
    where = f" {chance.choice(_PLACES)}" if chance.random() < 0.6 else ""
    when = f" {chance.choice(_TIMES)}" if chance.random() < 0.5 else ""
    kind = chance.choices(["statement", "negation", "question"], [6, 2, 2])[0]
    body = {
        "statement": f"{who} {does} {what}{where}{when}.",
        "negation": f"{who} does not {do} {what}{where}{when}.",
        "question": f"does {who} {do} {what}{where}{when}?",
    }[kind]
    return body[0].upper() + body[1:], kind


def splits(name: str, argument: str, options: Options) -> Splits:
    """``toy``, or ``toy:N`` for N sentences."""
    if argument and not (argument.isascii() and argument.isdigit()):
        raise RequestError(f"After 'toy:' stands a number of sentences, not {argument!r}.")
    count = int(argument[:12] or DEFAULT)

    def read() -> Split:
        texts, kinds = sentences(count, options.seed)

        def rows(notes: list[str]) -> Iterator[Rows]:
            yield texts, list(kinds)

        return store(digest("toy", texts), options, rows, "line", "the toy grammar gave no sentence")

    return {"all": read}
