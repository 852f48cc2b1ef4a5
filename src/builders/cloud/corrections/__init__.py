"""What ministack 1.5.33 gets wrong, corrected in one named function each.

Every function replaces one thing of ministack; tests/cloud/test_corrections.py has a test for each that fails when a
newer ministack makes the correction needless. What ministack merely lacks is in the other rooms.
"""

from __future__ import annotations

from builders.cloud.corrections import (
    alarms,
    assuming,
    change_sets,
    conditions,
    events,
    exports,
    operations,
    packages,
    regions,
    services,
    told,
)


def everywhere() -> None:
    """Apply all corrections, once."""
    conditions.conditions_of_any_value()
    regions.zones_of_the_region()
    regions.prefix_lists_of_s3()
    operations.blocking_types_off_the_event_loop()
    operations.answers_wait_for_stacks()
    operations.capabilities_always_needed()
    operations.replacement_by_schema()
    operations.named_resources_stay()
    operations.tags_by_schema()
    operations.snapshots_before_replacement()
    operations.clean_up_told()
    operations.deleted_stacks_are_forgotten()
    exports.exports_in_use_stay()
    packages.buckets_of_all_accounts()
    services.generated_passwords()
    services.ports_of_network_acls()
    services.logs_exported_by_databases()
    services.silent_functions_of_custom_resources()
    told.properties_of_handled_types()
    told.endpoints_of_vpcs()
    alarms.alarms_of_their_own_metric()
    alarms.metrics_embedded_in_logs()
    events.paths_into_lists()
    change_sets.change_sets_in_pages()
    assuming.roles_assumed_by_those_they_trust()
