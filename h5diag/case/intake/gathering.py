"""The files that are handed over: folders searched through, archives looked into, each told once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from h5diag.case.intake.kinds import TEXT_ROLES, Evidence, FileRole, parse_name, tell
from h5diag.errors import InputError
from h5diag.evidence.archives import archived_files, is_archive
from h5diag.evidence.door import EvidenceFile, is_evidence, is_folder, read_evidence, real_path, walk_evidence, whole
from h5diag.evidence.files import is_text, sidecar_path
from h5diag.limits import CASE_BYTES, CASE_TEXTS, DUMP, FOLDER_FILES, HEAD, SORTED_TEXTS
from h5diag.text import size_text

Paths = Iterable[str | os.PathLike[str]]


def read_files(
    paths: Sequence[str | os.PathLike[str]], known: Collection[Path], *marked: Paths
) -> tuple[list[Evidence], int, tuple[frozenset[Path], ...]]:
    """Return what each file is that is not known yet, and how many there were; one that cannot be read says why.

    `marked` are groups of further files and folders of which the person says something: the last that is returned are
    their files, by where they really are.
    """
    out, count, sizes = [], 0, Counter[str]()
    groups = [[row for given in group for row in _walked(Path(given))] for group in marked]
    for path, label, inside in _gathered(paths, [row for group in groups for row in group]):
        if real_path(path) in known:
            continue
        try:
            read = read_evidence(path, limit=DUMP, inside=inside)
            files = archived_files(whole(read)) if is_archive(read) else [read]
        except InputError as error:
            if error.problem == "there is no such file":
                raise
            files = []
            out.append(_unusable(path, label, error))
        members = dict(zip((f.path for f in files), _unwrapped([f.path.relative_to(path) for f in files]), strict=True))
        sidecars = {f.path: f for f in files if len(files) > 1 and f.name.endswith(".map.json")}
        count += max(1, len(files))
        for file in files:
            beside = sidecars.get(sidecar_path(file.path))
            if file.path in sidecars and any(sidecar_path(f.path) == file.path for f in files):
                continue
            name = label if file is read else _within(label, members[file.path])
            try:
                if is_text(file.data[:HEAD]):
                    _add(sizes, "texts that are looked at", file, SORTED_TEXTS)
                e = tell(file, parse_name(name), beside)
                if e.role in TEXT_ROLES:
                    _add(sizes, "texts of the case", file, CASE_TEXTS)
                elif e.file is not None:
                    _add(sizes, "files of the case", file, CASE_BYTES)
                out.append(e)
            except InputError as error:
                out.append(_unusable(file.path, name, error))
    return out, count, tuple(frozenset(real_path(path) for path, _ in group) for group in groups)


def _add(sizes: Counter[str], what: str, file: EvidenceFile, most: int) -> None:
    """Count a file of a kind; InputError where there are too many of it: what is sorted can be diagnosed."""
    if sizes[what] + file.size > most:
        raise InputError(f"it makes the {what} larger than {size_text(most)}", source=str(file.path))
    sizes[what] += file.size


def _within(archive: Path, member: Path) -> Path:
    """Return the path that a file's name is told from: its archive and its first folder in it stand for one folder."""
    return Path(" ".join((archive.stem, *member.parts[:-1][:1]))) / member.name


def _unusable(path: Path, label: Path, error: InputError) -> Evidence:
    at = f"{error.place}: " if error.place else ""
    return Evidence(path, FileRole.NONE, f"cannot be used: {at}{error.problem}", parse_name(label))


def _walked(given: Path) -> Iterator[tuple[Path, Path | None]]:
    """Yield each file that was given, a folder searched through, with the folder that it may not leave."""
    inside = given if is_folder(given) else None
    for path in walk_evidence(given) if inside else (given,):
        if path.name != "case.toml" and not _is_attached(path):
            yield path, inside


def _gathered(
    paths: Sequence[str | os.PathLike[str]], more: Sequence[tuple[Path, Path | None]]
) -> list[tuple[Path, Path, Path | None]]:
    """Return each file once with the path that its name is told from and the folder it may not leave, by name."""
    found: dict[Path, tuple[Path, Path, Path | None]] = {}
    # A single file's folder tells something only where the files come from several folders.
    several = len({Path(p).parent for p in paths} | {path.absolute().parent for path, _ in more}) > 1
    for given in map(Path, paths):
        walked = list(_walked(given))
        inner = _unwrapped([path.relative_to(given) if inside else _telling(path, several) for path, inside in walked])
        for (path, inside), label in zip(walked, inner, strict=True):
            found.setdefault(path.absolute(), (path, label, inside))
            _count(found, given)
    for path, inside in more:
        found.setdefault(path.absolute(), (path.absolute(), _telling(path.absolute(), several), inside))
        _count(found, path)
    return sorted(found.values(), key=lambda row: str(row[1]))


def _unwrapped(labels: list[Path]) -> list[Path]:
    """Return paths without the folders that are around all of them, as long as there are folders inside to tell apart."""
    while (
        len({p.parts[:1] for p in labels}) == 1
        and any(len(p.parts) > 2 for p in labels)
        and all(len(p.parts) > 1 for p in labels)
    ):
        labels = [Path(*p.parts[1:]) for p in labels]
    return labels


def _count(found: Collection[Path], given: Path) -> None:
    if len(found) > FOLDER_FILES:
        raise InputError(f"more than {FOLDER_FILES} files", source=str(given), advice="name the files that matter")


def _telling(path: Path, several: bool) -> Path:
    return Path(path.parent.name) / path.name if several and path.parent.name else Path(path.name)


def _is_attached(path: Path) -> bool:
    return path.name.endswith(".map.json") and is_evidence(str(path).removesuffix(".map.json"))
