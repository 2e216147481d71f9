//! `cloakroom sessions end`: tells a running process to end sessions, through its control socket, and says how far that
//! reached. Decides nothing: the process does.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::ConfigArgs;
use crate::server::control::{EndSessions, EndedIn, Selection};

/// A process that does not answer for so long is stuck: longer than it waits for Redis.
const ANSWERS: Duration = Duration::from_secs(30);

/// Options of `cloakroom sessions`.
#[derive(Debug, Args)]
pub struct SessionsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// End one session, a user's, or everybody's: cookies stop working at once, open streams and WebSockets close.
    #[command(after_long_help = MORE)]
    End(EndArgs),
}

const MORE: &str = "\
Examples:
  cloakroom sessions end --socket /run/cloakroom/control.sock --user 248289761001
  cloakroom sessions end --config cloakroom.toml --everybody

All sessions that began up to now end; whoever logs in afterwards is in again.
With [redis] one instance tells all others. Without it, say it to each.
Their refresh tokens are revoked as soon as their cookies show up once more.";

#[derive(Debug, Args)]
struct EndArgs {
    #[command(flatten)]
    whom: WhomArgs,
    #[command(flatten)]
    process: ProcessArgs,
    /// The app; absent: every app of the process.
    #[arg(long, value_name = "ID")]
    app: Option<String>,
    /// Who issued --user or --op-session, if it is not the configured issuer (several tenants).
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct WhomArgs {
    /// All sessions of a user, by the `sub` that the authorization server gives them.
    #[arg(long, value_name = "SUB")]
    user: Option<String>,
    /// One session, by `session` in its lines of the audit stream.
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// Those that belong to a session of the authorization server, by its `sid`.
    #[arg(long, value_name = "SID")]
    op_session: Option<String>,
    /// Everybody's: after a leak, or before an upgrade that must not be missed.
    #[arg(long)]
    everybody: bool,
}

/// The process that is meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ProcessArgs {
    /// Its control socket.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Its configuration file, which names the socket (`control.socket`).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Does what was asked for.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a person reads this")]
pub fn run(args: SessionsArgs) -> ExitCode {
    let What::End(args) = args.what;
    match end(args) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("Nothing was ended: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn end(args: EndArgs) -> Result<String, String> {
    let socket = args.process.socket()?;
    let whom = args.whom.selection().ok_or("say whose sessions")?;
    let asked = EndSessions { app: args.app, issuer: args.issuer, whom };
    let body = serde_json::to_vec(&asked).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let answer = runtime.block_on(async { timeout(ANSWERS, post(&socket, body)).await });
    let answer = answer.map_err(|_| "the process does not answer".to_owned())??;
    let ended = serde_json::from_value(answer).map_err(|_| "the answer is not understood")?;
    Ok(report(&asked.whom, ended))
}

impl WhomArgs {
    fn selection(self) -> Option<Selection> {
        let named = self.user.map(Selection::User);
        let named = named.or(self.session.map(Selection::Session));
        let named = named.or(self.op_session.map(Selection::OpSession));
        named.or(self.everybody.then_some(Selection::Everybody))
    }
}

impl ProcessArgs {
    fn socket(self) -> Result<PathBuf, String> {
        if let Some(path) = self.socket {
            return Ok(path);
        }
        let config = self.config.ok_or("name the process")?;
        let sources = ConfigArgs { config, set: Vec::new() }.sources();
        let config = super::load(&sources).ok_or("the configuration has to be mended first")?;
        config.control.socket.ok_or_else(|| {
            "control.socket is not set: name a path there and start the process again".to_owned()
        })
    }
}

/// Sends the request; gives the member `ended` of the answer.
async fn post(socket: &PathBuf, body: Vec<u8>) -> Result<serde_json::Value, String> {
    let stream = UnixStream::connect(socket).await.map_err(|error| {
        let path = socket.display();
        format!("no process answers at {path} ({error}); is it running, and are you its user?")
    })?;
    let broken = |error: hyper::Error| format!("the connection broke: {error}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(connection);
    let request = hyper::Request::post("/sessions/end")
        .header("host", "control")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let is_good = response.status().is_success();
    let body = response.into_body().collect().await.map_err(broken)?.to_bytes();
    let mut answer: serde_json::Value =
        serde_json::from_slice(&body).map_err(|_| "the answer is not understood".to_owned())?;
    let member =
        |answer: &mut serde_json::Value, name| answer.get_mut(name).map(serde_json::Value::take);
    match member(&mut answer, "ended").filter(|_| is_good) {
        Some(ended) => Ok(ended),
        None => Err(member(&mut answer, "error")
            .and_then(|error| error.as_str().map(ToOwned::to_owned))
            .unwrap_or_else(|| "the process refused".to_owned())),
    }
}

/// What to say about it, one line an app and a line for each limit.
fn report(whom: &Selection, ended: Vec<EndedIn>) -> String {
    let whose = match whom {
        Selection::Session(_) => "that session",
        Selection::OpSession(_) => "every session that belongs to that one",
        Selection::User(_) => "every session of that user",
        Selection::Everybody => "everybody's sessions",
    };
    let mut text = String::new();
    for EndedIn { app, told_others, survives_restart, .. } in ended {
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "app {app}: {whose}, begun up to now, ended.");
        if !told_others {
            text.push_str(
                "  warning: Redis is away, so other instances do not know yet; they are told when it is back.\n",
            );
        }
        if !survives_restart {
            text.push_str(
                "  warning: a restart of this process forgets it; set session.deny_file or [redis].\n",
            );
        }
    }
    text
}
