"""The words of a virtual probe."""

import pytest

from h5diag.errors import InputError
from h5diag.memory import AddressRange
from h5diag.sim.virtual import ANYWHERE, FaultKind, parse_items, parse_probe

NAMES = [
    "stuck-bit",
    "cell-stuck",
    "dead-sector",
    "slow-sector",
    "address-alias",
    "bus-fault-sporadic",
    "bus-fault",
    "zero-chunk",
    "drop-word",
    "unstable",
    "coupling",
    "unplug",
    "locked-port",
    "far-erase",
    "far-program",
    "power-dip",
    "uid-zero",
    "size-zero",
    "bank-swap",
    "core-asleep",
    "no-reset-line",
]


def test_the_names_are_those_of_the_contract():
    assert sorted(k.value for k in FaultKind) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_fault_parses_alone_and_with_a_range(name):
    assert parse_probe(f"virtual:{name}").faults[0].range == ANYWHERE
    fault = parse_probe(f"virtual:{name}@0x08000000-0x0800_2000").faults[0]
    assert (fault.kind.value, fault.range) == (name, AddressRange(0x08000000, 0x08002000))


def test_items_combine():
    setup = parse_probe("virtual:unstable@0x08000000-0x08002000,count=3+seed=3+board=defect+link=memory+bus-fault")
    assert (setup.seed, setup.board, setup.link, len(setup.faults)) == (3, "defect", "memory", 2)
    assert setup.faults[0].whole("count") == 3
    assert parse_probe("virtual") == parse_items(())


@pytest.mark.parametrize(
    "text",
    [
        "virtual:nonsense",
        "virtual:board=none",
        "virtual:seed=x",
        "virtual:stuck-bit@0x10",
        "virtual:stuck-bit@8-4",
        "virtual:stuck-bit,colour=1",
        "virtual:stuck-bit,bit=x",
        "virtual:stuck-bit,bit=-1",
        "virtual:link=usb",
        "probe:1",
        "virtual:zero-chunk,rate=nan",
    ],
)
def test_slips_are_one_clear_line(text):
    with pytest.raises(InputError) as caught:
        parse_probe(text)
    assert "\n" not in str(caught.value)
