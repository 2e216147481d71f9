//! `routes`: what a request costs with ten routes and with a thousand; the one it takes is matched last.

use std::net::SocketAddr;

use bytes::Bytes;

use super::cloakroom::Settings;
use super::closed_loop::ClosedLoop;
use super::server::{Server, Under};
use super::stand::Stand;
use super::stats::{Spread, each};

const REQUESTS: usize = 20_000;

/// Measures both in turns and prints it.
pub fn run(stand: &Stand) -> anyhow::Result<()> {
    println!("routes: GET, 1 KiB of JSON, with 10 and with 1000 routes");
    let few = server(stand, 10, stand.settings().address)?;
    // The same port, which is part of the cookies' names, at another loopback address.
    let many = server(stand, 1_000, SocketAddr::from(([127, 0, 0, 2], few.address.port())))?;
    let request = Bytes::from(stand.browser.get("/api/orders?page=1"));
    let mut costs = [Vec::new(), Vec::new()];
    cost(&few, &request)?;
    cost(&many, &request)?;
    for round in 0..stand.rounds {
        let mut turn: Vec<_> = [&few, &many].into_iter().zip(&mut costs).collect();
        turn.rotate_left(round % 2);
        for (server, costs) in turn {
            costs.push(cost(server, &request)?);
        }
    }
    let [few, many] = costs;
    println!("  10 routes    CPU {} µs/request", Spread::of(few.clone()));
    println!("  1000 routes  CPU {} µs/request", Spread::of(many.clone()));
    println!("  ratio        {:.3}", Spread::of_ratios(&many, &few));
    Ok(())
}

fn server(stand: &Stand, routes: usize, address: SocketAddr) -> anyhow::Result<Server> {
    let settings = Settings { address, other_routes: routes - 1, ..stand.settings() };
    stand.cloakroom(&settings, &Under::Nothing)
}

/// CPU µs per request.
fn cost(server: &Server, request: &Bytes) -> anyhow::Result<f64> {
    let (address, request) = (server.address, request.clone());
    let load = ClosedLoop { address, request, connections: 16, requests: REQUESTS };
    let before = server.process.cpu()?;
    load.run()?;
    let spent = server.process.cpu()?.saturating_sub(before);
    Ok(each(spent.as_secs_f64() * 1e6, REQUESTS))
}
