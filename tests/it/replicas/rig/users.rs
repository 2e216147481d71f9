//! Refreshes pairs of users at the same instant, again and again: nobody ever gets the other's tokens. The embedded
//! authorization server does it, because it is fast.

use std::time::Duration;

use cloakroom::clock::{Clock, Timestamp};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::gate::Manner;
use super::stage::Stage;
use super::visitor::Visitor;
use super::{Report, must_be_none};

/// Seconds that a token lives: the clock's next tick ends it.
pub const TOKEN_LIFE: u64 = 1;

/// How much is done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// A round is a pair of users refreshed together.
    pub rounds: usize,
    pub time: Duration,
    /// Pairs that are refreshed beside each other.
    pub pairs: usize,
}

#[derive(Default)]
struct Counts {
    rounds: usize,
    failed: usize,
    swapped: usize,
}

/// Runs it; `progress` is told the rounds so far.
pub async fn run(stage: &Stage, plan: &Plan, progress: impl Fn(usize)) -> Report {
    let started = Instant::now();
    let mut visitors = Vec::new();
    for _ in 0..plan.pairs {
        visitors.push(Visitor::sign_in(stage, "alice").await);
        visitors.push(Visitor::sign_in(stage, "bob").await);
    }
    let before = stage.gate.count();
    let mut counts = Counts::default();
    let mut released = Clock::system().now();
    while counts.rounds < plan.rounds && started.elapsed() < plan.time {
        ended(released).await;
        // Held until all have asked: then they are answered in one moment.
        let first = stage.gate.count();
        stage.gate.set(Manner::HoldRequest);
        let calls = join_all(visitors.iter().map(|visitor| visitor.call(&stage.front)));
        let (answers, at) = tokio::join!(calls, gather(stage, first + visitors.len()));
        released = at;
        counts.failed += answers.iter().filter(|answered| answered.status != 200).count();
        let sessions = join_all(visitors.iter().map(|visitor| visitor.session(&stage.front))).await;
        for (visitor, session) in visitors.iter().zip(sessions) {
            let user = session.as_ref().and_then(|session| session["claims"]["sub"].as_str());
            counts.swapped += usize::from(user != Some(visitor.user.as_str()));
        }
        counts.rounds += plan.pairs;
        progress(counts.rounds);
    }
    let calls = stage.gate.calls();
    let forwarded = calls[before..].iter().filter(|call| call.forwarded.is_some());
    let repeated = forwarded.clone().filter(|call| call.again).count();
    let requests = forwarded.count();
    let Counts { rounds, failed, swapped } = counts;
    let of_others = stage.api.of_others();
    let text = format!(
        "{rounds} rounds of two users, {requests} refreshes: {of_others} calls with the other's token, {swapped} sessions \
         of somebody else, {failed} failed calls, {repeated} used refresh tokens\n"
    );
    let mut faults = Vec::new();
    if rounds == 0 || requests < 2 * rounds {
        faults.push(format!("{requests} refreshes in {rounds} rounds: too few"));
    }
    must_be_none(&mut faults, of_others, "calls with another user's token");
    must_be_none(&mut faults, swapped, "sessions of another user");
    must_be_none(&mut faults, stage.api.without(), "calls without a valid token");
    must_be_none(&mut faults, failed, "failed calls");
    must_be_none(&mut faults, repeated, "token requests with a used refresh token");
    Report { text, faults }
}

/// Lets all go on once so many refreshes have come, or when no more come. When that was.
async fn gather(stage: &Stage, all: usize) -> Timestamp {
    for _ in 0..400 {
        if stage.gate.count() >= all {
            break;
        }
        sleep(Duration::from_millis(5)).await;
    }
    let now = Clock::system().now();
    stage.gate.release();
    now
}

/// Until tokens that were asked for until then have ended.
async fn ended(asked: Timestamp) {
    while Clock::system().now() < asked.plus(Duration::from_secs(TOKEN_LIFE)) {
        sleep(Duration::from_millis(5)).await;
    }
}
