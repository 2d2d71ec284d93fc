"""Google's list of models and the description of a model, by plain REST."""

import re
from typing import Any

import requests
from django.conf import settings

from messaging.gemini.base import GeminiError
from messaging.gemini.failures import failure_for, unavailable
from messaging.gemini.responses.messages import Refusal, json_or_none
from messaging.gemini.retries import get_backend

GEMINI_API = "https://generativelanguage.googleapis.com"
ASK_SECONDS = (2, 5)
# Google's maximum. All models fit in one page.
PAGE_SIZE = 1_000
MOST_PAGES = 20
# Names as the table of models can have them.
_NAME = re.compile(r"models/([\w.-]{1,64})", re.ASCII)


def has_model_list() -> bool:
    """Whether the backend of the settings chooses among Google's models."""
    return "models" in get_backend().capabilities


def listed_models() -> dict[str, bool]:
    """Map the name of each of Google's models to whether the model generates content.

    Raises GeminiError, also for a list without any model.
    """
    if not has_model_list():
        raise GeminiError(
            "misconfigured",
            "The backend of GEMINI_BACKEND has no list of models. Set GOOGLE_API_KEY for Google's.",
        )
    listed: dict[str, bool] = {}
    token = None
    for _ in range(MOST_PAGES):
        page = _page(token)
        listed |= _models_of(page)
        token = page.get("nextPageToken")
        if not token:
            break
    else:
        raise _foreign(f"Gemini's list of models has more than {MOST_PAGES} pages.")
    if not listed:
        raise _foreign("Gemini's list of models is empty.")
    return listed


def _page(token: str | None) -> dict[str, Any]:
    try:
        return ask_google("models", pageSize=PAGE_SIZE, pageToken=token)
    except GeminiError as error:
        if error.provider_code.startswith("404"):
            raise _foreign("There is no list of models at this address.") from None
        raise


def ask_google(path: str, **parameters: Any) -> dict[str, Any]:
    """Return the JSON object at a path of Gemini's API. Raises GeminiError."""
    if not settings.GOOGLE_API_KEY:
        raise GeminiError("misconfigured", "GOOGLE_API_KEY is not set. The operator must set it.")
    try:
        response = requests.get(
            f"{settings.GEMINI_API_BASE or GEMINI_API}/v1beta/{path}",
            params=parameters,
            headers={"x-goog-api-key": settings.GOOGLE_API_KEY},
            timeout=ASK_SECONDS,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        # Without the text of the exception, which has the address.
        raise unavailable(f"Gemini cannot be reached: {type(error).__name__}.") from None
    body = json_or_none(response.content)
    if response.status_code != 200:
        raise failure_for(Refusal(response.status_code, body))
    if not isinstance(body, dict):
        raise _foreign("The answer is not Gemini's.")
    return body


def _models_of(page: dict[str, Any]) -> dict[str, bool]:
    try:
        return {
            match[1]: "generateContent" in (model.get("supportedGenerationMethods") or ())
            for model in page.get("models") or ()
            if (match := _NAME.fullmatch(model["name"]))
        }
    except (AttributeError, KeyError, TypeError):
        raise _foreign("The answer is no list of Gemini's models.") from None


def _foreign(fault: str) -> GeminiError:
    return unavailable(f"{fault} The operator must check GEMINI_API_BASE and any proxy.")
