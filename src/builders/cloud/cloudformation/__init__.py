"""CloudFormation: every type of the registry as a resource, and templates and stacks as AWS judges them."""
