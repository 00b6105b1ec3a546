"""Option bytes as named, explained settings: what they protect, what a boot loader expects, how boards differ."""

from __future__ import annotations

from h5diag.measure.options.decode import decode_listing, decode_registers
from h5diag.measure.options.differences import (
    OptionDiff,
    OptionDifference,
    Row,
    SideBySide,
    Weight,
    beside,
    compare_options,
    read_options,
    side_by_side,
)
from h5diag.measure.options.meaning import area_meaning, summary
from h5diag.measure.options.remarks import (
    Generation,
    Placed,
    Provisioning,
    Remark,
    Step,
    explain_log,
    explain_words,
    known_words,
    read_provisioning,
)
from h5diag.measure.options.rules import Agreement, Expectation, OptionCheck, check_options, expectations
from h5diag.measure.options.settings import (
    AreaSetting,
    Belief,
    Extent,
    OptionBytes,
    RegisterValue,
    Setting,
    hidden_ranges,
    masked_ranges,
)

__all__ = [
    "Agreement",
    "AreaSetting",
    "Belief",
    "Expectation",
    "Extent",
    "Generation",
    "OptionBytes",
    "OptionCheck",
    "OptionDiff",
    "OptionDifference",
    "Placed",
    "Provisioning",
    "RegisterValue",
    "Remark",
    "Row",
    "Setting",
    "SideBySide",
    "Step",
    "Weight",
    "area_meaning",
    "beside",
    "check_options",
    "compare_options",
    "decode_listing",
    "decode_registers",
    "expectations",
    "explain_log",
    "explain_words",
    "hidden_ranges",
    "known_words",
    "masked_ranges",
    "read_options",
    "read_provisioning",
    "side_by_side",
    "summary",
]
