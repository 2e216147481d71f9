//! libFuzzer's way into `cloakroom_fuzz::messages`; what it checks is said there.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloakroom_fuzz::messages(data));
