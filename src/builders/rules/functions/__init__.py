"""Rules for Lambda functions and custom resources."""
