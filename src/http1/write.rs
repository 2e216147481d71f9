//! What messages are written with: field lines, and what frames a body in chunks (RFC 9112 §5, §7.1). Writes what it is given:
//! whoever calls has made sure that no value ends its line.

/// The end of a line.
pub const LINE_END: &[u8] = b"\r\n";
/// The end of a body in chunks, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A field line; the value comes in pieces.
pub fn put_field(out: &mut Vec<u8>, name: &str, value: &[&[u8]]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    for piece in value {
        out.extend_from_slice(piece);
    }
    out.extend_from_slice(LINE_END);
}

/// A field line with a number.
pub fn put_number(out: &mut Vec<u8>, name: &str, number: u64) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    put_digits::<10>(out, number);
    out.extend_from_slice(LINE_END);
}

/// The line before a chunk of `length` bytes, which is followed by another line end.
pub fn chunk_head(length: usize, out: &mut Vec<u8>) {
    put_digits::<16>(out, length as u64);
    out.extend_from_slice(LINE_END);
}

/// A number in base 10 or 16. Every message holds one, and the library's way costs ten times as much.
fn put_digits<const BASE: u64>(out: &mut Vec<u8>, mut number: u64) {
    // The largest has twenty.
    let mut digits = [0_u8; 20];
    let mut first = digits.len();
    for (at, place) in digits.iter_mut().enumerate().rev() {
        let digit = u32::try_from(number % BASE).ok();
        let digit = digit.and_then(|digit| char::from_digit(digit, 16)).unwrap_or_default();
        *place = u8::try_from(digit.to_ascii_uppercase()).unwrap_or_default();
        (first, number) = (at, number / BASE);
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        put(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_a_name_and_a_value_in_pieces() {
        let line = written(|out| put_field(out, "forwarded", &[b"for=", b"x", b""]));
        assert_eq!(line, "forwarded: for=x\r\n");
    }

    proptest! {
        #[test]
        fn numbers_are_written_as_everybody_writes_them(
            number in prop_oneof![any::<u64>(), 0_u64..300, Just(0), Just(u64::MAX),
                (0_u32..19, 0_u64..2).prop_map(|(power, less)| 10_u64.pow(power) - less),
                (0_u32..63, 0_u64..2).prop_map(|(shift, less)| (1 << shift) - less)],
        ) {
            prop_assert_eq!(
                written(|out| put_number(out, "content-length", number)),
                format!("content-length: {number}\r\n")
            );
            let length = usize::try_from(number).unwrap();
            prop_assert_eq!(written(|out| chunk_head(length, out)), format!("{length:X}\r\n"));
        }
    }
}
