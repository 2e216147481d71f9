//! Copies the values of header fields into one buffer and gives slices of it: one allocation for a head, not one for
//! each field. Checks every value again: what stands in no field is refused, never mended.

use std::fmt::Write as _;
use std::net::IpAddr;

use actix_web::http::header as seen;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderValue;

/// The buffer of one head.
pub struct Values(BytesMut);

impl Values {
    /// `room` in bytes: what all values together need. More is fine, and costs an allocation.
    pub fn with_room(room: usize) -> Self {
        Self(BytesMut::with_capacity(room))
    }

    /// A value for an upstream request; `None` when these bytes are no field value.
    pub fn upstream(&mut self, value: &[u8]) -> Option<HeaderValue> {
        HeaderValue::from_maybe_shared(self.copy(&[value])).ok()
    }

    /// The same, from several pieces.
    pub fn join(&mut self, pieces: &[&[u8]]) -> Option<HeaderValue> {
        HeaderValue::from_maybe_shared(self.copy(pieces)).ok()
    }

    /// An address, written out.
    pub fn address(&mut self, address: IpAddr) -> Option<HeaderValue> {
        match address {
            // Every call writes one, and the library's way costs five times as much.
            IpAddr::V4(address) => {
                for (at, byte) in address.octets().into_iter().enumerate() {
                    if at > 0 {
                        self.0.put_u8(b'.');
                    }
                    put_decimal(&mut self.0, byte);
                }
            }
            IpAddr::V6(address) => write!(self.0, "{address}").ok()?,
        }
        HeaderValue::from_maybe_shared(self.0.split().freeze()).ok()
    }

    /// A value for an answer to the browser.
    pub fn browser(&mut self, value: &[u8]) -> Option<seen::HeaderValue> {
        seen::HeaderValue::from_maybe_shared(self.copy(&[value])).ok()
    }

    fn copy(&mut self, pieces: &[&[u8]]) -> Bytes {
        for piece in pieces {
            self.0.extend_from_slice(piece);
        }
        self.0.split().freeze()
    }
}

fn put_decimal(out: &mut BytesMut, byte: u8) {
    if byte >= 100 {
        out.put_u8(b'0' + byte / 100);
    }
    if byte >= 10 {
        out.put_u8(b'0' + byte / 10 % 10);
    }
    out.put_u8(b'0' + byte % 10);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_slices_of_one_buffer_and_outgrow_it_unharmed() {
        let mut values = Values::with_room(8);
        let first = values.upstream(b"one").unwrap();
        let second = values.join(&[b"Bearer ", b"a-long-token"]).unwrap();
        let third = values.address("2001:db8::7".parse().unwrap()).unwrap();
        assert_eq!(
            (first, second, third),
            (
                "one".parse().unwrap(),
                "Bearer a-long-token".parse().unwrap(),
                "2001:db8::7".parse().unwrap()
            )
        );
        assert_eq!(values.browser(b"two").unwrap(), "two");
    }

    // proves: PX-08
    #[test]
    fn what_would_end_a_line_is_no_value() {
        let mut values = Values::with_room(64);
        for split in [b"a\r\nx: b".as_slice(), b"a\nb", b"a\0b", b"\x7f"] {
            assert!(values.upstream(split).is_none() && values.browser(split).is_none());
        }
        assert_eq!(values.upstream(b"fine").unwrap(), "fine");
    }

    proptest! {
        #[test]
        fn an_address_is_written_as_everybody_writes_it(address in any::<IpAddr>()) {
            let written = Values::with_room(16).address(address).unwrap();
            prop_assert_eq!(written.to_str().unwrap(), address.to_string());
        }
    }
}
