//! The data path between a raw client and a hostile upstream: real sockets on both sides, `forward` in between.

mod addresses;
mod bodies;
mod connections;
mod faults;
mod front;
mod http2;
mod limits;
mod requests;
mod responses;
mod tls;
