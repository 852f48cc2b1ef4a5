"""The private names of ministack that this package uses, by service, each under a public name.

It belongs to the registry of patches (patches.py): nowhere else does a module reach for a private name of ministack.
Each is looked up when it is used, so that a function that a patch has replaced is called as replaced.
"""

from __future__ import annotations

import importlib
from typing import Any


class Private:
    """A name in a module of ministack: a function, or a store of one account and region at a time."""

    def __init__(self, target: str) -> None:
        module, _, self._name = target.rpartition(".")
        self._module = importlib.import_module(module)

    def __get__(self, _instance: object, _owner: type) -> Any:
        """Look the name up."""
        return getattr(self._module, self._name)


def entries(store: Any) -> dict[tuple[Any, ...], Any]:
    """Return the entries of a store over all accounts and regions: {(account, region, key): value}, live.

    The key of a service without regions, such as Organizations, is (account, key).
    """
    found: dict[tuple[Any, ...], Any] = store._data
    return found


class server:
    """The server in front of the services."""

    account_of = Private("ministack.app._request_account_scope")
    account_of_session = Private("ministack.core.responses._account_from_sts_session")
    credential_failure = Private("ministack.app._credential_failure")
    parameters = Private("ministack.app._routing_params")
    state_to_save = Private("ministack.app._build_persistence_save_dict")
    state_format = Private("ministack.core.persistence._state_format_version")
    state_as_json = Private("ministack.core.persistence._json_default")


class account_management:
    """Account Management."""

    regions = Private("ministack.services.account._REGIONS_LIST")
    opt_in_regions = Private("ministack.services.account._OPT_IN_REQUIRED")


class cloudcontrol:
    """Cloud Control."""

    progress_event = Private("ministack.services.cloudcontrol._progress_event")
    record_request = Private("ministack.services.cloudcontrol._record_request")


class cloudformation:
    """CloudFormation: stores, tables of handlers, and the steps of its engine."""

    stacks = Private("ministack.services.cloudformation._stacks")
    stack_events = Private("ministack.services.cloudformation._stack_events")
    exports = Private("ministack.services.cloudformation._exports")
    change_sets = Private("ministack.services.cloudformation._change_sets")
    pending_custom_resources = Private("ministack.services.cloudformation.custom_resource._pending")

    action_handlers = Private("ministack.services.cloudformation.handlers._ACTION_HANDLERS")
    resource_handlers = Private("ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS")

    error = Private("ministack.services.cloudformation.helpers._error")
    parameter = Private("ministack.services.cloudformation.helpers._p")
    read_document = Private("ministack.services.cloudformation.helpers._resolve_document")
    read_template = Private("ministack.services.cloudformation.helpers._resolve_template")
    xml = Private("ministack.services.cloudformation.helpers._xml")

    check_template = Private("ministack.services.cloudformation.engine._validate_template_statics")
    dependencies = Private("ministack.services.cloudformation.engine._extract_deps")
    evaluate_conditions = Private("ministack.services.cloudformation.engine._evaluate_conditions")
    evaluate_rules = Private("ministack.services.cloudformation.engine._evaluate_rules")
    parameter_type = Private("ministack.services.cloudformation.engine._rule_inner_type")
    parse_template = Private("ministack.services.cloudformation.engine._parse_template")
    references = Private("ministack.services.cloudformation.engine._intrinsic_references")
    resolve = Private("ministack.services.cloudformation.engine._resolve_refs")

    find_change_set = Private("ministack.services.cloudformation.changesets._find_change_set")
    find_stack = Private("ministack.services.cloudformation.handlers._resolve_stack")
    imported_export_names = Private("ministack.services.cloudformation.handlers._imported_export_names")
    missing_capabilities = Private("ministack.services.cloudformation.handlers._missing_capabilities")
    missing_capabilities_message = Private(
        "ministack.services.cloudformation.handlers._insufficient_capabilities_message"
    )
    required_capabilities = Private("ministack.services.cloudformation.handlers._required_iam_capabilities")
    uses_macro = Private("ministack.services.cloudformation.handlers._uses_macro")

    custom_name_replacement = Private("ministack.services.cloudformation.provisioners._CUSTOM_NAME_REPLACEMENT")
    replacing_change = Private("ministack.services.cloudformation.provisioners._replacing_change")
    replacing_properties = Private("ministack.services.cloudformation.provisioners._REPLACING_PROPERTIES")
    tag_map = Private("ministack.services.cloudformation.provisioners._tag_map")
    take_snapshot = Private("ministack.services.cloudformation.provisioners._snapshot_resource")

    add_event = Private("ministack.services.cloudformation.stacks._add_event")
    create_or_delete = Private("ministack.services.cloudformation.stacks._create_then_delete_on_failure")
    delete_stack = Private("ministack.services.cloudformation.stacks._delete_stack_async")
    deploy_stack = Private("ministack.services.cloudformation.stacks._deploy_stack_async")
    roll_back = Private("ministack.services.cloudformation.stacks._roll_back_operation")
    start_task = Private("ministack.services.cloudformation.stacks._create_stack_task_in_region")
    track_change_set = Private("ministack.services.cloudformation.changesets._track_change_set_execution")


class cloudwatch:
    """CloudWatch's metrics and alarms."""

    alarms = Private("ministack.services.cloudwatch._alarms")
    composite_alarms = Private("ministack.services.cloudwatch._composite_alarms")
    alarms = Private("ministack.services.cloudwatch._alarms")
    metrics = Private("ministack.services.cloudwatch._metrics")
    calculate = Private("ministack.services.cloudwatch._calc_stats")
    dimensions = Private("ministack.services.cloudwatch._dims_from_list")
    dimensions_key = Private("ministack.services.cloudwatch._dims_key")
    dispatch_alarm_actions = Private("ministack.services.cloudwatch._dispatch_alarm_actions")
    evaluate_alarms = Private("ministack.services.cloudwatch._evaluate_all_alarms")
    evaluate_parent_alarms = Private("ministack.services.cloudwatch._evaluate_parent_alarms")
    record_history = Private("ministack.services.cloudwatch._record_history")
    record_metric = Private("ministack.services.cloudwatch.record_metric")
    statistic = Private("ministack.services.cloudwatch._stat_value")


class ec2:
    """EC2's stores, and how its API reads and answers requests."""

    addresses = Private("ministack.services.ec2._addresses")
    flow_logs = Private("ministack.services.ec2._flow_logs")
    internet_gateways = Private("ministack.services.ec2._internet_gateways")
    key_pairs = Private("ministack.services.ec2._key_pairs")
    nat_gateways = Private("ministack.services.ec2._nat_gateways")
    network_acls = Private("ministack.services.ec2._network_acls")
    network_interfaces = Private("ministack.services.ec2._network_interfaces")
    prefix_lists = Private("ministack.services.ec2._prefix_lists")
    route_tables = Private("ministack.services.ec2._route_tables")
    security_groups = Private("ministack.services.ec2._security_groups")
    subnets = Private("ministack.services.ec2._subnets")
    tags = Private("ministack.services.ec2._tags")
    vpc_endpoints = Private("ministack.services.ec2._vpc_endpoints")
    vpcs = Private("ministack.services.ec2._vpcs")
    vpn_gateways = Private("ministack.services.ec2._vpn_gateways")

    apply_tags = Private("ministack.services.cloudformation.provisioners._ec2_apply_tags")
    aws_prefix_lists = Private("ministack.services.ec2._get_aws_managed_prefix_lists")
    error = Private("ministack.services.ec2._error")
    filters = Private("ministack.services.ec2._parse_filters")
    make_defaults = Private("ministack.services.ec2._ensure_defaults_initialized")
    members = Private("ministack.services.ec2._parse_member_list")
    now = Private("ministack.services.ec2._now_ts")
    parameter = Private("ministack.services.ec2._p")
    rules = Private("ministack.services.cloudformation.provisioners._ec2_sg_permissions")
    without_descriptions = Private("ministack.services.ec2._strip_descriptions")
    xml = Private("ministack.services.ec2._xml")
    zone_id = Private("ministack.services.ec2._az_id_for_zone_name")


class eventbridge:
    """EventBridge."""

    bus_of_rule = Private("ministack.services.cloudformation.provisioners._eb_rule_bus_name")
    rule_key = Private("ministack.services.eventbridge._rule_key")
    rules = Private("ministack.services.eventbridge._rules")
    targets = Private("ministack.services.eventbridge._targets")

    dispatch = Private("ministack.services.eventbridge._dispatch_event")
    put_events = Private("ministack.services.eventbridge._put_events")


class iam:
    """IAM's stores and its evaluator."""

    policies = Private("ministack.services.iam._policies")
    roles = Private("ministack.services.iam._roles")
    users = Private("ministack.services.iam._users")
    access_keys = Private("ministack.services.iam._access_keys")
    aws_managed_policies = Private("ministack.services.iam._aws_managed_policies")
    group_policies = Private("ministack.services.iam._group_inline_policies")
    groups = Private("ministack.services.iam._groups")
    instance_profiles = Private("ministack.services.iam._instance_profiles")

    actions = Private("ministack.services.iam._IAM_HANDLERS")
    attach_role_policy = Private("ministack.services.iam._attach_role_policy")
    create_role = Private("ministack.services.iam._create_role")
    error = Private("ministack.services.iam._error")
    physical_name = Private("ministack.services.cloudformation.provisioners._physical_name")

    permissions_boundary = Private("ministack.core.iam_evaluator._permissions_boundary")
    policies_of_role = Private("ministack.core.iam_evaluator._gather_role_policies")
    policies_of_user = Private("ministack.core.iam_evaluator._gather_user_policies")
    principal_keys = Private("ministack.core.iam_evaluator._principal_keys")
    query_parameter = Private("ministack.core.iam_actions._query_param")


class kms:
    """KMS."""

    aliases = Private("ministack.services.kms._aliases")

    find_key = Private("ministack.services.kms._resolve_key")


class lambda_:
    """Lambda."""

    execute = Private("ministack.services.lambda_svc._execute_function_with_config_scope")
    fetch_code = Private("ministack.services.lambda_svc._fetch_code_from_s3")
    functions = Private("ministack.services.lambda_svc._functions")
    find_function = Private("ministack.services.lambda_svc._get_func_record_for_ref")
    region_message = Private("ministack.services.lambda_svc.s3_code_region_message")
    with_vpc_id = Private("ministack.services.lambda_svc._vpc_config_with_id")


class logs:
    """CloudWatch Logs."""

    log_groups = Private("ministack.services.cloudwatch_logs._log_groups")
    metric_filters = Private("ministack.services.cloudwatch_logs._metric_filters")

    create_group = Private("ministack.services.cloudwatch_logs._create_log_group")
    create_stream = Private("ministack.services.cloudwatch_logs._create_log_stream")
    put_events = Private("ministack.services.cloudwatch_logs._put_log_events")


class organizations:
    """Organizations: each store holds what an account manages."""

    accounts = Private("ministack.services.organizations._accounts")
    actions = Private("ministack.services.organizations._DISPATCH")
    attachments = Private("ministack.services.organizations._attachments")
    create_statuses = Private("ministack.services.organizations._create_statuses")
    make_organization = Private("ministack.services.organizations._ensure_org")
    organizations = Private("ministack.services.organizations._orgs")
    policies = Private("ministack.services.organizations._policies")
    roots = Private("ministack.services.organizations._roots")
    units = Private("ministack.services.organizations._ous")


class rds:
    """RDS's stores, and how its API reads and answers requests."""

    instances = Private("ministack.services.rds._instances")
    parameter_groups = Private("ministack.services.rds._param_groups")
    snapshots = Private("ministack.services.rds._snapshots")
    subnet_groups = Private("ministack.services.rds._subnet_groups")

    attributes = Private("ministack.services.cloudformation.provisioners._rds_db_instance_attrs")
    authority = Private("ministack.services.rds._ensure_pg_ca")
    error = Private("ministack.services.rds._error")
    find_instance = Private("ministack.services.rds._resolve_instance")
    format_time = Private("ministack.services.rds._format_time")
    instance_response = Private("ministack.services.rds._single_instance_response")
    parameter = Private("ministack.services.rds._p")
    server_certificate = Private("ministack.services.rds._pg_server_material")
    xml = Private("ministack.services.rds._xml")


class s3:
    """S3."""

    bucket_encryption = Private("ministack.services.s3._bucket_encryption")
    bucket_policies = Private("ministack.services.s3._bucket_policies")
    bucket_logging = Private("ministack.services.s3._bucket_logging_config")
    bucket_tags = Private("ministack.services.s3._bucket_tags")
    bucket_versioning = Private("ministack.services.s3._bucket_versioning")
    buckets = Private("ministack.services.s3._buckets")
    error = Private("ministack.services.s3._error")
    object_annotations = Private("ministack.services.s3._object_annotations")
    object_lists = Private("ministack.services.s3._object_acl")
    object_holds = Private("ministack.services.s3._object_legal_hold")
    object_retentions = Private("ministack.services.s3._object_retention")
    object_tags = Private("ministack.services.s3._object_tags")
    object_versions = Private("ministack.services.s3._object_versions")


class secretsmanager:
    """Secrets Manager."""

    secrets = Private("ministack.services.secretsmanager._secrets")
    add_stage = Private("ministack.services.secretsmanager._add_stage")
    announce_stage = Private("ministack.services.secretsmanager._emit_secret_label_updated")
    create = Private("ministack.services.secretsmanager._create_secret")
    delete = Private("ministack.services.secretsmanager._delete_secret")
    find = Private("ministack.services.secretsmanager._resolve")
    find_version = Private("ministack.services.secretsmanager._find_stage_version")
    delete_policy = Private("ministack.services.secretsmanager._delete_resource_policy")
    put_policy = Private("ministack.services.secretsmanager._put_resource_policy")
    promote = Private("ministack.services.secretsmanager._apply_current_promotion")
    random_password = Private("ministack.services.secretsmanager._get_random_password")
    remove_stage = Private("ministack.services.secretsmanager._remove_stage_everywhere")
    rotate = Private("ministack.services.secretsmanager._rotate_secret")
    sync_replicas = Private("ministack.services.secretsmanager._sync_replicas")


class sns:
    """SNS."""

    topics = Private("ministack.services.sns._topics")


class sqs:
    """SQS."""

    queues = Private("ministack.services.sqs._queues")


class ssm:
    """Systems Manager."""

    parameters = Private("ministack.services.ssm._parameters")


class tagging:
    """Tags of the resources of all services."""

    resource_tags = Private("ministack.services.tagging.resource_tags")


class sts:
    """STS."""

    assumed_role_arn = Private("ministack.services.sts._assumed_role_arn")
    caller_identity = Private("ministack.services.sts._caller_identity")
    error = Private("ministack.services.sts._error")
    sessions = Private("ministack.services.sts._sessions")
