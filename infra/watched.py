"""What is watched over: by alarms, and on the dashboard."""

from __future__ import annotations

from dataclasses import dataclass

from infra.config import Config
from infra.database import Database
from infra.entrance import Entrance
from infra.model_connection import ModelConnection
from infra.service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The parts of a deployment that have metrics."""

    config: Config
    service: Service
    entrance: Entrance
    database: Database
    model: ModelConnection
