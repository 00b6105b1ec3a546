"""The page without a kernel, and the ten bugs that must not get through."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from h5diag.app.panels import Investigation, evidence, investigation, parts, parts as work, results as hexview
from h5diag.case import load_case
from h5diag.errors import Cancelled
from h5diag.evidence.samples import data_folder
from h5diag.judge import diagnose
from h5diag.show import sheet
from tests.app.panels import checks

Patch = pytest.MonkeyPatch


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda c: c.__name__)
def test_the_page(check: Callable[[Path], object], tmp_path: Path) -> None:
    asyncio.run(check(tmp_path))


def wrong_score(patch: Patch) -> None:
    real = investigation.weighing_table

    def wrong(board):
        first, *rest = real(board).rows
        return replace(real(board), rows=((*first[:2], first[2].replace("+", "-"), *first[3:]), *rest))

    patch.setattr(investigation, "weighing_table", wrong)


def handler_raises(patch: Patch) -> None:
    def run(self: object) -> None:
        raise ValueError("broken")

    patch.setattr(investigation.InvestigationModel, "run", run)


def error_box_hidden(patch: Patch) -> None:
    real = parts.JobBar._show

    def show(self: parts.JobBar) -> None:
        real(self)
        self.alert.layout.display = "none"

    patch.setattr(parts.JobBar, "_show", show)


def event_loop_blocked(patch: Patch) -> None:
    async def at_once(function, *arguments):
        return function(*arguments)

    patch.setattr(work.asyncio, "to_thread", at_once)


def observer_raises(patch: Patch) -> None:
    real = investigation.Investigation._show

    def show(self: Investigation) -> None:
        if self.model.result:
            raise KeyError("broken")
        real(self)

    patch.setattr(investigation.Investigation, "_show", show)


def cancel_ignored(patch: Patch) -> None:
    patch.setattr(work.Job, "cancel", lambda self: None)


def stale_after_reload(patch: Patch) -> None:
    patch.setattr(investigation.InvestigationModel, "_changed", lambda self: None)


def late_result_shown(patch: Patch) -> None:
    def forget(self: work.Job) -> None:
        self._stop.set()
        self.running = False

    patch.setattr(work.Job, "forget", forget)
    patch.setattr(work.Job, "cancel", lambda self: None)
    patch.setattr(investigation, "diagnose", lambda case, *, progress, cancel: diagnose(case))


def wrong_slot_label(patch: Patch) -> None:
    real = investigation.slots_table

    def swapped(m):
        rows = tuple((r[0].replace("secondary", "?").replace("primary", "secondary"), *r[1:]) for r in real(m).rows)
        return replace(real(m), rows=rows)

    patch.setattr(investigation, "slots_table", swapped)


def unescaped_text(patch: Patch) -> None:
    for module in (parts, sheet):
        patch.setattr(module, "escape", lambda text, quote=True: str(text))


def wrong_jump(patch: Patch) -> None:
    real = hexview.HexView.jump
    patch.setattr(hexview.HexView, "jump", lambda self, address: real(self, address + 0x10))


BUGS = (
    (wrong_score, checks.check_scores),
    (handler_raises, checks.check_answer),
    (error_box_hidden, checks.check_errors),
    (event_loop_blocked, checks.check_loop_is_free),
    (observer_raises, checks.check_answer),
    (cancel_ignored, checks.check_cancel),
    (stale_after_reload, checks.check_nothing_stale),
    (late_result_shown, checks.check_nothing_stale),
    (wrong_slot_label, checks.check_slots),
    (unescaped_text, checks.check_escaped),
    (wrong_jump, checks.check_jump),
)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("bug", "check"), BUGS, ids=lambda x: x.__name__)
def test_a_planted_bug_is_caught(bug, check, monkeypatch: Patch, tmp_path: Path) -> None:
    bug(monkeypatch)
    with pytest.raises((AssertionError, KeyError, ValueError, TimeoutError)):
        asyncio.run(check(tmp_path))


def test_many_boards_can_be_chosen(tmp_path: Path) -> None:
    case = tmp_path / "many"
    case.mkdir()
    names = ["good.hex", "suspect-1.hex"]
    for name in names:
        (case / name).write_bytes((data_folder() / "founding" / name).read_bytes())
    (case / "case.toml").write_text(
        "chip = 'stm32h563zi'\nlayout = 'oemirot-2m-overwrite'\n[good]\nname = 'g'\ndumps = ['good.hex']\n"
        "[[suspects]]\nname = 'first'\ndumps = ['suspect-1.hex']\n[[suspects]]\nname = 'second'\n"
        "dumps = ['good.hex']\n",
        encoding="utf-8",
    )

    async def go() -> None:
        panel = Investigation(str(case))
        await checks.pressed(panel)
        assert [n for n, _ in panel.boards.options] == [b.name for b in diagnose(load_case(case)).boards]
        panel.boards.value = 1
        assert panel.model.board == 1
        assert panel.boards.options[1][0] in panel.verdict.value
        panel.model.evidence.kind = "bundled"
        await checks.pressed(panel)
        assert panel.model.board == 0

    asyncio.run(go())


def test_dropped_files_make_a_case(tmp_path: Path) -> None:
    def uploads(*names: str) -> tuple[evidence.Upload, ...]:
        return tuple(evidence.Upload(n, (data_folder() / "defect" / n).read_bytes()) for n in names)

    async def go() -> None:
        panel = Investigation()
        model = panel.model.evidence
        model.kind = "own"
        await checks.pressed(panel)
        assert "no evidence" in panel.bar.alert.value
        model.good_files = uploads("good.hex")
        model.good_text = (data_folder() / "defect" / "good-ob.txt").read_text("utf-8")
        model.suspect_files = uploads("suspect-1.hex", "suspect-ob.txt", "flashtest.json")
        model.good_access = model.suspect_access = "secure"
        assert panel.evidence.suspect_zone.files[0][0] == "suspect-1.hex"
        await checks.pressed(panel)
        assert panel.model.result, panel.model.job.problem
        measured = panel.model.result[1].first.measured
        assert measured.good.dump.size
        assert measured.good.options.settings
        assert measured.suspect.board.flashtest is not None
        panel.evidence.clear.click()
        assert model.good_files == ()
        assert panel.model.result == ()

    asyncio.run(go())


def test_a_zoom_of_one_plot_moves_the_other(monkeypatch: Patch) -> None:
    monkeypatch.setattr(investigation, "MANY_PIECES", 1)

    async def go() -> None:
        panel = Investigation("founding")
        await checks.pressed(panel)
        map_axes, dots = panel.axes
        map_axes.set_xlim(0x08018000, 0x0801E000)
        assert dots.get_xlim() == (0x0C018000, 0x0C01E000)
        dots.set_xlim(0x0C01D000, 0x0C01F000)
        assert map_axes.get_xlim() == (0x0801D000, 0x0801F000)

    asyncio.run(go())


def test_each_tab_is_filled_when_it_is_opened() -> None:
    async def go() -> None:
        panel = Investigation("founding")
        await checks.pressed(panel)
        assert panel.options.children == ()
        for index in range(len(panel.details.children)):
            panel.details.selected_index = index
        measured = panel.model.current.measured
        assert "differ" in panel.options.children[0].value
        assert "secure secondary" in panel.slot_map.children[0].buttons
        assert panel.slot_map.children[0].model.slots == measured.suspect.slots
        search = panel.locate.children[0]
        assert search.model.result[0] is measured.placement, "what was measured is shown, not searched for again"
        assert "0xA6000" in search.answer.value
        search.bar.run.click()
        await asyncio.wait([search.model.job.task], timeout=checks.PATIENCE_S)
        assert "0xA6000" in search.answer.value
        search.clicked(0xA6000)
        assert panel.hex.address in (0x080BE000, 0x080C3010, 0x080C3FF0, 0x080C5550)
        search.transforms.value = True
        assert search.model.result == ()
        panel.model.evidence.kind = "folder"
        assert panel.options.children == panel.locate.children == panel.slot_map.children == ()

    asyncio.run(go())


def test_the_write_up_is_saved_by_one_button(tmp_path: Path) -> None:
    async def go() -> None:
        panel = Investigation("founding")
        await checks.pressed(panel)
        panel.target.value, panel.redact.value = str(tmp_path / "out.html"), True
        panel.write_bar.run.click()
        await asyncio.wait([panel.writing.task], timeout=checks.PATIENCE_S)
        assert "Removed from this copy" in (tmp_path / "out.html").read_text("utf-8")
        panel.target.value = str(tmp_path / "nowhere" / "out.html")
        panel.write_bar.run.click()
        await asyncio.wait([panel.writing.task], timeout=checks.PATIENCE_S)
        assert "role='alert'" in panel.write_bar.alert.value

    asyncio.run(go())


def test_an_exported_page_has_a_static_picture() -> None:
    async def go() -> None:
        panel = Investigation("founding")
        before = panel._repr_mimebundle_()
        await checks.pressed(panel)
        after = panel._repr_mimebundle_()
        assert "text/html" not in before
        assert "data:image/svg+xml;base64," in after["text/html"]
        assert "<script" not in after["text/html"]

    asyncio.run(go())


def test_names_of_dropped_files_stay_in_their_folder() -> None:
    from h5diag.app.panels.evidence import bare_name

    assert [bare_name(n) for n in ("../../etc/passwd", "C:\\x\\dump.bin", "..", "a\x00b.hex", "x" * 400, "")] == [
        "passwd",
        "dump.bin",
        "file",
        "a_b.hex",
        "x" * 120,
        "file",
    ]


def test_own_files_leave_nothing_behind_and_private_keys_touch_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen: list[bytes] = []
    real = evidence.load_case

    def looked_at(folder: Path) -> object:
        seen.extend(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
        return real(folder)

    monkeypatch.setattr(evidence, "load_case", looked_at)
    data, key = data_folder(), (data_folder() / "keys" / "encrypt-p256.pem").read_bytes()
    plain = bytes(range(256)) * 64
    files = (
        *(evidence.Upload(n, (data / "founding" / n).read_bytes()) for n in ("suspect-1.hex", "suspect-ob.txt")),
        evidence.Upload("my.pem", key),
        evidence.Upload("raw.bin", plain),
        evidence.Upload("notes.xyz", b"\x01\x02 nothing"),
    )
    details = evidence.Details(
        suspect_access="nonsecure",
        suspect_mode="hotplug",
        layout="oemirot-2m-overwrite",
        chip="stm32h563zi",
        marking="STM32H563ZIT6",
        package="1.3.0",
    )
    source = evidence.CaseSource(suspect=evidence.OwnBoard(files, base="0x08100000"), details=details)
    loaded = source.load()
    assert list(tmp_path.iterdir()) == []
    assert seen
    assert not any(b"PRIVATE KEY" in content for content in seen)
    case = loaded.case
    assert [k.data for k in case.decrypt_keys] == [key]
    assert key.splitlines()[1] not in repr(case).encode()
    board = case.suspects[0]
    assert (board.mode, board.access.value, board.marking) == ("hotplug", "nonsecure", "STM32H563ZIT6")
    assert (case.chip, case.package) == ("stm32h563zi", "1.3.0")
    starts = {s.start for d in board.dumps for s in d.image.segments}
    assert 0x08100000 in starts
    assert any(text.startswith("notes.xyz: ") for text in loaded.unused)
    found = diagnose(case)
    assert found.first.measured.suspect.images
    assert found.write_up(tmp_path / "r.html", redact=True).stat().st_size > 10_000


def test_one_file_can_be_taken_out_again() -> None:
    panel = Investigation()
    panel.model.evidence.kind = "own"
    panel.model.evidence.good_files = tuple(evidence.Upload(n, b"1") for n in ("good.hex", "good-ob.txt"))
    zone = panel.evidence.good_zone
    zone._received(zone, {"name": "good.hex", "gone": True}, [])
    assert [name for name, _ in zone.files] == ["good-ob.txt"]


def test_a_stop_says_what_the_library_did_and_what_it_said_meanwhile() -> None:
    async def go() -> None:
        job, begun = work.Job(), asyncio.Event()
        bar = parts.JobBar(job)

        def long(progress: Callable[[float], None], cancel: Callable[[], bool]) -> None:
            job.say("sector 3 erased")
            while not cancel():
                time.sleep(0.01)
            raise Cancelled("eight sectors were erased; the contents are not back")

        job.start(long, lambda _: begun.set())
        await asyncio.sleep(0.05)
        bar.cancel.click()
        await asyncio.wait([job.task], timeout=checks.PATIENCE_S)
        assert "the contents are not back" in bar.status.value
        assert "nothing was changed" not in bar.status.value
        assert "sector 3 erased" in bar.said.value
        job.start(lambda progress, cancel: None, lambda _: None)
        await asyncio.wait([job.task], timeout=checks.PATIENCE_S)
        assert bar.said.value == ""

    asyncio.run(go())


def test_cells_below_are_said_to_be_of_another_case_once_they_are() -> None:
    async def go() -> None:
        panel = Investigation("founding")
        given = await panel.run()
        assert panel.stale.value == ""
        panel.model.evidence.bundled = str(data_folder() / "defect")
        assert f"still about another case: {given.case.title}" in checks.text_of(panel.stale.value)
        await checks.pressed(panel)
        assert "still about another case" in checks.text_of(panel.stale.value), (
            "what is shown here is not what is below"
        )
        await panel.run()
        assert panel.stale.value == ""
        await checks.pressed(panel)
        assert panel.stale.value == "", "the same case, once more"
        assert f"Case: {given.case.title}" in checks.text_of(given._repr_html_())

    asyncio.run(go())
