"""The reference of the settings, from the fields of Settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from docsite.markdown import prose
from graphql_api.settings import Settings

PREFIX = "TEXT2IMAGE_"

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Where jobs, events and images are": (
        "data_dir",
        "database",
        "database_secret",
        "database_connections",
        "events",
        "events_password",
        "images",
    ),
    "URLs of images": ("public_url", "url_key_id", "url_private_key", "url_seconds", "url_secret"),
    "Models": ("models", "endpoint", "codec", "price_per_second", "completions", "aws_region"),
    "Jobs and workers": (
        "concurrency",
        "max_queued",
        "max_attempts",
        "job_timeout",
        "patience",
        "lease",
        "retention",
        "embed_parameters",
    ),
    "Who may ask": (
        "auth",
        "open_to_all",
        "jwt_issuer",
        "jwt_audience",
        "jwt_audience_claim",
        "jwt_jwks_url",
        "jwt_caller_claim",
        "jwt_limits_claim",
    ),
    "Limits of a caller": (
        "requests_per_minute",
        "jobs_per_minute",
        "jobs_in_flight",
        "pixels_per_day",
        "sockets_per_caller",
        "streams_per_caller",
        "dollars_per_month",
    ),
    "What the server answers": (
        "allowed_hosts",
        "allowed_origins",
        "trusted_proxies",
        "studio",
        "explorer",
        "documents",
        "documents_only",
        "rest_wait",
    ),
    "Connections": (
        "max_sockets_per_address",
        "max_messages_per_second",
        "max_operations_per_socket",
        "keep_alive",
        "drain_delay",
        "drain",
    ),
    "Webhooks": ("webhook_secret", "webhook_networks"),
    "Logs, metrics, traces": ("log_level", "log_format", "metrics", "traces"),
}

_HEAD = """# Settings

Each setting is an environment variable, read once at the start; all have defaults. Times are in seconds. A
value that does not fit stops the start, and is told with the variable's name. This page is made from the program.
"""


def settings_page(fields: Mapping[str, FieldInfo] = Settings.model_fields) -> str:
    """The page, as Markdown. Raises ValueError where a field is in no group of GROUPS, or a group names no field."""
    grouped = {name for names in GROUPS.values() for name in names}
    if astray := grouped.symmetric_difference(fields):
        raise ValueError(f"In GROUPS or in Settings, but not in both: {', '.join(sorted(astray))}")
    lines = [_HEAD]
    for group, names in GROUPS.items():
        lines += [f"## {group}", ""]
        for name in names:
            lines += _setting(name, fields[name])
    return "\n".join(lines)


def default_of(field: FieldInfo) -> str:
    """The default as one would write it into the environment; empty where there is none."""
    value = field.default
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value)


def kind_of(field: FieldInfo) -> str:
    """Type and range in words, such as `whole number, from 2 to 1,000`."""
    if get_origin(field.annotation) is Literal:
        return "one of " + ", ".join(f"`{each}`" for each in get_args(field.annotation))
    return ", ".join(filter(None, (_NAMES[field.annotation], _range(field.metadata))))


_NAMES: Mapping[Any, str] = {
    bool: "`true` or `false`",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    SecretStr: "secret text",
    tuple[str, ...]: "list, separated by commas",
}


def _range(metadata: list[Any]) -> str:
    lowest, highest = "", ""
    for bound in metadata:
        match bound:
            case Ge(ge=value):
                lowest = f"from {value:,}"
            case Gt(gt=value):
                lowest = f"above {value:,}"
            case Le(le=value):
                highest = f"to {value:,}"
            case Lt(lt=value):
                highest = f"below {value:,}"
            case _:
                # Neither a bound nor text: how the value is read.
                continue
    return " ".join(filter(None, (f"{lowest} on" if lowest.startswith("from") and not highest else lowest, highest)))


def _setting(name: str, field: FieldInfo) -> list[str]:
    default = default_of(field)
    variable = PREFIX + name.upper()
    facts = [kind_of(field), f"default `{default}`" if default else "default: empty"]
    if others := [each for each in _aliases(field) if each != variable]:
        facts.append("also read from " + ", then ".join(f"`{each}`" for each in others))
    return [
        f"### `{variable}` {{ #{name.upper()} }}",
        "",
        f"*{'; '.join(facts)}*{{ .facts }}",
        "",
        _linked(prose(field.description or "")),
        "",
    ]


def _aliases(field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    return [each for each in alias.choices if isinstance(each, str)] if isinstance(alias, AliasChoices) else []


def _linked(text: str) -> str:
    """Settings that a description names by their last part become links to them."""
    return re.sub(
        r"`([A-Z_]+)`",
        lambda found: f"[{found[0]}](#{found[1]})" if found[1].lower() in Settings.model_fields else found[0],
        text,
    )
