"""Texts as a bench gives them, in our own values, and what must be understood of each.

`docs/texts.md` is made of this table by ``docs/make_texts.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bench:
    """A text.

    `chip` is the name of the chip that it names, None where it names none or one without a chip file (then `dev_id`).
    `says` must be among the remarks and meanings, `silent` must not; `values` are paths of the JSON document.
    """

    kind: str
    what: str
    tool: str
    text: str
    chip: str | None = None
    dev_id: int | None = None
    says: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    values: dict[str, object] = field(default_factory=dict)


FAULT_WORDS = "precise data bus error (PRECISERR): the access at the stacked PC went to the address in BFAR"


def banner(dev_id: str, name: str, size: str, *more: str, tool: str = "2.20.0") -> str:
    return "\n".join(
        (
            f"                        STM32CubeProgrammer v{tool}",
            "ST-LINK SN  : 0B1C2D3E4F5061728394A5B6",
            "ST-LINK FW  : V3J16M8",
            "Board       : --",
            "Voltage     : 3.27V",
            "SWD freq    : 8000 KHz",
            "Connect mode: Normal",
            "Reset mode  : Software reset",
            f"Device ID   : {dev_id}",
            "Revision ID : Rev Z",
            f"Device name : {name}",
            f"Flash size  : {size}",
            "Device type : MCU",
            *more,
            "",
        )
    )


H563 = banner("0x484", "STM32H56x/573", "2 MBytes")
LISTING = """OPTION BYTES BANK: 0
     PRODUCT_STATE: 0x72 (Closed)
     SWAP_BANK    : 0x0 (0x0)
OPTION BYTES BANK: 1
     TZEN         : 0xB4 (on)
"""


def stamped(text: str, front: str) -> str:
    return "".join(front.format(n=n) + line + "\n" for n, line in enumerate(text.splitlines(), 1))


_FRONTS = (
    ("a date and a logger", "2025-11-02 08:00:{n:02d},117 - flash.station - INFO - "),
    ("a build server's stamp", "2025-11-02T08:00:{n:02d}.1234567Z "),
    ("syslog", "Nov  2 08:00:{n:02d} bench7 flasher[4711]: "),
    ("brackets", "[2025-11-02 08:00:{n:02d}.117] "),
    ("seconds since the start", "[   {n}.250113] "),
    ("a clock and a level", "08:00:{n:02d} WARNING: "),
    ("line numbers", "{n:5d}: "),
    ("an editor's line numbers", "  {n}\t"),
    ("a container's name", "station-1  | "),
    ("quote marks", "> "),
)

TEXTS = (
    # -------------------------------------------------------------------------------- connections
    *(
        Bench(
            "options",
            f"a listing with {what} in front of every line",
            "CubeProgrammer 2.20",
            stamped(H563 + LISTING, front),
            "stm32h563zi",
            values={"product_state": "Closed", "banner.dev_id": 0x484, "options.TZEN.value": 0xB4},
        )
        for what, front in _FRONTS
    ),
    Bench(
        "connection",
        "a family without a chip file",
        "CubeProgrammer 2.17",
        banner("0x415", "STM32L4x1/STM32L475xx/STM32L476xx/STM32L486xx", "1 MBytes", tool="2.17.0"),
        dev_id=0x415,
        says=("knows none of its options",),
        silent=("VOS1", "H563", "STM32H5"),
        values={"chip_known_by": "dev-id", "device.dev_id": 0x415},
    ),
    Bench(
        "connection",
        "a size that is only the tool's default names the family and no size",
        "CubeProgrammer 2.20",
        banner("0x482", "STM32U575/STM32U585", "2 MBytes (default)"),
        "stm32u575zi",
        says=("printed its default",),
        silent=("OEMiROT",),
        values={"banner.flash_kib": None},
    ),
    Bench(
        "connection",
        "the first connection failed, the second counts",
        "CubeProgrammer 2.20",
        "ST-LINK SN  : 0B1C2D3E4F5061728394A5B6\nVoltage     : 3.27V\nError: No STM32 target found!\n" + H563,
        "stm32h563zi",
        says=("a later connection worked, so nothing follows",),
        values={"errors.0.about": "", "banner.dev_id": 0x484},
    ),
    Bench(
        "connection",
        "an identity of zero names no chip",
        "CubeProgrammer 2.20",
        "ST-LINK SN  : 0B1C2D3E4F5061728394A5B6\nVoltage     : 3.27V\nDevice ID   : 0x0000\n",
        says=("which is none",),
        values={"chip": None, "chip_known_by": "assumed"},
    ),
    Bench(
        "connection",
        "a speed that no probe has",
        "CubeProgrammer 2.20",
        H563.replace("8000 KHz", "4294967 KHz"),
        "stm32h563zi",
        says=("is impossible",),
    ),
    Bench(
        "connection",
        "the graphical tool reads options and prints none",
        "CubeProgrammer 2.19, GUI",
        "10:20:30 : Device ID   : 0x478\n10:20:30 : UPLOADING OPTION BYTES DATA ...\n"
        "10:20:30 :   Bank          : 0x00\n10:20:31 : UPLOADING ...\n10:20:31 : Data read successfully\n",
        "stm32h523ce",
        silent=("printed none",),
    ),
    Bench(
        "verbosity-3",
        "verbosity 3 of the chip itself, without an external loader",
        "CubeProgrammer 2.20",
        "Device ID   : 0x484\nhalt ap 1 \nr ap 1 reg 15 PC   0x08000D18\nhalt ap 1 \n"
        "flash loader /opt/FlashLoader/0x484.stldr is loaded\nr ap 1 @0x40022050 0x00000008 bytes Data 0x2D30EDD8\n",
        "stm32h563zi",
        values={"loader": None},
    ),
    # -------------------------------------------------------------------------------- options
    Bench(
        "options",
        "the 4 MB line: bank 2 begins at 0x08200000",
        "CubeProgrammer 2.22",
        banner("0x47A", "STM32H5F4xJ/H5F5xJ/H5E4xJ/H5E5xJ", "4 MBytes", tool="2.22.0")
        + "OPTION BYTES BANK: 4\n     WRPSG12      : 0xFFFFFFFE  (0xFFFFFFFE)\n"
        + "OPTION BYTES BANK: 10\n     SECWM2_STRT  : 0x0  (0x8200000)\n     SECWM2_END   : 0x1  (0x8202000)\n",
        "stm32h5e5zj",
        says=("sector 0, 0x08200000", "groups 32 protected"),
        silent=("0x08180000",),
    ),
    Bench(
        "options",
        "a U5 by the names of its options alone",
        "CubeProgrammer 2.20",
        "OPTION BYTES BANK: 0\n     RDP          : 0xAA (Level 0)\n     DBANK        : 0x1 (dual)\n"
        "     SRAM_RST     : 0x1 (kept)\n     SRAM3_ECC    : 0x1 (off)\n",
        "stm32u575zi",
        values={"chip_known_by": "option-names", "options.DBANK.known": True},
    ),
    Bench(
        "options",
        "a WBA, whose option names are like those of an L5",
        "CubeProgrammer 2.20",
        banner("0x4B2", "STM32WBA2", "512 KBytes")
        + "OPTION BYTES BANK: 0\n     RDP          : 0x55 (Level 0.5)\n     TZEN         : 0x1 (on)\n"
        + "     SECWM_PSTRT  : 0x0  (0x8000000)\n     SECWM_PEND   : 0x7  (0x8007000)\n",
        "stm32wba25ce",
        says=("only the non-secure side can be debugged", "0x0C007FFF"),
        values={"options.SECWM_PEND.value": 7, "product_state": "RDP 0.5"},
    ),
    Bench(
        "options",
        "a product state with codes of its own is kept as printed",
        "CubeProgrammer 2.20",
        banner("0x47B", "STM32H7Pxxx", "2 MBytes")
        + "OPTION BYTES BANK: 0\n     PRODUCT_STATE: 0x39 (as set)\n     SWAP_BANK    : 0x0 (as set)\n",
        dev_id=0x47B,
        silent=("is no state", "garbage"),
        values={"options.PRODUCT_STATE.value": 0x39},
    ),
    Bench(
        "options",
        "a read protection of a family without a chip file",
        "CubeProgrammer 2.20",
        banner("0x413", "STM32F405xx/F407xx/F415xx/F417xx", "1 MBytes")
        + "OPTION BYTES BANK: 0\n     RDP          : 0xCC (Level 2)\n     BOR_LEV      : 0x3 (off)\n"
        + "     nRST_STOP    : 0x1 (none)\n",
        dev_id=0x413,
        values={"product_state": "RDP 2", "options.RDP.meaning": "read protection: RDP 2"},
    ),
    Bench(
        "option-change",
        "a change of options prints none of them",
        "CubeProgrammer 2.17",
        banner("0x482", "STM32U575/STM32U585", "2 MBytes", tool="2.17.0")
        + "UPLOADING OPTION BYTES DATA ...\n  Bank          : 0x00\n  Address       : 0x40022040\n"
        + "PROGRAMMING OPTION BYTES AREA ...\n",
        "stm32u575zi",
        silent=("printed none",),
    ),
    Bench(
        "listing-diff",
        "a diff of two listings is not one board",
        "diff -u",
        "--- a.txt\n+++ b.txt\n@@ -1,3 +1,3 @@\n OPTION BYTES BANK: 1\n-     TZEN         : 0xB4 (on)\n"
        "+     TZEN         : 0xC3 (off)\n",
        values={"options": {}},
    ),
    Bench(
        "listing-diff",
        "a plain diff",
        "diff",
        "7c7\n<      SECWM1_END   : 0xE  (0x801C000)\n---\n>      SECWM1_END   : 0x7F  (0x80FE000)\n",
        values={"options": {}},
    ),
    # -------------------------------------------------------------------------------- life cycle and provisioning
    Bench(
        "discovery",
        "a blanked SoC id is still a discovery",
        "CubeProgrammer 2.20",
        "discovery: target ID.......................:0x474\ndiscovery: SoC ID..........................:0x00000000_"
        "00000000_00000000_00000000\ndiscovery: PSA lifecycle...................:ST_LIFECYCLE_CLOSED\n",
        "stm32h503rb",
        values={"discovery.failed": False, "product_state": "Closed"},
    ),
    Bench(
        "discovery",
        "provisioned data that do not hold together",
        "CubeProgrammer 2.20",
        "discovery: target ID.......................:0x484\n"
        "discovery: PSA lifecycle...................:ST_LIFECYCLE_CLOSED\n"
        "discovery: ST provisioning integrity status:0xF5F5F5F5\n",
        "stm32h563zi",
        says=("not valid",),
        values={"discovery.integrity_ok": False},
    ),
    Bench(
        "discovery",
        "a service that did not answer",
        "CubeProgrammer 2.20",
        "discovery: target ID.......................:0x1\ndiscovery: Vendor ID.......................:(null)\n",
        says=("did not reach",),
        values={"discovery.failed": True, "chip": None},
    ),
    Bench(
        "provisioning",
        "STiROT starts from the system flash: nothing is missing",
        "ST's scripts",
        "Device ID   : 0x484\nOpening and parsing file: demo_init_sign.hex\n  File          : demo_init_sign.hex\n"
        "  Address       : 0x08002000\nFile download complete\nSet UBE for STiROT\nOption Bytes successfully programmed\n",
        "stm32h563zi",
        says=("STiROT starts from the chip's own system flash",),
        silent=("no line says that the boot code",),
    ),
    Bench(
        "provisioning",
        "the Secure Manager brings its own boot code too",
        "ST's scripts",
        "Device ID   : 0x484\nSecure Manager installation\nOpening and parsing file: tfm_s_app_enc_sign.hex\n"
        "  File          : tfm_s_app_enc_sign.hex\n  Address       : 0x08100000\nFile download complete\n",
        "stm32h563zi",
        silent=("no line says that the boot code",),
    ),
    Bench(
        "sfi",
        "a secure firmware install that failed",
        "CubeProgrammer 2.20",
        "Device ID   : 0x482\nSFI protocol version : 2\nSFI total number of areas : 3\n"
        "Starting Firmware Install operation...\nError: SECURITY State Fail\n",
        "stm32u575zi",
        says=("failed at line 5",),
        values={"install": False},
    ),
    Bench(
        "sfi",
        "a secure firmware install that ended well",
        "CubeProgrammer 2.20",
        "Device ID   : 0x482\nSFI protocol version : 2\nSFI Process Finished Successfully\n",
        "stm32u575zi",
        values={"install": True},
    ),
    Bench(
        "programming",
        "0xFF instead of content was never written",
        "CubeProgrammer 2.20",
        H563
        + "Opening and parsing file: a.bin\n  File          : a.bin\n  Size          : 8.00 KB\n"
        + "  Address       : 0x08000000\nError: Data mismatch found at address 0x08000400 (byte = 0xFF instead of 0x4B)\n"
        + "Error: Download verification failed\n",
        "stm32h563zi",
        says=("never written",),
        values={"writes.0.result": "failed"},
    ),
    # -------------------------------------------------------------------------------- boot logs
    Bench(
        "boot-log",
        "which option the boot code wants otherwise",
        "OEMiROT of STM32CubeH5",
        "[INF] Starting bootloader OEMiROT\n[INF] BANK 1 secure flash [0, 14] : OB [0, 127]\n"
        "[ERR] Unexpected value for secure flash protection\n",
        says=("sectors 0 to 14, the option bytes have 0 to 127", "SECWM1"),
        values={"boot.ended": "stopped", "boot.loader": "OEMiROT"},
    ),
    Bench(
        "boot-log",
        "which slot was refused, with a monitor's stamps",
        "OEMiROT of STM32CubeH5",
        "[10:11:12.001] [INF] Starting bootloader OEMiROT\n[10:11:12.010] [INF] Swap type: none\n"
        "[10:11:12.200] [ERR] Image in the primary slot is not valid!\n"
        "[10:11:12.201] [ERR] Unable to find bootable image\n",
        says=("the image in the primary slot was refused",),
    ),
    Bench(
        "boot-log",
        "upstream MCUboot of Zephyr",
        "MCUboot 2.1, Zephyr 4.1",
        "*** Booting MCUboot v2.1.0-rc1 ***\n[00:00:00.012,000] <inf> mcuboot: Starting bootloader\n"
        "[00:00:00.012,000] <inf> mcuboot: Image index: 0, Swap type: revert\n"
        "[00:00:00.300,000] <inf> mcuboot: Bootloader chainload address offset: 0x10000\n",
        says=("swap type): revert",),
        values={"boot.ended": "started", "boot.version": "2.1.0-rc1"},
    ),
    Bench(
        "boot-log",
        "the address of an ECC error that the boot code printed",
        "OEMiROT of STM32CubeH5",
        "Device ID   : 0x484\n[INF] Starting bootloader OEMiROT\n"
        "[ERR] Double ECC error detected: FLASH_ECCDETR=0x80400020\n",
        "stm32h563zi",
        says=("16 bytes at 0x08100200",),
    ),
    Bench(
        "boot-log",
        "keys that are not there",
        "OEMiROT of STM32CubeH5",
        "[INF] Starting bootloader OEMiROT\n[ERR] verify: Wrong OBK HDPL1 cfg\n",
        says=("keys of the boot code (OBK area)",),
    ),
    Bench(
        "boot-log",
        "a tamper event",
        "OEMiROT of STM32CubeH5",
        "[INF] Starting bootloader OEMiROT\n[ERR] Boot with TAMPER Event Active\n[ERR] Plug the tamper cable, and reboot\n",
        says=("tamper",),
    ),
    Bench(
        "boot-log",
        "SBSFU without a firmware",
        "X-CUBE-SBSFU 2.6",
        "= [SBOOT] STATE: CHECK USER FW STATUS\n\tNo valid FW found in the active slots nor new FW to be installed\n"
        "= [SBOOT] STATE: DOWNLOAD NEW USER FIRMWARE\n",
        says=("no firmware that the secure boot takes",),
        values={"boot.loader": "SBSFU"},
    ),
    # -------------------------------------------------------------------------------- faults and registers
    Bench(
        "fault-dump",
        "a secure fault of TF-M",
        "TF-M 2.0",
        "FATAL ERROR: SecureFault\nHere is some context for the exception:\n    EXC_RETURN (LR): 0xFFFFFFB8\n"
        "    MSP:     0x30000BB8\n    CFSR:  0x00000000\n    HFSR:  0x00000000\n    SFSR:  0x00000048\n"
        "    SFAR:  0x0C0BE000\n",
        says=("attribution unit violation", "0x0C0BE000", "non-secure code in thread mode"),
        values={"options": {}, "fault.address": 0x0C0BE000},
    ),
    Bench(
        "fault-dump",
        "a bus fault of Zephyr",
        "Zephyr 4.1",
        "[00:00:01.000,000] <err> os: ***** BUS FAULT *****\n[00:00:01.000,000] <err> os:   Precise data bus error\n"
        "[00:00:01.000,000] <err> os:   BFAR Address: 0x8010000\n"
        "[00:00:01.000,000] <err> os: r0/a1:  0x00000001  r1/a2:  0x00000002  r2/a3:  0x00000003\n"
        "[00:00:01.000,000] <err> os: Faulting instruction address (r15/pc): 0x08004a12\n",
        says=("0x08010000", "0x08004A12"),
        values={"fault.pc": 0x08004A12},
    ),
    Bench(
        "fault-dump",
        "a handler that prints names and values",
        "any firmware",
        "HardFault!\nCFSR=0x00020000 HFSR=0x40000000\nstacked pc = 0x08001234\n",
        says=("invalid state (INVSTATE)", "escalated"),
    ),
    *(
        Bench(
            "registers",
            f"registers as {what}",
            tool,
            text,
            says=("ECC error",),
            values={"registers.ECCDETR": 0x81012340},
        )
        for what, tool, text in (
            ("a Markdown table", "any", "| OPSR | 0x40022018 | 0x00000000 |\n| ECCDETR | 0x40022104 | 0x81012340 |\n"),
            (
                "comma-separated values",
                "any",
                "name,address,value\nOPSR,0x40022018,0x0\nECCDETR,0x40022104,0x81012340\n",
            ),
            (
                "the value before the address",
                "any",
                "register value address\nOPSR 0x0 0x40022018\nECCDETR 0x81012340 0x40022104\n",
            ),
            ("words of memory", "OpenOCD mdw", "0x40022100: 00000000 81012340\n"),
            ("J-Link's words", "J-Link mem32", "40022100 = 00000000 81012340\n"),
            ("gdb's structure", "gdb", "$1 = {ACR = 0x13, OPSR = 0, ECCCORR = 0, ECCDETR = 2164335424}\n"),
            (
                "gdb's answers",
                "gdb",
                "(gdb) p/x FLASH_NS->OPSR\n$1 = 0x0\n(gdb) p/x FLASH_NS->ECCDETR\n$2 = 0x81012340\n",
            ),
            ("assignments", "any", "FLASH->OPSR = 0x00000000\nFLASH->ECCDETR = 0x81012340\n"),
        )
    ),
    # -------------------------------------------------------------------------------- other tools
    Bench(
        "openocd",
        "identity, state and option words of an H5",
        "OpenOCD of ST",
        "Info : device idcode = 0x10076484 (STM32H56/H57xx - Rev X : 0x1007)\n"
        "Info : Product State = 0x72 : 'Closed'\nInfo : TZEN = 0xB4 : TrustZone enabled by option bytes\n"
        "Info : flash size = 1024kbytes\nOption Register: <0x40022050> = 0x2d3072d8\n",
        "stm32h563zg",
        says=("PRODUCT_STATE by OpenOCD: Closed", "TrustZone is on", "revision X, REV_ID 0x1007"),
        values={"product_state": "Closed", "options.PRODUCT_STATE.value": 0x72},
    ),
    Bench(
        "openocd",
        "the read protection of a U5",
        "OpenOCD 0.12",
        "Info : device idcode = 0x20016481 (STM32U59/U5Axx - Rev X : 0x2001)\nInfo : RDP level 1 (0xBB)\n",
        "stm32u595zj",
        says=("RDP by OpenOCD: RDP 1",),
        values={"product_state": "RDP 1"},
    ),
    Bench(
        "openocd",
        "option words of all ones of a family without a chip file",
        "OpenOCD 0.12",
        "> stm32l4x option_read 0 0x20\ndevice idcode = 0x20036468 (STM32G43/G44xx - Rev Z : 0x2003)\n"
        "RDP level 1 (0xFF)\nflash size = 128 KiB\nOption Register: <0x40022020> = 0xffffffff\n"
        "> stm32l4x option_read 0 0x24\nOption Register: <0x40022024> = 0xffffffff\n",
        dev_id=0x468,
        says=("all 2 option words read all ones", "RDP by OpenOCD: RDP 1"),
    ),
    Bench(
        "openocd",
        "the series by the configuration alone",
        "OpenOCD 0.12",
        "$ openocd -f interface/cmsis-dap.cfg -f target/stm32u5x.cfg\nOpen On-Chip Debugger 0.12.0\n"
        "Error: init mode failed (unable to connect to the target)\n",
        "stm32u575zi",
        says=("for which a tool was set up; nothing names the part or its size",),
        values={"chip_known_by": "sidecar"},
    ),
    Bench(
        "pyocd",
        "the part by a command of the shell's history",
        "pyOCD 0.36",
        "$ pyocd flash -t stm32l552zetxq fw.hex\n0000731 C SWD/JTAG communication failure (No ACK) [__main__]\n",
        "stm32l552ze",
        says=("was told that the chip is stm32l552zetxq",),
        values={"chip_known_by": "sidecar"},
    ),
    Bench(
        "j-link",
        "the part by the command line",
        "J-Link Commander 7.9",
        "$ JLinkExe -device STM32H573II -if SWD -speed 4000\nSEGGER J-Link Commander V7.94\nCannot connect to target.\n",
        "stm32h573ii",
        says=("J-Link was told that the chip is STM32H573II",),
    ),
    Bench(
        "openocd",
        "no port answers",
        "OpenOCD 0.12",
        "Open On-Chip Debugger 0.12.0+dev\nInfo : clock speed 1800 kHz\n"
        "Error: init mode failed (unable to connect to the target)\n",
        says=("reached no debug port",),
    ),
    Bench(
        "pyocd",
        "no core behind the port",
        "pyOCD 0.36",
        "0002100 I Target type is stm32u575zitx [board]\n0002200 C No cores were discovered! [__main__]\n",
        "stm32u575zi",
        says=("no core was found", "was told that the chip is stm32u575zitx"),
        values={"chip_known_by": "sidecar"},
    ),
    Bench(
        "pyocd",
        "no answer on the link",
        "pyOCD 0.36",
        "0000870 C SWD/JTAG communication failure (No ACK) [__main__]\n",
        says=("no debug port answered",),
    ),
    Bench(
        "probe-rs",
        "the access port is closed",
        "probe-rs 0.24",
        "Error: Connecting to the chip was unsuccessful.\n\nCaused by:\n    0: An ARM specific error occurred.\n"
        "    1: Command failed with status SwdApFault\n",
        says=("access port answered with a fault",),
    ),
    Bench(
        "j-link",
        "the boundary scan names the chip",
        "J-Link Commander 7.9",
        "SEGGER J-Link Commander V7.96\nVTref=3.301V\n#0 Id: 0x6BA00477, IRLen: 04, CoreSight JTAG-DP\n"
        "#1 Id: 0x06478041, IRLen: 05, Unknown device\nCannot connect to target.\n",
        "stm32h523ce",
        says=("J-Link read DEV_ID 0x478",),
    ),
    Bench(
        "gdb-server",
        "ST's server lost the core",
        "ST-LINK gdb server 7.9",
        "STMicroelectronics ST-LINK GDB server. Version 7.9.0\nDevice ID: 0x472\n"
        "ST-LINK device status: Failed to get status, Target not responding, retrying...\n",
        "stm32l552ze",
        says=("the core stopped answering",),
    ),
    Bench(
        "st-info",
        "identity by st-info",
        "stlink 1.8",
        "Found 1 stlink programmers\n  version:    V3J13\n  flash:      524288 (pagesize: 8192)\n  chipid:     0x478\n"
        "  dev-type:   STM32H5xx\n",
        "stm32h523ce",
    ),
    Bench(
        "st-info",
        "identity by an older st-flash",
        "stlink 1.5",
        "st-flash 1.5.1\n2024-02-11T20:11:02 INFO common.c: Loading device parameters....\n"
        "2024-02-11T20:11:02 INFO common.c: Device connected is: F1 Medium-density device, id 0x20036410\n",
        None,
        dev_id=0x410,
    ),
    Bench(
        "j-link",
        "a part that is read protected",
        "J-Link Commander 7.9",
        'SEGGER J-Link Commander V7.96\nVTref=3.301V\nDevice "STM32L476RG" selected.\nInitTarget() start\n'
        "Active read protected STM32 device detected.\nCannot connect to target.\n",
        None,
        says=("the read protection is on",),
    ),
    Bench(
        "black-magic",
        "the device that a scan found",
        "Black Magic Probe 2.0",
        "Target voltage: 3.3V\nAvailable Targets:\nNo. Att Driver\n 1      STM32U575 M33\n",
        "stm32u575zi",
    ),
    Bench(
        "rom-loader",
        "the ROM boot loader of another family",
        "CubeProgrammer 2.20, UART",
        "Serial Port COM7 is successfully opened.\nActivating device: OK\nChip ID: 0x448 \n"
        "BootLoader protocol version: 3.1\n",
        dev_id=0x448,
        silent=("OEMiROT", "STM32H5"),
    ),
    # -------------------------------------------------------------------------------- nothing
    Bench("unknown", "prose", "nobody", "I flashed it twice and it still does not start.\nAny ideas?\n"),
    Bench(
        "connection",
        "a prompt in another language, quoted in an e-mail",
        "CubeProgrammer 2.19",
        "\n".join(
            "> " + line
            for line in (
                'C:\\Users\\lab>"C:\\Programme\\STM32CubeProgrammer\\bin\\STM32_Programmer_CLI.exe" -c port=SWD -ob displ\n'
                + banner("0x478", "STM32H523/533", "512 KBytes", "Error: failed to read option bytes", tool="2.19.0")
            ).split("\n")
        ),
        "stm32h523ce",
        says=("the option bytes could not be read or written",),
        silent=("an option change failed",),
        values={"option_changes": []},
    ),
    Bench(
        "connection",
        "two boards in one text",
        "CubeProgrammer 2.20",
        H563 + "\n" + banner("0x482", "STM32U575/STM32U585", "2 MBytes"),
        "stm32u575zi",
        says=("the text is of 2 different chips, 0x484 (line 1) and 0x482 (line",),
    ),
    Bench(
        "programming",
        "written and not read back",
        "CubeProgrammer 2.20",
        H563
        + "Memory Programming ...\nOpening and parsing file: pump.hex\n  File          : pump.hex\n"
        + "  Size          : 31,25 KB\n  Address       : 0x08010000\nErasing internal memory sectors [8 11]\n"
        + "Download in Progress:\nFile download complete\n",
        "stm32h563zi",
        says=("look next at a dump: 1 file of this run was not read back",),
    ),
    Bench(
        "programming",
        "read back and different",
        "CubeProgrammer 2.20",
        H563
        + "Opening and parsing file: pump.hex\n  File          : pump.hex\n  Size          : 31.25 KB\n"
        + "  Address       : 0x08010000\nFile download complete\nVerifying ...\n"
        + "Error: Data mismatch found at address 0x08011240 (byte = 0xFF instead of 0x3C)\n"
        + "Error: Download verification failed\n",
        "stm32h563zi",
        says=("read the flash from 0x08010000 back", "it was never written"),
    ),
    Bench(
        "rsse",
        "the vendor's service does not start",
        "CubeProgrammer 2.17, window",
        "09:12:01 : Download in Progress:\n09:12:02 : File download complete\n09:12:02 : Get RSSe status...\n"
        "09:12:03 : Error: Failed to get RSSe Status!\n09:12:03 : Error: Cannot launch RSSe...\n",
        says=("the vendor's secure service (RSSe", "failed at line 4", "gave no answer"),
    ),
    Bench(
        "sfi",
        "the Secure Manager's package is refused",
        "provisioning script",
        "2025-02-03 10:11:12,131 - root - DEBUG - Error: SFI command is not supported for the current device"
        " configuration using STLINK interfaces !\n"
        "2025-02-03 10:11:12,131 - root - DEBUG - Error: D:\\work\\SM\\Binary\\SecureManagerPackage.sfi SFI file Install"
        " Operation Failure! Please, try again.\n",
        says=("failed at line 1", "use the ROM boot loader"),
        values={"install": False, "root": "Secure Manager"},
    ),
    Bench(
        "sfi",
        "the vendor's service refuses the install",
        "CubeProgrammer 2.18, window",
        "17:01:15 : Get Certificate done successfully\n17:01:17 : Starting Firmware Install operation...\n"
        "17:01:19 : Warning: Option Byte: SECWM1_PEND, value: 0x2F, was not modified.\n"
        "17:01:25 : Error: Execution of RSS CMD failed, returned value = 0xF5F5F5F5\n",
        says=("0xF5F5F5F5 is its word for refused",),
        values={"install": False},
    ),
    Bench(
        "probe-rs",
        "only the debug port answers",
        "probe-rs 0.27",
        "$ probe-rs info --protocol swd\nARM Chip with debug port Default:\n"
        "Debug Port: DPv2, Designer: STMicroelectronics, Part: 0x4780, Revision: 0x1, Instance: 0x00\n"
        "├── 0 MemoryAP\n│   └── Error during access: An ARM specific error occurred.\n",
        "stm32h523ce",
        says=("probe-rs read DEV_ID 0x478",),
    ),
    Bench(
        "probe-rs",
        "told another family",
        "probe-rs 0.24",
        "     Running `probe-rs run --chip STM32G474RETx target/thumbv7em-none-eabihf/release/pump`\n"
        "Error: Connecting to the chip was unsuccessful.\n"
        "    2: JtagGetDpError failed with status: JTAG_GET_IDCODE_ERROR\n",
        dev_id=0x469,
        says=("the probe got no identity of the debug port",),
    ),
    Bench(
        "j-link",
        "the core behind the port is not reached",
        "J-Link Commander 7.9",
        'SEGGER J-Link Commander V7.96\nDevice "STM32L552ZE" selected.\nConnecting to target via SWD\n'
        "Found SW-DP with ID 0x0BE12477\nAP[0]: Skipped. Could not read CPUID register\n"
        "Attach to CPU failed. Executing connect under reset.\n"
        "Error occurred: Could not connect to the target device.\n",
        "stm32l552ze",
        says=("the access port answers, the core behind it does not",),
    ),
    Bench(
        "openocd",
        "a build that names the device alone",
        "OpenOCD 0.12",
        "Open On-Chip Debugger 0.12.0\nInfo : stm32h7x.cpu: Cortex-M7 r1p1 processor detected\n"
        "Info : 359 3772 stm32h7x.c:786 stm32x_probe(): Device: STM32H74x/75x\nError: auto_probe failed\n",
        dev_id=0x450,
        says=("the flash could not be recognised",),
    ),
    Bench(
        "connection",
        "a device name and no identity",
        "CubeProgrammer, notes",
        "Device name : STM32G474RE\nVoltage     : 3.29V\nError: Data read failed\n",
        dev_id=0x469,
    ),
    Bench(
        "options",
        "noted with tabs",
        "a person's notes",
        "PRODUCT_STATE\t0xED (Open)\nSECBOOTADD\t0xC0000\nTZEN\t0xB4\n"
        "SECWM1_STRT\t0x0\nSECWM1_END\t0x5F\nHDP1_STRT\t0x1\nHDP1_END\t0x0\n",
        "stm32h563zi",
        values={"product_state": "Open", "options.SECWM1_END.value": 0x5F},
    ),
    Bench(
        "options",
        "a table in Markdown",
        "a forum's table",
        "| option | value |\n|---|---|\n| PRODUCT_STATE | 0x2E |\n| SECBOOTADD | 0xC0000 |\n| TZEN | 0xB4 |\n"
        "| SECWM1_STRT | 0x0 |\n| SECWM1_END | 0x3F |\n| HDP1_STRT | 0x0 |\n| HDP1_END | 0xD |\n",
        "stm32h563zi",
        values={"product_state": "iROT-Provisioned", "options.HDP1_END.value": 0xD},
    ),
    Bench(
        "fault-dump",
        "a handler's own words",
        "Zephyr 3.7",
        "*** Booting Zephyr OS build v3.7.0 ***\r\n[00:00:01.002,000] <err> os: ***** BUS FAULT *****\r\n"
        "[00:00:01.002,000] <err> os:   Precise data bus error\r\n"
        "[00:00:01.002,000] <err> os:   BFAR Address: 0x50001008\r\n"
        "[00:00:01.002,000] <err> os: Faulting instruction address (r15/pc): 0x08001a62\r\n"
        "[00:00:01.002,000] <err> os: >>> ZEPHYR FATAL ERROR 25: Unknown error on CPU 0\r\n",
        says=("the firmware's own fault handler stopped it",),
        values={"fault.address": 0x50001008, "fault.pc": 0x08001A62, "errors.0.meaning": FAULT_WORDS},
    ),
)
