"""Resources made once per account, for all phases: DMS's roles, the plan role, and StackSets' execution role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from awacs import (
    account as account_actions,
    awslambda,
    cloudformation as stack_actions,
    cloudwatch,
    dms,
    ec2,
    iam as iam_actions,
    logs,
    rds,
    s3,
    secretsmanager,
)
from awacs.aws import Condition, Null, PolicyDocument, Principal, Statement, StringEquals
from troposphere import Equals, Sub, iam

from builders import naming, parameters, policies
from builders.errors import LayerError
from builders.layers import _accounts
from builders.layers._execution import role as execution
from builders.layers._execution.grants import STACKS
from builders.stack import OwnLayer, Scope, Stack

SCOPE = Scope.ACCOUNT

# The execution role trusts a role that must be there.
AFTER = ("administration",)

_WILDCARDS = {"Look": "these take no resource (Service Authorization Reference)"}

_READ = [
    stack_actions.DescribeChangeSet,
    stack_actions.DescribeEvents,
    stack_actions.DescribeStackEvents,
    stack_actions.DescribeStacks,
    stack_actions.GetTemplate,
    stack_actions.ListStackResources,
]


def build(stack: Stack) -> None:
    """Make the roles of DMS that the account lacks, the role that previews changes, and the one that deploys."""
    _dms_role(
        stack,
        "DmsVpcRole",
        naming.DMS_VPC_ROLE,
        "AmazonDMSVPCManagementRole",
        # DMS user guide, "Cross-service confused deputy prevention". No source ARN: the subnet group comes first, and
        # has another than the replication instances of the guide's example.
        policies.trust("Dms", policies.service("dms.amazonaws.com"), policies.from_this_account()),
    )
    _dms_role(
        stack,
        "DmsLogsRole",
        naming.DMS_LOGS_ROLE,
        "AmazonDMSCloudWatchLogsRole",
        # No condition: with one, DMS makes no log group and says nothing
        # (github.com/terraform-aws-modules/terraform-aws-dms, issue 84).
        policies.trust("Dms", policies.service("dms.amazonaws.com")),
    )
    _plan_role(stack)
    execution.build(stack)


def complete(stack: Stack, layers: Mapping[str, OwnLayer]) -> Iterable[tuple[str, LayerError]]:
    """Let the execution role make what layers of a project's own have; yield what nobody can say of them."""
    from builders.layers._execution import own  # noqa: PLC0415  a build without such layers does not wait for it

    return own.complete(stack, layers)


def _dms_role(stack: Stack, title: str, name: str, aws_policy: str, trust: PolicyDocument) -> None:
    """Make a role of DMS where the account lacks it: IAM is global, and a second one of the name is refused."""
    is_created = stack.parameter(
        parameters.choice(
            f"Create{title}",
            f"true where nothing else has made {name} in this account; false where it is there, or stayed there "
            "after a deletion of this stack",
            ["true", "false"],
        )
    ).ref()
    stack.add(
        iam.Role(
            title,
            Condition=stack.condition(f"Is{title}Wanted", Equals(is_created, "true")),
            RoleName=name,
            Description=f"Lets AWS DMS work in this account; every replication in it needs {name}",
            AssumeRolePolicyDocument=trust,
            ManagedPolicyArns=[policies.managed_policy(f"service-role/{aws_policy}")],
            # Whatever replicates in the account uses it, this migration's or not. A creation that fails takes it along,
            # or the next attempt would find it there.
            DeletionPolicy="RetainExceptOnCreate",
            UpdateReplacePolicy="Retain",
        )
    )


def _plan_role(stack: Stack) -> None:
    stack.parameter(
        _accounts.account_id("ToolingAccountId", "Account that plans and rolls out, and that may preview changes here")
    )
    tooling = Principal("AWS", [Sub("arn:${AWS::Partition}:iam::${ToolingAccountId}:root")])
    role = stack.add(
        iam.Role(
            "PlanRole",
            RoleName=stack.name(naming.PLAN_ROLE),
            Description="Previews what an update of this account's stacks would change, and changes nothing",
            AssumeRolePolicyDocument=policies.trust(
                "ToolingAccount",
                tooling,
                Condition(StringEquals({"sts:ExternalId": policies.migration_external_id()})),
                policies.may_say_who(tooling, parameters.reference("ToolingAccountId")),
            ),
        )
    )
    stack.add(
        iam.ManagedPolicy(
            "PlanPolicy",
            Description="Reads stacks and their templates, makes and deletes change sets",
            PolicyDocument=policies.document(*_plan_statements(), *_watching_statements()),
            Roles=[role.ref()],
            Metadata={"WildcardReasons": _WILDCARDS},
        )
    )
    stack.output("PlanRoleArn", role.get_att("Arn"), "Role that previews changes, assumed from the tooling account")


def _plan_statements() -> list[Statement]:
    """Reading, and change sets that nobody can execute with this role.

    IAM has no key for a change set's type. Type IMPORT is refused by the types that it names, and so is a service role,
    which would lend its rights. Type CREATE remains: at worst an empty stack of a StackSets name that waits for review
    (Service Authorization Reference, "Actions, resources, and condition keys for AWS CloudFormation").
    """
    plain = Condition(Null({"cloudformation:ImportResourceTypes": "true", "cloudformation:RoleArn": "true"}))
    own = _stacks(STACKS, f"*-${{{naming.SUFFIX}}}/*")
    network = _stacks(f"phase-routes-${{{naming.SUFFIX}}}-*", "shared-network-*")
    return [
        policies.allow("ReadStacks", _READ, [*own, *network]),
        policies.allow(
            "PreviewChanges", [stack_actions.CreateChangeSet, stack_actions.DeleteChangeSet], own, condition=plain
        ),
    ]


def _watching_statements() -> list[Statement]:
    """Permissions for a rollout's checks: alarms, running tasks, packages that the account can read, zones, roles and
    what a deploy role may do; and in the network account the way to on-premises."""
    packages = Sub("arn:${AWS::Partition}:s3:::stackferry-${ToolingAccountId}-*/*.zip")
    return [
        policies.allow("ReadAlarms", [cloudwatch.DescribeAlarms], policies.in_every_region("cloudwatch", "alarm:*")),
        policies.allow("ReadPackages", [s3.GetObject, s3.GetObjectVersion], [packages]),
        policies.allow("ReadCode", [awslambda.GetFunctionConfiguration], _functions()),
        policies.allow(
            "ReadRoles",
            [iam_actions.GetRole, iam_actions.SimulatePrincipalPolicy],
            [Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/*")],
        ),
        policies.allow(
            "ReadRotations", [secretsmanager.DescribeSecret], policies.in_every_region("secretsmanager", "secret:*")
        ),
        policies.allow("Look", _LOOK, ["*"]),
    ]


_LOOK = [
    account_actions.ListRegions,
    dms.DescribeReplicationTasks,
    ec2.DescribeAvailabilityZones,
    ec2.DescribeNetworkInterfaces,
    ec2.DescribeSecurityGroups,
    ec2.DescribeTransitGatewayAttachments,
    ec2.DescribeVpcEndpointServices,
    ec2.GetTransitGatewayAttachmentPropagations,
    logs.DescribeLogGroups,
    rds.DescribeOrderableDBInstanceOptions,
    stack_actions.ListExports,
    stack_actions.ListImports,
    stack_actions.ListStacks,
]


def _stacks(*names: str) -> list[Sub]:
    """Stacks of stack sets, and of the phase by hand: `rollout-stacksets adopt` takes these in with their names."""
    return policies.in_every_region("cloudformation", *(f"stack/{name}" for name in names))


def _functions() -> list[Sub]:
    """Functions of the phase's stacks, by the names that CloudFormation gives them."""
    names = ("StackSet-stackferry-*", f"*-${{{naming.SUFFIX}}}-*")
    return policies.in_every_region("lambda", *(f"function:{name}" for name in names))
