//! Keeps secrets out of sight, and makes random values that must not be guessed.
//! A [`Secret`] never prints, compares in constant time and is wiped when dropped; nothing may copy one into an error or a log.

mod room;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

pub use room::{room, text_room};

/// A value that must never be printed: a token, a key, a code verifier.
pub struct Secret<T: Wipe>(T);

/// What can be overwritten so that nothing of it stays in memory.
pub trait Wipe {
    /// Overwrites the value, and all memory that it holds.
    fn wipe(&mut self);
}

impl Wipe for String {
    fn wipe(&mut self) {
        // What is beyond the length is wiped in one go, what is before it byte by byte: so first nothing is before it.
        self.clear();
        self.zeroize();
        // Empty, and of use to the next.
        room::keep(std::mem::take(self).into_bytes());
    }
}

impl Wipe for Vec<u8> {
    fn wipe(&mut self) {
        self.clear();
        self.zeroize();
        room::keep(std::mem::take(self));
    }
}

impl<const N: usize> Wipe for [u8; N] {
    fn wipe(&mut self) {
        self.zeroize();
    }
}

impl<T: Wipe> Secret<T> {
    /// Takes the value into custody.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Every call site is a place where a reviewer asks: where does it go?
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Wipe> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

impl<T: Wipe + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Wipe> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T: Wipe + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(self.0.as_ref(), other.0.as_ref())
    }
}

impl<T: Wipe + AsRef<[u8]>> Eq for Secret<T> {}

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
    fn a_million_random_values_do_not_repeat_and_use_every_bit() {
        const COUNT: u32 = 1_000_000;
        let random = Random::system();
        let mut values: Vec<u128> = Vec::with_capacity(1_000_000);
        let mut bytes_seen = [[0_u32; 256]; 16];
        for _ in 0..COUNT {
            let bytes = random.bytes::<16>();
            for (seen, byte) in bytes_seen.iter_mut().zip(bytes) {
                seen[usize::from(byte)] += 1;
            }
            values.push(u128::from_ne_bytes(bytes));
        }
        values.sort_unstable();
        assert!(values.windows(2).all(|pair| pair[0] != pair[1]), "a 128-bit value came twice");
        for (at, seen) in bytes_seen.iter().enumerate() {
            for bit in 0..8 {
                let ones: u32 = (0..256).filter(|byte| byte >> bit & 1 == 1).map(|b| seen[b]).sum();
                // Binomial(10^6, 1/2): 4000 are eight standard deviations.
                assert!(ones.abs_diff(COUNT / 2) < 4_000, "bit {bit} of byte {at}: {ones}");
            }
            // Binomial(10^6, 1/256): 62 is one standard deviation.
            assert!(
                seen.iter().all(|count| count.abs_diff(COUNT / 256) < 500),
                "byte {at}: {seen:?}"
            );
        }
    }
}
