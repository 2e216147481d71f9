//! `parts`: what single steps of a request cost on their own: opening and sealing the session, normalising the path,
//! finding the route, a proof for a bound token. Whatever has no public door is in `callgrind`'s list instead.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use cloakroom::clock::Clock;
use cloakroom::config::ClientKey;
use cloakroom::oidc::{Dpop, ProofTarget};
use cloakroom::proxy::{NormalPath, RouteTable};
use cloakroom::secret::{Random, Secret};
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
    proof(stand)
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

/// By a key on P-256, for a token of the usual size.
fn proof(stand: &Stand) -> anyhow::Result<()> {
    let pem = ClientKey::generate().context("no randomness")?;
    let key = ClientKey::parse(&pem, false).map_err(anyhow::Error::msg)?;
    let dpop = Dpop::new(Arc::new(key), Clock::system(), Random::system());
    // The token is in there, and about as long.
    let token = Secret::from(stand.browser.cookies.as_str());
    let (method, origin, path) = ("GET", "https://api.example.com", "/orders");
    let target = ProofTarget { method, origin, path, token: Some(&token) };
    dpop.proof(target).context("no proof")?;
    let proof = fastest(|| dpop.proof(black_box(target)));
    println!("  {proof:>7}  make a proof for a bound token (DPoP)");
    let own = ClientKey::for_session().context("no randomness")?;
    let read = || ClientKey::of_session(black_box(&own)).map(|key| dpop.by(Arc::new(key)));
    read().context("no key")?;
    let read = fastest(read);
    println!("  {read:>7}  read a session's own key, where it has one");
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
