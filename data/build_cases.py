"""Write the bundled cases from the committed images: ``python data/build_cases.py [--out DIR]``.

Everything here is computed: the same images give the same files, byte for byte.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from boards import (
    BASE,
    NS_PRIMARY,
    NS_SECONDARY,
    READ_ALL,
    READ_ALONE,
    READ_SHORT,
    READ_SLOTS,
    READ_SOUND,
    SECTOR,
    alone_board,
    init_board,
    installed_board,
    pending_board,
)
from cubeprog_text import (
    OEMIROT,
    PLAIN,
    PROVISIONED,
    PROVISIONING,
    banner,
    listing,
)
from intelhex import IntelHex

HERE = Path(__file__).resolve().parent

GOOD_SERIAL, SUSPECT_SERIAL = "0030003A3033511937363734", "002F00413532501320393453"
GOOD_BANNER = banner(GOOD_SERIAL, "3.27V", mode="Normal", flash="2 MBytes (default)", board="NUCLEO-H563ZI")
SUSPECT_BANNER = banner(SUSPECT_SERIAL, "3.29V", sfsp="v45.48.46")


# ---- the cases ----

OEMIROT_HEAD = 'chip = "stm32h563zi"\nlayout = "oemirot-2m-overwrite"\n'


def founding(out: Path) -> None:
    """Write the founding case: everything about how the two boards were read is known."""
    write_hex(out / "good.hex", installed_board().read(READ_SLOTS, "all"))
    for n in (1, 2):
        write_hex(out / f"suspect-{n}.hex", pending_board("b").read(READ_ALL, "nonsecure"))
    write(out / "good-log.txt", GOOD_BANNER)
    write(out / "suspect-log.txt", SUSPECT_BANNER)
    write(out / "good-ob.txt", listing(OEMIROT, GOOD_BANNER))
    write(out / "suspect-ob.txt", listing(PROVISIONING, SUSPECT_BANNER))
    write(
        out / "case.toml",
        f"""\
title = "OEMiROT image not where it should be"
{OEMIROT_HEAD}
[good]
name = "nucleo"
dumps = ["good.hex"]
access = "secure"
mode = "hotplug"
tool = "OpenOCD (ST), which makes every sector secure while it reads"
options = "good-ob.txt"
log = "good-log.txt"

[suspect]
name = "custom board 1"
dumps = ["suspect-1.hex", "suspect-2.hex"]
access = "nonsecure"
mode = "hotplug"
after_da = false
resets_since_flash = 4
tool = "STM32CubeProgrammer 2.21.0"
options = "suspect-ob.txt"
log = "suspect-log.txt"
marking = "STM32H563ZIT6"

[provisioning]
package = "1.3.0"
""",
    )
    expected(
        out,
        "sound",
        "install-pending",
        supported=("install-pending", "masked-read", "starts-elsewhere"),
        excluded=("dump-corrupted", "options-not-applied", "bank-swapped"),
        not_judged=[[BASE, BASE + NS_PRIMARY]],
        good={"secure primary": "installed", "secure secondary": "empty"},
        suspect={
            "secure secondary": "install-pending",
            "non-secure secondary": "install-pending",
            "non-secure primary": "empty",
        },
        open_points=[],
    )


def founding_thread(out: Path) -> None:
    """Write the founding case as the thread tells it: both boards in 0x2E with equal option bytes, no layout named."""
    write_hex(out / "good.hex", installed_board().read(READ_SLOTS, "all"))
    write_hex(out / "suspect.hex", pending_board("b").read(READ_SHORT, "nonsecure"))
    good_log = banner(GOOD_SERIAL, "3.27V", mode="", flash="2 MBytes (default)", board="NUCLEO-H563ZI")
    suspect_log = banner(SUSPECT_SERIAL, "3.29V", mode="", sfsp="v45.48.46")
    write(out / "good-log.txt", good_log)
    write(out / "suspect-log.txt", suspect_log)
    write(out / "good-ob.txt", listing(PROVISIONED, good_log))
    write(out / "suspect-ob.txt", listing(PROVISIONED, suspect_log))
    write(
        out / "case.toml",
        """\
title = "OEMiROT image not where it should be, as the thread tells it"
chip = "stm32h563zi"

[good]
name = "nucleo"
dumps = ["good.hex"]
after_da = true
options = "good-ob.txt"
log = "good-log.txt"

[suspect]
name = "custom board 1"
dumps = ["suspect.hex"]
after_da = true
options = "suspect-ob.txt"
log = "suspect-log.txt"
""",
    )
    expected(
        out,
        "undecided",
        "install-pending",
        possible=("install-pending", "masked-read"),
        good={"secure primary": "installed", "secure secondary": "empty"},
        suspect={"secure secondary": "install-pending"},
        open_points=["read", "zeros", "SFSP", "layout"],
        says=("not shown faulty: do not replace the chip yet",),
    )


def founding_no_magic(out: Path) -> None:
    """Write the variant whose download slots lack the trailer magic: the boot loader runs and never takes them."""
    write_hex(out / "good.hex", installed_board().read(READ_SLOTS, "all"))
    for n in (1, 2):
        write_hex(out / f"suspect-{n}.hex", pending_board("b", magic=False).read(READ_SHORT, "nonsecure"))
    log = banner(SUSPECT_SERIAL, "3.29V")
    write(out / "good-log.txt", GOOD_BANNER)
    write(out / "suspect-log.txt", log)
    write(out / "good-ob.txt", listing(OEMIROT, GOOD_BANNER))
    write(out / "suspect-ob.txt", listing(PROVISIONED, log))
    write(
        out / "case.toml",
        f"""\
title = "OEMiROT image in the download slot, never taken"
{OEMIROT_HEAD}
[good]
name = "nucleo"
dumps = ["good.hex"]
access = "secure"
mode = "hotplug"
tool = "OpenOCD (ST), which makes every sector secure while it reads"
options = "good-ob.txt"
log = "good-log.txt"

[suspect]
name = "custom board 3"
dumps = ["suspect-1.hex", "suspect-2.hex"]
access = "nonsecure"
mode = "hotplug"
after_da = false
resets_since_flash = 4
tool = "STM32CubeProgrammer 2.21.0"
options = "suspect-ob.txt"
log = "suspect-log.txt"
marking = "STM32H563ZIT6"

[provisioning]
package = "1.3.0"
""",
    )
    expected(
        out,
        "sound",
        "install-pending",
        supported=("install-pending", "masked-read"),
        excluded=("dump-corrupted", "options-not-applied", "bank-swapped"),
        not_judged=[[BASE + 0x10000, BASE + NS_PRIMARY]],
        good={"secure primary": "installed", "secure secondary": "empty"},
        suspect={
            "secure secondary": "never-taken",
            "non-secure secondary": "never-taken",
            "non-secure primary": "empty",
        },
        open_points=[],
    )


DEFECT = 0x26A40  # a quad-word of the stand-alone product's tables
DEFECT_BITS = ((DEFECT + 0x3, 5), (DEFECT + 0xC, 1))  # two cells of it that cannot be 1


def defect(out: Path) -> None:
    """Write the case of a chip with a real flash defect: TrustZone off, Open, a flash test that shows it."""
    good, bad = alone_board(), alone_board()
    for offset, bit in DEFECT_BITS:
        bad.cells[offset] &= ~(1 << bit)
    write_hex(out / "good.hex", good.read(READ_ALONE, "nonsecure", BASE))
    for n in (1, 2):
        write_hex(out / f"suspect-{n}.hex", bad.read(READ_ALONE, "nonsecure", BASE))
    good_log, log = banner(GOOD_SERIAL, "3.27V", board="NUCLEO-H563ZI"), banner(SUSPECT_SERIAL, "3.28V")
    write(out / "good-log.txt", good_log)
    write(out / "suspect-log.txt", log)
    write(out / "good-ob.txt", listing(PLAIN, good_log))
    write(out / "suspect-ob.txt", listing(PLAIN, log))
    write_json(out / "info.json", identity(PLAIN))
    rounds = [1, 2, 3, 4]
    faults: list[dict[str, object]] = [
        {
            "kind": "ecc-uncorrected",
            "address": BASE + DEFECT,
            "bit": None,
            "rounds": rounds,
            "detail": "ECCDETR names this quad-word after every pattern that sets both cells",
        }
    ]
    faults += [
        {
            "kind": "stuck-at-0",
            "address": BASE + offset,
            "bit": bit,
            "rounds": rounds,
            "detail": "reads 0 after erase and after every pattern",
        }
        for offset, bit in DEFECT_BITS
    ]
    write_json(out / "flashtest.json", flash_test((0x24000, 0x28000), 0xC3, {DEFECT: faults}))
    write(
        out / "case.toml",
        """\
title = "One quad-word of the tables reads wrong on one board"
chip = "stm32h563zi"

[good]
name = "board 7"
dumps = ["good.hex"]
access = "nonsecure"
mode = "hotplug"
tool = "STM32CubeProgrammer 2.21.0"
options = "good-ob.txt"
log = "good-log.txt"

[suspect]
name = "board 12"
dumps = ["suspect-1.hex", "suspect-2.hex"]
access = "nonsecure"
mode = "hotplug"
after_da = false
resets_since_flash = 2
tool = "STM32CubeProgrammer 2.21.0"
options = "suspect-ob.txt"
log = "suspect-log.txt"
info = "info.json"
flashtest = "flashtest.json"
marking = "STM32H563ZIT6"
""",
    )
    expected(
        out,
        "faulty",
        "flash-defect",
        supported=("flash-defect",),
        excluded=("dump-corrupted", "masked-read", "bank-swapped", "wrong-part"),
        differs=[BASE + a for a, _ in DEFECT_BITS],
        open_points=[],
    )


def sound(out: Path) -> None:
    """Write the case of a board with nothing wrong: same content, same options, a clean flash test."""
    write_hex(out / "good.hex", init_board().read(READ_SOUND, "all"))
    for n in (1, 2):
        write_hex(out / f"suspect-{n}.hex", init_board().read(READ_SOUND, "all"))
    good_log = banner(GOOD_SERIAL, "3.27V", mode="Under Reset", reset="Hardware reset", board="NUCLEO-H563ZI")
    log = banner(SUSPECT_SERIAL, "3.30V", mode="Under Reset", reset="Hardware reset")
    write(out / "good-log.txt", good_log)
    write(out / "suspect-log.txt", log)
    write(out / "good-ob.txt", listing(OEMIROT, good_log))
    write(out / "suspect-ob.txt", listing(OEMIROT, log))
    write_json(out / "info.json", identity(OEMIROT))
    write_json(out / "flashtest.json", flash_test((NS_SECONDARY, NS_SECONDARY + 4 * SECTOR), 0xB4, {}))
    write(
        out / "case.toml",
        f"""\
title = "A board that only needed another cable"
{OEMIROT_HEAD}
[good]
name = "nucleo"
dumps = ["good.hex"]
access = "secure"
mode = "under-reset"
tool = "OpenOCD (ST), which makes every sector secure while it reads"
options = "good-ob.txt"
log = "good-log.txt"

[suspect]
name = "custom board 2"
dumps = ["suspect-1.hex", "suspect-2.hex"]
access = "secure"
mode = "under-reset"
after_da = false
resets_since_flash = 5
tool = "OpenOCD (ST), which makes every sector secure while it reads"
options = "suspect-ob.txt"
log = "suspect-log.txt"
info = "info.json"
flashtest = "flashtest.json"
marking = "STM32H563ZIT6"

[provisioning]
package = "1.4.0"
""",
    )
    expected(
        out,
        "sound",
        "",
        excluded=("dump-corrupted", "install-pending", "options-not-applied", "bank-swapped"),
        good={"secure primary": "installed", "secure secondary": "empty"},
        suspect={
            "secure primary": "installed",
            "non-secure primary": "installed",
            "secure secondary": "empty",
            "non-secure secondary": "empty",
        },
        open_points=[],
    )


def identity(options: Mapping[str, int]) -> dict[str, object]:
    """Return what ``h5diag info --json`` says of a rev X part with clean ECC and operation status registers."""
    return {
        "chip": "stm32h563zi",
        "dev_id": 0x484,
        "rev_id": 0x1007,
        "uid": "003A002D3433510A33363934",
        "flash_kib": 2048,
        "product_state": options["PRODUCT_STATE"],
        "tzen": options["TZEN"],
        "options": {name: {"value": value} for name, value in options.items()},
        "registers": {"ecccorr": 0, "eccdetr": 0, "opsr": 0, "hdpl": 1},
    }


def flash_test(tested: tuple[int, int], tzen: int, faults: Mapping[int, list[dict[str, object]]]) -> dict[str, object]:
    """Return what ``h5diag flashtest --json`` says: four rounds, two link speeds, a power cycle in the middle."""
    sectors: list[dict[str, object]] = []
    for start in range(*tested, SECTOR):
        found = [f for offset, fs in faults.items() if offset // SECTOR == start // SECTOR for f in fs]
        sectors.append(
            {
                "start": BASE + start,
                "verdict": "bad" if found else "good",
                "erase_s": 0.0021,
                "program_s": 0.059,
                "faults": found,
            }
        )
    return {
        "level": "standard",
        "range": [BASE + tested[0], BASE + tested[1]],
        "restored": True,
        "conditions": {
            "tzen": tzen,
            "product_state": 0xED,
            "wrp": [0xFFFFFFFF, 0xFFFFFFFF] if tzen == 0xC3 else [0xFFFFFFF8, 0xFFFFFFFF],
            "rev_id": 0x1007,
            "voltage_mv": 3280,
            "swd_hz": [1_000_000, 8_000_000],
            "rounds": 4,
            "power_cycles": 1,
            "second_path": "core-checksum",
        },
        "sectors": sectors,
        "faults": sum(len(fs) for fs in faults.values()),
    }


def expected(
    out: Path,
    verdict: str,
    first: str,
    *,
    supported: tuple[str, ...] = (),
    possible: tuple[str, ...] = (),
    excluded: tuple[str, ...] = (),
    **rest: object,
) -> None:
    """Write ``expected.json``, which the tests hold the diagnosis against; `open_points` has a word of each point."""
    hypotheses = {
        **dict.fromkeys(supported, "supported"),
        **dict.fromkeys(possible, "possible"),
        **dict.fromkeys(excluded, "excluded"),
    }
    write_json(
        out / "expected.json",
        {"verdict": verdict, "first": first, "supported": list(supported), "hypotheses": hypotheses, **rest},
    )


def write(path: Path, text: str) -> None:
    """Write text with line feeds."""
    path.write_text(text, "utf-8", newline="\n")


def write_json(path: Path, value: object) -> None:
    """Write JSON for people to read."""
    write(path, json.dumps(value, indent=1) + "\n")


def write_hex(path: Path, hexfile: IntelHex) -> None:
    """Write long records: the folder stays small."""
    with path.open("w", newline="\n") as stream:
        hexfile.write_hex_file(stream, byte_count=128)


CASES: Mapping[str, Callable[[Path], None]] = {
    "founding": founding,
    "founding-thread": founding_thread,
    "founding-no-magic": founding_no_magic,
    "defect": defect,
    "sound": sound,
}


def build(out: Path) -> None:
    """Write every case into a folder of its own under `out`."""
    for name, make in CASES.items():
        (out / name).mkdir(parents=True, exist_ok=True)
        make(out / name)


def main() -> None:
    """Write the cases where they belong, or to ``--out``."""
    parser = argparse.ArgumentParser(description="Write the bundled cases from the committed images.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the case folders (default: data)")
    build(parser.parse_args().out)


if __name__ == "__main__":
    main()
