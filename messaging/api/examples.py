"""Examples of rooms, messages and models in docs/openapi.json."""

ROOM_ID = "01a20791-51b6-758c-a99f-add8631b2fd9"
PROMPT_ID = "01a20791-51d5-756e-9b4a-041375e2c214"
REPLY_ID = "01a20791-51d5-756e-9b4a-0414fd212fc7"
ROOM = {
    "id": ROOM_ID,
    "title": "First steps",
    "user_id": "01a20791-5197-747c-b8b0-04069d27faa6",
    "created_at": "2026-11-23T08:41:33.877874Z",
    "updated_at": "2026-11-23T08:41:33.909806Z",
    "last_message_at": "2026-11-23T08:41:33.909588Z",
    "pinned": False,
    "archived": False,
    "system_prompt": "",
    "model": "",
    "message_count": 2,
    "temporary": False,
}
PROMPT = {
    "id": PROMPT_ID,
    "chatroom_id": ROOM_ID,
    "sender": "user",
    "content": "Why is the sky blue?",
    "files": [],
    "created_at": "2026-11-23T08:41:33.909588Z",
    "status": "complete",
    "parent_id": None,
    "sibling_ids": [PROMPT_ID],
    "error": None,
    "model": None,
    "thinking": None,
    "usage": None,
    "context": None,
    "finish_reason": None,
    "waiting": None,
    "feedback": None,
}
QUEUED = {
    **PROMPT,
    "id": REPLY_ID,
    "sender": "gemini",
    "content": "",
    "created_at": "2026-11-23T08:41:33.909806Z",
    "status": "queued",
    "parent_id": PROMPT_ID,
    "sibling_ids": [REPLY_ID],
    "model": "gemini-3.5-flash-lite",
}
REPLY = {
    **QUEUED,
    "content": "Air scatters blue light more than red.",
    "status": "complete",
    "usage": {
        "prompt_tokens": 9,
        "output_tokens": 8,
        "cached_tokens": 0,
        "thinking_tokens": 0,
    },
    "context": {"messages": 1, "tokens": 9, "truncated": False},
    "finish_reason": "stop",
}
EVENTS = """id: 1-38
event: reply.delta
data: {"text":"Air scatters blue light more than red."}

id: 1-39
event: reply.completed
data: {"id":"01a20791-51d5-756e-9b4a-0414fd212fc7","chatroom_id":"01a20791-51b6-758c-a99f-…"}

"""
MARKDOWN = """# First steps

## You, 2026-11-23 08:41 UTC

Why is the sky blue?
"""
MODEL = {
    "name": "gemini-3.5-flash-lite",
    "label": "Gemini 3.5 Flash-Lite",
    "tier": "basic",
    "available": True,
    "default": True,
    "context_window": 1048576,
    "max_output_tokens": 65536,
    "modalities": ["text"],
    "tools": [],
    "thinking_levels": ["minimal", "low", "medium", "high"],
    "default_thinking": "minimal",
}
