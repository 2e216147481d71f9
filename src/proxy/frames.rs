//! Where one WebSocket frame ends and the next begins (RFC 6455 §5.2), in bytes that pass by in pieces of any size: only
//! heads are looked at, nothing is copied or unmasked. Never decides whether a frame is allowed: the two ends do.

/// The longest head: two bytes, eight of length, four of mask.
const LONGEST_HEAD: usize = 14;
const CLOSE: u8 = 0x8;
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
/// The most bytes of a control frame's payload (RFC 6455 §5.5); two of them are the close code.
const MOST_REASON: usize = 123;

/// How far the bytes have come that went in one direction.
#[derive(Debug, Default)]
pub struct Frames {
    head: [u8; LONGEST_HEAD],
    /// Bytes of the head that are there.
    have: usize,
    /// Bytes of the payload that are to come.
    left: u64,
    has_closed: bool,
}

impl Frames {
    /// Whether the last frame is complete: a control frame of ours may stand here, even inside a fragmented message.
    pub fn is_between(&self) -> bool {
        self.have == 0 && self.left == 0
    }

    /// Whether a Close frame has begun: no frame may follow it.
    pub fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Takes note of `bytes` going by.
    pub fn pass(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = self.rest_of_frame(rest);
            rest = rest.get(count..).unwrap_or_default();
        }
    }

    /// Takes note of the beginning of `bytes`, up to the end of the current frame; gives its length, at least 1.
    pub fn rest_of_frame(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        for byte in bytes {
            if self.left > 0 {
                break;
            }
            let Some(place) = self.head.get_mut(self.have) else { break };
            *place = *byte;
            self.have += 1;
            count += 1;
            if self.have == self.head_length() {
                self.begin_payload();
                if self.left == 0 {
                    return count;
                }
            }
        }
        let rest = bytes.len() - count;
        let taken = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
        self.left -= taken as u64;
        count + taken
    }

    /// The length of the head, as far as it is known from what is there.
    fn head_length(&self) -> usize {
        let [_, second, ..] = self.head;
        if self.have < 2 {
            return 2;
        }
        let length = match second & !MASKED {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if second & MASKED == 0 { 0 } else { 4 }
    }

    fn begin_payload(&mut self) {
        let [first, second, length @ ..] = &self.head;
        self.left = match second & !MASKED {
            126 => length.first_chunk().map_or(0, |bytes| u64::from(u16::from_be_bytes(*bytes))),
            127 => length.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)),
            length => u64::from(length),
        };
        self.has_closed |= first & 0x0f == CLOSE;
        self.have = 0;
    }
}

/// A Close frame from a server: not masked (RFC 6455 §5.1). A `reason` that is too long is left out.
pub fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let reason = if reason.len() > MOST_REASON { "" } else { reason };
    let length = u8::try_from(reason.len() + 2).unwrap_or_default();
    let mut frame = vec![FIN | CLOSE, length];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(first: u8, length: usize, mask: bool) -> Vec<u8> {
        let bit = if mask { MASKED } else { 0 };
        let mut frame = vec![first];
        if length < 126 {
            frame.push(bit | u8::try_from(length).unwrap());
        } else if let Ok(length) = u16::try_from(length) {
            frame.push(bit | 0x7e);
            frame.extend(length.to_be_bytes());
        } else {
            frame.push(bit | 0x7f);
            frame.extend((length as u64).to_be_bytes());
        }
        frame.extend(std::iter::repeat_n(0xff, length + if mask { 4 } else { 0 }));
        frame
    }

    #[test]
    fn a_close_frame_is_what_browsers_expect() {
        assert_eq!(close_frame(4401, "bye"), b"\x88\x05\x11\x31bye");
        assert_eq!(close_frame(1000, &"x".repeat(124)), b"\x88\x02\x03\xe8");
        let mut frames = Frames::default();
        assert!(frames.is_between() && !frames.has_closed());
        frames.pass(&close_frame(4401, "bye"));
        assert!(frames.is_between() && frames.has_closed());
    }

    #[test]
    fn an_endless_frame_has_no_end() {
        let mut frames = Frames::default();
        frames.pass(&[0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(frames.rest_of_frame(&[0; 4096]), 4096);
        assert!(!frames.is_between());
    }

    proptest! {
        #[test]
        fn frames_end_where_they_end_however_the_bytes_are_cut(
            lengths in proptest::collection::vec(
                (prop_oneof![0..130_usize, 65_530..65_540_usize], any::<bool>(), 0..3_u8), 1..6),
            cuts in proptest::collection::vec(1..40_000_usize, 1..40),
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for (length, mask, opcode) in lengths {
                bytes.extend(frame(FIN | opcode, length, mask));
                ends.push(bytes.len());
            }
            let (mut frames, mut at) = (Frames::default(), 0);
            for cut in cuts.iter().cycle() {
                let to = (at + cut).min(bytes.len());
                frames.pass(&bytes[at..to]);
                at = to;
                prop_assert_eq!(frames.is_between(), ends.contains(&at), "{}", at);
                if at == bytes.len() {
                    break;
                }
            }
            prop_assert!(!frames.has_closed());
            // One frame at a time.
            let mut at = 0;
            for end in &ends[1..] {
                while at < *end {
                    at += frames.rest_of_frame(&bytes[at..]);
                }
                prop_assert_eq!(at, *end);
                prop_assert!(frames.is_between());
            }
        }
    }
}
