"""The role by which StackSets deploy the layers of a phase into an account, with what these layers need and no more."""
