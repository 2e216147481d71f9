//! `make soak`: two replicas of the real server behind nginx, with the certified authorization server, Redis, and calls at
//! every end of a token, while replicas and Redis are killed. It prints what it counted, and fails when a count is not
//! what it must be. Loopback only, bounded in number and time.
//!
//! Arguments name modes: `races` (the default), `users`, `endings`, `steady`; the rest is in [`arguments`]. `CLOAKROOM_BIN` names the
//! binary under test (default: the one cargo built for this).
// `cfg(test)`, which cargo sets for benches, too, tells the linter that the rig may stop at the first surprise.

#[cfg(test)]
mod arguments;
#[cfg(test)]
mod modes;
#[cfg(test)]
#[path = "../../tests/it/replicas/rig/mod.rs"]
mod rig;
#[cfg(test)]
#[expect(dead_code, unused_imports, reason = "shared with the tests, which use all of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;

#[cfg(test)]
fn main() -> std::process::ExitCode {
    modes::main()
}

#[cfg(not(test))]
fn main() {}
