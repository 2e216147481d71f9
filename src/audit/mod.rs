//! Typed security events: who logged in, refreshed, logged out, was refused. Never holds a token, and never blocks a request.
