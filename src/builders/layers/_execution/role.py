"""The execution role: whom it trusts, and its policies."""

from __future__ import annotations

from awacs import sts
from awacs.aws import ArnEquals, Condition, Principal
from troposphere import And, Condition as IfCondition, Equals, Not, Ref, Sub, iam

from builders import naming, parameters, policies
from builders.layers._execution import boundary, grants
from builders.layers._network import connectivity
from builders.stack import Stack

IS_WANTED = "IsExecutionRoleWanted"


def build(stack: Stack) -> None:
    """Make the role where the account is to be deployed to by self-managed stack sets."""
    wanted = stack.parameter(
        parameters.boolean(
            "CreateExecutionRole", "Whether self-managed stack sets deploy here; false where an organization does it"
        )
    ).ref()
    stack.condition(IS_WANTED, Equals(wanted, "true"))
    role = _role(stack, _administration(stack, wanted))
    for policy in grants.GRANTS:
        stack.add(
            iam.ManagedPolicy(
                f"Execution{policy}Policy",
                Condition=IS_WANTED,
                Description="What the stacks of a phase need to be made, read, changed and deleted",
                PolicyDocument=policies.document(*grants.statements(policy)),
                Roles=[role.ref()],
                Metadata={"WildcardReasons": grants.wildcard_reasons(policy)},
            )
        )
    boundary.build(stack, IS_WANTED, role)
    _direct_connect(stack, role)
    stack.output("ExecutionRoleName", role.ref(), "Role that stack sets deploy by", condition=IS_WANTED)


def _administration(stack: Stack, wanted: Ref) -> Ref:
    """The output of `administration` under the same name."""
    arn = stack.parameter(
        parameters.string(
            "AdministrationRoleArn",
            "Role of the tooling account by which stack sets come here, or empty",
            pattern=r"^$|^arn:aws[a-z-]*:iam::\d{12}:role/.+$",
            explanation="the ARN of a role in the tooling account, or empty",
            default="",
        )
    ).ref()
    stack.rule(
        "AdministrationOfTheExecutionRole",
        Not(Equals(arn, "")),
        "CreateExecutionRole=true needs AdministrationRoleArn, the output of administration in the tooling account",
        when=Equals(wanted, "true"),
    )
    return arn


def _role(stack: Stack, administration_arn: Ref) -> iam.Role:
    return stack.add(
        iam.Role(
            "ExecutionRole",
            Condition=IS_WANTED,
            RoleName=stack.name(naming.EXECUTION_ROLE),
            Description="Deploys the layers of a phase into this account for the stack sets of the tooling account",
            # No external id: StackSets sends none. A trust that names a role keeps the unique id of the one that is
            # there, and the next role of that name is a stranger (IAM user guide, "AWS JSON policy elements:
            # Principal", on role principals). So the account is trusted, and of it those who are that role.
            AssumeRolePolicyDocument=policies.trust(
                "StackSets",
                Principal("AWS", [Sub("arn:${AWS::Partition}:iam::${ToolingAccountId}:root")]),
                Condition(ArnEquals({"aws:PrincipalArn": administration_arn})),
            ),
        )
    )


def _direct_connect(stack: Stack, role: iam.Role) -> None:
    """`network` associates its gateway with one of another account by a role there, and assumes it as who deploys."""
    arn = stack.parameter(connectivity.gateway_role()).ref()
    has_gateway_role = stack.condition("HasDirectConnectGatewayRole", Not(Equals(arn, "")))
    stack.add(
        iam.ManagedPolicy(
            "ExecutionGatewayPolicy",
            Condition=stack.condition(
                "IsGatewayRoleWanted", And(IfCondition(IS_WANTED), IfCondition(has_gateway_role))
            ),
            Description="Accepts the association of the phase's gateway in the account of the Direct Connect gateway",
            PolicyDocument=policies.document(policies.allow("AcceptAssociation", [sts.AssumeRole], [arn])),
            Roles=[role.ref()],
        )
    )
