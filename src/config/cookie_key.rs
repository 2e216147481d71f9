//! Cookie keys: 32 random bytes, or refused (KM-01). A key that a person could have typed is no key.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::report::{Wrong, wrong};
use crate::secret::Secret;

const MAKE: &str = "make one with `cloakroom keygen cookie`";
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);

/// Reads 32 bytes from 64 hex digits, base64 or base64url, padded or not; refuses what is short or not random.
pub(super) fn parse_key(text: &str) -> Result<Secret<[u8; 32]>, Wrong> {
    let text = text.trim();
    if text.is_empty() {
        return wrong("is empty", MAKE);
    }
    if is_placeholder(text) {
        return wrong("is a placeholder, not a key", MAKE);
    }
    let Some(bytes) = decode(text) else {
        return wrong("is not 64 hex digits, base64 or base64url", MAKE);
    };
    let bytes = Zeroizing::new(bytes);
    if bytes.len() < 32 {
        return wrong("is shorter than 32 bytes", MAKE);
    }
    let Ok(key) = <[u8; 32]>::try_from(bytes.as_slice()) else {
        return wrong("is longer than 32 bytes", MAKE);
    };
    let key = Secret::new(key);
    if is_guessable(key.expose()) {
        return wrong("is not random: a pattern or readable text", MAKE);
    }
    Ok(key)
}

/// Whether the text was left for somebody to fill in. The words are long enough that no random key holds one.
pub(super) fn is_placeholder(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let inside = ["changeme", "change-me", "change_me", "replaceme", "replace-me", "replace_me"];
    let inside = inside.iter().chain(&["example", "placeholder"]).any(|word| text.contains(word));
    let start = ["<", "${", "your-", "your_"].iter().any(|start| text.starts_with(start));
    inside || start || text == "todo" || text.bytes().all(|byte| byte == b'x')
}

fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let digits: Vec<u8> =
            text.chars().filter_map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
        let byte = |pair: &[u8]| pair.iter().fold(0, |byte, digit| byte << 4 | digit);
        return Some(digits.chunks(2).map(byte).collect());
    }
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

/// A random key falls under none of these but once in 10^9 or less.
fn is_guessable(key: &[u8; 32]) -> bool {
    let mut steps = key.iter().zip(key.iter().skip(1)).map(|(a, b)| b.wrapping_sub(*a));
    let first = steps.next();
    let even_steps = steps.all(|step| Some(step) == first);
    let distinct: std::collections::BTreeSet<&u8> = key.iter().collect();
    let readable = key.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    even_steps || distinct.len() < 12 || readable
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        let digit = |half: u8| char::from_digit(half.into(), 16).unwrap();
        bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }

    /// 32 bytes, each `step` above the one before.
    fn ladder(step: u8) -> [u8; 32] {
        let mut next = 0_u8;
        std::array::from_fn(|_| {
            next = next.wrapping_add(step);
            next
        })
    }

    // proves: KM-01
    #[rstest]
    #[case::empty("", "is empty")]
    #[case::blank("  \n", "is empty")]
    #[case::changeme("changeme", "is a placeholder, not a key")]
    #[case::changeme_long(
        "CHANGEME-CHANGEME-CHANGEME-CHANGEME-CHANGEME",
        "is a placeholder, not a key"
    )]
    #[case::sample("example-key-example-key-example-key-example", "is a placeholder, not a key")]
    #[case::template("<32 bytes of base64>", "is a placeholder, not a key")]
    #[case::unfilled("${COOKIE_KEY}", "is a placeholder, not a key")]
    #[case::words("correct horse battery staple", "is not 64 hex digits, base64 or base64url")]
    #[case::short("c2hvcnQ", "is shorter than 32 bytes")]
    fn text_that_is_no_key_is_refused(#[case] text: &str, #[case] problem: &str) {
        assert_eq!(parse_key(text).unwrap_err().problem, problem);
    }

    // proves: KM-01
    #[rstest]
    #[case::zero([0; 32])]
    #[case::same([0x41; 32])]
    #[case::ascending(ladder(1))]
    #[case::descending(ladder(255))]
    #[case::steps(ladder(17))]
    #[case::repeated(std::array::from_fn(|i| [1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef][i % 8]))]
    #[case::readable(*b"the quick brown fox jumps over i")]
    fn patterns_and_readable_text_are_refused_in_every_encoding(#[case] key: [u8; 32]) {
        for text in [hex(&key), STANDARD.encode(key), URL_SAFE_NO_PAD.encode(key)] {
            let problem = parse_key(&text).unwrap_err().problem;
            assert_eq!(problem, "is not random: a pattern or readable text");
        }
    }

    proptest! {
        #[test]
        fn a_random_key_reads_alike_in_every_encoding(key: [u8; 32]) {
            prop_assume!(!is_guessable(&key));
            let texts = [
                hex(&key), hex(&key).to_uppercase(), STANDARD.encode(key), STANDARD_NO_PAD.encode(key),
                URL_SAFE.encode(key), URL_SAFE_NO_PAD.encode(key), format!(" {}\r\n", URL_SAFE.encode(key)),
            ];
            for text in texts {
                let parsed = parse_key(&text).map(|parsed| *parsed.expose());
                prop_assert_eq!(parsed, Ok(key));
            }
        }

        #[test]
        fn any_other_length_is_refused(key in prop::collection::vec(any::<u8>(), 0..80)) {
            // 48 bytes in base64 can look like 64 hex digits, but hardly ever do.
            prop_assume!(key.len() != 32);
            prop_assert!(parse_key(&STANDARD.encode(&key)).is_err());
        }

        #[test]
        fn no_text_breaks_the_parser(text in "\\PC{0,90}") {
            let _ = parse_key(&text);
        }
    }
}
