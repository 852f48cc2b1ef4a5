"""Parameter groups: parameters that no server has, static ones that cannot change at once, and groups in use.

The parameters of PostgreSQL are those of the server on this machine, and those that came or went since. Sources: RDS
API reference, ModifyDBParameterGroup, DeleteDBParameterGroup, DeleteDBSubnetGroup; RDS user guide, "Working with
parameters on your RDS for PostgreSQL DB instance"; PostgreSQL manual, "postgres", --describe-config.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Mapping
from typing import Any

from builders import service_limits
from builders.cloud.internals import rds
from builders.cloud.patches import patch
from builders.cloud.rds import postgres
from builders.database_instances import refusals
from builders.errors import CloudError
from builders.resource_types import Json

# Release notes of PostgreSQL 14 to 18: parameters that one version has and another has not.
_OF_SOME_VERSIONS = frozenset(
    """
    allow_alter_system autovacuum_vacuum_max_threshold autovacuum_worker_slots checkpoint_segments
    commit_timestamp_buffers createrole_self_grant db_user_namespace debug_logical_replication_streaming
    debug_parallel_query default_with_oids enable_distinct_reordering enable_group_by_reordering
    enable_presorted_aggregate enable_self_join_elimination event_triggers extension_control_path file_copy_method
    force_parallel_mode gss_accept_delegation icu_validation_level idle_replication_slot_timeout io_combine_limit
    io_max_combine_limit io_max_concurrency io_method io_workers log_lock_failures log_recovery_conflict_waits
    max_active_replication_origins max_notify_queue_pages md5_password_warnings multixact_member_buffers
    multixact_offset_buffers notify_buffers oauth_validator_libraries old_snapshot_threshold
    operator_precedence_warning promote_trigger_file recovery_prefetch reserved_connections
    restrict_nonsystem_relation_kind scram_iterations send_abort_for_crash serializable_buffers ssl_groups
    ssl_tls13_ciphers stats_fetch_consistency stats_temp_directory subtransaction_buffers summarize_wal
    sync_replication_slots synchronized_standby_slots track_cost_delay_timing transaction_buffers
    transaction_timeout vacuum_buffer_usage_limit vacuum_cleanup_index_scale_factor vacuum_defer_cleanup_age
    vacuum_max_eager_freeze_failure_rate vacuum_truncate wal_decode_buffer_size wal_keep_segments wal_keep_size
    wal_summary_keep_time
    """.split()  # noqa: SIM905
)
# Prefixes of parameters of extensions, and of RDS itself.
_OF_EXTENSIONS = ("rds.", "pg_stat_statements.", "auto_explain.", "pgaudit.", "cron.", "pg_hint_plan.", "plpgsql.",
                  "pg_prewarm.", "pg_bigm.", "plrust.", "pgtle.", "orafce.", "pglogical.", "pg_similarity.", "apg_",
                  "session_replication_role", "pgactive.", "pg_transport.", "ddl_audit", "plv8.", "postgis.",
                  "tsearch_data.", "log_fdw.", "shared_preload_libraries", "pg_cron.", "h3.", "dblink.", "ivfflat.",
                  "hnsw.", "babelfishpg_")  # fmt: skip


def check(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a family that RDS does not have, and parameters that the family lacks."""
    family, names = str(properties["Family"]), list(properties.get("Parameters") or {})
    _refuse_unknown(family, names)


def _refuse_unknown(family: str, names: list[str]) -> None:
    if not re.fullmatch(r"postgres\d+(\.\d+)?", family):
        return
    known = parameters()
    for name in names:
        lower = name.lower()
        if known and lower not in known and lower not in _OF_SOME_VERSIONS and not lower.startswith(_OF_EXTENSIONS):
            raise ValueError(f"Could not find parameter with name: {name} (Service: Rds, Status Code: 400)")


@functools.cache
def parameters() -> Mapping[str, str]:
    """Return {parameter: its context, such as postmaster} of the server on this machine; empty where there is none."""
    try:
        installation = postgres.choose()
    except CloudError:
        return {}
    program = [str(installation.bin / "postgres"), "--describe-config"]
    environment = {**os.environ, **installation.environment}
    answer = subprocess.run(program, capture_output=True, text=True, env=environment, check=False)
    rows = [line.split("\t") for line in answer.stdout.splitlines()]
    return {row[0].lower(): row[1] for row in rows if len(row) > 1}


@patch(
    "ministack.services.rds._ACTION_MAP[ModifyDBParameterGroup]",
    why="parameters that no server has are taken, and static ones at once",
)
def _modify(original: Any, request: Mapping[str, Json]) -> Any:
    group = rds.parameter_groups.get(rds.parameter(request, "DBParameterGroupName"))
    family = group["DBParameterGroupFamily"] if group else ""
    given = {
        str(rds.parameter(request, key)): str(rds.parameter(request, key.replace("ParameterName", "ApplyMethod")))
        for key in request
        if re.fullmatch(r"Parameters\.(Parameter|member)\.\d+\.ParameterName", key)
    }
    managed = service_limits.TOGETHER["AWS::RDS::DBParameterGroup"]
    for _, sentence in refusals({"Family": family, "Parameters": given}, managed):
        return rds.error("InvalidParameterValue", sentence, 400)
    try:
        _refuse_unknown(family, list(given))
    except ValueError as error:
        return rds.error("InvalidParameterValue", str(error).partition(" (")[0], 400)
    if family.startswith("postgres"):
        for name, method in given.items():
            if method == "immediate" and (parameters().get(name.lower()) == "postmaster" or name in _STATIC_OF_RDS):
                sentence = "cannot use immediate apply method for static parameter"
                return rds.error("InvalidParameterCombination", sentence, 400)
    return original(request)


_STATIC_OF_RDS = ("rds.logical_replication", "shared_preload_libraries")

_IN_USE = "what an instance uses is deleted below it"


@patch("ministack.services.rds._ACTION_MAP[DeleteDBSubnetGroup]", why=_IN_USE)
def _delete_subnet_group(original: Any, request: Mapping[str, Json]) -> Any:
    refusal = _use_of_subnet_group(rds.parameter(request, "DBSubnetGroupName"))
    return rds.error("InvalidDBSubnetGroupStateFault", refusal, 400) if refusal else original(request)


@patch("ministack.services.rds._ACTION_MAP[DeleteDBParameterGroup]", why=_IN_USE)
def _delete_parameter_group(original: Any, request: Mapping[str, Json]) -> Any:
    refusal = _use_of_parameter_group(rds.parameter(request, "DBParameterGroupName"))
    return rds.error("InvalidDBParameterGroupState", refusal, 400) if refusal else original(request)


def check_subnet_group_deletion(name: str, _properties: Mapping[str, Json]) -> None:
    """Refuse to delete a subnet group that an instance uses. Raises ValueError with RDS's sentence."""
    if refusal := _use_of_subnet_group(name):
        raise ValueError(f"{refusal} (Service: Rds, Status Code: 400)")


def check_parameter_group_deletion(name: str, _properties: Mapping[str, Json]) -> None:
    """Refuse to delete a parameter group that an instance uses. Raises ValueError with RDS's sentence."""
    if refusal := _use_of_parameter_group(name):
        raise ValueError(f"{refusal} (Service: Rds, Status Code: 400)")


def _use_of_subnet_group(name: str) -> str:
    users = [
        each["DBInstanceIdentifier"]
        for each in rds.instances.values()
        if isinstance(each.get("DBSubnetGroup"), dict) and each["DBSubnetGroup"].get("DBSubnetGroupName") == name
    ]
    start = f"Cannot delete the subnet group '{name}' because at least one database instance: "
    return f"{start}{users[0]} is still using it." if users and name != "default" else ""


def _use_of_parameter_group(name: str) -> str:
    if name.startswith("default."):
        return f"Default DBParameterGroup cannot be deleted: {name}"
    used = any(
        group["DBParameterGroupName"] == name
        for each in rds.instances.values()
        for group in each.get("DBParameterGroups") or ()
    )
    sentence = "One or more database instances are still members of this parameter group"
    return f"{sentence}, so the group cannot be deleted" if used else ""
