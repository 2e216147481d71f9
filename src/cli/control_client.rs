//! Speaks to a running process through its control socket. Decides nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::ConfigArgs;

/// A process that does not answer for so long is stuck: longer than it waits for Redis.
const ANSWERS: Duration = Duration::from_secs(30);

/// What is said of an answer from another release.
pub(super) const NOT_UNDERSTOOD: &str = "the answer is not understood";

/// The process that is meant.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct ProcessArgs {
    /// Its control socket.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Its configuration file, which names the socket (`control.socket`).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ProcessArgs {
    /// The path of its socket.
    pub(super) fn socket(self) -> Result<PathBuf, String> {
        if let Some(path) = self.socket {
            return Ok(path);
        }
        let config = self.config.ok_or("name the process: --socket PATH or --config FILE")?;
        let sources = ConfigArgs { config, set: Vec::new() }.sources();
        let config = super::load(&sources).ok_or("the configuration has to be mended first")?;
        config.control.socket.ok_or_else(|| {
            "control.socket is not set: name a path there and start the process again".to_owned()
        })
    }
}

/// Sends a request; gives the member `wanted` of the answer, or what the process said instead.
pub(super) fn ask(
    socket: &Path,
    target: (&str, &str),
    body: Vec<u8>,
    wanted: &str,
) -> Result<Value, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let answer = runtime.block_on(async { timeout(ANSWERS, send(socket, target, body)).await });
    let (is_good, mut answer) = answer.map_err(|_| "the process does not answer".to_owned())??;
    let mut member = |name| answer.get_mut(name).map(Value::take);
    match member(wanted).filter(|_| is_good) {
        Some(wanted) => Ok(wanted),
        None => Err(member("error")
            .and_then(|error| error.as_str().map(ToOwned::to_owned))
            .unwrap_or_else(|| "the process refused".to_owned())),
    }
}

async fn send(
    socket: &Path,
    (method, path): (&str, &str),
    body: Vec<u8>,
) -> Result<(bool, Value), String> {
    let stream = UnixStream::connect(socket).await.map_err(|error| {
        let path = socket.display();
        format!("no process answers at {path} ({error}); is it running, and are you its user?")
    })?;
    let broken = |error: hyper::Error| format!("the connection broke: {error}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(connection);
    let request = hyper::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "control")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let is_good = response.status().is_success();
    let body = response.into_body().collect().await.map_err(broken)?.to_bytes();
    let answer = serde_json::from_slice(&body).map_err(|_| NOT_UNDERSTOOD.to_owned())?;
    Ok((is_good, answer))
}
