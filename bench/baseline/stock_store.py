"""Jobs in SQLite through SQLAlchemy's asyncio ORM, as its documentation sets it up, as durable as the product's."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

FOLDER = os.environ.get("STOCK_DATA_DIR", ".")

# One connection, since SQLite has one writer: with the default pool of 5 the writers wait for each other's lock by
# sleeping, which makes this server slower.
engine = create_async_engine(
    f"sqlite+aiosqlite:///{FOLDER}/stock.db",
    pool_size=int(os.environ.get("STOCK_POOL_SIZE", "1")),
    max_overflow=0,
    connect_args={"timeout": 30},
)
new_session = async_sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)


@event.listens_for(engine.sync_engine, "connect")
def _set_up(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


@event.listens_for(engine.sync_engine, "begin")
def _begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class Base(DeclarativeBase):
    pass


class CallerRow(Base):
    __tablename__ = "callers"

    id: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[int]


class IdempotencyKeyRow(Base):
    __tablename__ = "idempotency_keys"

    caller_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    job_id: Mapped[str]
    created_at: Mapped[datetime]


class JobRow(Base):
    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    caller_id: Mapped[str] = mapped_column(index=True)
    revision: Mapped[int]
    status: Mapped[str] = mapped_column(index=True)
    model_name: Mapped[str]
    prompt: Mapped[str]
    rendered_prompt: Mapped[str]
    negative_prompt: Mapped[str | None]
    style_name: Mapped[str | None]
    width: Mapped[int]
    height: Mapped[int]
    steps: Mapped[int]
    guidance_scale: Mapped[float]
    seed: Mapped[int]
    count: Mapped[int]
    format: Mapped[str]
    reference: Mapped[str | None]
    created_at: Mapped[datetime]


async def create_tables() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
