//! `cloakroom sessions end`: tells a running process to end sessions, through its control socket, and says how far that
//! reached. Decides nothing: the process does.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::control_client::{NOT_UNDERSTOOD, ProcessArgs, ask};
use crate::server::control::{EndSessions, EndedIn, Selection};

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
    /// Who issued --user or --op-session; needed for an app with several issuers, and for tenants of one.
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
    let answer = ask(&socket, ("POST", "/sessions/end"), body, "ended")?;
    let ended = serde_json::from_value(answer).map_err(|_| NOT_UNDERSTOOD)?;
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
