"""Nothing of the firmware, no id, no path and no key leaves with a redacted write-up: looked for, not believed.

This test reads the documents with an eye of its own; it uses nothing of `h5diag.show.report`'s own search.
"""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Iterable
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h5diag.case import load_case
from h5diag.evidence.files import read_image
from h5diag.evidence.samples import data_folder
from h5diag.judge import Diagnosis, diagnose
from h5diag.show.report import render_html, render_markdown, write_report
from h5diag.show.report.redaction import make_redactor

PUBLISHED = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
"""MCUboot's trailer magic."""


SEPARATOR = bytes.fromhex("f12ed34cb56a9778")


def windows(data: bytes) -> set[bytes]:
    """Every run of eight bytes with at least four different ones that is no published constant."""
    return {w for w in (data[i : i + 8] for i in range(len(data) - 7)) if len(set(w)) >= 4 and w not in PUBLISHED}


def firmware(folder: Path) -> set[bytes]:
    found: set[bytes] = set()
    for path in folder.rglob("*.hex"):
        for segment in read_image(path).segments:
            found |= windows(segment.data.tobytes())
    return found


def spelled(text: str) -> Iterable[bytes]:
    """Every way in which bytes can stand in a document: raw, hex in any case and spacing, three base64 phases."""
    yield text.encode("utf-8")
    for run in re.findall(r"[0-9A-Fa-f]{16,}", re.sub(r"[ \t\r\n,:;_\-]|0[xX]", "", text)):
        for phase in (0, 1):
            yield bytes.fromhex(run[phase : phase + (len(run) - phase) // 2 * 2])
    for run in re.findall(r"[A-Za-z0-9+/]{12,}", text):
        for phase in range(4):
            yield base64.b64decode(run[phase : phase + (len(run) - phase) // 4 * 4])


def pictures(text: str) -> Iterable[bytes]:
    """Embedded pictures: their files, and the PNGs among them as bare pixels in both usual orders."""
    for kind, body in re.findall(r"data:image/([a-z+]+);base64,([A-Za-z0-9+/=]+)", text):
        data = base64.b64decode(body)
        yield data
        if kind == "png":
            image = Image.open(io.BytesIO(data))
            yield image.convert("RGB").tobytes()
            yield image.convert("L").tobytes()
        else:
            yield from spelled(data.decode("utf-8"))


def leaks(secret: set[bytes], contents: Iterable[bytes]) -> set[bytes]:
    known = np.frombuffer(b"".join(sorted(secret)), np.uint64)
    everything = SEPARATOR.join(contents)  # one long search is quicker than thousands of short ones
    found: set[bytes] = set()
    for phase in range(8):
        if len(everything) < 8 + phase:
            break
        seen = np.frombuffer(everything, np.uint64, (len(everything) - phase) // 8, phase)
        found |= {v.tobytes() for v in seen[np.isin(seen, known)]}
    return found


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The founding case with everything secret in every place where it could slip through."""
    folder = tmp_path_factory.mktemp("secret-project") / "founding"
    shutil.copytree(data_folder() / "founding", folder)
    (folder / "keys").mkdir()
    for name in ("sign-p256-pub.pem", "encrypt-p256.pem"):
        shutil.copy(data_folder() / "keys" / name, folder / "keys" / name)
    content = read_image(folder / "good.hex")
    start = content.segments[0].start + 0x400
    taken = content.read(start, start + 48).tobytes()
    toml = (folder / "case.toml").read_text("utf-8")
    toml = toml.replace('name = "custom board 1"', 'name = "board 7 /home/ada/projects/rocket SN: 3300A1B2C3D4E5F6"')
    toml = toml.replace(
        'title = "OEMiROT image not where it should be"',
        f'title = "bytes {taken.hex(" ").upper()} and {base64.b64encode(taken).decode()}"',
    )
    toml = toml.replace(
        'marking = "STM32H563ZIT6"',
        f'marking = "0x{taken[:4].hex()}, 0x{taken[4:8].hex()} , 0x{taken[8:12].hex()}"\ninfo = "info.json"',
    )
    toml += '[keys]\nverify = ["keys/sign-p256-pub.pem"]\ndecrypt = ["keys/encrypt-p256.pem"]\n'
    (folder / "case.toml").write_text(toml, encoding="utf-8")
    (folder / "info.json").write_text((data_folder() / "sound" / "info.json").read_text("utf-8"), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def diagnosis(case: Path) -> Diagnosis:
    return diagnose(load_case(case))


@pytest.fixture(scope="module")
def documents(diagnosis: Diagnosis, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return (
        render_html(diagnosis, redact=True),
        render_markdown(diagnosis, folder=tmp_path_factory.mktemp("md"), redact=True),
    )


def test_no_eight_bytes_of_the_firmware_leave(case: Path, documents: tuple[str, str]) -> None:
    secret = firmware(case)
    assert len(secret) > 10_000
    for text in documents:
        assert leaks(secret, spelled(text)) == set()
        assert leaks(secret, pictures(text)) == set()


def test_the_search_of_this_test_finds_what_is_there(case: Path, diagnosis: Diagnosis) -> None:
    """The same search on the open write-up: the planted bytes are found in hex and in base64."""
    secret = firmware(case)
    text = render_html(diagnosis)
    assert len(leaks(secret, spelled(re.sub(r"base64,[^\"]+", "", text)))) >= 40


@pytest.mark.parametrize(
    "spelling",
    [
        lambda b: b.hex(),
        lambda b: b.hex().upper(),
        lambda b: b.hex(" "),
        lambda b: b.hex("\n"),
        lambda b: b.hex("-", 4),
        lambda b: " ".join(f"0x{x:02X}," for x in b),
        lambda b: "a" + b.hex() + "7",
        lambda b: b.hex(" ", 2),
        lambda b: base64.b64encode(b).decode(),
        lambda b: base64.b64encode(b"x" + b).decode(),
        lambda b: base64.b64encode(b"xy" + b).decode(),
        lambda b: base64.urlsafe_b64encode(b).decode(),
    ],
)
def test_every_spelling_is_caught(diagnosis: Diagnosis, spelling) -> None:
    redactor = make_redactor(diagnosis.case)
    segment = diagnosis.case.good.dumps[0].image.segments[0]
    for at in (0x400, 0x403, 0x811):
        taken = segment.data[at : at + 24].tobytes()
        if len(set(taken)) < 12:
            continue
        cleaned = redactor.document(f"<p>before {spelling(taken)} after</p>")
        assert leaks(windows(taken), spelled(cleaned)) == set()
        assert "before" in cleaned
        assert "after" in cleaned


def test_ids_paths_and_keys_stay(case: Path, documents: tuple[str, str]) -> None:
    uid = "003A002D3433510A33363934"
    serials = re.findall(r"ST-LINK SN\s*:\s*(\S+)", (case / "suspect-log.txt").read_text("utf-8"))
    assert serials
    for text in documents:
        plain = unescape(text)
        for secret in (
            uid,
            uid[:8],
            uid[8:16],
            *serials,
            "3300A1B2C3D4E5F6",
            "/home/ada",
            "rocket",
            str(case),
            case.parent.name,
            "encrypt-p256.pem",
            "BEGIN",
            "PRIVATE KEY",
        ):
            assert secret.lower() not in plain.lower(), secret


def test_addresses_sizes_hashes_and_statistics_stay(case: Path, documents: tuple[str, str]) -> None:
    import hashlib

    digest = hashlib.sha256((case / "good.hex").read_bytes()).hexdigest()
    for text in documents:
        plain = unescape(text)
        assert "0x0C0BE000" in plain
        assert digest in plain
        assert "120 KiB" in plain
        assert "Removed from this copy" in plain
        assert "install-pending" in plain


def test_saved_plots_are_pixels_only(diagnosis: Diagnosis, case: Path, tmp_path: Path) -> None:
    secret = firmware(case)
    plots = tmp_path / "plots"
    plots.mkdir()
    write_report(diagnosis, tmp_path / "a.html", redact=True, plots=plots)
    for path in plots.iterdir():
        data = path.read_bytes()
        assert leaks(secret, [data, np.asarray(Image.open(path).convert("RGB")).tobytes()]) == set()
        assert b"ada" not in data
