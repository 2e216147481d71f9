//! `cloakroom explain`: what a code means and how to mend it; or, given the id of a request that a running process has refused,
//! what it saw of that request. Decides nothing: it repeats what the code says of itself.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::control_client::{NOT_UNDERSTOOD, ProcessArgs, ask};
use crate::edge::{AuthError, Code};
use crate::telemetry::Refused;

/// Options of `cloakroom explain`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MORE)]
pub struct ExplainArgs {
    /// A code such as `csrf_origin`, or the id of a request (`X-Request-Id`, `request_id`).
    // An id may begin with a dash.
    #[arg(allow_hyphen_values = true)]
    what: String,
    #[command(flatten)]
    process: ProcessArgs,
}

const MORE: &str = "\
Examples:
  cloakroom explain login_cookie_missing
  cloakroom explain mB3f0Yp4s2Q1xv9Z --socket /run/cloakroom/control.sock

A process remembers its latest thousand refusals and failed logins: names of
fields and how often they came, no values. The page or the problem document that
a user was shown has the id of the request. docs/errors.md lists all codes.";

/// Explains, on standard output.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a person reads this")]
pub fn run(args: ExplainArgs) -> ExitCode {
    match explanation(args) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn explanation(args: ExplainArgs) -> Result<String, String> {
    if let Some(text) = of_code(&args.what) {
        return Ok(text);
    }
    let is_id = args.what.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if !is_id || args.what.is_empty() {
        return Err("This is neither a code nor the id of a request.".to_owned());
    }
    let socket = args.process.socket().map_err(|problem| {
        format!("There is no code {}. If it is the id of a request, {problem}.", args.what)
    })?;
    let path = format!("/refusals/{}", args.what);
    let refused = ask(&socket, ("GET", &path), Vec::new(), "refused")?;
    let refused: Refused = serde_json::from_value(refused).map_err(|_| NOT_UNDERSTOOD)?;
    Ok(of_request(&refused))
}

/// What a code means, in both places where it can stand.
fn of_code(code: &str) -> Option<String> {
    let mut text = String::new();
    // Writing to a String cannot fail.
    if let Some(code) = Code::ALL.into_iter().find(|known| known.as_str() == code) {
        let _infallible = write!(
            text,
            "{} (status {}): {}\n  mend: {}\n",
            code.as_str(),
            code.status(),
            code.title(),
            code.mend()
        );
    }
    if let Some(cause) = AuthError::ALL.into_iter().find(|known| known.as_str() == code) {
        let _infallible = writeln!(text, "{} (a login failed): {}", cause.as_str(), cause.mend());
    }
    (!text.is_empty()).then_some(text)
}

fn of_request(refused: &Refused) -> String {
    let app = refused.app.as_ref().map(|app| format!(" of app {app}")).unwrap_or_default();
    let mut text = format!("{} {}{app}\n", refused.method, refused.path);
    text.push_str(&of_code(&refused.code).unwrap_or_else(|| format!("{}\n", refused.code)));
    text.push_str("What was seen:\n");
    for line in &refused.seen {
        let _infallible = writeln!(text, "  {line}");
    }
    text
}
