//! Forwards an API call to its upstream with the access token attached. Never forwards our cookies or the caller's Authorization.
