"""The API of DMS over the records that CloudFormation makes: describe, test connections, start, stop, modify."""
