"""How many connections PostgreSQL takes, as RDS works it out of the memory."""

from __future__ import annotations

import re

from infra.config import PREFIX, Config, ConfigError

BYTES_PER_CONNECTION = 9_531_392
MOST = 5_000
"""`max_connections` is the memory by the first, and no more than the second (Amazon RDS User Guide, "Maximum number of
database connections"; Aurora's is the same)."""
MOST_OF_SMALL_AURORA = 2_000
"""Where Aurora's least capacity is below one unit ("Performance and scaling for Aurora Serverless v2")."""
AURORA_GIB = 2
"""Of a capacity unit."""
USABLE_PART = 0.75
"""Of the memory of an instance: the formula means what system and RDS leave. An estimate, on the safe side."""

_GIB = {"micro": 1, "small": 2, "medium": 4, "large": 8, "xlarge": 16}
"""Memory of the sizes of the classes t and m; r has twice as much."""
_CLASS = re.compile(r"(?P<family>[tmr])\d\w*\.(?P<size>micro|small|medium|large|(?P<times>\d*)xlarge)")


def most_connections(config: Config) -> int:
    """Connections of the database that a configuration describes. Raises ConfigError for a class that is not known."""
    if config.database == "aurora":
        most = MOST_OF_SMALL_AURORA if config.aurora_capacity_min < 1 else MOST
        return min(_connections(config.aurora_capacity_max * AURORA_GIB), most)
    match = _CLASS.fullmatch(config.database_instance)
    if match is None:
        raise ConfigError(
            f"{PREFIX}DATABASE_INSTANCE={config.database_instance} is no class t, m or r; write one such as t4g.micro"
        )
    gib = int(match["times"]) * _GIB["xlarge"] if match["times"] else _GIB[match["size"]]
    return min(_connections(gib * (2 if match["family"] == "r" else 1) * USABLE_PART), MOST)


def _connections(gib: float) -> int:
    return int(gib * 1024**3 / BYTES_PER_CONNECTION)
