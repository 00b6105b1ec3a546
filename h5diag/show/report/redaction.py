"""What leaves the house with ``--redact``: no firmware byte, no id, no name of a person or machine, no path, no key.

One redactor for every way out (HTML, Markdown, JSON, terminal). Two nets. The first, here, replaces what the case
knows to be secret and what looks like it, in every text that goes in; it opens nothing, a `Case` holds all it needs.
The second, `h5diag.show.report.sieve`, reads the finished document as somebody else would.
"""

from __future__ import annotations

import base64
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from h5diag.case import Case
from h5diag.errors import H5DiagError, InputError
from h5diag.evidence.door import EvidenceFile, real_path
from h5diag.evidence.texts import parse_registers
from h5diag.memory import AddressRange, Segment
from h5diag.show.report.sieve import Sieve, make_sieve

SHORTEST_ID = 6
"""Digits of a serial number or unique id: shorter ones are counters and addresses."""

_ID, _PATH_REMOVED, _NAME_REMOVED = "[id removed]", "[path removed]", "[name removed]"
# Every pattern is bounded or stops at a fixed set of characters, and none of its parts can match what the next begins
# with: a text of a megabyte takes time in proportion.
_NAME = r"[^\s\"'<>|:*?;,()\\/]{1,255}"
_FOLDER = r"[^\t\n\r\"'<>|:*?\\/]{1,255}"
"""A folder of Windows may have blanks in its name; that it is one shows by the backslash behind it."""
_PATHS = re.compile(
    r"(?<=[\"'])(?:[A-Za-z]:[\\/]|~?/)[^\"'<>\\/\t\n\r]{1,255}[\\/][^\"'<>\t\n\r]{0,400}(?=[\"'])"
    rf"|(?i:(?<![\w<.&])(?:[A-Z]:)?\\{{0,2}}Users\\{{1,2}}){_NAME}(?:[ ][A-Z][\w-]{{1,64}})?(?:\\{{1,2}}{_NAME}){{0,64}}"
    rf"|(?<![\w<.&])(?:[A-Za-z]:\\{{1,2}}|\\\\)(?:{_FOLDER}(?:/|\\{{1,2}})){{1,64}}(?:{_NAME})?"
    rf"|(?<![\w<.&\\/-])(?:\.\.[\\/]|(?:home|Users)[\\/])(?:{_NAME}[\\/]){{0,64}}(?:{_NAME})?"
    rf"|(?<![\w<.&])(?:file://|[A-Za-z]:/|~?/)(?:{_NAME}[\\/]){{1,64}}(?:{_NAME})?|(?<![\w<.&~])~[\w.-]{{2,64}}/(?:{_NAME})?"
    rf"|(?<![\w<.&])(?:[A-Za-z]:\\|/(?:home|Users|root|tmp|mnt|media|opt|var)/){_NAME}"
)
_PERSON = re.compile(
    r"(?i)(?:/home/|/Users/|\\Users\\|\\Documents and Settings\\|/media/)([^\s\"'<>|:*?;,()\\/]{2,64})"
)
_WHOSE = r"(?:(?:user|log|logon|host|computer|machine)[ _-]?name|(?:sudo_)?user|registered owner|logname|whoami)"
_A_NAME = r"([\w.-]{3,64})"
_WHO = re.compile(
    rf"(?i)\b{_WHOSE}[ \t]?[:=][ \t]{{0,32}}(?:{_A_NAME}\\)?{_A_NAME}|\b(?:logged in as|hostname) {_A_NAME}"
    rf"|\b(?!last ){_A_NAME} login: {_A_NAME}|\bLast login: [^\n]{{1,40}} from {_A_NAME}|\bpassword for {_A_NAME}"
    rf"|(?:\bwhoami|\b(?:log|host)name|\bid -un|\buname -n|(?:\becho |>[ ]?)[$%][\w:]{{1,20}}%?)[ \t]{{0,4}}\r?\n[ \t>]{{0,8}}"
    rf"(?:{_A_NAME}\\)?{_A_NAME}[ \t\r]{{0,4}}$"
    rf"|\b[ug]id=\d{{1,10}}\({_A_NAME}\)|\bLinux {_A_NAME} \d{{1,2}}\.\d[\w.+-]{{0,60}} #\d|^{_A_NAME} +(?:pts/\d{{1,3}}|tty\d) "
    rf"|(?<![\w-])[dl-][rwxst-]{{9}}[.+@]? {{1,8}}\d{{1,6}} {{1,8}}{_A_NAME} {{1,8}}{_A_NAME} "
    rf"|(?<!\w)[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d {_A_NAME} [\w./-]{{1,64}}(?:\[\d{{1,8}}\])?:"
    rf"|(?<![\w.+-]){_A_NAME}@([\w-]{{3,63}})(?:[: ][^\s$#%>]{{0,200}})?[ ]?[$#%>\]](?!\w)",
    re.MULTILINE,
)
"""People and machines: what an environment says, what stands before a prompt, in a list of files, in a system's log,
what a system answers when it is asked who it is."""
_SERIAL = re.compile(
    r"(?i)(?<![^\W_])((?:ST-?LINK[ \t]{0,8}SN|i?serial(?:[ \t]{0,8}(?:no|number|nr))?|S/N|SN|SelectEmuBySN|-usb"
    r"|unique id|UID(?:\d|\[\d\])?|chip id[ \t]{0,8}\(96|MAC(?: address)?|ether\b|HWaddr|IMEI|ICCID|IMSI)"
    r"[ \t.:=#\"'(\[{]{0,32}(?:\n[ \t]{1,32})?)((?=[A-Z_\-]{0,40}\d)[0-9A-Z][0-9A-Z_\-]{4,40}(?![0-9A-Z \t_:,\-])"
    r"|[0-9A-F][0-9A-F xX_:,\-]{4,64}[0-9A-F])(?: ?\(0x[0-9A-F]{4,64}\))?"
)
_ADDRESS, _NAMED = "[address removed]", r"\1[name removed]"
_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_GROUP = r"[0-9A-Fa-f]{1,4}"
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{1,40}-----((?:[^-]|-(?!----)){0,16384})(?:-----END [A-Z0-9 ]{1,40}-----)?")
_LOOKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (_PEM, "[key removed]"),
    (re.compile(r"(\b[a-z][a-z0-9+.-]{1,15}://)[^\s\"'<>]{1,512}"), r"\1[address removed]"),
    (re.compile(r"(\bremote:)(?!localhost\b|HOST\b)[^\s\"'<>]{1,255}"), r"\1[address removed]"),
    (
        re.compile(
            r"(?<![\w.+-])[\w.+-]{1,64}(?:@|%40|[ ]?[\[(]at[\])][ ]?)[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}(?::[^\s\"'<>]{1,255})?"
        ),
        _ADDRESS,
    ),
    (
        re.compile(r"(?<![0-9A-Za-z:-])[0-9A-Fa-f]{2}(?:[:_-][0-9A-Fa-f]{2}){5,10}(?![0-9A-Za-z-]|:[0-9A-Fa-f])"),
        _ADDRESS,
    ),
    (
        re.compile(
            r"(?i)(?<![\w.-])[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}\.(?:com|net|org|io|eu|de|at|ch|fr|it|uk|us|edu|gov|example)(?![\w-])"
            r"|(?<![\w.-])[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.(?:local|lan|corp|intranet|internal|localdomain|fritz\.box)(?![\w-])"
            r"|(?<![0-9A-Za-z-])(?:DESKTOP|LAPTOP|WIN)-[0-9A-Z]{5,15}(?![0-9A-Za-z-])"
        ),
        _NAME_REMOVED,
    ),
    (re.compile(r"(?<![\w.])[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}(?![\w.])"), _ADDRESS),
    (re.compile(r"(?<![\w+])\+\d{1,3}[ ]?[\d(][\d()/ -]{5,20}\d(?!\w)"), _ADDRESS),
    (re.compile(rf"(?<![\w.])(?:{_BYTE}\.){{3}}{_BYTE}(?![\w.])"), _ADDRESS),
    (re.compile(rf"(?<![\w:])::{_GROUP}(?::{_GROUP}){{1,6}}(?![\w:])"), _ADDRESS),
    (
        re.compile(
            rf"(?<![\w:])(?:(?:{_GROUP}:){{7}}{_GROUP}|(?:{_GROUP}:){{1,6}}:(?:{_GROUP}(?::{_GROUP}){{0,5}})?)(?![\w:])"
        ),
        _ADDRESS,
    ),
    (
        re.compile(
            r"(?i)(\b(?:(?:author|committer|(?:signed-off|reviewed|tested|built)[- ]by|operator|tester|technician|engineer|from)"
            r"[ \t]?:|user\.name(?:[ \t]?=|\r?\n))[ \t]?)[^\n<\[\"]{1,128}"
        ),
        _NAMED,
    ),
    (
        re.compile(
            r"(?i)(\b(?:CN|OU|O|ST|L|DC|GN|SN|UID|givenName|surname|emailAddress|serialNumber)[ \t]?=[ \t]?)[^,;/\n\"<>]{1,128}"
        ),
        _NAMED,
    ),
    (re.compile(r"(?i)(\b(?:subject|issuer)(?: alternative name)?[ \t]?[:=][ \t]?)[^\n\"<>]{1,256}"), _NAMED),
    (re.compile(r"(\b(?:DNS|URI|DirName|othername):)[^\s,\"<>]{1,256}"), _NAMED),
    (
        re.compile(
            rf"(?i)(\b(?:{_WHOSE}|host|computer|machine)[ \t]?[:=][ \t]{{0,32}})(?!\[name removed\])[^\s\"<>]{{1,256}}"
        ),
        _NAMED,
    ),
    (
        re.compile(
            r"(?i)(\b[eb]?ssid[ \t]{0,4}[:=][ \t]{0,4}|\bwi-?fi network[ \t]{1,4})"
            r"(?:\"[^\"\n<>]{1,64}|'[^'\n<>]{1,64}|[^\s\"'<>,;][^\n\"'<>,;]{0,63})"
        ),
        _NAMED,
    ),
    (
        re.compile(
            r"(?i)(\b(?:obk|key|otp)[^\n:=]{0,24}[:=][ \t]{0,4}|\b0x0[BF]FD[0-9A-F]{4}[ \t]{0,4}[:=][ \t]{0,4})"
            r"(?:0x)?[0-9A-F]{2}(?:[ ,:_-]{0,2}(?:0x)?[0-9A-F]{2}){3,4096}(?![0-9A-Z])"
        ),
        r"\1[bytes removed]",
    ),
    (
        re.compile(
            r"(?i)((?:\b|-|_)(?:(?:ssh)?pass(?:word|phrase|wd)?|pwd|psk|secret|token|(?:api|access|private)[-_ ]?key)"
            r"(?:_\w{1,40})?[\"']?"
            r"(?:[ \t]{1,4}value=|[ \t]{0,4}(?:[:=]|(?<=-pwd )|(?<=-password )|is |>)[ \t]{0,4}(?:\n[ \t]{1,16})?))"
            r"(?:\"[^\"\n<>]{1,256}|'[^'\n<>]{1,256}|[\"']?[^\s\"'<>]{1,256})"
        ),
        r"\1[secret removed]",
    ),
    (re.compile(r"(?i)(\b(?:bearer|basic|ssh-[a-z0-9-]{2,20})[ \t]{1,4})[\w.+/=~-]{8,2048}"), r"\1[secret removed]"),
    (
        re.compile(
            r"(?i)((?<!\w)(?:--?token|--?user|-u|sshpass -p|passw(?:or)?d[ \t])[ \t]{1,4})[^\s\"'<>;,-][^\s\"'<>;,]{0,255}"
        ),
        r"\1[secret removed]",
    ),
    (
        re.compile(
            r"\beyJ[\w-]{8,2048}(?:\.[\w-]{1,4096}){1,4}|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\b(?:gh[pousr]_|glpat-|xox[abprs]-)[\w-]{8,255}"
        ),
        "[secret removed]",
    ),
    (re.compile(r"(?i)(\bset[ ]\"?\w{0,40}(?:pass|pwd|secret|token)\w{0,40}=)[^\n\"<>]{1,256}"), r"\1[secret removed]"),
    (re.compile(r"(?i)(\bpin[ \t]?[:=][ \t]?)\d{4,12}(?!\w)"), r"\1[secret removed]"),
)
_LONG_HEX = re.compile(
    r"(?<![0-9A-Za-z])(?:0[xX])?[0-9A-Fa-f]{2}(?:[ ,:\-]{0,2}(?:0[xX])?[0-9A-Fa-f]{2}){11,}(?![0-9A-Za-z])"
)
_ARRAY = re.compile(
    r"(?:\\x[0-9A-Fa-f]{2}[^\s\\\"']{0,3}|\\[nrt0abfv]){6,}|(?<![0-9A-Za-z])S[0-9](?:[0-9A-Fa-f]{2}){6,}(?![0-9A-Za-z])"
    r"|(?<![0-9A-Za-z])0[xX][0-9A-Fa-f]{2}(?:[uU]?,\s{0,80}0[xX][0-9A-Fa-f]{2}){7,}(?![0-9A-Za-z])"
    r"|(?<![\w.])\d{1,3}(?:,[ \t]{0,8}\d{1,3}){15,}(?![\w.])"
)
"""Bytes as a program has them: eight escapes or 0x.., sixteen decimal numbers; over line ends too."""
"""Twelve bytes and more: a unique id, a key, a password's hash, the content of an OBK."""
_WORDS = re.compile(
    r"(?<![0-9A-Za-z])(?:0[xX])?[0-9A-Fa-f]{8}[uUlL]{0,3}(?:[\s,;]{1,8}(?:0[xX])?[0-9A-Fa-f]{8}[uUlL]{0,3}){2,}(?![0-9A-Za-z])"
)
"""Three words of 32 bits and more, as C and memory views have them."""
_PLACES = frozenset(
    (*range(0x08, 0x10), 0x20, 0x30, 0x40, 0x42, 0x44, 0x46, 0x48, 0x50, 0x52, 0x54, 0x56, 0x58, 0x60, 0x70, 0x90, 0xE0)
)
"""How addresses of flash, RAM, peripherals, external memory and the core begin: of three words of a key all do once in
a thousand times."""
_LONG_BASE64 = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/_-]{22,}={0,2}(?![A-Za-z0-9+/=_-])")
"""Sixteen bytes and more in base64: a key, a certificate, a token; a name has no small and large letters and digits mixed."""


@dataclass(frozen=True, slots=True)
class Redactor:
    """Takes secrets out of texts.

    Parameters
    ----------
    paths, secrets
        What the case knows: whole paths first, for a name that is taken out of the middle of one would leave the rest.
    kept
        Long runs of hex digits that may stay: the hashes of the case's files.
    sieve
        Knows the firmware.
    seen, seen_plain
        What became of each text already: most of what is said of a hundred boards is said of each.
    """

    paths: _Known
    secrets: _Known
    kept: frozenset[str]
    sieve: Sieve
    seen: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    seen_plain: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def text(self, text: str) -> str:
        """Return a text without known secrets, paths, names, addresses, passwords, ids and long runs of bytes."""
        if (known := self.seen.get(text)) is None:
            known = self.seen[text] = self._without_secrets(text)
        return known

    def _without_secrets(self, text: str) -> str:
        text = _PATHS.sub(_PATH_REMOVED, self.paths.without(text))
        text = self.secrets.without(text)
        text = _SERIAL.sub(lambda m: m[1] + _ID, text)
        for pattern, word in _LOOKS:
            text = pattern.sub(word, text)
        text = _ARRAY.sub("[bytes removed]", text)
        text = _LONG_BASE64.sub(lambda m: "[bytes removed]" if _mixed(m[0]) else m[0], text)
        for pattern in (_WORDS, _LONG_HEX):
            text = pattern.sub(lambda m: m[0] if self._stays(m[0]) else "[bytes removed]", text)
        return text

    def _stays(self, run: str) -> bool:
        """A hash of the case's files stays, and so does a list of addresses."""
        return run.lower() in self.kept or all(
            re.fullmatch(r"0[xX][0-9A-Fa-f]{8}", w) and int(w[2:4], 16) in _PLACES for w in re.split(r"[\s,;]+", run)
        )

    def plain(self, text: str) -> str:
        """Return a text for the terminal or a value of a JSON document: no secret, and no firmware byte spelled."""
        if (known := self.seen_plain.get(text)) is None:
            known = self.seen_plain[text] = self.sieve.without_spelled(self.text(text))
        return known

    def value(self, value: Any) -> Any:
        """Return a JSON document with every text in it cleaned, keys too."""
        if isinstance(value, str):
            return self.plain(value)
        if isinstance(value, Mapping):
            return {self.plain(str(k)): self.value(v) for k, v in value.items()}
        return [self.value(v) for v in value] if isinstance(value, list | tuple) else value

    def document(self, text: str) -> str:
        """Return a finished HTML or Markdown document that spells no firmware byte."""
        return self.sieve.document(text)


def make_redactor(case: Case, *, uid_at: int | None = None) -> Redactor:
    """Return the redactor of a case: it knows the firmware, the ids and the paths of its evidence.

    Parameters
    ----------
    case
        Everything that may be quoted.
    uid_at
        Where the chip keeps its unique id; words that registers or dumps show there are taken out.
    """
    boards = (case.good, *case.suspects)
    images = [d.image for b in boards for d in (*b.dumps, *b.later)]
    keys = (*case.verify_keys, *case.decrypt_keys)
    blobs = [s.data for image in (*images, *(i.image for i in case.images)) for s in image.segments]
    blobs += [np.frombuffer(k, np.uint8) for k in _key_bytes(keys)]
    secrets = {key.name.lower(): "[key]" for key in keys}
    folders = [case.folder, real_path(case.folder), Path.cwd()]
    names = {platform.node().lower()}
    try:
        folders.append(Path.home())
        names.add(Path.home().name.lower())
    except RuntimeError:  # a user without a home
        pass
    secrets |= {str(p).lower(): _PATH_REMOVED for p in folders if len(str(p)) > 3}
    for text in dict.fromkeys(_said(replace(case, folder=Path(), ids=()))):
        names |= {m[1].lower() for m in _PERSON.finditer(text)}
        names |= {name.lower() for m in _WHO.finditer(text) for name in m.groups() if name}
        secrets |= _ids(m[2] for m in _SERIAL.finditer(text))
        pem = (line for m in _PEM.finditer(text) for line in re.split(r"[\s\\>]+", m[1].lower()))
        secrets |= {line: "[key removed]" for line in pem if len(line) >= 8}
    secrets |= _ids(case.ids)
    if uid_at is not None:
        words = [
            w
            for b in boards
            for t in b.texts
            for w in parse_registers(t.text)
            if w.address is not None and 0 <= w.address - uid_at < 12
        ]
        secrets |= _ids(f"{w.value:08X}" for w in words)
        for image in images:
            read = b"".join(s.data.tobytes() for s in image.segments_in(uid_at, uid_at + 12))
            secrets |= _ids(f"{int.from_bytes(read[i : i + 4], 'little'):08X}" for i in range(0, len(read), 4))
    secrets |= {n: _NAME_REMOVED for n in names if len(n) > 2 and n not in _NOBODY}
    paths = {s: w for s, w in secrets.items() if w is _PATH_REMOVED}
    others = {s: w for s, w in secrets.items() if w is not _PATH_REMOVED}
    return Redactor(_Known(paths), _Known(others), frozenset(f.sha256 for f in case.files), make_sieve(blobs))


def redacted_error(error: H5DiagError, folder: Path) -> str:
    """Return the line of an error, its file by where it lies in the case's folder, without what a case may not tell."""
    if isinstance(error, InputError) and error.source:
        source = Path(error.source)
        shown = str(source.relative_to(folder)) if source.is_relative_to(folder) else source.suffix and source.name
        error = InputError(error.problem, source=shown or _PATH_REMOVED, place=error.place, advice=error.advice)
    return make_redactor(Case(str(error), folder)).plain(str(error))


_NOBODY = {"localhost", "root", "user", "users", "public", "default", "admin", "guest", "test", "work", "shared"}
"""Names that are nobody's; taking them out would spoil words of the text."""


def _said(value: object) -> Iterator[str]:
    """Yield every text of a case: titles, names, file names, logs, remarks of sidecars and records; no content."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, EvidenceFile):
        yield value.name
    elif isinstance(value, Mapping):
        yield from (text for item in value.items() for text in _said(item))
    elif isinstance(value, tuple | list):
        if not (value and isinstance(value[0], Segment | AddressRange)):  # there may be many, and they say nothing
            yield from (text for v in value for text in _said(v))
    elif is_dataclass(value):
        yield from (text for f in fields(value) for text in _said(getattr(value, f.name)))
    elif isinstance(value, msgspec.Struct):
        yield from (text for name in value.__struct_fields__ for text in _said(getattr(value, name)))


def _mixed(run: str) -> bool:
    """Tell whether small and large letters and digits stand in turn, as in base64 and in no word."""
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" if c.islower() else "" for c in run]
    return {"d", "u", "l"} <= set(kinds) and sum(a != b for a, b in pairwise(k for k in kinds if k)) * 3 > len(run)


_LOWER = {c: c + 32 for c in range(ord("A"), ord("Z") + 1)}


class _Known:
    """Texts that are known to be secret, looked for all at once: a thousand boards have ten thousand spellings of ids.

    Parameters
    ----------
    secrets
        Each, in lower case, with what stands in its place.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._begin = min(map(len, filter(None, secrets)), default=1)
        self._by_begin: dict[str, list[tuple[str, str]]] = {}
        for secret, word in sorted(secrets.items(), key=lambda pair: -len(pair[0])):
            if secret:
                self._by_begin.setdefault(secret[: self._begin], []).append((secret, word))

    def without(self, text: str) -> str:
        """Replace each secret, in any case, where it is a name only as a word of its own; those that overlap as one."""
        folded = text.translate(_LOWER)  # unlike lower(), it keeps the length
        parts, done, taken = [], 0, 0
        for at in range(len(folded) - self._begin + 1):
            for secret, word in self._by_begin.get(folded[at : at + self._begin], ()):
                stop = at + len(secret)
                inside = word is _NAME_REMOVED and (folded[at - 1 : at].isalnum() or folded[stop : stop + 1].isalnum())
                if folded.startswith(secret, at) and not inside:
                    if at >= taken:
                        parts += [text[done:at], word]
                    done = taken = max(taken, stop)
                    break
        return "".join([*parts, text[done:]])


def _ids(found: Iterable[str]) -> dict[str, str]:
    """Return every way in which ids are likely to be written, in lower case."""
    out: dict[str, str] = {}
    for written in found:
        digits = re.sub(r"^0[xX]|[\s_:,\-]|0[xX]", "", written).lower()
        if (
            len(digits) < SHORTEST_ID
            or not any(c.isdigit() for c in digits)
            or set(digits) <= {"0"}
            or set(digits) <= {"f"}
        ):
            continue
        pairs = [digits[i : i + 2] for i in range(0, len(digits), 2)]
        out |= dict.fromkeys((written.strip().lower(), digits, " ".join(pairs), ":".join(pairs), "-".join(pairs)), _ID)
        if re.fullmatch(r"[0-9a-f]{8}", digits):
            out["".join(reversed(pairs))] = _ID
        elif len(digits) % 8 == 0 and re.fullmatch(r"[0-9a-f]+", digits):
            out |= _ids(digits[i : i + 8] for i in range(0, len(digits), 8))
    return out


def _key_bytes(keys: Iterable[EvidenceFile]) -> Iterable[bytes]:
    for key in keys:
        yield key.data
        try:
            yield base64.b64decode(re.sub(rb"-----[^-]+-----|\s", b"", key.data), validate=True)
        except ValueError:
            continue
