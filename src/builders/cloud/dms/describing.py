"""Records of CloudFormation as DMS describes them: filters, pages, markers.

Source: DMS API reference, the data types, and "Filters", "MaxRecords" and "Marker" of each Describe operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from builders.cloud.cloudformation import records
from builders.cloud.dms import assessments, connections, tasks
from builders.cloud.dms.faults import invalid, not_found
from builders.cloud.internals import ec2
from builders.cloud.server import pages
from builders.resource_types import Json

Described = dict[str, Json]

DEFAULT_PAGE, SMALLEST_PAGE, LARGEST_PAGE, LARGEST_PAGE_OF_TABLES = 100, 20, 100, 500


@dataclass(frozen=True)
class Listing:
    """A Describe operation: the answer's member, what it lists, and {filter: member that it looks at}."""

    member: str
    what: str
    every: Callable[[], list[Described]]
    filters: Mapping[str, str]


def answer(listing: Listing, request: Mapping[str, Json]) -> Described:
    """Answer a Describe operation. Raises ResourceNotFoundFault where filters match nothing."""
    filters = request.get("Filters") or []
    found = filtered(listing.every(), filters, listing.filters)
    if filters and not found:
        raise not_found(listing.what)
    return page(listing.member, found, request, LARGEST_PAGE)


def filtered(items: list[Described], filters: Sequence[Json], members: Mapping[str, str]) -> list[Described]:
    """The items that every filter lets through: one of its values each."""
    for each in filters:
        if each["Name"] not in members:
            raise invalid(f"Invalid filter {each['Name']}; valid are {', '.join(members)} (embedded cloud)")
        member, values = members[each["Name"]], each["Values"]
        items = [item for item in items if _one_or_more(item.get(member)) & set(values)]
    return items


def page(member: str, items: list[Described], request: Mapping[str, Json], largest: int) -> Described:
    """One page of the items, and the marker of the next."""
    size = request.get("MaxRecords", DEFAULT_PAGE)
    if not SMALLEST_PAGE <= size <= largest:
        raise invalid(f"MaxRecords is {size}; it must be between {SMALLEST_PAGE} and {largest} (embedded cloud)")
    refusal = invalid("The marker is not one that this operation gave (embedded cloud)")
    shown, marker = pages.cut(member, items, request.get("Marker"), size, refusal)
    return {member: shown, **({"Marker": marker} if marker else {})}


def _one_or_more(value: Json) -> set[str]:
    return {str(each) for each in value} if isinstance(value, list) else {str(value)}


_CERTIFICATE, _SUBNET_GROUP = "AWS::DMS::Certificate", "AWS::DMS::ReplicationSubnetGroup"


def task(arn: str, record: Mapping[str, Json]) -> Described:
    """A task: what the template says, and what became of it."""
    properties, life = record["Properties"], tasks.find(arn)
    kept = ("SourceEndpointArn", "TargetEndpointArn", "ReplicationInstanceArn", "MigrationType", "TableMappings")
    described = {name: properties[name] for name in kept}
    described |= {
        "ReplicationTaskArn": arn,
        "ReplicationTaskIdentifier": str(properties.get("ReplicationTaskIdentifier", arn.rsplit(":", 1)[-1])).lower(),
        "ReplicationTaskSettings": properties.get("ReplicationTaskSettings", "{}"),
        "Status": life.status,
    }
    described |= {name: properties[name] for name in ("CdcStartPosition", "CdcStopPosition") if name in properties}
    if life.stop_reason:
        described["StopReason"] = life.stop_reason
    if life.failure:
        described["LastFailureMessage"] = life.failure
    if life.has_run:
        counts = dict.fromkeys(("TablesLoaded", "TablesLoading", "TablesQueued", "TablesErrored"), 0)
        described["ReplicationTaskStats"] = {"FullLoadProgressPercent": 0, **counts, **life.statistics}
    return described


def _instance(arn: str, record: Mapping[str, Json]) -> Described:
    properties = record["Properties"]
    kept = ("AllocatedStorage", "AutoMinorVersionUpgrade", "EngineVersion", "KmsKeyId", "MultiAZ",
            "PreferredMaintenanceWindow", "PubliclyAccessible", "ReplicationInstanceClass")  # fmt: skip
    return {
        **{name: properties[name] for name in kept if name in properties},
        "ReplicationInstanceArn": arn,
        "ReplicationInstanceIdentifier": str(properties.get("ReplicationInstanceIdentifier", "")).lower(),
        "ReplicationInstanceStatus": "available",
        "PubliclyAccessible": properties.get("PubliclyAccessible", True),
        "VpcSecurityGroups": [
            {"VpcSecurityGroupId": group, "Status": "active"} for group in properties.get("VpcSecurityGroupIds") or []
        ],
        "ReplicationSubnetGroup": {
            "ReplicationSubnetGroupIdentifier": properties.get("ReplicationSubnetGroupIdentifier", "default")
        },
    }


def _endpoint(arn: str, record: Mapping[str, Json]) -> Described:
    properties = record["Properties"]
    kept = ("CertificateArn", "DatabaseName", "EngineName", "KmsKeyId", "Port", "ServerName", "Username")
    settings = properties.get("PostgreSqlSettings")
    return {
        **{name: properties[name] for name in kept if name in properties},
        "EndpointArn": arn,
        "EndpointIdentifier": str(properties.get("EndpointIdentifier", arn.rsplit(":", 1)[-1])).lower(),
        "EndpointType": str(properties["EndpointType"]).upper(),
        "SslMode": properties.get("SslMode", "none"),
        "Status": "active",
        **({"PostgreSQLSettings": settings} if settings else {}),
    }


def _certificate(arn: str, record: Mapping[str, Json]) -> Described:
    properties = record["Properties"]
    identifier = str(properties.get("CertificateIdentifier", arn.rsplit(":", 1)[-1])).lower()
    return {"CertificateArn": arn, "CertificateIdentifier": identifier, "CertificatePem": properties["CertificatePem"]}


def _subnet_group(name: str, record: Mapping[str, Json]) -> Described:
    properties = record["Properties"]
    subnets = [ec2.subnets[identifier] for identifier in properties["SubnetIds"] if identifier in ec2.subnets]
    return {
        "ReplicationSubnetGroupIdentifier": name.lower(),
        "ReplicationSubnetGroupDescription": properties["ReplicationSubnetGroupDescription"],
        "VpcId": subnets[0]["VpcId"] if subnets else "",
        "SubnetGroupStatus": "Complete",
        "Subnets": [
            {
                "SubnetIdentifier": subnet["SubnetId"],
                "SubnetAvailabilityZone": {"Name": subnet["AvailabilityZone"]},
                "SubnetStatus": "Active",
            }
            for subnet in subnets
        ],
    }


def tags(arn: str) -> list[dict[str, str]]:
    """The tags of a resource. Raises ResourceNotFoundFault."""
    for kind in (tasks.TYPE, connections.INSTANCE, connections.ENDPOINT, _CERTIFICATE, _SUBNET_GROUP):
        for physical_id, record in records.find(kind).items():
            if arn == physical_id or (kind == _SUBNET_GROUP and arn.endswith(f":subgrp:{physical_id.lower()}")):
                found: list[dict[str, str]] = record["Properties"].get("Tags") or []
                return found
    raise not_found(f"Resource {arn}")


def _records(kind: str, describe: Callable[[str, Mapping[str, Json]], Described]) -> Callable[[], list[Described]]:
    return lambda: [describe(physical_id, record) for physical_id, record in sorted(records.find(kind).items())]


def _tasks() -> list[Described]:
    found = _records(tasks.TYPE, task)()
    return [each | {"EndpointArns": [each["SourceEndpointArn"], each["TargetEndpointArn"]]} for each in found]


LISTINGS = {
    "DescribeReplicationTasks": Listing(
        "ReplicationTasks",
        "Tasks",
        _tasks,
        {
            "replication-task-arn": "ReplicationTaskArn",
            "replication-task-id": "ReplicationTaskIdentifier",
            "migration-type": "MigrationType",
            "endpoint-arn": "EndpointArns",
            "replication-instance-arn": "ReplicationInstanceArn",
        },
    ),
    "DescribeReplicationInstances": Listing(
        "ReplicationInstances",
        "Replication instances",
        _records(connections.INSTANCE, _instance),
        {
            "replication-instance-arn": "ReplicationInstanceArn",
            "replication-instance-id": "ReplicationInstanceIdentifier",
            "replication-instance-class": "ReplicationInstanceClass",
            "engine-version": "EngineVersion",
        },
    ),
    "DescribeEndpoints": Listing(
        "Endpoints",
        "Endpoints",
        _records(connections.ENDPOINT, _endpoint),
        {
            "endpoint-arn": "EndpointArn",
            "endpoint-id": "EndpointIdentifier",
            "endpoint-type": "EndpointType",
            "engine-name": "EngineName",
        },
    ),
    "DescribeCertificates": Listing(
        "Certificates",
        "Certificates",
        _records(_CERTIFICATE, _certificate),
        {"certificate-arn": "CertificateArn", "certificate-id": "CertificateIdentifier"},
    ),
    "DescribeReplicationSubnetGroups": Listing(
        "ReplicationSubnetGroups",
        "Replication subnet groups",
        _records(_SUBNET_GROUP, _subnet_group),
        {"replication-subnet-group-id": "ReplicationSubnetGroupIdentifier"},
    ),
    "DescribeReplicationTaskAssessmentRuns": Listing(
        "ReplicationTaskAssessmentRuns", "Assessment runs", assessments.runs, assessments.FILTERS
    ),
    "DescribeReplicationTaskIndividualAssessments": Listing(
        "ReplicationTaskIndividualAssessments", "Assessments", assessments.individual, assessments.FILTERS
    ),
    "DescribeConnections": Listing(
        "Connections",
        "Connections",
        connections.every,
        {"endpoint-arn": "EndpointArn", "replication-instance-arn": "ReplicationInstanceArn"},
    ),
}
