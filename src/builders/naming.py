"""Names and limits on which templates, rollout, lint and the embedded cloud agree.

Layers put `${EnvironmentSuffix}` behind a base such as PLAN_ROLE; the rollout puts the suffix itself there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

SUFFIX = "EnvironmentSuffix"
"""The parameter of every template that ends names and exports: one value for each deployed environment."""

SUFFIX_PATTERN = "^[a-z][a-z0-9]*$"
"""Without hyphens: policies confine a phase to names that end in its suffix, and `*-dev` matches `network-eu-dev`."""

SUFFIX_MAX_LENGTH = 16
"""Leaves room for the longest physical name that carries it; a test measures every name at this length."""

RESERVED_SUFFIXES = ("content", "rollout")
"""Folders that all phases share in the bucket of artifacts: templates lie in `rollout/content/`, state in
`rollout/<suffix>/`, and packages, which whoever deploys a phase may write, in `<suffix>/`."""

IS_RESERVED = "a folder that all phases share in the bucket of artifacts; choose another suffix"
"""The end of the sentence on such a suffix."""

PHASE_PATTERN = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
"""Names of phases, which stand in tags and external ids, and end no name."""

MIGRATION_PHASE, COST_CENTER, COMPLIANCE_SCOPE = "MigrationPhase", "CostCenter", "ComplianceScope"
"""The other parameters of every template."""

ARTIFACTS_BUCKET = "ArtifactsBucket"
"""The output of `artifacts` and the parameter of every layer with a function: the region's bucket of packages."""

PACKAGE_KEY = "PackageKey"
"""The end of the parameters that take the keys of packages."""


def package_version(parameter: str) -> str:
    """The parameter that takes the version of the package whose key another one takes."""
    return f"{parameter.removesuffix(PACKAGE_KEY)}PackageVersion"


LASTING_PARAMETERS = frozenset(
    {
        *("AllocatedStorageGiB", "MaxAllocatedStorageGiB", "EngineVersion"),
        *("ReplicationStorageGiB", "ReplicationEngineVersion"),
    }
)
"""Parameters of `database` and `migration` that a rollback leaves as they are.

RDS takes neither storage nor the version of an engine back, and DMS no version (service_limits.change_refusals). The
most storage of a database is above what it has. Nothing is known to us of DMS's storage, so that it stays, too."""

CONNECTIVITY, TRANSIT_GATEWAY = "Connectivity", "TransitGateway"
"""The parameter of `network` that chooses the way to on-premises, and its value for the network account's gateway."""

DIRECT_CONNECT_ATTACHMENT = "DirectConnectGatewayAttachmentId"
"""The parameter of `shared_network` and `phase_routes`, and the output of the first, that bootstrap looks up."""

TAGS: Mapping[str, str] = MappingProxyType(
    {
        "Environment": SUFFIX,
        MIGRATION_PHASE: MIGRATION_PHASE,
        COST_CENTER: COST_CENTER,
        COMPLIANCE_SCOPE: COMPLIANCE_SCOPE,
    }
)
"""The parameter that each tag takes its value from; resources have a tag `Name` besides."""

METADATA = "Stackferry"
"""The key of a template's metadata under which it describes itself: {"Scope": "PHASE", "Needs": ["foundation"]}."""

PREFIX = "stackferry-"
"""Begins every stack set of ours, so that policies can name all of them."""

ADMINISTRATION_ROLE = "stackferry-administration"
EXECUTION_ROLE = "stackferry-execution"
"""StackSets is given both, with the suffix of a phase, whose administration role may assume no other execution role."""

PLAN_ROLE = "stackferry-plan"
"""Assumed from the tooling account, which composes the role's ARN from this name and the suffix."""

DEPLOY_ROLE = "stackferry-deploy"
"""The narrow role for `deploy_role` of rollout.yaml, which `deploy_role` makes in every account."""

OWN_POLICY = "ExecutionOwnPolicy"
"""Logical ids, with a number, of the execution role's policies for layers of a project's own."""
PERMISSIONS_BOUNDARY = "stackferry-boundary"
"""The policy of `account` that limits every role of a phase, whatever the role's own policies say."""

DEFAULT_ADMINISTRATION_ROLE = "AWSCloudFormationStackSetAdministrationRole"
DEFAULT_EXECUTION_ROLE = "AWSCloudFormationStackSetExecutionRole"
ACCOUNT_GATE_FUNCTION = "AWSCloudFormationStackSetAccountGate"
"""Names that StackSets use where a set names no roles (CloudFormation user guide, "Grant self-managed permissions", and
"Set up account gates")."""

ORGANIZATION_ROLE = "OrganizationAccountAccessRole"
"""The role of the management account in every account that AWS Organizations made."""

DMS_VPC_ROLE, DMS_LOGS_ROLE = "dms-vpc-role", "dms-cloudwatch-logs-role"
"""DMS finds them by these names alone, so they carry no suffix (DMS user guide, "Creating the IAM roles to use with
AWS DMS")."""

REPLICATION_TASK = "stackferry-task"
"""The migration's replication task, which the rotation of DMS's password asks about before it touches anything."""

REPLICATION_TASK_RESOURCE = "ferry-task"
"""The end of the task's ARN; DMS takes 31 characters here, one fewer than the task's name can have."""

APPLICATION_SECRET = "stackferry-application"  # noqa: S105  a name
"""Begins, before the suffix, the names of the secrets with new passwords for the application's roles."""

FALLBACK_TASK, FALLBACK_TASK_RESOURCE = "stackferry-fallback", "ferry-fallback"
"""The task of the way back, and the end of its ARN."""

DMS_USERNAME, FALLBACK_USERNAME = "ferry_dms", "ferry_fallback"
"""The users in RDS by whom DMS writes on the way forth, and reads on the way back; `secrets` generates their logins."""

FALLBACK_SLOT = "stackferry_fallback"
"""The slot in the target from which the way back begins: `migrate-database cutover` makes it before the first write."""

STATE_SCHEMA = "stackferry_state"
"""The schema of the target in which a migration keeps its state; it is never replicated."""

MARKER_SCHEMA, MARKER_TABLE = "stackferry", "marker"
"""The table by which `migrate-database` sees that the changes before a moment have arrived; both tasks carry it."""

REPLICATION_INSTANCE = "stackferry-replication"
"""The replication instance, by whose name CloudWatch knows its metrics and its log group is called."""

TEMPLATE_LIMIT_BYTES = 51_200
"""The largest template that goes with a request, without a bucket; this and what follows: CloudFormation user guide,
"Understand CloudFormation quotas"."""

UNITS_LIMIT = 50
"""Organizational units in one call of StackSets."""
PARAMETER_LIMIT_BYTES = 4_096
SECTION_LIMITS: Mapping[str, int] = MappingProxyType(
    {"Resources": 500, "Parameters": 200, "Outputs": 200, "Mappings": 200}
)


def oversize(template: str) -> str | None:
    """The sentence about a template that is too large for a request; None for one that is not."""
    size = len(template.encode())
    if size <= TEMPLATE_LIMIT_BYTES:
        return None
    return f"the template has {size:,} bytes; CloudFormation takes {TEMPLATE_LIMIT_BYTES:,} in a request"


def stack_set(layer: str, suffix: str) -> str:
    """The stack set of a layer in a phase."""
    return f"{PREFIX}{plain_stack(layer, suffix)}"


def existing_stack_sets(layers: Iterable[str], suffix: str, names: Collection[str]) -> dict[str, str]:
    """The stack sets of a phase among the names of those that exist, by layer in the order of the alphabet."""
    found = {layer: stack_set(layer, suffix) for layer in sorted(layers)}
    return {layer: name for layer, name in found.items() if name in names}


def plain_stack(layer: str, suffix: str) -> str:
    """The stack of a layer that no stack set carries; stack names take no underscores."""
    return f"{layer.replace('_', '-')}-{suffix}"


def network_stack(layer: str, suffix: str, account: str) -> str:
    """The stack in the network account for one account of a phase: those of all accounts stand side by side there."""
    return f"{plain_stack(layer, suffix)}-{account}"


def with_suffix(base: str, suffix: str) -> str:
    """The physical name for a base such as PLAN_ROLE."""
    return f"{base}-{suffix}"


def external_id(phase: str) -> str:
    """The word by which another account assumes a role of this phase, and of no other."""
    return f"migration-{phase}"


def tags(values: Mapping[str, str]) -> dict[str, str]:
    """The tags of stacks that have these parameters, which their resources carry too."""
    return {tag: values[parameter] for tag, parameter in TAGS.items() if parameter in values}
