//! Which access token a route gets, and when it is refreshed. Never talks HTTP to an upstream.
