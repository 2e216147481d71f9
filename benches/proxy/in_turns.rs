//! What a request costs in two servers of ours that differ in a setting, measured in turns.

use bytes::Bytes;

use super::closed_loop::ClosedLoop;
use super::server::Server;
use super::stand::Stand;
use super::stats::{Spread, each};

const REQUESTS: usize = 20_000;

/// Measures both and prints it; each is named by what it has.
pub fn compare(stand: &Stand, servers: [(&str, &Server); 2]) -> anyhow::Result<()> {
    let request = Bytes::from(stand.browser.get("/api/orders?page=1"));
    let mut costs = [Vec::new(), Vec::new()];
    for (_, server) in servers {
        cost(server, &request)?;
    }
    for round in 0..stand.rounds {
        let mut turn: Vec<_> = servers.into_iter().zip(&mut costs).collect();
        turn.rotate_left(round % 2);
        for ((_, server), costs) in turn {
            costs.push(cost(server, &request)?);
        }
    }
    for ((name, _), costs) in servers.iter().zip(&costs) {
        println!("  {name:<24} CPU {} µs/request", Spread::of(costs.clone()));
    }
    let [first, second] = costs;
    println!("  {:<24} {:.3}", "ratio", Spread::of_ratios(&second, &first));
    Ok(())
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
