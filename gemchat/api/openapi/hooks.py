"""Common parts of all calls, added to each description: problems, headers, ids.

A hook of drf-spectacular's does the work, after the description of the call.
"""

from collections.abc import Iterable
from typing import Any

from gemchat.api.errors import CONTENT_TYPE, DependencyDown, problem, title_of
from gemchat.api.openapi import DAY_AFTER, QUOTA_HEADERS, UUID_SCHEMA, Call, Problem

REQUEST_ID = "01a20791-5613-741c-a1d1-c7cda1a546a0"
QUOTA = {"limit": 5, "used": 5, "remaining": 0, "resets_at": DAY_AFTER}

# Problems of any request, by code.
COMMON = {
    "invalid_host": (400, "This server does not go by that name."),
    "invalid_encoding": (400, "The URL is not UTF-8."),
    "parse_error": (400, "The body is not JSON that can be read."),
    "invalid_cursor": (400, "This cursor is not one that was given out."),
    "not_authenticated": (401, "Authentication credentials were not provided."),
    "invalid_token": (401, "The access token is missing, expired or revoked."),
    "not_found": (404, "There is nothing here, or it is not yours."),
    "not_acceptable": (406, "Could not satisfy the request Accept header."),
    "request_timeout": (408, "The body did not arrive in time."),
    "body_too_large": (413, "A body may have 256 KiB."),
    "head_too_large": (431, "The head of the request is too large."),
    "unsupported_media_type": (415, 'Unsupported media type "text/plain" in request.'),
    "validation_error": (422, "title: This field may not be blank."),
    "server_error": (500, "Something went wrong here. Report the request id."),
    "overloaded": (503, "Too many streams are open here. Try again in a moment."),
    DependencyDown.default_code: (503, DependencyDown.default_detail),
}
COMMON_PROBLEMS = ["invalid_host", "invalid_encoding", "body_too_large", "request_timeout"]
COMMON_PROBLEMS += ["head_too_large", "server_error"]
OF_API_CALLS = ["not_acceptable", "overloaded", DependencyDown.default_code]
# Codes of requests that are no call of this description, as of another method or of a page.
CODES_ELSEWHERE = {
    "bad_request": "400: the request is malformed",
    "csrf_failed": "403: a form of staff has no valid token",
    "method_not_allowed": "405: the URL has no such method",
    "origin_refused": "403: a page of another site calls `/web/session`",
    "permission_denied": "403: a page of staff is not for this person",
}
OF_BODIES = ["parse_error", "unsupported_media_type", "validation_error"]
OF_SIGNED_IN = ["not_authenticated", "invalid_token"]
# Further members of some problem documents.
MEMBERS: dict[str, Any] = {
    "validation_error": {
        "errors": [{"field": "title", "message": "This field may not be blank.", "code": "blank"}]
    },
    "quota_exceeded": {"quota": QUOTA},
    "challenge_required": {
        "challenge": {
            "algorithm": "SHA-256",
            "challenge": "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4",
            "maxnumber": 100_000,
            "salt": "6b0f5a8b3c1d4e5f60718293?expires=1795682400&",
            "signature": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        }
    },
}

PROBLEM_SCHEMA = {
    "type": "object",
    "description": "RFC 9457. `code` is to program against, `detail` is for people.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {
            "type": "string",
            "description": "Each call lists its codes. Any URL may answer: "
            + "; ".join(f"`{code}` ({meaning})" for code, meaning in CODES_ELSEWHERE.items()),
            "examples": list(CODES_ELSEWHERE),
        },
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "With 422: each field that is wrong; empty for the body as a whole.",
            "items": {
                "type": "object",
                "required": ["field", "message", "code"],
                "properties": {
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                    "code": {"type": "string"},
                },
            },
        },
        "quota": {"$ref": "#/components/schemas/Quota"},
        "challenge": {
            "type": "object",
            "description": "With `challenge_required`: find the `number` of 0 to `maxnumber` for"
            " which SHA-256 of `salt` and `number` in decimals is `challenge`, in hexadecimals.",
            "required": ["algorithm", "challenge", "maxnumber", "salt", "signature"],
            "properties": {
                "algorithm": {"const": "SHA-256"},
                "challenge": {"type": "string"},
                "maxnumber": {"type": "integer"},
                "salt": {"type": "string"},
                "signature": {"type": "string"},
            },
        },
    },
}
HEADERS = {
    "X-Request-ID": "The caller's id if it was a valid one, else a new one.",
    "Retry-After": "Seconds to wait.",
    "WWW-Authenticate": "Bearer.",
    "Location": "Where the reply or the file is.",
    "Link": 'The next page: `<…>; rel="next"`; left out on the last one.',
    "Content-Disposition": "The name of the file.",
    "Idempotent-Replayed": "`true` on an answer that was given before.",
    "X-Quota-Limit": "Replies a day.",
    "X-Quota-Remaining": "Replies left today.",
    "X-Quota-Reset": "When the day ends (UTC).",
    "X-Storage-Limit": "Bytes that the user's files may have.",
    "X-Storage-Used": "Bytes of the user's files, uploads in progress among them.",
}
HEADER_SCHEMAS: dict[str, Any] = {
    "X-Request-ID": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    "Retry-After": {"type": "integer", "minimum": 1},
    "Idempotent-Replayed": {"const": "true"},
    "X-Quota-Limit": {"type": "integer"},
    "X-Quota-Remaining": {"type": "integer"},
    "X-Quota-Reset": {"type": "string", "format": "date-time"},
    "X-Storage-Limit": {"type": "integer"},
    "X-Storage-Used": {"type": "integer"},
}
# Paths of the first GemChatRoom, by the present path.
OTHER_PATHS = {"/api/v1/subscription/subscription/status": "/api/v1/subscription/status"}
OPTIONAL_HEADERS = {"Link", "Idempotent-Replayed"}
HEADERS_OF_STATUS = {
    401: ["WWW-Authenticate"],
    409: ["Retry-After"],
    429: ["Retry-After"],
    503: ["Retry-After"],
}
PARAMETERS = {
    "RequestId": {
        "name": "X-Request-ID",
        "in": "header",
        "description": "1 to 64 of `[A-Za-z0-9._-]`; anything else is replaced.",
        "schema": {"type": "string"},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": (
            "The same key and body within 24 hours give the first answer again, with"
            " `Idempotent-Replayed: true`, and nothing is done twice."
        ),
        # Of printable ASCII; HTTP trims the blanks around a value.
        "schema": {"type": "string", "maxLength": 255, "pattern": "^[!-~](?:[ -~]*[!-~])?$"},
        "example": "5f0c1c9e-2f0e-4c5c-8f6c-3c0b6f3c1d6e",
    },
}


def add_common_parts(result: Any, **context: Any) -> Any:
    """The postprocessing hook."""
    responses: dict[str, Any] = {}
    for path, operations in result["paths"].items():
        for operation in operations.values():
            _complete(operation, path, responses)
    for other, path in OTHER_PATHS.items():
        [(method, operation)] = result["paths"][path].items()
        named = {"operationId": f"{operation['operationId']}AtOldPath", "deprecated": True}
        result["paths"][other] = {method: {**operation, **named}}
    _simplify(result)
    components = result["components"]
    components["schemas"]["Problem"] = PROBLEM_SCHEMA
    components["responses"] = dict(sorted(responses.items()))
    components["parameters"] = PARAMETERS
    components["headers"] = {name: _header(name) for name in sorted(HEADERS)}
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    result["security"] = [{"bearer": []}]
    return result


def _simplify(schema: Any) -> None:
    """Convert drf-spectacular's OpenAPI 3.0 to 3.1, and leave out parts without meaning."""
    if isinstance(schema, list):
        for each in schema:
            _simplify(each)
    if not isinstance(schema, dict):
        return
    # Every member of an answer is read-only.
    for needless in ("readOnly", "x-spec-enum-id"):
        schema.pop(needless, None)
    if schema.get("nullable") is True:
        del schema["nullable"]
        schema["type"] = [schema["type"], "null"]
    # Blank or of a pattern. The pattern takes a blank as well, so a blank would match both parts of
    # `oneOf`.
    if schema.get("oneOf", [])[1:] == [{"type": "string", "maxLength": 0}]:
        schema |= schema.pop("oneOf")[0]
    for each in schema.values():
        _simplify(each)


def _header(name: str) -> dict[str, Any]:
    return {
        "description": HEADERS[name],
        "required": name not in OPTIONAL_HEADERS and name != "Retry-After",
        "schema": HEADER_SCHEMAS.get(name, {"type": "string"}),
    }


def _complete(operation: dict[str, Any], path: str, responses: dict[str, Any]) -> None:
    described: Call | None = operation.pop("x-call", None)
    if described is None:
        raise LookupError(f"{path} is not described: its app's schema.py lacks a `call` for it")
    operation["tags"] = [path.split("/")[3] if path.startswith("/api/v1/") else "health"]
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            parameter["schema"] = UUID_SCHEMA
    shared = ["RequestId", *(["IdempotencyKey"] if described.takes_key else [])]
    parameters = operation.setdefault("parameters", [])
    parameters += [{"$ref": f"#/components/parameters/{name}"} for name in shared]
    if described.is_public:
        operation["security"] = []
    headers = ["X-Request-ID", *described.headers]
    if described.takes_key:
        headers.append("Idempotent-Replayed")
    for response in operation["responses"].values():
        response["headers"] = _references(headers)
    for status, found in _by_status(described, operation, path).items():
        response = _problem_response(status, found)
        # For some calls, the status of a common problem has another meaning and another answer.
        if str(status) not in operation["responses"]:
            operation["responses"][str(status)] = _shared(response, status, found, responses)
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _references(headers: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}


def _by_status(described: Call, operation: dict[str, Any], path: str) -> dict[int, dict[str, str]]:
    """Return the problems of a call: details by code, by status."""
    codes: list[Problem] = [*COMMON_PROBLEMS]
    if not described.is_plain:
        codes += OF_API_CALLS
        codes += OF_BODIES if "requestBody" in operation else []
    if not described.is_public:
        codes += OF_SIGNED_IN
    if "{" in path:
        codes.append("not_found")
    found: dict[int, dict[str, str]] = {}
    for each in [*codes, *described.problems]:
        if isinstance(each, str):
            code, (status, detail) = each, COMMON[each]
        else:
            code, status, detail = each.code, each.status, each.message
        found.setdefault(status, {})[code] = detail
    return found


def _shared(
    response: dict[str, Any], status: int, details: dict[str, str], responses: dict[str, Any]
) -> dict[str, Any]:
    """Return a reference to the response, if several calls have the response."""
    if not details.keys() <= COMMON.keys():
        return response
    special = [code for code in details if code in ("parse_error", "invalid_cursor")]
    words = " ".join([title_of(status), *special]).replace("_", " ").split()
    name = "".join(word[0].upper() + word[1:] for word in words)
    responses[name] = response
    return {"$ref": f"#/components/responses/{name}"}


def _problem_response(status: int, details: dict[str, str]) -> dict[str, Any]:
    names = ["X-Request-ID", *HEADERS_OF_STATUS.get(status, [])]
    if "quota_exceeded" in details:
        names += QUOTA_HEADERS
    specific = {
        "properties": {"status": {"const": status}, "code": {"enum": sorted(details)}},
    }
    return {
        "description": title_of(status),
        "headers": _references(names),
        "content": {
            CONTENT_TYPE: {
                "schema": {"allOf": [{"$ref": "#/components/schemas/Problem"}, specific]},
                "examples": {
                    code: {"value": _problem_example(status, code, details[code])}
                    for code in sorted(details)
                },
            }
        },
    }


def _problem_example(status: int, code: str, detail: str) -> dict[str, Any]:
    shown = problem(status=status, code=code, detail=detail, **MEMBERS.get(code, {}))
    return {**shown, "request_id": REQUEST_ID}
