//! `cloakroom doctor`: tries what a configuration depends on, and says how to mend what does not work. For people, or as JSON for
//! pipelines; exit 1 if anything fails. Sends nothing but a made-up code to the authorization server.

use std::process::ExitCode;

use super::ConfigArgs;
use crate::clock::Clock;
use crate::server::{Finding, Level, examine};

/// Options of `cloakroom doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print one JSON document instead of lines.
    #[arg(long)]
    json: bool,
}

/// Examines, and prints each finding when it is there.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a person, or a pipeline, reads this"
)]
pub fn run(args: &DoctorArgs) -> ExitCode {
    let Some(config) = super::load(&args.config.sources()) else { return ExitCode::FAILURE };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut findings: Vec<Finding> = Vec::new();
    let told = |finding: Finding| {
        if !args.json {
            print!("{}", lines(&finding));
        }
        findings.push(finding);
    };
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(examine(config, Clock::system(), told)));
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    if args.json {
        println!("{}", serde_json::json!({ "worst": worst, "findings": findings }));
    } else {
        println!("{}", closing(&findings));
    }
    if worst == Level::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A finding for a person, with its mend on a line of its own.
fn lines(finding: &Finding) -> String {
    let word = match finding.level {
        Level::Ok => "ok     ",
        Level::Warning => "warning",
        Level::Failed => "FAILED ",
    };
    let whose = [&finding.app, &finding.provider];
    let app: Vec<String> = whose.into_iter().flatten().map(|name| format!("{name}: ")).collect();
    let app = app.concat();
    let mend = finding.mend.map(|mend| format!("          mend: {mend}\n")).unwrap_or_default();
    format!("{word}  {app}{}: {}\n{mend}", finding.check, finding.says)
}

fn closing(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    match (count(Level::Failed), count(Level::Warning)) {
        (0, 0) => "All is well.".to_owned(),
        (0, warnings) => format!("It works; {warnings} to think about."),
        (failed, _) => format!("{failed} to mend."),
    }
}
