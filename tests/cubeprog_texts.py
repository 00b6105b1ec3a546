"""Look-alikes of what STM32CubeProgrammer prints: our own boards and values, every trap of the real texts."""

BANNER = """\
      -------------------------------------------------------------------
                        STM32CubeProgrammer v2.21.0
      -------------------------------------------------------------------

ST-LINK SN  : 00A1B2C3D4E5F60718293A4B
ST-LINK FW  : V3J15M7
Board       : --
Voltage     : 3.29V
SWD freq    : 8000 KHz
Connect mode: Hot Plug
Reset mode  : Software reset
Device ID   : 0x484
Revision ID : Rev X
Device name : STM32H56x/573
Flash size  : 2 MBytes
Device type : MCU
Device CPU  : Cortex-M33
BL Version  : 0xE4
SFSP Version: v2.5.0
Debug in Low Power mode enabled
"""

UPLOAD = """

UPLOADING OPTION BYTES DATA ...

  Bank          : 0x00
  Address       : 0x40022050
  Size          : 8 Bytes

[==================================================] 100%

"""

H5_FIELDS = (
    (0, "Life cycle", "PRODUCT_STATE", 0xED, "(Open)"),
    (0, "Brown-out", "BOR_LEV", 0x1, "(level 2 (about some volts))"),
    (0, "", "BORH_EN", 0x0, " (0x0)"),
    (0, "User part", "IO_VDD_HSLV", 0x0, " (0x0)"),
    (0, "", "IO_VDDIO2_HSLV", 0x0, " (0x0)"),
    (0, "", "IWDG_STOP", 0x1, " (0x1)"),
    (0, "", "IWDG_STDBY", 0x1, " (0x1)"),
    (0, "", "BOOT_UBE", 0xB4, "(own root of trust (user flash) taken)"),
    (0, "", "SWAP_BANK", 0x0, " (0x0)"),
    (0, "", "IWDG_SW", 0x1, " (0x1)"),
    (0, "", "NRST_STOP", 0x1, " (0x1)"),
    (0, "", "NRST_STDBY", 0x1, " (0x1)"),
    (1, "User part 2", "TZEN", 0xB4, "(zone on)"),
    (1, "", "SRAM2_ECC", 0x0, "(check on)"),
    (1, "", "SRAM3_ECC", 0x1, "(check off)"),
    (1, "", "BKPRAM_ECC", 0x1, "(check off)"),
    (1, "", "SRAM2_RST", 0x0, "(erased)"),
    (1, "", "SRAM1_3_RST", 0x1, "(kept)"),
    (2, "Start", "NSBOOTADD", 0x80000, " (0x8000000)"),
    (2, "", "NSBOOT_LOCK", 0xC3, "(free)"),
    (2, "", "SECBOOT_LOCK", 0xB4, "(fixed)"),
    (2, "", "SECBOOTADD", 0xC0000, " (0xc000000)"),
    (3, "Area 1", "SECWM1_STRT", 0x0, " (0x8000000)"),
    (3, "", "SECWM1_END", 0xE, " (0x801c000)"),
    (3, "Groups 1", "WRPSGn1", 0xFFFFFFF8, " (0x0)"),
    (4, "Area 2", "SECWM2_STRT", 0x7F, " (0x081fe000)"),
    (4, "", "SECWM2_END", 0x0, " (0x08100000)"),
    (4, "Groups 2", "WRPSGn2", 0xFFFFFFFF, " (0x0)"),
    (5, "One time", "LOCKBL", 0x0, " (0x0)"),
    (6, "Data 1", "EDATA1_EN", 0x0, " (0x0)"),
    (6, "", "EDATA1_STRT", 0x0, " (0x0)"),
    (7, "Data 2", "EDATA2_EN", 0x0, " (0x0)"),
    (7, "", "EDATA2_STRT", 0x0, " (0x0)"),
    (8, "Hidden 1", "HDP1_STRT", 0x0, " (0x0)"),
    (8, "", "HDP1_END", 0xB, " (0x16000)"),
    (9, "Hidden 2", "HDP2_STRT", 0x1, " (0x2000)"),
    (9, "", "HDP2_END", 0x0, " (0x0)"),
)


def h5_listing(changes=None, texts=None, *, fields=H5_FIELDS, banner=BANNER, upload=UPLOAD):
    """A listing with values changed by name; `texts` replaces what stands beside them."""
    out, bank = [banner + upload], -1
    for number, group, name, value, text in fields:
        if number != bank:
            out.append(f"OPTION BYTES BANK: {number}\n")
            bank = number
        if group:
            out.append(f"\n   {group}:\n\n")
        value = (changes or {}).get(name, value)
        text = (texts or {}).get(name, text)
        out.append(f"     {name:<13}: 0x{value:X} {text}\n")
    return "".join(out)


PROVISIONING_TEXTS = {"PRODUCT_STATE": "(Provisioning, Debug half opened (only one side)) "}


def provisioning_listing(**changes):
    """A board in Provisioning: options of the secure side read zero."""
    return h5_listing({"PRODUCT_STATE": 0x17, "SECBOOTADD": 0, "SECBOOT_LOCK": 0, **changes}, PROVISIONING_TEXTS)


L5_LISTING = """\
Device ID   : 0x472
Revision ID : Rev B
Flash size  : 512 KBytes (default)
BL Version  : --

  Bank          : 0x00
  Address       : 0x50022040
  Size          : 40 Bytes
OPTION BYTES BANK: 0

   Read out:

     RDP          : 0xAA (none)

   User:

     BOR_LEV      : 0x0 (lowest)
     nRST_STOP    : 0x1 (no reset)
     nRST_STDBY   : 0x1 (no reset)
     nRST_SHDW    : 0x1 (no reset)
     IWDG_SW      : 0x1 (by software)
     WWDG_SW      : 0x1 (by software)
     SWAP_BANK    : 0x0 (straight)
     DB256        : 0x1 (contiguous)
     DBANK        : 0x1 (two banks)
     SRAM2_PE     : 0x1 (off)
     SRAM2_RST    : 0x1 (kept)
     nSWBOOT0     : 0x1 (pin)
     nBOOT0       : 0x1 (flash)
     PA15_PUPEN   : 0x1 (up)
     TZEN         : 0x1 (on)
     NSBOOTADD0   : 0x100000  (0x8000000)
     NSBOOTADD1   : 0x17F200  (0xbf90000)
     SECBOOTADD0  : 0x180000  (0xc000000)
     BOOT_LOCK    : 0x0 (free)
     SECWM1_PSTRT : 0x0  (0x8000000)
     SECWM1_PEND  : 0x7F  (0x803f800)
     HDP1_PEND    : 0x0  (0x8000000)
     HDP1EN       : 0x0 (off)
     WRP1A_PSTRT  : 0x7F  (0x803f800)
     WRP1A_PEND   : 0x0  (0x8000000)
     WRP1B_PSTRT  : 0x7F  (0x803f800)
     WRP1B_PEND   : 0x0  (0x8000000)
OPTION BYTES BANK: 1

     SECWM2_PSTRT : 0x7F  (0x807f800)
     SECWM2_PEND  : 0x0  (0x8040000)
     HDP2_PEND    : 0x0  (0x8040000)
     HDP2EN       : 0x0 (off)
     WRP2A_PSTRT  : 0x10  (0x8048000)
     WRP2A_PEND   : 0x1F  (0x804f800)
     WRP2B_PSTRT  : 0x7F  (0x807f800)
     WRP2B_PEND   : 0x0  (0x8040000)
"""

U5_LISTING = (
    L5_LISTING.replace("0x472", "0x482")
    .replace("Rev B", "--")
    .replace("512 KBytes (default)", "2 MBytes")
    .replace(
        "     DB256        : 0x1 (contiguous)\n", "     SRAM3_ECC    : 0x1 (off)\n     SRAM_RST     : 0x1 (kept)\n"
    )
    .replace("     DBANK  ", "     DUALBANK")
    .replace("SRAM2_PE ", "SRAM2_ECC")
    .replace("     WRP1B_PSTRT", "     UNLOCK_1A    : 0x1 (free)\n     WRP1B_PSTRT")
)

EXPORT = """{
 "deviceId": 1156,
 "name": "a board",
 "bitNameToValue": {
  "PRODUCT_STATE": 23, "TZEN": 180, "SWAP_BANK": 0,
  "SECWM1_STRT": 0, "SECWM1_END": 14, "SECWM2_STRT": 127, "SECWM2_END": 0,
  "WRPSGn1": -8, "WRPSGn2": -1, "HDP1_STRT": 0, "HDP1_END": 11, "HDP2_STRT": 1, "HDP2_END": 0,
  "SECBOOTADD": 0, "SECBOOT_LOCK": 0, "NEW_THING": 5
 }
}
"""

REGISTERS_COLUMNS = """\
address, value
0x40022050, 0x2D30EDD8
0x40022054, 0x2D30EDD8
0x40022070, 0xB4000034
0x40022088, 0x0C0000B4
0x400220E0, 0x000E0000
0x400220E8, 0xFFFFFFF8
0x400220F8, 0x000B0000
0x400221E0, 0x0000007F
0x400221E8, 0xFFFFFFFF
0x400221F8, 0x00000001
0x12345678, 0x00000001
"""

REGISTERS_MDW = """\
0x40022050: 2d30edd8 2d30edd8 00000000 00000000 00000000 00000000 00000000 00000000
0x40022070: b4000034 b4000034 00000000 00000000 080000c3 080000c3 0c0000b4 0c0000b4
0x400220e0: 000e0000 000e0000 fffffff8 fffffff8 00000000 00000000 000b0000 000b0000
0x400221e0: 0000007f 0000007f ffffffff ffffffff 00000000 00000000 00000001 00000001
"""


def write(file, address, *, size="20.15 KB", verified=True, mismatch=None, error=""):
    """What one download prints."""
    out = [
        "",
        "",
        "Memory Programming ...",
        f"Opening and parsing file: {file}",
        "",
        "",
        f"  File          : {file}",
        f"  Size          : {size}",
        f"  Address       : 0x{address:08X}",
        "",
        "",
        "Erasing memory corresponding to segment 0:",
        "Erasing internal memory sectors [95 97]",
        "Download in Progress:",
        "[====================] 100%",
        "",
        "File download complete",
        "Time elapsed during download operation: 00:00:00.512",
        "",
        "",
        "Verifying ...",
        "",
        "",
    ]
    if error:
        out = [*out[:14], f"Error: {error}"]
    elif mismatch is not None:
        out += [
            f"Error: Data mismatch found at address 0x{mismatch:08X} (byte = 0xFF instead of 0x7F)",
            "Error: Download verification failed",
        ]
    elif verified:
        out += ["Download verified successfully"]
    else:
        out = out[:-3]
    return "\n".join(out) + "\n"


def provisioning_log(*, images="init", boot=True, failed_boot=False):
    """An ob_flash_programming.log look-alike."""
    primary = images == "init"
    out = [
        "Set TZEN = 1\n",
        BANNER,
        "Warning: Option Byte: tzen, value: 0xB4, was not modified.\n",
        "Remove Protection and erase All\n",
        BANNER,
        "MASS ERASE ...\n\nMass erase successfully achieved\n",
        "Application images programming in download slots\n",
        BANNER,
        write(f"../../Appli/Binary/rot_tz_s_app_{images}_sign.hex", 0x08018000 if primary else 0x080BE000),
        BANNER,
        write(f"../../Appli/Binary/rot_tz_ns_app_{images}_sign.hex", 0x0801E000 if primary else 0x080C4000),
    ]
    if boot:
        out += [
            "Write OEMiROT_Boot\n",
            BANNER,
            write(
                "/opt/cube/OEMiROT_Boot/Binary/OEMiROT_Boot.bin",
                0x0C000000,
                error="failed to download Segment[0]" if failed_boot else "",
            ),
        ]
    out += ["Configure Option Bytes\n", BANNER, "Option Bytes successfully programmed\n", "Programming success\n"]
    return "".join(out)


DISCOVERY = """\
Start Debug Authentication Sequence
SDMOpen : 609 : open : SDM API v1.0
SDMOpen : 610 : open : SDM Library version v1.2.0
open_comms : 501 : open : Asserting target reset
open_comms : 567 : open : Communication with the target established successfully
discovery: target ID.......................:0x484
discovery: SoC ID..........................:0x00000000_11223344_55667788_99AABBCC
discovery: SDA version.....................:2.4.0
discovery: Vendor ID.......................:STMicroelectronics
discovery: PSA lifecycle...................:ST_LIFECYCLE_CLOSED
discovery: PSA auth version................:1.0
discovery: ST HDPL1 status.................:0x1
discovery: ST HDPL2 status.................:0xffffffff
discovery: Token Formats...................:0x200
discovery: ST provisioning integrity status:0xEAEAEAEA
discovery: ST provisioning integrity status message: VALID
discovery: permission if authorized...........:(a/14) ==> Full Regression
discovery: permission if authorized...........:(b/12) ==> To TZ Regression
"""

DISCOVERY_FAILED = """\
SDMOpen : 625 : open : SDM Library version v1.3.0
open_comms : 513 : open : Asserting target reset
response_packet_lock
Timeout while receiving response...
discovery: target ID.......................:0x0
discovery: SoC ID..........................:0x00000000_00000001_00000000_00000000
discovery: SDA version.....................:\u2219
discovery: Vendor ID.......................:(null)
"""

UART = """\
Serial Port COM9 is successfully opened.
Port configuration: parity = even, baudrate = 115200, data-bit = 8,
                     stop-bit = 1.0, flow-control = off
Activating device: OK
Board       : --
Chip ID: 0x484
BootLoader protocol version: 4.0
Error: RDP is set to level 1 or target is held under reset
Error: READ command not acknowledged at address: 0x40022050
"""

USB = """\
USB speed   : Full Speed (12MBit/s)
Manuf. ID   : STMicroelectronics
Product ID  : DFU in FS Mode
SN          : 20863690414D
DFU protocol: 1.1
Board       : --
Device ID   : 0x0484
"""


def gui(text, ms=False):
    """The same as the GUI logs it: a time stamp before every line."""
    stamp = "10:22:{:02d}:{:03d} : " if ms else "10:22:{:02d} : "
    return "".join(stamp.format(i % 60, i % 1000) + line + "\n" for i, line in enumerate(text.splitlines()))


def ansi(text):
    """Colours, carriage returns and a progress bar that was redrawn."""
    coloured = "".join(
        f"\x1b[1;33m{line}\x1b[0m\r\n" if i % 2 else line + "\r\n" for i, line in enumerate(text.splitlines())
    )
    return coloured.replace(
        "[==================================================] 100%", "\r[=====     ] 50%\r\u2588\u2588\u2588\u2588 100%"
    )


def forum(text):
    """Pasted into a forum: columns lost, quote marks, HTML entities and tags, hard spaces."""
    return "".join(
        "&gt; " + " ".join(line.split()).replace(" : ", " :\u00a0").replace("<", "&lt;") + "<br>\n"
        for line in text.splitlines()
    )
