"""Images as imgtool makes them, and imgtool's own opinion of an image."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import click
from imgtool import keys as imgtool_keys
from imgtool.image import Image, VerifyResult
from imgtool.main import imgtool

KINDS = ("rsa-2048", "rsa-3072", "ecdsa-p256", "ecdsa-p384", "ed25519", "x25519")
SIGNING = KINDS[:5]
CODE = bytes.fromhex("80b500af044b1b68044a13600023184680bd00bf00ed00e008ed00e0") * 60
"""Thumb code of no meaning, 1680 bytes."""


def run(*arguments: str | Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        imgtool.main([str(a) for a in arguments], standalone_mode=False)


class Workshop:
    """A folder with a key of each kind (and a second one), and images made in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for kind in KINDS:
            for which in ("", "-other"):
                run("keygen", "-t", kind, "-k", self.key(kind + which))
                run("getpub", "-k", self.key(kind + which), "-e", "pem", "-o", self.public(kind + which))

    def key(self, kind: str) -> Path:
        return self.folder / f"{kind}.pem"

    def public(self, kind: str) -> Path:
        return self.folder / f"{kind}.pub.pem"

    def sign(
        self,
        *options: str | Path,
        payload: bytes = CODE,
        key: str = "",
        encrypt: str = "",
        header: int = 0x20,
        slot: int = 0x6000,
        version: str = "1.2.3+4",
        suffix: str = ".bin",
    ) -> bytes:
        source, target = self.folder / "payload.bin", self.folder / f"image{suffix}"
        source.write_bytes(payload)
        arguments: list[str | Path] = ["sign", "-v", version, "-H", hex(header), "--pad-header", "-S", hex(slot)]
        arguments += ["-k", self.key(key)] if key else []
        arguments += ["-E", self.public(encrypt)] if encrypt else []
        run(*arguments, *options, source, target)
        return target.read_bytes()

    def accepts(self, image: bytes, key: str = "") -> bool:
        """What ``imgtool verify`` says; it fails with a traceback on many damaged images, which is a refusal."""
        path = self.folder / "verify.bin"
        path.write_bytes(image)
        loaded = imgtool_keys.load(self.public(key)) if key else None
        try:
            return Image.verify(str(path), loaded)[0] is VerifyResult.OK
        except (click.ClickException, Exception):
            return False
