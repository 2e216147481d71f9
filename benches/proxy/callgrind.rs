//! `callgrind`: user instructions per proxied 1 KiB GET, counted by valgrind. The figure does not depend on the machine's
//! load or clock, so a regression of a per cent shows anywhere; it knows nothing of the kernel's share.
//!
//! The counters are zeroed after a warm-up and dumped after the requests, so neither start nor discovery is in it.
//! valgrind offers AES-NI, PCLMULQDQ and AVX2, but not the SHA extensions, VAES or AVX-512: code that chooses by CPU
//! takes its path for older ones.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use bytes::Bytes;

use super::closed_loop::ClosedLoop;
use super::peers;
use super::server::{Logs, Server, Under, find};
use super::stand::Stand;
use super::stats::each;
use super::tokens;

const WARM_UP: usize = 300;
const REQUESTS: usize = 1_000;
/// Functions shown, by what they spend themselves.
const SHOWN: usize = 25;

/// Counts and prints.
pub fn run(stand: &Stand) -> anyhow::Result<()> {
    find(&["/usr/bin/valgrind", "/usr/local/bin/valgrind"])
        .context("valgrind is missing: scripts/install-test-needs bench")?;
    println!("callgrind: user instructions per proxied GET of 1 KiB, one worker");
    let request = Bytes::from(stand.browser.get("/api/orders?page=1"));
    let out = |name: &str| stand.folder.join(&format!("callgrind.{name}"));
    let (ours, upstream) = (out("cloakroom"), stand.upstream.address);
    let under = Under::Callgrind(ours.clone());
    let functions = {
        let server = stand.cloakroom(&stand.settings(), &under)?;
        count(server.name, &server, &request, &ours)?
    };
    {
        let (file, provider) = (out("asking"), tokens::provider_lines(stand));
        let settings = tokens::asking(stand, &provider, stand.settings().address);
        let server = stand.cloakroom(&settings, &Under::Callgrind(file.clone()))?;
        count("… introspecting", &server, &request, &file)?;
    }
    for name in ["nginx", "HAProxy"] {
        let file = out(name);
        let under = Under::Callgrind(file.clone());
        let server = match name {
            "nginx" => peers::nginx(&stand.folder, upstream, Logs::Off, &under)?,
            _ => peers::haproxy(&stand.folder, upstream, Logs::Off, &under)?,
        };
        count(name, &server, &request, &file)?;
    }
    stand.check_tokens()?;
    // Kept for a longer look: callgrind_annotate --tree=caller FILE.
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("callgrind.cloakroom");
    std::fs::copy(&functions, &kept)?;
    println!("  Cloakroom's functions by what they spend themselves, instructions per request:");
    print_functions(&kept, "no", |_| true)?;
    println!(
        "  its own by what they spend with all they call, as far as the compiler left them functions:"
    );
    print_functions(&kept, "yes", |function| function.contains("cloakroom::"))?;
    println!("  all of it: callgrind_annotate --tree=caller {}", kept.display());
    Ok(())
}

/// Prints the instructions per request; gives the file with all that was counted.
fn count(name: &str, server: &Server, request: &Bytes, out: &Path) -> anyhow::Result<PathBuf> {
    // One connection: whether two requests are found ready at once is chance, and changes the count.
    let load = |requests| ClosedLoop {
        address: server.address,
        request: request.clone(),
        connections: 1,
        requests,
    };
    load(WARM_UP).run()?;
    let pid = server.process.id().to_string();
    control("--zero", &pid)?;
    load(REQUESTS).run()?;
    control("--dump", &pid)?;
    let dumped = PathBuf::from(format!("{}.1", out.display()));
    let text = std::fs::read_to_string(&dumped).context("callgrind has dumped nothing")?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: f64 = totals.context("a dump without totals")?.trim().parse()?;
    println!("  {name:<15} {:.0} instructions/request", each(total, REQUESTS));
    Ok(dumped)
}

fn control(what: &str, pid: &str) -> anyhow::Result<()> {
    let mut command = Command::new("callgrind_control");
    let status = command.args([what, pid]).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    ensure!(status.success(), "callgrind_control {what} failed");
    Ok(())
}

/// Prints the dearest functions, a line each.
fn print_functions(
    dumped: &Path,
    inclusive: &str,
    is_shown: fn(&str) -> bool,
) -> anyhow::Result<()> {
    let mut command = Command::new("callgrind_annotate");
    command.args(["--auto=no", "--threshold=100"]).arg(format!("--inclusive={inclusive}"));
    let output = command.arg(dumped).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let functions = text.lines().filter_map(function).filter(|(_, _, name)| is_shown(name));
    for (count, share, name) in functions.take(SHOWN) {
        println!("  {:>8} {share:>7}  {name}", count / REQUESTS);
    }
    Ok(())
}

/// Reads `13,852,160 ( 8.62%)  ???:function [binary]`; the totals have no colon.
fn function(line: &str) -> Option<(usize, &str, &str)> {
    let (count, rest) = line.trim_start().split_once(' ')?;
    let count: usize = count.replace(',', "").parse().ok()?;
    let (share, function) = rest.trim_start().split_once(')')?;
    let (_, function) = function.split_once(':')?;
    let name = function.split(" [").next().unwrap_or(function);
    let share = share.trim_start_matches('(').trim_start();
    // Frames that were entered before the counters were zeroed are listed with all that happened below them.
    (share != "100.0%").then_some((count, share, name))
}
