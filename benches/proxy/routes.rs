//! `routes`: what a request costs with ten routes and with a thousand; the one it takes is matched last.

use std::net::SocketAddr;

use super::cloakroom::Settings;
use super::in_turns;
use super::server::{Server, Under};
use super::stand::Stand;

/// Measures both in turns and prints it.
pub fn run(stand: &Stand) -> anyhow::Result<()> {
    println!("routes: GET, 1 KiB of JSON, with 10 and with 1000 routes");
    let few = server(stand, 10, stand.settings().address)?;
    // The same port, which is part of the cookies' names, at another loopback address.
    let many = server(stand, 1_000, SocketAddr::from(([127, 0, 0, 2], few.address.port())))?;
    in_turns::compare(stand, [("10 routes", &few), ("1000 routes", &many)])
}

fn server(stand: &Stand, routes: usize, address: SocketAddr) -> anyhow::Result<Server> {
    let settings = Settings { address, other_routes: routes - 1, ..stand.settings() };
    stand.cloakroom(&settings, &Under::Nothing)
}
