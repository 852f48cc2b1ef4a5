"""EC2: network resources, their checks, and the names that functions in a VPC resolve."""
