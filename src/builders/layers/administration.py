"""The role by which the self-managed stack sets of one phase go from the tooling account into its accounts."""

from __future__ import annotations

from awacs import sts
from awacs.aws import ArnLike, Condition, Principal, StringEquals
from troposphere import AccountId, Parameter, Ref, Sub, iam

from builders import naming, policies
from builders.stack import Scope, Stack

SCOPE = Scope.TOOLING_PER_PHASE


def build(stack: Stack) -> None:
    """Make the role, for the phase's stack sets alone, and for nothing but the execution roles of the phase."""
    role = stack.add(
        iam.Role(
            "AdministrationRole",
            RoleName=stack.name(naming.ADMINISTRATION_ROLE),
            Description="Lets the stack sets of one phase deploy by the execution roles of its accounts",
            # CloudFormation user guide, "Set up global keys to mitigate confused deputy problems".
            AssumeRolePolicyDocument=policies.trust(
                "StackSets", Principal("Service", _principals(stack)), _for_sets_of_the_phase()
            ),
        )
    )
    stack.add(
        iam.ManagedPolicy(
            "AdministrationPolicy",
            Description="Assumes the execution roles of one phase, each of which decides whom it trusts",
            PolicyDocument=policies.document(
                policies.allow(
                    "AssumeExecutionRoles",
                    [sts.AssumeRole],
                    [Sub(f"arn:${{AWS::Partition}}:iam::*:role/{naming.EXECUTION_ROLE}-${{{naming.SUFFIX}}}")],
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


def _for_sets_of_the_phase() -> Condition:
    """Condition on stack sets in every region: IAM is global, and sets live in the region that the rollout is run from.

    A suffix has no hyphen, so that none of another phase ends in this one's.
    """
    names = f"stackset/{naming.PREFIX}*-${{{naming.SUFFIX}}}:*"
    sets = Sub(f"arn:${{AWS::Partition}}:cloudformation:*:${{AWS::AccountId}}:{names}")
    return Condition([StringEquals({"aws:SourceAccount": AccountId}), ArnLike({"aws:SourceArn": sets})])
