//! What every answer and every request share at the outer edge: problems, request ids, client addresses, header sets. Knows status codes; knows no session.
