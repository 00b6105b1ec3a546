# ruff: noqa: E501
"""Provisioning sets of our own making: keys, objects, certificates, signed images, scripts; sound, or with one fault.

Nothing here is a vendor's text: the scripts do what such scripts do, in our words. Builders of .obk files and of
signed images live here and nowhere in the product.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import random
import struct
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECTOR = 0x2000
MAGIC = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
ALIGN16 = bytes.fromhex("10002de15d29410b8d77679c110f1f8a")


@dataclass(frozen=True)
class Board:
    folder: str
    chip: str
    dev_id: int
    device: str
    saes: bool
    flash: int
    ns_size: int
    last: int
    groups: int


BOARDS = {
    "h563": Board("NUCLEO-H563ZI", "h563", 0x484, "STM32H56x/573", False, 0x200000, 0xA0000, 0x7F, 0xFFFFFFF8),
    "h573": Board("STM32H573I-DK", "h573", 0x484, "STM32H56x/573", True, 0x200000, 0xA0000, 0x7F, 0xFFFFFFF8),
    "h533": Board("NUCLEO-H533RE", "h533", 0x478, "STM32H533/523", True, 0x80000, 0x10000, 0x1F, 0xF8),
    "h523": Board("my-h523-board", "h523", 0x478, "STM32H533/523", True, 0x80000, 0x10000, 0x1F, 0xF8),
    "h553": Board("NUCLEO-H553ZG", "h553", 0, "", True, 0x100000, 0x50000, 0x3F, 0xFFF8),
    "h5f5": Board("STM32H5F5J-DK", "h5f5", 0x47A, "STM32H5F5", True, 0x400000, 0xA0000, 0xFF, 0xFFFFFFF8),
}


def private_key(rng: random.Random) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(rng.getrandbits(255) + 1, ec.SECP256R1())


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def xy(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)[1:]


def pem(key: ec.EllipticCurvePrivateKey, form: str = "pkcs8") -> bytes:
    fmt = serialization.PrivateFormat.TraditionalOpenSSL if form == "sec1" else serialization.PrivateFormat.PKCS8
    enc = serialization.Encoding.DER if form == "der" else serialization.Encoding.PEM
    return key.private_bytes(enc, fmt, serialization.NoEncryption())


def obk(destination: int, data: bytes, flag: int) -> bytes:
    data += bytes(-len(data) % 16)
    return struct.pack("<III", destination, len(data) + 32, flag) + hashlib.sha256(data).digest() + data


def scalar70(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The private key as ST's tool stores it: no valid DER, see the facts."""
    secret = key.private_numbers().private_value.to_bytes(32, "big")
    head = bytes.fromhex("308143020100301306072a8648ce3d020106082a8648ce3d03010704293027020101")
    return head + b"\x04\x20" + secret + b"\xa1\x44"


def da_obk(credential: bytes, mask: int = 0x5077, flag: int = 0, destination: int = 0x0FFD0100) -> bytes:
    return obk(destination, credential + struct.pack("<I", mask) + bytes(28), flag)


def certificate(role: int, subject, issuer, mask: int = 0x5077, soc_id: bytes = bytes(16)) -> bytes:
    head = struct.pack("<HHI", 0, 0x0201, 0xD4)
    body = bytes((1, 0, 1, 1, role, 1)) + bytes(6) + struct.pack("<II", 0, 0) + soc_id
    body += mask.to_bytes(16, "little") + xy(subject) + bytes(32)
    r, s = decode_dss_signature(issuer.sign(body, ec.ECDSA(hashes.SHA256())))
    return head + body + r.to_bytes(32, "big") + s.to_bytes(32, "big")


def password_file(secret: bytes) -> bytes:
    return struct.pack("<II", 0x80000000, len(secret)) + secret


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", kind, len(value)) + value


def ecies(image_key: bytes, public) -> bytes:
    own = ec.generate_private_key(ec.SECP256R1())
    shared = own.exchange(ec.ECDH(), public)
    derived = HKDF(hashes.SHA256(), 48, None, b"MCUBoot_ECIES_v1").derive(shared)
    wrapped = Cipher(algorithms.AES(derived[:16]), modes.CTR(bytes(16))).encryptor().update(image_key)
    mac = hmac.new(derived[16:], wrapped, hashlib.sha256).digest()
    point = own.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return point + mac + wrapped


def signed_image(
    body: bytes,
    key: ec.EllipticCurvePrivateKey,
    *,
    encrypt_to=None,
    encrypted: bool = False,
    version: tuple[int, int, int] = (1, 0, 0),
    magic: int = 0x96F3B83D,
    header: int = 0x400,
    dependency: tuple[int, tuple[int, int, int]] | None = None,
    slot: int = 0,
    trailer: bytes = b"",
    confirm: bool = False,
) -> bytes:
    """An MCUboot image; with `slot` padded to it and ended by `trailer`."""
    counter = version[0] << 24 | version[1] << 16 | version[2]
    protected = tlv(0x50, struct.pack("<I", counter))
    if dependency is not None:
        image, (a, b, c) = dependency
        protected += tlv(0x40, struct.pack("<B3xBBHI", image, a, b, c, 0))
    protected = struct.pack("<HH", 0x6908, len(protected) + 4) + protected
    flags = 4 if encrypt_to is not None else 0
    head = struct.pack("<IIHHIIBBHII", magic, 0, header, len(protected), len(body), flags, *version, 0, 0)
    signed = head.ljust(header, b"\xff") + body + protected
    digest = hashlib.sha256(signed).digest()
    records = tlv(0x10, digest) + tlv(0x01, hashlib.sha256(spki(key)).digest())
    records += tlv(0x22, key.sign(signed, ec.ECDSA(hashes.SHA256())))
    if encrypt_to is not None:
        image_key = bytes(range(16))
        records += tlv(0x32, ecies(image_key, encrypt_to.public_key()))
        if encrypted:
            body = Cipher(algorithms.AES(image_key), modes.CTR(bytes(16))).encryptor().update(body)
    out = head.ljust(header, b"\xff") + body + protected + struct.pack("<HH", 0x6907, len(records) + 4) + records
    if slot:
        out = out.ljust(slot, b"\xff")
        if trailer:
            out = out[:-16] + trailer
        if confirm:
            out = out[:-32] + b"\x01" + out[-31:]
    return out


def intel_hex(data: bytes, address: int) -> bytes:
    lines, upper = [], -1
    for at in range(0, len(data), 64):
        here = address + at
        if here >> 16 != upper:
            upper = here >> 16
            row = bytes((2, 0, 0, 4)) + upper.to_bytes(2, "big")
            lines.append(":" + row.hex().upper() + f"{-sum(row) & 255:02X}")
        piece = data[at : at + 64]
        row = bytes((len(piece),)) + (here & 0xFFFF).to_bytes(2, "big") + b"\0" + piece
        lines.append(":" + row.hex().upper() + f"{-sum(row) & 255:02X}")
    return ("\n".join([*lines, ":00000001FF"]) + "\n").encode()


HEADER = """\
#define MCUBOOT_OVERWRITE_ONLY
#define MCUBOOT_APP_IMAGE_NUMBER 2
#define FLASH_TOTAL_SIZE         ({flash:#x})
#define FLASH_AREA_BL2_OFFSET    (0x0)
#define FLASH_AREA_BL2_SIZE      (0x18000)
#define FLASH_AREA_SCRATCH_SIZE  (0x0)
#define FLASH_S_PARTITION_SIZE   (0x6000)
#define FLASH_NS_PARTITION_SIZE  ({ns:#x})
#define FLASH_AREA_0_OFFSET      (FLASH_AREA_BL2_OFFSET + FLASH_AREA_BL2_SIZE)
#define FLASH_AREA_0_SIZE        (FLASH_S_PARTITION_SIZE)
#define FLASH_AREA_1_OFFSET      (FLASH_AREA_0_OFFSET + FLASH_AREA_0_SIZE)
#define FLASH_AREA_1_SIZE        (FLASH_NS_PARTITION_SIZE)
#define FLASH_AREA_2_OFFSET      (FLASH_AREA_1_OFFSET + FLASH_AREA_1_SIZE)
#define FLASH_AREA_2_SIZE        (FLASH_S_PARTITION_SIZE)
#define FLASH_AREA_3_OFFSET      (FLASH_AREA_2_OFFSET + FLASH_AREA_2_SIZE)
#define FLASH_AREA_3_SIZE        (FLASH_NS_PARTITION_SIZE)
#define FLASH_AREAS_DEVICE_ID    (FLASH_DEVICE_ID - FLASH_DEVICE_ID)
#define FLASH_AREA_0_DEVICE_ID   (FLASH_AREAS_DEVICE_ID)
#define FLASH_AREA_1_DEVICE_ID   (FLASH_AREAS_DEVICE_ID)
"""

ENV = """\
#!/bin/bash
here=$( cd -- "$( dirname -- "${BASH_SOURCE[0]}" )" &> /dev/null && pwd )
stm32programmercli="STM32_Programmer_CLI"
appli_project=Applications/ROT/OEMiROT_Appli_TrustZone
boot_project=Applications/ROT/OEMiROT_Boot
package=$here/../../../
s_image=%S%
ns_image=%NS%
"""

FLASHING = """\
#!/bin/bash
source ../env.sh
attach="-c port=SWD speed=fast ap=1 mode=Hotplug"
under_reset="-c port=SWD speed=fast ap=1 mode=UR"
if [ $# -ge 1 ]; then run=$1; else run=ALONE; fi
give_up()
{
  echo "could not: $step"
  return 1
}
step="turn TrustZone on"
"$stm32programmercli" $attach -ob TZEN=%TZEN%
if [ $? -ne 0 ]; then give_up; return 1; fi
step="clear old protections"
"$stm32programmercli" $under_reset -ob SECWM1_STRT=1 SECWM1_END=0 WRPSGn1=0xffffffff WRPSGn2=0xffffffff SECWM2_STRT=1 SECWM2_END=0 HDP1_STRT=1 HDP1_END=0 HDP2_STRT=1 HDP2_END=0 SECBOOT_LOCK=0xC3 SECBOOTADD=0xC0000 SWAP_BANK=0 SRAM2_RST=0 SRAM2_ECC=0 BOOT_UBE=%UBE% -e all
if [ $? -ne 0 ]; then give_up; return 1; fi
step="secure areas"
"$stm32programmercli" $attach -ob SECWM1_STRT=0 SECWM1_END=%SEC1% SECWM2_STRT=%SEC2% SECWM2_END=%SEC2END%
if [ $? -ne 0 ]; then give_up; return 1; fi
step="secure image"
"$stm32programmercli" $attach -d "../../$appli_project/Binary/$s_image" -v
if [ $? -ne 0 ]; then give_up; return 1; fi
step="non-secure image"
"$stm32programmercli" $attach -d "../../$appli_project/Binary/$ns_image" -v
if [ $? -ne 0 ]; then give_up; return 1; fi
step="boot loader"
"$stm32programmercli" $attach -d "$package/Projects/%BOARD%/${boot_project}/Binary/OEMiROT_Boot.bin" %BOOTADD% -v
if [ $? -ne 0 ]; then give_up; return 1; fi
step="protect"
"$stm32programmercli" $attach -ob WRPSGn1=%WRP% WRPSGn2=0xffffffff HDP1_STRT=0 HDP1_END=%HDP% HDP2_STRT=%SEC2% HDP2_END=0 SECBOOT_LOCK=0xB4
if [ $? -ne 0 ]; then give_up; return 1; fi
return 0
"""

STORING = """\
#!/bin/bash
source ../env.sh
attach="-c port=SWD speed=fast ap=1 mode=Hotplug"
reset="-c port=SWD speed=fast ap=1 mode=Hotplug -hardRst"
%STORES%
return 0
"""

STORE = """\
"$stm32programmercli" $reset
"$stm32programmercli" $attach -sdp %FILE%
if [ $? -ne 0 ]; then echo "not stored"; return 1; fi
"""

MAIN = """\
#!/bin/bash
source ../env.sh
attach="-c port=SWD speed=fast ap=1 mode=Hotplug"
sorry()
{
  echo "stopped: $1"
  exit 1
}
source ob_flash_programming.sh AUTO > flash.log
if [ $? -ne 0 ]; then sorry "flashing"; fi
read -p "state [ OPEN | PROVISIONED | TZ-CLOSED | CLOSED | LOCKED ]: " state
state=$(echo $state | tr '[:lower:]' '[:upper:]')
case "$state" in
  PROVISIONED) value=0x2E ;;
  TZ-CLOSED) value=0xC6 ;;
  CLOSED) value=0x72 ;;
  LOCKED) value=0x5C ;;
  *) sorry "no such state" ;;
esac
%PROVISIONING%
source obkey_programming.sh AUTO > store.log
if [ $? -ne 0 ]; then sorry "storing"; fi
"$stm32programmercli" $attach -ob PRODUCT_STATE=$value
echo "done, look at the state with a discovery"
%AFTER%
"""
TO_PROVISIONING = """\
"$stm32programmercli" $attach -ob PRODUCT_STATE=0x17
if [ $? -ne 0 ]; then sorry "provisioning"; fi
"""

BACK = """\
#!/bin/bash
source ../env.sh
"$stm32programmercli" -c port=SWD per=a key=./Keys/leaf.pem cert=./Certificates/chain.b64 pwd=./Binary/password.bin debugauth=1
if [ $? -ne 0 ]; then echo "no way back"; exit 1; fi
"""

BATCH = """\
@echo off
call ..\\env.bat
setlocal EnableDelayedExpansion
set attach=-c port=SWD speed=fast ap=1 mode=Hotplug
%stm32programmercli% %attach% -ob TZEN=@TZEN@
if !errorlevel! neq 0 goto :sorry
%stm32programmercli% %attach% -ob SECWM1_STRT=1 SECWM1_END=0 WRPSGn1=0xffffffff WRPSGn2=0xffffffff SECWM2_STRT=1 SECWM2_END=0 HDP1_STRT=1 HDP1_END=0 HDP2_STRT=1 HDP2_END=0 SECBOOT_LOCK=0xC3 SECBOOTADD=0xC0000 SWAP_BANK=0 BOOT_UBE=@UBE@ -e all
if !errorlevel! neq 0 goto :sorry
%stm32programmercli% %attach% -ob SECWM1_STRT=0 SECWM1_END=@SEC1@ SECWM2_STRT=@SEC2@ SECWM2_END=@SEC2END@
if !errorlevel! neq 0 goto :sorry
%stm32programmercli% %attach% -d ..\\..\\%appli_project%\\Binary\\@S@ -v
if !errorlevel! neq 0 goto :sorry
%stm32programmercli% %attach% -d ..\\..\\%appli_project%\\Binary\\@NS@ -v
if !errorlevel! neq 0 goto :sorry
%stm32programmercli% %attach% -d ..\\..\\Applications\\ROT\\OEMiROT_Boot\\Binary\\OEMiROT_Boot.bin @BOOTADD@ -v
if !errorlevel! neq 0 goto :sorry
%stm32programmercli% %attach% -ob WRPSGn1=@WRP@ WRPSGn2=0xffffffff HDP1_STRT=0 HDP1_END=@HDP@ HDP2_STRT=@SEC2@ HDP2_END=0 SECBOOT_LOCK=0xB4
if !errorlevel! neq 0 goto :sorry
set /p "state=state [ PROVISIONED | TZ-CLOSED | CLOSED | LOCKED ]: "
if /i "!state!" == "CLOSED" (
  set value=0x72
) else if /i "!state!" == "LOCKED" (
  set value=0x5C
) else if /i "!state!" == "TZ-CLOSED" (
  set value=0xC6
) else (
  set value=0x2E
)
@PROVISIONING@
@STORES@
%stm32programmercli% %attach% -ob PRODUCT_STATE=!value!
exit 0
:sorry
echo stopped
exit 1
"""


@dataclass
class Plan:
    """Everything that a set is made of; a fault changes one thing in it before it is written."""

    board: Board
    rng: random.Random
    release: str = "init"
    alias: int = 0x08000000
    chain: int = 3
    form: str = "pkcs8"
    crlf: bool = False
    batch: bool = False
    wrapped: bool = False
    password: bool = False
    mask: int = 0x5077
    cert_mask: int = 0x5077
    da_flag: int | None = None
    config_flag: int | None = None
    data_flag: int = 0
    da_destination: int = 0x0FFD0100
    config_destination: int = 0x0FFD0160
    versions: tuple[int, ...] = (0,) * 8
    s_version: tuple[int, int, int] = (1, 0, 0)
    ns_version: tuple[int, int, int] = (1, 0, 0)
    dependency: tuple[int, tuple[int, int, int]] | None = None
    soc_id: bytes = bytes(16)
    s_offset: int = 0
    trailer: bytes = MAGIC
    body: int = 0x1200
    ns_body: int = 0x3000
    values: dict[str, str] = field(default_factory=dict)
    stores: list[str] = field(default_factory=lambda: ["da", "config", "data"])
    store_form: str = "-sdp {file}"
    provisioning: bool = True
    after: str = ""
    s_key: str = "auth_s"
    ns_key: str = "auth_ns"
    linked: bool = False
    drop: list[str] = field(default_factory=list)
    post: list = field(default_factory=list)
    flash_h: int | None = None
    listing: dict[str, int] = field(default_factory=lambda: {"PRODUCT_STATE": 0xED, "TZEN": 0xC3, "BOOT_UBE": 0xB4})
    to: str = "CLOSED"
    log: str = ""

    def __post_init__(self) -> None:
        names = ("root", "middle", "leaf", "auth_s", "auth_ns", "encrypt", "other", "other2")
        self.keys = {n: private_key(self.rng) for n in names}
        self.secret = bytes(self.rng.randrange(33, 127) for _ in range(16))
        self.stored_root = "root"

    def offsets(self) -> dict[str, int]:
        first = 0x18000
        ns = first + 0x6000
        s2 = ns + self.board.ns_size
        return {"s": first, "ns": ns, "s2": s2, "ns2": s2 + 0x6000}

    def files(self) -> dict[str, bytes]:
        b, k, at = self.board, self.keys, self.offsets()
        saes = int(b.saes)
        da_flag = saes if self.da_flag is None else self.da_flag
        config_flag = saes if self.config_flag is None else self.config_flag
        out: dict[str, bytes] = {}
        rp, app = "ROT_Provisioning/", "Applications/ROT/"
        credential = hashlib.sha256(xy(k[self.stored_root])).digest()
        da_name = "DA_ConfigWithPassword.obk" if self.password else "DA_Config.obk"
        if self.password:
            credential = hashlib.sha256(self.secret).digest()
        out[f"{rp}DA/Binary/{da_name}"] = da_obk(credential, self.mask, da_flag, self.da_destination)
        out[f"{rp}DA/Binary/password.bin"] = password_file(self.secret)
        chain = certificate(1, k["root"], k["root"], self.cert_mask)
        last = "root"
        if self.chain == 3:
            chain += certificate(2, k["middle"], k["root"], self.cert_mask)
            last = "middle"
        chain += certificate(3, k["leaf"], k[last], self.cert_mask, self.soc_id)
        text = base64.b64encode(chain)
        if self.wrapped:
            text = b"\r\n".join(text[i : i + 64] for i in range(0, len(text), 64)) + b"\r\n"
        out[f"{rp}DA/Certificates/chain.b64"] = text
        out[f"{rp}DA/Keys/leaf.pem"] = pem(k["leaf"], self.form)
        out[f"{rp}DA/Keys/root.pem"] = pem(k["root"], self.form)
        config = spki(k["auth_s"]) + b"\0" + spki(k["auth_ns"]) + b"\0" + scalar70(k["encrypt"]) + bytes(2)
        out[f"{rp}OEMiROT/Binary/OEMiRoT_Config.obk"] = obk(self.config_destination, config, config_flag)
        data = struct.pack("<8I", *self.versions) + bytes(128)
        out[f"{rp}OEMiROT/Binary/OEMiRoT_Data.obk"] = obk(0x0FFD0280, data, self.data_flag)
        for name, key in (("auth_s", "auth_s"), ("auth_ns", "auth_ns"), ("encryption", "encrypt")):
            out[f"{rp}OEMiROT/Keys/{name}.pem"] = pem(k[key], self.form)
        s_name, ns_name = (f"my_{side}_app_{self.release}_sign.hex" for side in ("s", "ns"))
        for side, size, version, key, dep, bytes_ in (
            ("s", 0x6000, self.s_version, self.s_key, self.dependency, self.body),
            ("ns", b.ns_size, self.ns_version, self.ns_key, None, self.ns_body),
        ):
            encrypted = self.release == "enc"
            start = at[side + ("2" if encrypted else "")]
            body = bytes(self.rng.randrange(256) for _ in range(64)) * (bytes_ // 64)
            if self.linked:
                body = struct.pack("<II", 0x20040000, 0x08000000 + at[side] + 0x401) + body[8:]
            slot, trailer = (size, self.trailer) if encrypted else (0, b"")
            image = signed_image(
                body, k[key], encrypt_to=k["encrypt"], encrypted=encrypted, version=version, dependency=dep,
                slot=slot, trailer=trailer,
            )  # fmt: skip
            name = s_name if side == "s" else ns_name
            shift = self.s_offset if side == "s" else 0
            out[f"{app}OEMiROT_Appli_TrustZone/Binary/{name}"] = intel_hex(image, self.alias + start + shift)
        out[f"{app}OEMiROT_Boot/Binary/OEMiROT_Boot.bin"] = bytes(self.rng.randrange(256) for _ in range(512)) * 160
        flash = self.flash_h or b.flash
        out[f"{app}OEMiROT_Boot/Inc/flash_layout.h"] = HEADER.format(flash=flash, ns=b.ns_size).encode()
        self._scripts(out, rp, da_name, s_name, ns_name)
        for name in self.drop:
            for path in [p for p in out if p.endswith(name)]:
                del out[path]
        for change in self.post:
            change(out)
        if self.crlf:
            for path in out:
                if path.endswith((".sh", ".bat")):
                    out[path] = out[path].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        return out

    def _scripts(self, out: dict[str, bytes], rp: str, da_name: str, s_name: str, ns_name: str) -> None:
        b = self.board
        values = {
            "TZEN": "0xC3" if self.password else "0xB4",
            "UBE": "0xB4",
            "SEC1": "0xE",
            "SEC2": hex(b.last),
            "SEC2END": "0x0",
            "WRP": f"0x{b.groups:X}",
            "HDP": "0xB",
            "BOOTADD": "0xC000000",
            "BOARD": b.folder,
        } | self.values
        paths = {
            "da": f"../DA/Binary/{da_name}",
            "config": "Binary/OEMiRoT_Config.obk",
            "data": "Binary/OEMiRoT_Data.obk",
        }

        def fill(text: str, sign: str = "%") -> bytes:
            for name, value in values.items():
                text = text.replace(f"{sign}{name}{sign}", value)
            return text.encode()

        stores = "".join(STORE.replace("-sdp %FILE%", self.store_form.format(file=paths[s])) for s in self.stores)
        out[f"{rp}env.sh"] = ENV.replace("%S%", s_name).replace("%NS%", ns_name).encode()
        out[f"{rp}OEMiROT/ob_flash_programming.sh"] = fill(FLASHING)
        out[f"{rp}OEMiROT/obkey_programming.sh"] = STORING.replace("%STORES%", stores).encode()
        main = MAIN.replace("%PROVISIONING%", TO_PROVISIONING if self.provisioning else "").replace(
            "%AFTER%", self.after
        )
        out[f"{rp}OEMiROT/provisioning.sh"] = main.encode()
        out[f"{rp}DA/regression.sh"] = BACK.encode()
        if self.batch:
            env = '@echo off\nset stm32programmercli="C:\\ST\\bin\\STM32_Programmer_CLI.exe"\n'
            out[f"{rp}env.bat"] = (env + "set appli_project=Applications\\ROT\\OEMiROT_Appli_TrustZone\n").encode()
            check = "if !errorlevel! neq 0 goto :sorry\n"
            lines = "".join(
                f"%stm32programmercli% %attach% {self.store_form.format(file=paths[s])}\n{check}" for s in self.stores
            )
            text = fill(BATCH.replace("@S@", s_name).replace("@NS@", ns_name), "@").decode()
            prov = "%stm32programmercli% %attach% -ob PRODUCT_STATE=0x17\n" + check if self.provisioning else ""
            text = text.replace("@PROVISIONING@", prov).replace("@STORES@", lines)
            out[f"{rp}OEMiROT/provisioning.bat"] = text.encode()

    def listing_text(self) -> str:
        b = self.board
        head = f"Device ID   : 0x{b.dev_id:03X}\nDevice name : {b.device}\n" if b.dev_id else ""
        rows = "".join(f"     {n:<13}: 0x{v:X}\n" for n, v in self.listing.items())
        return head + "OPTION BYTES BANK: 0\n\n   Product state:\n\n" + rows

    def write(self, folder: Path) -> Path:
        top = folder / self.board.folder
        for name, data in self.files().items():
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (folder / "board.txt").write_text(self.listing_text(), "utf-8")
        if self.log:
            (folder / "log.txt").write_text(self.log, "utf-8")
        return top


def sound_plan(rng: random.Random) -> Plan:
    """A sound set that may look odd: other boards, releases, aliases, forms, line ends."""
    plan = Plan(
        BOARDS[rng.choice(list(BOARDS))],
        rng,
        release=rng.choice(("init", "init", "enc")),
        alias=rng.choice((0x08000000, 0x0C000000)),
        chain=rng.choice((2, 3, 3)),
        form=rng.choice(("pkcs8", "sec1", "der")),
        crlf=rng.random() < 0.3,
        batch=rng.random() < 0.3,
        wrapped=rng.random() < 0.3,
        to=rng.choice(("CLOSED", "CLOSED", "TZ-CLOSED", "PROVISIONED")),
    )
    if rng.random() < 0.3:
        plan.listing["TZEN"] = 0xB4
    if rng.random() < 0.3:
        plan.values["SEC2"] = hex(rng.randrange(1, plan.board.last + 1))
    if rng.random() < 0.2:
        plan.ns_version = (1, 3, 2)
        plan.dependency = (1, (1, 2, 0))
    return plan


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 0x10,)) + data[at + 1 :]


def _change(ending: str, how):
    def change(out: dict[str, bytes]) -> None:
        for path in list(out):
            if path.endswith(ending):
                out[path] = how(out[path])

    return change


def _set(name: str, value):
    return lambda plan: setattr(plan, name, value)


def _post(ending: str, how):
    return lambda plan: plan.post.append(_change(ending, how))


def _value(name: str, value: str):
    return lambda plan: plan.values.update({name: value})


def _rename(old: str, new: str):
    def change(out: dict[str, bytes]) -> None:
        for path in [p for p in out if p.endswith(old)]:
            out[path[: -len(old)] + new] = out.pop(path)

    return lambda plan: plan.post.append(change)


def _enc(change):
    def both(plan: Plan) -> None:
        plan.release = "enc"
        change(plan)

    return both


def _other_chain(plan: Plan) -> None:
    plan.stored_root = "other"


def _wrong_leaf(plan: Plan) -> None:
    plan.post.append(_change("Keys/leaf.pem", lambda _: pem(plan.keys["other"])))


def _own_board(change):
    """A fault that needs a part without (or with) SAES."""

    def both(plan: Plan) -> None:
        plan.da_flag = int(not plan.board.saes)

    return both


FAULTS: dict[str, tuple] = {
    # name: (ids of which one must fail, change)
    "da file missing": ({"files-present"}, lambda p: p.drop.append("DA_Config.obk")),
    "config file missing": ({"files-present"}, lambda p: p.drop.append("OEMiRoT_Config.obk")),
    "secure image missing": (
        {"files-present"},
        lambda p: p.drop.append("my_s_app_init_sign.hex") or setattr(p, "release", "init"),
    ),
    "chain missing": ({"files-present"}, lambda p: p.drop.append("chain.b64")),
    "name in another case": ({"files-present"}, _rename("OEMiRoT_Config.obk", "oemirot_config.obk")),
    "obk too short": ({"obk-size"}, _post("DA_Config.obk", lambda d: d[:-16])),
    "obk length field": ({"obk-size"}, _post("OEMiRoT_Config.obk", lambda d: d[:4] + b"\x10\x01\0\0" + d[8:])),
    "obk bit flipped": ({"obk-hash", "obk-content"}, _post("OEMiRoT_Config.obk", lambda d: flip(d, 0x60))),
    "da hash wrong": ({"obk-hash"}, _post("DA_Config.obk", lambda d: flip(d, 0x50))),
    "da at config's place": ({"obk-destination"}, _set("da_destination", 0x0FFD0160)),
    "config at non-secure alias": ({"obk-destination"}, _set("config_destination", 0x0BFD0160)),
    "flag of another part": ({"obk-encryption"}, _own_board(None)),
    "config flag of another part": ({"obk-encryption"}, lambda p: setattr(p, "config_flag", int(not p.board.saes))),
    "data flag set": ({"obk-encryption"}, _set("data_flag", 1)),
    "no da step": ({"da-present"}, lambda p: p.stores.remove("da")),
    "no config step": ({"obk-content"}, lambda p: p.stores.remove("config")),
    "certificate with TrustZone off": ({"da-tzen"}, _value("TZEN", "0xC3")),
    "password with TrustZone on": ({"da-tzen"}, lambda p: (setattr(p, "password", True), p.values.update(TZEN="0xB4"))),
    "root of another": ({"da-chain"}, _other_chain),
    "chain signature": ({"da-chain"}, _post("chain.b64", lambda d: base64.b64encode(flip(base64.b64decode(d), 180)))),
    "leaf signature": ({"da-chain"}, _post("chain.b64", lambda d: base64.b64encode(flip(base64.b64decode(d), -3)))),
    "leaf key of another": ({"da-leaf-key"}, _wrong_leaf),
    "password of another": (
        {"da-password"},
        lambda p: (setattr(p, "password", True), p.post.append(_change("password.bin", lambda d: flip(d, 12)))),
    ),
    "mask without bit 14": ({"da-permission"}, _set("mask", 0x1077)),
    "certificate without bit 14": ({"da-permission"}, _set("cert_mask", 0x1077)),
    "bound to another chip": (
        {"da-binding"},
        lambda p: (setattr(p, "soc_id", os.urandom(16)), setattr(p, "log", DISCOVERY)),
    ),
    "gate closed": ({"gate-discovery"}, _set("log", "PROVISIONING")),
    "image bit flipped": ({"image-form", "image-signature"}, lambda p: p.post.append(_flip_image)),
    "image of another signer": ({"image-signature"}, _set("s_key", "other")),
    "sides exchanged": (
        {"image-signature"},
        lambda p: (setattr(p, "s_key", "auth_ns"), setattr(p, "ns_key", "auth_s")),
    ),
    "encrypted to another": (
        {"image-encryption"},
        lambda p: p.post.append(_change("OEMiRoT_Config.obk", lambda d: _other_scalar(d, p))),
    ),
    "beside the slot": ({"image-slot"}, _set("s_offset", 0x2000)),
    "no trailer": ({"image-trailer"}, _enc(_set("trailer", b""))),
    "trailer of alignment 16": ({"image-trailer"}, _enc(_set("trailer", ALIGN16))),
    "too long": ({"image-size"}, _set("body", 0x6000)),
    "below the stored version": ({"image-version"}, _set("versions", (0x02000000, 0, 0, 0, 0, 0, 0, 0))),
    "dependency unmet": (
        {"image-version"},
        lambda p: (setattr(p, "dependency", (1, (2, 0, 0))), setattr(p, "ns_version", (1, 0, 0))),
    ),
    "SECWM too short": ({"options-secwm"}, _value("SEC1", "0xB")),
    "SECWM2 not empty": ({"options-secwm"}, lambda p: p.values.update(SEC2="0x0", SEC2END="0x3")),
    "HDP too short": ({"options-hdp"}, _value("HDP", "0x7")),
    "WRP too few": ({"options-wrp"}, lambda p: p.values.update(WRP=f"0x{p.board.groups | 4:X}")),
    "BOOT_UBE": ({"boot-ube"}, _value("UBE", "0xC3")),
    "board of another size": (
        {"chip-match"},
        lambda p: setattr(p, "flash_h", 0x100000 if p.board.flash != 0x100000 else 0x80000),
    ),
    "to LOCKED": ({"state-target"}, _set("to", "LOCKED")),
    "straight to CLOSED": ({"state-chain"}, lambda p: (setattr(p, "provisioning", False), setattr(p, "to", "CLOSED"))),
    "already closed": ({"state-chain"}, lambda p: p.listing.update(PRODUCT_STATE=0x72)),
    "sdp with equals": ({"script-syntax", "da-present"}, _set("store_form", "-sdp={file}")),
}
"""Every fault must be NO-GO, by one of the named checks."""

DISCOVERY = """\
discovery: target ID....................:0x484
discovery: SoC ID.......................:0x00000000_11112222_33334444_55556666
discovery: PSA lifecycle................:ST_LIFECYCLE_OPEN
discovery: ST provisioning integrity status:0xf5f5f5f5
"""


def _flip_image(out: dict[str, bytes]) -> None:
    for path in out:
        if "_s_app_" in path:
            lines = out[path].split(b"\n")
            for n in range(40, len(lines)):  # behind the header, inside the body
                row = bytearray.fromhex(lines[n][1:].decode())
                if row[3] == 0 and row[0] >= 32:
                    row[10] ^= 0x20
                    row[-1] = -sum(row[:-1]) & 255
                    lines[n] = b":" + row.hex().upper().encode()
                    break
            out[path] = b"\n".join(lines)


def _other_scalar(data: bytes, plan: Plan) -> bytes:
    body = data[12 + 32 :]
    return obk(
        int.from_bytes(data[:4], "little"),
        body[:184] + scalar70(plan.keys["other"]) + bytes(2),
        int.from_bytes(data[8:12], "little"),
    )


def faulty_plan(rng: random.Random, name: str) -> Plan:
    """A set that is sound but for the fault called `name`."""
    plan = sound_plan(rng)
    plan.to = "CLOSED"
    plan.listing["PRODUCT_STATE"] = 0xED
    if name == "secure image missing":
        plan.release = "init"
    FAULTS[name][1](plan)
    if plan.log == "PROVISIONING":
        plan.log = DISCOVERY.replace("LIFECYCLE_OPEN", "LIFECYCLE_PROVISIONING")
    return plan


def judge(plan: Plan, folder: Path):
    """Return the preflight of a plan, written into `folder`."""
    from h5diag.judge.preflight import preflight

    top = plan.write(folder)
    log = folder / "log.txt" if plan.log else None
    return preflight(top, options=folder / "board.txt", log=log, to=plan.to)


# --------------------------------------------------------------------------------------------- other ways than OEMiROT
ATTACH = 'attach="-c port=SWD speed=fast ap=1 mode=Hotplug"\n'
OR_STOP = 'if [ $? -ne 0 ]; then echo "stopped"; exit 1; fi\n'


def call(arguments: str) -> str:
    return f"STM32_Programmer_CLI $attach {arguments}\n{OR_STOP}"


def stirot_config(auth, encrypt, *, images: int = 1, download: int = 0x1E0000, area: int = 0x20000) -> bytes:
    head = bytes((images, 1, 1, 1)) + struct.pack(
        "<11I", 0, download, area, 0, 0x2F0, 0x1DE000, 0x2000, 0x6000, 0, 0, 0xED00
    )
    return (head + scalar70(encrypt) + bytes(2) + spki(auth) + b"\0" + bytes(1)).ljust(0xE0, b"\0")


def credentials(rng: random.Random, flag: int, mask: int = 0x5077) -> tuple[dict[str, bytes], dict[str, object]]:
    """A DA folder with a chain of three and its keys."""
    keys = {n: private_key(rng) for n in ("root", "middle", "leaf")}
    chain = certificate(1, keys["root"], keys["root"]) + certificate(2, keys["middle"], keys["root"])
    chain += certificate(3, keys["leaf"], keys["middle"])
    secret = bytes(rng.randrange(33, 127) for _ in range(16))
    files = {
        "DA/Binary/DA_Config.obk": da_obk(hashlib.sha256(xy(keys["root"])).digest(), mask, flag),
        "DA/Binary/DA_ConfigWithPassword.obk": da_obk(hashlib.sha256(secret).digest(), mask, flag),
        "DA/Binary/password.bin": password_file(secret),
        "DA/Certificates/chain.b64": base64.b64encode(chain),
        "DA/Keys/leaf.pem": pem(keys["leaf"]),
        "DA/regression.sh": BACK.encode(),
    }
    return files, {"secret": secret, **keys}


def stirot_set(
    rng: random.Random, *, last: int = 0xF, ube: str = "0xC3", magic: int = 0x73AB1024, signer: str = "auth"
) -> dict:
    """STiROT on an H573: one image, installed at the execution offset."""
    files, _ = credentials(rng, 1)
    auth, encrypt, other = (private_key(rng) for _ in range(3))
    files["STiROT/Binary/STiRoT_Config.obk"] = obk(0x0FFD0200, stirot_config(auth, encrypt), 1)
    files["STiROT/Binary/STiRoT_Data.obk"] = obk(0x0FFD0400, bytes(0x40), 1)
    image = signed_image(
        bytes(rng.randrange(256) for _ in range(4096)),
        auth if signer == "auth" else other,
        encrypt_to=encrypt,
        magic=magic,
    )
    flashing = "source ../env.sh\n" + ATTACH
    flashing += call("-ob TZEN=0xB4") + call(
        "-ob SECWM1_STRT=1 SECWM1_END=0 SECWM2_STRT=1 SECWM2_END=0 SECBOOT_LOCK=0xC3 -e all"
    )
    flashing += call(f"-ob SECWM1_STRT=0x0 SECWM1_END={last:#x}") + call("-ob SECWM2_STRT=0x7F SECWM2_END=0x0")
    flashing += (
        call("-d ../../$stirot_project/Binary/app_init_sign.hex -v")
        + call(f"-ob BOOT_UBE={ube}")
        + call("-ob SECBOOT_LOCK=0xB4")
    )
    main = "source ../env.sh\n" + ATTACH + "source ob_flash_programming.sh\n"
    main += 'read -p "[ OPEN | PROVISIONED | TZ-CLOSED | CLOSED | LOCKED ]: " state\n'
    main += 'if [ "$state" == "CLOSED" ]; then value=0x72; elif [ "$state" == "LOCKED" ]; then value=0x5C; else exit 1; fi\n'
    main += call("-ob PRODUCT_STATE=0x17")
    main += (
        call("-sdp ./../DA/Binary/DA_Config.obk")
        + call("-sdp ./Binary/STiRoT_Config.obk")
        + call("-sdp ./Binary/STiRoT_Data.obk")
    )
    main += "STM32_Programmer_CLI $attach -ob PRODUCT_STATE=$value\n"
    files["STiROT/ob_flash_programming.sh"] = flashing.encode()
    files["STiROT/provisioning.sh"] = main.encode()
    files["env.sh"] = b"stirot_project=Applications/ROT/STiROT_Appli\n"
    out = {f"STM32H573I-DK/ROT_Provisioning/{n}": d for n, d in files.items()}
    out["STM32H573I-DK/Applications/ROT/STiROT_Appli/Binary/app_init_sign.hex"] = intel_hex(image, 0x0C000000)
    return out


def da_set(rng: random.Random, *, trustzone: bool = True, stored: str = "") -> dict:
    """Debug authentication alone, on an H563: the script asks whether TrustZone is on."""
    files, _ = credentials(rng, 0)
    main = "source ../env.sh\n" + ATTACH + 'read -p "is TrustZone on? [ y | n ]: " tz\n'
    main += 'if [ "$tz" == "y" ]; then tzen=0xB4; file=DA_Config; else tzen=0xC3; file=DA_ConfigWithPassword; fi\n'
    main += f"file={stored}\n" if stored else ""
    main += call("-ob TZEN=$tzen") + call("-ob PRODUCT_STATE=0x17") + call("-sdp ./Binary/$file.obk")
    main += 'read -p "[ PROVISIONED | CLOSED | LOCKED ]: " state\n'
    main += 'if [ "$state" == "CLOSED" ]; then value=0x72; elif [ "$state" == "LOCKED" ]; then value=0x5C; else value=0x2E; fi\n'
    main += "STM32_Programmer_CLI $attach -ob PRODUCT_STATE=$value\n"
    files["DA/provisioning.sh"] = main.encode()
    files["env.sh"] = b"board=mine\n"
    return {f"NUCLEO-H563ZI/ROT_Provisioning/{n}": d for n, d in files.items()}


def h503_set(rng: random.Random, *, wrong: bool = False, write: bool = True) -> dict:
    """An H503: no OBK, the hash of a password in the OTP area."""
    secret = bytes(rng.randrange(1, 255) for _ in range(12))
    main = "source ../env.sh\n" + ATTACH + call("-ob PRODUCT_STATE=0x17")
    if write:
        main += call("-w ./board_password.bin 0x8FFF000") + call("-ob LOCKBL=0x1")
    main += "STM32_Programmer_CLI $attach -ob PRODUCT_STATE=0x72\n"
    back = "source ../env.sh\nSTM32_Programmer_CLI -c port=SWD pwd=da_password.bin debugauth=1\n"
    stored = hashlib.sha256(secret + (b"x" if wrong else b"")).digest()
    files = {
        "DA/user_password.bin": secret,
        "DA/board_password.bin": stored,
        "DA/da_password.bin": password_file(secret),
        "DA/provisioning.sh": main.encode(),
        "DA/regression.sh": back.encode(),
        "env.sh": b"x=1\n",
    }
    return {f"NUCLEO-H503RB/ROT_Provisioning/{n}": d for n, d in files.items()}


def flat_set(rng: random.Random, *, store: str = "-sdp da.obk") -> dict:
    """A person's own script in one folder."""
    files, _ = credentials(rng, 0)
    flat = {
        "da.obk": files["DA/Binary/DA_Config.obk"],
        "chain.b64": files["DA/Certificates/chain.b64"],
        "leaf.pem": files["DA/Keys/leaf.pem"],
    }
    text = "set -e\n" + ATTACH + "STM32_Programmer_CLI $attach -ob TZEN=0xB4\n"
    text += "STM32_Programmer_CLI $attach -ob PRODUCT_STATE=0x17\n"
    text += f"STM32_Programmer_CLI $attach {store}\nSTM32_Programmer_CLI $attach -ob PRODUCT_STATE=0x72\n"
    flat["close.sh"] = text.encode()
    return flat


def write(files: dict[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def sample(folder: Path) -> None:
    """Write the bundled sample: an H563 whose credentials ask for an encryption that the part does not have."""
    plan = Plan(BOARDS["h563"], random.Random("sample"), da_flag=1, batch=True)
    plan.post.append(_change("OEMiROT_Boot.bin", lambda data: data[:4096]))
    plan.write(folder)


if __name__ == "__main__":
    sample(Path(__file__).parents[1] / "data" / "provisioning")
