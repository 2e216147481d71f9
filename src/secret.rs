//! Keeps secrets out of sight, and makes random values that must not be guessed.
//! A [`Secret`] never prints, compares in constant time and is wiped when dropped; nothing may copy one into an error or a log.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A value that must never be printed: a token, a key, a code verifier.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes the value into custody.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Every call site is a place where a reviewer asks: where does it go?
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(self.0.as_ref(), other.0.as_ref())
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

impl From<&str> for Secret<String> {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

/// Compares two byte strings without telling by the time taken where they differ; lengths are not secret.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// The source of unguessable bytes: the operating system. Passed as an argument, so that a signature tells who makes secrets.
#[derive(Clone, Debug)]
pub struct Random(());

impl Random {
    /// The operating system's generator.
    pub fn system() -> Self {
        Self(())
    }

    /// `N` unguessable bytes.
    ///
    /// # Panics
    /// When the operating system cannot give random bytes: going on with guessable ones would be worse than stopping.
    #[expect(clippy::expect_used, reason = "no random bytes, no service: see Panics above")]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        getrandom::fill(&mut out).expect("the operating system gives random bytes");
        out
    }

    /// `N` unguessable bytes as unpadded base64url text.
    pub fn token<const N: usize>(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<N>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        let secret = Secret::from("hunter2-hunter2");
        assert_eq!(format!("{secret:?}"), "[redacted]");
    }

    // proves: KM-08
    #[test]
    fn secrets_compare_by_content_in_constant_time_code() {
        assert_eq!(Secret::from("same"), Secret::from("same"));
        assert_ne!(Secret::from("same"), Secret::from("sane"));
        assert_ne!(Secret::from("same"), Secret::from("same "));
    }

    // proves: KM-09
    #[test]
    fn system_random_values_do_not_repeat_and_use_every_bit() {
        let mut seen = std::collections::HashSet::new();
        let mut ones = [0_u32; 128];
        for _ in 0..10_000 {
            let bytes = Random::system().bytes::<16>();
            assert!(seen.insert(bytes), "a 128-bit value came twice");
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += u32::from(bytes[bit / 8] >> (bit % 8) & 1);
            }
        }
        // Binomial(10 000, ½): ±400 is eight standard deviations.
        assert!(ones.iter().all(|count| count.abs_diff(5_000) < 400), "a biased bit: {ones:?}");
    }
}
