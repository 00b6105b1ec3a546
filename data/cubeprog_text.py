"""What STM32CubeProgrammer prints, in our own values: the connection banner and the option listing."""

from __future__ import annotations

from collections.abc import Mapping

BASE, SECTOR = 0x08000000, 0x2000

STATES = {
    0xED: "(Open)",
    0x17: "(Provisioning, Debug partially opened (only non-secure)) ",
    0x2E: "(iROT-Provisioned)",
    0x72: "(Closed)",
    0xC6: "(TZ-Closed)",
    0x5C: "(Locked)",
}
OEMIROT: Mapping[str, int] = {
    "PRODUCT_STATE": 0xED,
    "BOR_LEV": 0,
    "BORH_EN": 0,
    "IO_VDD_HSLV": 0,
    "IO_VDDIO2_HSLV": 0,
    "IWDG_STOP": 1,
    "IWDG_STDBY": 1,
    "BOOT_UBE": 0xB4,
    "SWAP_BANK": 0,
    "IWDG_SW": 1,
    "NRST_STOP": 1,
    "NRST_STDBY": 1,
    "TZEN": 0xB4,
    "SRAM2_ECC": 0,
    "SRAM3_ECC": 1,
    "BKPRAM_ECC": 1,
    "SRAM2_RST": 0,
    "SRAM1_3_RST": 1,
    "NSBOOTADD": 0x80000,
    "NSBOOT_LOCK": 0xC3,
    "SECBOOT_LOCK": 0xB4,
    "SECBOOTADD": 0xC0000,
    "SECWM1_STRT": 0,
    "SECWM1_END": 0xE,
    "WRPSGn1": 0xFFFFFFF8,
    "SECWM2_STRT": 0x7F,
    "SECWM2_END": 0,
    "WRPSGn2": 0xFFFFFFFF,
    "LOCKBL": 0,
    "EDATA1_EN": 0,
    "EDATA1_STRT": 0,
    "EDATA2_EN": 0,
    "EDATA2_STRT": 0,
    "HDP1_STRT": 0,
    "HDP1_END": 0xB,
    "HDP2_STRT": 1,
    "HDP2_END": 0,
}
# Read without the secure attribute, the secure boot register gives zero.
PROVISIONING = {**OEMIROT, "PRODUCT_STATE": 0x17, "SECBOOT_LOCK": 0, "SECBOOTADD": 0}
PROVISIONED = {**PROVISIONING, "PRODUCT_STATE": 0x2E}
PLAIN = {
    **OEMIROT,
    "TZEN": 0xC3,
    "SRAM2_ECC": 1,
    "SRAM2_RST": 1,
    "SECBOOT_LOCK": 0xC3,
    "SECWM1_STRT": 0x7F,
    "SECWM1_END": 0,
    "WRPSGn1": 0xFFFFFFFF,
    "HDP1_STRT": 1,
    "HDP1_END": 0,
}

BANKS: tuple[tuple[int, int, tuple[tuple[str, tuple[str, ...]], ...]], ...] = (
    (
        0x40022050,
        8,
        (
            ("Product state", ("PRODUCT_STATE",)),
            ("BOR Level", ("BOR_LEV", "BORH_EN")),
            (
                "User Configuration",
                (
                    "IO_VDD_HSLV",
                    "IO_VDDIO2_HSLV",
                    "IWDG_STOP",
                    "IWDG_STDBY",
                    "BOOT_UBE",
                    "SWAP_BANK",
                    "IWDG_SW",
                    "NRST_STOP",
                    "NRST_STDBY",
                ),
            ),
        ),
    ),
    (
        0x40022070,
        8,
        (("User Configuration 2", ("TZEN", "SRAM2_ECC", "SRAM3_ECC", "BKPRAM_ECC", "SRAM2_RST", "SRAM1_3_RST")),),
    ),
    (0x40022080, 16, (("Boot Configuration", ("NSBOOTADD", "NSBOOT_LOCK", "SECBOOT_LOCK", "SECBOOTADD")),)),
    (
        0x400220E0,
        16,
        (
            ("Bank1 - Flash watermark area definition", ("SECWM1_STRT", "SECWM1_END")),
            ("Write sector group protection 1", ("WRPSGn1",)),
        ),
    ),
    (
        0x400221E0,
        16,
        (
            ("Bank2 - Flash watermark area definition", ("SECWM2_STRT", "SECWM2_END")),
            ("Write sector group protection 2", ("WRPSGn2",)),
        ),
    ),
    (0x40022090, 8, (("OTP write protection", ("LOCKBL",)),)),
    (0x400220F0, 8, (("Flash data bank 1 sectors", ("EDATA1_EN", "EDATA1_STRT")),)),
    (0x400221F0, 8, (("Flash data bank 2 sectors", ("EDATA2_EN", "EDATA2_STRT")),)),
    (0x400220F8, 8, (("Flash HDP bank 1", ("HDP1_STRT", "HDP1_END")),)),
    (0x400221F8, 8, (("Flash HDP bank 2", ("HDP2_STRT", "HDP2_END")),)),
)


def remark(name: str, value: int) -> str:
    """Return what the tool prints after the value: one blank and a text, or two blanks and a number."""
    if name == "PRODUCT_STATE":
        return " " + STATES[value]
    if name in ("TZEN", "BOOT_UBE", "NSBOOT_LOCK", "SECBOOT_LOCK") and value:
        words = {"TZEN": ("Trust zone enabled", "Trust zone disabled"), "BOOT_UBE": ("OEM-iRoT", "ST-iRoT")}
        on, off = words.get(name, ("locked", "not locked"))
        return f" ({on if value == 0xB4 else off})"
    if name.startswith("SECWM"):
        return f"  (0x{BASE + (0x100000 if name[5] == '2' else 0) + value * SECTOR:X})"
    if name.startswith("HDP"):
        return f"  (0x{value * SECTOR:X})"
    if name in ("NSBOOTADD", "SECBOOTADD"):
        return f"  (0x{value << 8:X})"
    return f"  (0x{0 if name.startswith('WRPSG') else value:X})"


def listing(values: Mapping[str, int], log: str) -> str:
    """Return what ``-c ... -ob displ`` prints: the banner, the upload part, ten banks of fields."""
    out = [log.rstrip("\n"), "", "UPLOADING OPTION BYTES DATA ...", ""]
    for number, (address, size, _) in enumerate(BANKS):
        out += [
            f"  Bank          : 0x{number:02X}",
            f"  Address       : 0x{address:08x}",
            f"  Size          : {size} Bytes",
            "",
            "[" + "=" * 50 + "] 100% ",
            "",
        ]
    out.append("")
    for number, (_, _, groups) in enumerate(BANKS):
        out.append(f"OPTION BYTES BANK: {number}")
        for title, names in groups:
            out += ["", f"   {title}:", ""]
            out += [f"     {name:<13}: 0x{values[name]:X}{remark(name, values[name])}" for name in names]
        out.append("")
    return "\n".join(out) + "\n"


def banner(
    serial: str,
    voltage: str,
    *,
    mode: str = "Hot Plug",
    reset: str = "Software reset",
    flash: str = "2 MBytes",
    sfsp: str = "v2.5.0",
    board: str = "--",
    firmware: str = "V3J15M7",
) -> str:
    """Return the connection banner; a `mode` left empty is a banner pasted without its connect and reset lines."""
    line = " " * 6 + "-" * 67
    rows = [
        ("ST-LINK SN", serial),
        ("ST-LINK FW", firmware),
        ("Board", board),
        ("Voltage", voltage),
        ("SWD freq", "8000 KHz"),
        ("Connect mode", mode),
        ("Reset mode", reset),
        ("Device ID", "0x484"),
        ("Revision ID", "Rev X"),
        ("Device name", "STM32H56x/573"),
        ("Flash size", flash),
        ("Device type", "MCU"),
        ("Device CPU", "Cortex-M33"),
        ("BL Version", "0xE4"),
        ("SFSP Version", sfsp),
    ]
    if not mode:
        rows = [r for r in rows if r[0] not in ("Connect mode", "Reset mode")]
    return "\n".join(
        [line, " " * 24 + "STM32CubeProgrammer v2.21.0", line, "", *(f"{key:<12}: {value}" for key, value in rows), ""]
    )
