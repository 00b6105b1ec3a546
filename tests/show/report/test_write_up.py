"""The write-up says what was found, escapes what strangers wrote, and needs nothing from outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from h5diag.case import load_case
from h5diag.errors import InputError
from h5diag.evidence.samples import data_folder
from h5diag.judge import Diagnosis, Status, diagnose
from h5diag.show import report
from h5diag.show.report import render_html, render_markdown, write_report
from tests.app.panels.checks import HOSTILE, hostile_case

VOID = {"meta", "link", "img", "br"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and notices a tag that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def founding() -> Diagnosis:
    return diagnose(load_case(data_folder() / "founding"))


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of the time where only words matter."""
    monkeypatch.setattr("h5diag.show.diagnosis.figures", lambda board, number=0: ())


@pytest.fixture(scope="module")
def page(founding: Diagnosis) -> str:
    return render_html(founding)


def test_the_write_up_says_everything(founding: Diagnosis, page: str) -> None:
    text = Reader(page).text
    board = founding.first
    for said in (
        board.verdict.summary,
        board.verdict.scope,
        board.next_test.instruction,
        "0x0C0BE000",
        "0x08018000",
        "secure secondary",
        "install-pending",
        "Displaced pieces",
        "h5diag 0.",
        *(h.cause.name if h.status is Status.NOT_TESTED else h.id for h in board.verdict.hypotheses),
        *(b.text for b in board.branches),
        *(f.id for f in board.findings),
    ):
        assert " ".join(said.split()) in text, said
    for dump in founding.case.suspects[0].dumps:
        assert dump.name in text
    assert len(re.findall(r"\b[0-9a-f]{64}\b", text)) >= 6


@pytest.mark.usefixtures("without_pictures")
def test_every_file_of_the_case_is_listed() -> None:
    folder = data_folder() / "defect"
    text = Reader(render_html(diagnose(load_case(folder)))).text
    for path in folder.iterdir():
        if path.name not in ("case.toml", "expected.json"):
            assert path.name in text, path.name


@pytest.mark.parametrize("case", ["founding", "founding-thread", "founding-no-magic", "defect", "sound"])
@pytest.mark.usefixtures("without_pictures")
def test_no_write_up_says_the_bare_word(case: str, tmp_path: Path) -> None:
    diagnosis = diagnose(load_case(data_folder() / case))
    html = Reader(render_html(diagnosis)).text
    markdown = render_markdown(diagnosis, folder=tmp_path)
    for text in (html, markdown):
        assert not re.search(r"\bsound\b|chip is fine", text, re.IGNORECASE)
        assert not re.search(r"set PRODUCT_STATE|mass[- ]erase it|regress it", text)


def test_the_page_asks_nothing_of_a_network(page: str) -> None:
    tags = Reader(page).tags
    assert not [t for t, _ in tags if t in ("script", "iframe", "object", "form")]
    for tag, attributes in tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "srcset"):
                assert str(value).startswith("data:"), (tag, value)
    assert not re.search(r"@import|url\(", page)
    assert "default-src 'none'" in page


def test_tables_and_pictures_can_be_read_aloud(page: str) -> None:
    tags = Reader(page).tags
    tables = [t for t, _ in tags if t == "table"]
    assert len([t for t, _ in tags if t == "caption"]) == len(tables) >= 6
    assert all(a.get("scope") in ("col", "row") for t, a in tags if t == "th")
    assert all(len(a.get("alt") or "") > 20 for t, a in tags if t == "img")
    assert ("html", {"lang": "en"}) in tags
    levels = [int(t[1]) for t, _ in tags if re.fullmatch(r"h[1-6]", t)]
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_the_page_prints(page: str) -> None:
    assert "@media print" in page
    assert "prefers-color-scheme: dark" in page


@pytest.mark.usefixtures("without_pictures")
def test_strangers_cannot_write_markup(tmp_path: Path) -> None:
    diagnosis = diagnose(load_case(hostile_case(tmp_path)))
    for redact in (False, True):
        html = render_html(diagnosis, redact=redact)
        reader = Reader(html)
        assert HOSTILE in reader.text.replace("[", "").replace("]", "") or redact
        assert not [a for t, a in reader.tags if t == "img" and "onerror" in a]
        assert not [t for t, _ in reader.tags if t == "script"]
        markdown = render_markdown(diagnosis, folder=tmp_path, redact=redact)
        assert "<img" not in markdown
        assert "<script" not in markdown
        rows = [line for line in markdown.splitlines() if line.startswith("|")]
        assert all(len(re.findall(r"(?<!\\)\|", line)) <= 8 for line in rows)


def test_markdown_beside_its_pictures(founding: Diagnosis, tmp_path: Path) -> None:
    path = write_report(founding, tmp_path / "my case.md")
    text = path.read_text("utf-8")
    assert text.startswith("# OEMiROT image not where it should be")
    names = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert len(names) >= 3
    for name in names:
        assert (tmp_path / name.replace("%20", " ")).read_bytes().startswith(b"\x89PNG")
    for heading in ("Next (", "Why was the image not installed", "Slots", "Option bytes", "Evidence"):
        assert heading in text


def test_plots_go_where_they_are_wanted(founding: Diagnosis, tmp_path: Path) -> None:
    plots = tmp_path / "plots"
    plots.mkdir()
    write_report(founding, tmp_path / "a.html", plots=plots)
    assert {p.name for p in plots.iterdir()} >= {"memory-map.png", "bits.png", "offsets.png"}


@pytest.mark.parametrize("name", ["a.txt", "a.pdf", "nowhere/a.html"])
def test_a_write_up_that_cannot_be_is_one_clear_line(founding: Diagnosis, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        write_report(founding, tmp_path / name)
    assert "\n" not in str(caught.value)


def test_the_same_case_gives_the_same_pictures(founding: Diagnosis, page: str) -> None:
    again = re.findall(r"base64,([^\"]+)", render_html(founding))
    assert again == re.findall(r"base64,([^\"]+)", page)


def test_of_a_thousand_boards_the_first_are_drawn_and_it_is_said(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(report, "PICTURED", 2)
    boards = "".join(f'[[suspects]]\nname = "b{i}"\ndumps = ["{i}.bin"]\n' for i in range(3))
    (tmp_path / "case.toml").write_text(boards)
    for i in range(3):
        (tmp_path / f"{i}.bin").write_bytes(bytes(range(256)) * 16 * (i + 1))
    found = diagnose(load_case(tmp_path))
    page, text = render_html(found), render_markdown(found, folder=tmp_path)
    for written, mark in ((page, "<img"), (text, "![")):
        assert "Only the first 2 of 3 boards have their pictures here." in written
        assert "b2" in written
        of_the_last = written[written.rindex("b2") :]
        assert mark in written
        assert mark not in of_the_last.partition("Evidence")[0]
    monkeypatch.setattr(report, "PICTURED", 3)
    assert "Only the first" not in render_html(found)
    assert render_html(found).count("<img") > page.count("<img")
