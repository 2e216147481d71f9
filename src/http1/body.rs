//! Takes a message's body out of the bytes that came, by its framing (RFC 9112 §6 and §7). Never takes a byte beyond its end, and
//! never lets an incomplete body pass as a complete one.

use bytes::{Buf as _, Bytes, BytesMut};

/// The longest line with a chunk's size and extensions, all extensions of a body, and all trailers together, bytes.
const MOST_SIZE_LINE: usize = 4 * 1024;
const MOST_EXTENSIONS: usize = 16 * 1024;
const MOST_TRAILERS: usize = 16 * 1024;

/// What a body is framed by, and how far it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoder {
    /// So many bytes are still to come. Zero: the message is over.
    Length(u64),
    /// With the bytes of extensions that have passed.
    Chunked(Chunk, usize),
    /// Until the connection ends.
    UntilClose,
}

/// Where in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Before the line with a size.
    Size,
    /// So many bytes of a chunk are still to come.
    Data(u64),
    /// Before the line end after a chunk's data.
    DataEnd,
    /// In the trailers, so many bytes of which have passed.
    Trailers(usize),
    Over,
}

/// What could be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Never empty.
    Data(Bytes),
    /// Nothing yet.
    More,
    /// The body is over.
    End,
}

/// Why a body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    #[error("a chunk's size cannot be read")]
    Size,
    #[error("a chunk is longer than it says")]
    Overlong,
    #[error("the trailers are too long")]
    Trailers,
    #[error("the body ended early")]
    Incomplete,
}

impl Decoder {
    /// A body in chunks, from its beginning.
    pub const CHUNKED: Self = Self::Chunked(Chunk::Size, 0);

    /// Whether all of it has been taken.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Over, _))
    }

    /// Takes what of the body is there.
    pub fn take(&mut self, buffer: &mut BytesMut) -> Result<Piece, BodyFault> {
        match self {
            Self::Length(0) => Ok(Piece::End),
            Self::Length(left) => Ok(take_data(left, buffer)),
            Self::UntilClose if buffer.is_empty() => Ok(Piece::More),
            Self::UntilClose => Ok(Piece::Data(buffer.split().freeze())),
            Self::Chunked(chunk, extensions) => chunk.take(buffer, extensions),
        }
    }

    /// What the end of the connection means.
    pub fn at_end_of_stream(&self) -> Result<(), BodyFault> {
        if self.is_over() || *self == Self::UntilClose {
            Ok(())
        } else {
            Err(BodyFault::Incomplete)
        }
    }
}

fn take_data(left: &mut u64, buffer: &mut BytesMut) -> Piece {
    let count = usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
    if count == 0 {
        return Piece::More;
    }
    *left -= count as u64;
    Piece::Data(buffer.split_to(count).freeze())
}

impl Chunk {
    fn take(&mut self, buffer: &mut BytesMut, extensions: &mut usize) -> Result<Piece, BodyFault> {
        loop {
            match self {
                Self::Size => {
                    let Some(line) = line_of(buffer, MOST_SIZE_LINE, BodyFault::Size)? else {
                        return Ok(Piece::More);
                    };
                    let (size, digits) = size(buffer.get(..line).unwrap_or_default())?;
                    *extensions += line - digits;
                    if *extensions > MOST_EXTENSIONS {
                        return Err(BodyFault::Size);
                    }
                    *self = if size == 0 { Self::Trailers(0) } else { Self::Data(size) };
                    buffer.advance(line + 2);
                }
                Self::Data(left) => {
                    let piece = take_data(left, buffer);
                    if *left == 0 {
                        *self = Self::DataEnd;
                    }
                    return Ok(piece);
                }
                Self::DataEnd => match buffer.get(..2) {
                    Some(b"\r\n") => {
                        buffer.advance(2);
                        *self = Self::Size;
                    }
                    Some(_) => return Err(BodyFault::Overlong),
                    None if buffer.first().is_some_and(|first| *first != b'\r') => {
                        return Err(BodyFault::Overlong);
                    }
                    None => return Ok(Piece::More),
                },
                Self::Trailers(passed) => {
                    let room = MOST_TRAILERS.saturating_sub(*passed);
                    let Some(line) = line_of(buffer, room, BodyFault::Trailers)? else {
                        return Ok(Piece::More);
                    };
                    *passed += line + 2;
                    buffer.advance(line + 2);
                    if line == 0 {
                        *self = Self::Over;
                    }
                }
                Self::Over => return Ok(Piece::End),
            }
        }
    }
}

/// The length of the first line, without its end; `None` while it is not complete. A bare CR or LF ends none, and is an error: others
/// would read another line there.
fn line_of(buffer: &[u8], most: usize, fault: BodyFault) -> Result<Option<usize>, BodyFault> {
    let Some(end) = memchr::memchr2(b'\r', b'\n', buffer) else {
        return if buffer.len() > most { Err(fault) } else { Ok(None) };
    };
    match buffer.get(end..end + 2) {
        Some(b"\r\n") if end <= most => Ok(Some(end)),
        None if buffer.get(end) == Some(&b'\r') && end <= most => Ok(None),
        _ => Err(fault),
    }
}

/// A chunk's size, and the length of its digits: hex, then nothing or extensions, which mean nothing to us (RFC 9112 §7.1.1).
fn size(line: &[u8]) -> Result<(u64, usize), BodyFault> {
    let count = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let rest = line.get(count..).unwrap_or_default();
    let is_plain = rest.trim_ascii_start().first().is_none_or(|first| *first == b';')
        && rest.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..));
    let digits = line.get(..count).and_then(|digits| std::str::from_utf8(digits).ok());
    let size = digits
        .filter(|digits| (1..=16).contains(&digits.len()) && is_plain)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok());
    Ok((size.ok_or(BodyFault::Size)?, count))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http1::{LAST_CHUNK, LINE_END, chunk_head};

    /// All of a body that comes in pieces, and what is left behind its end.
    fn read(mut decoder: Decoder, pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>), BodyFault> {
        let (mut buffer, mut body) = (BytesMut::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Piece::Data(data) = decoder.take(&mut buffer)? {
                assert!(!data.is_empty());
                body.extend_from_slice(&data);
            }
        }
        decoder.at_end_of_stream()?;
        Ok((body, buffer.to_vec()))
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        let ok = |body: &[u8], rest: &[u8]| Ok((body.to_vec(), rest.to_vec()));
        assert_eq!(read(Decoder::Length(3), &[b"ab", b"cd"]), ok(b"abc", b"d"));
        assert_eq!(read(Decoder::Length(0), &[b"x"]), ok(b"", b"x"));
        assert_eq!(read(Decoder::UntilClose, &[b"a", b"b"]), ok(b"ab", b""));
        let chunks: &[u8] = b"3;a=\"b\"\r\nabc\r\n0A \r\n0123456789\r\n0\r\nX: y\r\n\r\nnext";
        assert_eq!(read(Decoder::CHUNKED, &[chunks]), ok(b"abc0123456789", b"next"));
        assert_eq!(read(Decoder::Length(3), &[b"ab"]), Err(BodyFault::Incomplete));
        assert_eq!(read(Decoder::CHUNKED, &[b"3\r\nabc\r\n0\r\n"]), Err(BodyFault::Incomplete));
    }

    // proves: PX-08
    #[test]
    fn chunks_with_two_readings_are_errors() {
        for (bytes, fault) in [
            ("\r\n", BodyFault::Size),
            ("x\r\n", BodyFault::Size),
            ("0x3\r\nabc", BodyFault::Size),
            ("-1\r\n", BodyFault::Size),
            ("+1\r\na", BodyFault::Size),
            (" 3\r\nabc", BodyFault::Size),
            ("3 3\r\nabc", BodyFault::Size),
            ("3\nabc\n", BodyFault::Size),
            ("3\rabc", BodyFault::Size),
            ("3;a\nb\r\nabc", BodyFault::Size),
            ("3;\0\r\nabc", BodyFault::Size),
            ("10000000000000000\r\n", BodyFault::Size),
            ("3\r\nabcd\r\n", BodyFault::Overlong),
            ("3\r\nabc\n", BodyFault::Overlong),
            ("0\r\nX: a\nb\r\n\r\n", BodyFault::Trailers),
        ] {
            assert_eq!(read(Decoder::CHUNKED, &[bytes.as_bytes()]), Err(fault), "{bytes:?}");
        }
        let long = format!("3;{}", "a".repeat(MOST_SIZE_LINE));
        assert_eq!(read(Decoder::CHUNKED, &[long.as_bytes()]), Err(BodyFault::Size));
        let many = "1;extension\r\na\r\n".repeat(MOST_EXTENSIONS / 10 + 1);
        assert_eq!(read(Decoder::CHUNKED, &[many.as_bytes()]), Err(BodyFault::Size));
        let long = format!("0\r\n{}", "X: y\r\n".repeat(MOST_TRAILERS));
        assert_eq!(read(Decoder::CHUNKED, &[long.as_bytes()]), Err(BodyFault::Trailers));
    }

    proptest! {
        #[test]
        fn chunks_are_read_back_however_the_bytes_are_cut(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..70), 0..6),
            cuts in proptest::collection::vec(1..9_usize, 1..40),
        ) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                chunk_head(chunk.len(), &mut bytes);
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(LINE_END);
            }
            bytes.extend_from_slice(LAST_CHUNK);
            bytes.extend_from_slice(b"next");
            let (mut at, mut pieces) = (0, Vec::new());
            for cut in cuts.iter().cycle() {
                let to = (at + cut).min(bytes.len());
                pieces.push(&bytes[at..to]);
                at = to;
                if at == bytes.len() {
                    break;
                }
            }
            let read = read(Decoder::CHUNKED, &pieces).unwrap();
            prop_assert_eq!(read, (chunks.concat(), b"next".to_vec()));
        }
    }
}
