"""The scheme of a request: that of the outermost trusted proxy."""

from typing import Any

import pytest

from gemchat.serving.application import client_scheme


@pytest.mark.parametrize(
    ("proxies", "values", "scheme"),
    [
        (0, ["https"], "http"),
        (1, [], "http"),
        (1, ["https"], "https"),
        (1, ["https, http"], "http"),
        (2, ["https, http"], "https"),
        (2, ["https", "http"], "https"),
        (2, ["https, http, http"], "http"),
        # The inner proxy leaves the header alone.
        (2, ["https"], "https"),
        (1, ["HTTPS "], "https"),
        (1, ["gopher"], "http"),
    ],
)
def test_scheme_is_that_of_the_outermost_trusted_proxy(
    proxies: int, values: list[str], scheme: str, settings: Any
) -> None:
    settings.TRUSTED_PROXY_COUNT = proxies
    headers = [(b"x-forwarded-proto", value.encode()) for value in values]

    assert client_scheme({"scheme": "http", "headers": headers}) == scheme
