"""A correction is needed as long as ministack is wrong: each test here fails when a newer one is right.

Then delete the correction that the test names, and the test. They look at ministack as it is installed, in a process
of its own; the tests that show the corrected behaviour are beside what they concern.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

STILL_WRONG = {
    "regions.zones_of_the_region": """
        from ministack.services.cloudformation import engine
        zones = engine._resolve_refs({"Fn::GetAZs": ""}, {}, {}, {}, {}, "", "")
        wrong = zones == ["us-east-1a", "us-east-1b", "us-east-1c"]
    """,
    "regions.prefix_lists_of_s3": """
        from ministack.services import ec2
        wrong = ec2._aws_pl_id_from_name("com.amazonaws.us-east-1.s3") != "pl-63a5400a"
    """,
    "conditions.conditions_of_any_value": """
        from ministack.services.cloudformation import engine
        condition = {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]}
        wrong = engine._evaluate_conditions({"Conditions": {"IsHere": condition}}, {}) == {"IsHere": False}
    """,
    "operations.blocking_types_off_the_event_loop": """
        from ministack.services.cloudformation import stacks
        wrong = not stacks._runs_on_worker_thread("AWS::RDS::DBInstance")
    """,
    "operations.capabilities_always_needed": """
        from ministack.services.cloudformation import handlers
        wrong = not handlers._capabilities_enforced()
    """,
    "operations.replacement_by_schema": """
        from ministack.services.cloudformation import provisioners
        wrong = provisioners._property_recreation("AWS::DMS::ReplicationInstance", "KmsKeyId") != "Always"
    """,
    "operations.named_resources_stay": """
        from ministack.services.cloudformation import provisioners
        old = {"ReplicationInstanceIdentifier": "x", "KmsKeyId": "a"}
        new = {"ReplicationInstanceIdentifier": "x", "KmsKeyId": "b"}
        wrong = not provisioners._custom_named_replacement_error("AWS::DMS::ReplicationInstance", old, new)
    """,
    "operations.tags_by_schema": """
        from ministack.services.cloudformation import provisioners
        wrong = "AWS::EC2::VPNGateway" not in provisioners._STACK_TAG_PROPERTY
    """,
    "operations.clean_up_told": """
        import inspect
        from ministack.services.cloudformation import stacks
        wrong = "CLEANUP_IN_PROGRESS" not in inspect.getsource(stacks._deploy_stack_async).replace("# ", "")
    """,
    "operations.snapshots_before_replacement": """
        from ministack.services.cloudformation import provisioners
        wrong = provisioners._snapshot_id("x") == provisioners._snapshot_id("x")
    """,
    "exports.exports_in_use_stay": """
        from ministack.services.cloudformation import _exports, stacks
        _exports["names"] = {"StackId": "arn:aws:cloudformation:us-east-1:1:stack/other/1", "Value": "one"}
        output = {"Names": {"Value": "two", "Export": {"Name": "names"}}}
        wrong = "names" in stacks._resolve_stack_outputs(output, {}, {}, {}, {}, "mine", "arn:a:b:c:d:stack/mine/2")[1]
    """,
    "services.generated_passwords": """
        from ministack.services.cloudformation import provisioners
        wanted = {"GenerateSecretString": {"ExcludePunctuation": True, "PasswordLength": 500}}
        wrong = not provisioners._sm_secret_string(wanted).isalnum()
    """,
    "services.secrets_by_arn": """
        from ministack.services.cloudformation import provisioners
        wrong = not provisioners._sm_secret_create("Secret", {"Name": "x"}, "stack")[0].startswith("arn:")
    """,
    "packages.functions_with_code": """
        from ministack.services.cloudformation import provisioners
        code = {"S3Bucket": "nowhere", "S3Key": "x"}
        wrong = bool(provisioners._lambda_create("Function", {"FunctionName": "x", "Code": code}, "stack"))
    """,
    "packages.buckets_of_all_accounts": """
        from ministack.core.responses import request_scope
        from ministack.services import lambda_svc, s3
        with request_scope("111111111111", "us-east-1"):
            s3._buckets["code"] = {"region": "eu-central-1", "objects": {}}
        with request_scope("222222222222", "us-east-1"):
            wrong = lambda_svc.s3_code_region_message("code") is None
    """,
    "change_sets.change_sets_in_pages": """
        import inspect
        from ministack.services.cloudformation import changesets
        wrong = "NextToken" not in inspect.getsource(changesets._describe_change_set)
    """,
    "account_regions.install": """
        from ministack.services import account
        wrong = "/enableRegion" not in account._DISPATCH
    """,
    "quotas.install": """
        from ministack import app
        wrong = "servicequotas" not in app.SERVICE_HANDLERS
    """,
    "assuming.roles_assumed_by_those_they_trust": """
        import asyncio
        from ministack.services import sts
        body = b"Action=AssumeRole&RoleSessionName=x&RoleArn=arn:aws:iam::111111111111:role/nobody"
        status, _, _ = asyncio.run(sts.handle_request("POST", "/", {}, body, {}))
        wrong = status == 200
    """,
    "services.ports_of_network_acls": """
        from ministack.services import ec2
        entry = {"RuleNumber": 1, "Protocol": "6", "RuleAction": "allow", "Egress": False, "CidrBlock": "0.0.0.0/0"}
        wrong = "443" not in ec2._network_acl_entry_xml({**entry, "PortRange": {"From": 443, "To": 443}})
    """,
    "services.logs_exported_by_databases": """
        from pathlib import Path
        from ministack.services import rds
        wrong = "<EnabledCloudwatchLogsExports/>" in Path(rds.__file__).read_text()
    """,
    "services.silent_functions_of_custom_resources": """
        from pathlib import Path
        from ministack.services.cloudformation import custom_resource
        wrong = "FunctionError" not in Path(custom_resource.__file__).read_text()
    """,
    "told.properties_of_handled_types (topics)": """
        from ministack.services import sns
        from ministack.services.cloudformation import provisioners
        topic, _ = provisioners._sns_create("Topic", {"KmsMasterKeyId": "alias/x"}, "stack")
        wrong = "KmsMasterKeyId" not in sns._topics[topic]["attributes"]
    """,
    "told.properties_of_handled_types (buckets)": """
        from ministack.services import s3
        from ministack.services.cloudformation import provisioners
        bucket, _ = provisioners._s3_create("Bucket", {"Tags": [{"Key": "a", "Value": "b"}]}, "stack")
        wrong = bucket not in s3._bucket_tags
    """,
    "told.properties_of_handled_types (functions)": """
        from ministack.services import lambda_svc
        from ministack.services.cloudformation import provisioners
        made = provisioners._lambda_create("Function", {"FunctionName": "x", "KmsKeyArn": "key", "Code": {}}, "stack")
        wrong = lambda_svc._functions["x"]["config"].get("KMSKeyArn") != "key"
    """,
    "told.endpoints_of_vpcs": """
        from pathlib import Path
        from ministack.services import ec2
        wrong = "<policyDocument>" not in Path(ec2.__file__).read_text()
    """,
    "alarms.alarms_of_their_own_metric": """
        import time
        from ministack.services import cloudwatch
        alarm = {"AlarmName": "a", "Namespace": "N", "MetricName": "M", "StateValue": "OK", "Threshold": 0,
                 "ComparisonOperator": "GreaterThanThreshold", "Dimensions": [{"Name": "D", "Value": "1"}]}
        cloudwatch.record_metric("N", "M", 1, dimensions={"D": "2"})
        cloudwatch._evaluate_alarm(alarm)
        wrong = alarm["StateValue"] == "ALARM"
    """,
    "alarms.metrics_embedded_in_logs": """
        from pathlib import Path
        from ministack.services import cloudwatch_logs, lambda_svc
        places = (cloudwatch_logs, lambda_svc)
        wrong = not any("CloudWatchMetrics" in Path(each.__file__).read_text() for each in places)
    """,
    "events.paths_into_lists": """
        from types import SimpleNamespace
        from ministack.services import eventbridge
        view = SimpleNamespace(event_with_detail=lambda: {"resources": ["arn"]}, envelope=dict)
        transformer = {"InputPathsMap": {"task": "$.resources[0]"}, "InputTemplate": '"<task>"'}
        wrong = "arn" not in str(eventbridge._apply_input_transformer(transformer, None, view))
    """,
    "network.handlers (open egress of both IP versions)": """
        from ministack.services.cloudformation import provisioners
        (rule,) = provisioners._ec2_sg_egress_permissions([])
        wrong = rule["Ipv6Ranges"] == []
    """,
    "rotation.install": """
        from pathlib import Path
        from ministack.services import secretsmanager
        wrong = "RotateSecret stub" in Path(secretsmanager.__file__).read_text()
    """,
}


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    """What became of each look: "wrong", "right", or the error that it raised; one process makes them all."""
    program = """
import json, sys
found = {}
for name, look in json.load(sys.stdin).items():
    names = {}
    try:
        exec(look, names)
        found[name] = "wrong" if names["wrong"] else "right"
    except Exception as error:
        found[name] = repr(error)
print(json.dumps(found))
"""
    looks = json.dumps({name: textwrap.dedent(look) for name, look in STILL_WRONG.items()})
    command = [sys.executable, "-W", "ignore", "-c", program]
    answer = subprocess.run(command, input=looks, capture_output=True, text=True, timeout=120, check=True)
    told: dict[str, str] = json.loads(answer.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("correction", STILL_WRONG)
def test_ministack_still_needs_the_correction(correction: str, found: dict[str, str]) -> None:
    assert found[correction] == "wrong", f"delete the correction {correction}"
