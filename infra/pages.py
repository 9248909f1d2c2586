"""Tables of the documentation that are made from code: `python -m infra.pages` writes them between their markers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pydantic_core import PydanticUndefined

from infra.config import ENVIRONMENTS, PREFIX, SKETCH, Config, read_config
from infra.costs import (
    ASSUMPTIONS,
    WORKLOADS,
    EndpointKind,
    break_even_gigabytes,
    break_even_tasks,
    components,
    egress,
    endpoint,
    interface_count,
    most_images,
)
from infra.prices import MUST_BE_CHECKED, PRICES, REGION

DOCS = Path(__file__).parents[1] / "docs"

_BLOCK = re.compile(r"(<!-- table: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


class UnknownTable(Exception):
    """A page has a marker for a table that nobody makes."""


def with_tables(page: str) -> str:
    """The page with its tables made anew. Raises UnknownTable."""

    def replace(match: re.Match[str]) -> str:
        make = TABLES.get(match[2])
        if make is None:
            raise UnknownTable(match[2])
        return f"{match[1]}{make()}{match[4]}"

    return _BLOCK.sub(replace, page)


def table_names(page: str) -> list[str]:
    """The tables that a page has markers for."""
    return [match[2] for match in _BLOCK.finditer(page)]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = False) -> str:
    rules = ["---", *["---:" if numbers else "---"] * (len(heads) - 1)]
    lines = [heads, rules, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _config(environment: str, **values: str) -> Config:
    given = {"ENVIRONMENT": environment, "REGION": REGION, "MODEL": SKETCH, **values}
    return read_config({f"{PREFIX}{name}": value for name, value in given.items()})


def _money(value: float) -> str:
    return f"{value:,.2f}"


def _prices() -> str:
    def number(value: float) -> str:
        return f"{value:.6f}".rstrip("0").rstrip(".") if value < 0.01 else f"{value:.5f}".rstrip("0").rstrip(".")

    def source(text: str) -> str:
        url, _, note = text.partition(" ")
        return f"<{url}> {note}".rstrip() if url.startswith("https:") else text

    rows = (
        (
            price.what,
            number(price.dollars),
            price.unit,
            f"{source(price.source)}, {price.dated}" if price.checked else f"**{MUST_BE_CHECKED}**: {price.source}",
        )
        for price in PRICES.values()
    )
    return _table(("what", "US dollars", "for a", "read in, and its date"), rows)


def _assumptions() -> str:
    rows = ((each.what, f"{each.value:g} {each.unit}".strip(), each.basis) for each in ASSUMPTIONS.values())
    return _table(("assumed", "", "why"), rows)


_ENDPOINTS: Sequence[tuple[EndpointKind, str]] = (
    ("realtime", "real-time, always on"),
    ("async", "asynchronous, from zero"),
)


def _month(environment: str) -> str:
    config = _config(environment)
    months = [components(config, workload) for workload in WORKLOADS]
    rows = [[part, *(_money(month[part]) for month in months)] for part in months[0]]
    sums = [sum(month.values()) for month in months]
    rows.append(["**without an endpoint**, or with `sketch`", *(f"**{_money(value)}**" for value in sums)])
    for kind, name in _ENDPOINTS:
        costs = [endpoint(config, kind, workload) for workload in WORKLOADS]
        rows.append([f"one {config.instance_type}, {name}", *map(_money, costs)])
        both = [f"**{_money(rest + cost)}**" for rest, cost in zip(sums, costs, strict=True)]
        rows.append([f"**with it**: {name}", *both])
    heads = ["US dollars a month", *("idle" if not each.images else f"{each.images:,} images" for each in WORKLOADS)]
    return _table(heads, rows, numbers=True)


def _each_image() -> str:
    rows = []
    for environment in ENVIRONMENTS:
        config = _config(environment)
        for kind, name in _ENDPOINTS:
            cells = [environment, name]
            for workload in WORKLOADS[1:]:
                month = sum(components(config, workload).values()) + endpoint(config, kind, workload)
                cells.append(f"{month / workload.images:.4f}")
            rows.append(cells)
    heads = ["US dollars an image", "endpoint", *(f"{each.images:,} a month" for each in WORKLOADS[1:])]
    return _table(heads, rows, numbers=True)


def _ways_out() -> str:
    rows = []
    for tasks in (2, 4, 10, 20, 40):
        split = {"API_TASKS_MIN": f"{tasks // 2}", "WORKER_TASKS_MIN": f"{tasks // 2}"}
        split |= {"API_TASKS_MAX": "100", "WORKER_TASKS_MAX": "100"}
        for gigabytes in (10, 1_000):
            ways = (
                _config("small", EGRESS="public", **split),
                _config("small", EGRESS="nat", **split),
                _config("standard", EGRESS="nat", **split),
                _config("small", EGRESS="endpoints", **split),
            )
            costs = [egress(way, gigabytes) for way in ways]
            least = min(costs)
            cells = [f"**{_money(cost)}**" if cost == least else _money(cost) for cost in costs]
            rows.append([f"{tasks} tasks, {gigabytes:,} GB", *cells])
    heads = ("US dollars a month", "`public`", "`nat`, small: one", "`nat`, standard: one a zone", "`endpoints`")
    return _table(heads, rows, numbers=True)


def _break_even() -> str:
    small, standard = _config("small", EGRESS="nat"), _config("standard", EGRESS="nat")
    endpoints = _config("standard", EGRESS="endpoints")
    asynchronous = _config(
        "standard",
        EGRESS="endpoints",
        MODEL="",
        ENDPOINT_NAME="sd",
        ENDPOINT_KIND="async",
        COMPLETIONS_TOPIC_ARN="arn:aws:sns:us-east-1:111111111111:sd",
    )
    rows = (
        ("`public` costs less than one NAT gateway", f"below {break_even_tasks(small):.0f} tasks"),
        (
            "`public` costs less than a NAT gateway in each of two zones",
            f"below {break_even_tasks(standard):.0f} tasks",
        ),
        (
            f"`endpoints` ({interface_count(endpoints)} in two zones) costs less than two NAT gateways",
            f"above {break_even_gigabytes(standard, endpoints):,.0f} GB a month",
        ),
        (
            f"the same with an asynchronous endpoint ({interface_count(asynchronous)})",
            f"above {break_even_gigabytes(standard, asynchronous):,.0f} GB a month",
        ),
        ("one instance never rests, so that scaling to zero saves nothing", f"{most_images():,.0f} images a month"),
    )
    return _table(("", "where it turns"), rows)


def _variables() -> str:
    rows = []
    for name, field in Config.model_fields.items():
        default = "" if field.default in ("", PydanticUndefined) else _value(field.default)
        chosen = [
            f"{environment}: {_value(values[name])}" for environment, values in ENVIRONMENTS.items() if name in values
        ]
        rows.append((f"`{PREFIX}{name.upper()}`", "; ".join(chosen) or default, field.description or ""))
    return _table(("variable", "unless set", "what"), rows)


def _value(value: object) -> str:
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


TABLES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "prices": _prices,
        "assumptions": _assumptions,
        "month-small": lambda: _month("small"),
        "month-standard": lambda: _month("standard"),
        "each-image": _each_image,
        "ways-out": _ways_out,
        "break-even": _break_even,
        "variables": _variables,
    }
)


def write(folder: Path) -> None:
    """Write the tables of every page in a folder that has some, and say which pages have changed."""
    for path in sorted(folder.glob("*.md")):
        old = path.read_text("utf-8")
        new = with_tables(old)
        if new != old:
            path.write_text(new, "utf-8")
            print(f"{path.name}: written")


if __name__ == "__main__":
    write(DOCS)
