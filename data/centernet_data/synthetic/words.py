"""Words for rendered scenes: common English words, invented ones, numbers and codes."""

from collections.abc import Sequence

import numpy as np

_COMMON_TEXT = (
    "the of and to in is it you that he was for on are as with his they at be this have from or one had by word but "
    "not what all were we when your can said there use an each which she do how their if will up other about out many "
    "then them these so some her would make like him into time has look two more write go see number no way could "
    "people my than first water been call who oil its now find long down day did get come made may part over new sound "
    "take only little work know place year live me back give most very after thing our just name good sentence man "
    "open exit stop street road park hotel bank market coffee sale free bus taxi police school city north south east "
    "west station airport parking danger warning push pull welcome menu bar pizza fresh price sugar juice house music "
    "sport team world express company service center office public private keep left right speed limit"
)
COMMON = tuple(_COMMON_TEXT.split())
ONSETS = ("b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "pl", "qu", "r")
ONSETS += ("s", "sh", "sp", "st", "t", "th", "tr", "v", "w", "y", "z", "")
VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ee", "oo", "ou")
CODAS = ("", "", "", "n", "r", "s", "t", "l", "m", "nd", "ng", "rk", "st", "x", "ck")
CODE_CHARACTERS = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789-"
ENDINGS = (",", ".", ":", "!", "?")


def random_word(random: np.random.Generator) -> str:
    """A word of 2 to about 14 printable ASCII characters without spaces; codes are in upper case, the rest in lower."""
    kind = random.random()
    if kind < 0.45:
        return _any(random, COMMON) if kind < 0.4 else _any(random, COMMON) + _any(random, ENDINGS)
    if kind < 0.8:
        word = "".join(_syllable(random) for _ in range(random.integers(1, 4)))
        return word if len(word) > 1 else word + _syllable(random) + "s"
    if kind < 0.95:
        return _number(random)
    return "".join(_any(random, CODE_CHARACTERS) for _ in range(random.integers(3, 8)))


def _syllable(random: np.random.Generator) -> str:
    return _any(random, ONSETS) + _any(random, VOWELS) + _any(random, CODAS)


def _number(random: np.random.Generator) -> str:
    large, small = int(random.integers(10, 3000)), int(random.integers(10, 60))
    forms = (f"{large}", f"{small}", f"${small}.99", f"{small}%", f"{small % 24}:{small}", f"{large}-{small}")
    return _any(random, forms)


def _any(random: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(random.integers(len(choices)))]
