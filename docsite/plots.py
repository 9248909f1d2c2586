"""Plots of the benchmarks, drawn from the tables of docs/benchmarks.md.

A plot is SVG within the page and takes its colours from the page's style sheet. Bars are as long as a part of the
figure's width, and text has one size, so that it can be read on a phone too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Literal

Better = Literal["more", "less"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What to draw of the first table of a section: of `rows`, label -> which direction is better.

    Each row is a panel with a scale of its own and a bar for each column; with `together`, all rows are bars of one
    panel, on one scale, and only the first column counts.
    """

    section: str
    rows: Mapping[str, Better]
    together: str = ""


PLOTS = (
    Plot(
        section="How many durable `generateImage` mutations a second does one process acknowledge?",
        rows={"acknowledgements a second": "more", "p99, ms": "less", "CPU for each, ms": "less"},
    ),
    Plot(
        section="What does one event for one subscriber cost?",
        rows={"CPU for each, µs": "less", "events a second": "more"},
    ),
    Plot(section="How long does an event take to a subscriber?", rows={"p50, ms": "less", "p99, ms": "less"}),
    Plot(section="What does an idle subscription cost?", rows={"kB each": "less", "all open after, s": "less"}),
    Plot(section="How long until the first answer?", rows={"seconds": "less"}),
    Plot(
        section="How long does the built-in renderer draw?",
        rows={
            "a sunset over the ocean": "less",
            "a city at night in the rain, neon": "less",
            "portrait of an old sailor, pencil sketch": "less",
            "snowy mountains under the aurora": "less",
            "a garden of wild flowers, oil painting": "less",
            "autumn path": "less",
            "words that it does not know": "less",
        },
        together="ms a picture",
    ),
    Plot(section="What does the job store cost?", rows={"durable adds a second": "more", "CPU for each, µs": "less"}),
    Plot(
        section="How fast does an RGB answer become a JPEG?",
        rows={"ms an answer": "less", "loop lag p99 while 4 decode at once, ms": "less"},
    ),
    Plot(
        section="How many mutations a second does one process acknowledge on PostgreSQL?",
        rows={"a second": "more", "p50, ms": "less", "p99, ms": "less"},
    ),
    Plot(
        section="How fast are claims, and do they slow down with the queue?",
        rows={"one claim with 1,000 queued, p50, ms": "less", "with 10,000": "less", "with 100,000": "less"},
        together="ms for one claim of the product, p50",
    ),
    Plot(
        section="How long does a page of a caller's jobs take among a million?",
        rows={
            "first page of 20, round trip": "less",
            "a page in the middle": "less",
            "search, a rare word": "less",
            "search, a word in one of eight prompts": "less",
        },
    ),
    Plot(section="What does it cost to know who asks, and how much?", rows={"a second": "more", "p99, ms": "less"}),
    Plot(
        section="What does an honest caller notice of a hostile one?",
        rows={"mutation, p99": "less", "from a mutation to its image, p99": "less"},
    ),
)


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of a table with the lowest and the highest of its rounds, and how the table writes it."""

    value: float
    lowest: float
    highest: float
    text: str


def with_plots(page: str, plots: tuple[Plot, ...] = PLOTS) -> str:
    """The page with a plot in front of the table of each section that `plots` names.

    Raises ValueError where a section, a table or a row is not there, or a cell to draw holds no figure.
    """
    for plot in plots:
        start = page.find(f"\n## {plot.section}\n")
        table = (
            re.compile(r"^\|.*\|\n\| ---.*\n(?:\|.*\|\n)+", re.MULTILINE).search(page, start) if start >= 0 else None
        )
        if table is None or "\n## " in page[start + 1 : table.start()]:
            raise ValueError(f"No section with a table: {plot.section}")
        page = f"{page[: table.start()]}{draw(plot, table[0])}\n\n{page[table.start() :]}"
    return page


def draw(plot: Plot, table: str) -> str:
    """The figure as HTML, from the Markdown of a table. Raises ValueError as `with_plots` does."""
    panels = list(_panels(plot, *_read(table)))
    return f'<figure class="plot">{"".join(_panel(*panel) for panel in panels)}</figure>'


# --- the table -------------------------------------------------------------------------------------------------------


def _read(table: str) -> tuple[list[str], dict[str, list[str]]]:
    lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.strip().splitlines()]
    return lines[0][1:], {cells[0]: cells[1:] for cells in lines[2:]}


_NUMBER = r"[\d,]*\.?\d+"
_MEASURE = re.compile(rf"(?P<value>{_NUMBER})(?: \((?P<lowest>{_NUMBER}) to (?P<highest>{_NUMBER})\))?")


def _measure(cell: str) -> Measure:
    found = _MEASURE.fullmatch(cell)
    if found is None:
        raise ValueError(f"Not a figure: {cell!r}")
    value, lowest, highest = (float((found[each] or found["value"]).replace(",", "")) for each in _MEASURE.groupindex)
    return Measure(value, lowest, highest, cell)


Panel = tuple[str, Better, dict[str, Measure]]


def _panels(plot: Plot, columns: list[str], rows: dict[str, list[str]]) -> Iterator[Panel]:
    if absent := plot.rows.keys() - rows.keys():
        raise ValueError(f"No such rows in {plot.section!r}: {', '.join(sorted(absent))}")
    if plot.together:
        better = next(iter(plot.rows.values()))
        yield plot.together, better, {label: _measure(rows[label][0]) for label in plot.rows}
        return
    for label, better in plot.rows.items():
        # A column without a name holds ratios of the others.
        yield label, better, {head: _measure(cell) for head, cell in zip(columns, rows[label], strict=True) if head}


# --- the drawing: lengths in px, but for bars, which are a part of the width -----------------------------------------

_COMPARED_WITH = ("baseline", "by hand")
_LABEL, _BAR, _GAP = 18, 10, 8


def _panel(title: str, better: Better, bars: dict[str, Measure]) -> str:
    longest = max(each.highest for each in bars.values())
    drawn, top = [], 0
    for label, measure in bars.items():
        drawn.append(_bar(label, measure, longest, top))
        top += _LABEL + _BAR + _GAP
    spoken = f"{title}: " + "; ".join(f"{label} {each.text}" for label, each in bars.items())
    return (
        f'<p class="title"><b>{escape(title)}</b> {better} is better</p>'
        f'<svg role="img" width="100%" height="{top}" aria-label="{escape(spoken)}">{"".join(drawn)}</svg>'
    )


def _bar(label: str, measure: Measure, longest: float, top: int) -> str:
    def part(value: float) -> str:
        return f"{100 * value / longest:.2f}%"

    role = "baseline" if label.startswith(_COMPARED_WITH) else "product"
    bar, middle = top + _LABEL, top + _LABEL + _BAR / 2
    return (
        f'<text x="0" y="{top + 13}">{escape(label)}'
        f'<tspan class="figure" dx="8">{escape(measure.text)}</tspan></text>'
        f'<rect class="{role}" x="0" y="{bar}" width="{part(measure.value)}" height="{_BAR}" rx="2"/>'
        f'<line x1="{part(measure.lowest)}" x2="{part(measure.highest)}" y1="{middle}" y2="{middle}"/>'
    )
