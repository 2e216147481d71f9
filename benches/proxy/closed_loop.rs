//! Sends a number of requests over a number of kept-alive connections, one at a time on each, as fast as they are
//! answered. Stops at the first answer that is not a 200 with a body of the announced length.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::wire::Wire;

/// More than any answer here may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// One run.
#[derive(Clone, Debug)]
pub struct ClosedLoop {
    pub address: SocketAddr,
    pub request: Bytes,
    pub connections: usize,
    pub requests: usize,
}

impl ClosedLoop {
    /// Runs it to its end, on this thread; how long it took.
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    pub fn run(&self) -> anyhow::Result<Duration> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let start = Instant::now();
        runtime.block_on(async {
            let all = tokio::time::timeout(DEADLINE, self.all_connections());
            all.await.context("no answer for too long")?
        })?;
        Ok(start.elapsed())
    }

    async fn all_connections(&self) -> anyhow::Result<()> {
        let sent = Arc::new(AtomicUsize::new(0));
        let mut connections = JoinSet::new();
        for _ in 0..self.connections {
            connections.spawn(one_connection(self.clone(), Arc::clone(&sent)));
        }
        while let Some(connection) = connections.join_next().await {
            connection??;
        }
        Ok(())
    }
}

async fn one_connection(plan: ClosedLoop, sent: Arc<AtomicUsize>) -> anyhow::Result<()> {
    let mut wire = Wire::new(TcpStream::connect(plan.address).await?)?;
    while sent.fetch_add(1, Ordering::Relaxed) < plan.requests {
        exchange(&mut wire, &plan.request).await?;
    }
    Ok(())
}

/// One request and its whole answer.
pub async fn exchange(wire: &mut Wire, request: &[u8]) -> anyhow::Result<()> {
    wire.stream.write_all(request).await?;
    let head = wire.head().await?.context("closed instead of an answer")?;
    ensure!(head.status == 200, "an answer with status {}", head.status);
    ensure!(!head.is_chunked, "an answer without Content-Length");
    wire.skip(head.body).await
}
