"""What a page promises, line by line: the cell that shows it, what must then be seen, and a bug that must be noticed.

Every check first waits, with patience, until the page has settled into a state that the right page and the wrong one
both reach; what it then asserts is there at once or never. So a bug is noticed for what it is, not for being late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from h5diag.evidence.samples import data_folder

CELL = ".jp-OutputArea-output"
HERE = "() => Number(document.querySelector('.h5hex-here')?.dataset.address)"


def text(page: Any) -> str:
    """What can be read in the output of the cell, without the letters of plots."""
    page.wait_for_function("() => document.querySelector('.jp-CodeCell .jp-OutputArea').innerText.trim()")
    return str(page.locator(".jp-CodeCell .jp-OutputArea").first.inner_text())


def settled(page: Any, words: str) -> None:
    """Wait until words can be seen in the output."""
    page.locator(CELL).get_by_text(words).first.wait_for(state="visible")


def press(page: Any, name: str) -> None:
    page.locator(CELL).get_by_role("button", name=name, exact=True).click()


def idle(page: Any) -> None:
    """Wait until no job of the panel runs: its Cancel is grey."""
    page.wait_for_function(
        "() => [...document.querySelectorAll('.jupyter-button')].filter(b => b.innerText === 'Cancel')"
        ".every(b => b.disabled)"
    )


def here(page: Any) -> int:
    return int(page.evaluate(HERE))


def field(page: Any, name: str, words: str) -> None:
    """Type into a field of the hex view and wait until the kernel has answered."""
    page.locator(f"[data-field={name}]").fill(words)
    page.locator(f"[data-field={name}]").press("Enter")
    answered(page)


def answered(page: Any) -> None:
    """Wait until the kernel has answered what was sent to it before: answers keep their order."""
    page.evaluate(
        "async () => { const k = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;"
        " await k.requestExecute({code: 'pass', silent: true, store_history: false}).done; }"
    )
    page.wait_for_timeout(100)


# ------------------------------------------------------------------------------------------------ 1: true
FLASHTEST = """
import tempfile, time
from h5diag.app.panels import flashtest as wing
from h5diag.memory import AddressRange
from h5diag.probe.flashtest import Level, TestPlan

if "real_test" not in globals():
    real_test = wing.flash_test

def slow(board, plan, folder, *, tell, progress, cancel):
    def step(fraction):
        time.sleep(0.03)
        progress(fraction)
    return real_test(board, plan, folder, tell=tell, progress=step, cancel=cancel)

wing.flash_test = slow
plan = TestPlan(AddressRange(0x08100000, 0x08104000), Level.QUICK, power_cycles=0)
panel = wing.FlashTestPanel("virtual:board=sound", plan, tempfile.mkdtemp() + "/test")
panel.understood.value, panel.typed.value = True, panel.model.phrase
panel
"""


def stopped_flash_test(page: Any) -> str:
    press(page, "Erase and test")
    settled(page, "testing the flash")
    page.wait_for_function(  # the work has begun: a bar moves
        "() => [...document.querySelectorAll('.progress-bar')].some(b => parseFloat(b.style.width) > 5)"
    )
    press(page, "Cancel")
    idle(page)
    settled(page, "stopped by you")
    return text(page)


def a_stop_says_what_was_done(page: Any) -> None:
    assert "the contents are back and verified" in stopped_flash_test(page).split("stopped by you")[1].splitlines()[0]


def what_the_library_says_is_shown(page: Any) -> None:
    said = stopped_flash_test(page)
    assert "stopping: the contents are put back" in said


BOARD = """
import h5diag as h5
from h5diag.app.panels import board as wing
from h5diag.errors import ProbeError

if "real_dump" not in globals():
    real_dump = wing.dump

def dump(*_, **__):
    raise ProbeError("the probe was unplugged", advice="plug it in again")

wing.dump = dump
panel = h5.connect("virtual:board=sound").interact(0x08000000, 0x08002000)
panel
"""


def connected_ends_with_the_link(page: Any) -> None:
    press(page, "Connect")
    settled(page, "held by")
    press(page, "Dump")
    settled(page, "the probe was unplugged")
    answered(page)
    assert "not connected: nobody of this notebook holds a probe" in text(page)
    assert "held by" not in text(page)


CASE = """
import h5diag as h5

panel = h5.load_case("sample:founding").interact()
panel
"""


def never_two_verdicts(page: Any) -> None:
    press(page, "Run the diagnosis")
    page.locator(".h5-verdict .h5-head").first.wait_for(state="visible")
    idle(page)
    page.get_by_label("Case", exact=True).select_option(index=1)
    answered(page)
    assert page.locator(".h5-verdict .h5-head").count() == 0


# ------------------------------------------------------------------------------------------------ 2: default install
WITHOUT_EMULATOR = """
import h5diag as h5
from h5diag.sim.dryrun import process

real_find, process.find_spec = process.find_spec, lambda name: None
try:
    answer = h5.read_loader("sample:loaders/l5-good.stldr", chip="l5").dry_run()
except h5.errors.InputError as missing:
    answer = str(missing)
finally:
    process.find_spec = real_find
print(answer)
"""


def what_is_missing_is_named(page: Any) -> None:
    answered(page)
    assert "pip install 'h5diag[dryrun]'" in text(page)


# ------------------------------------------------------------------------------------------------ 4: bytes
BYTES = """
import numpy as np
from h5diag.app.panels import HexView
from h5diag.chip import load_chip
from h5diag.memory import AddressRange, MemoryImage
from h5diag.show.pages import HexPages, aliases_of

content = np.random.default_rng(1).integers(0, 256, 0x8000, dtype=np.uint8)
changed = content.copy()
changed[[0x100, 0x2000, 0x6000]] ^= 1
changed[0x7000:0x7008] = np.frombuffer(b"needle01", np.uint8)
content[0x5000:0x5008] = np.frombuffer(b"needle01", np.uint8)
left, right = (MemoryImage.from_bytes(c, 0x08000000) for c in (content, changed))
masked = (AddressRange(0x08002000, 0x08004000),)
view = HexView(HexPages(left, right, ("good", "suspect"), ((0x08001000, "slot"),), masked, aliases_of(load_chip("h563"))))
view
"""


def ready(page: Any) -> None:
    page.locator(".h5hex-here mark").first.wait_for(state="visible")


def any_alias_in_go_to(page: Any) -> None:
    page.locator(".h5hex-row").first.wait_for(state="visible")
    field(page, "goto", "0x0C001230")
    assert here(page) == 0x08001230


def search_goes_through_both_boards(page: Any) -> None:
    page.locator(".h5hex-row").first.wait_for(state="visible")
    found = []
    for _ in range(2):
        field(page, "search", "needle01")
        found.append(here(page))
    assert found == [0x08005000, 0x08007000], "first the good board's, then the suspect's"


def next_difference_skips_what_was_masked(page: Any) -> None:
    page.locator(".h5hex-row").first.wait_for(state="visible")
    page.locator(".h5hex-box").focus()
    page.keyboard.press("n")
    answered(page)
    assert here(page) == 0x08005000, "0x08002000 was not shown to the reader"


def it_begins_at_the_first_difference(page: Any) -> None:
    page.locator(".h5hex-row").first.wait_for(state="visible")
    answered(page)
    assert here(page) == 0x08000100


def columns_keep_their_heads(page: Any) -> None:
    page.locator(".h5hex-row").first.wait_for(state="visible")
    page.set_viewport_size({"width": 1024, "height": 900})
    box, head = page.locator(".h5hex-box"), page.locator(".h5hex-head")
    box.focus()
    page.keyboard.press("PageDown")
    page.keyboard.press("PageDown")
    answered(page)
    assert abs(head.bounding_box()["y"] - box.bounding_box()["y"]) < 3
    assert "suspect" in head.inner_text()
    left = [page.locator(f".h5hex-{row} .h5hex-r").first.bounding_box()["x"] for row in ("head", "row")]
    assert abs(left[0] - left[1]) < 2


def both_boards_fit_on_a_narrow_page(page: Any) -> None:
    page.locator(".h5hex-row").first.wait_for(state="visible")
    page.set_viewport_size({"width": 1024, "height": 900})
    answered(page)
    box = page.locator(".h5hex-box").evaluate("e => [e.getBoundingClientRect().left + e.clientLeft, e.clientWidth]")
    cell = page.locator(".h5hex-row .h5hex-r").first
    letters = cell.evaluate(
        "e => { const r = document.createRange(); r.selectNodeContents(e); return r.getBoundingClientRect().right; }"
    )
    assert len(cell.inner_text().split()) in (4, 16), "sixteen bytes, by fours where there is little room"
    assert letters <= box[0] + box[1], "the second board is cut off"


# ------------------------------------------------------------------------------------------------ 5: own files
OWN = """
import h5diag as h5
from h5diag.app.panels.investigation import Investigation

panel = Investigation("founding")
panel
"""


def dropped(page: Any, folder: Path, *names: str) -> None:
    """Drop files beside the second board and wait until they have arrived."""
    press(page, "My own files")
    page.locator(".h5drop-input").nth(1).set_input_files([folder / n for n in names])
    for name in names:
        page.locator(".h5drop-list li", has_text=name).wait_for(state="visible")
    answered(page)


def a_base_beside_the_drop_zone_counts(page: Any, folder: Path) -> None:
    dropped(page, folder, "plain.bin")
    box = page.get_by_placeholder("address of the first byte of a .bin").nth(1)
    box.fill("0x08020000")
    box.press("Enter")
    answered(page)
    press(page, "Run the diagnosis")
    page.locator(".h5-verdict .h5-head, .h5-alert").first.wait_for(state="visible")
    page.get_by_role("tab", name="Bytes").click()
    page.locator(".h5hex-row").first.wait_for(state="visible")
    answered(page)
    assert page.locator(".h5hex-row").first.get_attribute("data-address") == str(0x08020000)


def one_file_is_taken_out(page: Any, folder: Path) -> None:
    dropped(page, folder, "plain.bin", "notes.txt")
    page.get_by_role("button", name="remove plain.bin").click()
    answered(page)
    assert page.locator(".h5drop-list li").all_inner_texts() == ["notes.txt (22 bytes) remove"]


def what_was_not_used_is_listed_with_the_reason(page: Any, folder: Path) -> None:
    dropped(page, folder, "plain.bin", "picture.png")
    press(page, "Run the diagnosis")
    page.locator(".h5-verdict .h5-head, .h5-alert").first.wait_for(state="visible")
    said = text(page)
    assert "not used: picture.png: " in said
    assert len(said.split("not used: picture.png: ")[1].splitlines()[0]) > 8


def hints_stand_below_the_verdict(page: Any, folder: Path) -> None:
    dropped(page, folder, "plain.bin")
    press(page, "Run the diagnosis")
    verdict = page.locator(".h5-verdict .h5-head").first
    verdict.wait_for(state="visible")
    answered(page)
    hints = page.get_by_text("What would let more be decided").first
    assert hints.bounding_box()["y"] > verdict.bounding_box()["y"]


def progress_is_shown_while_a_file_arrives(page: Any, folder: Path) -> None:
    press(page, "My own files")
    answered(page)
    # On the whole page: the drop zones may be drawn anew at any time.
    page.evaluate(
        """() => { window.coming = []; new MutationObserver((all) => { for (const { target: e } of all)
             if (e.classList?.contains('h5drop-coming')) window.coming.push(e.offsetHeight ? e.innerText : ''); })
           .observe(document.body, {childList: true, subtree: true}); }"""
    )
    page.locator(".h5drop-input").nth(1).set_input_files([folder / "large.bin"])
    page.locator(".h5drop-list li", has_text="large.bin (12,582,912 bytes)").wait_for(state="visible")
    shares = [t for t in page.evaluate("() => window.coming") if "% has arrived" in t]
    assert shares
    assert page.locator(".h5drop-coming").nth(1).inner_text() == "", "it goes when all is there"


def nothing_stays_in_the_temporary_folder(page: Any, folder: Path) -> None:
    dropped(page, folder, "plain.bin", "key.pem")
    press(page, "Run the diagnosis")
    page.locator(".h5-verdict .h5-head, .h5-alert").first.wait_for(state="visible")
    idle(page)
    answered(page)
    names = {"plain.bin", "key.pem", "case.toml"}  # other panels have folders of their own there
    assert [p.name for p in (folder / "tmp").rglob("*") if p.name in names] == []


def a_private_key_touches_no_disk(page: Any, folder: Path) -> None:
    dropped(page, folder, "plain.bin", "key.pem")
    press(page, "Run the diagnosis")
    page.locator(".h5-verdict .h5-head, .h5-alert").first.wait_for(state="visible")
    idle(page)
    answered(page)
    written = (folder / "written.txt").read_text()
    assert "case.toml" in written, "what was written was watched"
    assert "key.pem" not in written


WATCHED = """
import os, sys, tempfile
os.makedirs("{folder}/tmp", exist_ok=True)
tempfile.tempdir = "{folder}/tmp"
if "watching" not in globals():
    seen = os.open("{folder}/written.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def watching(event, arguments):
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            os.write(seen, f"{{arguments[0]}}\\n".encode())
        elif event == "os.rename":
            os.write(seen, f"{{arguments[1]}}\\n".encode())

    sys.addaudithook(watching)
"""


HUSH = ".h5drop-coming { display: none }"


@dataclass(frozen=True)
class Line:
    """A promise: the issue's number, the cell, what is checked, and a bug planted in the kernel (or in the page)."""

    number: int
    source: str
    check: Callable[..., None]
    bug: str
    in_page: str = ""

    @property
    def name(self) -> str:
        return self.check.__name__


LINES = (
    Line(
        1,
        FLASHTEST,
        a_stop_says_what_was_done,
        """
from h5diag.app.panels import parts as work
real_finish = work.Job._finish
def finish(self, result, error, then, turn):
    real_finish(self, result, error, then, turn)
    if self.status.startswith("stopped"):
        self.status = "stopped by you: nothing was changed"
patch.setattr(work.Job, "_finish", finish)""",
    ),
    Line(
        1,
        FLASHTEST,
        what_the_library_says_is_shown,
        """
from h5diag.app.panels import parts as work
patch.setattr(work.Job, "_said", lambda self, text: None)""",
    ),
    Line(
        1,
        BOARD,
        connected_ends_with_the_link,
        """
from h5diag.app.panels import board
patch.setattr(board.BoardModel, "_link_ended", lambda self: None)""",
    ),
    Line(
        1,
        CASE,
        never_two_verdicts,
        """
from h5diag.app.panels import investigation
patch.setattr(investigation.InvestigationModel, "_changed", lambda self: None)""",
    ),
    Line(
        2,
        WITHOUT_EMULATOR,
        what_is_missing_is_named,
        """
from h5diag.sim.dryrun import run
patch.setattr(run, "require_emulator", lambda: None)""",
    ),
    Line(
        4,
        BYTES,
        any_alias_in_go_to,
        """
from h5diag.show import pages
patch.setattr(pages.HexPages, "canonical", lambda self, address: address)""",
    ),
    Line(
        4,
        BYTES,
        search_goes_through_both_boards,
        """
from h5diag.show import pages
real_find = pages.HexPages.find
patch.setattr(pages.HexPages, "find", lambda self, query, after: real_find(pages.HexPages(self.left), query, after))""",
    ),
    Line(
        4,
        BYTES,
        next_difference_skips_what_was_masked,
        """
from dataclasses import replace
from h5diag.app.panels import results as hexview
real_show = hexview.HexView.show
patch.setattr(hexview.HexView, "show", lambda self, pages: real_show(self, replace(pages, masked=())))""",
    ),
    Line(
        4,
        BYTES,
        it_begins_at_the_first_difference,
        """
from h5diag.app.panels import results as hexview
patch.setattr(hexview.HexView, "_begin", lambda self: self.pages.blocks[0].start)""",
    ),
    Line(4, BYTES, both_boards_fit_on_a_narrow_page, "", ".h5hex-t { display: inline !important }"),
    Line(4, BYTES, columns_keep_their_heads, "", ".h5hex-head { position: static !important }"),
    Line(
        5,
        OWN,
        a_base_beside_the_drop_zone_counts,
        """
from dataclasses import replace
from h5diag.app.panels import evidence
real_written = evidence._written
patch.setattr(evidence, "_written", lambda folder, board: real_written(folder, replace(board, base="")))""",
    ),
    Line(
        5,
        OWN,
        one_file_is_taken_out,
        """
from h5diag.app.panels import evidence as dropzone
real_received = dropzone.DropZone._received
def received(self, widget, message, buffers):
    if not message.get("gone"):
        real_received(self, widget, message, buffers)
patch.setattr(dropzone.DropZone, "_received", received)""",
    ),
    Line(
        5,
        OWN,
        what_was_not_used_is_listed_with_the_reason,
        """
from dataclasses import replace
from h5diag.app.panels import investigation
real_remarks = investigation.remarks_html
patch.setattr(investigation, "remarks_html", lambda loaded: real_remarks(replace(loaded, unused=())))""",
    ),
    Line(
        5,
        OWN,
        hints_stand_below_the_verdict,
        """
from h5diag.app.panels import investigation
real_show = investigation.Investigation._show
def show(self):
    real_show(self)
    if self.model.current is not None:
        self.below.children = (self.hints, self.verdict, self.details, self.write_up)
patch.setattr(investigation.Investigation, "_show", show)""",
    ),
    Line(5, OWN, progress_is_shown_while_a_file_arrives, "", HUSH),
    Line(
        5,
        OWN,
        nothing_stays_in_the_temporary_folder,
        """
import tempfile
from h5diag.app.panels import evidence
class Stays:
    def __init__(self, prefix):
        self.name = tempfile.mkdtemp(prefix=prefix)
    def __enter__(self):
        return self.name
    def __exit__(self, *_):
        pass
class Wrong:
    TemporaryDirectory = Stays
patch.setattr(evidence, "tempfile", Wrong)""",
    ),
    Line(
        5,
        OWN,
        a_private_key_touches_no_disk,
        """
from h5diag.app.panels import evidence
patch.setattr(evidence, "_is_private", lambda upload: False)""",
    ),
)


def material(folder: Path) -> None:
    """Write the files that a person drops."""
    content = np.random.default_rng(3).integers(0, 256, 0x2000, dtype=np.uint8).tobytes()
    (folder / "plain.bin").write_bytes(content)
    (folder / "notes.txt").write_bytes(b"bought in spring, 2024")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (folder / "large.bin").write_bytes(content * (12 * 128))
    (folder / "key.pem").write_bytes((data_folder() / "keys" / "encrypt-p256.pem").read_bytes())
