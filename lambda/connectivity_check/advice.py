"""Advice on a failed connection: by the server's role for us, and by the step at which the connection failed."""

from __future__ import annotations

_ON_PREMISES_FIREWALL = "the firewall on-premises, and the routes of Direct Connect back to VpcCidr"

ADVICE: dict[tuple[str, str], str] = {
    ("source", "name"): "check SourceHost, and OnPremisesDomainName and OnPremisesDnsServer1 of the layer network",
    ("source", "silence"): "check that an OnPremisesCidr of the layer network holds the address, SourcePort there, "
    f"the attachment of Direct Connect and its route table (phase_routes), and {_ON_PREMISES_FIREWALL}",
    ("source", "refusal"): "check SourcePort, and listen_addresses and port of the server",
    ("source", "no PostgreSQL"): "check that SourceHost and SourcePort are PostgreSQL's own, without a proxy before it",
    ("source", "no TLS"): "set ssl = on at the server, with TLS 1.2 or later",
    ("source", "certificate"): "check that SourceCertificatePem is the root authority above the server's certificate, "
    "that the server sends those in between, and that its certificate names SourceHost",
    ("source", "authority"): "give SourceCertificatePem one whole certificate in PEM",
    ("source", "secret"): "correct the secret in SourceSecretArn, or the parameter: DMS uses what the secret says",
    ("source", "28P01"): "check username and password in the secret in SourceSecretArn",
    ("source", "28000"): "allow the user from VpcCidr in pg_hba.conf of the server, by hostssl and scram-sha-256",
    ("source", "3D000"): "check SourceDatabaseName",
    ("source", "53300"): "raise max_connections or the role's CONNECTION LIMIT",
    ("source", "login"): "check the server's log",
    ("target", "name"): "check that the stack of the layer database is there, and VPC DNS",
    ("target", "silence"): "check DatabasePort, and the security groups of DMS and database in the layer network",
    ("target", "refusal"): "check that the instance is available, and DatabasePort",
    ("target", "no PostgreSQL"): "check that the instance is available, and DatabasePort",
    ("target", "no TLS"): "check rds.force_ssl and that the instance is available",
    ("target", "certificate"): "check that the instance has a certificate of rds-ca-rsa2048-g1, and its own host name",
    ("target", "authority"): "check CA_BUNDLE",
    ("target", "secret"): "deploy the layer database again: it writes host and port into the secret",
    ("target", "28P01"): "deploy the layer database_users again with a new ReleaseId: it sets DMS's password",
    ("target", "28000"): "deploy the layer database_users again with a new ReleaseId: it allows DMS's user to log in",
    ("target", "3D000"): "check DatabaseName",
    ("target", "53300"): "raise max_connections or end some connections",
    ("target", "login"): "check the database's log",
    ("endpoint", "name"): "check that the layer endpoints is deployed, with private DNS",
    ("endpoint", "silence"): "check the security groups of DMS and of the endpoints, and the network ACL",
    ("endpoint", "refusal"): "check that the endpoint is available",
    ("endpoint", "no TLS"): "check that the endpoint is available",
    ("endpoint", "certificate"): "check that nothing stands between the VPC and the endpoint",
}
"""{(what the server is to us, how the way ended): what to check}. A login ends with an SQLSTATE, or with "login" where
there is no advice for that one."""
