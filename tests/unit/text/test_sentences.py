"""Sentences of four languages, one case a line: `|` marks where the text is cut (the space around it is kept)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.text.sentences import Sentence, split

ENGLISH = [
    "Hello world.| How are you?| I am fine!",
    "One sentence without an end",
    "Mr. Smith met Mrs. Jones.| They left.",
    "Dr. Who is on TV.| Prof. Plum is not.",
    "St. Petersburg is cold.| Mt. Everest is colder.",
    "Gen. Lee and Col. Mustard met Sen. Hill.| Nobody won.",
    "See e.g. the book.| It is long.",
    "Some animals, e.g. Siberian tigers, are rare.",
    "It is small, i.e. Tiny.| We like it.",
    "Red vs. Blue was close.| Blue won.",
    "It costs 3.50 dollars.| That is cheap.",
    "Pi is 3.14159.| It never ends.",
    "He was born in 1990.| She was not.",
    "He has 5.| 10 people came.",
    "J. R. R. Tolkien wrote it.| He was English.",
    "George W. Bush spoke.| People listened.",
    "John F. Kennedy was president.| He died in 1963.",
    "We chose plan B.| Then it rained.",
    "So do I.| We all do.",
    "I. M. Pei built it.| It stands.",
    "He lives in the U.S. Army base.| It is big.",
    "He lives in the U.S.| He likes it.",
    "At 5 p.m. Mr. Hill left.| At 6 a.m. he came.",
    "We met at 5 p.m.| Then we ate.",
    "She works at Apple Inc. in California.| He does not.",
    "She works at Acme Inc.| He works elsewhere.",
    "Martin Luther King Jr. spoke.| We listened.",
    "Smith et al. (2001) disagree.| We agree.",
    "Bring food, drinks, etc. to the party.| Come early.",
    "Bring food, drinks, etc.| John will come.",
    "See fig. 3 and p. 12.| Then see No. 5.",
    "No.| I will not.",
    "Is it no. 7?| No. 8 is better.",
    "It was on Jan. 5, 2001.| It snowed.",
    "She has a Ph.D. in physics.| He has none.",
    'He said "Go."| She went.',
    '"Stop!" he said.| "Why?" she asked.',
    '"Stop!" John said.| "Why?" Mary asked.',
    "“Is it late?” Mr. Hill asked.| “Yes.”| He sighed.",
    '"I know."| "You do?"| "Yes."',
    "(He left.)| She stayed.",
    "He left (it was late).| She stayed.",
    "She wrote [sic.] it.| He read it.",
    "It is known.[12]| Others doubt it.[3][4]| We do not.",
    "Wait... what?| Really?!| Yes.",
    "Well... I think so.".replace("... I", "...| I"),
    "I thought … never mind.| Go on.",
    "... and then he left.| She stayed.",
    "What?!?!| No way!!!| Yes.",
    "Visit https://a.example/b.c?d=e.f!g now.| It works.",
    "Write to me.you@mail.example.org.| I will answer.",
    "Open www.example.com.| Then read.",
    "Use version 2.13.0.| It is new.",
    "The file is main.py.| Run it.",
    "Node.js is a runtime.| It runs.",
    "Yahoo! is a company.| So is Google.",
    "A title\n|\nA paragraph.| It has two sentences.",
    "First line\n|Second line\n|Third line",
    "- apples\n|- pears\n|- plums",
    "* One.\n|* Two.\n|* Three.",
    "1. Wash it.\n|2. Cut it.\n|3. Eat it.",
    "1. Wash it.| 2. Cut it.| 3. Eat it.",
    "a. The first.\n|b. The second.",
    "IV. Results\n|They are good.",
    "This line is wrapped because it is rather long and\ngoes on in the next.| Then it ends.",
    "This line ends the sentence, though it is rather long.\n|and this one is sloppy.",
    "We saw Mr.\nHill.| He waved.",
    "Buy:\n|milk\n|bread",
    "hello there.| how are you?| fine.",
    "a man sits .| a dog runs .",
    "He left .| She stayed .",
    "Great! 😀| See you.".replace("! 😀|", "!| 😀"),
    "Yes!| 100 times yes.",
    "Is it true?| (I doubt it.)| We will see.",
    "He said: 'No.'| Then he left.",
    "It ended.| — Not yet.",
    "   Leading.| Trailing.   ",
    "One.\r\n|Two.\r\n|\r\nThree.",
    "approx. 5 km away.| Go.",
    "Ends with Mr.",
    "One.Two three.| Four.",
]
FRENCH = [
    "M. Dupont est là.| Il dort.",
    "MM. Durand et Martin sont partis.| Mme Petit reste.",
    "Le Dr. Blanc et le Pr. Noir arrivent.| Ils parlent.",
    "Quoi ?| Non !| Si.",
    "Quoi\u00a0?| Non\u202f!| Si.",
    "« Oui. »| Il part.",
    "« Oui ! » dit-il.| « Non ? » demanda-t-elle.",
    "Il dit : « Viens. »| Elle vint.",
    "Il dort.| « Chut ! »",
    "Des fruits, p. ex. Des pommes.| C'est bon.".replace("Des pommes", "des pommes"),
    "C.-à-d. demain.| Ou après.",
    "Voir p. 12 et chap. 3.| C'est clair.",
    "Des pommes, des poires, etc.| Elle mange tout.",
    "En 52 av. J.-C. César gagna.| Rome fêta.",
    "J.-P. Sartre écrivait.| Il fumait.",
    "Le pain coûte 1,50 euro.| C'est cher.",
    "L'an 2000.| L'avenir.",
    "Ah ! mon ami, entrez.| Asseyez-vous.",
    "Bon… On y va.".replace("… On", "…| On"),
    "Bon... d'accord.| On y va.",
    "— Tu viens ?\n|— Non.\n|— Dommage.",
    "Ça va ?| Ça va.| Élise dort.",
    "J'habite à St. Denis.| C'est loin.",
    "Il est né en 1990.| Elle aussi.",
    "C'est vrai (je crois).| Bien.",
]
GERMAN = [
    "Das ist z.B. gut.| Am 3. Mai kam er.| Dr. Müller kam.",
    "Das ist z. B. Haus und Hof.| Gut.",
    "Es regnet, d. h. wir bleiben.| Schade.",
    "U. a. Herr Prof. Klein kam.| Er sprach.",
    "Im 19. Jahrhundert war das so.| Heute nicht.",
    "Ludwig XIV. war König.| Er starb 1715.| Danach kam ein anderer.",
    "Papst Johannes XXIII. Reiste nicht.| Gut.".replace("Reiste", "reiste"),
    "Er wurde 1990 geboren.| Sie nicht.",
    "Es war 1990.| Danach kam sie.",
    "Er ist 7.| Sie ist 8.",
    "Siehe S. 12 und Abb. 3.| Dort steht es.",
    "Nr. 5 lebt.| Nr. 6 nicht.",
    "Das kostet 5 Mio. Euro.| Das ist viel.",
    "Das kostet 3,50 Euro bzw. 4 Euro.| Gut.",
    "Äpfel, Birnen usw. gibt es.| Auch Nüsse.",
    "Äpfel, Birnen usw.| Alles da.",
    "„Komm!“, rief er.| „Nein!“, rief sie.",
    "„Komm.“| Sie kam.",
    "Er sagte: „Komm.“| Sie kam.",
    "»Halt!«| Er blieb stehen.",
    "Er schlief.| »Wach auf!«",
    "Wirklich?!| Ja.",
    "Ich wohne in der Hauptstr. 5.| Sie ist lang.",
    "Der 1. FC Köln gewann.| Alle jubelten.",
    "Vgl. Kap. 3.| Dort mehr.",
    "Um 10.30 Uhr geht es los.| Komm!",
    "Hr. Schmidt und Fr. Weber sind da.| Gut.",
    "J. S. Bach komponierte.| Er lebte in Leipzig.",
]
CHINESE = [
    "你好。|我是谁？|好！",
    "今天天气很好，我们去公园。|你去吗？",
    "真的吗？！|是的。",
    "他说：“你好。”|她笑了。",
    "“你好。”他说。|“再见！”她说道。",
    "他说：「走吧。」|我们走了。",
    '他说："你好。"|她笑了。',
    '好。|"你好。"|她笑了。',
    "等等……我想想。|好了。",
    "圆周率是3.14。|很有名。",
    "（他走了。）|她没走。",
    "第一行\n|第二行\n|第三行",
    "你好!|你是谁?|我是我.",
    "请看 https://a.example/b?c=d 。|谢谢！",
    "我喜欢Python 3.11。|你呢？",
    "《红楼梦》很长。|我读过！|你呢？",
    "一、吃饭。|二、睡觉。",
    "没有标点的句子",
    "他走了。 |她没走。",
    "我认识Mr. Smith。|他很好。",
    "“走吧。”|我知道。",
    "好！！！|太好了～",
]
OTHER = [
    ("xx", "Hello.| World.| Dr. No came."),
    ("", "One.| Two."),
    ("ja", "元気ですか。|はい！|「はい。」と言った。"),
    ("hi", "यह एक है।| यह दो है।"),
    ("ar", "كيف حالك؟| بخير."),
    ("es", "¿Qué?| ¡Nada!| Sí."),
    ("EN-gb", "Mr. Hill left.| He ran."),
    ("en_US", "Mr. Hill left.| He ran."),
    ("zh-Hant", "你好。|我是誰？"),
]
CASES = [
    *(("en", case) for case in ENGLISH),
    *(("fr", case) for case in FRENCH),
    *(("de", case) for case in GERMAN),
    *(("zh", case) for case in CHINESE),
    *OTHER,
]


@pytest.mark.parametrize(("language", "marked"), CASES)
def test_sentences(language: str, marked: str) -> None:
    assert [sentence.text for sentence in split(marked.replace("|", ""), language)] == [
        part.strip() for part in marked.split("|")
    ]


def test_places_are_those_in_the_text() -> None:
    assert split("  One.\n\n Two? ", "en") == [Sentence("One.", 2, 6), Sentence("Two?", 9, 13)]
    assert split("", "en") == split(" \n\t\u3000", "en") == []


MIXED = st.lists(
    st.one_of(
        st.text(max_size=3),
        st.sampled_from([*" \n.!?…。！？\"'“”«»()|", "\r\n", "Mr", "e.g", "He", "你", "3", "\ud800"]),
    ),
    max_size=31,
).map("".join)


@given(text=MIXED, language=st.sampled_from(["en", "fr", "de", "zh", "xx", "", "-", "\0"]))
def test_nothing_is_lost_and_nothing_raises(text: str, language: str) -> None:
    end = 0
    for sentence in split(text, language):
        assert text[sentence.start : sentence.end] == sentence.text == sentence.text.strip() != ""
        assert not text[end : sentence.start].strip()
        end = sentence.end
    assert not text[end:].strip()


@given(text=MIXED, language=st.sampled_from(["en", "fr", "de", "zh"]))
def test_a_blank_line_always_ends_a_sentence(text: str, language: str) -> None:
    """What stands before it is cut as if nothing followed."""
    before = [sentence.text for sentence in split(f"{text} Xx", language)]
    assert [sentence.text for sentence in split(f"{text} Xx\n\nYy", language)] == [*before, "Yy"]


@pytest.mark.parametrize(
    "unit", [". ", "! ", "\n", " ", "Mr. ", '。"x说。', "(", "a.", '. "', "x\n", "z. B. ", "“。”", "[1]", "你"]
)
def test_time_grows_with_the_length_only(unit: str) -> None:
    text = "Word " + unit * (60_000 // len(unit))
    began = time.perf_counter()
    split(text, "en")
    split(text, "de")
    assert time.perf_counter() - began < 3
