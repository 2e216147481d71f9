//! `builds`: what a request costs in the binary under test and in another build of it, `CLOAKROOM_OTHER`, measured in turns: whether a
//! change made it cheaper shows sooner so than against other servers. Not part of a run of everything.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;

use super::cloakroom::Settings;
use super::in_turns;
use super::server::Under;
use super::stand::Stand;

/// Measures both in turns and prints it.
pub fn run(stand: &Stand) -> anyhow::Result<()> {
    let other = super::variable("CLOAKROOM_OTHER")
        .context("CLOAKROOM_OTHER names the other binary, and is not set")?;
    println!("builds: GET, 1 KiB of JSON, beside {other}");
    let settings = stand.settings();
    // The same port, which is part of the cookies' names, at another loopback address.
    let address = SocketAddr::from(([127, 0, 0, 2], settings.address.port()));
    let (theirs, _) = Settings { address, ..settings.clone() }.start(
        Path::new(&other),
        &stand.folder,
        &Under::Nothing,
    )?;
    let ours = stand.cloakroom(&settings, &Under::Nothing)?;
    in_turns::compare(stand, [("the other build", &theirs), ("this build", &ours)])
}
