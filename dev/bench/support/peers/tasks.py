"""The control's worker: a unary call to Gemini for each message, then both rows."""

import os
import uuid

import requests
from celery import Celery

from dev.bench.support.peers.tables import Message, Session

GEMINI = f"{os.environ['GEMINI_API_BASE']}/v1beta/models/gemini-3.5-flash-lite:generateContent"

app = Celery(
    "control", broker=os.environ["CONTROL_BROKER_URL"], backend=os.environ["CONTROL_RESULT_URL"]
)


@app.task
def answer(chatroom_id: str, prompt: str) -> str:
    body = {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}
    response = requests.post(GEMINI, json=body, headers={"x-goog-api-key": "bench"}, timeout=60)
    response.raise_for_status()
    parts = response.json()["candidates"][0]["content"]["parts"]
    text = "".join(part["text"] for part in parts)
    room = uuid.UUID(chatroom_id)
    with Session() as session:
        session.add(Message(chatroom_id=room, sender="user", content=prompt))
        session.flush()
        session.add(Message(chatroom_id=room, sender="gemini", content=text))
        session.commit()
    return text
