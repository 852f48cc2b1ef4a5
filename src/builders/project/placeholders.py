"""Values that whoever has a project fills in: where an example has a fact about somebody's accounts and network.

A placeholder is a word in angle brackets, which no value of a parameter contains. Parameter files are JSON, and so have
no comments: the name of a placeholder leads to its note.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

PLACEHOLDER = re.compile(r"<([a-z0-9]+(?:-[a-z0-9]+)*)>")


class Note(NamedTuple):
    """The meaning of a value, and a command that finds it, where there is one."""

    meaning: str
    command: str = ""


_IDENTITY = "aws sts get-caller-identity --query Account --output text"

NOTES: Mapping[str, Note] = {
    "tooling-account": Note("account that rolls out, and keeps packages and releases", _IDENTITY),
    "network-account": Note("account of the transit gateway and of Direct Connect", _IDENTITY),
    "region": Note("region of the databases and of the stack sets, such as eu-central-1", "aws configure get region"),
    "cost-center": Note("value of the tag CostCenter on every resource"),
    "on-premises-cidr": Note("range of the source databases and name servers on premises, such as 172.16.0.0/16"),
    "s3-prefix-list": Note(
        "prefix list of S3 in the region",
        "aws ec2 describe-managed-prefix-lists --filters Name=prefix-list-name,Values=com.amazonaws.eu-central-1.s3 "
        "--query 'PrefixLists[].PrefixListId' --output text",
    ),
    "direct-connect-connection": Note(
        "Direct Connect connection, in the network account",
        "aws directconnect describe-connections --query 'connections[].[connectionId,connectionName]' --output text",
    ),
    "virtual-interface-vlan": Note("VLAN of the transit virtual interface on that connection, from 1 to 4094"),
    "on-premises-asn": Note("BGP autonomous system number of your routers"),
    "source-certificate": Note(
        "root certificates of the source's TLS in PEM, with \\n for each line break: "
        "stackferry-init takes a file, --set source-certificate=@root.pem; the command puts it in later",
        'sed -i "s#<source-certificate>#$(awk \'{printf "%s\\\\\\\\n", $0}\' root.pem)#" environments/*.json',
    ),
    "source-database": Note("name of the database on premises"),
    "account": Note("account of the phase", _IDENTITY),
    "vpc-cidr": Note("range of the phase's VPC, such as 10.20.0.0/16, apart from other phases and on-premises"),
    "source-host": Note("host name of the PostgreSQL server on premises, as its certificate has it"),
    "source-secret-arn": Note(
        "secret in the account of the phase with username, password, host and port of DMS's user in the source",
        "aws secretsmanager list-secrets --query 'SecretList[].ARN' --output text",
    ),
}
"""Notes by placeholder; the name of a phase, which some begin with, is left out."""


def note(placeholder: str) -> Note:
    """The note of a placeholder, without its brackets."""
    if found := NOTES.get(placeholder):
        return found
    phase, _, rest = placeholder.partition("-")
    meaning, command = NOTES.get(rest, Note("value of your own"))
    return Note(meaning.replace("the phase", f"phase {phase}"), command)


def unfilled(text: str) -> list[str]:
    """The placeholders in a text, each once, in their order and without brackets."""
    return list(dict.fromkeys(PLACEHOLDER.findall(text)))


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Put values in the place of their placeholders; the others stay."""
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)
