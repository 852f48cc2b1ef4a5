"""Rules for templates that StackSets deploy; off until their option `enabled` is true."""
