"""Which places a text means: not those it denies, calls sound, looks from, or only compares with."""

from __future__ import annotations

from expertad.phrases.place import Place
from expertad.phrases.tokens import Tokens
from expertad.phrases.vocabulary import (
    ARTICLES,
    BE,
    CLAUSE_ENDS,
    CONJUNCTIONS,
    DEFECTS,
    INTENSIFIERS,
    LISTING,
    PLACERS,
    PREPOSITIONS,
    PUNCTUATION,
    SOUND,
    SPECIFIERS,
    STOPS,
    TURNS,
    VERBS,
    is_one_of,
    words,
)

_NOT_ONLY = words("only just merely limited confined restricted")
_COMPARING = words("unlike than versus vs opposite outside symmetrical beyond")
_COMPARING_WITH = words("contrast compared comparison relative")
_LOOKING = tuple(
    "scan inspect examin sweep view look seen photograph illuminat light survey clockwise counterclockwise"
    " anticlockwise proceed moving check".split()
)
_SAMPLES = words("sample reference normal standard template ideal expected good")
_PASSED = (
    ARTICLES
    | PREPOSITIONS
    | PLACERS
    | INTENSIFIERS
    | BE
    | words(
        "reach extend touch include affect cover involve lie sit occur show see find notice observe detect"
        " - any anything anywhere even other same"
    )
)
_JUDGING = (
    _COMPARING
    | _COMPARING_WITH
    | words("not never cannot no without free devoid nothing none nowhere neither nor instead away far distant from")
    | SOUND
)
_BARE_LIST = LISTING | ARTICLES
_AT = words("at in on near along around across within over")
_IN_LIST = _BARE_LIST | words("at on in near along")
_ON_THE_WAY = _IN_LIST | words("to toward towards through down up then via")


def drop_unmeant(tokens: Tokens, places: list[Place]) -> list[Place]:
    """The places, in their order, that the text says something of, with list neighbors judged alike."""
    # Most texts hold none of the words in question, and need no search around each place.
    if not tokens.vocabulary.isdisjoint(_JUDGING):
        denials, sound = _denials(tokens, places), _sound(tokens, places)
        places = [place for index, place in enumerate(places) if not denials[index] and not sound[index]]
    return places


def _denials(tokens: Tokens, places: list[Place]) -> list[str]:
    denials: list[str] = []
    for index, place in enumerate(places):
        denial = _denial(tokens, place)
        if not denial and index and denials[-1]:
            between = tokens.between(places[index - 1].end, place.start)
            if denials[-1] == "from":
                listed = between <= _ON_THE_WAY
            else:
                # "not at the top, at the bottom" corrects itself; "nothing at the top, at the bottom" goes on.
                # "unlike the top, the bottom" has come to its subject.
                bare = between <= _BARE_LIST and denials[-1] == "not"
                corrects = "," in between and not bare and denials[-1] != "no"
                listed = between <= _IN_LIST and bool(between & LISTING) and not corrects
            denial = denials[-1] if listed else ""
        denials.append(denial)
    return denials


def _denial(tokens: Tokens, place: Place) -> str:
    """What denies the place: "not", "no", "than" (what one compares with), "from" (where one looks from), or "".

    "not" must stand at the place itself ("not at the top"), for "not smooth at the top" says the opposite; "no" denies
    a place through a defect ("no scratch at the top"), for "no label at the top" says that one is missing there.
    """
    direct = True
    defect = any_defect = False
    for index in range(place.start - 1, place.start - 15, -1):
        word, following = tokens.word(index), tokens.word(index + 1)
        if word == "instead" and following == "of":
            return "not" if direct else ""
        if word in CLAUSE_ENDS or word in TURNS:
            return ""
        if word in (",", "and") and index + 1 < place.start and (following in STOPS or following in TURNS):
            return ""
        if word in ("nothing", "none", "nowhere"):
            return "" if following == "left" else "no"
        if word in ("no", "without", "free", "devoid"):
            if following in ("longer", "doubt", "question"):
                return ""
            beside = index + 1 == place.start or any(
                is_one_of(tokens.word(place.end + ahead), DEFECTS) for ahead in range(3)
            )
            return "no" if defect or beside else ""
        if word in ("not", "never", "cannot"):
            return "not" if direct and (any_defect or not defect) and following not in _NOT_ONLY else ""
        if word in ("neither", "nor"):
            return "not" if direct and not defect else ""
        if word in _COMPARING or (word in _COMPARING_WITH and following in ("to", "with")):
            return "than" if _is_compared(tokens, index, place.start) else ""
        if word in ("away", "far", "distant") and following == "from":
            return "not" if direct and tokens.word(index - 1) != "not" else ""
        if word == "from" and direct and _looks(tokens, index):
            return "from"
        defect = defect or is_one_of(word, DEFECTS)
        any_defect = any_defect or word in ("any", "anything")
        direct = direct and (word in _PASSED or is_one_of(word, DEFECTS))
    return ""


def _is_compared(tokens: Tokens, index: int, start: int) -> bool:
    """Whether the place belongs to what is compared with ("unlike the pin on the left"), not to what follows it."""
    between = [tokens.word(at) for at in range(index + 1, start)]
    if "," in between or any(word in VERBS or word in _SAMPLES for word in between):
        return False
    content = [word for word in between if word not in SPECIFIERS and word != "-"]
    return not content or content[-1] in PREPOSITIONS


def _looks(tokens: Tokens, index: int) -> bool:
    """Whether the "from" at `index` follows a word of looking: "viewed from the top"."""
    for at in range(index - 1, index - 7, -1):
        word = tokens.word(at)
        if word in PUNCTUATION or word in CONJUNCTIONS:
            return False
        if word.startswith(_LOOKING):
            return True
    return False


def _sound(tokens: Tokens, places: list[Place]) -> list[bool]:
    """Which places are called sound, neighbors in a list alike: "smooth at the top and in the middle"."""
    led = [_sound_before(tokens, place.start) for place in places]
    sound = [before or _called_sound(tokens, place) for before, place in zip(led, places, strict=True)]
    listed = [_listed(tokens, first, second) for first, second in zip(places, places[1:], strict=False)]
    for index in range(len(listed)):
        led[index + 1] = led[index + 1] or (led[index] and listed[index])
    for index in range(len(listed) - 1, -1, -1):
        alike = sound[index + 1] and listed[index] and not _defect_before(tokens, places[index].start)
        sound[index] = sound[index] or alike
    return [one or other for one, other in zip(led, sound, strict=True)]


def _listed(tokens: Tokens, first: Place, second: Place) -> bool:
    between = tokens.between(first.end, second.start)
    return between <= _IN_LIST and bool(between & LISTING)


def _called_sound(tokens: Tokens, place: Place) -> bool:
    """Whether the clause calls the place sound ("is clean", "shows no damage") and its subject is no defect."""
    if tokens.word(place.end) == ":":
        return tokens.word(place.end + 1) in SOUND and tokens.word(place.end + 2) in STOPS
    for index in range(place.end, place.end + 9):
        word, following = tokens.word(index), tokens.word(index + 1)
        if word == "," and following in BE:
            continue  # "the rest, including the top edge, is clean"
        if word in PUNCTUATION or word in TURNS or word in CONJUNCTIONS:
            return False
        if word in BE:
            return _sound_predicate(tokens, index + 1) and not _defect_before(tokens, place.start)
        if word in VERBS and following in ("no", "without"):
            named = any(is_one_of(tokens.word(ahead), DEFECTS) for ahead in range(index + 2, index + 6))
            return named and not _defect_before(tokens, place.start)
    return False


def _sound_before(tokens: Tokens, start: int) -> bool:
    """Whether "is smooth at" or the like leads to the place."""
    index = start - 1 - (tokens.word(start - 1) in ARTICLES)
    if tokens.word(index) not in _AT or tokens.word(index - 1) not in SOUND - {"clear"}:
        return False
    index -= 2
    called = tokens.word(index - tokens.word(index).endswith("ly")) in BE
    return called and not _defect_before(tokens, start)


def _defect_before(tokens: Tokens, start: int) -> bool:
    """Whether the clause that leads to the place speaks of a defect."""
    for index in range(start - 1, start - 15, -1):
        word = tokens.word(index)
        if word in CLAUSE_ENDS or word in TURNS:
            break
        if word in (",", "and") and tokens.word(index + 1) in ARTICLES:
            break
        if is_one_of(word, DEFECTS):
            return True
    return False


def _sound_predicate(tokens: Tokens, index: int) -> bool:
    """Whether "is" is followed by a word of soundness, and nothing is excepted."""
    last = index + 4
    while index < last and (
        tokens.word(index).endswith("ly") or tokens.word(index) in ("also", "quite", "very", "well", "all", "both")
    ):
        index += 1
    word, end = tokens.word(index), index + 1
    if tokens.word(end) == "-":
        hyphened = tokens.word(end + 1) == "free"
        end += 2
    elif word in ("free", "without"):
        hyphened = any(is_one_of(tokens.word(ahead), DEFECTS) for ahead in range(end, end + 4))
    else:
        hyphened = word in SOUND and tokens.word(end) in STOPS
    following = [tokens.word(ahead) for ahead in range(end, end + 8)]
    return hyphened and not any(word in ("except", "apart", "besides", "until") for word in following)
