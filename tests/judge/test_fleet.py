"""Many boards on real Dask workers: each content judged once, resumable, a bad file is a row, a killed worker no loss."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from h5diag.app.cli import main
from h5diag.chip import load_chip
from h5diag.errors import InputError
from h5diag.evidence.door import names_in
from h5diag.evidence.files import read_image
from h5diag.judge import fleet as module
from h5diag.judge.fleet import BoardFile, boards_of, judged, run_fleet

pytest.importorskip("distributed")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

pytestmark = pytest.mark.filterwarnings("ignore")  # Dask's own, of ports and of slow machines

SECTOR, SIZE = 0x2000, 1 << 17


def content(seed=0):
    return np.random.default_rng(seed).integers(0, 256, SIZE, dtype=np.uint8)


@pytest.fixture
def lot(tmp_path):
    """Twelve boards: eight alike, two with sector 3 erased, one with two bytes of its own, one unreadable."""
    good = content()
    (tmp_path / "golden.bin").write_bytes(good.tobytes())
    for i in range(12):
        folder = tmp_path / "lot" / f"board-{i:02d}"
        folder.mkdir(parents=True)
        data = good.copy()
        if i in (3, 7):
            data[3 * SECTOR : 4 * SECTOR] = 0xFF
        if i == 5:
            data[9 * SECTOR + 100 : 9 * SECTOR + 102] ^= 0x81
        (folder / "dump.bin").write_bytes(b"" if i == 11 else data.tobytes())
    return tmp_path


def rows_of(out):
    return {r["board"]: r for r in pq.read_table(out / "boards.parquet").to_pylist()}


def test_a_lot(lot):
    out = lot / "out"
    seen = []
    f = run_fleet([lot / "lot"], out, reference=lot / "golden.bin", workers=1, progress=lambda x, t: seen.append(x))
    assert (f.boards, f.failed, f.distinct_contents) == (12, 1, 3)
    assert f.distinct_sectors == SIZE // SECTOR + 2
    assert [(c.boards, c.sectors) for c in f.clusters] == [
        (8, ()),
        (2, (0x08000000 + 3 * SECTOR,)),
        (1, (0x08000000 + 9 * SECTOR,)),
    ]
    assert f.outliers == ("board-05",)
    assert f.sectors[0] == (0x08000000 + 3 * SECTOR, 2)
    rows = rows_of(out)
    assert len(rows) == 12
    assert rows["board-11"]["verdict"] is None
    assert "empty" in rows["board-11"]["error"]
    assert rows["board-03"]["content"] == rows["board-07"]["content"]
    assert rows["board-00"]["sectors"] == []
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    # The single case and the fleet are one: the same verdict as `diagnose` on that board alone.
    for name in ("board-00", "board-03", "board-05"):
        alone = judged(
            BoardFile(name, str(lot / "lot" / name / "dump.bin")), str(lot / "golden.bin"), "stm32h563zi", None
        )
        assert {k: rows[name][k] for k in ("verdict", "causes", "summary")} == {
            k: alone[k] for k in ("verdict", "causes", "summary")
        }


def test_times_of_the_boards(lot):
    folder = lot / "lot"
    for i in range(12):
        os.utime(folder / f"board-{i:02d}" / "dump.bin", (1_700_000_000 + i, 1_700_000_000 + i))
    (folder / "board-02" / "dump.bin.map.json").write_text('{"base": 134217728, "time": "2026-01-05T10:00:00+01:00"}')
    with (lot / "list.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [
                ("board", "path", "time"),
                ("a", "lot/board-02/dump.bin", "2026-02-01 08:30"),
                ("b", "lot/board-02/dump.bin", "some day"),
                ("c", "lot/board-04/dump.bin", ""),
                ("d", "lot/board-11/dump.bin", "2026-02-01T08:30:00Z"),
            ]
        )
    run_fleet(lot / "list.csv", lot / "out", reference=lot / "golden.bin", workers=1)
    assert {b: r["time"] for b, r in rows_of(lot / "out").items()} == {
        "a": "2026-02-01T08:30:00+00:00",
        "b": "2026-01-05T09:00:00+00:00",
        "c": "2023-11-14T22:13:24+00:00",
        "d": "2026-02-01T08:30:00+00:00",
    }


def test_a_lot_is_written_up(lot, capsys):
    for i in range(90):
        path = lot / "lot" / f"more-{i:02d}.bin"
        path.write_bytes((lot / "lot" / f"board-{3 if 40 <= i < 52 else 0:02d}" / "dump.bin").read_bytes())
        os.utime(path, (1_700_000_000 + 60 * i, 1_700_000_000 + 60 * i))
    told = [
        "fleet",
        str(lot / "lot"),
        "--out",
        str(lot / "out"),
        "--reference",
        str(lot / "golden.bin"),
        "--workers",
        "1",
    ]
    assert main([*told, "--report", str(lot / "a.html")]) == 0
    said = capsys.readouterr().out
    assert "14 " in said  # twelve of these and two of the others
    assert "more or fewer than chance allows" in said
    assert f"Write-up: {lot / 'a.html'}" in said
    page = (lot / "a.html").read_text()
    assert page.count('<img src="data:image/svg+xml') == 2
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert "board-05" in page
    assert main([*told, "--report", str(lot / "b.md"), "--redact", "--json"]) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    pictures = [p.read_bytes().decode("latin-1") for p in lot.glob("b-*.png")]
    assert len(pictures) == 2
    text = "".join([(lot / "b.md").read_text(), said.out, said.err, *pictures])
    assert "0x08006000 | undecided" in text
    assert document["report"] == "b.md"
    for secret in ("board-", "more-", str(lot), "golden"):
        assert secret not in text, secret
    assert (lot / "b-time.png").read_bytes().startswith(b"\x89PNG")
    assert len([g for g in document["chart"]["groups"] if g["outside"]]) == 1
    assert main([*told, "--report", str(lot / "no" / "a.html")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_what_is_done_is_not_done_again(lot, monkeypatch):
    out = lot / "out"
    first = run_fleet([lot / "lot"], out, reference=lot / "golden.bin", workers=1)
    parts = sorted(os.listdir(out / "parts"))
    assert run_fleet([lot / "lot"], out, reference=lot / "golden.bin", workers=1) == first
    assert sorted(os.listdir(out / "parts")) == parts
    # A file that changed is read again, and only its content is judged.
    data = content()
    data[5 * SECTOR] ^= 1
    (lot / "lot" / "board-02" / "dump.bin").write_bytes(data.tobytes())
    f = run_fleet([lot / "lot"], out, reference=lot / "golden.bin", workers=1)
    assert f.distinct_contents == 4
    assert rows_of(out)["board-02"]["sectors"] == [0x08000000 + 5 * SECTOR]
    assert len(os.listdir(out / "parts")) == len(parts) + 2


def test_a_killed_worker_loses_nothing(lot, monkeypatch):
    from distributed import Client, LocalCluster

    monkeypatch.setattr(module, "BATCH", 2)
    killed = []
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:

        def kill(fraction, text):
            if not killed:
                pids = client.run(os.getpid)
                killed.append(next(iter(pids.values())))
                os.kill(killed[0], signal.SIGKILL)

        f = run_fleet(
            [lot / "lot"], lot / "out", reference=lot / "golden.bin", scheduler=cluster.scheduler_address, progress=kill
        )
    assert killed
    assert (f.boards, f.failed, f.distinct_contents) == (12, 1, 3)
    assert len(rows_of(lot / "out")) == 12


def test_command_line_and_typical_board(lot, capsys):
    assert main(["fleet", str(lot / "lot"), "--out", str(lot / "out"), "--workers", "1", "--json"]) == 0
    d = json.loads(capsys.readouterr().out)
    assert (d["boards"], d["failed"]) == (12, 1)
    assert d["clusters"][0]["boards"] == 8
    assert os.path.isfile(d["table"])
    assert np.array_equal(read_image(d["reference"]).segments[0].data, content())
    assert main(["fleet", str(lot / "nothing"), "--out", str(lot / "other")]) == 2
    assert "nothing" in capsys.readouterr().err


def test_lists_and_folders_of_files(lot):
    flat = lot / "flat"
    flat.mkdir()
    for name in ("a", "b"):
        (flat / f"{name}.bin").write_bytes(content().tobytes())
    (flat / "notes.txt").write_text("no board")
    assert [b.name for b in boards_of([flat])] == ["a", "b"]
    with (lot / "list.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("board", "path"), ("one", "flat/a.bin"), ("two", "flat/b.bin")])
    assert [(b.name, b.path) for b in boards_of([lot / "list.csv"])] == [
        ("one", str(flat / "a.bin")),
        ("two", str(flat / "b.bin")),
    ]
    for name, text in {
        "a field without end": "board,path\n" + "x" * 200_000 + ",flat/a.bin\n",
        "a path out of the folder": "board,path\none,../golden.bin\n",
        "an absolute path": "board,path\none,/dev/zero\n",
    }.items():
        (lot / "bad.csv").write_text(text)
        with pytest.raises(InputError, match=r"bad\.csv") as caught:
            boards_of([lot / "bad.csv"])
        assert "\n" not in str(caught.value), name
    (lot / "bad.csv").write_text("serial,file\n1,2\n")
    with pytest.raises(InputError, match="row 2"):
        boards_of([lot / "bad.csv"])
    (lot / "empty").mkdir()
    with pytest.raises(InputError, match="no board"):
        boards_of([lot / "empty"])


def test_boards_are_listed_once_and_asked_for_their_state_once(lot, monkeypatch, capsys):
    listed = []
    monkeypatch.setattr(module, "names_in", lambda folder: listed.append(str(folder)) or names_in(folder))
    boards = boards_of([lot / "lot"])
    folders = Counter(listed)
    assert set(folders.values()) == {1}
    listed.clear()
    assert main(["fleet", str(lot / "lot"), "--out", str(lot / "out"), "--workers", "1", "--json"]) == 0
    assert {f: n for f, n in Counter(listed).items() if not f.startswith(str(lot / "out"))} == folders
    assert json.loads(capsys.readouterr().out)["boards"] == len(boards)
    os.utime(boards[0].path, (1, 1))  # what was listed is what counts: the next run reads it again
    with monkeypatch.context() as m:
        m.setattr(module, "_as_it_is", None)
        assert boards_of(boards) == boards
        (row,) = module.hashed(boards[:1], load_chip())
    assert (row["error"], row["stamp"]) == (None, f"{boards[0].state} stm32h563zi")
    assert not row["time"].startswith("1970")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (None, "no Parquet file"),
        ({"x": [1]}, "lacks board or path"),
        ({"board": [1.5], "path": [{"a": 1}]}, "lacks board or path"),
        ({"board": ["a"], "path": ["../golden.bin"]}, "outside of the list's folder"),
    ],
)
def test_a_strangers_parquet_list_is_one_line(tmp_path, table, said):
    path = tmp_path / "list.parquet"
    if table is None:
        path.write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    else:
        pq.write_table(pa.table(table), path)
    with pytest.raises(InputError, match=said) as caught:
        boards_of([path])
    assert "\n" not in str(caught.value)


def test_a_small_list_of_a_thousand_million_boards_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FLEET_BOARDS", 1000)
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int32()), pa.array(["a" * 1000]))
    pq.write_table(pa.table({"board": rows, "path": rows}), tmp_path / "list.parquet")
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *a, **k: pytest.fail("it was read"))
    with pytest.raises(InputError, match="5,000 rows"):
        boards_of([tmp_path / "list.parquet"])


def test_a_script_that_its_own_workers_run_again_is_told_what_to_do(tmp_path):
    (tmp_path / "board.bin").write_bytes(bytes(range(256)) * 64)
    script = tmp_path / "lot.py"
    script.write_text("import h5diag as h5\nh5.fleet(['board.bin'], out='out', workers=1)\n")
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode != 0
    assert "__main__" in done.stderr.strip().splitlines()[-1]
