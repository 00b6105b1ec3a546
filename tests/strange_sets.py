# ruff: noqa: E501
"""Provisioning sets as other people would make them: their own folders, their own scripts, their own mistakes.

The files come from `provisioning_sets`; nothing of its folders or scripts is kept. `SETS` maps a name to
``(files, options of the preflight, verdict, check that must fail or be unknown)``.
"""

from __future__ import annotations

import base64
import hashlib
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import provisioning_sets as sets

FOLDER = "Linie 3 – Prüfplatz ü"

SHELL = """\
#!/usr/bin/env bash
# closes one board on the line
set -u
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
KEYS="$HERE/Schlüssel für Öffnung"
CLI=${CLI:-STM32_Programmer_CLI}
LINK=(-c port=SWD mode=HotPlug ap=1)
UNDER=(-c port=SWD mode=UR ap=1)

die() { printf 'FEHLER: %s\\n' "$1" >&2; exit 1; }
run() {
  local what="$1"; shift
  "$CLI" "$@" || die "$what"
}
store() {
  for one in "$@"; do
    run "store $one" "${LINK[@]}" -sdp "$KEYS/$one"
  done
}
options() {
  run "TrustZone" "${LINK[@]}" -ob TZEN=@TZEN@
  run "clean" "${UNDER[@]}" -ob SECWM1_STRT=1 SECWM1_END=0 SECWM2_STRT=1 SECWM2_END=0 WRPSGn1=0xffffffff WRPSGn2=0xffffffff HDP1_STRT=1 HDP1_END=0 HDP2_STRT=1 HDP2_END=0 SECBOOT_LOCK=0xC3 SECBOOTADD=0xC0000 SWAP_BANK=0 BOOT_UBE=0xB4 -e all
  run "areas" "${LINK[@]}" -ob SECWM1_STRT=0x0 SECWM1_END=@SEC1@ SECWM2_STRT=@SEC2@ SECWM2_END=0x0
}
images() {
  run "boot" "${LINK[@]}" -d "$HERE/images/boot loader.bin" 0x0C000000 -v
  run "secure" "${LINK[@]}" -d "$HERE/images/@S@" -v
  run "non-secure" "${LINK[@]}" -d "$HERE/images/@NS@" -v
}
protect() {
  run "protect" "${LINK[@]}" -ob WRPSGn1=@WRP@ WRPSGn2=0xffffffff HDP1_STRT=0x0 HDP1_END=@HDP@ SECBOOT_LOCK=0xB4
}
target=${1:-closed}
case "${target,,}" in
  tz-closed|tzclosed) value=0xC6 ;;
  closed) value=0x72 ;;
  provisioned) value=0x2E ;;
  *) die "unknown state" ;;
esac
@ORDER@
"$CLI" "${LINK[@]}" -ob "PRODUCT_STATE=$value" || die "state"
echo "done"
"""

ORDER = """\
options
images
protect
run "provisioning" "${LINK[@]}" -ob PRODUCT_STATE=0x17
store da.obk config.obk data.obk
"""

BATCH = """\
@echo off
setlocal EnableDelayedExpansion
set "HERE=%~dp0"
set "KEYS=%HERE%Schlüssel für Öffnung"
set CLI="C:\\Program Files\\STMicroelectronics\\STM32Cube\\bin\\STM32_Programmer_CLI.exe"
set LINK=-c port=SWD mode=HotPlug ap=1
set UNDER=-c port=SWD mode=UR ap=1

%CLI% %LINK% -ob TZEN=@TZEN@
if errorlevel 1 goto failed
%CLI% %UNDER% -ob SECWM1_STRT=1 SECWM1_END=0 SECWM2_STRT=1 SECWM2_END=0 ^
  WRPSGn1=0xffffffff WRPSGn2=0xffffffff HDP1_STRT=1 HDP1_END=0 HDP2_STRT=1 HDP2_END=0 ^
  SECBOOT_LOCK=0xC3 SECBOOTADD=0xC0000 SWAP_BANK=0 BOOT_UBE=0xB4 -e all
if errorlevel 1 goto failed
%CLI% %LINK% -ob SECWM1_STRT=0x0 SECWM1_END=@SEC1@ SECWM2_STRT=@SEC2@ SECWM2_END=0x0 || goto failed
%CLI% %LINK% -d "%HERE%images\\boot loader.bin" 0x0C000000 -v || goto failed
for %%I in ("@S@" "@NS@") do (
  %CLI% %LINK% -d "%HERE%images\\%%~I" -v
  if !errorlevel! neq 0 goto failed
)
%CLI% %LINK% -ob WRPSGn1=@WRP@ WRPSGn2=0xffffffff HDP1_STRT=0x0 HDP1_END=@HDP@ SECBOOT_LOCK=0xB4
if errorlevel 1 goto failed
%CLI% %LINK% -ob PRODUCT_STATE=0x17
if not "!errorlevel!" == "0" goto failed
@STORES@
%CLI% %LINK% -ob PRODUCT_STATE=@VALUE@
if errorlevel 1 goto failed
echo done
exit /b 0

:store
%CLI% %LINK% -sdp "%KEYS%\\%~1"
exit /b %errorlevel%

:failed
echo stopped
exit /b 1
"""

STORES = "".join(f"call :store {n}.obk\nif errorlevel 1 goto failed\n" for n in ("da", "config", "data"))

OPENING = """\
#!/bin/sh
cd "$(dirname "$0")" || exit 1
STM32_Programmer_CLI -c port=SWD per=a key="Schlüssel für Öffnung/leaf.pem" cert="Schlüssel für Öffnung/chain.b64" debugauth=1 || exit 1
"""


@dataclass
class Line:
    """One set: what the files are, and how the script differs from the sound one."""

    board: str = "h563"
    seed: int = 1
    batch: bool = False
    release: str = "init"
    password: bool = False
    plan: Callable[[sets.Plan], object] = lambda plan: None
    change: Callable[[dict[str, bytes], sets.Plan], object] = lambda files, plan: None
    order: str = ORDER
    stores: str = STORES
    script: tuple[tuple[str, str], ...] = ()
    values: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    listing: dict[str, int] | None = None

    def files(self) -> tuple[dict[str, bytes], str]:
        """Return the files below one folder, and the listing of the board."""
        plan = sets.Plan(
            sets.BOARDS[self.board], random.Random(self.seed), release=self.release, password=self.password
        )
        self.plan(plan)
        made = plan.files()
        by_name = {n.rsplit("/", 1)[-1]: d for n, d in made.items()}
        s, ns = (f"my_{side}_app_{self.release}_sign.hex" for side in ("s", "ns"))
        keys = f"{FOLDER}/Schlüssel für Öffnung/"
        da = "DA_ConfigWithPassword.obk" if self.password else "DA_Config.obk"
        out = {
            f"{keys}da.obk": by_name[da],
            f"{keys}config.obk": by_name["OEMiRoT_Config.obk"],
            f"{keys}data.obk": by_name["OEMiRoT_Data.obk"],
            f"{keys}chain.b64": by_name["chain.b64"],
            f"{keys}leaf.pem": by_name["leaf.pem"],
            f"{FOLDER}/images/boot loader.bin": by_name["OEMiROT_Boot.bin"],
            f"{FOLDER}/images/App sicher.hex": by_name[s],
            f"{FOLDER}/images/App normal.hex": by_name[ns],
            f"{FOLDER}/boot/flash_layout.h": by_name["flash_layout.h"],
            f"{FOLDER}/öffnen.sh": OPENING.encode(),
        }
        if self.password:
            out[f"{keys}password.bin"] = by_name["password.bin"]
            out[f"{FOLDER}/öffnen.sh"] = (
                b"STM32_Programmer_CLI -c port=SWD pwd='Schl\xc3\xbcssel f\xc3\xbcr \xc3\x96ffnung/password.bin' debugauth=1 || exit 1\n"
            )
        b = plan.board
        values = {
            "TZEN": "0xC3" if self.password else "0xB4",
            "SEC1": "0xE",
            "SEC2": hex(b.last),
            "WRP": f"0x{b.groups:X}",
            "HDP": "0xB",
            "S": "App sicher.hex",
            "NS": "App normal.hex",
            "ORDER": self.order,
            "STORES": self.stores,
            "VALUE": "0x72",
        } | self.values
        text = BATCH if self.batch else SHELL
        for name, value in values.items():
            text = text.replace(f"@{name}@", value)
        for old, new in self.script:
            assert old in text, old
            text = text.replace(old, new)
        name = "Platine schliessen.bat" if self.batch else "Platine schließen.sh"
        out[f"{FOLDER}/{name}"] = text.replace("\n", "\r\n").encode() if self.batch else text.encode()
        self.change(out, plan)
        if self.listing is not None:
            plan.listing = self.listing
        return out, plan.listing_text()


def of(ending: str, how: Callable[[bytes, sets.Plan], bytes]) -> Callable[[dict[str, bytes], sets.Plan], object]:
    """Return a change of the one file whose name ends so."""

    def change(files: dict[str, bytes], plan: sets.Plan) -> None:
        (name,) = [n for n in files if n.endswith(ending)]
        files[name] = how(files[name], plan)

    return change


def renamed(old: str, new: str | None) -> Callable[[dict[str, bytes], sets.Plan], object]:
    def change(files: dict[str, bytes], plan: sets.Plan) -> None:
        (name,) = [n for n in files if n.endswith(old)]
        data = files.pop(name)
        if new is not None:
            files[name[: -len(old)] + new] = data

    return change


def swapped(a: str, b: str) -> Callable[[dict[str, bytes], sets.Plan], object]:
    def change(files: dict[str, bytes], plan: sets.Plan) -> None:
        (x,) = [n for n in files if n.endswith(a)]
        (y,) = [n for n in files if n.endswith(b)]
        files[x], files[y] = files[y], files[x]

    return change


def rebased(data: bytes, plan: sets.Plan, by: int) -> bytes:
    """Return an Intel HEX moved by whole sectors."""
    out = []
    base = 0
    memory: dict[int, bytes] = {}
    for line in data.decode().split():
        row = bytes.fromhex(line[1:])
        if row[3] == 4:
            base = int.from_bytes(row[4:6], "big") << 16
        elif row[3] == 0:
            memory[base + int.from_bytes(row[1:3], "big")] = row[4:-1]
    start = min(memory)
    image = b"".join(memory[a] for a in sorted(memory))
    out.append(sets.intel_hex(image, start + by))
    return b"".join(out)


def published_root(files: dict[str, bytes], plan: sets.Plan) -> None:
    """Replace the root's hash by that of a published root, which no chain of the set begins with."""
    known = next(p for p in _published() if "key_1_root" in p["name"])
    (name,) = [n for n in files if n.endswith("da.obk")]
    files[name] = sets.da_obk(bytes.fromhex(known["xy"]), 0x5077, int(plan.board.saes))


def _published() -> list[dict[str, str]]:
    import tomllib
    from importlib.resources import files

    data = tomllib.loads(files("h5diag.evidence.keys").joinpath("published.toml").read_text("utf-8"))
    return [row for rows in data.values() if isinstance(rows, list) for row in rows]


def no_bit_14(files: dict[str, bytes], plan: sets.Plan) -> None:
    (name,) = [n for n in files if n.endswith("chain.b64")]
    k = plan.keys
    chain = sets.certificate(1, k["root"], k["root"]) + sets.certificate(2, k["middle"], k["root"], 0x1077)
    files[name] = base64.b64encode(chain + sets.certificate(3, k["leaf"], k["middle"]))


def older_obk(files: dict[str, bytes], plan: sets.Plan) -> None:
    """Put a second, older configuration beside the right one, and let the script take it."""
    (name,) = [n for n in files if n.endswith("config.obk")]
    k = plan.keys
    old = sets.spki(k["other"]) + b"\0" + sets.spki(k["other2"]) + b"\0" + sets.scalar70(k["encrypt"]) + bytes(2)
    files[name.replace("config.obk", "config_alt.obk")] = sets.obk(0x0FFD0160, old, int(plan.board.saes))


def secure_flag(value: int) -> Callable[[dict[str, bytes], sets.Plan], object]:
    return of("da.obk", lambda d, p: d[:8] + struct.pack("<I", value) + d[12:])


def _pad(data: bytes, plan: sets.Plan) -> bytes:
    return data + bytes(16)


SETS: dict[str, tuple[Line, str, str]] = {}


def add(name: str, verdict: str, check: str, **line: object) -> None:
    SETS[name] = (Line(**line), verdict, check)  # type: ignore[arg-type]


for n, board in enumerate(sets.BOARDS):
    add(f"sound, bash with functions and case, {board}", "go", "", board=board, seed=n, options={"chip": board})
    add(
        f"sound, batch with errorlevel, {board}",
        "go",
        "",
        board=board,
        seed=20 + n,
        batch=True,
        options={"chip": board},
    )
add("sound, downloads", "go", "", release="enc", seed=41)
add(
    "sound, H533 downloads in batch",
    "go",
    "",
    board="h533",
    release="enc",
    batch=True,
    seed=42,
    options={"chip": "stm32h533re"},
)
add("sound, no target asked, the script's own", "go", "", seed=43, options={"to": ""})
add("sound, TZ-CLOSED", "go", "", seed=44, script=(("${1:-closed}", "${1:-tz-closed}"),), options={"to": "TZ-CLOSED"})
add("sound, secure alias in lower case hex", "go", "", seed=45, plan=lambda p: setattr(p, "alias", 0x0C000000))

FAULTY = {
    "chain left behind": ({"change": renamed("chain.b64", None)}, "files-present"),
    "umlaut written in another way": (
        {"change": renamed("Schlüssel für Öffnung/da.obk", "Schluessel/da.obk")},
        "files-present",
    ),
    "obk in upper case": ({"change": renamed("config.obk", "Config.OBK")}, "files-present"),
    "boot loader not there": ({"change": renamed("boot loader.bin", "bootloader.bin")}, "files-present"),
    "an older OBK is the one named": (
        {"change": older_obk, "order": ORDER.replace("config.obk", "config_alt.obk")},
        "image-signature",
    ),
    "object of another part": (
        {"board": "h573", "change": secure_flag(0), "options": {"chip": "h573"}},
        "obk-encryption",
    ),
    "object asks for what the part has not": ({"change": secure_flag(1)}, "obk-encryption"),
    "object too long": ({"change": of("da.obk", _pad)}, "obk-size"),
    "object damaged": ({"change": of("config.obk", lambda d, p: sets.flip(d, 0x70))}, "obk-hash"),
    "object for the other area": ({"plan": lambda p: setattr(p, "da_destination", 0x0FFD0280)}, "obk-destination"),
    "same object twice under two names": (
        {"change": of("config.obk", lambda d, p: sets.da_obk(bytes(range(32)), 0x5077, 0))},
        "obk-destination",
    ),
    "key in the object's place": ({"change": of("config.obk", lambda d, p: sets.pem(p.keys["auth_s"]))}, "obk-size"),
    "no way back is stored": (
        {"order": ORDER.replace("store da.obk ", "store "), "stores": STORES.split("\n", 2)[2]},
        "da-present",
    ),
    "password with TrustZone": ({"password": True, "values": {"TZEN": "0xB4"}}, "da-tzen"),
    "certificate without TrustZone": ({"values": {"TZEN": "0xC3"}}, "da-tzen"),
    "root of another line": ({"plan": lambda p: setattr(p, "stored_root", "other")}, "da-chain"),
    "chain in the wrong order": (
        {
            "change": of(
                "chain.b64",
                lambda d, p: base64.b64encode(
                    base64.b64decode(d)[220:440] + base64.b64decode(d)[:220] + base64.b64decode(d)[440:]
                ),
            )
        },
        "da-chain",
    ),
    "chain ends at the middle": (
        {"change": of("chain.b64", lambda d, p: base64.b64encode(base64.b64decode(d)[:440]))},
        "da-leaf-key",
    ),
    "key of the root in place of the leaf's": (
        {"change": of("leaf.pem", lambda d, p: sets.pem(p.keys["root"]))},
        "da-leaf-key",
    ),
    "public half only": (
        {
            "change": of(
                "leaf.pem",
                lambda d, p: (
                    p.keys["leaf"]
                    .public_key()
                    .public_bytes(sets.serialization.Encoding.PEM, sets.serialization.PublicFormat.SubjectPublicKeyInfo)
                ),
            )
        },
        "da-leaf-key",
    ),
    "mask of the middle certificate": ({"change": no_bit_14}, "da-permission"),
    "password changed afterwards": (
        {"password": True, "change": of("password.bin", lambda d, p: sets.password_file(b"another one 1234"))},
        "da-password",
    ),
    "images at each other's place": (
        {
            "change": lambda f, p: (
                of("App sicher.hex", lambda d, p: rebased(d, p, 0x6000))(f, p),
                of("App normal.hex", lambda d, p: rebased(d, p, -0x6000))(f, p),
            )
        },
        "image-signature",
    ),
    "image moved by a sector": ({"change": of("App normal.hex", lambda d, p: rebased(d, p, 0x2000))}, "image-slot"),
    "image in the download slot": (
        {"change": of("App sicher.hex", lambda d, p: rebased(d, p, 0x6000 + p.board.ns_size))},
        "image-trailer",
    ),
    "image signed by another line": ({"plan": lambda p: setattr(p, "ns_key", "other")}, "image-signature"),
    "firmware of another board": (
        {
            "board": "h533",
            "change": of("App normal.hex", lambda d, p: rebased(d, p, 0x40000)),
            "options": {"chip": "h533"},
        },
        "image-slot",
    ),
    "an application that was never signed": (
        {"change": of("App sicher.hex", lambda d, p: sets.intel_hex(bytes(range(256)) * 8, 0x08018000))},
        "image-form",
    ),
    "too large for its slot": ({"plan": lambda p: setattr(p, "body", 0x6400)}, "image-size"),
    "trailer of alignment 16": (
        {"release": "enc", "plan": lambda p: setattr(p, "trailer", sets.ALIGN16)},
        "image-trailer",
    ),
    "rolled back": ({"plan": lambda p: setattr(p, "versions", (0, 0, 0x03000000, 0, 0, 0, 0, 0))}, "image-version"),
    "secure part too short": ({"values": {"SEC1": "0xD"}}, "options-secwm"),
    "second bank secure": ({"script": (("SECWM2_END=0x0", "SECWM2_END=0x7F"),)}, "options-secwm"),
    "hidden area of an older release": ({"values": {"HDP": "0x7"}}, "options-hdp"),
    "write protection of another part": (
        {"board": "h533", "values": {"WRP": "0xFFFFFFF8"}, "options": {"chip": "h533"}},
        "options-wrp",
    ),
    "boot entry of another part": ({"script": (("BOOT_UBE=0xB4", "BOOT_UBE=0xC3"),)}, "boot-ube"),
    "board is another part": ({"options": {"chip": "h533"}}, "chip-match"),
    "locked": ({"script": (("0x72", "0x5C"),)}, "state-target"),
    "straight to the end": (
        {"order": ORDER.replace('run "provisioning" "${LINK[@]}" -ob PRODUCT_STATE=0x17\n', "")},
        "state-chain",
    ),
    "board closed before": ({"listing": {"PRODUCT_STATE": 0x72, "TZEN": 0xB4}}, "state-chain"),
    "objects before Provisioning": (
        {
            "order": 'options\nimages\nprotect\nstore da.obk config.obk data.obk\nrun "p" "${LINK[@]}" -ob PRODUCT_STATE=0x17\n'
        },
        "state-chain",
    ),
    "objects after the end": (
        {
            "order": ORDER.replace("store da.obk config.obk data.obk\n", ""),
            "script": (('echo "done"', "store da.obk config.obk data.obk"),),
        },
        "",
    ),
    "equals behind -sdp": ({"script": (('-sdp "$KEYS/$one"', '-sdp="$KEYS/$one"'),)}, "script-syntax"),
}

_BATCH_TOO = {
    "chain left behind", "obk in upper case", "object asks for what the part has not", "no way back is stored", "image moved by a sector",
    "secure part too short", "hidden area of an older release", "certificate without TrustZone", "locked",
}  # fmt: skip

for n, (name, (line, check)) in enumerate(FAULTY.items()):
    add(name, "no-go", check, seed=100 + n, **line)
    if name in _BATCH_TOO:
        more = dict(line)
        if name == "locked":
            more = {"values": {"VALUE": "0x5C"}}
        add(f"{name}, batch", "no-go", check, seed=200 + n, batch=True, **more)

GLOB = ORDER.replace(
    "store da.obk config.obk data.obk", 'for o in "$KEYS"/*.obk; do run "store" "${LINK[@]}" -sdp "$o"; done'
)
STAR = 'for %%O in ("%KEYS%\\*.obk") do (\n  %CLI% %LINK% -sdp "%%~O"\n  if !errorlevel! neq 0 goto failed\n)\n'
add("sound, all objects by a wildcard", "go", "", seed=310, order=GLOB)
add("sound, all objects by a wildcard, batch", "go", "", seed=311, batch=True, stores=STAR)
add("a wildcard takes an old object too", "no-go", "obk-destination", seed=312, order=GLOB, change=older_obk)
add("nothing is looked at in bash", "go", "", seed=301, script=(('"$CLI" "$@" || die "$what"', '"$CLI" "$@"'),))
add("names of the images exchanged", "go", "", seed=303, change=swapped("App sicher.hex", "App normal.hex"))
add("published root", "no-go", "da-chain", seed=302, change=published_root)


# --------------------------------------------------------------------------------------------- parts without states
def readout(*calls: str, name: str = "sperren.bat") -> dict[str, bytes]:
    head = "@echo off\r\nset P=STM32_Programmer_CLI.exe\r\n"
    return {
        name: (head + "".join(f"%P% -c port=SWD mode=UR {c}\r\nif errorlevel 1 exit /b 1\r\n" for c in calls)).encode()
    }


READOUT: dict[str, tuple[dict[str, bytes], str, str, str]] = {
    "U585, key and RDP 2": (readout("-lockRDP2 0x11111111 0x22222222", "-ob RDP=0xCC"), "u585", "go", ""),
    "U585, RDP 2 first": (readout("-ob RDP=0xCC", "-lockRDP2 0x11111111 0x22222222"), "u585", "no-go", "da-present"),
    "U585, the other key": (
        readout("-lockRDP1 0x11111111 0x22222222", "-ob RDP=0xCC"),
        "stm32u585",
        "no-go",
        "da-present",
    ),
    "L562, RDP 2": (readout("-ob RDP=0xCC"), "l562", "no-go", "da-present"),
    "L562, RDP 1": (readout("-ob RDP=0xBB"), "l562", "go", ""),
    "L562, half open with TrustZone": (readout("-ob TZEN=1", "-ob RDP=0x55"), "l562", "no-go", "state-target"),
    "U385, two of four words": (readout("-lockRDP2 0x1 0x2", "-ob RDP=0xCC"), "u385", "no-go", "da-password"),
    "U385, four words": (readout("-lockRDP2 0x1 0x2 0x3 0x4", "-ob RDP=0xCC"), "u385", "go", ""),
    "L562, a key that the part has not": (readout("-lockRDP2 0x1 0x2", "-ob RDP=0xCC"), "l562", "no-go", "da-present"),
}


def h503(rng: random.Random, **more: bool) -> dict[str, bytes]:
    """An H503 with a batch file of its own."""
    secret = bytes(rng.randrange(1, 255) for _ in range(12))
    text = "@echo off\r\nset P=STM32_Programmer_CLI.exe\r\n%P% -c port=SWD -ob PRODUCT_STATE=0x17\r\nif errorlevel 1 exit /b 1\r\n"
    if not more.get("late"):
        text += "%P% -c port=SWD -w board_password.bin 0x8FFF000\r\nif errorlevel 1 exit /b 1\r\n"
    text += "%P% -c port=SWD -ob PRODUCT_STATE=0x72\r\nif errorlevel 1 exit /b 1\r\n"
    if more.get("late"):
        text += "%P% -c port=SWD -w board_password.bin 0x8FFF000\r\n"
    stored = hashlib.sha256(secret).digest()
    return {
        "H503/user_password.bin": secret,
        "H503/board_password.bin": stored[::-1] if more.get("reversed") else stored,
        "H503/da_password.bin": sets.password_file(secret),
        "H503/schliessen.bat": text.encode(),
    }


def chain(rng: random.Random, *, boot: str = "rom", app: str = "s", hide: str = "") -> dict[str, bytes]:
    """An H573 on which STiROT in the ROM starts OEMuROT in the flash; `boot` and `app` name the keys that sign."""
    files, _ = sets.credentials(rng, 1)
    keys = {n: sets.private_key(rng) for n in ("rom", "rom_enc", "s", "ns", "enc")}
    body = sets.spki(keys["s"]) + sets.spki(keys["ns"]) + sets.scalar70(keys["enc"])
    head = struct.pack("<IIHHIIBBHII", 0x55F7394E, 0, 0x20, 12, len(body), 0, 1, 0, 0, 0, 0)
    signed = head + body + struct.pack("<HH", 0x6908, 12) + sets.tlv(0x50, struct.pack("<I", 1))
    payload = signed + struct.pack("<HH", 0x6907, 40) + sets.tlv(0x10, hashlib.sha256(signed).digest())
    folder = "STiROT_OEMuROT/"
    files |= {
        f"{folder}Binary/STiRoT_Config.obk": sets.obk(0x0FFD0200, sets.stirot_config(keys["rom"], keys["rom_enc"]), 1),
        f"{folder}Binary/STiRoT_Data.obk": sets.obk(0x0FFD0400, bytes(0x40), 1),
        f"{folder}Binary/OEMuRoT_Config.obk": struct.pack("<III", 0x0FFD0900, len(payload), 1) + payload,
        f"{folder}Binary/OEMuRoT_Data.obk": sets.obk(0x0FFD0A50, bytes(160), 0),
    }
    main = "source ../env.sh\n" + sets.ATTACH
    for call in (
        "-ob TZEN=0xB4",
        "-ob SECWM1_STRT=1 SECWM1_END=0 WRPSGn1=0xffffffff WRPSGn2=0xffffffff HDP1_STRT=1 HDP1_END=0 -e all",
        f"-ob SECWM1_STRT=0x0 SECWM1_END=0xE SECWM2_STRT=0x7F SECWM2_END=0x0 {hide}",
        "-d ../../$app/Binary/app_s.hex -v",
        "-d ../../$app/Binary/app_ns.hex -v",
        "-d ../../$boot/Binary/oemurot.hex -v",
        "-ob BOOT_UBE=0xC3",
        "-ob PRODUCT_STATE=0x17",
        "-sdp ../DA/Binary/DA_Config.obk",
        *(f"-sdp ./Binary/{n}.obk" for n in ("STiRoT_Config", "STiRoT_Data", "OEMuRoT_Config", "OEMuRoT_Data")),
        "-ob PRODUCT_STATE=0x72",
    ):
        main += sets.call(call)
    files[f"{folder}provisioning.sh"] = main.encode()
    files["env.sh"] = b"app=Applications/ROT/OEMiROT_Appli_TrustZone\nboot=Applications/ROT/OEMiROT_Boot\n"
    out = {f"STM32H573I-DK/ROT_Provisioning/{n}": d for n, d in files.items()}
    rot = "STM32H573I-DK/Applications/ROT/"
    firmware = sets.signed_image(bytes(range(256)) * 64, keys[boot], encrypt_to=keys["rom_enc"], magic=0x73AB1024)
    out[f"{rot}OEMiROT_Boot/Binary/oemurot.hex"] = sets.intel_hex(firmware, 0x0C000000)
    for side, key, at in (("s", app, 0x0C018000), ("ns", "ns", 0x0801E000)):
        image = sets.signed_image(bytes(range(256)) * 16, keys[key], encrypt_to=keys["enc"])
        out[f"{rot}OEMiROT_Appli_TrustZone/Binary/app_{side}.hex"] = sets.intel_hex(image, at)
    out[f"{rot}OEMiROT_Boot/Inc/flash_layout.h"] = sets.HEADER.format(flash=0x200000, ns=0xA0000).encode()
    return out


CHAINS: dict[str, tuple[dict[str, str], str, str]] = {
    "both stages": ({}, "go", ""),
    "OEMuROT signed with its own key": ({"boot": "s"}, "no-go", "image-signature"),
    "the application signed with STiROT's key": ({"app": "rom"}, "no-go", "image-signature"),
    "a hidden area that no release sets": ({"hide": "HDP1_STRT=0 HDP1_END=3"}, "unknown", ""),
}
