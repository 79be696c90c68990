"""What each language adds to the rules of `sentences`: its abbreviations, and the words that begin sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """What a full stop after a word means in one language.

    Attributes:
        never: matches, at its end, a text whose next full stop ends no sentence: `Mr`, `e.g`.
        before_number: the same, where a number follows: `No`, `p`.
        perhaps: the same, unless the next word is a starter: `Inc`, `p.m`.
        starters: words, in their capitals, that seldom follow an abbreviation or an initial within a sentence.
        words: capital letters that are words of the language.
        ordinals: a number of one or two digits, or a Roman one, with a full stop is an ordinal: `3. Mai`.
        saying: matches, after a quotation, the words that say whose it was, and go on with the sentence.
        guillemets_close: `»` after a space closes a quotation (French); in German it opens one.
    """

    never: re.Pattern[str]
    before_number: re.Pattern[str]
    perhaps: re.Pattern[str]
    starters: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    ordinals: bool = False
    saying: re.Pattern[str] = re.compile(r"(?!)")
    guillemets_close: bool = True


_SAYING = re.compile(
    r"(?:(?:I|[A-Z][\w'’.-]+)\s+){1,2}"
    r"(?:said|says|asked|replied|answered|cried|shouted|whispered|added|thought|explained|exclaimed|muttered|wrote)\b"
)

_ENGLISH_NEVER = """
Mr Mrs Ms Mx Messrs Dr Drs Prof Rev Fr Hon St Mt Ft Gen Maj Col Capt Cmdr Lt Sgt Cpl Adm Sen Rep Gov Pres Supt Insp
e.g i.e cf viz vs ca approx incl esp resp est
"""
_ENGLISH_BEFORE_NUMBER = """
no nos p pp ch chap fig figs eq eqs sec sect vol vols art par tab ex ver
Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec
"""
_ENGLISH_PERHAPS = "Inc Ltd Co Corp Bros Jr Sr Ph.D Ph.D.s M.Sc B.Sc al Ave Blvd Rd Dept Univ Assn a.m p.m U.S U.K U.N"
_ENGLISH_STARTERS = """
The A An He She It They We You This That These Those There Then But And So Or If When While What Who Where Why How In
On At For From With By To My Your His Her Our Their Its Is Are Was Were Do Does Did Can Could Would Will Not No Yes As
After Before Although Because However Meanwhile Now Once Some Many Most All Both Each Every Here Please Thank Thanks Let
"""

_GERMAN_NEVER = """
Dr Prof Hr Hrn Fr Frl St Dipl Ing Mag Hl bzw ca circa evtl ggf inkl exkl max min sog vgl geb gest zzgl zzt dt engl frz
bspw insb allg ehem jew od mind Abs Aufl Hrsg Red
z.B d.h u.a u.U u.ä v.a s.o s.u o.ä o.g i.d.R i.A i.V z.T z.Z m.E a.D e.V
a b c d e f g h i j k l m n o p q r s t u v w x y z
"""
_GERMAN_BEFORE_NUMBER = """
Nr Nrn S ~str Abb Bd Kap Art Tab Anm Tel Jg Ziff
Jan Feb Mrz Apr Jun Jul Aug Sep Sept Okt Nov Dez Mo Di Mi Do Fr Sa So
"""
_GERMAN_PERHAPS = "Mio Mrd Tsd Co Jh Jhd v.Chr n.Chr u.Ä o.Ä jun sen"
_GERMAN_STARTERS = """
Der Die Das Den Dem Des Ein Eine Einen Einem Einer Er Sie Es Wir Ihr Ich Du Man Dies Diese Dieser Dieses Da Dann Dort
Doch Aber Und Oder Wenn Als Weil Was Wer Wo Wie Warum Wann Im In Am An Auf Aus Bei Mit Nach Von Vor Zu Zum Zur Für Um
Nun Jetzt Heute Gestern Morgen Hier So Mein Meine Sein Seine Unser Unsere Ihre Kein Keine Nicht Ja Nein Ist Sind War
Hat Alle Viele Später Danach Seitdem Jedoch Außerdem Auch Nur Noch Bitte Danke
"""

_FRENCH_NEVER = """
M MM Mr Mme Mmes Mlle Mlles Dr Pr Prof Me Mgr St Ste av bd boul cf env vs c.-à-d càd p.ex i.e e.g ex apr éd dir coll
"""
_FRENCH_BEFORE_NUMBER = "no nos n p pp art chap fig vol t tél al janv févr avr juil sept oct nov déc"
_FRENCH_PERHAPS = "J.-C J.C S.A Cie Sté"
_FRENCH_STARTERS = """
Le La Les L Un Une Des Du De D Il Elle Ils Elles On Nous Vous Je J Tu Ce C Cet Cette Ces Cela Ça Mais Et Ou Donc Or
Si Quand Lorsque Que Qu Qui Quoi Où Comment Pourquoi En Dans Sur Sous Pour Par Avec Sans À Au Aux Après Avant Depuis Mon
Ma Mes Ton Son Sa Ses Notre Votre Leur Leurs Ne N Non Oui Puis Alors Ensuite Enfin Ainsi Est Aujourd Ici Voici Voilà
"""

_GENERAL_NEVER = "Mr Mrs Ms Dr Prof St Ing e.g i.e z.B d.h cf vs ca bzw p.ex Sra Dra Sig"
_GENERAL_BEFORE_NUMBER = "no nr n p pp fig vol art"


def _abbreviations(*lists: str) -> re.Pattern[str]:
    """Matches a listed word at the end of a text, also with a capital, and with spaces after its inner full stops.

    `~str` is the end of any word: `Hauptstr`. Chinese or Japanese may stand before a word without a space.
    """
    listed = " ".join(lists).split()
    words = {form for word in listed for form in (word, word[0].upper() + word[1:] if len(word) > 1 else word)}
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    spelled = (re.escape(word).replace(r"\.", r"\.\s?").replace(r"\~", r"\w*") for word in longest_first)
    return re.compile(rf"(?<![^\W_\u3040-\u9fff])(?:{'|'.join(spelled) or '(?!)'})\Z")


_ENGLISH = Rules(
    _abbreviations(_ENGLISH_NEVER),
    _abbreviations(_ENGLISH_BEFORE_NUMBER),
    _abbreviations(_ENGLISH_PERHAPS),
    starters=frozenset(_ENGLISH_STARTERS.split()),
    words=frozenset("I"),
    saying=_SAYING,
)
_GERMAN = Rules(
    _abbreviations(_GERMAN_NEVER),
    _abbreviations(_GERMAN_BEFORE_NUMBER),
    _abbreviations(_GERMAN_PERHAPS),
    starters=frozenset(_GERMAN_STARTERS.split()),
    ordinals=True,
    guillemets_close=False,
)
_FRENCH = Rules(
    _abbreviations(_FRENCH_NEVER),
    _abbreviations(_FRENCH_BEFORE_NUMBER),
    _abbreviations(_FRENCH_PERHAPS),
    starters=frozenset(_FRENCH_STARTERS.split()),
)
_GENERAL = Rules(_abbreviations(_GENERAL_NEVER), _abbreviations(_GENERAL_BEFORE_NUMBER), _abbreviations())


def rules_of(language: str) -> Rules:
    """The rules of a language, named by the first part of its tag; general ones if it is not among those known."""
    match language.replace("_", "-").split("-")[0].lower():
        case "en":
            return _ENGLISH
        case "de":
            return _GERMAN
        case "fr":
            return _FRENCH
        case _:
            return _GENERAL
