"""What comes of each HTTP status, and of the statuses' bodies, through both Google backends."""

import json

import pytest

from tests.support.fakes.gemini import Answer
from tests.support.messaging.gemini_calls import ask, request_for

# By the code of the error: the statuses with Google's JSON as the body.
PERMANENT = {
    "misconfigured": [
        *[202, 204, 206, 302, 304, 401, 402, 403, 404, 405, 406, 407, 410, 415, 421, 426, 431, 451],
    ],
    "context_too_long": [413],
    "bad_request": [400, 422],
}
TEMPORARY = {
    "unavailable": [408, 409, 425, 499, 500, 501, 502, 503, 504, 520],
    "rate_limited": [429],
}
RIGHT = Answer(chunks=["Right."])
HTML = {"raw_body": "<html>Bad request</html>", "raw_type": "text/html"}
NO_SYSTEM_ROLE = Answer(
    status=400, error_message="Developer instruction is not enabled for models/gemma-3-27b-it"
)


def cases(table):
    return [(status, code) for code, statuses in table.items() for status in statuses]


def refused(message="Refused.", **error):
    error = {"code": 400, "status": "INVALID_ARGUMENT", "message": message, **error}
    return Answer(status=400, raw_body=json.dumps({"error": error}), raw_type="application/json")


@pytest.mark.parametrize(("status", "code"), cases(PERMANENT))
def test_permanent_status_is_one_request(google, status, code):
    google.script(Answer(status=status), RIGHT)

    error = ask().error

    assert (error.code, error.permanent, error.retryable) == (code, True, False)
    assert error.provider_code.split()[0] == str(status)
    assert len(google.requests) == 1


@pytest.mark.parametrize(("status", "code"), cases(TEMPORARY))
def test_temporary_status_is_tried_again(google, status, code):
    google.script(*[Answer(status=status)] * 4)

    error = ask().error

    assert (error.code, error.permanent, error.retryable) == (code, False, True)
    assert len(google.requests) == 4


@pytest.mark.parametrize(
    "status", [204, 302, 400, 401, 402, 403, 404, 405, 407, 421, 422, 451], ids=str
)
def test_page_of_a_proxy_is_no_fault_of_the_prompt(google, status):
    google.script(Answer(status=status, **HTML), RIGHT)

    error = ask().error

    assert error.code == "misconfigured"
    assert len(google.requests) == 1


@pytest.mark.parametrize(
    "body", ["", "[]", "null", '"no"', '{"error": "no"}', '{"detail": "no"}', "[" * 100_000]
)
def test_refusal_whose_body_is_not_googles_is_no_fault_of_the_prompt(google, body):
    google.script(Answer(status=400, raw_body=body, raw_type="application/json"), RIGHT)

    error = ask().error

    assert (error.code, error.provider_code) == ("misconfigured", "400")
    assert len(google.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(google, status):
    target = {"Location": f"{google.url}/elsewhere"}
    google.script(Answer(status=status, raw_body="", headers=target), RIGHT)

    assert ask().error.code == "misconfigured"
    assert len(google.requests) == 1


@pytest.mark.parametrize(
    "message",
    [
        "The input token count is 1084811 but the model only supports up to 1048576.",
        "Unable to submit request because the input token count is 1084811 but model only "
        "supports up to 1048576. Reduce the input token count and try again.",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "The input token count exceeds the maximum number of tokens allowed 1048576.",
        "Request payload size exceeds the limit: 20971520 bytes.",
    ],
)
def test_input_beyond_the_model_is_too_long(google, message):
    google.script(refused(message), RIGHT)

    assert ask().error.code == "context_too_long"
    assert len(google.requests) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"status": "FAILED_PRECONDITION"}, "misconfigured"),
        ({"details": [{"reason": "API_KEY_INVALID"}]}, "misconfigured"),
        ({"details": [{"fieldViolations": [{"field": "generation_config"}]}]}, "misconfigured"),
        ({"details": [{"fieldViolations": [{"field": "contents[0].parts"}]}]}, "bad_request"),
        ({"details": [{"fieldViolations": [{"description": "Bad."}]}]}, "bad_request"),
        ({"status": None}, "misconfigured"),
    ],
    ids=str,
)
def test_refusal_is_a_fault_of_the_prompt_only_for_its_content(google, error, code):
    google.script(refused(**error), RIGHT)

    assert ask().error.code == code
    assert len(google.requests) == 1


@pytest.mark.parametrize(
    ("status", "code", "requests"),
    [(200, "unavailable", 4), (302, "unavailable", 4), (499, "unavailable", 4)]
    + [(402, "misconfigured", 1), (400, "bad_request", 1)],
)
def test_status_inside_the_stream_counts_as_the_status(google, status, code, requests):
    google.script(*[Answer(chunks=[], ending="error", streamed_status=status)] * 4)

    assert ask().error.code == code
    assert len(google.requests) == requests


@pytest.mark.parametrize(
    "message",
    [
        NO_SYSTEM_ROLE.error_message,
        "System instructions are not supported by this model.",
        "This model does not support system instructions.",
    ],
)
def test_model_without_a_system_role_gets_the_instructions_as_first_turn(google, message):
    google.script(refused(message), RIGHT)

    outcome = ask(request_for("And now?", system="Answer in verse."))

    assert outcome.text == "Right."
    first, second = google.requests
    assert first.body["systemInstruction"]["parts"][0]["text"] == "Answer in verse."
    assert not second.body.get("systemInstruction")
    assert second.body["contents"] == [
        {"role": "user", "parts": [{"text": "Answer in verse."}]},
        {"role": "user", "parts": [{"text": "And now?"}]},
    ]


@pytest.mark.parametrize("system", ["", "Answer in verse."])
def test_refused_instructions_are_named(google, system):
    google.script(*[NO_SYSTEM_ROLE] * 4)

    error = ask(request_for("Hello", system=system)).error

    assert error.code == "misconfigured"
    assert "instructions" in error.detail
    assert len(google.requests) == (2 if system else 1)
