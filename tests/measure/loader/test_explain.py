from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from h5diag.measure.loader.explain import Downloaded, Story, explain
from h5diag.measure.loader.lint import Certainty, loader_bypassed, loader_mislinked
from h5diag.measure.loader.placement import ram_plan
from h5diag.measure.loader.vb3 import LoaderSide, Outcome, parse_log, read_log

from .conftest import LOADERS, sample
from .logs import call, preparation, stamped

GOOD = sample("l5-good")
FOUNDING = LOADERS / "logs" / "l5-tz-not-downloaded.txt"


def told(*lines, **options):
    return explain(parse_log(stamped([line for part in lines for line in part])), **options)


@pytest.mark.parametrize(
    ("image", "stack", "buffer"),
    [
        (0x186C, 0x20001C6C, 0x20001CA0),
        (0x50C, 0x2000090C, 0x20000940),
        (0x1804, 0x20001C04, 0x20001C40),
        (0xF54, 0x20001354, 0x20001380),
        (0x255C4, 0x200259C4, 0x20025A00),
        (0x768, 0x20000B68, 0x20000BA0),
    ],
)
def test_the_ram_plan_fits_every_published_trace(image, stack, buffer):
    plan = ram_plan(0x20000000, image)
    assert (plan.stack_pointer, plan.buffer) == (stack, buffer)


def test_the_founding_log_proves_that_nothing_was_downloaded():
    log = read_log(FOUNDING)
    mine = sample("l5-good")
    for loader, trustzone in ((None, "unknown"), (None, "on"), (mine, "unknown"), (mine, "on")):
        result = explain(log, loader, trustzone=trustzone)
        assert result.story is Story.NOT_DOWNLOADED
        assert result.downloaded is Downloaded.NO
        assert "never downloaded" in result.conclusion
        assert "SP, LR and MSP are 0" in result.conclusion
        assert "one report puts the base with TrustZone on at 0x20018004" in result.conclusion
        assert "try that first" in result.conclusion
    assert "it is linked at 0x20000004" in result.conclusion


def test_one_report_is_not_offered_where_it_cannot_apply():
    log = read_log(FOUNDING)
    assert "0x20018004" not in explain(log, sample("l5-good"), trustzone="off").conclusion
    assert "0x20018004" not in explain(log, sample("l5-tz-good"), trustzone="on").conclusion
    other_chip = parse_log(FOUNDING.read_text("utf-8").replace("0x472", "0x482"))
    assert "0x20018004" not in explain(other_chip, sample("l5-good")).conclusion


def test_the_fixed_loader_is_the_negative_control():
    result = explain(read_log(LOADERS / "logs" / "l5-tz-good.txt"), sample("l5-tz-good"))
    assert (result.story, result.downloaded) == (Story.WORKED, Downloaded.YES)
    assert [c.function for c in result.calls] == ["Init", "SectorErase", "Init", "Write", "Init", "Read"]
    assert result.calls[3].arguments[:2] == (0x90001000, 512)


def test_the_base_of_the_log_names_the_cause():
    lines = (
        preparation(0x20003000, ap=1, download=False),
        call(0x20003521, (0,), ap=1, lr=0, msp=0, result=0, xpsr=0x01000003),
    )
    assert told(*lines).base == 0x20003000
    result = told(*lines, loader=sample("h5-wrong-base"))
    assert "it is linked at 0x20010004, and this programmer's base is 0x20003000" in result.conclusion
    away = (lines[0], call(0x20000101, (0,), lr=0, msp=0, result=0))
    assert "linked near 0x20000000" in told(*away).conclusion


@pytest.mark.parametrize(
    ("options", "story", "words"),
    [
        ({}, Story.WORKED, "succeeded"),
        ({"result": 0}, Story.REFUSED, "returning 0x0"),
        ({"result": 0, "xpsr": 0x01000003}, Story.FAULTED, "HardFault"),
        ({"result": 5, "xpsr": 0x01000006}, Story.FAULTED, "UsageFault"),
        ({"result": None}, Story.HUNG, "no result"),
        ({"result": 0xFFFFFFFD}, Story.ODD_RESULT, "neither"),
    ],
)
def test_how_a_call_can_end(options, story, words):
    result = told(preparation(), call(0x20000101, **options))
    assert result.story is story
    assert words in result.conclusion
    assert result.downloaded is Downloaded.YES


def test_a_time_out_is_no_result_whatever_r0_holds():
    assert told(preparation(), call(0x20000101), ["Error: Init function failed with timeout"]).story is Story.HUNG


def test_a_second_preparation_without_download_counts_for_itself():
    result = told(
        preparation(), call(0x20000101), preparation(download=False), call(0x20000101, (0,), lr=0, msp=0, result=0)
    )
    assert [c.outcome for c in result.calls] == [Outcome.OK, Outcome.NOT_DOWNLOADED]
    assert result.story is Story.NOT_DOWNLOADED
    assert any("1 other calls" in r for r in result.remarks)


def test_a_log_that_begins_after_the_download_is_not_taken_for_a_failure():
    result = told(call(0x20000101))
    assert (result.story, result.downloaded) == (Story.WORKED, Downloaded.YES)


def test_a_call_whose_run_was_cut_out_is_a_call_all_the_same():
    lines = [line for line in call(0x20000101, result=None) if not line.startswith(("run", "halt"))]
    result = told(preparation(), lines, ["..."])
    assert (result.story, result.downloaded) == (Story.HUNG, Downloaded.YES)
    cut = [line for line in call(0x20000101, (0,), lr=0, msp=0, result=None) if not line.startswith(("run", "halt"))]
    assert told(preparation(download=False), cut).story is Story.NOT_DOWNLOADED
    assert len(told(preparation(), lines, preparation(), call(0x20000101)).calls) == 2


def test_a_log_of_another_build_is_noticed():
    lines = (preparation(0x20003000, download=False), call(0x20003521, (0,), lr=0, msp=0, result=0))
    other = told(*lines, loader=sample("h5-good"))
    assert any("another build" in r for r in other.remarks)
    assert any("was it the one that was used" in r for r in other.remarks)
    mine = explain(read_log(LOADERS / "logs" / "h5-good.txt"), sample("h5-good"))
    assert not any("another build" in r for r in mine.remarks)


def test_a_stack_that_leaves_the_formula_is_remarked():
    assert not any("MSP is" in r for r in told(preparation(), call(0x20000101)).remarks)
    assert any("MSP is 0x2000F000" in r for r in told(preparation(), call(0x20000101, msp=0x2000F000)).remarks)


def test_the_tools_own_loader_is_kept_apart():
    lines = (preparation(), ["Erasing internal memory sectors [0 43]"], call(0x20000101, result=0))
    result = told(*lines)
    assert result.story is Story.INTERNAL_ONLY
    assert result.downloaded is Downloaded.UNKNOWN
    both = told(*lines, ["Erasing external memory sectors [0 1]"], preparation(), call(0x20000201))
    assert both.story is Story.WORKED
    assert [c.side for c in both.calls] == [LoaderSide.EXTERNAL]


def test_bypassed_and_its_negative_controls():
    log = read_log(LOADERS / "logs" / "h5-bypassed.txt")
    result = explain(log)
    assert (result.story, result.downloaded) == (Story.BYPASSED, Downloaded.NO)
    assert loader_bypassed(log).answer is Certainty.YES
    with_init = log.events[:-6], parse_log("\n".join([*preparation(), *call(0x20000101)])).events, log.events[-6:]
    used = type(log)(tuple(e for part in with_init for e in part))
    assert explain(used).story is Story.WORKED
    assert loader_bypassed(used).answer is Certainty.NO
    internal = parse_log("\n".join("r ap 1 @0x08000000 0x00000100 bytes Data 0x20000000" for _ in range(3)))
    assert loader_bypassed(internal).answer is Certainty.UNKNOWN


def test_success_with_a_chosen_loader_and_no_call_is_a_bypass():
    lines = [
        "Command line: -c port=swd -el test.stldr -e all -vb 3",
        "r ap 0 @0x40022020 0x00000004 bytes Data 0x0",
        "Mass erase successfully achieved",
    ]
    assert told(lines).story is Story.BYPASSED
    assert told(lines[1:]).story is Story.NO_CALL


@pytest.mark.parametrize(
    ("text", "story"),
    [
        ("", Story.NO_LOG),
        ("dear all, please help", Story.NO_LOG),
        ("Error: failed to erase memory", Story.NOT_VERBOSE),
        ("halt ap 0", Story.NO_CALL),
        ("Error: Flash loader x.stldr cannot be loaded.", Story.NOT_LOADED),
    ],
)
def test_texts_without_a_call(text, story):
    assert explain(parse_log(text)).story is story


def test_mislinked_needs_a_log_for_yes_and_no():
    good, fixed, log = sample("l5-good"), sample("l5-tz-good"), read_log(FOUNDING)
    assert loader_mislinked(good, log).answer is Certainty.YES
    assert loader_mislinked(good, family="l5", trustzone="on").answer is Certainty.POSSIBLE
    assert loader_mislinked(fixed, family="l5", trustzone="on").answer is Certainty.UNKNOWN
    assert loader_mislinked(fixed, read_log(LOADERS / "logs" / "l5-tz-good.txt"), family="l5").answer is Certainty.NO
    assert loader_mislinked(sample("l5-overlap"), family="l5").answer is Certainty.YES
    assert loader_mislinked(None).answer is Certainty.UNKNOWN


POOL = [
    *preparation(),
    *preparation(download=False),
    *call(0x20000101),
    *call(0x20000101, (0,), lr=0, msp=0, result=0, xpsr=0x01000003),
    "Erasing internal memory sectors [0 1]",
    "Erasing external memory sectors [0 1]",
    "Memory erase...",
    "Loader write range...",
    "Reading data...",
    "Data read successfully",
    "Address : 0x90000000",
    "r ap 0 @0x90000000 0x00000100 bytes Data 0x00000000",
    "Device ID : 0x472",
    "Error: x",
    "what is this",
]


@given(st.lists(st.sampled_from(POOL), max_size=80))
def test_any_order_of_lines_ends_in_a_story(lines):
    log = parse_log("\n".join(lines))
    for loader in (None, GOOD):
        told = explain(log, loader)
        assert told.conclusion
        assert (told.downloaded is Downloaded.NO) >= (told.story is Story.NOT_DOWNLOADED)
        assert loader_bypassed(log).text
        assert loader_mislinked(loader, log).text


def test_a_dry_runs_log_says_so():
    assert any("dry run" in r for r in explain(read_log(LOADERS / "logs" / "h5-good.txt")).remarks)
    assert not any("dry run" in r for r in explain(read_log(FOUNDING)).remarks)
