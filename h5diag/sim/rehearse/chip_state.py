"""The chip that is not there, as far as provisioning changes it: product state, options, OBK, flash, the way back.

Every rule has its source in the facts on provisioning (sections 1, 3, 7); what they leave open is kept as open.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from h5diag.errors import InputError
from h5diag.evidence.door import read_evidence
from h5diag.evidence.keys import (
    DESTINATIONS,
    FULL_REGRESSION,
    SIZES,
    Obk,
    ObkContent,
    looks_like_obk,
    parse_obk,
)
from h5diag.limits import KEY
from h5diag.sim.rehearse.calls import Call

OPEN, PROVISIONING, PROVISIONED, TZ_CLOSED, CLOSED, LOCKED = 0xED, 0x17, 0x2E, 0xC6, 0x72, 0x5C
STATES = {
    OPEN: "OPEN",
    PROVISIONING: "PROVISIONING",
    PROVISIONED: "PROVISIONED",
    TZ_CLOSED: "TZ-CLOSED",
    CLOSED: "CLOSED",
    LOCKED: "LOCKED",
}
FINAL = (PROVISIONED, TZ_CLOSED, CLOSED, LOCKED)
ON, OFF = 0xB4, 0xC3
SECTOR = 0x2000
OTP = range(0x08FFF000, 0x08FFF800)
_STEPS = {
    OPEN: {PROVISIONING, PROVISIONED},
    PROVISIONING: {PROVISIONED, TZ_CLOSED, CLOSED, LOCKED},
    PROVISIONED: {TZ_CLOSED, CLOSED, LOCKED},
    TZ_CLOSED: set[int](),
    CLOSED: set[int](),
    LOCKED: set[int](),
}
"""From which state which other can be reached in one step; facts 3.4: 0xED to 0x72 is refused, and 0xC6 is an end."""


@dataclass(frozen=True, slots=True)
class PartTraits:
    """What provisioning must know of the part. `saes`: it encrypts what is stored; None: not known.

    `stirot` tells whether it holds ST's immutable root of trust, `trustzone` and `obk` whether it has these at all;
    `oem_words` are the words of an OEM key on parts with readout protection instead of product states, else None.
    """

    name: str
    saes: bool | None = None
    trustzone: bool = True
    obk: bool = True
    stirot: bool | None = None
    oem_words: int | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """What one call did: whether the tool would report success, what it prints, what cannot be undone, what is open."""

    status: int = 0
    output: str = ""
    refused: str = ""
    irreversible: str = ""
    open: str = ""


@dataclass
class ChipState:
    """The chip between two calls. `flash` maps the address of each download to its file."""

    part: PartTraits
    product_state: int = OPEN
    options: dict[str, int] = field(default_factory=dict)
    obk: dict[int, Obk] = field(default_factory=dict)
    password_hash: bytes | None = None
    flash: dict[int, tuple[int, str]] = field(default_factory=dict)
    otp_locked: bool = False
    session_locked: bool = False
    boot0_high: bool = False
    erased: bool = False

    def option(self, name: str) -> int | None:
        """Return the value of an option, None when neither script nor listing told it."""
        return self.options.get(name)

    @property
    def trustzone(self) -> bool:
        """Tell whether TrustZone is on; a part that nobody listed is as it was sold, off."""
        return self.part.trustzone and self.option("TZEN") == ON

    def reopenable(self) -> tuple[str, str]:
        """Return ``yes``, ``no`` or ``open`` and why: could the owner bring the chip back to Open from here."""
        if self.product_state == OPEN:
            return "yes", "the chip is open"
        if self.product_state == LOCKED:
            return "no", "LOCKED has no way back, by design"
        if not self.part.obk:
            return self._by_password_hash()
        stored = self.obk.get(DESTINATIONS[ObkContent.DA])
        if stored is None:
            if self.product_state == PROVISIONING:
                return "yes", "in Provisioning credentials can still be stored"
            return "no", "no debug-authentication credentials are stored"
        if stored.permissions is not None and not stored.permissions >> FULL_REGRESSION & 1:
            return "no", "the stored permissions forbid the full regression (bit 14)"
        if stored.flag == 0 and self.part.saes:
            return "no", "what is stored is not encrypted for this part, so authentication never works"
        return "yes", "the stored credentials allow a regression, which erases everything"

    def _by_password_hash(self) -> tuple[str, str]:
        if self.product_state == PROVISIONING:
            return "yes", "in Provisioning the password can still be written"
        if self.password_hash is None:
            return "no", "no password hash stands in the OTP area"
        return "yes", "the password whose hash stands in the OTP area allows a regression"

    def boots(self) -> tuple[str, str]:
        """Return ``yes``, ``no`` or ``open`` and why: would user firmware start at the next reset."""
        if self.product_state == PROVISIONING:
            return "no", "user firmware does not run in Provisioning"
        boot_ube = self.option("BOOT_UBE")
        if boot_ube == OFF and self.part.stirot is not False and self.part.obk:
            if DESTINATIONS[ObkContent.STIROT_CONFIG] not in self.obk:
                return "no", "BOOT_UBE selects STiROT and no STiROT configuration is stored"
            return (
                ("yes", "STiROT starts what was downloaded") if self.flash else ("open", "nothing was downloaded here")
            )
        if not self.flash:
            return "open", "nothing was downloaded here"
        if self.part.obk and self.trustzone:
            start = self.option("SECBOOTADD")
            base = 0x0C000000 if start is None else start << 8
            if not any(a <= (base & 0x00FFFFFF) < a + n for a, (n, _) in self.flash.items()):
                if not self.erased:
                    return "open", "what stood at the boot address before is not known"
                return "no", f"nothing was downloaded to the boot address 0x{base:08X}"
            config = DESTINATIONS[ObkContent.OEMIROT_CONFIG]
            if self.option("SECBOOT_LOCK") == ON and config not in self.obk:
                return "no", "the boot loader finds no OEMiROT configuration in the OBK area"
        return "yes", "the boot loader and what it starts are there, as far as the files tell"

    # --------------------------------------------------------------------------------------------- one call
    def apply(self, call: Call, find: Path | None, sizes: tuple[int, int] | None, root: Path) -> Effect:
        """Let one call act. `find` is the file that it names, `sizes` where a download lies (start, bytes)."""
        if call.resets:
            self.session_locked = False
        if call.authentication:
            return self._authenticate(call)
        wanted = call.changes or call.lists
        if wanted and self.session_locked:
            return Effect(1, refused="the debug session was locked by debugauth=3; reset first")
        if wanted and self.product_state in (TZ_CLOSED, CLOSED, LOCKED):
            return Effect(1, "Error: Cannot connect to access port 1\n", refused="the debug port is closed")
        for kind, words in call.problems:
            if kind in ("sdp-equals", "no-file", "no-connection", "option-value", "unknown-argument"):
                return Effect(1, "Error: Wrong arguments\n", refused=words)
        if call.lists:
            return Effect(0, self.listing())
        if call.installs:
            return Effect(open="what an encrypted package writes, sets and closes cannot be seen from outside")
        return self._changed(call, find, sizes, root)

    def _changed(self, call: Call, find: Path | None, sizes: tuple[int, int] | None, root: Path) -> Effect:
        effect = Effect()
        if call.options:
            effect = self._set(call)
            if effect.refused:
                return effect
        if call.erases:
            self.flash.clear()
            self.erased = True
        for name, address in call.downloads:
            if find is None:
                return Effect(1, "Error: File does not exist\n", refused=f"{name} is not there")
            done = self._download(name, address, find, sizes, root)
            if done.refused or done.irreversible:
                return done
        for name in call.stores:
            done = self._store(name, find, root)
            if done.refused or done.irreversible or done.open:
                return done
        return effect

    def _set(self, call: Call) -> Effect:
        values = {n: v for n, v in call.options if v is not None}
        state = values.pop("PRODUCT_STATE", None)
        frozen = self.trustzone and self.option("SECBOOT_LOCK") == ON and values.get("SECBOOT_LOCK") != OFF
        if frozen and self.product_state != OPEN:
            for name in ("BOOT_UBE", "SWAP_BANK"):
                if name in values and self.option(name) not in (None, values[name]):
                    return Effect(1, refused=f"{name} is frozen while SECBOOT_LOCK is 0xB4")
        lost = ""
        if values.get("LOCKBL"):
            self.otp_locked, lost = True, "the OTP block is locked for ever"
        self.options.update(values)
        if state is None or state == self.product_state:
            return Effect(irreversible=lost)
        if state not in STATES:
            return Effect(1, refused=f"0x{state:X} is no product state")
        if state not in _STEPS.get(self.product_state, set()):
            here, there = STATES.get(self.product_state, "?"), STATES[state]
            return Effect(1, refused=f"from {here} (0x{self.product_state:X}) to {there} (0x{state:X}) is no step")
        if state == TZ_CLOSED and not self.trustzone:
            return Effect(1, refused="TZ-CLOSED needs TrustZone (TZEN = 0xB4)")
        self.product_state = state
        if state not in FINAL:
            return Effect(irreversible=lost)
        way, why = self.reopenable()
        kept = (
            "only a regression leads back, which erases everything" if way == "yes" else f"there is no way back: {why}"
        )
        note = "the tool often ends this step with a connection error although it worked: only a discovery tells"
        return Effect(irreversible=f"{STATES[state]}: {kept}", open=note)

    def _download(
        self, name: str, address: int | None, find: Path, sizes: tuple[int, int] | None, root: Path
    ) -> Effect:
        if sizes is None:
            return Effect(1, refused=f"{name} has no address: a .bin needs one")
        start, size = sizes
        if start in OTP or (address is not None and address in OTP):
            if self.otp_locked:
                return Effect(1, refused="the OTP block is locked")
            data = read_evidence(find, limit=KEY, inside=root).data
            self.password_hash = data[:32]
            return Effect(irreversible="OTP bits can never be set back")
        offset = start & 0x00FFFFFF
        groups = self.option("WRPSGn1")
        if groups is not None and not self.part.name.startswith("h503"):
            last = (offset + size - 1) // (4 * SECTOR)
            if any(not groups >> g & 1 for g in range(offset // (4 * SECTOR), min(last, 31) + 1)):
                return Effect(1, "Error: failed to download Segment\n", refused=f"{name} meets write-protected sectors")
        self.flash[offset] = (size, name)
        return Effect()

    def _store(self, name: str, find: Path | None, root: Path) -> Effect:
        if not self.part.obk:
            return Effect(1, refused=f"{self.part.name} has no OBK area")
        if self.product_state not in (OPEN, PROVISIONING):
            return Effect(1, refused="credentials are stored in Provisioning only")
        if self.product_state == OPEN and not self.boot0_high:
            return Effect(
                1,
                "Error: Provisioning with password is not supported by the current device\n",
                refused="in Open nothing is stored unless BOOT0 is high; go to Provisioning (0x17) first",
            )
        if find is None:
            return Effect(1, "Error: File does not exist\n", refused=f"{name} is not there")
        try:
            data = read_evidence(find, limit=KEY, inside=root).data
            if not looks_like_obk(data):
                raise InputError("is no .obk file")
            found = parse_obk(data)
        except InputError as error:
            return Effect(1, refused=f"{name} {error.problem}")
        due = SIZES.get(found.content)
        if found.size + 12 != found.file_size or found.size % 16 or due not in (None, found.size):
            return Effect(1, "Error: RSSLIB_SETOBKEY_BAD_SIZE\n", refused=f"{name} has a size that is refused")
        if found.flag and self.part.saes is False:
            return Effect(1, refused=f"{name} asks for encryption, which {self.part.name} does not have")
        self.obk[found.destination] = found
        if self.part.saes is None and found.content is ObkContent.DA:
            return Effect(open="whether this part must encrypt what it stores is not known")
        return Effect()

    def _authenticate(self, call: Call) -> Effect:
        if call.authentication == 3:
            self.session_locked = True
            return Effect()
        if call.mode == "hotplug":
            return Effect(1, refused="debug authentication needs a reset; hot plug never works")
        if call.authentication == 2:
            return Effect(0, self.discovery())
        per = dict(call.credentials).get("per", "")
        way, why = self.reopenable()
        if self.product_state == OPEN or way != "yes":
            return Effect(1, refused="nothing to authenticate: " + why)
        if per in ("a", "14"):
            self.product_state, self.options["TZEN"] = OPEN, OFF
            self.obk.clear()
            self.flash.clear()
            return Effect(irreversible="a full regression erased flash, options and OBK")
        return Effect(open="what debug authentication opens here is not modelled")

    def discovery(self) -> str:
        """Return what a discovery would print."""
        stored = self.obk.get(DESTINATIONS[ObkContent.DA])
        integrity = "0xeaeaeaea" if stored is not None and stored.digest_valid else "0xf5f5f5f5"
        names = {PROVISIONED: "IROT_PROVISIONED", PROVISIONING: "PROVISIONING"}
        state = names.get(self.product_state, STATES.get(self.product_state, "").replace("-", "_"))
        lines = [
            f"discovery: PSA lifecycle...............:ST_LIFECYCLE_{state}",
            f"discovery: ST provisioning integrity status:{integrity}",
        ]
        if stored is not None and (stored.permissions or 0) >> FULL_REGRESSION & 1:
            lines.append("discovery: permission if authorized.....:(a/14) ==> Full Regression")
        return "\n".join(lines) + "\n"

    def listing(self) -> str:
        """Return the option bytes that are known, in the tool's form."""
        rows = {"PRODUCT_STATE": self.product_state, **self.options}
        return "OPTION BYTES BANK: 0\n" + "".join(f"     {n:<13}: 0x{v:X}\n" for n, v in rows.items())

    def copy(self) -> ChipState:
        """Return the same chip, to go on from twice."""
        return replace(self, options=dict(self.options), obk=dict(self.obk), flash=dict(self.flash))
