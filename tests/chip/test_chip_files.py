"""Every chip file is consistent in itself: a typing slip in a fact must not survive."""

import itertools
import re

import pytest

from h5diag.chip import Chip, EccKind, Field, chip_names, load_chip, parse_chip
from h5diag.errors import InputError

CHIPS = [load_chip(name) for name in chip_names()]
pytestmark = pytest.mark.parametrize("chip", CHIPS, ids=[c.name for c in CHIPS])
AREAS = {"secure", "hidden", "write-protected", "high-cycle"}
OPTION_KINDS = {"byte", "flag", "sector", "address", "groups", "number"}


def test_geometry_adds_up(chip: Chip) -> None:
    f = chip.flash
    assert f.size % f.bank_size == 0
    assert f.bank_size % f.sector_size == 0
    assert f.sector_size % f.program_unit == 0
    assert len(chip.banks) in (1, 2)
    assert chip.sectors[0].range.start == f.base
    assert chip.sectors[-1].range.stop == chip.flash_range.stop
    assert all(a.range.stop == b.range.start for a, b in itertools.pairwise(chip.sectors))
    assert chip.sectors[len(chip.sectors) // len(chip.banks) - 1].bank == 1
    if len(chip.banks) == 2:
        assert chip.sectors[len(chip.sectors) // 2].bank == 2
        assert chip.sectors[len(chip.sectors) // 2].index == 0
    assert (f.secure_base != f.base) == chip.trustzone


def test_every_other_geometry_adds_up_too(chip: Chip) -> None:
    for mode in chip.flash_modes:
        chip.option(mode.option)
        other = chip.in_mode(mode.option, mode.value)
        assert other.flash.size % other.flash.bank_size == 0
        assert other.sectors[-1].range.stop == chip.flash_range.stop
    assert chip.in_mode("NO_SUCH_OPTION", 0) is chip


def test_fields_lie_inside_and_do_not_overlap(chip: Chip) -> None:
    for r in chip.registers:
        seen = 0
        for f in r.fields:
            assert f.lsb >= 0, (r.name, f)
            assert f.lsb + f.width <= 32, (r.name, f)
            assert not seen & f.mask, f"{r.name}.{f.name} overlaps"
            seen |= f.mask


def test_registers_are_unique_and_aligned(chip: Chip) -> None:
    for attribute in ("name", "offset"):
        values = [getattr(r, attribute) for r in chip.registers]
        assert len(values) == len(set(values))
    assert all(r.offset % 4 == 0 and 0 <= r.offset < 0x400 for r in chip.registers)


def test_program_and_current_registers_come_in_pairs(chip: Chip) -> None:
    names = {r.name for r in chip.registers}
    for r in chip.registers:
        if r.name.endswith("_CUR"):
            twin = chip.register(r.name.replace("_CUR", "_PRG"))
            assert (twin.offset, twin.fields) == (r.offset + 4, r.fields)
    assert {n[:-4] for n in names if n.endswith("_CUR")} == {n[:-4] for n in names if n.endswith("_PRG")}


def test_options_name_real_fields(chip: Chip) -> None:
    seen: set[str] = set()
    for o in chip.options:
        field = chip.register(o.register).field(o.field)
        assert o.kind in OPTION_KINDS, o
        assert all(0 <= m.value < 1 << field.width for m in o.values), o
        assert len({m.value for m in o.values}) == len(o.values)
        assert o.factory is None or 0 <= o.factory < 1 << field.width, o
        assert (o.kind == "address") == bool(o.address_shift)
        assert o.kind != "address" or o.address_shift == field.lsb
        assert o.kind not in ("sector", "groups") or o.bank in (1, 2)
        if o.kind == "sector":
            assert 1 << field.width >= chip.flash.bank_size // chip.flash.sector_size, o
        for name in (o.name, *o.aliases):
            assert name.upper() not in seen, name
            seen.add(name.upper())
            assert chip.option(name.lower()) is o


def test_areas_name_real_options(chip: Chip) -> None:
    for a in chip.areas:
        assert a.kind in AREAS
        assert a.bank in (1, 2)
        assert bool(a.groups) != bool(a.end)
        for name in (a.start, a.end, a.groups, a.enable):
            if name:
                chip.option(name)


def test_states_fit_their_option(chip: Chip) -> None:
    option = chip.option(chip.state_option)
    assert {s.value for s in chip.states} == {m.value for m in option.values}
    assert all(s.debug in {"full", "nonsecure", "none", "unknown"} for s in chip.states)
    if chip.trustzone:
        assert chip.option("TZEN").meaning(chip.tzen_on) == "on"


def test_identities_are_unique(chip: Chip) -> None:
    for rows, key in (
        (chip.revisions, "id"),
        (chip.revisions, "letter"),
        (chip.packages, "code"),
        (chip.states, "value"),
        (chip.states, "name"),
        (chip.errata, "id"),
        (chip.regions, "name"),
        (chip.areas, "name"),
        (chip.operations, "value"),
        (chip.keys, "register"),
    ):
        values = [getattr(row, key) for row in rows]
        assert len(values) == len(set(values)), key


def test_regions_do_not_overlap(chip: Chip) -> None:
    spans = sorted(
        [(r.base, r.base + r.size, r.name) for r in chip.regions]
        + [(chip.flash_range.start, chip.flash_range.stop, "flash")]
    )
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    for r in chip.regions:
        assert chip.region_at(r.base) == r
        if r.secure_base:
            assert chip.region_at(r.secure_base + r.size - 1) == r


def test_every_fact_names_its_source(chip: Chip) -> None:
    tags = {s.tag for s in chip.sources}
    rows = [
        chip,
        chip.flash,
        chip.identity,
        *chip.flash_modes,
        *chip.regions,
        *chip.revisions,
        *chip.addresses,
        *chip.keys,
        *chip.flags,
        *chip.ecc,
        *chip.states,
        *chip.options,
        *chip.areas,
        *chip.errata,
    ]
    for row in rows:
        assert re.split(r"[\s,;:]", row.ref)[0] in tags, row
    assert re.split(r"[\s,;:]", chip.registers_ref)[0] in tags


def test_errata_speak_of_known_revisions(chip: Chip) -> None:
    for e in chip.errata:
        assert e.kind in ("silicon", "tool")
        assert set(e.revisions) <= {r.id for r in chip.revisions}, e
        assert all(re.fullmatch(r"\d+\.\d+", v) for v in e.versions)


def test_keys_unlock_existing_registers(chip: Chip) -> None:
    for k in chip.keys:
        chip.register(k.register)
        assert all(0 <= w < 1 << 32 for w in k.words)


def test_ecc_arithmetic_stays_in_its_area(chip: Chip) -> None:
    names = [r.name for r in chip.registers if any(f.name == "ADDR_ECC" for f in r.fields)]
    assert bool(names) is bool(chip.ecc)
    for name in names:
        r = chip.register(name)
        for area in chip.ecc:
            value = 0
            for field, v in (("ADDR_ECC", area.offset), (area.flag, 1), ("ECCC", 1), ("ECCD", 1)):
                if field in {f.name for f in r.fields}:
                    value = r.field(field).put(value, v)
            where = chip.ecc_location(name, value)
            assert where.area == area.name
            assert where.kind is not EccKind.NONE
            assert where.address == (chip.region(area.region).base if area.region else chip.flash.base)
            last = r.field("BK_ECC").put(value, 1) if area.bank_stride else value
            stride = chip.flash.bank_size if area.bank_stride < 0 else area.bank_stride
            assert chip.ecc_location(name, last).address == where.address + stride
        assert chip.ecc_location(name, 0).kind is EccKind.NONE
        chip.ecc_location(name, 0xFFFFFFFF)


def test_a_chip_answers_to_its_name_and_its_marking(chip: Chip) -> None:
    assert load_chip(chip.name.upper()) is chip
    assert load_chip(chip.words[0]) is chip
    marking = chip.parts[0].replace("?", "v").upper() + "T6"
    assert load_chip(marking) is chip


def test_aliases_and_sectors_agree(chip: Chip) -> None:
    for address in (chip.flash.base, chip.flash_range.stop - 1):
        assert chip.canonical(chip.secure_alias(address)) == address
        assert address in chip.sector_at(chip.secure_alias(address)).range
    with pytest.raises(KeyError):
        chip.sector_at(chip.flash_range.stop)
    assert chip.canonical(0x20000000) == 0x20000000


def test_nothing_is_left_unfilled(chip: Chip) -> None:
    by_data_base = chip.family in ("u3", "wba")  # known by what the programmer says of them, and no more
    for name in ("registers", "options", "states", "areas", "regions", "sources", "ecc", "keys"):
        assert getattr(chip, name) or (by_data_base and name in ("ecc", "keys")), name
    assert all(o.what and o.ref for o in chip.options)


def test_another_family_is_another_file_only(chip: Chip) -> None:
    """A file of a family that nobody has heard of loads by the same loader into the same classes."""
    texts = {
        "zz9": 'inherits = "base"\ntitle = "ZZ9"\nwords = ["zz"]\n[without]\noptions = ["TZEN"]\n',
        "base": _text(chip),
    }
    made = parse_chip("zz9", texts.__getitem__)
    assert made.title == "ZZ9"
    assert made.registers == ()


def _text(chip: Chip) -> str:
    f, i = chip.flash, chip.identity
    return (
        f'title = "base"\nfamily = "zz"\nwords = []\ntrustzone = false\nflash_registers = 1\n'
        f'flash_registers_secure = 0\nstate_option = "RDP"\nregisters_ref = "A"\nref = "A"\noptions = []\n'
        f"[flash]\nbase = {f.base}\nsecure_base = {f.base}\nsize = {f.size}\nbank_size = {f.bank_size}\n"
        f'sector_size = {f.sector_size}\nprogram_unit = 16\nwrp_group_sectors = 1\nref = "A"\n'
        f'[identity]\ndev_id = {i.dev_id}\nidcode = [0]\nuid = 0\nflash_size = 0\npackage = 0\nref = "A"\n'
    )


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        ("[flash]\nbose = 1", "bose"),
        ("[flash]\nbose = 1", "line 3 of zz9.toml"),
        ("[[revisions]]\nid = 'x'\nletter = 'A'\nref = 'A'", "line 3 of zz9.toml"),
        ("[[registers]]\nname = 'A'\noffset = 0\nfields = ['B[32]']", "line 3 of zz9.toml"),
        ("[[errata]]\nid = 'A'\nkind = 'tool'\neffect = 'x'", "line 3 of zz9.toml"),
        ("packages = 4", "line 2 of zz9.toml"),
        ("state_option = 7", "line 2 of zz9.toml"),
        ("[[revisions]]\nid = 'x'\nletter = 'A'\nref = 'A'", "id"),
        ("[[registers]]\nname = 'A'\noffset = 0\nfields = ['B[32]']", "B[32]"),
        ("[[registers]]\nname = 'A'\noffset = 0\nfields = ['B[1:3]']", "B[1:3]"),
        ("[[registers]]\nname = 'A'\noffset = 0\nfields = [7]", "fields"),
        ("[[errata]]\nid = 'A'\nkind = 'tool'\neffect = 'x'", "ref"),
        ("nonsense = 1", "nonsense"),
        ("packages = 4", "packages"),
    ],
)
def test_a_slip_is_refused_and_named(chip: Chip, slip: str, says: str) -> None:
    if chip is not CHIPS[0]:
        return
    texts = {"zz9": 'inherits = "base"\n' + slip, "base": _text(chip)}
    with pytest.raises(InputError) as caught:
        parse_chip("zz9", texts.__getitem__)
    assert says in str(caught.value)
    assert "zz9" in str(caught.value)


def test_field_values_go_in_and_out(chip: Chip) -> None:
    for r in chip.registers:
        for f in r.fields:
            assert f.get(f.put(0xFFFFFFFF, 0)) == 0
            assert f.get(f.put(0, (1 << f.width) - 1)) == (1 << f.width) - 1
    with pytest.raises(ValueError, match="fit"):
        Field("A", 0, 2).put(0, 4)
