"""Resources made once per account, for all phases: DMS's roles, the plan role, and StackSets' execution role."""

from __future__ import annotations

from awacs import cloudformation as stack_actions, cloudwatch, dms, ec2, iam as iam_actions, rds, s3
from awacs.aws import Condition, Null, PolicyDocument, Principal, Statement, StringEquals
from troposphere import Equals, Sub, iam

from builders import naming, parameters, policies
from builders.layers import _accounts
from builders.layers._execution import role as execution
from builders.layers._execution.grants import STACKS
from builders.stack import Scope, Stack

SCOPE = Scope.ACCOUNT

# The execution role trusts a role that must be there.
AFTER = ("administration",)

_WILDCARDS = {
    "ReadExports": "CloudFormation lists exports and imports without a resource (Service Authorization Reference)",
    "ReadZones": "EC2 and RDS describe these without a resource (Service Authorization Reference)",
    "ReadTasks": "DMS describes tasks without a resource (Service Authorization Reference)",
}

_READ = [
    stack_actions.DescribeChangeSet,
    stack_actions.DescribeEvents,
    stack_actions.DescribeStackEvents,
    stack_actions.DescribeStackResources,
    stack_actions.DescribeStacks,
    stack_actions.GetTemplate,
    stack_actions.GetTemplateSummary,
    stack_actions.ListChangeSets,
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
    return [
        policies.allow("ReadStacks", _READ, _stacks()),
        policies.allow("PreviewChanges", [stack_actions.CreateChangeSet], _stacks(), condition=plain),
        policies.allow("DiscardPreviews", [stack_actions.DeleteChangeSet], _stacks()),
    ]


def _watching_statements() -> list[Statement]:
    """Permissions for a rollout's checks: alarms, running tasks, packages that the account can read, zones, and why a
    deploy role cannot be assumed."""
    packages = Sub("arn:${AWS::Partition}:s3:::stackferry-${ToolingAccountId}-*/*.zip")
    return [
        policies.allow("ReadAlarms", [cloudwatch.DescribeAlarms], [_in_every_region("cloudwatch", "alarm:*")]),
        policies.allow("ReadTasks", [dms.DescribeReplicationTasks], ["*"]),
        policies.allow("ReadExports", [stack_actions.ListExports, stack_actions.ListImports], ["*"]),
        policies.allow("ReadPackages", [s3.GetObject], [packages]),
        policies.allow(
            "ReadTrusts",
            [iam_actions.GetRole],
            [Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:role/*")],
        ),
        policies.allow(
            "ReadZones",
            [ec2.DescribeAvailabilityZones, ec2.DescribeVpcEndpointServices, rds.DescribeOrderableDBInstanceOptions],
            ["*"],
        ),
    ]


def _stacks() -> list[Sub]:
    """Those of stack sets, and of the phase by hand: `rollout-stacksets adopt` takes these in with their names."""
    names = (STACKS, f"*-${{{naming.SUFFIX}}}/*")
    return [_in_every_region("cloudformation", f"stack/{name}") for name in names]


def _in_every_region(service: str, resource: str) -> Sub:
    """IAM is global, and this layer is in one region of the account."""
    return Sub(f"arn:${{AWS::Partition}}:{service}:*:${{AWS::AccountId}}:{resource}")
