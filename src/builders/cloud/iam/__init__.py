"""IAM and STS: who may do what, and who may assume which role."""
