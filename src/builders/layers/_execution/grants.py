"""Resources on which the execution role may do what the resources of a phase need.

Names that CloudFormation makes up begin with the stack's, and StackSets calls its stacks StackSet-<set>-<uuid>
(CloudFormation user guide, "StackSets concepts"); the sets are called stackferry-<layer>-<suffix>. What has no name in
its ARN (networks, keys, endpoints of DMS) is confined to the account. All regions: IAM is global, and the role is made
once an account.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from awacs.aws import (
    Action,
    ArnLike,
    BoolIfExists,
    Condition,
    Statement,
    StringEquals,
    StringEqualsIfExists,
    StringLike,
)
from troposphere import Sub

from builders import naming, parameters, policies
from builders.layers._execution.actions import CONFINED, EVERYWHERE
from builders.stack import Value

STACKS = f"StackSet-{naming.PREFIX}*"
_MADE_BY_RDS = STACKS.lower()
"""RDS and DMS write the names of their things in lower case."""

_STACK_ACTIONS = (
    "CancelUpdateStack",
    "ContinueUpdateRollback",
    "CreateChangeSet",
    "CreateStack",
    "DeleteChangeSet",
    "DeleteStack",
    "DescribeChangeSet",
    "DescribeStackEvents",
    "DescribeStackResource",
    "DescribeStackResourceDrifts",
    "DescribeStackResources",
    "DescribeStacks",
    "DetectStackDrift",
    "DetectStackResourceDrift",
    "ExecuteChangeSet",
    "GetStackPolicy",
    "GetTemplate",
    "GetTemplateSummary",
    "ListChangeSets",
    "ListStackResources",
    "RollbackStack",
    "SetStackPolicy",
    "TagResource",
    "UntagResource",
    "UpdateStack",
)
"""The guide asks for cloudformation:* (CloudFormation user guide, "Grant self-managed permissions"): these are the ones
that act on a stack. None lets the role lift the termination protection that an account's owner has set."""

_STACK_ACTIONS_EVERYWHERE = (
    # Drift detection reads the configurations of types (CloudFormation user guide, "Detect unmanaged configuration
    # changes to stacks and resources with drift detection", considerations).
    "BatchDescribeTypeConfigurations",
    "DescribeStackDriftDetectionStatus",
    # Without a stack's name, as the execution roles in AWS's own guides have both.
    "DescribeStacks",
    "ListStacks",
    "ValidateTemplate",
)

PASSED_TO = (
    "dms.amazonaws.com",
    "dms.*.amazonaws.com",
    "lambda.amazonaws.com",
    "monitoring.rds.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
)

_SERVICE_LINKED = (
    "delivery.logs.amazonaws.com",
    "rds.amazonaws.com",
    "route53resolver.amazonaws.com",
    "transitgateway.amazonaws.com",
)
"""Services of ours that make themselves a role in an account with their first resource."""

_ATTACHED = (
    f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:policy/{STACKS}",
    "arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole",
)

ENCRYPTING = ("dms", "lambda", "logs", "rds", "secretsmanager", "sns")
"""Services that use the phase's key on behalf of who makes their resources."""
THROUGH_SERVICES = (
    "CreateGrant",
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ListGrants",
)
"""The actions that they make with it."""


_SUFFIX = parameters.reference(naming.SUFFIX)

_OWN_TAG = Condition(StringEquals({"aws:ResourceTag/Environment": _SUFFIX}))
"""Condition for resources with the phase's tag: no other phase's, and nobody else's."""

_NO_FOREIGN_TAG = Condition(
    StringEqualsIfExists({"aws:ResourceTag/Environment": _SUFFIX, "aws:RequestTag/Environment": _SUFFIX})
)
"""Condition for resources with the phase's tag or none yet: creating with tags needs the permission to tag as well."""

SECRETS = ("DatabaseSecret-*", "DmsSecret-*", "Secret-*")
"""The names of the generated secrets: without a given one they are called by their logical ids (`secrets`,
`fallback`)."""


class Grant(Value):
    """Actions of one service on some resources, whose ARNs begin after the partition.

    Without `actions` it grants those of the service that no other grant names.
    """

    sid: str
    service: str
    resources: tuple[str, ...]
    actions: tuple[str, ...] = ()
    condition: Condition | None = None


def _here(service: str, *resources: str) -> tuple[str, ...]:
    return tuple(f"{service}:*:${{AWS::AccountId}}:{resource}" for resource in resources)


def _global(service: str, *resources: str) -> tuple[str, ...]:
    return tuple(f"{service}::${{AWS::AccountId}}:{resource}" for resource in resources)


_OWN_SECRETS = _here("secretsmanager", *(f"secret:{name}" for name in SECRETS))

_OWN_ROLES = _global("iam", f"role/{STACKS}", "role/stackferry-operator-*", "role/stackferry-migration-*")
"""The roles of `access` are the only ones of a phase with a given name. The role of this policy, and the plan role, are
none of them: it cannot widen itself."""

GRANTS: dict[str, tuple[Grant, ...]] = {
    "Stacks": (
        Grant("Stacks", "cloudformation", _here("cloudformation", f"stack/{STACKS}"), _STACK_ACTIONS),
        Grant("Roles", "iam", _OWN_ROLES),
        Grant(
            "Policies",
            "iam",
            _global("iam", f"policy/{STACKS}"),
            (
                "CreatePolicy",
                "CreatePolicyVersion",
                "DeletePolicy",
                "DeletePolicyVersion",
                "GetPolicy",
                "GetPolicyVersion",
                "ListEntitiesForPolicy",
                "ListPolicyVersions",
            ),
        ),
        Grant(
            "AttachOwnPolicies",
            "iam",
            _OWN_ROLES,
            ("AttachRolePolicy", "DetachRolePolicy"),
            Condition(ArnLike({"iam:PolicyARN": [Sub(arn) for arn in _ATTACHED]})),
        ),
        Grant(
            "PassRoles",
            "iam",
            _global("iam", f"role/{STACKS}"),
            ("PassRole",),
            Condition(StringLike({"iam:PassedToService": list(PASSED_TO)})),
        ),
        Grant(
            "ServiceLinkedRoles",
            "iam",
            _global("iam", "role/aws-service-role/*"),
            ("CreateServiceLinkedRole",),
            Condition(StringEquals({"iam:AWSServiceName": list(_SERVICE_LINKED)})),
        ),
        # The bucket is in the tooling account; bucket ARNs name no account.
        Grant("Packages", "s3", ("s3:::stackferry-${ToolingAccountId}-*/*.zip",)),
    ),
    "Network": (
        # The transit gateway belongs to the network account.
        Grant("Networks", "ec2", (*_here("ec2", "*"), "ec2:*:*:transit-gateway/*")),
        Grant("ResolverRules", "route53resolver", _here("route53resolver", "*")),
        # The network account may own the Direct Connect gateway.
        Grant("DirectConnect", "directconnect", ("directconnect::*:dx-gateway/*",)),
    ),
    "Data": (
        Grant(
            "Databases",
            "rds",
            _here(
                "rds",
                "db:stackferry-database-*",
                "og:default:*",
                "pg:default.*",
                f"pg:{_MADE_BY_RDS}",
                "snapshot:*",
                f"subgrp:{_MADE_BY_RDS}",
            ),
        ),
        Grant(
            "ReadDatabases",
            "rds",
            _here("rds", "*"),
            tuple(action for action in CONFINED["rds"] if action.startswith(("Describe", "List"))),
        ),
        # DMS makes up the ends of its ARNs; a subnet group's is its name.
        Grant("Replication", "dms", _here("dms", "cert:*", "endpoint:*", "rep:*", f"subgrp:{_MADE_BY_RDS}", "task:*")),
        Grant("OwnSecrets", "secretsmanager", _OWN_SECRETS, condition=_OWN_TAG),
        Grant("Secrets", "secretsmanager", _OWN_SECRETS, ("CreateSecret",)),
        # Whoever makes an endpoint of DMS is asked for that on its secret, which may be one that somebody brought, of
        # any name (handlers of AWS::DMS::Endpoint). It shows no value.
        Grant("SeeSecrets", "secretsmanager", _here("secretsmanager", "secret:*"), ("DescribeSecret",)),
        Grant("TagSecrets", "secretsmanager", _OWN_SECRETS, ("TagResource",), _NO_FOREIGN_TAG),
    ),
    "Keys": (
        # Tags would tell the phase's key apart, but take minutes to count (AWS KMS developer guide, "ABAC for AWS
        # KMS"), and the next layer wants the key at once. What is done to a key that is older, waits for them.
        Grant("Keys", "kms", _here("kms", "alias/stackferry-*", "key/*")),
        Grant("OwnKeys", "kms", _here("kms", "key/*"), ("UntagResource", "UpdateKeyDescription"), _OWN_TAG),
        Grant(
            "OwnKeyPolicies",
            "kms",
            _here("kms", "key/*"),
            ("PutKeyPolicy",),
            Condition(
                [
                    StringEquals({"aws:ResourceTag/Environment": _SUFFIX}),
                    # A request that does not give the parameter has no such key (AWS KMS developer guide, "AWS KMS
                    # condition keys"), and CloudFormation does not give it.
                    BoolIfExists({"kms:BypassPolicyLockoutSafetyCheck": "false"}),
                ]
            ),
        ),
        Grant("TagKeys", "kms", _here("kms", "key/*"), ("TagResource",), _NO_FOREIGN_TAG),
        Grant(
            "KeysThroughServices",
            "kms",
            _here("kms", "key/*"),
            THROUGH_SERVICES,
            Condition(StringLike({"kms:ViaService": [f"{service}.*.amazonaws.com" for service in ENCRYPTING]})),
        ),
    ),
    "Functions": (
        # Signing configurations have ids alone, and are a property of functions.
        Grant("Functions", "lambda", _here("lambda", f"function:{STACKS}", "code-signing-config:*")),
        Grant(
            "Logs",
            "logs",
            _here(
                "logs",
                "log-group:/aws/rds/instance/stackferry-database-*",
                f"log-group:{STACKS}",
                "log-group:dms-tasks-stackferry-*",
            ),
        ),
        Grant("EventRules", "events", _here("events", f"rule/{STACKS}")),
        Grant("Topics", "sns", _here("sns", STACKS)),
        Grant(
            "Alarms",
            "cloudwatch",
            (*_here("cloudwatch", f"alarm:{STACKS}"), *_global("cloudwatch", "dashboard/stackferry-*")),
        ),
    ),
}
"""The grants of each of the role's policies; IAM takes 6,144 characters of one policy (IAM user guide, "IAM and AWS STS
quotas")."""

NO_RESOURCE_LEVEL = "IAM knows no resource level for these actions (Service Authorization Reference)"


def statements(policy: str) -> list[Statement]:
    """The statements of one policy."""
    return [*_confined(GRANTS[policy]), *_everywhere(GRANTS[policy])]


def secret_statements(names: Iterable[str]) -> Iterator[Statement]:
    """The statements of our secrets for others; `*` at the end of a name stands for what Secrets Manager appends."""
    resources = _here("secretsmanager", *(f"secret:{name}" for name in names))
    own = [grant for grant in GRANTS["Data"] if grant.resources is _OWN_SECRETS]
    return _confined(
        [Grant(f"{each.sid}OfOwnLayers", each.service, resources, each.actions, each.condition) for each in own]
    )


def wildcard_reasons(policy: str) -> dict[str, str]:
    """Return the reasons why statements of one policy allow actions on everything, by their Sid."""
    return {str(statement.Sid): NO_RESOURCE_LEVEL for statement in _everywhere(GRANTS[policy])}


def _confined(grants: Sequence[Grant]) -> Iterator[Statement]:
    named = {(grant.service, action) for grant in grants for action in grant.actions}
    for grant in grants:
        rest = [action for action in CONFINED.get(grant.service, ()) if (grant.service, action) not in named]
        yield policies.allow(
            grant.sid,
            [Action(grant.service, action) for action in grant.actions or rest],
            [Sub(f"arn:${{AWS::Partition}}:{resource}") for resource in grant.resources],
            condition=grant.condition,
        )


def _everywhere(grants: Sequence[Grant]) -> Iterator[Statement]:
    everywhere = {**EVERYWHERE, "cloudformation": _STACK_ACTIONS_EVERYWHERE}
    for service in dict.fromkeys(grant.service for grant in grants):
        if service in everywhere:
            actions = [Action(service, action) for action in everywhere[service]]
            yield policies.allow(f"{service.capitalize()}Everywhere", actions, ["*"])
