"""All checks, in the order in which they are shown: the reading path first, the chip last.

A check is ``check_x(measured) -> findings``: it reads measurements, opens no file and no probe, and says nothing
when it has nothing to go by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from h5diag.judge.checks.chip import (
    check_ecc,
    check_families,
    check_identity,
    check_larger_part,
    check_locked,
    check_revision,
    check_supply,
    check_system_area,
)
from h5diag.judge.checks.content import (
    check_blank,
    check_build,
    check_container,
    check_file_left_out,
    check_later,
    check_nothing_of_it,
    check_overwritten,
    check_sector_hole,
    check_shapes,
    check_size,
    check_word_hole,
    check_wrap,
)
from h5diag.judge.checks.flashtest import check_flash_test
from h5diag.judge.checks.options import (
    check_external_pads,
    check_loader,
    check_options_of_good,
    check_provisioned_options,
    check_provisioning_logs,
    check_way_back,
    check_write_protection,
)
from h5diag.judge.checks.placement import check_bank_mode, check_banks, check_holes, check_placement
from h5diag.judge.checks.printed import (
    check_bit_stays,
    check_bits_left,
    check_boot_log,
    check_file_missing,
    check_left_out,
    check_refused_reads,
    check_refused_writes,
    check_restarts,
    check_same_file,
    check_same_place,
    check_secure_install,
    check_signatures,
    check_tool_stopped,
    check_unsigned,
    check_wireless_service,
)
from h5diag.judge.checks.reading import (
    check_circumstances,
    check_reads,
    check_sweep,
    check_transport_marks,
    check_unreadable_word,
    check_views,
    check_zeros,
)
from h5diag.judge.checks.slots import (
    check_header_displaced,
    check_header_size,
    check_headers,
    check_install,
    check_next_boot,
    check_other_firmware,
    check_published_keys,
    check_slot_damage,
    check_stage,
)
from h5diag.judge.checks.start import (
    check_boot_address,
    check_core,
    check_own_erase,
    check_refusals,
    check_stale_view,
    check_start_erased,
    check_torn_options,
)
from h5diag.judge.findings import Finding
from h5diag.judge.measured import Measured

Check = Callable[[Measured], Iterable[Finding]]

CHECKS: tuple[Check, ...] = (
    check_families,
    check_circumstances,
    check_reads,
    check_transport_marks,
    check_sweep,
    check_views,
    check_zeros,
    check_unreadable_word,
    check_install,
    check_stage,
    check_next_boot,
    check_headers,
    check_header_size,
    check_header_displaced,
    check_other_firmware,
    check_slot_damage,
    check_provisioned_options,
    check_options_of_good,
    check_write_protection,
    check_provisioning_logs,
    check_placement,
    check_bits_left,
    check_file_missing,
    check_blank,
    check_sector_hole,
    check_word_hole,
    check_shapes,
    check_bit_stays,
    check_same_place,
    check_container,
    check_file_left_out,
    check_overwritten,
    check_same_file,
    check_nothing_of_it,
    check_build,
    check_banks,
    check_bank_mode,
    check_holes,
    check_size,
    check_larger_part,
    check_wrap,
    check_later,
    check_boot_log,
    check_restarts,
    check_secure_install,
    check_wireless_service,
    check_unsigned,
    check_signatures,
    check_refused_reads,
    check_refused_writes,
    check_tool_stopped,
    check_left_out,
    check_torn_options,
    check_boot_address,
    check_start_erased,
    check_core,
    check_own_erase,
    check_stale_view,
    check_refusals,
    check_locked,
    check_way_back,
    check_published_keys,
    check_identity,
    check_ecc,
    check_revision,
    check_supply,
    check_system_area,
    check_flash_test,
    check_loader,
    check_external_pads,
)
