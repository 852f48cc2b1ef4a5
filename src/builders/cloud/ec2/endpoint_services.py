"""The services that an endpoint of a VPC can lead to, and their zones.

Sources: AWS PrivateLink guide, "AWS services that integrate with AWS PrivateLink" and "Gateway endpoints"; botocore's
endpoints, whose prefixes most names are. A service that has no endpoint, but a prefix there, is taken; so are services
of other accounts, of which only the form is known here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import botocore.session
from cfnlint.helpers import AVAILABILITY_ZONES
from ministack.core.responses import get_region

from builders.cloud.internals import ec2
from builders.cloud.patches import patch
from builders.cloud.server import faults
from builders.resource_types import Json

_GATEWAYS = ("dynamodb", "s3")

# Names that are no prefix of an endpoint of botocore's.
_OTHERS = frozenset(
    """
    access-analyzer account aiops airflow.api airflow.api-fips airflow.env airflow.env-fips airflow.ops
    analytics-omics app-integrations appconfigdata application-autoscaling applicationinsights appmesh
    appmesh-envoy-management apprunner.requests appstream.api appstream.streaming appsync-api apptest aps
    aps-workspaces arc-zonal-shift auditmanager autoscaling-plans b2bi backup-gateway bedrock-agent
    bedrock-agent-runtime bedrock-agentcore bedrock-runtime billing codeartifact.api codeartifact.repositories
    codeconnections.api codedeploy-commands-secure codestar-connections.api codewhisperer connect-campaigns
    control-storage-omics data-servicediscovery datazone deadline.management deadline.scheduling drs ebs ec2messages
    ecr.api ecr.dkr ecs-agent ecs-telemetry eks-auth elasticbeanstalk-health email-smtp emr-containers emr-serverless
    emr-serverless-services.livy emrwal.prod entityresolution evidently-dataplane execute-api fis forecastquery freetier
    fsx git-codecommit glue.dashboard grafana grafana-workspace greengrass guardduty-data inspector-scan internetmonitor
    iot.credentials iot.data iot.fleethub.api iotsitewise.api iotsitewise.data iottwinmaker.api iottwinmaker.data
    iotwireless.api kinesis-firehose kinesis-streams lookoutequipment medical-imaging mediaconnect models-v2-lex
    network-firewall notifications oam observabilityadmin payment-cryptography.controlplane
    payment-cryptography.dataplane pca-connector-ad pca-connector-scep pcs personalize-events personalize-runtime pipes
    pipes-data private-networks projects.iot1click q qapps qldb.session rbin rds-data redshift-data redshift-serverless
    refactor-spaces resource-explorer-2 resource-groups rolesanywhere rum rum-dataplane runtime-v2-lex s3express
    s3-outposts s3tables sagemaker.api sagemaker.featurestore-runtime sagemaker.metrics sagemaker.runtime schemas scn
    securitylake servicecatalog-appregistry servicediscovery signin sms-voice social-messaging ssm-contacts
    ssm-incidents ssm-quicksetup ssmmessages storage-omics streaming-rekognition sync-states tagging tags-omics
    thinclient.api timestream-influxdb tnb transcribestreaming transfer.server trustedadvisor user-subscriptions
    verifiedpermissions vpc-lattice workflows-omics workspaces-instances xray
    """.split()  # noqa: SIM905
)
_CELL = re.compile(r"timestream\.(ingest|query)-cell\d+")


def check(properties: Mapping[str, Json]) -> None:
    """Refuse a service that there is not, or not as this type of endpoint. Raises ValueError with EC2's sentence."""
    name = str(properties.get("ServiceName") or "")
    kind = str(properties.get("VpcEndpointType") or "Gateway")
    if not name or kind in ("Resource", "ServiceNetwork"):
        return
    suffix = _suffix(name, str(properties.get("ServiceRegion") or get_region()))
    if suffix is None:
        raise ValueError(f"The Vpc Endpoint Service '{name}' does not exist (Service: Ec2, Status Code: 400)")
    kinds = ["Gateway", "Interface"] if suffix in _GATEWAYS else ["Interface"]
    if suffix and kind not in kinds and kind != "GatewayLoadBalancer":
        raise ValueError(
            f"Endpoint type ({kind}) does not match available service types ([{', '.join(kinds)}]). (Service: Ec2, "
            "Status Code: 400)"
        )
    for subnet in properties.get("SubnetIds") or () if suffix else ():
        if ec2.subnets[subnet]["AvailabilityZone"] not in _zones_with(suffix):
            # terraform-aws-modules/terraform-aws-vpc#462, in EC2's words.
            raise ValueError(
                f"The VPC endpoint service {name} does not support the availability zone of the subnet: {subnet}. "
                "(Service: Ec2, Status Code: 400)"
            )
    vpc = ec2.vpcs.get(properties.get("VpcId")) or {}
    if properties.get("PrivateDnsEnabled") is True and kind == "Interface":
        settings = [vpc.get("EnableDnsSupport", True), vpc.get("EnableDnsHostnames", False)]
        if not all(each is True or str(each).lower() == "true" for each in settings):
            raise ValueError(
                "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true "
                f"for {properties.get('VpcId')} (Service: Ec2, Status Code: 400)"
            )


def _suffix(name: str, region: str) -> str | None:
    """Return what follows the region in a service's name; nothing for another account's, None for no service."""
    if re.fullmatch(r"com\.amazonaws\.vpce\.[a-z0-9-]+\.vpce-svc-[0-9a-f]+", name):
        return ""
    if name in ("com.amazonaws.iam", "com.amazonaws.s3-global.accesspoint") or re.fullmatch(
        rf"(aws\.sagemaker|aws\.api|api\.aws)\.{region}\.[a-z0-9.-]+", name
    ):
        return ""
    found = re.fullmatch(rf"(?:cn\.)?com\.amazonaws\.{region}\.([a-z0-9.-]+)", name)
    suffix = found[1].removesuffix("-fips") if found else ""
    known = suffix in _prefixes() or suffix in _OTHERS or _CELL.fullmatch(suffix)
    return suffix if found and known else None


def zones_of(region: str) -> list[str]:
    """Return the zones of a region: cfn-lint's names, and two of us-west-1's, since an account sees two there."""
    zones = list(AVAILABILITY_ZONES.get(region, [f"{region}{letter}" for letter in "abc"]))
    return zones[:2] if region == "us-west-1" else zones


def _zones_with(service: str) -> list[str]:
    return faults.zones_with(service, {zone: ec2.zone_id(zone) for zone in zones_of(get_region())})


@patch(
    "ministack.services.ec2._ACTION_MAP[DescribeVpcEndpointServices]",
    why="seventeen services have an endpoint, dms not, each in the zones a, b and c",
)
def _describe(original: Any, parameters: Mapping[str, Json]) -> Json:
    asked = ec2.members(parameters, "ServiceName") or ec2.filters(parameters).get("service-name", [])
    if not asked:
        return original(parameters)
    suffixes = {name: _suffix(name, get_region()) for name in asked}
    if unknown := [name for name, suffix in suffixes.items() if not suffix]:
        return ec2.error("InvalidServiceName", f"The Vpc Endpoint Service '{unknown[0]}' does not exist", 400)
    details = "".join(
        _detail(name, str(suffix), kind)
        for name, suffix in suffixes.items()
        for kind in (["Gateway", "Interface"] if suffix in _GATEWAYS else ["Interface"])
        if kind in ec2.filters(parameters).get("service-type", [kind])
    )
    names = "".join(f"<item>{name}</item>" for name in asked)
    inner = f"<serviceNameSet>{names}</serviceNameSet><serviceDetailSet>{details}</serviceDetailSet>"
    return ec2.xml(200, "DescribeVpcEndpointServicesResponse", inner)


def _detail(name: str, suffix: str, kind: str) -> str:
    zones = _zones_with(suffix)
    names = "".join(f"<item>{zone}</item>" for zone in zones)
    ids = "".join(f"<item>{ec2.zone_id(zone)}</item>" for zone in zones)
    return (
        f"<item><serviceName>{name}</serviceName><serviceType><item><serviceType>{kind}</serviceType></item>"
        f"</serviceType><serviceRegion>{get_region()}</serviceRegion><availabilityZoneSet>{names}</availabilityZoneSet>"
        f"<availabilityZoneIdSet>{ids}</availabilityZoneIdSet><owner>amazon</owner>"
        "<acceptanceRequired>false</acceptanceRequired><managesVpcEndpoints>false</managesVpcEndpoints></item>"
    )


@functools.cache
def _prefixes() -> frozenset[str]:
    endpoints = botocore.session.get_session().get_data("endpoints")
    return frozenset(name for partition in endpoints["partitions"] for name in partition["services"])
