//! `idle`, `sockets`, `events`: a thousand connections that stay open, and what they cost each server while little or
//! nothing is said on them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::closed_loop::exchange;
use super::process::Memory;
use super::requests::Browser;
use super::server::{Logs, Server, Under};
use super::stand::Stand;
use super::stats::{each, mib};
use super::upstream::EVENT_EVERY;
use super::wire::Wire;

const HELD: usize = 1_000;
/// How long they are looked at: less than servers keep an idle connection (5 s at the least), opening them included.
const QUIET: Duration = Duration::from_secs(2);
const EVENTS: Duration = Duration::from_secs(10);
/// Messages that go over each WebSocket and come back.
const ECHOES: usize = 20;
const DEADLINE: Duration = Duration::from_secs(20);
/// A server may let the first bytes of a stream wait for more; others are opened meanwhile.
const OPENED_AT_ONCE: usize = 50;

/// Connections kept alive after one request each.
pub fn idle(stand: &Stand) -> anyhow::Result<()> {
    println!("idle: {HELD} kept-alive connections after one GET each, nothing said for {QUIET:?}");
    let request = stand.browser.get("/api/orders?page=1");
    for server in stand.all(Logs::Off)? {
        let before = server.process.memory()?;
        let runtime = quiet_runtime()?;
        let wires =
            runtime.block_on(open(server.address, async |wire| exchange(wire, &request).await))?;
        let seconds = cpu_per_second(&server, &runtime, QUIET)?;
        let open = runtime.block_on(still_open(wires));
        say(&server, before, open, seconds)?;
    }
    Ok(())
}

/// WebSockets through a route: first nothing is said, then messages go to and fro.
pub fn sockets(stand: &Stand) -> anyhow::Result<()> {
    println!(
        "sockets: {HELD} WebSockets, nothing said for {QUIET:?}, then {ECHOES} messages there and back on each"
    );
    let mut servers = stand.peers(Logs::Off)?;
    let mut settings = stand.settings();
    settings.route_lines = "websocket = true\n";
    let tunnels = stand.cloakroom(&settings, &Under::Nothing);
    let ours = tunnels.or_else(|_| {
        println!("  Cloakroom  does not start with `websocket = true`; asking without it:");
        stand.cloakroom(&stand.settings(), &Under::Nothing)
    });
    servers.insert(0, ours?);
    for server in &servers {
        match through_sockets(server, &stand.browser) {
            Ok(()) => {}
            // Reported, not fatal: a build without tunnels has other scenarios left.
            Err(error) => println!("  {:<10} {error:#}", server.name),
        }
    }
    Ok(())
}

fn through_sockets(server: &Server, browser: &Browser) -> anyhow::Result<()> {
    let before = server.process.memory()?;
    let handshake = browser.web_socket("/api/socket");
    let runtime = quiet_runtime()?;
    let mut wires = runtime.block_on(open(server.address, async |wire| {
        wire.stream.write_all(&handshake).await?;
        let head = wire.head().await?.context("closed during the handshake")?;
        ensure!(head.status == 101, "the handshake was refused with status {}", head.status);
        Ok(())
    }))?;
    let seconds = cpu_per_second(server, &runtime, QUIET)?;
    say(server, before, wires.len(), seconds)?;
    let before = server.process.cpu()?;
    for _ in 0..ECHOES {
        runtime.block_on(async {
            timeout(DEADLINE, echo(&mut wires)).await.context("no echo in time")?
        })?;
    }
    let spent = server.process.cpu()?.saturating_sub(before);
    let one = each(spent.as_secs_f64() * 1e6, ECHOES * HELD);
    println!("  {:<10} {one:.1} µs CPU per message there and back", server.name);
    Ok(())
}

/// One short message each way on every WebSocket; all are under way at once.
async fn echo(wires: &mut [Wire]) -> anyhow::Result<()> {
    // "hello", masked with zeros as RFC 6455 §5.3 allows a test to.
    let frame = [b"\x81\x85\0\0\0\0".as_slice(), b"hello"].concat();
    for wire in &mut *wires {
        wire.stream.write_all(&frame).await?;
    }
    for wire in wires {
        let payload = wire.frame().await?.context("closed instead of an echo")?;
        ensure!(payload == b"hello", "another echo than was sent");
    }
    Ok(())
}

/// Streams of server-sent events, one event on each now and then.
pub fn events(stand: &Stand) -> anyhow::Result<()> {
    println!("events: {HELD} event streams, an event each {EVENT_EVERY:?} on each, for {EVENTS:?}");
    let request = stand.browser.event_stream("/api/events");
    for server in stand.all(Logs::Off)? {
        let before = server.process.memory()?;
        let runtime = quiet_runtime()?;
        let wires = runtime.block_on(open(server.address, async |wire| {
            wire.stream.write_all(&request).await?;
            let head = wire.head().await?.context("closed instead of an answer")?;
            ensure!(head.status == 200, "an answer with status {}", head.status);
            Ok(())
        }))?;
        let arrived = Arc::new(AtomicUsize::new(0));
        let readers = {
            let _inside = runtime.enter();
            read_events(wires, &arrived)
        };
        // What came while they were opened does not count.
        runtime.block_on(async { tokio::time::sleep(EVENT_EVERY).await });
        let before_events = arrived.load(Ordering::Relaxed);
        let seconds = cpu_per_second(&server, &runtime, EVENTS)?;
        let events = arrived.load(Ordering::Relaxed) - before_events;
        say(&server, before, HELD - ended(readers), seconds)?;
        let all = seconds * EVENTS.as_secs_f64() * 1e6;
        let one = each(all, events.max(1));
        println!("  {:<10} {events} events arrived, {one:.1} µs CPU each", server.name);
    }
    stand.check_tokens()
}

/// Reads all streams and counts their events, until a stream ends.
fn read_events(wires: Vec<Wire>, arrived: &Arc<AtomicUsize>) -> JoinSet<()> {
    let mut readers = JoinSet::new();
    for mut wire in wires {
        let arrived = Arc::clone(arrived);
        readers.spawn(async move {
            while let Ok(bytes) = wire.some().await
                && !bytes.is_empty()
            {
                let events = bytes.windows(6).filter(|window| window == b"data: ").count();
                arrived.fetch_add(events, Ordering::Relaxed);
            }
        });
    }
    readers
}

/// How many streams have ended.
fn ended(mut readers: JoinSet<()>) -> usize {
    std::iter::from_fn(|| readers.try_join_next()).count()
}

fn quiet_runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Opens them, a few at a time, each with its first exchange.
async fn open(
    address: SocketAddr,
    first: impl AsyncFn(&mut Wire) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Wire>> {
    let one = async |_| {
        let mut wire = Wire::new(TcpStream::connect(address).await?)?;
        timeout(DEADLINE, first(&mut wire)).await.context("no answer in time")??;
        anyhow::Ok(wire)
    };
    stream::iter(0..HELD).map(one).buffer_unordered(OPENED_AT_ONCE).try_collect().await
}

/// Seconds of CPU time per second while nothing is asked.
fn cpu_per_second(server: &Server, runtime: &Runtime, lasting: Duration) -> anyhow::Result<f64> {
    let before = server.process.cpu()?;
    runtime.block_on(async { tokio::time::sleep(lasting).await });
    let spent = server.process.cpu()?.saturating_sub(before);
    Ok(spent.as_secs_f64() / lasting.as_secs_f64())
}

/// How many the server has not closed.
async fn still_open(wires: Vec<Wire>) -> usize {
    let looks = wires.into_iter().map(|mut wire| async move {
        // Nothing comes on an open one.
        timeout(Duration::from_millis(50), wire.some()).await.is_err()
    });
    join_all(looks).await.into_iter().filter(|open| *open).count()
}

fn say(server: &Server, before: Memory, open: usize, seconds: f64) -> anyhow::Result<()> {
    let now = server.process.memory()?;
    #[expect(clippy::cast_precision_loss, reason = "KiB of a bench are far below 2^52")]
    let grown = each(now.resident.saturating_sub(before.resident) as f64, HELD);
    println!(
        "  {:<10} {open} open; peak {:.1} MiB, now {:.1} MiB, {grown:.1} KiB each; CPU {:.1} ms/s",
        server.name,
        mib(now.peak),
        mib(now.resident),
        seconds * 1e3
    );
    Ok(())
}
