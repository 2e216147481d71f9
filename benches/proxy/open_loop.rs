//! Sends requests at a constant rate, whether or not earlier ones were answered in time, and measures from the moment at
//! which each was due: a server that stalls is charged for every request that it held up (no coordinated omission).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;

use super::stats::percentile;

/// One run. Its threads sleep: a timer that spins would take the core from the upstream.
#[derive(Clone, Debug)]
pub struct OpenLoop {
    pub address: SocketAddr,
    pub request: Bytes,
    pub connections: u32,
    /// Requests per second, over all connections.
    pub rate: u32,
    pub lasting: Duration,
}

/// Times from due to answered, µs, sorted.
#[derive(Debug, Default)]
pub struct Latencies(Vec<f64>);

impl Latencies {
    /// The time within which `share` of the requests were answered.
    pub fn at(&self, share: f64) -> f64 {
        percentile(&self.0, share)
    }

    /// Takes in those of another run.
    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_by(f64::total_cmp);
    }
}

impl OpenLoop {
    /// Runs it to its end.
    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    pub fn run(&self) -> anyhow::Result<Latencies> {
        // All connections stand before the first request is due.
        let start = Instant::now() + Duration::from_millis(50);
        let step = Duration::from_secs(1) / self.rate;
        std::thread::scope(|scope| {
            let connection = |at: u32| scope.spawn(move || self.one_connection(start + step * at));
            let connections: Vec<_> = (0..self.connections).map(connection).collect();
            let mut all = Latencies::default();
            for connection in connections {
                match connection.join() {
                    Ok(outcome) => all.0.extend(outcome?),
                    Err(_) => bail!("a connection's thread ended early"),
                }
            }
            all.0.sort_by(f64::total_cmp);
            Ok(all)
        })
    }

    #[expect(clippy::disallowed_methods, reason = "a bench measures time")]
    fn one_connection(&self, first: Instant) -> anyhow::Result<Vec<f64>> {
        wake_in_time();
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut answers = BufReader::with_capacity(64 * 1024, stream.try_clone()?);
        let mut body = Vec::new();
        let pause = Duration::from_secs(1) * self.connections / self.rate;
        let mut taken = Vec::new();
        let mut due = first;
        while due < first + self.lasting {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            stream.write_all(&self.request)?;
            read_answer(&mut answers, &mut body)?;
            taken.push(due.elapsed().as_secs_f64() * 1e6);
            due += pause;
        }
        Ok(taken)
    }
}

/// Linux wakes a sleeper up to 50 µs late unless told otherwise. Where it cannot be told, all servers suffer alike.
fn wake_in_time() {
    let this = std::fs::read_link("/proc/thread-self").unwrap_or_default();
    let thread = this.file_name().unwrap_or_default().display();
    let _told = std::fs::write(format!("/proc/{thread}/timerslack_ns"), "1000");
}

fn read_answer(answers: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut line = String::new();
    answers.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200 "), "the answer begins with {line:?}");
    let mut length = None;
    loop {
        line.clear();
        answers.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = Some(value.trim().parse()?);
            }
            Some(_) => {}
            None => break,
        }
    }
    body.resize(length.context("the answer has no Content-Length")?, 0);
    answers.read_exact(body).context("the body is too short")
}
