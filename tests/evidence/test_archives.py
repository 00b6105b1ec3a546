"""Zip archives of evidence: what is in them counts like loose files, and nothing in them is believed."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from h5diag.case import load_case
from h5diag.case.intake import sort_evidence
from h5diag.errors import InputError
from h5diag.evidence import archives
from h5diag.evidence.archives import archived_files
from h5diag.evidence.door import read_evidence
from h5diag.limits import MEMORY, Limit

DUMP = np.random.default_rng(3).integers(0, 256, 0x8000, np.uint8).tobytes()


def packed(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in files.items():
            z.writestr(name, data)
    return path


def test_files_of_an_archive_are_told_and_copied_like_loose_ones(tmp_path):
    inner = {"good/flash.bin": DUMP, "bad unit/flash.bin": DUMP[:0x4000] + bytes(0x4000), "empty.txt": ""}
    path = packed(tmp_path / "reads.zip", inner)
    found = sort_evidence([path])
    assert [b.name for b in (found.boards.good, *found.boards.suspects)] != ["", ""]
    case = load_case(found.write(tmp_path / "case"))
    assert case.good is not None
    assert case.good.dumps[0].image.sha256() != case.suspects[0].dumps[0].image.sha256()
    assert not found.unused
    assert not list((tmp_path / "case").glob("*.zip"))


def test_a_sidecar_in_the_archive_goes_with_its_dump(tmp_path):
    sidecar = b'{"base": 203423744, "access": "secure", "mode": "hotplug"}'
    path = packed(
        tmp_path / "one.zip", {"a/dump.bin": DUMP, "a/dump.bin.map.json": sidecar, "b/x.bin.map.json": sidecar}
    )
    found = sort_evidence([path])
    case = load_case(found.write(tmp_path / "case"))
    assert case.suspects[0].dumps[0].image.span.start == 0x0C200000
    assert [e.path.name for e in found.unused] == ["x.bin.map.json"]


def test_names_that_climb_stay_in_the_case_folder(tmp_path):
    path = packed(tmp_path / "x.zip", {"../../../dump.bin": DUMP, "/etc/ob.txt": "PRODUCT_STATE : 0xED (Open)\n"})
    names = {f.path.relative_to(path).as_posix() for f in archived_files(read_evidence(path, limit=MEMORY))}
    assert names == {"dump.bin", "etc/ob.txt"}
    folder = sort_evidence([path]).write(tmp_path / "case")
    assert {p.parent for p in tmp_path.rglob("*.bin")} == {folder}


@pytest.mark.parametrize("fault", ["cut", "flipped", "encrypted", "method"])
def test_a_damaged_archive_is_one_line(tmp_path, fault):
    data = bytearray(packed(tmp_path / "x.zip", {"dump.bin": DUMP}).read_bytes())
    central = data.index(b"PK\x01\x02")
    if fault == "cut":
        del data[-30:]
    elif fault == "flipped":
        data[100:140] = bytes(40)
    elif fault == "encrypted":
        data[central + 8] |= 1
    else:
        data[central + 10] = 99
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(InputError, match=r"x\.zip") as error:
        archived_files(read_evidence(tmp_path / "x.zip", limit=MEMORY))
    assert "\n" not in str(error.value)
    (tmp_path / "loose.bin").write_bytes(DUMP)
    found = sort_evidence([tmp_path])
    assert [e.path.name for e in found.unused] == ["x.zip"]


def test_what_an_archive_unpacks_to_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "ARCHIVE", Limit("an archive", 100_000, "unpack it"))
    bomb = packed(tmp_path / "bomb.zip", {f"{i}.bin": bytes(40_000) for i in range(3)})
    with pytest.raises(InputError, match="holds too much"):
        archived_files(read_evidence(bomb, limit=MEMORY))
    monkeypatch.setattr(archives, "FOLDER_FILES", 2)
    with pytest.raises(InputError, match="more than 2 files"):
        archived_files(read_evidence(bomb, limit=MEMORY))


def test_an_archive_in_an_archive_stays_closed(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as z:
        z.writestr("dump.bin", DUMP)
    path = packed(tmp_path / "x.zip", {"inner.zip": inner.getvalue(), "dump.bin": DUMP})
    found = sort_evidence([path])
    assert [(e.path.name, e.what) for e in found.unused] == [("inner.zip", "an archive in an archive; unpack it first")]
