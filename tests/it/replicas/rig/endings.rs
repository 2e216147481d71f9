//! Ends sessions at one replica, and by the authorization server, and shows copies of their cookies to both replicas, also
//! after both and Redis were killed: they are refused, and the API hears nothing of it.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use url::Url;

use super::front::Answered;
use super::stage::{STALE_AFTER, Stage};
use super::visitor::Visitor;
use super::{Report, must_be_none};
use crate::support::browser::log_out;
use crate::support::stack::CLIENT_ID;

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// `POST /logout` at the first replica.
    Logout,
    /// At the authorization server, which tells one of the replicas.
    BackChannel,
}

#[derive(Default)]
struct Counts {
    ended: usize,
    /// How long the slower replica took to hear of it.
    delays: Vec<Duration>,
    /// Copies that a replica took longer than it may.
    too_late: usize,
    /// Copies that worked again after a restart.
    revived: usize,
    /// Calls of ended sessions that reached the API.
    leaked: usize,
    /// Sessions that nobody ended and that ended all the same.
    others: usize,
}

/// Ends so many sessions in each way.
pub async fn run(stage: &mut Stage, rounds: usize) -> Report {
    let mut counts = Counts::default();
    let other = Visitor::sign_in(stage, "somebody-else").await;
    for round in 0..rounds {
        let mut copies = Vec::new();
        for way in [Way::Logout, Way::BackChannel] {
            let visitor = Visitor::sign_in(stage, &format!("leaver-{round}-{way:?}")).await;
            copies.push(end(stage, visitor, way, &mut counts).await);
        }
        for replica in 0..stage.replicas.len() {
            stage.replicas[replica].kill();
            stage.replicas[replica].start().await;
        }
        still_ended(stage, &copies, &mut counts).await;
        if let Some(redis) = &mut stage.redis {
            redis.restart();
            still_ended(stage, &copies, &mut counts).await;
        }
        for replica in 0..stage.replicas.len() {
            let front = stage.replica(replica);
            let is_here = in_contact(|| other.call(&front)).await.status == 200;
            counts.others += usize::from(!is_here);
        }
    }
    counts.report(stage)
}

/// A session that has ended, as somebody with a copy of its cookies has it.
struct Copied {
    path: String,
    cookies: String,
}

async fn end(stage: &Stage, visitor: Visitor, way: Way, counts: &mut Counts) -> Copied {
    for replica in 0..stage.replicas.len() {
        let answered = visitor.call(&stage.replica(replica)).await;
        assert_eq!(answered.status, 200, "{} has a session", visitor.user);
    }
    let copied = Copied { path: visitor.path(), cookies: visitor.cookies(&stage.front) };
    match way {
        Way::Logout => {
            let front = stage.replica(0);
            let answered = front.call("POST", "/logout", &copied.cookies).await;
            assert_eq!(answered.status, 200, "{}", answered.outcome);
        }
        Way::BackChannel => {
            let mut there = Url::parse(&format!("{}/session/end", stage.issuer)).unwrap();
            let back = format!("{}logged-out", stage.front.origin);
            let asked = [("client_id", CLIENT_ID), ("post_logout_redirect_uri", back.as_str())];
            there.query_pairs_mut().extend_pairs(asked);
            assert!(log_out(&visitor.browser, there.as_str()).await.starts_with(&back));
        }
    }
    counts.ended += 1;
    let told = Instant::now();
    for replica in 0..stage.replicas.len() {
        if !refused_in_time(stage, replica, &copied, told).await {
            counts.too_late += 1;
        }
    }
    counts.delays.push(told.elapsed());
    counts.leaked += usize::from(heard_by_the_api(stage, &copied).await);
    copied
}

async fn refused_in_time(stage: &Stage, replica: usize, copied: &Copied, told: Instant) -> bool {
    let front = stage.replica(replica);
    while told.elapsed() < STALE_AFTER {
        if front.call("GET", &copied.path, &copied.cookies).await.status == 401 {
            return true;
        }
        sleep(Duration::from_millis(2)).await;
    }
    false
}

async fn still_ended(stage: &Stage, copies: &[Copied], counts: &mut Counts) {
    for copied in copies {
        for replica in 0..stage.replicas.len() {
            let front = stage.replica(replica);
            let shown = || front.call("GET", &copied.path, &copied.cookies);
            counts.revived += usize::from(in_contact(shown).await.status != 401);
        }
        counts.leaked += usize::from(heard_by_the_api(stage, copied).await);
    }
}

/// Whether the API hears of a copy that is shown to both replicas.
async fn heard_by_the_api(stage: &Stage, copied: &Copied) -> bool {
    let before = stage.api.calls();
    for replica in 0..stage.replicas.len() {
        stage.replica(replica).call("GET", &copied.path, &copied.cookies).await;
    }
    stage.api.calls() > before
}

/// The first answer that is not 503: whoever has just been started may have to find Redis first, and says so meanwhile.
async fn in_contact<F: Future<Output = Answered>>(call: impl Fn() -> F) -> Answered {
    let started = Instant::now();
    loop {
        let answered = call().await;
        if answered.status != 503 || started.elapsed() > STALE_AFTER * 5 {
            return answered;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

impl Counts {
    fn report(mut self, stage: &Stage) -> Report {
        self.delays.sort();
        let median = self.delays.get(self.delays.len() / 2).copied().unwrap_or_default();
        let most = self.delays.last().copied().unwrap_or_default();
        let Self { ended, too_late, revived, leaked, others, .. } = self;
        let text = format!(
            "{ended} sessions ended; known to both replicas after {median:?} (median), {most:?} (most)\n\
             copies that worked for too long: {too_late}; copies that worked again after restarts: {revived}; API calls of \
             ended sessions: {leaked}; sessions that nobody had ended: {others}\n"
        );
        let mut faults = Vec::new();
        if ended == 0 {
            faults.push("no session has ended".to_owned());
        }
        must_be_none(&mut faults, too_late, "copies that worked for too long");
        must_be_none(&mut faults, revived, "copies that worked again after restarts");
        must_be_none(&mut faults, leaked, "times that the API heard of ended sessions");
        must_be_none(&mut faults, others, "sessions that nobody had ended");
        must_be_none(&mut faults, stage.api.of_others(), "calls with another user's token");
        Report { text, faults }
    }
}
