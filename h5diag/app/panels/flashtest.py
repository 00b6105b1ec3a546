"""The flash test in a notebook: the danger in plain words, and a start that takes three deliberate acts."""

from __future__ import annotations

from html import escape

import ipywidgets as widgets
import traitlets

from h5diag.app.panels.parts import Job, JobBar, alert_html, linked, status_html
from h5diag.chip import load_chip
from h5diag.errors import InputError
from h5diag.memory import Cancel, Progress
from h5diag.probe.board import Board, ConnectMode, Permissions, connect
from h5diag.probe.flashtest import (
    CANNOT,
    LOST,
    FlashTest,
    Folder,
    Restored,
    TestPlan,
    flash_test,
    rated_cycles,
    restore,
)
from h5diag.text import count_text

_BOX = "border:3px solid #D55E00;padding:8px 12px;background:#fff;color:#1a1a1a;line-height:1.4"


class FlashTestModel(traitlets.HasTraits):  # type: ignore[misc]
    """A test that is planned, allowed or done. `result` and `restored` hold one value or none.

    It is armed only while `understood` is true and `typed` is the range of the plan, as `phrase` writes it; both are
    cleared when it starts.
    """

    understood = traitlets.Bool(False)
    typed = traitlets.Unicode("")
    result = traitlets.Tuple()
    restored = traitlets.Tuple()

    def __init__(self, probe: str, plan: TestPlan, folder: str, **traits: object) -> None:
        super().__init__(**traits)
        self.probe, self.plan, self.folder = probe, plan, folder
        self.job = Job()

    @property
    def phrase(self) -> str:
        """What has to be typed."""
        return f"0x{self.plan.range.start:08X}:0x{self.plan.range.stop:08X}"

    @property
    def armed(self) -> bool:
        """Whether both acts of consent were made."""
        return self.understood and self.typed.strip().lower() == self.phrase.lower() and not self.job.running

    def start(self) -> None:
        """Run the test when it is armed; otherwise nothing is touched.

        Raises
        ------
        InputError
            When it is not armed.
        """
        if not self.armed:
            raise InputError("the flash test is not armed", advice=f"tick the box and type {self.phrase}")
        self.understood, self.typed, self.result = False, "", ()

        boards = list[Board]()

        def work(progress: Progress, cancel: Cancel) -> FlashTest:
            allowed = Permissions(erase=(self.plan.range,), halt=True, ram=True)
            with connect(
                self.probe, mode=ConnectMode.HALT, frequency_hz=self.plan.speeds_hz[0], permissions=allowed
            ) as board:
                boards.append(board)
                return flash_test(board, self.plan, self.folder, tell=self.job.say, progress=progress, cancel=cancel)

        self.job.start(
            work,
            lambda done: self.set_trait("result", (done,)),
            doing="testing the flash",
            amount=lambda: sum(b.moved for b in boards),
        )

    def put_back(self) -> None:
        """Put back what an interrupted test left in the folder; its journal is the permission for its own range."""
        boards = list[Board]()

        def work(progress: Progress, cancel: Cancel) -> Restored:
            folder = Folder(self.folder)
            if not folder.begun:
                return Restored()
            allowed = Permissions(erase=(folder.manifest().range,), halt=True, ram=True)
            with connect(self.probe, mode=ConnectMode.HALT, permissions=allowed) as board:
                boards.append(board)
                return restore(board, self.folder, progress=progress)

        self.job.start(
            work,
            lambda done: self.set_trait("restored", (done,)),
            doing="putting the contents back",
            amount=lambda: sum(b.moved for b in boards),
        )


class FlashTestPanel(widgets.VBox):  # type: ignore[misc]
    """The panel over a `FlashTestModel`.

    Parameters
    ----------
    probe
        Name of the probe.
    plan
        What to test.
    folder
        Private folder for the backup.
    """

    def __init__(self, probe: str, plan: TestPlan, folder: str) -> None:
        self.model = FlashTestModel(probe, plan, folder)
        self.danger = widgets.HTML(danger_html(self.model))
        self.understood = widgets.Checkbox(
            value=False,
            indent=False,
            layout=widgets.Layout(width="48em"),
            description="I understand that this erases the flash of the board",
        )
        self.typed = widgets.Text(
            description="range", placeholder=f"type {self.model.phrase}", layout=widgets.Layout(width="30em")
        )
        self.bar = JobBar(self.model.job, "Erase and test")
        self.bar.run.button_style = "danger"
        self.back = widgets.Button(
            description="Put contents back",
            tooltip="After an interrupted test",
            layout=widgets.Layout(width="max-content"),
        )
        self.out = widgets.HTML()
        super().__init__([self.danger, self.understood, self.typed, self.bar, self.back, self.out])
        linked(self.model, "understood", self.understood)
        linked(self.model, "typed", self.typed)
        self.bar.run.on_click(lambda _: self._start())
        self.back.on_click(lambda _: self.model.put_back())
        self.model.observe(lambda _: self._show(), ["understood", "typed", "result", "restored"])
        self.model.job.observe(lambda _: self._arm())  # after the bar, which enables its button by itself
        self._show()

    def _start(self) -> None:
        try:
            self.model.start()
        except InputError as error:
            self.bar.alert.value = alert_html(str(error))

    def _arm(self) -> None:
        self.bar.run.disabled = not self.model.armed
        self.back.disabled = self.model.job.running

    def _show(self) -> None:
        model = self.model
        self._arm()
        parts = [result_html(r) for r in model.result]
        parts += [
            status_html(
                f"{count_text(r.sectors, 'sector')} compared, {len(r.written)} written again"
                if r.ok
                else f"{count_text(len(r.failed), 'sector')} do not take their contents back"
            )
            for r in model.restored
        ]
        self.out.value = "".join(parts)


def danger_html(model: FlashTestModel) -> str:
    """Return the danger, the wear and the limits of a plan in plain words."""
    chip, plan = load_chip(), model.plan
    lines = [
        f"takes about {plan.minutes(chip):.1f} minutes and {count_text(plan.erase_cycles, 'erase cycle')} of each sector (usual "
        f"rating {rated_cycles(chip)[0]})",
        *LOST,
        f"the backup in {model.folder} is decrypted firmware: keep it private",
    ]
    items = "".join(f"<li>{escape(t)}</li>" for t in lines)
    limits = "".join(f"<li>{escape(t)}</li>" for t in CANNOT)
    return (
        f"<div role='region' aria-label='danger' style='{_BOX}'><b>⚠ This erases {escape(str(plan.range))} on "
        f"{escape(model.probe)}.</b><ul>{items}</ul>Not tested:<ul>{limits}</ul>To start, tick the box, type "
        f"<code>{model.phrase}</code>, and press the button.</div>"
    )


def result_html(result: FlashTest) -> str:
    """Return a result as text and its two plots."""
    bits = [result.plot(kind="bits")] if result.faults else []
    return result._repr_html_() + "".join(str(p._repr_html_()) for p in (result.plot(), *bits))
