"""The documented flow over HTTP, on the processes that serve it, for two backends."""

from collections.abc import Callable

import pytest
import requests

from dev.servers.stack import Stack
from tests.support.fakes.gemini import FakeGemini
from tests.support.stack.api_client import ApiUser


def gemini_environment(backend: str, gemini: FakeGemini) -> dict[str, str]:
    if backend == "offline":
        return {}
    return {
        "GOOGLE_API_KEY": "test-key",
        "GEMINI_API_BASE": gemini.url,
        "GEMINI_BACKEND": f"messaging.gemini.{backend}.Backend",
    }


# The tests of streams and pages use google_genai, the default with a key.
@pytest.mark.parametrize("backend", ["offline", "google_generativeai"])
def test_person_signs_up_and_is_answered(
    backend: str, gemini_server: FakeGemini, make_stack: Callable[..., Stack]
) -> None:
    settings = gemini_environment(backend, gemini_server)
    with make_stack(parts=["web", "worker"], **settings) as stack:
        person = ApiUser(stack.url).sign_in()
        room = person.post("chatroom/", {})["id"]

        sent = person.post(f"message/chatroom/{room}/message", {"prompt": "What is a monolith?"})
        reply = person.reply(sent["data"]["reply"]["id"])

        assert reply["status"] == "complete"
        assert sent["data"]["quota"]["used"] == 1
        if backend == "offline":
            assert "not an AI answer" in reply["content"]
            assert reply["model"] == "offline"
        else:
            assert "What is a monolith?" in reply["content"]
            assert reply["usage"]["output_tokens"] > 0
        shown = person.get(f"chatroom/{room}")
        assert [message["sender"] for message in shown["messages"]] == ["user", "gemini"]
        assert shown["messages"][1]["content"] == reply["content"]
        assert person.get("chatroom/")[0]["id"] == room
        assert person.get("user/me")["mobile"] == person.mobile
        assert person.get("subscription/status")["daily_usage"] == 1
        assert person.get("health")["status"] == "ok"
        refused = requests.post(
            f"{person.url}/subscription/subscribe/pro", headers=person.session.headers, timeout=10
        )
        assert (refused.status_code, refused.json()["code"]) == (503, "billing_not_configured")
