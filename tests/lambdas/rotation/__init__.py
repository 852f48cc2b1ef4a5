"""The rig on which the rotation function is tried: real servers, real processes, and a wire that can be cut.

certificates     authorities and server certificates, made for each run
postgres         real PostgreSQL servers with TLS, of more than one major version
secrets_manager  a Secrets Manager API over HTTP: ministack, corrected where AWS versions differ
function         runs the handler in a process of its own, which can be killed
wire             stands between the function and both servers; holds, passes or drops what it sends
rig              joins them: one role and one secret per trial
"""
