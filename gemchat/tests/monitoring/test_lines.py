"""Names and titles are one visible line, and never a formula of a spreadsheet."""

import re

from backoffice.pages.csv_export import escape_formula
from gemchat.api.fields import TextField
from gemchat.api.openapi import TextFieldSchema
from gemchat.api.text import OneLine
from messaging.conversation.title_text import title_of_answer
from tests.support.messaging.rooms import make_room

ROOMS = "/api/v1/chatroom/"
UNFIT = [
    *["\n", "\r", "\t", "\x0b", "\x1b", "\x7f", "\x85", "\xad", "\u2028", "\u2029"],
    *["\u200b", "\u200e", "\u200f", "\u2060", "\u2064", "\ufeff"],
]
MISPLACED = ["\u200dab", "ab\u200d", "a \u200db", "a\u200c b", "a\u200d\u200db", "\u200d"]
REFUSED = [*(f"a{character}b" for character in UNFIT), *MISPLACED]
INVISIBLE = [
    *["", " ", "\t", "\r", "\n", "\xa0", "\xad", "\u200b", "\u200c\u200d", "\u2060", "\ufeff"],
    *["\u180e", "\u3164", "\ufe0f", "\x00", "\x7f", "\u202e", "\U000e0020", "\u2028"],
]
FITTING = [
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
    "\u0915\u094d\u200d\u0937 \u0915\u094d\u200c\u0937",  # Devanagari with both joiners
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian
    "\u2764\ufe0f \U0001f3f4\U000e0067\U000e0062\U000e007f",  # a red heart, a flag
    "a\u00a0b\u3000c",
]


def test_text_of_more_than_a_line_is_refused(alice_api):
    for text in REFUSED:
        answer = alice_api.post(ROOMS, {"title": text})

        assert answer.status_code == 422, ascii(text)
        assert answer.json()["errors"][0]["code"] == "control_character"


def test_each_title_and_name_is_one_line(alice, alice_api):
    room = make_room(alice)

    answers = [
        alice_api.patch("/api/v1/user/me", {"name": "a\nb"}),
        alice_api.patch(f"{ROOMS}{room.pk}", {"title": "a\nb"}),
    ]

    assert [answer.status_code for answer in answers] == [422] * 2
    assert {answer.json()["errors"][0]["code"] for answer in answers} == {"control_character"}


def test_joiners_within_words_stay(alice_api):
    for text in FITTING:
        assert alice_api.post(ROOMS, {"title": text}).json()["title"] == text, ascii(text)

    assert alice_api.patch("/api/v1/user/me", {"name": text}).json()["name"] == text


def test_what_surrounds_a_line_is_trimmed(alice_api):
    assert alice_api.post(ROOMS, {"title": "\r\n Rivers\t\u2028"}).json()["title"] == "Rivers"
    assert alice_api.patch("/api/v1/user/me", {"name": "\n"}).json()["name"] == ""


def test_pattern_of_the_description_agrees():
    field = TextField(validators=[OneLine()])
    pattern = TextFieldSchema(field).map_serializer_field(None, "request")["pattern"]

    for text in (*FITTING, "\n Rivers \n", "a  b"):
        assert re.search(pattern, text), ascii(text)
    for text in (*REFUSED, " ", ""):
        assert not re.search(pattern, text), ascii(text)


def test_invisible_characters_do_not_hide_a_formula():
    for before in INVISIBLE:
        assert escape_formula(f"{before}=1+1") == f"'{before}=1+1", ascii(before)


def test_each_start_of_a_formula_is_escaped():
    for start in ("=1+1", "+1", "-1", "@SUM(A1)", "\uff1d1", "\ufe621", "\u207c1"):
        assert escape_formula(start) == f"'{start}"
        assert escape_formula(f"\u200b{start}") == f"'\u200b{start}"


def test_other_cells_stay():
    for text in ("Rivers", "a=b", "", " a", "\u200b", "1-2", "\u0939\u093f"):
        assert escape_formula(text) == text


def test_title_by_gemini_is_one_visible_line():
    assert title_of_answer("\u200b\ufeffRivers\u2060 of\tIndia\x85more") == "Rivers of India"
