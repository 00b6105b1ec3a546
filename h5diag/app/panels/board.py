"""Connect to a board and dump it: who holds the probe, live progress, a map that fills as it reads."""

from __future__ import annotations

import asyncio
import atexit
from collections import deque
from contextlib import suppress
from html import escape

import ipywidgets as widgets
import traitlets

from h5diag.app.panels.parts import INK, SHADE, SOFT, Job, JobBar, alert_html, linked, status_html
from h5diag.errors import InputError, ProbeError, TargetError
from h5diag.memory import AddressRange, Cancel, Progress
from h5diag.probe.acquire import Dump, DumpPlan, dump
from h5diag.probe.bench import BenchBoard
from h5diag.probe.board import REASONS, ConnectMode, Identity, Permissions, list_probes

LOOKS = {
    "unread": ("·", "not read yet", "#999999"),
    "read": ("■", "read", "#0072B2"),
    "disputed": ("≠", "reads disagree", "#E69F00"),
    "unreadable": ("✗", "unreadable", "#D55E00"),
}
"""Sign, word and colour of each state of a chunk: nobody has to see the colour."""

LOOK_EVERY_S = 3.0
"""How long a board that was pulled may still look connected."""

_connected_models: dict[str, BoardModel] = {}


class BoardModel(traitlets.HasTraits):  # type: ignore[misc]
    """A board of this notebook. `board`, `who` and `result` hold one value or none.

    Connecting again is harmless: the same probe stays as it is, another panel of this notebook lets it go first.
    """

    probe = traitlets.Unicode("virtual")
    mode = traitlets.Enum([m.value for m in ConnectMode], default_value=ConnectMode.ATTACH.value)
    board = traitlets.Tuple()
    who = traitlets.Tuple()
    result = traitlets.Tuple()
    areas = traitlets.Tuple(help="(start, stop, state) of every chunk of the dump under way or done")

    def __init__(self, **traits: object) -> None:
        super().__init__(**traits)
        self.connecting, self.dumping = Job(), Job()
        self._watching: asyncio.Task[None] | None = None
        self._news: deque[tuple[AddressRange, str]] = deque()
        self.dumping.observe(lambda _: self._take_news(), ["fraction", "running"])
        self.dumping.observe(lambda change: self._link_ended(), "running")

    @property
    def connected(self) -> bool:
        """Whether a board is there and was not closed."""
        return bool(self.board) and not self.board[0].closed

    def connect(self) -> None:
        """Connect, or only look again when this very probe is connected already."""
        name, mode = self.probe.strip() or "auto", ConnectMode(self.mode)
        mine = self.board[0] if self.connected and (self.board[0].name, self.board[0].mode) == (name, mode) else None
        if mine is None:
            self.close()
            other = _connected_models.get(name)
            if other is not None and other is not self:
                other.close()

        def work(progress: Progress, cancel: Cancel) -> tuple[BenchBoard, Identity]:
            board = mine or BenchBoard.connect(name, mode=mode, permissions=Permissions())
            try:
                return board, board.identify()
            except BaseException:
                board.close()
                raise

        self.connecting.start(work, self._connected, doing="connecting")

    def _connected(self, found: tuple[BenchBoard, Identity]) -> None:
        self.board, self.who = (found[0],), (found[1],)
        _connected_models[found[0].name] = self
        if self._watching is not None:
            self._watching.cancel()
        with suppress(RuntimeError):  # in a plain script nobody watches an idle panel
            self._watching = asyncio.get_running_loop().create_task(self._watch(found[0]))

    async def _watch(self, board: BenchBoard) -> None:
        """Ask an idle board now and then whether it is still there: a pulled cable says nothing by itself."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if board.closed:
                return
            if self.dumping.running or self.connecting.running:
                continue
            try:
                there = await asyncio.to_thread(board.recover)
            except (ProbeError, TargetError) as error:
                there, why = False, str(error)
            else:
                why = "its core does not say any more who it is: check supply and connector, then connect again"
            if not there and not board.closed:
                self.close()
                self.connecting.problem = f"the board does not answer any more: {why}"
                return

    def _link_ended(self) -> None:
        """Say that nothing is connected any more when the link failed: a dead board looks like a live one."""
        if not self.dumping.running and isinstance(self.dumping.error, ProbeError):
            self.close()

    def close(self) -> None:
        """Let the probe go; the dump under way, if any, is stopped."""
        self.dumping.cancel()
        with suppress(RuntimeError):  # without an event loop nobody watches
            if self._watching is not None and self._watching is not asyncio.current_task():
                self._watching.cancel()
                self._watching = None
        for board in self.board:
            board.close()
            if _connected_models.get(board.name) is self:
                del _connected_models[board.name]
        self.board = self.who = ()

    def dump(self, plan: DumpPlan, path: str = "", *, force: bool = False) -> None:
        """Dump from the connected board, into a file when `path` names one."""
        if not self.connected:
            raise ProbeError("no board is connected", advice="press Connect first")
        board = self.board[0]
        self._news.clear()
        self.result = ()
        self.areas = tuple((c.start, c.stop, "unread") for c in plan.chunks)

        def work(progress: Progress, cancel: Cancel) -> Dump:
            return dump(
                board,
                plan,
                path=path,
                force=force,
                progress=progress,
                cancel=cancel,
                watch=lambda where, state: self._news.append((where, state)),
            )

        self.dumping.start(
            work, lambda done: self.set_trait("result", (done,)), doing="reading", amount=lambda: board.moved
        )

    def _take_news(self) -> None:
        """Bring what the reading thread told into the trait, on the event loop."""
        if not self._news:
            return
        states = {(start, stop): state for start, stop, state in self.areas}
        while self._news:
            where, state = self._news.popleft()
            for start, stop in states:
                if where.overlaps(AddressRange(start, stop)):
                    worse = {states[start, stop], state}
                    states[start, stop] = next(s for s in ("unreadable", "disputed", "read") if s in worse)
        self.areas = tuple((*where, state) for where, state in states.items())


def _let_go() -> None:
    for model in list(_connected_models.values()):
        model.close()


atexit.register(_let_go)


def areas_html(areas: tuple[tuple[int, int, str], ...]) -> str:
    """Return the map: a sign per chunk, with address and state as its title, and a legend."""
    if not areas:
        return ""
    cells = "".join(
        f"<span title='{AddressRange(a, b)} {LOOKS[s][1]}' style='color:{LOOKS[s][2]}'>{LOOKS[s][0]}</span>"
        for a, b, s in areas
    )
    legend = ", ".join(f"{sign} {word}" for sign, word, _ in LOOKS.values())
    counts = ", ".join(f"{sum(1 for a in areas if a[2] == s)} {word}" for s, (_, word, _) in LOOKS.items())
    return (
        f"<div role='img' aria-label='{escape(counts)}' style='font:16px/1.1 monospace;word-break:break-all;"
        f"max-width:70ch;background:{SHADE};padding:4px'>{cells}</div><div style='color:{SOFT}'>{legend}</div>"
    )


class BoardPanel(widgets.VBox):  # type: ignore[misc]
    """Connect, identify and dump. Thin over a `BoardModel`.

    Parameters
    ----------
    probe
        Name of the probe to begin with.
    path
        File that a dump goes to; empty keeps it in memory.
    plan
        What to dump.
    """

    def __init__(self, probe: str = "virtual", *, plan: DumpPlan, path: str = "") -> None:
        self.model, self.plan = BoardModel(probe=probe), plan
        wide = widgets.Layout(width="48em")
        self.probe = widgets.Combobox(
            value=probe, options=[probe, "auto", "virtual"], description="probe", ensure_option=False, layout=wide
        )
        self.mode = widgets.Dropdown(
            options=[m.value for m in ConnectMode], value=self.model.mode, description="connect"
        )
        self.reason = widgets.HTML()
        self.path = widgets.Text(value=path, description="file", layout=wide, placeholder="empty: only in memory")
        self.force = widgets.Checkbox(
            value=False,
            description="replace an older dump of this chip",
            indent=False,
            layout=widgets.Layout(width="auto"),
        )
        self.connect_bar = JobBar(self.model.connecting, "Connect")
        self.release = widgets.Button(description="Let go", tooltip="Close the probe, so that others can use it")
        self.dump_bar = JobBar(self.model.dumping, "Dump")
        self.board, self.map, self.result = widgets.HTML(), widgets.HTML(), widgets.HTML()
        super().__init__(
            [
                widgets.HBox([self.probe, self.mode]),
                self.reason,
                widgets.HBox([self.connect_bar, self.release]),
                self.board,
                widgets.HBox([self.path, self.force]),
                self.dump_bar,
                self.map,
                self.result,
            ]
        )
        linked(self.model, "probe", self.probe)
        linked(self.model, "mode", self.mode)
        self.connect_bar.run.on_click(lambda _: self.model.connect())
        self.release.on_click(lambda _: self.model.close())
        self.dump_bar.run.on_click(lambda _: self._dump())
        self.model.observe(lambda _: self._show(), ["board", "who", "areas", "result", "mode"])
        self._find_probes()
        self._show()

    def _find_probes(self) -> None:
        try:
            found = [p.unique_id for p in list_probes()]
        except ProbeError:
            found = []
        self.probe.options = list(dict.fromkeys([self.probe.value, *found, "auto", "virtual"]))

    def _dump(self) -> None:
        try:
            self.model.dump(self.plan, self.path.value.strip(), force=self.force.value)
        except (ProbeError, InputError) as error:
            self.dump_bar.alert.value = alert_html(str(error))

    def _show(self) -> None:
        model = self.model
        self.reason.value = status_html(f"{model.mode}: {dict(REASONS)[ConnectMode(model.mode)]}")
        self.board.value = (
            status_html(f"Connected, held by this notebook through {model.board[0].probe_id}.")
            + model.who[0]._repr_html_()
            if model.connected and model.who
            else f"<div style='color:{INK}'>not connected: nobody of this notebook holds a probe</div>"
        )
        self.release.disabled = not model.connected
        self.map.value = areas_html(model.areas)
        self.result.value = model.result[0]._repr_html_() if model.result else ""
