//! The integration suite: real servers on port 0, real sockets.
