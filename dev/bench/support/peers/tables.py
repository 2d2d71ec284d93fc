"""The control's tables."""

import os
import uuid
from datetime import UTC, datetime

from sqlalchemy import ForeignKey, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, sessionmaker

engine = create_engine(os.environ["CONTROL_DATABASE_URL"], pool_size=20)
Session = sessionmaker(engine, expire_on_commit=False)


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    mobile: Mapped[str] = mapped_column(String(16), unique=True)
    tier: Mapped[str] = mapped_column(String(8), default="basic")
    created_at: Mapped[datetime] = mapped_column(default=now)


class Chatroom(Base):
    __tablename__ = "chatrooms"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), index=True)
    title: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    messages: Mapped[list["Message"]] = relationship(order_by="Message.created_at")


class Message(Base):
    __tablename__ = "messages"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    chatroom_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("chatrooms.id"), index=True)
    sender: Mapped[str] = mapped_column(String(8))
    content: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
