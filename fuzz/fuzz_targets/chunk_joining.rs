//! libFuzzer's way into `cloakroom_fuzz::chunk_joining`; what it checks is said there.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloakroom_fuzz::chunk_joining(data));
