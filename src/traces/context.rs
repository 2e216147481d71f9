//! The `traceparent` of a request (W3C Trace Context §3.2): which trace it belongs to. Read strictly: what is not one begins
//! a new trace. Says nothing about whether a trace is kept: browsers do not decide that.

/// Where a request comes from in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
}

/// Length of a `traceparent` of version 00.
const LENGTH: usize = 55;

impl Parent {
    /// Reads the field's value; `None` for what is no `traceparent`, and for ids of zeros.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LENGTH)?;
        let [v0, v1, b'-', ids @ ..] = known else { return None };
        let version = byte(*v0, *v1)?;
        // Version 255 is forbidden; later ones may be longer, after another dash (§3.2.2.2).
        let fits = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let (trace_id, ids) = ids.split_at_checked(32)?;
        let (span_id, flags) = ids.strip_prefix(b"-")?.split_at_checked(16)?;
        let [b'-', f0, f1] = flags else { return None };
        byte(*f0, *f1)?;
        let parent = Self { trace_id: bytes(trace_id)?, span_id: bytes(span_id)? };
        let is_real = parent.trace_id != [0; 16] && parent.span_id != [0; 8];
        (fits && is_real).then_some(parent)
    }
}

/// The value for the next one on the way, version 00.
pub fn traceparent(trace_id: [u8; 16], span_id: [u8; 8], is_kept: bool) -> String {
    let flags = if is_kept { "01" } else { "00" };
    format!("00-{}-{}-{flags}", hex(&trace_id), hex(&span_id))
}

/// Lower case, as the standard and OTLP want it.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().map_or('0', char::from);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn bytes<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    for (at, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *at = byte(*high, *low)?;
    }
    Some(out)
}

fn byte(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[rstest]
    #[case::plain(format!("00-{TRACE}-{SPAN}-01"), true)]
    #[case::not_sampled(format!("00-{TRACE}-{SPAN}-00"), true)]
    #[case::unknown_flags(format!("00-{TRACE}-{SPAN}-ff"), true)]
    #[case::later_version(format!("cc-{TRACE}-{SPAN}-01"), true)]
    #[case::later_and_longer(format!("cc-{TRACE}-{SPAN}-01-what-is-to-come"), true)]
    #[case::later_and_glued(format!("cc-{TRACE}-{SPAN}-01x"), false)]
    #[case::longer(format!("00-{TRACE}-{SPAN}-01-x"), false)]
    #[case::forbidden_version(format!("ff-{TRACE}-{SPAN}-01"), false)]
    #[case::upper_case(format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), false)]
    #[case::zero_trace(format!("00-{}-{SPAN}-01", "0".repeat(32)), false)]
    #[case::zero_span(format!("00-{TRACE}-{}-01", "0".repeat(16)), false)]
    #[case::short(format!("00-{TRACE}-{SPAN}-0"), false)]
    #[case::other_separator(format!("00_{TRACE}-{SPAN}-01"), false)]
    #[case::blank_before(format!(" 00-{TRACE}-{SPAN}-01"), false)]
    #[case::no_hex(format!("00-{TRACE}-{}-01", "g".repeat(16)), false)]
    #[case::nothing(String::new(), false)]
    fn only_a_traceparent_is_one(#[case] value: String, #[case] expected: bool) {
        let parent = Parent::parse(value.as_bytes());
        assert_eq!(parent.is_some(), expected, "{value}");
        if let Some(Parent { trace_id, span_id }) = parent {
            assert_eq!((hex(&trace_id).as_str(), hex(&span_id).as_str()), (TRACE, SPAN));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_panics(
            trace_id: [u8; 16],
            span_id: [u8; 8],
            is_kept: bool,
            any in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            prop_assume!(trace_id != [0; 16] && span_id != [0; 8]);
            let value = traceparent(trace_id, span_id, is_kept);
            prop_assert_eq!(Parent::parse(value.as_bytes()), Some(Parent { trace_id, span_id }));
            let _nothing = Parent::parse(&any);
        }
    }
}
