"""The control's API: `uvicorn dev.bench.support.peers.api:app`, with synchronous endpoints."""

import json
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from redis import Redis
from sqlalchemy import select
from sqlalchemy.orm import Session as DatabaseSession

from dev.bench.support.peers.tables import Chatroom, Session, User
from dev.bench.support.peers.tasks import answer

SECRET = os.environ["CONTROL_JWT_SECRET"]
DAILY_LIMIT = 1_000_000
DAY_SECONDS = 24 * 3600
CACHE_SECONDS = 600

app = FastAPI()
redis = Redis.from_url(os.environ["CONTROL_CACHE_URL"], decode_responses=True)
bearer = HTTPBearer()


def database() -> Iterator[DatabaseSession]:
    with Session() as session:
        yield session


Database = Annotated[DatabaseSession, Depends(database)]


def current_user(
    database: Database, credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]
) -> User:
    try:
        claims = jwt.decode(credentials.credentials, SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error
    user = database.get(User, uuid.UUID(claims["sub"]))
    if user is None:
        raise HTTPException(401)
    return user


CurrentUser = Annotated[User, Depends(current_user)]


class PromptIn(BaseModel):
    prompt: str = Field(min_length=1, max_length=32_000)


class Sent(BaseModel):
    success: bool
    message: str
    data: dict[str, Any]


class MessageOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    chatroom_id: uuid.UUID
    sender: str
    content: str
    created_at: datetime


class ChatroomOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    title: str
    user_id: uuid.UUID
    created_at: datetime
    updated_at: datetime


class Conversation(ChatroomOut):
    messages: list[MessageOut]


@app.post("/api/v1/message/chatroom/{chatroom_id}/message", status_code=202)
def send(chatroom_id: uuid.UUID, body: PromptIn, user: CurrentUser, database: Database) -> Sent:
    key = f"quota:{user.id}:{datetime.now(UTC):%Y-%m-%d}"
    used = int(redis.get(key) or 0)  # type: ignore[arg-type]
    if used >= DAILY_LIMIT:
        raise HTTPException(429)
    redis.incr(key)
    redis.expire(key, DAY_SECONDS)
    used = int(redis.get(key) or 0)  # type: ignore[arg-type]
    room = own_room(database, user, chatroom_id)
    task = answer.delay(str(room.id), body.prompt)
    quota = {"limit": DAILY_LIMIT, "used": used, "remaining": DAILY_LIMIT - used}
    data = {"task_id": task.id, "quota": quota}
    return Sent(success=True, message="Message is being processed.", data=data)


@app.get("/api/v1/chatroom/")
def rooms(user: CurrentUser, database: Database) -> list[ChatroomOut]:
    key = f"rooms:{user.id}"
    kept = redis.get(key)
    if kept is not None:
        return json.loads(kept)  # type: ignore[arg-type]
    found = database.scalars(
        select(Chatroom).where(Chatroom.user_id == user.id).order_by(Chatroom.updated_at.desc())
    )
    listed = [ChatroomOut.model_validate(room) for room in found]
    redis.set(key, json.dumps([room.model_dump(mode="json") for room in listed]), ex=CACHE_SECONDS)
    return listed


@app.get("/api/v1/chatroom/{chatroom_id}")
def room(chatroom_id: uuid.UUID, user: CurrentUser, database: Database) -> Conversation:
    return Conversation.model_validate(own_room(database, user, chatroom_id))


def own_room(database: DatabaseSession, user: User, chatroom_id: uuid.UUID) -> Chatroom:
    found = database.scalars(
        select(Chatroom).where(Chatroom.id == chatroom_id, Chatroom.user_id == user.id)
    ).first()
    if found is None:
        raise HTTPException(404)
    return found
