"""Many boards at once, on Dask: every dump's sectors hashed, each distinct content judged once, a row for every board.

A board is judged by the same `diagnose` as a single case. What was done is kept in parts beside the result, so that a
run that was stopped goes on where it was; a board whose file cannot be read is a row with the reason.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from h5diag.answer import Answer, views
from h5diag.case.case import Case, CaseBoard, DumpFile
from h5diag.chip import Chip, ChipChoice, choose_chip
from h5diag.errors import H5DiagError, InputError
from h5diag.evidence.door import is_evidence, is_folder, make_folder, names_in, read_evidence, real_path, write_whole
from h5diag.evidence.files import Kind, read_image, read_sidecar, sidecar_path
from h5diag.evidence.files.kind import SUFFIXES
from h5diag.judge.control import ControlChart, control_chart
from h5diag.judge.diagnosis import diagnose
from h5diag.layout import chip_and_layout
from h5diag.limits import FLEET_BOARDS, LONGEST_NAME, MEMORY, TEXT, Limit
from h5diag.measure.stretches import sector_begins
from h5diag.memory import MemoryImage
from h5diag.text import count_text

BATCH = 64
"""Boards that one task hashes: long enough that a task is worth its way to the worker."""

HASH = 16
Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class BoardFile:
    """A board of the lot, the file of its dump, and when it was made or read where a list tells it (ISO 8601).

    `size` is that of its file, and `state` changes when the file or its sidecar does: both as it was listed.
    """

    name: str
    path: str
    time: str | None = None
    size: int = 0
    state: str = ""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Boards that deviate in the same sectors: how many, the sectors, what the verdict on them says, an example."""

    boards: int
    sectors: tuple[int, ...]
    verdicts: tuple[str, ...]
    causes: tuple[str, ...]
    example: str

    @property
    def is_outlier(self) -> bool:
        """Whether it is one board alone that deviates."""
        return self.boards == 1 and bool(self.sectors)


@dataclass(frozen=True, slots=True)
class Fleet(Answer):
    """What was found about a lot of boards.

    Parameters
    ----------
    boards, failed
        How many there are, and how many of them could not be read.
    distinct_sectors, distinct_contents
        Different sectors over all boards, and different contents that were judged.
    clusters
        Boards that deviate in the same sectors, most boards first.
    sectors
        Canonical address and number of boards that deviate there, most first.
    outliers
        Boards of clusters of their own.
    reference
        What they were held against.
    table
        The Parquet file with a row for each board.
    choice
        The chip by whose sectors the lot was cut, and how it is known.
    chart
        Whether the share of boards that are not like most stays what it was; None for a lot that is too small.
    """

    boards: int
    failed: int
    distinct_sectors: int
    distinct_contents: int
    clusters: tuple[Cluster, ...]
    sectors: tuple[tuple[int, int], ...]
    outliers: tuple[str, ...]
    reference: str
    table: str
    choice: ChipChoice
    chart: ControlChart | None = None

    def redacted(self) -> Fleet:
        """Return it without names of boards and files: `example` and `outliers` count clusters."""
        return replace(
            self,
            clusters=tuple(replace(c, example=f"a board of cluster {n}") for n, c in enumerate(self.clusters, 1)),
            outliers=tuple(f"the board of cluster {n}" for n, c in enumerate(self.clusters, 1) if c.is_outlier),
            reference="(removed)",
            table="(removed)",
        )

    def write_up(self, path: str | Path, *, redact: bool = False) -> Path:
        """Write it to one ``.html`` or ``.md`` file for a colleague; with `redact` no name of a board or file."""
        written: Path = views().write_up(self, path, redact=redact)
        return written


def boards_of(paths: Sequence[str | Path | BoardFile]) -> tuple[BoardFile, ...]:
    """Return the boards of folders and lists, with the state of their files.

    Parameters
    ----------
    paths
        A folder with a folder for each board, a folder of image files that are a board each, one image file, or a list:
        ``.csv`` or ``.parquet`` with the columns ``board`` and ``path``, and ``time`` where it is known; or a board
        that was listed already.

    Raises
    ------
    InputError
        When a path is none of these, or holds no board.
    """
    out: list[BoardFile] = []
    for given in paths:
        path = Path(given.path if isinstance(given, BoardFile) else given)
        if isinstance(given, BoardFile):
            out.append(given)
        elif path.suffix.lower() in (".csv", ".parquet"):
            out += _listed(path)
        elif is_folder(path):
            inside = [path / n for n in sorted(names_in(path)) if not n.startswith(".")]
            for p in inside:
                images = [p / n for n in sorted(names_in(p)) if _is_image(Path(n))] if is_folder(p) else []
                if images:
                    out.append(_as_it_is(p.name, images[0]))
                elif _is_image(p):
                    out.append(_as_it_is(p.stem, p))
        elif is_evidence(path):
            out.append(_as_it_is(path.stem, path))
        else:
            raise InputError("there is no such file or folder", source=str(path))
    if not out:
        raise InputError("holds no board", source=str(paths[0]), advice="a folder for each board with its dump in it")
    return tuple(out)


def _is_image(path: Path) -> bool:
    return SUFFIXES.get(path.suffix.lower(), Kind.TEXT) is not Kind.TEXT


def _listed(path: Path) -> Iterator[BoardFile]:
    if path.suffix.lower() == ".csv":
        text = read_evidence(path, limit=TEXT).data.decode("utf-8-sig", "replace")
        rows: Iterator[dict[str, Any]] = csv.DictReader(io.StringIO(text))
    else:
        rows = _parquet_rows(path, TEXT, ["board", "path", "time"], most=FLEET_BOARDS)
    folder = real_path(path.parent)
    try:
        for number, row in enumerate(rows, 2):
            name, where = row.get("board"), row.get("path")
            if not name or not where or not isinstance(name, str) or not isinstance(where, str):
                raise InputError(f"row {number} lacks board or path", source=str(path), advice="columns: board, path")
            if number - 2 >= FLEET_BOARDS:
                raise InputError(f"more than {FLEET_BOARDS} boards", source=str(path), advice="split the list")
            if not real_path(path.parent / where).is_relative_to(folder):
                # A list that somebody mailed names no file of the person's own.
                raise InputError(
                    f"row {number} names a file outside of the list's folder",
                    source=str(path),
                    advice="put the list into the folder that holds the boards",
                )
            yield _as_it_is(name[:LONGEST_NAME], path.parent / where, _utc(row.get("time")))
    except (csv.Error, OSError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"is no list of boards ({error})", source=str(path), advice="columns: board, path") from None


def _utc(time: object) -> str | None:
    """Return a time as ISO 8601 in UTC to the second; None for what is no time. One without a zone is taken as UTC."""
    try:
        time = datetime.fromisoformat(time.strip()) if isinstance(time, str) else time
        if isinstance(time, datetime):
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        pass
    return None


def _parquet_rows(path: Path, limit: Limit, columns: list[str] | None = None, *, most: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of a Parquet file, a few at a time: a small file may say that it holds a thousand million."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = read_evidence(path, limit=limit).data
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        if file.metadata.num_rows > most:
            raise InputError(f"says that it holds {file.metadata.num_rows:,} rows", source=str(path))
        for batch in file.iter_batches(batch_size=16, columns=columns):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError, TypeError, MemoryError) as error:
        text = " ".join(str(error).split())[:200]
        raise InputError(f"is no Parquet file that can be used ({text})", source=str(path)) from None


def chip_of_lot(boards: Sequence[BoardFile], reference: str | Path | None, chip: str, layout: str | None) -> ChipChoice:
    """Return the chip as which a lot is cut into sectors: given, noted beside one of its dumps, the layout's, assumed."""
    paths = (*([str(reference)] if reference is not None else []), *(b.path for b in boards))
    noted = next((name for p in paths if (name := _noted(p))), None)
    return chip_and_layout(choose_chip(given=chip, sidecars=[noted]), layout)[0]


def _noted(path: str) -> str | None:
    try:
        return read_sidecar(path).chip
    except InputError:
        return None  # said in the board's own row


def hashed(boards: Sequence[BoardFile], chip: Chip) -> list[dict[str, Any]]:
    """Return a row for each board: addresses and hashes of its sectors, or why it cannot be read. Runs on a worker."""
    rows = []
    for b in boards:
        row: dict[str, Any] = {"board": b.name, "path": b.path, "stamp": f"{b.state} {chip.name}", "error": None}
        row["time"] = _written(b.state)
        try:
            image = read_image(b.path)
            row["time"] = _utc(image.origin.time) or row["time"]
            addresses, hashes = _sectors(image, chip)
            row |= {"addresses": addresses.tobytes(), "hashes": hashes}
        except H5DiagError as error:
            row |= {"addresses": b"", "hashes": b"", "error": str(error)}
        rows.append(row)
    return rows


def _as_it_is(name: str, path: Path, time: str | None = None) -> BoardFile:
    """Return a board with the state of its file, asked once, without reading it; no state where that cannot be told."""
    try:
        status, beside = path.stat(), sidecar_path(path)
        noted = f" {beside.stat().st_mtime_ns}" if is_evidence(beside) else ""
    except (OSError, ValueError):
        return BoardFile(name, str(path), time)
    return BoardFile(name, str(path), time, status.st_size, f"{status.st_size} {status.st_mtime_ns}{noted}")


def _written(state: str) -> str:
    """Return when a file was last written; the first of all times where that cannot be told."""
    try:
        return str(_utc(datetime.fromtimestamp(int(state.split()[1]) / 1e9, UTC)))
    except (IndexError, OSError, ValueError, OverflowError):
        return str(_utc(datetime.fromtimestamp(0, UTC)))


def _sectors(image: MemoryImage, chip: Chip) -> tuple[npt.NDArray[np.uint64], bytes]:
    """Return the canonical address of each sector that holds known bytes, and the hashes one after the other."""
    sector = chip.flash.sector_size
    addresses, hashes = [], []
    for s in image.segments:
        begins = sector_begins(s.start, s.data.size, sector).tolist()
        for at, stop in pairwise([*begins, s.data.size]):
            addresses.append(chip.canonical(s.start + at))
            hashes.append(hashlib.blake2b(s.data[at:stop].data, digest_size=HASH).digest())
    return np.array(addresses, np.uint64), b"".join(hashes)


@lru_cache(maxsize=2)
def _reference(path: str) -> MemoryImage:
    return read_image(path)


def judged(board: BoardFile, reference: str, chip: str, layout: str | None) -> dict[str, Any]:
    """Return the verdict on one board as `diagnose` gives it, in plain values. Runs on a worker."""
    begun = time.monotonic()
    out: dict[str, Any] = {"verdict": None, "causes": [], "summary": "", "error": None}
    good = CaseBoard("reference", (DumpFile(Path(reference).name, _reference(reference)),))
    try:
        suspect = CaseBoard(board.name, (DumpFile(Path(board.path).name, read_image(board.path)),))
        case = Case("fleet", Path(board.path).parent, chip=chip, layout=layout, good=good, suspects=(suspect,))
        verdict = diagnose(case).first.verdict
        causes = [h.cause.id for h in verdict.hypotheses if h.status.value == "supported"]
        out |= {"verdict": verdict.word.value, "causes": causes, "summary": verdict.summary}
    except H5DiagError as error:
        out["error"] = str(error)
    return out | {"seconds": time.monotonic() - begun}


def run_fleet(
    paths: str | Path | Sequence[str | Path | BoardFile],
    out: str | Path,
    *,
    reference: str | Path | None = None,
    scheduler: str | None = None,
    chip: str = "",
    layout: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Fleet:
    """Judge many boards.

    Parameters
    ----------
    paths
        One of what `boards_of` takes, or several.
    out
        Folder for ``boards.parquet``; what is in it already is not done again.
    reference
        A dump of a good board; without it the board whose sectors most others share.
    scheduler
        Address of a Dask scheduler; a local cluster by default.
    chip, layout
        As for a single case: each board is judged as the chip that is given or noted beside its dump.
    workers
        Processes of the local cluster; one for each processor by default.
    progress
        Called with the fraction done and what is being done; first with where Dask's dashboard is.

    Raises
    ------
    InputError
        When Dask or pyarrow is not installed, or there is no board.
    """
    try:
        import pyarrow  # noqa: F401
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError("a fleet needs Dask and pyarrow", advice="pip install 'h5diag[fleet]'") from None
    boards, folder = boards_of([paths] if isinstance(paths, str | Path) else paths), Path(out)
    choice = chip_of_lot(boards, reference, chip, layout)
    make_folder(folder / "parts")
    say = progress or (lambda fraction, text: None)
    cluster = None
    if scheduler is None:
        # A worker that is closed while it speaks is no error that a person should read.
        try:
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
            )
        except RuntimeError:  # a worker runs the script that started it once more, up to this very call
            advice = 'in a script, call it below a line `if __name__ == "__main__":`'
            raise InputError("Dask's workers could not be started", advice=advice) from None
    try:
        with Client(scheduler or cluster) as client:
            if find_spec("bokeh"):  # what Dask draws its dashboard with
                say(0.0, f"Dask's dashboard: {client.dashboard_link}")
            rows = _hash_all(client, boards, folder, choice.read_as, say)
            good = str(reference) if reference is not None else _typical(rows)
            _diagnosed_all(client, rows, folder, choice.read_as, (good, chip, layout), say)
    finally:
        if cluster is not None:
            cluster.close()
    return _summary(rows, folder, good, choice)


def _hash_all(
    client: Any, boards: Sequence[BoardFile], folder: Path, chip: Chip, say: Progress
) -> list[dict[str, Any]]:
    """Return the rows of all boards; those in the parts already, and unchanged since, are not read again."""
    from distributed import as_completed

    known = {(r["board"], r["path"]): r for r in _parts(folder, "sectors")}
    done = [
        r
        for b in boards
        if (r := known.get((b.name, b.path))) is not None and "time" in r and r["stamp"] == f"{b.state} {chip.name}"
    ]
    have = {(r["board"], r["path"]) for r in done}
    left = [b for b in boards if (b.name, b.path) not in have]
    if done:
        say(0.5 * (1 - len(left) / len(boards)), f"{count_text(len(done), 'board')} known already")
    futures = [client.submit(hashed, left[at : at + BATCH], chip, pure=False) for at in range(0, len(left), BATCH)]
    for future in as_completed(futures):
        part = future.result()
        done += part
        _write_part(folder, "sectors", part)
        say(0.5 * len(done) / len(boards), f"{count_text(len(done), 'board')} of {len(boards)} hashed")
    order = {(b.name, b.path): i for i, b in enumerate(boards)}
    listed = {(b.name, b.path): b.time for b in boards if b.time}
    rows = sorted(done, key=lambda r: order[r["board"], r["path"]])
    return [r | {"time": listed.get((r["board"], r["path"]), r["time"])} for r in rows]


def _hashes(row: dict[str, Any]) -> npt.NDArray[np.void]:
    return np.frombuffer(row["hashes"], f"V{HASH}")


def _typical(rows: Sequence[dict[str, Any]]) -> str:
    """Return the file of the board whose sectors most others share."""
    common = Counter(k for r in rows for k in _keys(r))
    readable = [r for r in rows if r["error"] is None]
    if not readable:
        raise InputError("no board can be read", source=str(rows[0]["path"]), advice=str(rows[0]["error"]))
    return str(max(readable, key=lambda r: sum(common[k] for k in _keys(r)))["path"])


def _keys(row: dict[str, Any]) -> list[bytes]:
    """Return address and hash of each sector in one."""
    addresses = np.frombuffer(row["addresses"], np.uint64)
    return [int(a).to_bytes(8, "little") + h.tobytes() for a, h in zip(addresses, _hashes(row), strict=True)]


def _diagnosed_all(
    client: Any, rows: list[dict[str, Any]], folder: Path, cut: Chip, given: tuple[str, str, str | None], say: Progress
) -> None:
    """Add to each row its deviating sectors and the verdict on its content; each content is judged once."""
    from distributed import as_completed

    reference, chip, layout = given
    own = hashed([BoardFile("reference", reference)], cut)[0]
    if own["error"] is not None:
        raise InputError(own["error"])
    home = {k[:8]: k[8:] for k in _keys(own)}
    asked = hashlib.blake2b(json.dumps([b"".join(sorted(home.values())).hex(), chip, layout]).encode(), digest_size=8)
    first: dict[str, BoardFile] = {}
    for r in rows:
        mine = {k[:8]: k[8:] for k in _keys(r)}
        away = sorted(k for k in home.keys() | mine.keys() if home.get(k) != mine.get(k))
        r["sectors"] = [int.from_bytes(k, "little") for k in away]
        content = asked.digest() + r["addresses"] + r["hashes"]
        r["content"] = hashlib.blake2b(content, digest_size=HASH).hexdigest()
        if r["error"] is None:
            first.setdefault(r["content"], BoardFile(r["board"], r["path"]))
    known = {p["content"]: p for p in _parts(folder, "verdicts")}
    left = [(content, board) for content, board in first.items() if content not in known]
    futures = {client.submit(judged, board, reference, chip, layout, pure=False): content for content, board in left}
    waiting: list[dict[str, Any]] = []
    for number, future in enumerate(as_completed(list(futures)), 1):
        known[futures[future]] = future.result() | {"content": futures[future]}
        waiting.append(known[futures[future]])
        if len(waiting) == BATCH or number == len(futures):
            _write_part(folder, "verdicts", waiting)
            waiting = []
        say(0.5 + 0.5 * number / len(futures), f"{number} of {count_text(len(futures), 'content')} judged")
    unread: dict[str, Any] = {"verdict": None, "causes": [], "summary": "", "seconds": 0.0}
    for r in rows:
        r |= {k: v for k, v in known[r["content"]].items() if k != "content"} if r["error"] is None else unread


def _parts(folder: Path, kind: str) -> list[dict[str, Any]]:
    own = [n for n in sorted(names_in(folder / "parts")) if n.startswith(kind) and n.endswith(".parquet")]
    return [row for n in own for row in _parquet_rows(folder / "parts" / n, MEMORY, most=FLEET_BOARDS)]


def _write_part(folder: Path, kind: str, rows: list[dict[str, Any]]) -> None:
    """Write rows whole or not at all: a run that is killed leaves no half of a part."""
    number = sum(1 for n in names_in(folder / "parts") if n.startswith(kind))
    write_whole(folder / "parts" / f"{kind}-{number:06d}.parquet", _parquet(rows))


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue()


def _summary(rows: list[dict[str, Any]], folder: Path, reference: str, choice: ChipChoice) -> Fleet:
    by: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    for r in rows:
        if r["error"] is None:
            by.setdefault(tuple(r["sectors"]), []).append(r)
    ordered = sorted(by.items(), key=lambda e: (-len(e[1]), e[0]))
    clusters = tuple(
        Cluster(
            len(members),
            sectors,
            tuple(sorted({m["verdict"] for m in members if m["verdict"]})),
            tuple(sorted({c for m in members for c in m["causes"]})),
            members[0]["board"],
        )
        for sectors, members in ordered
    )
    number = {sectors: i for i, (sectors, _) in enumerate(ordered)}
    deviating = Counter(a for r in rows if r["error"] is None for a in r["sectors"])
    kept = ("board", "path", "time", "verdict", "causes", "summary", "sectors", "content", "seconds", "error")
    table = [
        {k: r[k] for k in kept} | {"cluster": number[tuple(r["sectors"])] if r["error"] is None else None} for r in rows
    ]
    path = write_whole(folder / "boards.parquet", _parquet(table))
    return Fleet(
        boards=len(rows),
        failed=sum(r["error"] is not None for r in rows),
        distinct_sectors=len({h for r in rows for h in _hashes(r).tolist()}),
        distinct_contents=len({r["content"] for r in rows if r["error"] is None}),
        clusters=clusters,
        sectors=tuple(sorted(deviating.items(), key=lambda e: (-e[1], e[0]))),
        outliers=tuple(c.example for c in clusters if c.is_outlier),
        reference=reference,
        table=str(path),
        choice=choice,
        chart=control_chart([(r["time"], number[tuple(r["sectors"])] != 0) for r in rows if r["error"] is None]),
    )
