"""Findings of cdk-nag about resources that end in `*`, acknowledged by the names that cdk-nag gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct


def acknowledge_folders(role: iam.Role, statements: Sequence[iam.PolicyStatement], reason: str) -> None:
    """Acknowledge every resource of a role's statements that ends in `*`, but not `*` itself."""
    stack = cdk.Stack.of(role)
    names = {_flat(stack.resolve(each)) for statement in statements for each in statement.resources}
    cdk.Validations.of(role).acknowledge(
        *(
            cdk.Acknowledgment(id=f"AwsSolutions-IAM5[Resource::{name}]", reason=reason)
            for name in sorted(names)
            if name.endswith("*") and name != "*"
        )
    )


def as_seen_from(scope: Construct, owner: Construct, attribute: str) -> str:
    """An attribute of a construct of this or of another stack, as it will stand in the template of `scope`. CDK would
    put it there only after everything is constructed, and acknowledgements need it before. Between stacks it is an
    export, which cannot change while it is used: for what outlives both."""
    home = cdk.Stack.of(owner)
    return attribute if home.node.path == cdk.Stack.of(scope).node.path else home.export_value(attribute)


def _flat(resource: Any) -> str:
    """How cdk-nag spells a resource of a template."""
    match resource:
        case {"Fn::Join": [delimiter, parts]}:
            return str(delimiter).join(map(_flat, parts))
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::ImportValue": name} | str(name):
            return str(name)
        case {"Ref": name}:
            return f"<{name}>"
        case _:
            raise TypeError(f"no resource: {resource}")
