//! What messages are written with: field lines, and what frames a body in chunks (RFC 9112 §5, §7.1). Writes what it is given:
//! whoever calls has made sure that no value ends its line.

use std::fmt::Write as _;

use bytes::{BufMut as _, BytesMut};

/// The end of a line.
pub const LINE_END: &[u8] = b"\r\n";
/// The end of a body in chunks, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A field line; the value comes in pieces.
pub fn put_field(out: &mut BytesMut, name: &str, value: &[&[u8]]) {
    out.reserve(name.len() + value.iter().map(|piece| piece.len()).sum::<usize>() + 4);
    out.put_slice(name.as_bytes());
    out.put_slice(b": ");
    for piece in value {
        out.put_slice(piece);
    }
    out.put_slice(LINE_END);
}

/// A field line with a number.
pub fn put_number(out: &mut BytesMut, name: &str, number: u64) {
    // A buffer in memory takes it.
    let _ = write!(out, "{name}: {number}\r\n");
}

/// The line before a chunk of `length` bytes, which is followed by another line end.
pub fn chunk_head(length: usize, out: &mut BytesMut) {
    // As above.
    let _ = write!(out, "{length:X}\r\n");
}
