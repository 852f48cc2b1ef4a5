"""The attachment of the Direct Connect gateway to the transit gateway, which two layers of the network account name."""

from __future__ import annotations

from troposphere import Equals, Not, Ref

from builders import naming, parameters
from builders.stack import Stack


def declare(stack: Stack) -> tuple[Ref, str]:
    """Declare the parameter, and return it with the name of the condition that it is given.

    The association of the gateways makes the attachment and tells no id, so the first deployment goes without.
    """
    attachment = stack.parameter(
        parameters.identifier(
            naming.DIRECT_CONNECT_ATTACHMENT,
            "Attachment of the Direct Connect gateway; rollout-stacksets bootstrap finds it; by hand, empty until the "
            "gateways are associated, then from: aws ec2 describe-transit-gateway-attachments --filters "
            "Name=resource-type,Values=direct-connect-gateway",
            prefix="tgw-attach",
            optional=True,
        )
    ).ref()
    return attachment, stack.condition("HasDirectConnectGatewayAttachment", Not(Equals(attachment, "")))
