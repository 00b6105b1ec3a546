"""The one door for files that strangers wrote: every read of evidence goes through it, and so does every write beside it.

In: regular files only (a pipe would hang, a device never ends), no link that leaves the case folder (it could show a
private file of the user), never more than the limit of the file's kind. Out: whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from h5diag.errors import InputError
from h5diag.limits import FOLDER_BYTES, FOLDER_DEPTH, FOLDER_FILES, HEAD, Limit
from h5diag.memory import release
from h5diag.text import size_text

_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
# O_NONBLOCK: opening a pipe without a writer returns at once, and the look at its kind refuses it.


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """A file as it was read, once.

    Parameters
    ----------
    name
        The last part of its path.
    path
        As it was given, for messages.
    size, sha256
        Of the bytes that were read.
    data
        The bytes; of a file that is mapped the first `HEAD`.
    inside
        The folder that it had to lie in, None when the person named the file; what belongs to it (a sidecar) must
        lie there too.
    mapped
        All bytes of a file that is larger than its limit reads into memory; None of any other.
    """

    name: str
    path: Path
    size: int
    sha256: str
    data: bytes = field(repr=False, compare=False)
    inside: Path | None = None
    mapped: mmap.mmap | None = field(default=None, repr=False, compare=False)


Source = str | os.PathLike[str] | EvidenceFile
"""What readers of evidence take: a path, or a file that was opened already."""


def read_evidence(
    path: Source, *, limit: Limit, inside: Path | None = None, may_be_empty: bool = False
) -> EvidenceFile:
    """Return a stranger's file, read once and whole.

    Parameters
    ----------
    path
        A regular file that is not empty unless it `may_be_empty`. One that was opened already is returned as it is,
        held against `limit`.
    limit
        The most that is taken of its kind, from `h5diag.limits`.
    inside
        The folder that it must lie in once all links are followed; None where the person named the file.

    Raises
    ------
    InputError
        Naming the file and what to do, when it is anything else, is larger than `limit`, or cannot be read.
    """
    if isinstance(path, EvidenceFile):
        if path.size > limit.size:
            raise _too_large(str(path.path), limit, path.size)
        _count_lines(str(path.path), limit, path.data)
        return path
    path = Path(path)
    source = str(path)
    try:
        real, folder = _real(path, inside)
        if real.is_dir():  # some systems refuse to open a folder before its kind can be seen
            raise InputError("is a folder", source=source, advice="name a file in it")
        descriptor = _descriptor(real, folder)
        with open(descriptor, "rb", buffering=0) as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise InputError(
                    f"is {_kind(status.st_mode)}, no regular file", source=source, advice="copy it into a file first"
                )
            if status.st_size > limit.size:
                raise _too_large(source, limit, status.st_size)
            if 0 < limit.mapped < status.st_size:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
                mapped = mmap.mmap(descriptor, status.st_size, access=mmap.ACCESS_READ)
                return EvidenceFile(path.name, path, len(mapped), digest, mapped[:HEAD], inside, mapped)
            data = _whole(stream, limit.size + 1, status.st_size)
    except FileNotFoundError:
        raise InputError("there is no such file", source=source) from None
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        reason = error.strerror if isinstance(error, OSError) else "its links run in a circle"
        raise InputError(f"cannot be read ({reason or error})", source=source) from None
    except ValueError:
        raise InputError("is no file name", source=source) from None
    if len(data) > limit.size:
        raise _too_large(source, limit, len(data))
    if not data and not may_be_empty:
        raise InputError("is empty", source=source, advice="read or copy it again")
    _count_lines(source, limit, data)
    return EvidenceFile(path.name, path, len(data), hashlib.sha256(data).hexdigest(), data, inside)


def whole(file: EvidenceFile) -> EvidenceFile:
    """Return a file with all its bytes in memory, for the readers of formats that are no plain binary."""
    if file.mapped is None:
        return file
    copy = replace(file, data=file.mapped[:], mapped=None)
    release(file.mapped)  # or the file lies in memory twice while it is read
    return copy


def is_evidence(path: str | os.PathLike[str]) -> bool:
    """Tell whether a regular file stands at `path`, links followed; false for a name that no file can have."""
    return os.path.isfile(path)


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Tell whether a folder stands at `path`, links followed; false for a name that no folder can have."""
    return os.path.isdir(path)


def is_there(path: str | os.PathLike[str]) -> bool:
    """Tell whether anything stands at `path`, links followed; false for a name that nothing can have."""
    return os.path.exists(path)


def real_path(path: str | os.PathLike[str]) -> Path:
    """Return where a path leads, all links followed; one that runs in a circle, or cannot be one, as far as it goes."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        return Path(path)


def names_in(folder: str | os.PathLike[str]) -> set[str]:
    """Return the names of what stands in a folder, hidden ones too; OSError when it cannot be listed."""
    try:
        return set(os.listdir(folder))
    except ValueError:  # a NUL in its name
        raise FileNotFoundError(2, "is no name of a folder", str(folder)) from None


def walk_evidence(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the files of a folder and of those in it, sorted, hidden ones and other case folders left out.

    Links are not followed into folders; a link to a file is yielded, for `read_evidence` to refuse with its name.

    Raises
    ------
    InputError
        When the folder cannot be listed, or holds more than `FOLDER_FILES` files, `FOLDER_BYTES` bytes or
        `FOLDER_DEPTH` folders in each other.
    """
    top, files, size = Path(folder), 0, 0

    def refuse(error: OSError) -> None:
        raise InputError(f"cannot be listed ({error.strerror or error})", source=str(error.filename or top)) from None

    for at, folders, names in os.walk(top, onerror=refuse):
        if len(Path(at).parts) - len(top.parts) > FOLDER_DEPTH:
            raise InputError(
                f"folders more than {FOLDER_DEPTH} deep are no evidence of a case",
                source=str(top),
                advice="name the files that matter",
            )
        if "case.toml" in names and Path(at) != top:
            folders.clear()
            continue
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(n for n in names if not n.startswith(".")):
            path = Path(at, name)
            with contextlib.suppress(OSError):
                size += path.lstat().st_size
            files += 1
            if files > FOLDER_FILES or size > FOLDER_BYTES:
                raise InputError(
                    f"more than {FOLDER_FILES} files or {FOLDER_BYTES >> 30} GiB are no evidence of a case",
                    source=str(top),
                    advice="name the files that matter",
                )
            yield path


def folder_names(folder: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the names in a folder, sorted; none where it cannot be listed or is no folder."""
    try:
        return tuple(sorted(os.listdir(folder))[:FOLDER_FILES])
    except OSError:
        return ()


Content = bytes | str | Callable[[BinaryIO], None]
"""What is written: bytes, a text (as UTF-8, its line ends as they are), or what writes into a stream."""


def write_whole(path: str | os.PathLike[str], data: Content, *, private: bool = False, new: bool = False) -> Path:
    """Write a file whole or not at all, and return its path: what stood there before stays until the end.

    Parameters
    ----------
    path
        Where.
    private
        Readable by the user alone, for keys.
    new
        Refuse to replace what is there already.

    Raises
    ------
    InputError
        When it cannot be written; nothing is left beside it.
    """
    return write_together([(Path(path), data)], private=private, new=new)[0]


def write_together(
    files: Sequence[tuple[Path, Content]], *, private: bool = False, new: bool = False
) -> tuple[Path, ...]:
    """Write files that belong to each other (a dump and its sidecar), none before all lie whole beside their places.

    Parameters and errors as of `write_whole`; a content that is a function is asked in the order of `files`.
    """
    import tempfile

    parts: list[tuple[str, Path]] = []
    at = files[0][0]
    try:
        for at, data in files:
            if new and os.path.lexists(at):
                raise FileExistsError(17, "it is there already", str(at))
            if at.exists() and not at.is_file():  # /dev/stdout takes bytes and can be no other file's new name
                with at.open("wb") as stream:  # a folder raises here
                    _put(stream, data)
                continue
            # A name of its own: two writers at once never share a half of a file.
            descriptor, part = tempfile.mkstemp(prefix=f".{at.name[:40]}.", suffix=".part", dir=at.parent)
            parts.append((part, at))
            with open(descriptor, "wb") as stream:
                _put(stream, data)
                stream.flush()
                os.fsync(descriptor)  # a rename may reach the disk before the bytes do
            if not private:
                Path(part).chmod(_usual_mode(at))
        for part, at in parts:
            Path(part).replace(at)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        reason = error.strerror if isinstance(error, OSError) else "is no file name"
        raise InputError(f"cannot be written ({reason or error})", source=str(at)) from None
    finally:
        for part, _ in parts:
            with contextlib.suppress(OSError):
                Path(part).unlink()
    return tuple(path for path, _ in files)


def _put(stream: BinaryIO, data: Content) -> None:
    """A text may carry bytes of a file name that are no UTF-8; they are written as they came."""
    if callable(data):
        data(stream)
    else:
        stream.write(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder, and those above it, where there is none, and return it; InputError when it cannot be made."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or "no name of a folder"
        raise InputError(f"cannot be written ({reason})", source=str(path)) from None
    return Path(path)


def remove_written(path: str | os.PathLike[str]) -> None:
    """Remove a file that h5diag wrote, if it is there; InputError when it stays."""
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"cannot be removed ({error.strerror or error})", source=str(path)) from None


def _usual_mode(path: Path) -> int:
    """What the older file has, or what any new file gets."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _real(path: Path, inside: Path | None) -> tuple[Path, Path | None]:
    """Return where a path and its folder lead; a path that the person named is left as it is."""
    if inside is None:
        return path, None
    real, folder = path.resolve(), inside.resolve()
    if not real.is_relative_to(folder):
        what = "is a link that leaves the case folder" if path.is_symlink() else "lies outside the case folder"
        raise InputError(what, source=str(path), advice="copy the file itself into the folder")
    return real, folder


def _descriptor(real: Path, folder: Path | None) -> int:
    """Open a file step by step from its folder down: a link that is put in the way after the look is not followed."""
    nofollow = getattr(os, "O_NOFOLLOW", 0)
    if folder is None or os.open not in os.supports_dir_fd:
        return os.open(real, _OPEN | (nofollow if folder else 0))
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in real.relative_to(folder).parts[:-1]:
            above, at = at, os.open(part, os.O_RDONLY | os.O_DIRECTORY | nofollow, dir_fd=at)
            os.close(above)
        return os.open(real.name, _OPEN | nofollow, dir_fd=at)
    finally:
        os.close(at)


def _whole(stream: object, most: int, expected: int) -> bytes:
    """Read to the end or to `most` bytes; a file may be longer than it said (it grows, or a system invents it)."""
    read = stream.read  # type: ignore[attr-defined]
    parts, left = [], most
    while left and (chunk := read(min(left, max(expected + 1, 1 << 16)))):
        parts.append(chunk)
        left -= len(chunk)
    return b"".join(parts)


def _too_large(source: str, limit: Limit, size: int) -> InputError:
    return InputError(
        f"is too large for {limit.what} ({size:,} bytes; {size_text(limit.size)} at most)",
        source=source,
        advice=limit.advice,
    )


_ENDS = (b"\n", b"\r", b"\v", b"\f", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9")


def _count_lines(source: str, limit: Limit, data: bytes) -> None:
    if not limit.lines:
        return
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.replace(b"\0", b"")
    count = sum(map(data.count, _ENDS)) - data.count(b"\r\n")
    if count > limit.lines:
        raise InputError(
            f"has too many lines for {limit.what} ({count:,}; {limit.lines:,} at most)",
            source=source,
            advice=limit.advice,
        )


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder"))
    return next((word for test, word in kinds if test(mode)), "a device")
