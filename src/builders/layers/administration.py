"""The role by which self-managed stack sets go from the tooling account into the accounts of the phases."""

from __future__ import annotations

from awacs import sts
from awacs.aws import ArnLike, Condition, Principal, StringEquals
from troposphere import AccountId, Parameter, Ref, Sub, iam

from builders import naming, policies
from builders.stack import Scope, Stack

SCOPE = Scope.TOOLING_ONCE


def build(stack: Stack) -> None:
    """Make the role, for our stack sets of this account alone, and for nothing but the roles made for them."""
    role = stack.add(
        iam.Role(
            "AdministrationRole",
            RoleName=stack.name(naming.ADMINISTRATION_ROLE),
            Description="Lets the stack sets of this account deploy by the execution roles of other accounts",
            # CloudFormation user guide, "Set up global keys to mitigate confused deputy problems".
            AssumeRolePolicyDocument=policies.trust(
                "StackSets", Principal("Service", _principals(stack)), _for_our_sets()
            ),
        )
    )
    stack.add(
        iam.ManagedPolicy(
            "AdministrationPolicy",
            Description="Assumes execution roles of any account, each of which decides whom it trusts",
            PolicyDocument=policies.document(
                policies.allow(
                    "AssumeExecutionRoles",
                    [sts.AssumeRole],
                    [Sub(f"arn:${{AWS::Partition}}:iam::*:role/{naming.EXECUTION_ROLE}-*")],
                )
            ),
            Roles=[role.ref()],
        )
    )
    stack.output("AdministrationRoleArn", role.get_att("Arn"), "Role by which stack sets go into other accounts")


def _principals(stack: Stack) -> Ref:
    """StackSets works in a region that an account opts in to by that region's own principal (CloudFormation user guide,
    "Prepare to perform StackSet operations in AWS Regions that are disabled by default")."""
    return stack.parameter(
        Parameter(
            "StackSetsPrincipals",
            Type="CommaDelimitedList",
            Description="Principals of StackSets; for each region that is disabled by default add "
            "cloudformation.<region>.amazonaws.com",
            AllowedPattern=r"^cloudformation(\.[a-z]{2}(-[a-z]+)+-[0-9])?\.amazonaws\.com$",
            ConstraintDescription="principals of CloudFormation, joined by commas",
            Default="cloudformation.amazonaws.com",
        )
    ).ref()


def _for_our_sets() -> Condition:
    """In every region: IAM is global, and stack sets live in the region that the rollout is run from."""
    sets = Sub(f"arn:${{AWS::Partition}}:cloudformation:*:${{AWS::AccountId}}:stackset/{naming.PREFIX}*")
    return Condition([StringEquals({"aws:SourceAccount": AccountId}), ArnLike({"aws:SourceArn": sets})])
