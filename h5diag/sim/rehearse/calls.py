"""One call of STM32CubeProgrammer's command line, taken apart.

Source: facts on provisioning, section 7.1 (forms in the scripts of eight releases).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from h5diag.sim.rehearse.world import Word

_CONNECTION = re.compile(r"(port|mode|ap|speed|freq|sn|index|reset|shared|tcpport|dLPM|LPM|p|br|shr)=(.*)", re.I)
_AUTHENTICATION = re.compile(r"(debugauth|per|key|cert|pwd|token)=(.*)", re.I)
_SIMPLE = {"-v": "verify", "-rst": "reset", "-hardrst": "reset", "-halt": "", "-run": "", "-q": "", "--skiperase": ""}
_SIMPLE |= {"-y": "", "--verify": "verify", "-hardreset": "reset", "-g": "", "-s": "", "--start": "", "-log": ""}
_VALUED = {"-vb": 1, "-tm": 1, "-el": 1, "-l": 1, "--verbosity": 1, "-r32": 2, "-r8": 2, "-r16": 2, "-r": 3}
_VALUED |= {"-u": 3, "--upload": 3, "--read": 3, "-lockrdp1": 2, "-lockrdp2": 2, "-unlockrdp1": 2, "-unlockrdp2": 2}
_VALUED |= {
    "-w32": 2,
    "-w8": 2,
    "-w16": 2,
    "-checksum": 2,
    "-rdu": 0,
    "-regdump": 1,
    "-fillmemory": 3,
    "-blankcheck": 0,
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call, as the script makes it.

    Parameters
    ----------
    file, line
        Where it stands.
    text
        The arguments as one line, passwords' and keys' paths as they are.
    mode
        Connection mode in lower case, empty for the tool's own default.
    options
        Option bytes that it sets, in order; values as numbers (None where it is no number).
    erases
        Whether it erases the whole flash.
    downloads
        ``(file, address or None, into OTP or not)``.
    stores
        Files that ``-sdp`` stores.
    installs
        Files of ``-sfi``: the encrypted package, its licence and the secure service that opens it.
    authentication
        0 for none, else the number of ``debugauth=``; `credentials` its other parameters.
    resets, verifies, lists
        Whether it resets, verifies, prints the option bytes.
    oem_keys, oem_number
        Number of words given to ``-lockRDP1`` or ``-lockRDP2`` (None: not called), and which of the two keys.
    problems
        ``(kind, words)`` of what is wrong with the arguments.
    """

    file: Path
    line: int
    text: str
    mode: str = ""
    options: tuple[tuple[str, int | None], ...] = ()
    erases: bool = False
    downloads: tuple[tuple[str, int | None], ...] = ()
    stores: tuple[str, ...] = ()
    installs: tuple[str, ...] = ()
    authentication: int = 0
    credentials: tuple[tuple[str, str], ...] = ()
    resets: bool = False
    verifies: bool = False
    lists: bool = False
    oem_keys: int | None = None
    oem_number: int = 0
    problems: tuple[tuple[str, str], ...] = ()

    @property
    def changes(self) -> bool:
        """Tell whether it changes anything on the chip but a reset."""
        written = self.downloads or self.stores or self.installs
        return bool(self.options or self.erases or written or self.oem_keys is not None)

    @property
    def state(self) -> int | None:
        """The product state that it asks for, None when it does not."""
        return next((v for n, v in self.options if n == "PRODUCT_STATE"), None)


def number(text: str) -> int | None:
    """Return the number in an argument, None when it is none."""
    if len(text) > 40:
        return None
    try:
        return int(text, 0)
    except ValueError:
        return None


def _no_option(argument: str) -> bool:
    return not argument.startswith("-")


def _values(args: deque[str], fits: Callable[[str], bool] = _no_option, most: int | None = None) -> list[str]:
    """Take the arguments off the front that belong to an option."""
    out: list[str] = []
    while args and len(out) != most and fits(args[0]):
        out.append(args.popleft())
    return out


def parse_call(words: Sequence[Word], file: Path, line: int) -> Call:
    """Take a call apart; what is odd about it goes into its `problems`."""
    problems: list[tuple[str, str]] = []
    args = deque[str]()
    for word in words:
        if word.quoted and re.match(r"-\w+ \S", word.text):
            problems.append(("quoted-arguments", f"{word.text[:60]!r} arrives as one argument because it is in quotes"))
            args += word.text.split()
        elif word.text:
            args.append(word.text)
    mode, connects = "", False
    options: list[tuple[str, int | None]] = []
    downloads: list[tuple[str, int | None]] = []
    stores: list[str] = []
    installs: list[str] = []
    credentials: list[tuple[str, str]] = []
    flags: set[str] = set()
    authentication, oem_keys, oem_number = 0, None, 0
    while args:
        arg = args.popleft()
        low = arg.lower()
        if match := _AUTHENTICATION.fullmatch(arg):
            if match[1].lower() == "debugauth":
                authentication = number(match[2]) or 0
            else:
                credentials.append((match[1].lower(), match[2]))
        elif match := _CONNECTION.fullmatch(arg):
            mode = match[2].lower() if match[1].lower() == "mode" else mode
        elif low in ("-c", "--connect"):
            connects = True
        elif low in ("-ob", "-optionbytes", "--optionbytes"):
            for given in _values(args, lambda a: _no_option(a) and not _AUTHENTICATION.fullmatch(a)):
                name, equals, value = given.partition("=")
                if given.lower() in ("displ", "display"):
                    flags.add("lists")
                elif equals:
                    options.append((name.upper() if name.upper() in _UPPER else name, number(value)))
                    if number(value) is None:
                        problems.append(("option-value", f"{given[:40]} has no number behind the equals sign"))
                else:
                    problems.append(("option-value", f"{given[:40]!r} is no option of the form NAME=VALUE"))
            if not options and "lists" not in flags:
                problems.append(("option-value", "-ob is followed by no option"))
        elif low in ("-e", "--erase"):
            flags.update("erases" for given in _values(args) if given.lower() == "all")
        elif low in ("-d", "-w", "--download", "--write", "-sdp", "--sdp"):
            if not (path := _values(args, most=1)):
                problems.append(("no-file", f"{'-sdp' if 'sdp' in low else arg} is followed by no file"))
            elif "sdp" in low:
                stores += path
            else:
                address = None
                if args and (not args[0].startswith("-") or number(args[0].lstrip("-")) is not None):
                    if args[0].startswith("-"):
                        problems.append(("address", f"{args[0][:40]} has a dash in front of the address"))
                    address = number(args.popleft().lstrip("-"))
                downloads.append((path[0], address))
        elif low.startswith(("-sdp=", "--sdp=")):
            problems.append(("sdp-equals", f"{arg[:60]}: the file must follow after a blank, or nothing is stored"))
        elif low in ("-sfi", "--sfi", "-rsse", "--rsse", "-mcsv", "--mcsv"):
            installs += _values(args)
        elif low in ("-lockrdp2", "-lockrdp1"):
            oem_keys, oem_number = len(_values(args, lambda a: number(a) is not None)), int(low[-1])
        elif low in _SIMPLE:
            flags.add(_SIMPLE[low])
        elif low in _VALUED:
            _values(args, most=_VALUED[low])
        elif low in ("--version", "--help", "-h", "-?", "-version", "-list", "--list"):
            flags.add("")
        else:
            problems.append(("unknown-argument", f"{arg[:60]!r} is no argument that the tool is known to take"))
    if not connects and (options or downloads or stores or authentication or "erases" in flags):
        problems.append(("no-connection", "the call has no -c, so it reaches no board"))
    if authentication in (1, 2) and mode == "hotplug":
        problems.append(("hotplug", "debug authentication over hot plug: it needs a reset (-c port=SWD)"))
    return Call(
        file,
        line,
        " ".join(w.text for w in words),
        mode,
        tuple(options),
        "erases" in flags,
        tuple(downloads),
        tuple(stores),
        tuple(installs),
        authentication,
        tuple(credentials),
        "reset" in flags,
        "verify" in flags,
        "lists" in flags,
        oem_keys,
        oem_number,
        tuple(problems),
    )


_UPPER = frozenset({"PRODUCT_STATE", "TZEN", "BOOT_UBE", "SECBOOT_LOCK", "SECBOOTADD", "SWAP_BANK", "RDP", "LOCKBL"})
"""Names that are looked up by themselves; the others keep the script's spelling."""
