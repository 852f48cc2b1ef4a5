"""CloudFormation StackSets: stack sets whose member stacks are real stacks of the member accounts."""
