//! The binary: parses the command line and runs the command.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    cloakroom::cli::run(cloakroom::cli::Cli::parse())
}
