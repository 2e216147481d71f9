//! XAES-256-GCM (C2SP): AES-256-GCM under a key derived per message, with a 192-bit nonce, so that random nonces never
//! run out. Built of CMAC and GCM only; checked with the published vectors.

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{Block, BlockCipherEncrypt as _};
use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce};
use zeroize::Zeroize as _;

/// Bytes of a nonce.
pub const NONCE: usize = 24;

/// A prepared key: its AES schedule and the CMAC subkey K1.
pub struct Xaes {
    aes: Aes256,
    k1: [u8; 16],
}

impl Xaes {
    /// Prepares `key`.
    pub fn new(key: &[u8; 32]) -> Self {
        let aes = Aes256::new(key.into());
        let mut l = Block::<Aes256>::default();
        aes.encrypt_block(&mut l);
        Self { aes, k1: double(l.into()) }
    }

    /// Seals `plain` under a fresh random `nonce`; `None` only when `plain` is absurdly long.
    pub fn seal(&self, nonce: &[u8; NONCE], plain: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        self.message_cipher(nonce).encrypt(&gcm_nonce(nonce), Payload { msg: plain, aad }).ok()
    }

    /// Opens `sealed`; `None` when anything at all is wrong with it.
    pub fn open(&self, nonce: &[u8; NONCE], sealed: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
        self.message_cipher(nonce).decrypt(&gcm_nonce(nonce), Payload { msg: sealed, aad }).ok()
    }

    fn message_cipher(&self, nonce: &[u8; NONCE]) -> Aes256Gcm {
        let mut key = [0; 32];
        for (half, counter) in key.chunks_exact_mut(16).zip([1_u8, 2]) {
            // M = 0x00 ‖ counter ‖ 'X' ‖ 0x00 ‖ N[:12], masked with K1: one CMAC block.
            let mut message = [0; 16];
            for (at, byte) in [0, counter, b'X', 0].iter().chain(nonce.iter().take(12)).enumerate()
            {
                if let (Some(slot), Some(mask)) = (message.get_mut(at), self.k1.get(at)) {
                    *slot = byte ^ mask;
                }
            }
            let mut block = Block::<Aes256>::from(message);
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
    let mut tail = [0; 12];
    for (slot, byte) in tail.iter_mut().zip(nonce.iter().skip(12)) {
        *slot = *byte;
    }
    tail.into()
}

/// Doubling in GF(2^128), as CMAC defines it, without a branch on the secret.
fn double(block: [u8; 16]) -> [u8; 16] {
    let wide = u128::from_be_bytes(block);
    let carry = (wide >> 127) * 0x87;
    ((wide << 1) ^ carry).to_be_bytes()
}
