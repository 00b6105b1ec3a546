"""Option bytes as named, explained settings: what they protect, what a boot loader expects, how boards differ."""

from __future__ import annotations

from h5diag.measure.options.decode import decode_listing, decode_registers
from h5diag.measure.options.diff import Difference, OptionDiff, Weight, compare_options
from h5diag.measure.options.identify import Basis, ChipChoice, choose_chip
from h5diag.measure.options.meaning import area_meaning, summary
from h5diag.measure.options.provisioning import Generation, Placed, Provisioning, Step, read_provisioning
from h5diag.measure.options.remarks import Remark, explain_log
from h5diag.measure.options.rules import Agreement, Expectation, OptionCheck, check_options, expectations
from h5diag.measure.options.settings import (
    UNKNOWN,
    AreaSetting,
    Belief,
    Extent,
    OptionBytes,
    RegisterValue,
    Setting,
    Unknown,
)
from h5diag.measure.options.sidebyside import Row, SideBySide, read_options, side_by_side
from h5diag.measure.options.words import explain_words, known_words

__all__ = [
    "UNKNOWN",
    "Agreement",
    "AreaSetting",
    "Basis",
    "Belief",
    "ChipChoice",
    "Difference",
    "Expectation",
    "Extent",
    "Generation",
    "OptionBytes",
    "OptionCheck",
    "OptionDiff",
    "Placed",
    "Provisioning",
    "RegisterValue",
    "Remark",
    "Row",
    "Setting",
    "SideBySide",
    "Step",
    "Unknown",
    "Weight",
    "area_meaning",
    "check_options",
    "choose_chip",
    "compare_options",
    "decode_listing",
    "decode_registers",
    "expectations",
    "explain_log",
    "explain_words",
    "known_words",
    "read_options",
    "read_provisioning",
    "side_by_side",
    "summary",
]
