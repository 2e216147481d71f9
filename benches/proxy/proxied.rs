//! `get-1k`, `get-100k`, `post-16k`: what a proxied request costs in each server. CPU time and requests per second in a
//! closed loop, in turns; then the time to answer at a constant rate that none of them is troubled by.

use std::time::Duration;

use anyhow::Context as _;

use super::closed_loop::ClosedLoop;
use super::open_loop::{Latencies, OpenLoop};
use super::server::{Logs, Server};
use super::stand::Stand;
use super::stats::{Spread, each};

const CONNECTIONS: u32 = 16;

/// One kind of request.
#[derive(Clone, Debug)]
pub struct Kind {
    pub name: &'static str,
    pub says: &'static str,
    pub request: fn(&super::requests::Browser) -> Vec<u8>,
    /// Per round.
    pub requests: usize,
    /// Per second, for the time to answer.
    pub rate: u32,
    pub logs: Logs,
}

pub const GET_1K: Kind = Kind {
    name: "get-1k",
    says: "GET, 1 KiB of JSON",
    request: |browser| browser.get("/api/orders?page=1"),
    requests: 20_000,
    rate: 4_000,
    logs: Logs::Off,
};
pub const GET_100K: Kind = Kind {
    name: "get-100k",
    says: "GET, 100 KiB of JSON",
    request: |browser| browser.get("/api/report"),
    requests: 5_000,
    rate: 1_000,
    logs: Logs::Off,
};
pub const POST_16K: Kind = Kind {
    name: "post-16k",
    says: "POST, 16 KiB of JSON",
    request: |browser| browser.post("/api/upload", 16 * 1024),
    requests: 10_000,
    rate: 2_000,
    logs: Logs::Off,
};
pub const GET_1K_LOGGED: Kind = Kind {
    name: "get-1k-logged",
    says: "GET, 1 KiB of JSON, an access line each",
    logs: Logs::On,
    ..GET_1K
};

/// What was measured of one server.
#[derive(Debug, Default)]
struct Figures {
    cpu_us: Vec<f64>,
    per_second: Vec<f64>,
    latencies: Latencies,
    peak_kib: u64,
}

/// Measures `kind` and prints it.
pub fn run(stand: &Stand, kind: &Kind) -> anyhow::Result<()> {
    let servers = stand.all(kind.logs)?;
    let request = bytes::Bytes::from((kind.request)(&stand.browser));
    println!("{}: {} ({} bytes sent)", kind.name, kind.says, request.len());
    let mut figures: Vec<Figures> = servers.iter().map(|_| Figures::default()).collect();
    for server in &servers {
        closed(server, &request, kind.requests / 5).run().context(server.name)?;
        server.process.forget_peak();
    }
    for round in 0..stand.rounds {
        // Every server comes first, second and last as often.
        let mut turn: Vec<_> = servers.iter().zip(&mut figures).collect();
        turn.rotate_left(round % servers.len());
        for (server, figures) in turn {
            measure(server, figures, closed(server, &request, kind.requests))
                .context(server.name)?;
        }
    }
    for round in 0..LATENCY_ROUNDS {
        let mut turn: Vec<_> = servers.iter().zip(&mut figures).collect();
        turn.rotate_left(round % servers.len());
        for (server, figures) in turn {
            figures.latencies.add(open(server, &request, kind.rate).run().context(server.name)?);
        }
    }
    stand.check_tokens()?;
    print(kind, &servers, &figures);
    let bars = servers.iter().zip(&figures);
    let bars = bars.map(|(server, own)| (server.name, Spread::of(own.cpu_us.clone()).median));
    stand.chart.add(kind.says, bars.collect());
    Ok(())
}

/// Of two seconds each.
const LATENCY_ROUNDS: usize = 3;

fn closed(server: &Server, request: &bytes::Bytes, requests: usize) -> ClosedLoop {
    let connections = CONNECTIONS as usize;
    ClosedLoop { address: server.address, request: request.clone(), connections, requests }
}

fn open(server: &Server, request: &bytes::Bytes, rate: u32) -> OpenLoop {
    OpenLoop {
        address: server.address,
        request: request.clone(),
        connections: CONNECTIONS,
        rate,
        lasting: Duration::from_secs(2),
    }
}

fn measure(server: &Server, figures: &mut Figures, load: ClosedLoop) -> anyhow::Result<()> {
    let before = server.process.cpu()?;
    let took = load.run()?;
    let spent = server.process.cpu()?.saturating_sub(before);
    figures.cpu_us.push(each(spent.as_secs_f64() * 1e6, load.requests));
    figures.per_second.push(1.0 / each(took.as_secs_f64(), load.requests));
    figures.peak_kib = server.process.memory()?.peak;
    Ok(())
}

fn print(kind: &Kind, servers: &[Server], figures: &[Figures]) {
    let rate = kind.rate;
    for (server, figures) in servers.iter().zip(figures) {
        let Figures { cpu_us, per_second, latencies, peak_kib } = figures;
        println!(
            "  {:<10} CPU {} µs/request; {:.0} requests/s; at {rate}/s p50 {:.0} µs, p99 {:.0} µs; peak {:.1} MiB",
            server.name,
            Spread::of(cpu_us.clone()),
            Spread::of(per_second.clone()).median,
            latencies.at(0.5),
            latencies.at(0.99),
            super::stats::mib(*peak_kib),
        );
    }
    let [ours, peers @ ..] = figures else { return };
    for (server, peer) in servers.iter().skip(1).zip(peers) {
        let paired = Spread::of_ratios(&ours.cpu_us, &peer.cpu_us);
        let fastest = Spread::of(ours.cpu_us.clone()).min / Spread::of(peer.cpu_us.clone()).min;
        println!(
            "  CPU ratio to {:<8} {paired:.3}; of the minima {fastest:.3}; {} rounds",
            server.name,
            ours.cpu_us.len()
        );
    }
}
