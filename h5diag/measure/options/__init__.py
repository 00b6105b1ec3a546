"""Option bytes as named, explained settings: what they protect, what a boot loader expects, how boards differ.

The names are looked up when they are used: to hold two listings against each other takes no words about a log.
"""

from typing import TYPE_CHECKING

from h5diag.evidence import by_name

if TYPE_CHECKING:
    from h5diag.measure.options.decode import decode_listing as decode_listing, decode_registers as decode_registers
    from h5diag.measure.options.differences import (
        OptionDiff as OptionDiff,
        OptionDifference as OptionDifference,
        OptionRow as OptionRow,
        SideBySide as SideBySide,
        Weight as Weight,
        beside as beside,
        compare_options as compare_options,
        read_options as read_options,
        side_by_side as side_by_side,
    )
    from h5diag.measure.options.meaning import area_meaning as area_meaning, summary as summary
    from h5diag.measure.options.remarks import (
        FlashedFile as FlashedFile,
        Generation as Generation,
        Provisioning as Provisioning,
        Remark as Remark,
        StepOutcome as StepOutcome,
        explain_log as explain_log,
        explain_words as explain_words,
        known_words as known_words,
        read_provisioning as read_provisioning,
    )
    from h5diag.measure.options.rules import (
        Agreement as Agreement,
        Expectation as Expectation,
        OptionCheck as OptionCheck,
        check_options as check_options,
        expectations as expectations,
    )
    from h5diag.measure.options.settings import (
        AreaSetting as AreaSetting,
        Belief as Belief,
        Extent as Extent,
        OptionBytes as OptionBytes,
        RegisterValue as RegisterValue,
        Setting as Setting,
        hidden_ranges as hidden_ranges,
        masked_ranges as masked_ranges,
    )

_HOMES = {
    "decode": "decode_listing decode_registers",
    "differences": "OptionDiff OptionDifference OptionRow SideBySide Weight beside compare_options read_options side_by_side",
    "meaning": "area_meaning summary",
    "remarks": "Generation FlashedFile Provisioning Remark StepOutcome explain_log explain_words known_words read_provisioning",
    "rules": "Agreement Expectation OptionCheck check_options expectations",
    "settings": "AreaSetting Belief Extent OptionBytes RegisterValue Setting hidden_ranges masked_ranges",
}


__getattr__ = by_name(__name__, _HOMES)
