//! XAES-256-GCM (C2SP): AES-256-GCM under a key derived per message, with a 192-bit nonce, so that random nonces never
//! run out. Built of CMAC and GCM only; checked with the published vectors.

use aes_gcm::aead::{Aead as _, AeadInOut as _, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{Block, BlockCipherEncrypt as _};
use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce};
use zeroize::Zeroize as _;

/// Bytes of a nonce.
pub const NONCE: usize = 24;

/// A prepared key: its AES schedule and the CMAC subkey K1.
pub struct Xaes {
    aes: Aes256,
    k1: u128,
}

impl Xaes {
    /// Prepares `key`.
    pub fn new(key: &[u8; 32]) -> Self {
        let aes = Aes256::new(key.into());
        let mut l = Block::<Aes256>::default();
        aes.encrypt_block(&mut l);
        Self { aes, k1: double(u128::from_be_bytes(l.into())) }
    }

    /// Seals `plain` under a fresh random `nonce`; `None` only when `plain` is absurdly long.
    pub fn seal(&self, nonce: &[u8; NONCE], plain: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        self.message_cipher(nonce).encrypt(&gcm_nonce(nonce), Payload { msg: plain, aad }).ok()
    }

    /// Opens `sealed` where it stands, which then holds the plain text; `None` when anything at all is wrong with it.
    pub fn open(&self, nonce: &[u8; NONCE], sealed: &mut Vec<u8>, aad: &[u8]) -> Option<()> {
        self.message_cipher(nonce).decrypt_in_place(&gcm_nonce(nonce), aad, sealed).ok()
    }

    fn message_cipher(&self, nonce: &[u8; NONCE]) -> Aes256Gcm {
        // M = 0x00 ‖ counter ‖ 'X' ‖ 0x00 ‖ N[:12], masked with K1: one CMAC block.
        let mut start = [0; 16];
        for (slot, byte) in start.iter_mut().zip([0, 0, b'X', 0].iter().chain(nonce)) {
            *slot = *byte;
        }
        let start = u128::from_be_bytes(start) ^ self.k1;
        let mut key = [0; 32];
        for (half, counter) in key.chunks_exact_mut(16).zip([1_u128, 2]) {
            let mut block = Block::<Aes256>::from((start ^ (counter << 112)).to_be_bytes());
            self.aes.encrypt_block(&mut block);
            half.copy_from_slice(&block);
        }
        let cipher = Aes256Gcm::new((&key).into());
        key.zeroize();
        cipher
    }
}

impl Drop for Xaes {
    fn drop(&mut self) {
        self.k1.zeroize();
    }
}

fn gcm_nonce(nonce: &[u8; NONCE]) -> Nonce<aes_gcm::aead::consts::U12> {
    let [_, _, _, _, _, _, _, _, _, _, _, _, tail @ ..] = *nonce;
    tail.into()
}

/// Doubling in GF(2^128), as CMAC defines it, without a branch on the secret.
fn double(block: u128) -> u128 {
    let carry = (block >> 127) * 0x87;
    (block << 1) ^ carry
}
