"""A patch is needed as long as ministack is wrong: each look here fails when a newer one is right.

Then delete the patch that the test names, and the look. They look at ministack as it is installed, in a process of its
own; the tests that show the patched behaviour are beside what they concern.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.cloud import patches
from builders.errors import CloudError

ROOT = Path(__file__).parents[2]
REGISTRY = ROOT / "src/builders/cloud/internals.py"

ENDS_WITH_THE_SERVER = """
    from ministack.services.cloudformation import _restore_state, _stacks
    import inspect
    wrong = "IN_PROGRESS" not in inspect.getsource(_restore_state)
"""
NO_SNAPSHOT_BEFORE_REPLACEMENT = """
    import inspect
    from ministack.services.cloudformation import stacks
    # Before a resource that the template drops, and before none that is replaced.
    wrong = inspect.getsource(stacks._deploy_stack_async).count("_snapshot_resource(") == 1
"""
NO_SERVER = """
    import socket
    from ministack.services import rds
    from ministack.services.cloudformation import provisioners
    properties = {"Engine": "postgres", "DBInstanceClass": "db.t3.micro", "AllocatedStorage": "20",
                  "MasterUsername": "owner", "MasterUserPassword": "0123456789"}
    name, _ = provisioners._RESOURCE_HANDLERS["AWS::RDS::DBInstance"]["create"]("Database", properties, "stack")
    endpoint = rds._instances[name]["Endpoint"]
    try:
        socket.create_connection((endpoint["Address"], endpoint["Port"]), 1).close()
        wrong = False
    except OSError:
        wrong = True
"""
NO_INTERFACES = """
    import inspect
    from ministack.services import lambda_svc
    wrong = "_network_interfaces" not in inspect.getsource(lambda_svc)
"""
NO_OPT_IN = """
    from ministack.services import account
    wrong = "/enableRegion" not in account._DISPATCH
"""

ONE_PAGE = """
    import asyncio
    from ministack.services import {0} as service
    _, _, answer = asyncio.run(service.handle_request("POST", "/", {{}}, b"Action={1}", {{}}))
    wrong = b"{2}" not in answer
"""
ATTACHED = """
    from ministack.services import iam
    iam._{1}({{"{0}Name": ["x"], "{2}": ["/"]}})
    arn = "arn:aws:iam::000000000000:policy/not-there"
    wrong = iam._IAM_HANDLERS["Attach{0}Policy"]({{"{0}Name": ["x"], "PolicyArn": [arn]}})[0] == 200
"""
HOST_BITS = """
    from ministack.services import ec2
    from ministack.services.cloudformation import provisioners
    handlers = provisioners._RESOURCE_HANDLERS
    vpc, _ = handlers["AWS::EC2::VPC"]["create"]("Vpc", {"CidrBlock": "100.30.20.0/20"}, "stack")
    wrong = ec2._vpcs[vpc]["CidrBlock"] == "100.30.20.0/20"
"""
STACKS = """
        import asyncio, json
        from ministack.services.cloudformation import _change_sets, _stack_events, _stacks, handlers
        QUEUE = {"Type": "AWS::SQS::Queue"}
        TOPIC = {"Type": "AWS::SNS::Topic"}

        def ask(action, **form):
            given = {key: [value if isinstance(value, str) else json.dumps(value)] for key, value in form.items()}
            return handlers._ACTION_HANDLERS[action](given)

        def in_turn(*calls):
            async def run():
                answers = []
                for action, form in calls:
                    answers.append(ask(action, **form))
                    await asyncio.sleep(0.01)
                return answers
            return asyncio.run(run())

        def stack(name, **resources):
            return {"StackName": name, "TemplateBody": {"Resources": resources}}

        def events(name):
            recorded = _stack_events[_stacks[name]["StackId"]]
            return [(each["LogicalResourceId"], each["ResourceStatus"]) for each in recorded]
"""

STILL_WRONG = {
    "cloudformation.early_validation._validation_errors": """
        from ministack.services.cloudformation import stacks
        wrong_type = {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": "soon"}}}
        wrong = not stacks._validation_errors(wrong_type, ["Q"], {}, {}, {}, "s", "i")
    """,
    "cloudformation.early_validation._describe_events": """
        from ministack.services.cloudformation import handlers
        wrong = handlers._ACTION_HANDLERS["DescribeEvents"]({})[0] == 200
    """,
    "cloudformation.functions._resolve": """
        from ministack.services.cloudformation import engine
        attribute = {"Fn::GetAtt": ["Queue", {"Ref": "A"}]}
        resources = {"Queue": {"PhysicalResourceId": "q", "Attributes": {"QueueName": "q1"}}}
        parameters = {"A": {"Value": "QueueName", "Type": "String"}}
        try:
            wrong = engine._resolve_refs(attribute, resources, parameters, {}, {}, "s", "i") != "q1"
        except TypeError:
            wrong = True
    """,
    "server.lists._answer_iam": ONE_PAGE.format("iam", "ListPolicies&MaxItems=1", "IsTruncated>true"),
    "server.lists._answer_rds": """
        import asyncio
        from ministack.services import rds
        for name in ("a", "b"):
            rds._snapshots[name] = {"DBSnapshotIdentifier": name, "DBInstanceIdentifier": "i", "DBSnapshotArn": name,
                                    "SnapshotType": "manual"}
        rds._snapshot_xml = lambda snapshot: f"<DBSnapshotIdentifier>{snapshot['DBSnapshotIdentifier']}<"
        body = b"Action=DescribeDBSnapshots&Filters.Filter.1.Name=db-snapshot-id&Filters.Filter.1.Values.Value.1=a"
        _, _, answer = asyncio.run(rds.handle_request("POST", "/", {}, body, {}))
        wrong = b">b<" in answer
    """,
    "server.lists._answer_ec2": """
        import asyncio
        from ministack.services import ec2
        body = b"Action=DescribeRouteTables&RouteTableId.1=rtb-0123456789abcdef0"
        status, _, _ = asyncio.run(ec2.handle_request("POST", "/", {}, body, {}))
        wrong = status == 200
    """,
    "iam.entities._attach_role_policy": ATTACHED.format("Role", "create_role", "AssumeRolePolicyDocument"),
    "iam.entities._attach_user_policy": ATTACHED.format("User", "create_user", "Path"),
    "iam.entities._attach_group_policy": ATTACHED.format("Group", "create_group", "Path"),
    "secretsmanager.secrets._create_secret": """
        import json
        from ministack.services import secretsmanager
        request = {"Name": "n", "SecretString": "x", "ClientRequestToken": "a" * 32}
        wrong = json.loads(secretsmanager._create_secret(request)[2])["VersionId"] != "a" * 32
    """,
    "secretsmanager.secrets._update_secret": """
        import json
        from ministack.services import secretsmanager
        secretsmanager._create_secret({"Name": "n", "SecretString": "x"})
        request = {"SecretId": "n", "SecretString": "y", "ClientRequestToken": "b" * 32}
        wrong = json.loads(secretsmanager._update_secret(request)[2])["VersionId"] != "b" * 32
    """,
    "secretsmanager.secrets._delete_secret": """
        from ministack.services import secretsmanager
        wrong = secretsmanager._delete_secret({"SecretId": "never", "ForceDeleteWithoutRecovery": True})[0] != 200
    """,
    "secretsmanager.policies._put_policy": """
        from ministack.services import secretsmanager
        secretsmanager._create_secret({"Name": "n", "SecretString": "x"})
        wrong = secretsmanager._put_resource_policy({"SecretId": "n", "ResourcePolicy": "no JSON"})[0] == 200
    """,
    "iam.entities._profiles_by_name": """
        from ministack.services.cloudformation import provisioners
        create = provisioners._RESOURCE_HANDLERS["AWS::IAM::InstanceProfile"]["create"]
        wrong = create("Profile", {"InstanceProfileName": "p", "Roles": []}, "stack")[0] != "p"
    """,
    "kms._list_keys": """
        import inspect
        from ministack.services import kms
        wrong = "NextMarker" not in inspect.getsource(kms._list_keys)
    """,
    "kms._list_aliases": """
        import inspect
        from ministack.services import kms
        wrong = "NextMarker" not in inspect.getsource(kms._list_aliases)
    """,
    "cloudwatch._alarm_record": """
        from ministack.services.cloudformation import provisioners
        query = {"Id": "m", "Expression": "1"}
        properties = {"Metrics": [query], "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}
        try:
            provisioners._cw_metric_alarm_record("a", {**properties, "EvaluationPeriods": 1})
            wrong = False
        except ValueError:
            wrong = True
    """,
    "cloudwatch._filter_log_events": """
        import inspect
        from ministack.services import cloudwatch_logs
        wrong = "nextToken" not in inspect.getsource(cloudwatch_logs._filter_log_events)
    """,
    "rds.parameter_groups._delete_subnet_group": """
        import inspect
        from ministack.services import rds
        wrong = "_instances" not in inspect.getsource(rds._delete_subnet_group)
    """,
    "rds.parameter_groups._delete_parameter_group": """
        import inspect
        from ministack.services import rds
        wrong = "_instances" not in inspect.getsource(rds._ACTION_MAP["DeleteDBParameterGroup"])
    """,
    "rds.parameter_groups._modify": """
        from ministack.services import rds
        rds._param_groups["g"] = {"DBParameterGroupName": "g", "DBParameterGroupFamily": "postgres17", "Parameters": {}}
        first = "Parameters.Parameter.1."
        request = {"DBParameterGroupName": ["g"], first + "ParameterName": ["no_such"], first + "ParameterValue": ["1"],
                   first + "ApplyMethod": ["immediate"]}
        wrong = rds._ACTION_MAP["ModifyDBParameterGroup"](request)[0] == 200
    """,
    "rds.instances._clusters": """
        from ministack.services import rds
        from ministack.services.cloudformation import provisioners
        properties = {"Engine": "Aurora-PostgreSQL", "MasterUsername": "owner", "MasterUserPassword": "0123456789"}
        try:
            name, _ = provisioners._RESOURCE_HANDLERS["AWS::RDS::DBCluster"]["create"]("Cluster", properties, "stack")
            wrong = rds._clusters[name]["Engine"] != "aurora-postgresql"
        except ValueError:
            wrong = True
    """,
    "lambda_._inline": """
        import io, zipfile
        from ministack.services.cloudformation import provisioners
        package = provisioners._zip_inline("import cfnresponse", "index.handler")
        wrong = "cfnresponse.py" not in zipfile.ZipFile(io.BytesIO(package)).namelist()
    """,
    "ec2.addresses._zone_name": """
        from ministack.services import ec2
        wrong = ec2._zone_name_for_az_id("use1-az6") != "us-east-1f"
    """,
    "cloudformation.parsing._apply_transforms": """
        import importlib.util
        wrong = importlib.util.find_spec("samtranslator") is None
    """,
    "cloudformation.stacks._tag_map": """
        from ministack.services.cloudformation import provisioners
        wrong = provisioners._tag_map([{"Key": "loud", "Value": True}]) != {"loud": "true"}
    """,
    "cloudformation.stacks._with_stack_tags": """
        from ministack.services.cloudformation import provisioners
        provisioners._STACK_TAG_PROPERTY["AWS::AutoScaling::AutoScalingGroup"] = ("Tags", "list")
        given = ("AWS::AutoScaling::AutoScalingGroup", {}, [{"Key": "a", "Value": "b"}], "stack", "id", "Fleet")
        wrong = "PropagateAtLaunch" not in provisioners._with_stack_tags(*given)["Tags"][0]
    """,
    "ec2.resources._vpcs": HOST_BITS,
    "ec2.resources._subnets": HOST_BITS,
    "ec2.resources._routes": HOST_BITS,
    "ec2.resources._create_vpc": HOST_BITS,
    "ec2.resources._create_subnet": HOST_BITS,
    "cloudformation.parsing._parse_template": """
        from ministack.services.cloudformation import engine
        wrong = True
        try:
            engine._parse_template("  Resources:\\n    A:\\n      Type: x\\n  Outputs: {}\\n")
            wrong = False
        except Exception:
            wrong = True
    """,
    "cloudformation.parsing._resolve_document": """
        from ministack.services import s3
        from ministack.services.cloudformation import helpers
        s3._buckets["b"] = {"region": "us-east-1", "objects": {"t.json": {"body": b"{}", "data": b"{}"}}}
        address = "https://b.s3.us-east-1.amazonaws.com/t.json"
        body, _ = helpers._resolve_document({"TemplateURL": [address]}, "TemplateBody", "TemplateURL", "Template")
        wrong = body != "{}"
    """,
    "cloudformation.parsing._dynamic_reference": """
        from ministack.services.cloudformation import engine
        wrong = bool(engine._DYNAMIC_REFERENCE.search("['{{resolve:ssm:/', !Ref Place, '/key}}']"))
    """,
    "cloudformation.parameters._check_constraints": """
        from ministack.services.cloudformation import engine
        try:
            engine._check_parameter_constraints("P", {"AllowedPattern": r"[\\p{ASCII}&&[^@]]+"}, "String", "payments")
            wrong = False
        except ValueError:
            wrong = True
    """,
    "cloudformation.parameters._public_parameter": """
        from ministack.services import ssm
        wrong = ssm._public_parameter("/aws/service/ami-windows-latest/Windows_Server-2022-English-Full-Base") is None
    """,
    "cloudformation.templates._check_template": """
        from ministack.services.cloudformation import engine
        properties = {"TopicName": {"Ref": "Nobody"}}
        engine._validate_template_statics({"Resources": {"A": {"Type": "AWS::SNS::Topic", "Properties": properties}}})
        wrong = True
    """,
    "cloudformation.templates._resolve_parameters": """
        from ministack.services.cloudformation import engine
        engine._resolve_parameters({"Parameters": {}}, [{"Key": "Unknown", "Value": "x"}])
        wrong = True
    """,
    "cloudformation.templates._evaluate_conditions": """
        from ministack.services.cloudformation import engine
        condition = {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]}
        wrong = engine._evaluate_conditions({"Conditions": {"IsHere": condition}}, {}) == {"IsHere": False}
    """,
    "cloudformation.templates._extract_deps": """
        from ministack.services.cloudformation import engine
        wrong = engine._extract_deps({"Metadata": {"WaitsFor": {"Ref": "Other"}}}, {"Other"}) == set()
    """,
    "cloudformation.stacks._runs_on_worker_thread": """
        from ministack.services.cloudformation import stacks
        wrong = not stacks._runs_on_worker_thread("AWS::RDS::DBInstance")
    """,
    "cloudformation.stacks._handle_request": """
        import inspect
        from ministack.services import cloudformation
        wrong = "sleep" not in inspect.getsource(cloudformation.handle_request)
    """,
    "cloudformation.stacks._capabilities_enforced": """
        from ministack.services.cloudformation import handlers
        wrong = not handlers._capabilities_enforced()
    """,
    "cloudformation.stacks._property_recreation": """
        from ministack.services.cloudformation import provisioners
        wrong = provisioners._property_recreation("AWS::DMS::ReplicationInstance", "KmsKeyId") != "Always"
    """,
    "cloudformation.stacks._custom_named_replacement_error": """
        from ministack.services.cloudformation import provisioners
        old = {"ReplicationInstanceIdentifier": "x", "KmsKeyId": "a"}
        new = {"ReplicationInstanceIdentifier": "x", "KmsKeyId": "b"}
        wrong = not provisioners._custom_named_replacement_error("AWS::DMS::ReplicationInstance", old, new)
    """,
    "cloudformation.stacks._TagProperties": """
        from ministack.services.cloudformation import provisioners
        wrong = "AWS::EC2::VPNGateway" not in provisioners._STACK_TAG_PROPERTY
    """,
    "cloudformation.stacks._resource_policy": NO_SNAPSHOT_BEFORE_REPLACEMENT,
    "cloudformation.stacks._delete_after_snapshot": NO_SNAPSHOT_BEFORE_REPLACEMENT,
    "cloudformation.stacks._snapshot_id": """
        from ministack.services.cloudformation import provisioners
        wrong = provisioners._snapshot_id("x") == provisioners._snapshot_id("x")
    """,
    "cloudformation.stacks._delete_with_events": """
        import inspect
        from ministack.services.cloudformation import stacks
        wrong = "CLEANUP_IN_PROGRESS" not in inspect.getsource(stacks._deploy_stack_async).replace("# ", "")
    """,
    "cloudformation.stacks._delete_and_forget": """
        import inspect
        from ministack.services.cloudformation import stacks
        source = inspect.getsource(stacks)
        wrong = "_stack_events.pop(" not in source and "del _stack_events[" not in source
    """,
    "cloudformation.stacks._resolve_stack_outputs": """
        from ministack.services.cloudformation import _exports, stacks
        _exports["names"] = {"StackId": "arn:aws:cloudformation:us-east-1:1:stack/other/1", "Value": "one"}
        output = {"Names": {"Value": "two", "Export": {"Name": "names"}}}
        wrong = "names" in stacks._resolve_stack_outputs(output, {}, {}, {}, {}, "mine", "arn:a:b:c:d:stack/mine/2")[1]
    """,
    "cloudformation.stacks._fail_silent_custom_resource": """
        from pathlib import Path
        from ministack.services.cloudformation import custom_resource
        wrong = "FunctionError" not in Path(custom_resource.__file__).read_text()
    """,
    "ec2.interfaces._functions": NO_INTERFACES,
    "ec2.interfaces._subnets": NO_INTERFACES,
    "ec2.interfaces._security_groups": NO_INTERFACES,
    "ec2.interfaces._delete_subnet": NO_INTERFACES,
    "ec2.interfaces._delete_security_group": NO_INTERFACES,
    "ec2.interfaces._describe": NO_INTERFACES,
    "ec2.interfaces._delete_interface": """
        from ministack.services import ec2
        ec2._create_network_interface({})
        (name, interface), = ec2._network_interfaces.items()
        interface["Attachment"] = {"AttachmentId": "ela-attach-1"}
        wrong = ec2._delete_network_interface({"NetworkInterfaceId": [name]})[0] < 400
    """,
    "secretsmanager.secrets._attachments": """
        import inspect
        from ministack.services.cloudformation import provisioners
        wrong = "already attached" not in inspect.getsource(provisioners)
    """,
    "cloudformation.stacks._refuse_long_answer": """
        import asyncio, json
        from ministack import app
        from ministack.services.cloudformation import custom_resource
        custom_resource.register_token("token")
        body = json.dumps({"Status": "SUCCESS", "Data": {"Blob": "y" * 5000}}).encode()
        put = app._handle_post_body_shortcuts("PUT", "/_ministack/cfn-response/token", {}, body, {}, "id")
        asyncio.run(put)
        wrong = custom_resource._pending["token"]["result"]["Status"] == "SUCCESS"
    """,
    "cloudformation.stacks._topics_with_keys": """
        from ministack.services import sns
        from ministack.services.cloudformation import provisioners
        topic, _ = provisioners._sns_create("Topic", {"KmsMasterKeyId": "alias/x"}, "stack")
        wrong = "KmsMasterKeyId" not in sns._topics[topic]["attributes"]
    """,
    "s3._buckets_with_tags": """
        from ministack.services import s3
        from ministack.services.cloudformation import provisioners
        bucket, _ = provisioners._s3_create("Bucket", {"Tags": [{"Key": "a", "Value": "b"}]}, "stack")
        wrong = bucket not in s3._bucket_tags
    """,
    "cloudformation.forms._parse_template": """
        from ministack.services.cloudformation import engine
        wrong = engine._parse_template('{"Description": 5}')["Description"] == 5
    """,
    "cloudformation.templates._check_what_is_made": STACKS
    + """
        from ministack.services.cloudformation import engine
        template = {"Resources": {"A": {**TOPIC, "Properties": {"DisplayName": {"Ref": "B"}}},
                                  "B": {**QUEUE, "Condition": "Never"}}}
        engine.validate_template_support(template, {"Never": False}, {})
        wrong = True
    """,
    "cloudformation.updates._deploy": STACKS
    + """
        template = {"Transform": "Nobody", "Resources": {"Q": QUEUE}}
        in_turn(("CreateStack", {"StackName": "macro", "TemplateBody": template}))
        wrong = _stacks["macro"]["StackStatus"] == "CREATE_COMPLETE"
    """,
    "cloudformation.updates._add_event": STACKS
    + """
        in_turn(("CreateStack", stack("reported", A=QUEUE)), ("UpdateStack", stack("reported", A=QUEUE, B=QUEUE)))
        wrong = ("A", "UPDATE_COMPLETE") in events("reported") and ("B", "CREATE_COMPLETE") not in events("reported")
    """,
    "cloudformation.updates._update_observed": STACKS
    + """
        policy = {"Statement": [{"Effect": "Deny", "Action": "Update:*", "Principal": "*", "Resource": "*"}]}
        changed = {**TOPIC, "Properties": {"DisplayName": "b"}}
        in_turn(("CreateStack", stack("denied", T=TOPIC) | {"StackPolicyBody": policy}),
                ("UpdateStack", stack("denied", T=changed)))
        wrong = _stacks["denied"]["StackStatus"] == "UPDATE_COMPLETE"
    """,
    "cloudformation.updates._check_before_the_end": STACKS
    + """
        policy = {"Statement": [{"Effect": "Deny", "Action": "Update:*", "Principal": "*", "Resource": "*"}]}
        in_turn(("CreateStack", stack("dropped", A=QUEUE, B=QUEUE) | {"StackPolicyBody": policy}),
                ("UpdateStack", stack("dropped", A=QUEUE)))
        wrong = _stacks["dropped"]["StackStatus"] == "UPDATE_COMPLETE"
    """,
    "cloudformation.updates._roll_back": STACKS
    + """
        bad = {**QUEUE, "Properties": {"DelaySeconds": "{{resolve:ssm:/not/there}}"}}
        in_turn(("CreateStack", stack("bad", Q=bad)))
        wrong = "DeletionTime" not in _stacks["bad"]
    """,
    "cloudformation.requests._new_uuid": STACKS
    + """
        in_turn(("CreateChangeSet", stack("review", Q=QUEUE) | {"ChangeSetName": "c", "ChangeSetType": "CREATE"}))
        wrong = b"already exists" in ask("CreateStack", **stack("review", Q=QUEUE))[2]
    """,
    "cloudformation.requests._new_uuid_of_change_set": STACKS
    + """
        asked = {**stack("twice", Q=QUEUE), "ChangeSetType": "CREATE"}
        in_turn(("CreateChangeSet", asked | {"ChangeSetName": "a"}))
        first = _stacks["twice"]["StackId"]
        in_turn(("CreateChangeSet", asked | {"ChangeSetName": "b"}))
        wrong = _stacks["twice"]["StackId"] != first
    """,
    "cloudformation.requests._create_stack": STACKS
    + """
        asked = stack("typed", Q=QUEUE) | {"ResourceTypes.member.1": "AWS::EC2::*"}
        ((status, _, _),) = in_turn(("CreateStack", asked))
        wrong = status == 200
    """,
    "cloudformation.requests._update_stack": STACKS
    + """
        in_turn(("CreateStack", stack("again", Q=QUEUE)))
        asked = stack("again", Q=QUEUE, R=QUEUE) | {"RoleARN": "arn:aws:iam::000000000000:role/nobody"}
        ((status, _, _),) = in_turn(("UpdateStack", asked))
        wrong = status == 200
    """,
    "cloudformation.requests._delete_stack": STACKS
    + """
        in_turn(("CreateStack", stack("roles", Q=QUEUE)))
        role = "arn:aws:iam::000000000000:role/nobody"
        wrong = in_turn(("DeleteStack", {"StackName": "roles", "RoleARN": role}))[0][0] == 200
    """,
    "cloudformation.requests._set_stack_policy": STACKS
    + """
        in_turn(("CreateStack", stack("policy", Q=QUEUE)))
        wrong = ask("SetStackPolicy", StackName="policy", StackPolicyBody={"Statement": 1})[0] == 200
    """,
    "cloudformation.requests._checked_actions": STACKS
    + """
        try:
            in_turn(("CreateStack", stack("form", A="x")))
            wrong = _stacks["form"]["StackStatus"] == "CREATE_IN_PROGRESS"
        except Exception:
            wrong = True
    """,
    "cloudformation.change_sets._resources_to_compare": """
        from ministack.services.cloudformation import changesets
        template = {"Conditions": {"Never": {"Fn::Equals": ["a", "b"]}},
                    "Resources": {"Q": {"Type": "AWS::SQS::Queue", "Condition": "Never"}}}
        wrong = "Q" in changesets._resolve_props_for_diff(template, {}, "s", "arn:aws:x:us-east-1")["Resources"]
    """,
    "cloudformation.change_sets._create_change_set": STACKS
    + """
        in_turn(("CreateStack", stack("failed", Q=QUEUE)))
        _stacks["failed"]["StackStatus"] = "ROLLBACK_COMPLETE"
        ((status, _, _),) = in_turn(("CreateChangeSet", stack("failed", R=QUEUE) | {"ChangeSetName": "c"}))
        wrong = status == 200
    """,
    "cloudformation.change_sets._find_change_set": """
        from ministack.services.cloudformation import _change_sets, changesets
        stack = "arn:aws:cloudformation:us-east-1:000000000000:stack/s/1"
        _change_sets["id"] = {"ChangeSetId": "id", "ChangeSetName": "c", "StackName": "s", "StackId": stack}
        wrong = bool(changesets._find_change_set("c", "s")[1]) and not changesets._find_change_set("c", stack)[1]
    """,
    "cloudformation.change_sets._execute_change_set": STACKS
    + """
        asked = {"StackName": "executed", "ChangeSetName": "c"}
        in_turn(("CreateChangeSet", stack("executed", Q=QUEUE) | {"ChangeSetName": "c", "ChangeSetType": "CREATE"}),
                ("ExecuteChangeSet", asked))
        wrong = b"<ChangeSetName>c<" in ask("ListChangeSets", StackName="executed")[2]
    """,
    "cloudformation.change_sets._delete_change_set": STACKS
    + """
        wrong = ask("DeleteChangeSet", ChangeSetName="c")[0] == 200
    """,
    "cloudformation.change_sets._list_change_sets": STACKS
    + """
        wrong = ask("ListChangeSets", StackName="nobody")[0] == 200
    """,
    "cloudformation.change_sets._describe_change_set": """
        import inspect
        from ministack.services.cloudformation import changesets
        wrong = "NextToken" not in inspect.getsource(changesets._describe_change_set)
    """,
    "cloudformation.descriptions._xml": """
        from ministack.services.cloudformation import helpers
        wrong = b"\\x01" in helpers._xml(200, "a", "\\x01")[2]
    """,
    "cloudformation.descriptions._error": """
        from ministack.services.cloudformation import helpers
        wrong = b"\\x01" in helpers._error("ValidationError", "\\x01")[2]
    """,
    "cloudformation.descriptions._describe_stacks": STACKS
    + """
        in_turn(("CreateStack", stack("shown", Q=QUEUE) | {"TimeoutInMinutes": "5"}))
        wrong = b"TimeoutInMinutes" not in ask("DescribeStacks", StackName="shown")[2]
    """,
    "cloudformation.descriptions._get_template": STACKS
    + """
        wrong = b"Stack with id nobody does not exist" not in ask("GetTemplate", StackName="nobody")[2]
    """,
    "cloudformation.descriptions._list_stack_resources": STACKS
    + """
        wrong = b"Stack with id nobody does not exist" not in ask("ListStackResources", StackName="nobody")[2]
    """,
    "cloudformation.descriptions._describe_stack_resources": STACKS
    + """
        wrong = b"Stack with id nobody does not exist" not in ask("DescribeStackResources", StackName="nobody")[2]
    """,
    "cloudformation.descriptions._describe_stack_resource": STACKS
    + """
        in_turn(("CreateStack", stack("one", Q=QUEUE)))
        answer = ask("DescribeStackResource", StackName="one", LogicalResourceId="R")[2]
        wrong = b"Resource R does not exist for stack one" not in answer
    """,
    "cloudformation.descriptions._get_template_summary": STACKS
    + """
        in_turn(("CreateChangeSet", stack("summed", Q=QUEUE) | {"ChangeSetName": "c", "ChangeSetType": "CREATE"}))
        wrong = b"cannot be called on REVIEW_IN_PROGRESS" not in ask("GetTemplateSummary", StackName="summed")[2]
    """,
    "cloudformation.resuming._deploy": ENDS_WITH_THE_SERVER,
    "cloudformation.resuming._delete": ENDS_WITH_THE_SERVER,
    "cloudformation.resuming._roll_back": ENDS_WITH_THE_SERVER,
    "cloudformation.resuming._create_or_delete": ENDS_WITH_THE_SERVER,
    "cloudformation.resuming._provision_once": ENDS_WITH_THE_SERVER,
    "cloudformation.resuming._update_once": ENDS_WITH_THE_SERVER,
    "cloudformation.cloud_control._resources": """
        from ministack.services import cloudcontrol
        from ministack.services.cloudformation import provisioners
        topic, _ = provisioners._sns_create("Topic", {}, "stack")
        wrong = not any(each["Identifier"] == topic for each in cloudcontrol._resources.values())
    """,
    "cloudformation.cloud_control._create_resource": """
        import json
        from ministack.services import cloudcontrol, sns
        desired = json.dumps({"TopicName": "by-cloud-control"})
        cloudcontrol._create_resource({"TypeName": "AWS::SNS::Topic", "DesiredState": desired})
        wrong = not any(topic.endswith(":by-cloud-control") for topic in sns._topics)
    """,
    "cloudformation.cloud_control._update_resource": """
        import inspect
        from ministack.services import cloudcontrol
        wrong = "ValueError as" not in inspect.getsource(cloudcontrol._update_resource)
    """,
    "cloudformation.drift._Readers": """
        from ministack.services.cloudformation import drift
        types = {"AWS::DMS::ReplicationTask", "AWS::EC2::SecurityGroup", "AWS::RDS::DBInstance"}
        wrong = not types & set(drift._DRIFT_READERS)
    """,
    "cloudformation.cloud_control._Lookups": """
        from ministack.services.cloudformation import changesets
        wrong = "AWS::DMS::ReplicationTask" not in changesets._IMPORT_LOOKUPS
    """,
    "stacksets.members._template_body_problem": """
        from ministack.services.cloudformation import helpers
        wrong = bool(helpers._template_body_problem("x" * 60_000))
    """,
    "stacksets.permissions._resource_arn": """
        from ministack.core import iam_actions
        request = ("cloudformation", "POST", "/", {}, b"", {"StackSetName": ["x"]}, "us-east-1", "111111111111")
        wrong = "stackset/" not in iam_actions.extract_resource_arn(*request)
    """,
    "organizations.api._handle": """
        import asyncio, json
        from ministack.services import organizations
        headers = {"x-amz-target": "AWSOrganizationsV20161128.InviteAccountToOrganization"}
        body = json.dumps({"Target": {"Type": "ACCOUNT", "Id": "222222222222"}}).encode()
        status, _, _ = asyncio.run(organizations.handle_request("POST", "/", headers, body, {}))
        wrong = status >= 400
    """,
    "organizations.api._principal_org_id": """
        from ministack.core import iam_evaluator
        from ministack.core.responses import request_scope
        from ministack.services import organizations
        with request_scope("111111111111", "us-east-1"):
            organizations._ensure_org()
            organizations._accounts["222222222222"] = {"Id": "222222222222", "Status": "ACTIVE"}
        wrong = iam_evaluator._principal_org_id("222222222222") is None
    """,
    "iam.assume_role._handle": """
        import asyncio
        from ministack.services import sts
        body = b"Action=AssumeRole&RoleSessionName=x&RoleArn=arn:aws:iam::111111111111:role/nobody"
        status, _, _ = asyncio.run(sts.handle_request("POST", "/", {}, body, {}))
        wrong = status == 200
    """,
    "iam.assume_role._access_denied": """
        from ministack.core import iam_actions
        user, role = "arn:aws:iam::111111111111:user/u", "arn:aws:iam::111111111111:role/nobody"
        _, _, body = iam_actions.access_denied_response("sts", "sts:AssumeRole", user, "1", resource_arn=role)
        wrong = f"User: {user} is not authorized to perform: sts:AssumeRole on resource: {role}".encode() not in body
    """,
    "iam.authorization._objects": """
        import inspect
        from ministack import app
        from ministack.services import s3
        wrong = "s3:ListBucket" not in inspect.getsource(s3) + inspect.getsource(app)
    """,
    "s3._context_of_writes": """
        from ministack.core import iam_actions
        context = iam_actions.s3_service_context("s3:PutObject", {}, "/bucket/key", {"if-none-match": "*"})
        wrong = not any("none-match" in key.lower() for key in context)
    """,
    "s3._of_expected_owner": """
        import inspect
        from ministack.services import s3
        wrong = "expected-bucket-owner" not in inspect.getsource(s3)
    """,
    "iam.conditions._request_context": """
        from ministack.core import iam_actions
        boundary = {"RoleName": ["r"], "PermissionsBoundary": ["arn:aws:iam::111111111111:policy/p"]}
        keys = iam_actions.request_tag_context("iam", "iam:CreateRole", b"", boundary)
        wrong = not any("boundary" in key.lower() for key in keys)
    """,
    "iam.conditions._resource_arn": """
        from ministack.core import iam_actions
        request = ("iam", "POST", "/", {}, b"", {"PolicyName": ["p"]}, "us-east-1", "111111111111")
        wrong = iam_actions.extract_resource_arn(*request) == "*"
    """,
    "iam.conditions._names_condition_key": """
        import inspect
        from ministack.core import iam_evaluator
        asked = '_names_condition_key(principal.policies, "aws:resourcetag/")'
        wrong = asked in inspect.getsource(iam_evaluator.enforce)
    """,
    "iam.conditions._condition_key": """
        from ministack.core import iam_evaluator
        session = "arn:aws:sts::111111111111:assumed-role/r/s"
        context = iam_evaluator.EvalContext(session, "AssumedRole", "111111111111", "sts:AssumeRole", "*", "")
        wrong = iam_evaluator._resolve_condition_key("aws:PrincipalArn", context) == session
    """,
    "iam.conditions._execution_credentials": """
        import inspect
        from ministack.core import lambda_runtime
        wrong = "SourceFunctionArn" not in inspect.getsource(lambda_runtime.execution_credentials)
    """,
    "iam.conditions._principal_keys": """
        import inspect
        from ministack.core import iam_evaluator
        wrong = "sourcefunctionarn" not in inspect.getsource(iam_evaluator._principal_keys)
    """,
    "iam.conditions._roles_with_boundaries": """
        from ministack.services import iam
        from ministack.services.cloudformation import provisioners
        boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess"
        properties = {"AssumeRolePolicyDocument": {"Statement": []}, "PermissionsBoundary": boundary}
        name, _ = provisioners._iam_role_create("Role", properties, "stack")
        wrong = iam._roles[name].get("PermissionsBoundary") != boundary
    """,
    "iam.conditions._delete_role": """
        import json
        from ministack.services import iam
        arn = "arn:aws:iam::000000000000:role/gone"
        trust = json.dumps({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": arn}}]})
        for name in ("gone", "other"):
            iam._create_role({"RoleName": [name], "AssumeRolePolicyDocument": [trust]})
        iam._delete_role({"RoleName": ["gone"]})
        wrong = arn in iam._roles["other"]["AssumeRolePolicyDocument"]
    """,
    "cloudformation.stacks._gateway_url": """
        import os
        os.environ["GATEWAY_PORT"], os.environ["AWS_ENDPOINT_URL"] = "4566", "http://127.0.0.1:4566"
        from ministack.services.cloudformation import custom_resource
        wrong = custom_resource._gateway_url() != os.environ["AWS_ENDPOINT_URL"]
    """,
    "server.signatures._of_function": """
        import hashlib
        from ministack import app
        from ministack.core import lambda_runtime
        app.AUTH = True
        function, role = "arn:aws:lambda:us-east-1:111111111111:function:f", "arn:aws:iam::111111111111:role/r"
        made = lambda_runtime.execution_credentials({"FunctionArn": function, "FunctionName": "f", "Role": role})
        digest = hashlib.sha256(f"{function}:{role}".encode()).hexdigest()
        wrong = made["AWS_SECRET_ACCESS_KEY"] == hashlib.sha256(f"secret:{digest}".encode()).hexdigest()
    """,
    "server.signatures._presigned": """
        from ministack.core import iam_evaluator
        found = [iam_evaluator.resolve_credential(each * 12, each * 12).secret_access_key for each in "12"]
        wrong = found[0] == found[1]
    """,
    "iam.authorization._Origin": """
        from ministack.core import iam_evaluator
        wrong = not iam_evaluator._request_origin.get()[1]
    """,
    "iam.authorization._resource_arn": """
        from ministack.core import iam_actions
        from ministack.services.cloudformation import _change_sets
        change_set = "arn:aws:cloudformation:us-east-1:000000000000:changeSet/c/1"
        stack = "arn:aws:cloudformation:us-east-1:000000000000:stack/s/1"
        _change_sets[change_set] = {"ChangeSetId": change_set, "ChangeSetName": "c", "StackName": "s", "StackId": stack}
        query = {"ChangeSetName": [change_set]}
        request = ("cloudformation", "POST", "/", {}, b"", query, "us-east-1", "000000000000")
        wrong = iam_actions.extract_resource_arn(*request) == "*"
    """,
    "kms._enforce": """
        import inspect
        from ministack.core import iam_evaluator
        wrong = "kms" not in inspect.getsource(iam_evaluator.enforce)
    """,
    "ec2.checks._resolve_zones": """
        from ministack.services.cloudformation import engine
        zones = engine._resolve_refs({"Fn::GetAZs": ""}, {}, {}, {}, {}, "", "")
        wrong = zones == ["us-east-1a", "us-east-1b", "us-east-1c"]
    """,
    "ec2.checks._describe_zones": """
        from ministack.services import ec2
        wrong = b"us-east-1f" not in ec2._ACTION_MAP["DescribeAvailabilityZones"]({})[2]
    """,
    "ec2.checks._prefix_list_id": """
        from ministack.services import ec2
        wrong = ec2._aws_pl_id_from_name("com.amazonaws.us-east-1.s3") != "pl-63a5400a"
    """,
    "ec2.endpoint_services._describe": """
        from ministack.services import ec2
        wrong = b".dms" not in ec2._ACTION_MAP["DescribeVpcEndpointServices"]({})[2]
    """,
    "ec2.transit_gateways._describe_attachments": """
        from ministack.services import ec2
        wrong = "DescribeTransitGatewayAttachments" not in ec2._ACTION_MAP
    """,
    "ec2.transit_gateways._propagations": """
        from ministack.services import ec2
        wrong = "GetTransitGatewayAttachmentPropagations" not in ec2._ACTION_MAP
    """,
    "ec2.resources._egress_rules": """
        from ministack.services.cloudformation import provisioners
        (rule,) = provisioners._ec2_sg_egress_permissions([])
        wrong = rule["Ipv6Ranges"] == []
    """,
    "ec2.resources._describe_entry": """
        from ministack.services import ec2
        entry = {"RuleNumber": 1, "Protocol": "6", "RuleAction": "allow", "Egress": False, "CidrBlock": "0.0.0.0/0"}
        wrong = "443" not in ec2._network_acl_entry_xml({**entry, "PortRange": {"From": 443, "To": 443}})
    """,
    "ec2.names._endpoints": """
        from ministack.core import lambda_runtime
        wrong = "getaddrinfo" not in lambda_runtime._detect_runtime_binary("python3.12")[1]
    """,
    "ec2.names._runtime_with_names": """
        from ministack.core import lambda_runtime
        wrong = "getaddrinfo" not in lambda_runtime._detect_runtime_binary("python3.12")[1]
    """,
    "ec2.names._describe_endpoint": """
        from pathlib import Path
        from ministack.services import ec2
        wrong = "<policyDocument>" not in Path(ec2.__file__).read_text()
    """,
    "rds.instances._instances": NO_SERVER,
    "rds.instances._change_password": """
        import inspect
        from ministack.services import rds
        wrong = "psycopg2" in inspect.getsource(rds._rotate_instance_password)
    """,
    "rds.instances._instance_xml": """
        from pathlib import Path
        from ministack.services import rds
        wrong = "<EnabledCloudwatchLogsExports/>" in Path(rds.__file__).read_text()
    """,
    "rds.operations._reboot": NO_SERVER,
    "rds.operations._create_snapshot": NO_SERVER,
    "rds.operations._delete_snapshot": NO_SERVER,
    "rds.operations._delete": NO_SERVER,
    "rds.operations._restore": NO_SERVER,
    "rds.operations._orderable": """
        from ministack.services import rds
        wrong = b"us-east-1f" not in rds._ACTION_MAP["DescribeOrderableDBInstanceOptions"]({})[2]
    """,
    "dms.api._resource_arn": """
        import json
        from ministack.core import iam_actions
        body = json.dumps({"ReplicationTaskArn": "arn:aws:dms:us-east-1:111111111111:task:X"}).encode()
        request = ("dms", "POST", "/", {}, body, {}, "us-east-1", "111111111111")
        wrong = iam_actions.extract_resource_arn(*request) == "*"
    """,
    "dms.api._tag_context": """
        import json
        from ministack.core import iam_actions
        body = json.dumps({"ReplicationTaskArn": "arn:aws:dms:us-east-1:111111111111:task:X"}).encode()
        wrong = iam_actions.request_tag_context("dms", "dms:StartReplicationTask", body, {}) == {}
    """,
    "secretsmanager.secrets._put_secret_value": """
        from ministack.services import secretsmanager
        secretsmanager._create_secret({"Name": "put", "SecretString": "first"})
        token = "00000000-0000-0000-0000-000000000001"
        secretsmanager._put_secret_value({"SecretId": "put", "ClientRequestToken": token, "SecretString": "second"})
        request = {"SecretId": "put", "ClientRequestToken": token, "SecretString": "third"}
        wrong = secretsmanager._put_secret_value(request)[0] == 200
    """,
    "secretsmanager.secrets._promote": """
        from ministack.services import secretsmanager
        secret = {"ARN": "arn", "Name": "promote", "Versions": {
            "1": {"Stages": ["AWSPREVIOUS"]}, "2": {"Stages": ["AWSCURRENT"]}, "3": {"Stages": ["AWSPENDING"]}}}
        secretsmanager._apply_current_promotion(secret, "3")
        wrong = "1" not in secret["Versions"] and secret["Versions"]["3"]["Stages"] == ["AWSCURRENT"]
    """,
    "secretsmanager.secrets._get_secret_value": """
        from ministack.services import secretsmanager
        secretsmanager._create_secret({"Name": "get", "SecretString": "first"})
        _, secret = secretsmanager._resolve("get")
        secret["Versions"]["2"] = {
            "SecretString": None, "SecretBinary": None, "CreatedDate": 0, "Stages": ["AWSPENDING"]}
        wrong = secretsmanager._get_secret_value({"SecretId": "get", "VersionStage": "AWSPENDING"})[0] == 200
    """,
    "secretsmanager.secrets._list_versions": """
        from ministack.services import secretsmanager
        secretsmanager._create_secret({"Name": "list", "SecretString": "first"})
        _, secret = secretsmanager._resolve("list")
        secret["Versions"]["no-label"] = {
            "SecretString": "x", "SecretBinary": None, "CreatedDate": 0, "Stages": []}
        wrong = b"no-label" in secretsmanager._list_secret_version_ids({"SecretId": "list"})[2]
    """,
    "secretsmanager.secrets._describe_secret": """
        from ministack.services import secretsmanager
        secretsmanager._create_secret({"Name": "describe", "SecretString": "first"})
        _, secret = secretsmanager._resolve("describe")
        secret["NextRotationDate"] = 1_700_000_000
        wrong = b"NextRotationDate" not in secretsmanager._describe_secret({"SecretId": "describe"})[2]
    """,
    "secretsmanager.secrets._secret_string": """
        from ministack.services.cloudformation import provisioners
        generate = {"GenerateSecretString": {"ExcludePunctuation": True, "PasswordLength": 500}}
        wrong = not provisioners._sm_secret_string(generate).isalnum()
    """,
    "secretsmanager.secrets._secrets_by_arn": """
        from ministack.services.cloudformation import provisioners
        wrong = not provisioners._sm_secret_create("Secret", {"Name": "x"}, "stack")[0].startswith("arn:")
    """,
    "secretsmanager.secrets._drift_by_arn": """
        from ministack.services import secretsmanager
        from ministack.services.cloudformation import drift
        secretsmanager._create_secret({"Name": "drift", "SecretString": "first"})
        _, secret = secretsmanager._resolve("drift")
        read, _ = drift._DRIFT_READERS["AWS::SecretsManager::Secret"]
        wrong = bool(read("drift", {})) and not read(secret["ARN"], {})
    """,
    "secretsmanager.secrets._target_connection": """
        from ministack.services import rds
        from ministack.services.cloudformation import provisioners
        rds._instances["target"] = {"Engine": "postgres", "Endpoint": {"Address": "localhost", "Port": 1}}
        wrong = "dbInstanceIdentifier" not in provisioners._sm_target_connection("AWS::RDS::DBInstance", "target")
    """,
    "secretsmanager.secrets._target_keys": """
        from ministack.services.cloudformation import provisioners
        wrong = "dbInstanceIdentifier" not in provisioners._SM_TARGET_KEYS
    """,
    "secretsmanager.rotation._rotate": """
        from pathlib import Path
        from ministack.services import secretsmanager
        wrong = "RotateSecret stub" in Path(secretsmanager.__file__).read_text()
    """,
    "secretsmanager.rotation._handle_request": """
        from pathlib import Path
        from ministack.services import secretsmanager
        wrong = "CancelRotateSecret" not in Path(secretsmanager.__file__).read_text()
    """,
    "lambda_._runtime": """
        import sys
        from ministack.core import lambda_runtime
        wrong = lambda_runtime._detect_runtime_binary("python3.12")[0] == sys.executable
    """,
    "lambda_._processes": """
        import inspect
        from ministack.core import lambda_runtime
        wrong = "subprocess.Popen(" in inspect.getsource(lambda_runtime.Worker._spawn)
    """,
    "lambda_._functions (packages that are not there)": """
        from ministack.services.cloudformation import provisioners
        code = {"S3Bucket": "nowhere", "S3Key": "x"}
        wrong = bool(provisioners._lambda_create("Function", {"FunctionName": "x", "Code": code}, "stack"))
    """,
    "lambda_._functions (keys)": """
        from ministack.services import lambda_svc
        from ministack.services.cloudformation import provisioners
        made = provisioners._lambda_create("Function", {"FunctionName": "x", "KmsKeyArn": "key", "Code": {}}, "stack")
        wrong = lambda_svc._functions["x"]["config"].get("KMSKeyArn") != "key"
    """,
    "lambda_._fetch_code": """
        from ministack.core.responses import request_scope
        from ministack.services import lambda_svc, s3
        with request_scope("111111111111", "us-east-1"):
            s3._buckets["packages"] = {"region": "us-east-1", "objects": {"x": {"body": b"zip", "data": b"zip"}}}
            found = s3._get_object_data("packages", "x")
        with request_scope("222222222222", "us-east-1"):
            wrong = bool(found) and lambda_svc._fetch_code_from_s3("packages", "x") is None
    """,
    "lambda_._region_message": """
        from ministack.core.responses import request_scope
        from ministack.services import lambda_svc, s3
        with request_scope("111111111111", "us-east-1"):
            s3._buckets["code"] = {"region": "eu-central-1", "objects": {}}
        with request_scope("222222222222", "us-east-1"):
            wrong = lambda_svc.s3_code_region_message("code") is None
    """,
    "cloudwatch._record_metric": """
        from ministack.services import cloudwatch
        cloudwatch._alarms["recorded"] = alarm = {
            "AlarmName": "recorded", "Namespace": "R", "MetricName": "M", "StateValue": "OK", "Threshold": 0,
            "ComparisonOperator": "GreaterThanThreshold", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
        cloudwatch.record_metric("R", "M", 1)
        recorded = alarm["StateValue"]
        cloudwatch._evaluate_all_alarms()
        wrong = (recorded, alarm["StateValue"]) == ("OK", "ALARM")
    """,
    "cloudwatch._describe_alarms": """
        import inspect
        from ministack.services import cloudwatch
        wrong = "_evaluate" not in inspect.getsource(cloudwatch._describe_alarms)
    """,
    "kms._act": """
        import inspect
        from ministack.services import cloudwatch, sns
        wrong = not any("Kms" in inspect.getsource(each) for each in (cloudwatch._dispatch_alarm_actions, sns._fanout))
    """,
    "kms._send_to_topic": """
        import inspect
        from ministack.services import eventbridge, sns
        looked_at = (eventbridge._dispatch_to_sns, sns.publish_internal, sns._fanout)
        wrong = not any("Kms" in inspect.getsource(each) for each in looked_at)
    """,
    "cloudwatch._evaluate": """
        from ministack.services import cloudwatch
        alarm = {"AlarmName": "a", "Namespace": "N", "MetricName": "M", "StateValue": "OK", "Threshold": 0,
                 "ComparisonOperator": "GreaterThanThreshold", "Dimensions": [{"Name": "D", "Value": "1"}]}
        cloudwatch.record_metric("N", "M", 1, dimensions={"D": "2"})
        cloudwatch._evaluate_alarm(alarm)
        wrong = alarm["StateValue"] == "ALARM"
    """,
    "cloudwatch._emit_logs": """
        from pathlib import Path
        from ministack.services import cloudwatch_logs, lambda_svc
        modules = (cloudwatch_logs, lambda_svc)
        wrong = not any("CloudWatchMetrics" in Path(each.__file__).read_text() for each in modules)
    """,
    "cloudwatch._transform": """
        from types import SimpleNamespace
        from ministack.services import eventbridge
        view = SimpleNamespace(event_with_detail=lambda: {"resources": ["arn"]}, envelope=dict)
        transformer = {"InputPathsMap": {"task": "$.resources[0]"}, "InputTemplate": '"<task>"'}
        wrong = "arn" not in str(eventbridge._apply_input_transformer(transformer, None, view))
    """,
    "server.accounts._list_regions": NO_OPT_IN,
    "server.accounts._get_status": NO_OPT_IN,
    "server.accounts._enable": NO_OPT_IN,
    "server.accounts._disable": NO_OPT_IN,
    "server.accounts._model": """
        from ministack.core import iam_actions
        wrong = iam_actions.extract_iam_action("account", "POST", "/listRegions", {}, b"{}", {}) is None
    """,
    "server.accounts._describe_regions": """
        from ministack.services import ec2
        wrong = b"<regionName>ap-east-1<" in ec2._ACTION_MAP["DescribeRegions"]({})[2]
    """,
    "server.accounts.install (Service Quotas)": """
        from ministack import app
        wrong = "servicequotas" not in app.SERVICE_HANDLERS
    """,
    "server.faults._runs_on_worker_thread": """
        from ministack.services.cloudformation import stacks
        wrong = not stacks._runs_on_worker_thread("AWS::SNS::Topic")
    """,
    "iam.authorization._parse_once": """
        from ministack.core import iam_evaluator
        document = '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'
        first, second = (iam_evaluator.parse_policy_document(document)[0] for _ in range(2))
        wrong = first is not second
    """,
    "stamps._new_uuid": """
        import inspect
        from ministack.core import responses
        wrong = "uuid.uuid4()" in inspect.getsource(responses.new_uuid)
    """,
    "stamps._now_iso": """
        import inspect
        from ministack.core import responses
        wrong = "strftime" in inspect.getsource(responses.now_iso)
    """,
    "server.state._load": """
        from pathlib import Path
        from ministack import app
        wrong = Path(app.__file__).read_text().count(" save_all(") == 1  # when the server stops, and not before
    """,
}


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    """The outcome of each look: "wrong", "right", or the error that it raised; one process makes them all."""
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
    outcomes: dict[str, str] = json.loads(_run(program, looks))
    return outcomes


@pytest.mark.parametrize("patch", STILL_WRONG)
def test_ministack_still_needs_the_patch(patch: str, found: dict[str, str]) -> None:
    assert found[patch] == "wrong", f"delete the patch {patch}"


def test_every_patch_says_why_and_has_a_look_of_its_own() -> None:
    program = """
import json
import builders.cloud.server.app
from builders.cloud import patches
print(json.dumps([(each.name, each.target, each.why) for each in patches.registered()]))
"""
    registered: list[tuple[str, str, str]] = json.loads(_run(program))
    names = [name for name, _, _ in registered]
    assert sorted(names) == sorted(set(names))
    assert all(target.startswith("ministack.") and why for _, target, why in registered)
    not_a_patch = {"server.accounts.install"}
    assert set(names) == {look.partition(" (")[0] for look in STILL_WRONG} - not_a_patch


def test_the_patches_are_made_for_the_version_that_the_project_pins() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert f"ministack == {patches.MINISTACK}" in setup["options.extras_require"]["cloud"]


def test_another_version_of_ministack_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.0.0")
    with pytest.raises(CloudError, match=r"ministack 2\.0\.0 is installed"):
        patches.apply([])


def test_every_name_of_the_internals_is_there_and_used() -> None:
    sources = " ".join(path.read_text() for path in REGISTRY.parent.rglob("*.py"))
    used = set(re.findall(r"\b(?=(\w+\.\w+))", sources))
    services = [node for node in ast.parse(REGISTRY.read_text()).body if isinstance(node, ast.ClassDef)]
    names = [
        f"{service.name}.{ast.unparse(node.targets[0])}"
        for service in services
        for node in service.body
        if isinstance(node, ast.Assign)
    ]
    assert sorted(set(names) - used) == []
    program = """
import inspect
from builders.cloud import internals
for service in filter(inspect.isclass, vars(internals).values()):
    for alias, name in vars(service).items():
        if isinstance(name, internals.Private):
            getattr(service, alias)
"""
    _run(program)


def test_private_names_of_ministack_are_used_in_the_registry_only() -> None:
    files = [path for folder in ("src", "tests", "benchmarks", "tools") for path in (ROOT / folder).rglob("*.py")]
    texts = {str(path): path.read_text() for path in files if path != REGISTRY}
    concerned = {path: text for path, text in texts.items() if "ministack" in text or "._data" in text}
    found = {path: list(_private_names(ast.parse(text))) for path, text in concerned.items()}
    assert {path: names for path, names in found.items() if names} == {}


def _private_names(tree: ast.Module) -> Iterator[str]:
    """Yield the private names that a module imports from ministack, or reaches for in what it imports from there."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    of_ministack = [each for node in imports if (node.module or "").startswith("ministack") for each in node.names]
    yield from (each.name for each in of_ministack if each.name.startswith("_"))
    modules = {each.asname or each.name for each in of_ministack} | {"ministack"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            owner = node.value
            while isinstance(owner, ast.Attribute):
                owner = owner.value
            name = owner.id if isinstance(owner, ast.Name) else ""
            if name in modules or (node.attr == "_data" and name != "self"):  # of the stores
                yield ast.unparse(node)


def _run(program: str, text: str = "") -> str:
    """Run a program in a process of its own, and return the last line that it prints."""
    command = [sys.executable, "-W", "ignore", "-c", program]
    answer = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines()[-1] if answer.stdout else ""
