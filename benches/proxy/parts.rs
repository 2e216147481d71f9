//! `parts`: what single steps of a request cost on their own: opening and sealing the session, normalising the path,
//! finding the route. Whatever has no public door is in `callgrind`'s list instead.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use cloakroom::clock::Clock;
use cloakroom::proxy::{NormalPath, RouteTable};
use cloakroom::session::Opened;

use super::cloakroom::Settings;
use super::server::free_address;
use super::session::{app_config, cookies_of};
use super::stand::Stand;

const ROUNDS: u32 = 7;
const ROUND: Duration = Duration::from_millis(100);
/// Runs between two looks at the clock.
const BATCH: u32 = 50;

/// Measures them and prints it.
pub fn run(stand: &Stand) -> anyhow::Result<()> {
    println!("parts: ns each, the fastest of {ROUNDS} rounds");
    sessions(stand)?;
    for routes in [10, 1_000] {
        find_route(stand, routes)?;
    }
    Ok(())
}

fn sessions(stand: &Stand) -> anyhow::Result<()> {
    let app = app_config(&configuration(stand, 1)?)?;
    let cookies = cookies_of(&app, Some(stand.browser.port))?;
    let (jar, now) = (stand.browser.cookies.as_str(), Clock::system().now());
    let Opened::Open(session) = cookies.open(&[jar], now) else {
        bail!("the session does not open");
    };
    let open = fastest(|| cookies.open(&[black_box(jar)], now));
    println!("  {open:>7}  open a session ({} bytes of cookies)", jar.len());
    let record = &session.record;
    let seal = fastest(|| cookies.seal(black_box(record), &[], now));
    println!("  {seal:>7}  seal it");
    Ok(())
}

fn find_route(stand: &Stand, routes: usize) -> anyhow::Result<()> {
    let table = RouteTable::new(app_config(&configuration(stand, routes)?)?.routes);
    let parse = || NormalPath::parse(black_box("/api/orders")).context("a usual path is refused");
    let path = parse()?;
    let found = table.find(&path).context("no route")?;
    ensure!(found.config().path == "/api", "another route than the last one");
    if routes == 10 {
        let parsed = fastest(parse);
        println!("  {parsed:>7}  normalise a path");
    }
    let find = fastest(|| table.find(black_box(&path)));
    println!("  {find:>7}  find the last of {routes} routes");
    Ok(())
}

/// Cloakroom's configuration with so many routes, as a file.
fn configuration(stand: &Stand, routes: usize) -> anyhow::Result<std::path::PathBuf> {
    let file = stand.folder.join("read-by-the-bench.toml");
    let settings = Settings { other_routes: routes - 1, ..stand.settings() };
    std::fs::write(&file, settings.text(free_address()?))?;
    Ok(file)
}

/// ns per run in the fastest of the rounds: the others were disturbed.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn fastest<T>(run: impl Fn() -> T) -> u128 {
    let round = || {
        let (start, mut times) = (Instant::now(), 0);
        loop {
            for _ in 0..BATCH {
                drop(black_box(run()));
            }
            times += u128::from(BATCH);
            let spent = start.elapsed();
            if spent > ROUND {
                return spent.as_nanos() / times;
            }
        }
    };
    (0..ROUNDS).map(|_| round()).min().unwrap_or_default()
}
