"""What people see while jobs run: bars, and above them the unfinished picture. Only where there is a terminal."""

from __future__ import annotations

import os
import sys
from types import TracebackType

from rich.console import Console
from rich.control import Control
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.segment import ControlType, Segment
from rich.text import Text

from graphql_api.commands.client.painting import Area, open_picture, painter_for
from graphql_api.commands.client.text import printable, short_id
from graphql_api.commands.client.views import JobView


class Screen:
    """Bars on standard error; nothing at all where that is no terminal."""

    def __init__(self, *, previews: bool = False, names_jobs: bool = False, is_quiet: bool = False) -> None:
        """Pictures are drawn with `previews`, and only where standard output is a terminal too. `names_jobs` shows
        which bar is whose. `is_quiet` shows nothing."""
        self._console = Console(stderr=True)
        self._is_live = self._console.is_terminal and not self._console.is_dumb_terminal and not is_quiet
        self._names_jobs = names_jobs
        self._bars: dict[str, TaskID] = {}
        self._area: Area | None = None
        has_true_color = self._console.color_system == "truecolor"
        wants_pictures = previews and self._is_live and sys.stdout.isatty()
        self._painter = painter_for(os.environ, has_true_color=has_true_color) if wants_pictures else None
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[name]}{task.description:<10}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=self._console,
            # What is piped elsewhere must not come by here.
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Screen:
        if self._is_live:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_live:
            self._progress.stop()

    @property
    def wants_pictures(self) -> bool:
        """Whether this terminal shows pictures."""
        return self._painter is not None

    def show(self, job: JobView) -> None:
        """Move the bar of a job."""
        if not self._is_live:
            return
        if job.id not in self._bars:
            name = f"{short_id(job.id)}  " if self._names_jobs else ""
            self._bars[job.id] = self._progress.add_task("", total=1.0, name=name, detail="")
        self._progress.update(
            self._bars[job.id], completed=job.fraction, description=phase_of(job), detail=detail_of(job)
        )

    def drop(self, job_id: str) -> None:
        """Take the bar of a job away."""
        bar = self._bars.pop(job_id, None)
        if bar is not None:
            self._progress.remove_task(bar)

    def say(self, line: str) -> None:
        """Print a line on standard output, above the bars where both are on the same terminal."""
        if self._is_live and sys.stdout.isatty():
            self._print(line)
        else:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    def warn(self, line: str) -> None:
        """Print a line on standard error."""
        self._print(line)

    def tell_of_loss(self, seconds: float) -> None:
        """Say that a connection was lost, and when there will be another."""
        self.warn(f"The connection is lost; trying again in {seconds:.1f} s.")

    def paint(self, body: bytes) -> None:
        """Show a picture above the one bar, in the place of the last one."""
        picture = open_picture(body)
        if self._painter is None or picture is None:
            return
        if self._area is None:
            size = self._console.size
            self._area = Area.for_picture(*picture.size, columns=size.width, rows=size.height)
            if self._area is None:
                self._painter = None
                return
            # These lines stay between what was there and the bar, which is drawn again below them.
            self._console.print("\n" * (self._area.rows - 1))
        painted = self._painter.paint(picture, self._area)
        self._write(f"\x1b7\r\x1b[{self._area.rows}A{painted}\x1b8")

    def _print(self, line: str) -> None:
        # It comes between the picture and the bar, so that the next picture needs a place of its own.
        self._area = None
        self._console.print(Text(line), soft_wrap=True)

    def _write(self, text: str) -> None:
        """Write as it is, in one piece: the bar is drawn by another thread."""
        control = Control()
        control.segment = Segment(text, None, [(ControlType.CARRIAGE_RETURN,)])
        self._console.control(control)


def phase_of(job: JobView) -> str:
    """What happens to a job, in a word or two."""
    if job.is_final:
        return job.status.lower()
    if job.status == "QUEUED":
        return f"queued, {job.queue_position} ahead" if job.queue_position else "queued"
    return printable(job.phase.lower())


def detail_of(job: JobView) -> str:
    """How far a job is: steps, and the seconds that are left."""
    eta = "" if job.eta_seconds is None or job.is_final else f"  {job.eta_seconds:.1f} s left"
    return f"{job.step}/{job.total_steps}{eta}"
