//! `bodies`: one body of 1 GiB down and one up, and that memory does not grow with them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::server::{Server, Under};
use super::stand::Stand;
use super::stats::mib;
use super::wire::Wire;

const GIB: usize = 1 << 30;
const DEADLINE: Duration = Duration::from_secs(120);

/// Measures both ways and prints it.
pub fn run(stand: &Stand) -> anyhow::Result<()> {
    println!("bodies: 1 GiB each way through Cloakroom");
    let mut settings = stand.settings();
    settings.route_lines = "body_limit = \"2GiB\"\n";
    let server = stand.cloakroom(&settings, &Under::Nothing)?;
    let down = stand.browser.get(&format!("/api/download/{GIB}"));
    let up = stand.browser.post_head("/api/upload", GIB);
    one(&server, "down", &down, 0)?;
    one(&server, "up", &up, GIB)?;
    stand.check_tokens()
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn one(server: &Server, way: &str, head: &[u8], body: usize) -> anyhow::Result<()> {
    server.process.forget_peak();
    let (before, cpu) = (server.process.memory()?, server.process.cpu()?);
    let start = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let moving = timeout(DEADLINE, exchange(server, head, body));
        moving.await.context("it takes too long")?
    })?;
    let (took, cpu) = (start.elapsed(), server.process.cpu()?.saturating_sub(cpu));
    println!(
        "  {way:<4} peak {:.1} MiB, before {:.1} MiB; {:.0} ms CPU, {:.1} s",
        mib(server.process.memory()?.peak),
        mib(before.resident),
        cpu.as_secs_f64() * 1e3,
        took.as_secs_f64()
    );
    Ok(())
}

async fn exchange(server: &Server, head: &[u8], body: usize) -> anyhow::Result<()> {
    let mut wire = Wire::new(TcpStream::connect(server.address).await?)?;
    wire.stream.write_all(head).await?;
    let block = vec![b'x'; 64 * 1024];
    let mut left = body;
    while left > 0 {
        let piece = block.get(..left.min(block.len())).unwrap_or(&block);
        wire.stream.write_all(piece).await?;
        left -= piece.len();
    }
    let answer = wire.head().await?.context("closed instead of an answer")?;
    ensure!(answer.status == 200, "an answer with status {}", answer.status);
    ensure!(answer.body == GIB as u64 || body > 0, "a body of another length");
    wire.skip(answer.body).await
}
