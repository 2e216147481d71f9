//! HTTP/1.1 messages as bytes (RFC 9112): heads that are read, bodies that are framed, for both sides of the proxy. Knows no sockets
//! and no rules of ours; what has two readings is an error, never mended.

mod body;
mod fields;
mod head;
mod write;

pub use body::{BodyFault, Decoder, Piece};
pub use fields::{Fields, is_value, length, lists, text};
pub use head::{HeadFault, RequestHead, ResponseHead, read_request, read_response};
pub use write::{LAST_CHUNK, LINE_END, chunk_head, put_field, put_number};
