"""S3: the tags of buckets, conditions on conditional writes, what keeps a bucket from being deleted, and what S3
refuses: access control lists, public policies, policies that do not fit their bucket, destinations of notifications
that do not let S3 in.

Sources: S3 user guide, "Controlling ownership of objects and disabling ACLs for your bucket", "Blocking public access
to your Amazon S3 storage" (what counts as public is there: "The meaning of 'public'"), "Granting permissions to
publish event notification messages to a destination"; S3 API reference, "Error responses".
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from ministack.core.responses import get_account_id, new_uuid

from builders.cloud import kms
from builders.cloud.cloudformation import records
from builders.cloud.cloudformation.records import Handlers
from builders.cloud.iam import checks as iam
from builders.cloud.internals import cloudformation, lambda_, s3, sns, sqs
from builders.cloud.patches import patch, patch_value
from builders.policy_documents import allows, as_list, principals, statements
from builders.resource_types import Json

Properties = Mapping[str, Json]

_LEAST_DAYS = 30
"""Days before objects become infrequently accessed ones (S3 user guide, "Transitioning objects using Amazon S3
Lifecycle")."""

# Lists that give nobody but the owner anything: they are taken where ACLs are disabled.
_HARMLESS_LISTS = ("Private", "BucketOwnerFullControl")
_PUBLIC_LISTS = ("PublicRead", "PublicReadWrite", "AuthenticatedRead")
# Conditions that bind a statement for everybody to somebody, where their values are fixed.
_BINDING_KEYS = frozenset({
    "aws:principalorgid", "aws:principalorgpaths", "aws:principalarn", "aws:principalaccount", "aws:principaltag",
    "aws:sourceip", "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceowner", "aws:sourceaccount",
    "aws:sourceorgid", "aws:userid", "s3:x-amz-server-side-encryption-aws-kms-key-id", "s3:dataaccesspointarn",
    "s3:dataaccesspointaccount",
})  # fmt: skip


@patch_value(
    "ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::S3::Bucket]",
    why="tags, encryption and access logging of a bucket are forgotten, and so is versioning that is suspended, which "
    "has drifted at once",
)
def _buckets_with_tags(inner: Handlers) -> Handlers:
    def set_tags(physical_id: str, properties: Mapping[str, Json]) -> None:
        s3.bucket_tags[physical_id] = cloudformation.tag_map(properties.get("Tags"))
        status = (properties.get("VersioningConfiguration") or {}).get("Status")
        if status:
            s3.bucket_versioning[physical_id] = status
        s3.bucket_logging[physical_id] = _logging_status(properties.get("LoggingConfiguration") or {})
        s3.bucket_encryption.pop(physical_id, None)
        if "BucketEncryption" in properties:
            s3.bucket_encryption[physical_id] = _encryption(properties["BucketEncryption"])

    return records.around(inner, after=set_tags)


def _encryption(encryption: Properties) -> str:
    """The answer to GetBucketEncryption (S3 API reference)."""
    rules = ""
    for rule in encryption.get("ServerSideEncryptionConfiguration") or ():
        by_default = rule.get("ServerSideEncryptionByDefault") or {}
        inner = "".join(f"<{key}>{escape(str(by_default[key]))}</{key}>" for key in by_default)
        with_key = str(rule.get("BucketKeyEnabled", False)).lower()
        rules += (
            f"<Rule><ApplyServerSideEncryptionByDefault>{inner}</ApplyServerSideEncryptionByDefault>"
            f"<BucketKeyEnabled>{with_key}</BucketKeyEnabled></Rule>"
        )
    xmlns = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<ServerSideEncryptionConfiguration xmlns="{xmlns}">{rules}</ServerSideEncryptionConfiguration>'


def stores() -> dict[str, Any]:
    """Return the stores of objects by name; buckets have theirs, and ministack keeps the settings of buckets alone."""
    return {
        "buckets": s3.buckets,
        "versions": s3.object_versions,
        "tags": s3.object_tags,
        "lists": s3.object_lists,
        "annotations": s3.object_annotations,
        "retentions": s3.object_retentions,
        "holds": s3.object_holds,
    }


def _logging_status(logging: Properties) -> str:
    """The answer to GetBucketLogging (S3 API reference)."""
    bucket, prefix = (escape(str(logging.get(key, ""))) for key in ("DestinationBucketName", "LogFilePrefix"))
    target = f"<TargetBucket>{bucket}</TargetBucket><TargetPrefix>{prefix}</TargetPrefix>"
    enabled = f"<LoggingEnabled>{target}</LoggingEnabled>" if bucket else ""
    return f'<BucketLoggingStatus xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{enabled}</BucketLoggingStatus>'


@patch(
    "ministack.core.iam_actions.s3_service_context",
    why="policies cannot ask whether a write is conditional, or whether a request creates an object",
)
def _context_of_writes(
    original: Any, action: str, query: Mapping[str, Json] | None = None, path: str = "", headers: Any = None
) -> dict[str, Json]:
    """Tell of s3:if-none-match, s3:if-match and s3:ObjectCreationOperation, which is false for an upload's beginning
    and its parts (S3 user guide, "Enforce conditional writes on Amazon S3 buckets")."""
    context: dict[str, Json] = original(action, query, path, headers)
    if action != "s3:PutObject":
        return context
    given = {f"s3:{name}": headers[name] for name in ("if-none-match", "if-match") if (headers or {}).get(name)}
    creates = not {"uploads", "partNumber"} & (query or {}).keys()
    return context | given | {"s3:ObjectCreationOperation": str(creates).lower()}


@patch("ministack.services.s3._dispatch", why="a bucket of another account than a request expects answers all the same")
def _of_expected_owner(
    original: Any, method: str, bucket: str, key: str, headers: Mapping[str, str], *more: Json
) -> Any:
    """S3 user guide, "Verifying bucket ownership with bucket owner condition". The account is the owner's by now."""
    expected = headers.get("x-amz-expected-bucket-owner")
    if expected and bucket in s3.buckets and expected != get_account_id():
        return s3.error("AccessDenied", "Access Denied", 403, f"/{bucket}")
    return original(method, bucket, key, headers, *more)


def check_deletion(name: str, _properties: Mapping[str, Json]) -> None:
    """Refuse to delete a bucket that is not empty. Raises ValueError with S3's sentence.

    Source: CloudFormation user guide, "Troubleshooting CloudFormation", "Delete stack fails".
    """
    bucket = s3.buckets.get(name)
    versions = any(owner == name and found for (owner, _), found in s3.object_versions.items())
    if bucket and (bucket["objects"] or versions):
        raise ValueError(
            f"The bucket you tried to delete is not empty (Service: S3, Status Code: 409, Request ID: {new_uuid()})"
        )


def check_bucket(properties: Properties, physical_id: str | None) -> None:
    """Refuse a list where ACLs are disabled, a public one that is blocked, and destinations that do not let S3 in."""
    name = properties.get("BucketName")
    _check_name(str(name or "bucket"))
    rules = (properties.get("OwnershipControls") or {}).get("Rules") or []
    ownership = rules[0].get("ObjectOwnership") if rules else "BucketOwnerEnforced"
    acl = properties.get("AccessControl") or "Private"
    if ownership == "BucketOwnerEnforced" and acl not in _HARMLESS_LISTS:
        raise _refusal("Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
                       "InvalidBucketAclWithObjectOwnership")  # fmt: skip
    blocked = properties.get("PublicAccessBlockConfiguration")
    if acl in _PUBLIC_LISTS and (blocked is None or blocked.get("BlockPublicAcls") is True):
        raise _refusal("Bucket cannot have public ACLs set with BlockPublicAccess enabled",
                       "InvalidBucketAclWithBlockPublicAccessError")  # fmt: skip
    for rule in (properties.get("LifecycleConfiguration") or {}).get("Rules") or ():
        for each in (rule.get("Transition"), *(rule.get("Transitions") or ())):
            days, kind = (each or {}).get("TransitionInDays"), (each or {}).get("StorageClass")
            if days is not None and int(days) < _LEAST_DAYS and kind in ("STANDARD_IA", "ONEZONE_IA"):
                raise _refusal(f"'Days' in Transition action must be greater than or equal to {_LEAST_DAYS} for "
                               f"storageClass '{kind}'", "InvalidArgument")  # fmt: skip
    own = f"arn:aws:s3:::{physical_id or name}" if physical_id or name else None
    for kind, arn in _destinations(properties.get("NotificationConfiguration") or {}):
        if not _lets_s3_in(kind, arn, own):
            raise _refusal("Unable to validate the following destination configurations", "InvalidArgument")


def _check_name(name: str) -> None:
    """Refuse a name that no bucket has (S3 user guide, "General purpose bucket naming rules")."""
    bad = not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name) or ".." in name
    numbers = re.fullmatch(r"\d+\.\d+\.\d+\.\d+", name)
    if (
        bad
        or numbers
        or name.startswith(("xn--", "sthree-", "amzn-s3-demo-"))
        or name.endswith(("-s3alias", "--ol-s3"))
    ):
        raise _refusal("The specified bucket is not valid.", "InvalidBucketName")


def check_policy(properties: Properties, _physical_id: str | None) -> None:
    """Refuse a policy without principals or of nobody, of other resources than its bucket's, and a public one that is
    blocked."""
    bucket, document = str(properties["Bucket"]), properties["PolicyDocument"]
    record = s3.buckets.get(bucket)
    if record is None:
        raise _refusal("The specified bucket does not exist", "NoSuchBucket", 404)
    for statement in iam.read_statements(document):
        if "Principal" not in statement and "NotPrincipal" not in statement:
            raise _refusal("Missing required field Principal", "MalformedPolicy")
        for kind, principal in principals(statement):
            if not iam.exists(kind, principal) and not re.fullmatch(r"A[A-Z0-9]{19,}", principal):
                raise _refusal("Invalid principal in policy", "MalformedPolicy")
        actions = as_list(statement.get("Action", statement.get("NotAction")))
        if not actions or not all(re.fullmatch(r"\*|s3(-object-lambda)?:[\w*?]+", each, re.I) for each in actions):
            raise _refusal("Policy has invalid action", "MalformedPolicy")
        for resource in as_list(statement.get("Resource", statement.get("NotResource"))):
            _check_resource(bucket, str(resource))
        _check_levels(statement, actions)
    if _blocks(record, "BlockPublicPolicy") and any(_is_public(each) for each in statements(document)):
        raise _refusal(
            "User is not authorized to perform: s3:PutBucketPolicy on resource: "
            f'"arn:aws:s3:::{bucket}" because public policies are prevented by the BlockPublicPolicy setting in S3 '
            "Block Public Access.", "AccessDenied", 403,
        )  # fmt: skip


def _check_resource(bucket: str, resource: str) -> None:
    path = resource.rpartition(":::")[2]
    if path != "*" and not (resource.startswith("arn:") and fnmatch.fnmatchcase(bucket, path.partition("/")[0])):
        raise _refusal("Policy has invalid resource", "MalformedPolicy")


def _check_levels(statement: Mapping[str, Json], actions: list[str]) -> None:
    """Refuse actions on objects where the resource is the bucket alone, and the other way round."""
    resources = [str(each) for each in as_list(statement.get("Resource"))]
    names = [each.partition(":")[2].lower() for each in actions if ":" in each and "*" not in each]
    if not resources or not names or len(names) < len(actions):
        return
    objects = any("/" in each or each.endswith("*") for each in resources)
    buckets = any("/" not in each for each in resources)
    of_objects = [bool(re.search(r"object|multipartuploadparts", each)) for each in names]
    of_bucket = [not each or name.endswith(_OF_BUCKETS) for each, name in zip(of_objects, names, strict=True)]
    if (not objects and all(of_objects) and not any(of_bucket)) or (not buckets and not any(of_objects)):
        raise _refusal("Action does not apply to any resource(s) in statement", "MalformedPolicy")


_OF_BUCKETS = ("objectlockconfiguration", "objectversions")


def _blocks(record: Mapping[str, Json], setting: str) -> bool:
    """Return whether a bucket blocks public access; a new bucket does, whatever its template leaves out."""
    stored = record.get("_public_access_block")
    return stored is None or re.search(rf"<{setting}>\s*true", str(stored), re.I) is not None


def _is_public(statement: Mapping[str, Json]) -> bool:
    if statement.get("Effect") != "Allow" or ("AWS", "*") not in principals(statement):
        return False
    keys = {
        key.lower().partition("/")[0]: values
        for operator, block in (statement.get("Condition") or {}).items()
        if "not" not in operator.lower() and not operator.lower().endswith("ifexists")
        for key, values in block.items()
    }
    bound = [values for key, values in keys.items() if key in _BINDING_KEYS]
    return not any(all(str(each) not in ("*", "0.0.0.0/0", "::/0") for each in as_list(values)) for values in bound)


def _destinations(configuration: Properties) -> Iterator[tuple[str, str]]:
    for members, key in (("LambdaConfigurations", "Function"), ("QueueConfigurations", "Queue"),
                         ("TopicConfigurations", "Topic")):  # fmt: skip
        for each in configuration.get(members) or ():
            yield key, str(each[key])


_OF_OWNER = "__default_statement_ID"
"""The statement of a new topic, which lets its owner in; ministack's lacks the condition that says so."""


def _lets_s3_in(kind: str, arn: str, bucket: str | None) -> bool:
    """Return whether the policy of a function, queue or topic lets S3 in for a bucket; None is one without a name."""
    action = {"Function": "lambda:InvokeFunction", "Queue": "sqs:SendMessage", "Topic": "sns:Publish"}[kind]
    document: Json = None
    if kind == "Function":
        function, _, _ = lambda_.find_function(arn)
        document = function["policy"] if function else None
    elif kind == "Queue":
        queue = next((each for each in sqs.queues.values() if each["attributes"].get("QueueArn") == arn), None)
        document = queue["attributes"].get("Policy") if queue else None
    elif not kms.lets_publish(arn, "s3.amazonaws.com"):
        return False
    else:
        topic = sns.topics.get(arn)
        document = topic["attributes"].get("Policy") if topic else None
    return any(
        (allows(each, action) or (kind == "Topic" and allows(each, "SNS:Publish")))
        and {("Service", "s3.amazonaws.com"), ("AWS", "*")} & set(principals(each))
        and _fits(each.get("Condition") or {}, bucket)
        and each.get("Sid") != _OF_OWNER
        for each in statements(document or {"Statement": []})
    )


def _fits(conditions: Mapping[str, Json], bucket: str | None) -> bool:
    """Return whether a statement's conditions hold for the bucket, whose name may not be known yet."""
    for block in conditions.values():
        for key, values in block.items():
            name, allowed = key.lower(), [str(each) for each in as_list(values)]
            if name == "aws:sourceaccount" and str(get_account_id()) not in allowed:
                return False
            if name == "aws:sourcearn" and bucket and not any(fnmatch.fnmatchcase(bucket, each) for each in allowed):
                return False
            if name == "aws:sourceowner":
                return False  # the owner of SNS's default policy: S3 is none
    return True


def _refusal(sentence: str, code: str, status: int = 400) -> ValueError:
    return ValueError(f"{sentence} (Service: S3, Status Code: {status}, Error Code: {code})")
