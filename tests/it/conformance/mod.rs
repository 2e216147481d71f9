//! The OpenID conformance suite's modules for relying parties, re-created before our own hostile server: one row of a list each
//! (`core`, `logout`, `fapi`, `extra` and `answers` for what the suite does not try). What ran leaves its outcome in the target folder, from
//! which `make conformance` prints the table. It is no certification.

mod answers;
mod core;
mod differential;
mod extra;
mod fapi;
mod logout;
mod oracle;
mod page;
mod rig;
pub mod row;

use std::time::Duration;

use oracle::hold;
use rig::{Profile, Rig};
use row::{Play, Row, Switch};

/// Every row, in the order of the page.
pub fn all() -> impl Iterator<Item = &'static Row> {
    core::ROWS.iter().chain(logout::ROWS).chain(fapi::ROWS).chain(extra::ROWS).chain(answers::ROWS)
}

impl Row {
    /// How we are configured, for each run.
    fn profiles(&self) -> &'static [Profile] {
        match self.plans {
            "FAPI2" | "JARM" => &[Profile::FapiEs256, Profile::FapiPs256],
            "X/F" => &[Profile::FormPost],
            plans if plans.contains('F') => &[Profile::Plain, Profile::FormPost],
            _ => &[Profile::Plain],
        }
    }
}

/// Plays every row of a list; one that fails stops no other.
async fn play(rows: &'static [Row]) {
    let mut failures = Vec::new();
    for row in rows {
        let outcome = match row.play {
            Play::Elsewhere(test) => {
                assert!(page::is_a_test(test), "{}: no test is called {test}", row.name);
                continue;
            }
            Play::OutOfScope(_) => continue,
            _ => run_in_every_profile(row).await,
        };
        page::note(row, outcome.is_ok());
        failures.extend(outcome.err().map(|why| format!("{}: {why}", row.name)));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

async fn run_in_every_profile(row: &'static Row) -> Result<(), String> {
    for profile in row.profiles() {
        let switch = match row.play {
            Play::Login(switch, _) | Play::Stop(_, switch) => switch,
            _ => row::honest,
        };
        let rig = Rig::start(*profile, row.settings, switch).await;
        // A row that panics is a failure, too.
        let ran = tokio::spawn(async move {
            let outcome = run(row, &rig).await;
            rig.stop().await;
            outcome
        });
        let outcome = ran.await.unwrap_or_else(|error| Err(error.to_string()));
        outcome.map_err(|why| format!("{profile:?}: {why}"))?;
    }
    Ok(())
}

async fn run(row: &Row, rig: &Rig) -> Result<(), String> {
    match row.play {
        Play::Login(_, seen) => {
            let landing = rig.log_in().await;
            oracle::logged_in(rig, &landing).await?;
            hold(seen(&rig.op), "what the server saw")?;
            fapi_rules(rig, &landing)
        }
        Play::Stop(at, _) => {
            let landing = rig.log_in().await;
            oracle::stopped(rig, &landing, at).await?;
            fapi_rules(rig, &landing)
        }
        Play::Refresh(works, switch) => refresh(rig, works, switch).await,
        Play::LogoutToken(taken, switch, change) => logout::tell(rig, taken, switch, change).await,
        Play::Scene(scene) => scene(rig).await,
        Play::Elsewhere(_) | Play::OutOfScope(_) => Ok(()),
    }
}

fn fapi_rules(rig: &Rig, landing: &rig::Landing) -> Result<(), String> {
    if rig.profile.is_fapi() { oracle::fapi(rig, landing) } else { Ok(()) }
}

/// A login, and a refresh when the server is switched: the new token is used, or never.
async fn refresh(rig: &Rig, works: bool, switch: Switch) -> Result<(), String> {
    let landing = rig.log_in().await;
    oracle::logged_in(rig, &landing).await?;
    switch(&rig.op);
    rig.clock.advance(Duration::from_secs(301));
    let page = rig.fetch("POST", "/refresh").await;
    hold((page.status == 200) == works, format!("the refresh said {}", page.status))?;
    let before = oracle::api_calls(&rig.op).len();
    let called = rig.fetch("GET", "/api/accounts").await;
    hold((called.status == 200) == works, format!("the API said {}", called.status))?;
    let calls = oracle::api_calls(&rig.op);
    hold(calls.len() == before + usize::from(works), "a token was used that must not be")?;
    let tokens: Vec<_> = calls.iter().map(|call| call.header("authorization")).collect();
    hold(!works || tokens.first() != tokens.last(), "the API gets the new token")
}

#[tokio::test(flavor = "multi_thread")]
async fn core_discovery_and_refresh_as_the_suite_has_them() {
    play(core::ROWS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_as_the_suite_has_it() {
    play(logout::ROWS).await;
}

// proves: FA-02, FA-03, FA-09, FA-12, FA-14
#[tokio::test(flavor = "multi_thread")]
async fn fapi_2_as_the_suite_has_it() {
    play(fapi::ROWS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_suite_does_not_try() {
    play(extra::ROWS).await;
    play(answers::ROWS).await;
}
