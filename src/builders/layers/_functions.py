"""A Lambda function in the phase's VPC, with all that it needs: log group, role, a destination for failed events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from awacs import (
    ec2 as ec2_actions,
    kms as kms_actions,
    logs as logs_actions,
    secretsmanager as secret_actions,
    sns as sns_actions,
)
from awacs.aws import ArnLike, Condition, Deny, Statement, StringEquals
from troposphere import Equals, If, NoValue, Parameter, Split, Sub, awslambda, events, iam, logs

from builders import naming, parameters, policies, scanners
from builders.layers.foundation import ENVELOPE, KEY_ARN, TOPIC_ARN
from builders.layers.network import FUNCTION_SECURITY_GROUP_ID, PRIVATE_SUBNET_IDS
from builders.stack import Export, Stack, Value

RUNTIME = "python3.13"
"""The newest runtime of Lambda on which the functions' tests run (`tox -e py313`)."""

NETWORK_INTERFACES = [
    ec2_actions.AssignPrivateIpAddresses,
    ec2_actions.CreateNetworkInterface,
    ec2_actions.DeleteNetworkInterface,
    ec2_actions.DescribeNetworkInterfaces,
    ec2_actions.DescribeSubnets,
    ec2_actions.UnassignPrivateIpAddresses,
]
"""The actions of Lambda to put a function into a VPC (Lambda developer guide, "Giving Lambda functions access to
resources in an Amazon VPC")."""

_VPC_WILDCARDS = {
    "LiveInTheVpc": "EC2 describes without a resource, and the interfaces have no id before they are made"
}


class FailedEvents(Enum):
    """Handling of an event that a function fails on; the value says why a scanner need not ask for a queue."""

    REPORT = "Failed events go to the encrypted topic, by the failure destination beside the function"
    DROP = "Its schedule sends the next event within a minute, and an alarm on Errors is raised once"
    FAIL_STACK = "CloudFormation fails the stack that gets no answer, and whoever has the event could give that answer"


ANSWER_SECONDS = 60
"""The time CloudFormation waits beyond the function's own time limit. Without a limit of its own it waits an hour for
a function that cannot even start (CloudFormation user guide, "Custom resources", ServiceTimeout)."""


class Settings(Value):
    """The parameters of a function: where its package lies, and who signed it, how long its log is kept; its security
    group in the VPC, and what becomes of events that it fails on.
    """

    bucket: Parameter
    key: Parameter
    version: If
    signing: If
    retention: Parameter
    security_group: Export
    failed_events: FailedEvents

    @classmethod
    def declare(
        cls,
        stack: Stack,
        folder: str,
        security_group: Export = FUNCTION_SECURITY_GROUP_ID,
        failed_events: FailedEvents = FailedEvents.REPORT,
    ) -> Settings:
        """Declare them for a folder under `lambda/`. The key names the content, so that new code is a new key; the
        version is the very object that was compared with what was built, whatever somebody puts beside it later.
        """
        key = "".join(word.capitalize() for word in folder.split("_")) + naming.PACKAGE_KEY
        return cls(
            stack.parameter(
                parameters.string(
                    naming.ARTIFACTS_BUCKET,
                    "Bucket in this region that holds the functions' packages; it may be in another account",
                    pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
                    explanation="the name of an S3 bucket",
                )
            ),
            stack.parameter(
                parameters.string(
                    key,
                    f"Key of the package of {folder} in ArtifactsBucket",
                    pattern=rf"^([a-z0-9-]+/)?{folder}/[0-9a-f-]{{32,36}}\.zip$",
                    explanation=f"the key that build-templates --package prints, {folder}/<hash>.zip",
                )
            ),
            _where_given(
                stack,
                parameters.string(
                    naming.package_version(key),
                    "S3 version of that object; empty for the current one",
                    pattern="^[A-Za-z0-9._-]*$",
                    explanation="a version id, or empty",
                    default="",
                ),
                f"Is{key.removesuffix('Key')}Current",
            ),
            _where_given(
                stack,
                parameters.string(
                    "CodeSigningConfigArn",
                    "Code signing configuration of the functions; empty for none",
                    pattern="^(arn:aws[a-z-]*:lambda:.+:code-signing-config:csc-[a-z0-9]{17})?$",
                    explanation="its ARN, or empty",
                    default="",
                ),
                "IsUnsigned",
            ),
            stack.log_retention(),
            security_group,
            failed_events,
        )


def add(
    stack: Stack,
    title: str,
    settings: Settings,
    *,
    description: str,
    statements: Sequence[Statement],
    timeout_seconds: int,
    environment: Mapping[str, Any] | None = None,
    wildcards: Mapping[str, str] | None = None,
) -> tuple[awslambda.Function, iam.ManagedPolicy]:
    """Add the function `title` and the policy with `statements` and what every function in the VPC does.

    `wildcards` says, by Sid, why a statement's resource is `*`. Whatever calls the function depends on the policy:
    without it the function starts and may do nothing.
    """
    log_group = stack.add(
        logs.LogGroup(
            f"{title}Logs",
            KmsKeyId=stack.import_value(KEY_ARN),
            RetentionInDays=settings.retention.ref(),
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
        )
    )
    role = stack.add(
        iam.Role(
            f"{title}Role",
            AssumeRolePolicyDocument=policies.trust("Lambda", policies.service("lambda.amazonaws.com")),
        )
    )
    reporting = _publish_failed_events(stack) if settings.failed_events is FailedEvents.REPORT else []
    policy = _policy(stack, title, role, [*statements, _write_log(log_group), *reporting], wildcards or {})
    function = stack.add(
        awslambda.Function(
            title,
            Description=description,
            Runtime=RUNTIME,
            Architectures=["arm64"],
            Handler="index.handler",
            Code=awslambda.Code(
                S3Bucket=settings.bucket.ref(),
                S3Key=settings.key.ref(),
                S3ObjectVersion=settings.version,
            ),
            CodeSigningConfigArn=settings.signing,
            Role=role.get_att("Arn"),
            Timeout=timeout_seconds,
            MemorySize=256,
            KmsKeyArn=stack.import_value(KEY_ARN),
            # By reference, or Lambda makes a group of its own: unencrypted, for ever, and with a name that collides.
            LoggingConfig=awslambda.LoggingConfig(LogGroup=log_group.ref()),
            VpcConfig=awslambda.VPCConfig(
                SecurityGroupIds=[stack.import_value(settings.security_group)],
                SubnetIds=Split(",", stack.import_value(PRIVATE_SUBNET_IDS)),
            ),
            DependsOn=[policy],  # Lambda makes the network interfaces as the role
        )
    )
    if environment:
        function.Environment = awslambda.Environment(Variables=dict(environment))
    scanners.accept(
        function,
        {
            "CKV_AWS_115": "One service calls it, one call at a time; a reservation would only take from the account",
            "CKV_AWS_116": settings.failed_events.value,
        },
    )
    _handle_failed_events(stack, function, settings.failed_events)
    return function, policy


def let_rule_call(stack: Stack, title: str, rule: events.Rule, function: awslambda.Function) -> None:
    """Let a rule of EventBridge call a function.

    By the rule's ARN alone, which names its account: with SourceAccount beside it EventBridge's calls have failed in
    silence (github.com/awsdocs/aws-cloudformation-user-guide, pull request 481).
    """
    stack.add(
        awslambda.Permission(
            title,
            Action="lambda:InvokeFunction",
            FunctionName=function.ref(),
            Principal="events.amazonaws.com",
            SourceArn=rule.get_att("Arn"),
        )
    )


def _where_given(stack: Stack, parameter: Parameter, absent: str) -> If:
    """The value of a parameter, or none where the condition `absent` holds: without a Not it is shorter, and the
    largest of these templates is near its limit."""
    value = stack.parameter(parameter).ref()
    return If(stack.condition(absent, Equals(value, "")), NoValue, value)


def _policy(
    stack: Stack, title: str, role: iam.Role, statements: Sequence[Statement], wildcards: Mapping[str, str]
) -> iam.ManagedPolicy:
    policy = stack.add(
        iam.ManagedPolicy(
            f"{title}Policy",
            Description=f"What {title} and Lambda on its behalf may do",
            PolicyDocument=policies.document(*statements, *_live_in_the_vpc()),
            Roles=[role.ref()],
            Metadata={"WildcardReasons": {**_VPC_WILDCARDS, **wildcards}},
        )
    )
    interfaces = "Interfaces have no id before Lambda makes them, and the function's own code is denied to touch them"
    return scanners.accept(policy, {"CKV_AWS_111": interfaces})


def _write_log(log_group: logs.LogGroup) -> Statement:
    return policies.allow(
        "WriteLog", [logs_actions.CreateLogStream, logs_actions.PutLogEvents], [log_group.get_att("Arn")]
    )


def _publish_failed_events(stack: Stack) -> list[Statement]:
    through_topic = Condition(StringEquals({"kms:ViaService": Sub("sns.${AWS::Region}.amazonaws.com")}))
    return [
        policies.allow("ReportFailedEvents", [sns_actions.Publish], [stack.import_value(TOPIC_ARN)]),
        policies.allow("EncryptFailedEvents", ENVELOPE, [stack.import_value(KEY_ARN)], condition=through_topic),
    ]


def _live_in_the_vpc() -> list[Statement]:
    """Lambda may make the function's network interfaces; the function's own code may not."""
    by_function_code = Condition(ArnLike({"lambda:SourceFunctionArn": policies.arn("lambda", "function:*")}))
    return [
        policies.allow("LiveInTheVpc", NETWORK_INTERFACES, ["*"]),
        Statement(
            Sid="NotFromCode", Effect=Deny, Action=NETWORK_INTERFACES, Resource=["*"], Condition=by_function_code
        ),
    ]


def _handle_failed_events(stack: Stack, function: awslambda.Function, failed_events: FailedEvents) -> None:
    """Say what becomes of an event that fails: nobody waits for an asynchronous call's answer."""
    destination = awslambda.OnFailure(Destination=stack.import_value(TOPIC_ARN))
    handling: dict[FailedEvents, dict[str, Any]] = {
        FailedEvents.REPORT: {"DestinationConfig": awslambda.DestinationConfig(OnFailure=destination)},
        FailedEvents.DROP: {"MaximumRetryAttempts": 0},
        # CloudFormation calls asynchronously, and Lambda keeps an event for up to six hours, by which the stack has
        # long gone on (Lambda developer guide, "Using AWS Lambda with CloudFormation" and "Asynchronous invocation").
        FailedEvents.FAIL_STACK: {"MaximumEventAgeInSeconds": function.Timeout + ANSWER_SECONDS},
    }
    stack.add(
        awslambda.EventInvokeConfig(
            f"{function.title}FailedEvents",
            FunctionName=function.ref(),
            Qualifier="$LATEST",
            **handling[failed_events],
        )
    )


def secret_statements(actions: Sequence[Any], secrets: Sequence[Any], key: Any) -> list[Statement]:
    """Calls to Secrets Manager on secrets, and the use of their key through Secrets Manager alone."""
    return [
        policies.allow("UseSecret", actions, secrets),
        policies.allow("UseKeyOfSecret", ENVELOPE, [key], condition=_through_secrets_manager()),
    ]


def reading_statements(secrets: Sequence[Any], keys: Sequence[Any]) -> list[Statement]:
    """The values of secrets, and the decryption with their keys through Secrets Manager alone."""
    return [
        policies.allow("ReadSecrets", [secret_actions.GetSecretValue], secrets),
        policies.allow("DecryptSecrets", [kms_actions.Decrypt], keys, condition=_through_secrets_manager()),
    ]


def _through_secrets_manager() -> Condition:
    return Condition(StringEquals({"kms:ViaService": Sub("secretsmanager.${AWS::Region}.amazonaws.com")}))
