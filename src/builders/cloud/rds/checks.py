"""Refusals of RDS: versions, classes and names, subnet groups in one zone only, and what `database_instances` judges.

The versions and classes are cfn-lint's lists of what RDS offers; the sentences are RDS's.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Mapping

from cfnlint.jsonschema import StandardValidator
from ministack.core.responses import get_region

from builders import database_instances
from builders.cloud.internals import ec2, kms, rds
from builders.resource_types import Json

# Generations of classes that no engine runs on any more (RDS user guide, "DB instance classes", previous generations).
_RETIRED_CLASSES = ("db.t1.", "db.m1.", "db.m2.", "db.m3.", "db.r3.", "db.cr1.")

NEWEST = "17"
"""The major version that RDS takes where the template names none."""

# Engines that no longer have a version of these major versions (RDS user guide, "MariaDB on Amazon RDS versions",
# "MySQL on Amazon RDS versions"; cfn-lint has no list of retired ones for MariaDB).
_OLD_ORACLE, _OLD_SQL_SERVER = ("11.2", "12.1", "12.2", "18"), ("10.50", "11.00", "12.00")
_RETIRED_MAJORS = {
    "mariadb": ("10.0", "10.1", "10.2", "10.3"),
    **{f"oracle-{edition}": _OLD_ORACLE for edition in ("ee", "ee-cdb", "se2", "se2-cdb")},
    **{f"sqlserver-{edition}": _OLD_SQL_SERVER for edition in ("ee", "se", "ex", "web")},
}


def check_engine(properties: Mapping[str, Json]) -> None:
    """Refuse an engine that RDS does not have. Raises ValueError with RDS's sentence."""
    engines = _offered("engine_version.json")["allOf"][0]["then"]["properties"]["Engine"]["enum"]
    if properties.get("Engine") not in engines and not properties.get("DBSnapshotIdentifier"):
        raise ValueError(f"Invalid DB engine: {properties.get('Engine')} (Service: Rds, Status Code: 400)")


def check_instance(properties: Mapping[str, Json], existing: str | None) -> None:
    """Refuse an instance that RDS would refuse. Raises ValueError with RDS's sentence."""
    name, engine = str(properties.get("DBInstanceIdentifier", "")).lower(), str(properties.get("Engine"))
    if existing is None and name and name in rds.instances:
        raise ValueError(f"DB instance {name} already exists (Service: Rds, Status Code: 400)")
    if name and not re.fullmatch(r"[a-z](-?[a-z0-9]){0,62}", name):
        raise ValueError(
            "The parameter DBInstanceIdentifier is not a valid identifier. Identifiers must begin with a letter; "
            "must contain only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two "
            "consecutive hyphens."
        )
    _check_version(properties, is_new=existing is None)
    if engine == "postgres":
        check_class(properties)
    elif str(properties.get("DBInstanceClass", "")).startswith(_RETIRED_CLASSES):
        raise ValueError(f"Invalid DB Instance class: {properties['DBInstanceClass']} (Service: Rds, Status Code: 400)")
    _check_values("AWS::RDS::DBInstance", properties, is_new=existing is None)
    if engine in database_instances.STORAGE_ENGINES and not properties.get("DBClusterIdentifier"):
        _check_login(properties)
    _check_surroundings(properties)


def _check_values(kind: str, properties: Mapping[str, Json], *, is_new: bool) -> None:
    for _, sentence in database_instances.refusals(properties, database_instances.CHECKS[kind], is_new=is_new):
        raise ValueError(f"{sentence} (Service: Rds, Status Code: 400)")


def check_cluster(properties: Mapping[str, Json], existing: str | None) -> None:
    """Refuse a cluster of an engine or a version that RDS does not have, or no longer makes."""
    engine, version = str(properties.get("Engine") or "").lower(), properties.get("EngineVersion")
    restored = any(properties.get(name) for name in ("SnapshotIdentifier", "SourceDBClusterIdentifier"))
    if not restored and engine not in _CLUSTER_ENGINES:
        raise ValueError(f"Invalid DB engine: {properties.get('Engine')} (Service: Rds, Status Code: 400)")
    if version is not None and not restored:
        _check_version({"Engine": engine, "EngineVersion": version}, is_new=existing is None)
    _check_values("AWS::RDS::DBCluster", properties, is_new=existing is None)


_CLUSTER_ENGINES = ("aurora-mysql", "aurora-postgresql", "mysql", "postgres", "neptune", "docdb")


def check_subnet_group(properties: Mapping[str, Json], _physical_id: str | None = None) -> None:
    """Refuse a DB subnet group that is empty or lies in one zone. Raises ValueError with RDS's sentence."""
    subnets = [ec2.subnets.get(identifier) for identifier in properties.get("SubnetIds") or []]
    zones = {subnet["AvailabilityZone"] for subnet in subnets if subnet}
    if all(subnets) and len(zones) < 2:
        raise ValueError(
            "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: "
            f"{', '.join(sorted(zones)) or 'none'}. Add subnets to cover at least 2 AZs."
        )


def full_version(version: str) -> str:
    """Return the version that RDS runs for a major version alone: the newest minor one that it offers."""
    minors = [each for each in _versions() if re.fullmatch(rf"{re.escape(version)}\.\d+", each)]
    return max(minors, key=lambda each: int(each.split(".")[1]), default=version) if "." not in version else version


@functools.cache
def _offered(file: str) -> Json:
    directory = importlib.resources.files("cfnlint.data.schemas.extensions.aws_rds_dbinstance")
    return json.loads((directory / file).read_text())


@functools.cache
def _versions() -> tuple[str, ...]:
    for rule in _offered("engine_version.json")["allOf"]:
        engine = rule["if"]["properties"]["Engine"]
        if engine.get("const") == "postgres" and "EngineVersion" in rule["then"]["properties"]:
            return tuple(rule["then"]["properties"]["EngineVersion"]["enum"])
    return ()


@functools.cache
def _listed(file: str, engine: str, part: str) -> frozenset[str]:
    """Return the versions of an engine in one of cfn-lint's lists; empty where it has none."""
    for rule in _offered(file)["allOf"]:
        conditions = rule["if"]["properties"]
        found = rule[part]["properties"].get("EngineVersion") or {}
        if conditions["Engine"].get("const") == engine and isinstance(found, dict) and "enum" in found:
            return frozenset(map(str, found["enum"]))
    return frozenset()


def _check_version(properties: Mapping[str, Json], *, is_new: bool) -> None:
    """Refuse a version that RDS does not have, and for a new instance one that it no longer makes."""
    version, engine = properties.get("EngineVersion"), str(properties.get("Engine"))
    if version is None:
        return
    offered = _listed("engine_version.json", engine, "then")
    retired = _listed("engine_version_deprecated.json", engine, "if")
    # A major version alone means its newest minor one, so it is there as long as one of them is.
    is_major = any(each.startswith(f"{version}.") for each in offered - retired)
    of_old = any(
        str(version) == each or str(version).startswith(f"{each}.") for each in _RETIRED_MAJORS.get(engine, ())
    )
    restored = properties.get("DBSnapshotIdentifier") or properties.get("SourceDBInstanceIdentifier")
    is_retired = of_old or (str(version) in retired and not is_major)
    unknown = bool(offered) and str(version) not in offered and not is_major
    if unknown or (is_new and not restored and is_retired):
        raise ValueError(f"Cannot find version {version} for {engine} (Service: Rds, Status Code: 400)")


def check_class(properties: Mapping[str, Json]) -> None:
    """Refuse a class that postgres does not have in the region and version."""
    version = properties.get("EngineVersion")
    if not is_offered(get_region(), str(properties.get("DBInstanceClass", "")), str(version or NEWEST)):
        raise ValueError(
            "RDS does not support creating a DB instance with the following combination: "
            f"DBInstanceClass={properties.get('DBInstanceClass')}, Engine=postgres, "
            f"EngineVersion={version}. For supported combinations of instance class and database engine version, "
            "see the documentation."
        )


@functools.cache
def is_offered(region: str, size: str, version: str) -> bool:
    """Return whether postgres can be had in a region in this class and version."""
    combination = {
        "Engine": "postgres",
        "LicenseModel": "postgresql-license",
        "DBInstanceClass": size,
        "EngineVersion": full_version(version),
    }
    of_region = _offered("dbinstanceclass_enum.json").get(region, {}).get("allOf", [])
    rules = [*_offered("db_instance_class.json")["allOf"], *of_region]
    # Nine of ten rules are those of other engines.
    ours = [rule for rule in rules if rule["if"]["properties"]["Engine"]["const"] == "postgres"]
    return bool(StandardValidator(schema={"allOf": ours}).is_valid(combination))


def _check_login(properties: Mapping[str, Json]) -> None:
    restored = properties.get("DBSnapshotIdentifier") or properties.get("SourceDBInstanceIdentifier")
    if not properties.get("MasterUsername") and not restored:
        raise ValueError("The parameter MasterUsername must be provided and must not be blank.")
    managed = properties.get("ManageMasterUserPassword") is True
    password = properties.get("MasterUserPassword")
    if managed and password:
        raise ValueError("You can't specify MasterUserPassword when ManageMasterUserPassword is enabled.")
    if managed or restored:
        return
    if not password:
        raise ValueError("The parameter MasterUserPassword must be provided and must not be blank.")
    if not 8 <= len(str(password)) <= 128:
        raise ValueError("The parameter MasterUserPassword is not a valid password because it is not 8 to 128 "
                         "characters long.")  # fmt: skip
    if re.search(r"[/\"@ ]|[^\x20-\x7e]", str(password)):
        raise ValueError(
            "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides "
            "'/', '@', '\"', ' ' may be used."
        )


def _check_surroundings(properties: Mapping[str, Json]) -> None:
    """Refuse names of what does not exist."""
    snapshot = str(properties.get("DBSnapshotIdentifier") or "")
    if snapshot and snapshot.rsplit(":", 1)[-1] not in rds.snapshots:
        raise ValueError(f"DBSnapshot not found: {snapshot} (Service: Rds, Status Code: 404)")
    group = properties.get("DBSubnetGroupName")
    if group and group != "default" and group not in rds.subnet_groups:
        raise ValueError(f"DBSubnetGroup not found: {group}")
    parameters = properties.get("DBParameterGroupName")
    if parameters and not parameters.startswith("default.") and parameters not in rds.parameter_groups:
        raise ValueError(f"DBParameterGroup not found: {parameters}")
    if parameters in rds.parameter_groups and properties.get("EngineVersion") and properties["Engine"] == "postgres":
        family = rds.parameter_groups[parameters]["DBParameterGroupFamily"]
        if family != "postgres" + str(properties["EngineVersion"]).split(".", maxsplit=1)[0]:
            raise ValueError(
                f"The parameter group {parameters} with DBParameterGroupFamily {family} cannot be used for this "
                "instance. Please use a Parameter Group with DBParameterGroupFamily postgres"
                + str(properties["EngineVersion"]).split(".", maxsplit=1)[0]
            )
    vpc = (rds.subnet_groups.get(group) or {}).get("VpcId")
    for identifier in properties.get("VPCSecurityGroups") or []:
        security_group = ec2.security_groups.get(identifier)
        if security_group is None:
            raise ValueError(f"Invalid security group , groupId= {identifier}, groupName=.")
        if vpc and security_group["VpcId"] != vpc:
            raise ValueError(
                "The DB instance and EC2 security group are in different VPCs. The DB instance is in "
                f"{vpc} and the EC2 security group is in {security_group['VpcId']}"
            )
    key = properties.get("KmsKeyId")
    if key and kms.find_key(key) is None:
        raise ValueError(f"KMS key ID {key} is not accessible (Service: Rds, Error Code: KMSKeyNotAccessibleFault)")
