//! Lets the tokens of some users end again and again, with many calls at each end and trouble beside them, and counts what
//! came of it: each refresh token is used once, and nobody is signed out.

use std::time::Duration;

use cloakroom::clock::{Clock, Timestamp};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use super::dice::Dice;
use super::front::{Answered, Front};
use super::gate::TokenCall;
use super::kinds::Kind;
use super::stage::Stage;
use super::tally::{Row, Tally};
use super::trouble::{ANSWER_TAKES, FirstAnswers, Killed, during, prepare};
use super::visitor::Visitor;

/// How long an outage may still be felt when its cause is gone.
const RECOVERY: Duration = Duration::from_secs(30);

/// How much is done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Each user's count for itself.
    pub expiries: usize,
    /// After this the run ends early.
    pub time: Duration,
    pub seed: u64,
    pub visitors: usize,
    /// For each user at each expiry.
    pub calls: usize,
    /// What happens, in this order, again and again.
    pub kinds: Vec<Kind>,
    pub laptop: bool,
}

/// Runs it; `progress` is told after each round.
pub async fn run(stage: &mut Stage, plan: &Plan, progress: impl Fn(&Tally)) -> Tally {
    let started = Instant::now();
    let mut dice = Dice::new(plan.seed);
    let mut tally = Tally::default();
    let mut visitors = Vec::new();
    for number in 0..plan.visitors {
        visitors.push(Visitor::sign_in(stage, &format!("visitor-{number}")).await);
    }
    let laptop = if plan.laptop { Some(leave(stage, &mut tally).await) } else { None };
    for kind in plan.kinds.iter().cycle().copied() {
        let over = started.elapsed() > plan.time;
        if over || tally.sum(|row| row.expiries) >= plan.expiries {
            break;
        }
        let mut round = Round { kind, calls: plan.calls, stage, dice: &mut dice };
        round.run(&mut visitors, tally.row(kind)).await;
        progress(&tally);
    }
    if let Some(laptop) = laptop {
        come_back(stage, &laptop, tally.row(Kind::Laptop)).await;
    }
    tally.of_others = stage.api.of_others();
    tally.without_token = stage.api.without();
    tally
}

/// One expiry of every visitor, at the same time.
struct Round<'a> {
    kind: Kind,
    calls: usize,
    stage: &'a mut Stage,
    dice: &'a mut Dice,
}

/// The calls of one visitor.
struct Calls {
    /// The cookies that all of them had.
    old: String,
    /// None for those that were given up.
    answers: Vec<Option<Answered>>,
}

impl Calls {
    /// How many were told to come again.
    fn refused(&self) -> usize {
        self.answers.iter().flatten().filter(|answered| answered.status == 503).count()
    }
}

impl Round<'_> {
    async fn run(&mut self, visitors: &mut [Visitor], row: &mut Row) {
        let front = self.stage.front.clone();
        wait_for_the_end(&front, visitors, self.kind).await;
        let first = self.stage.gate.count();
        let old: Vec<String> = visitors.iter().map(|visitor| visitor.cookies(&front)).collect();
        let firsts = FirstAnswers::none(visitors.len());
        prepare(self.kind, self.stage, self.dice);
        let burst = self.burst(&front, visitors, &old, &firsts);
        let trouble = during(self.kind, self.stage, first, &firsts, self.dice);
        let (mut all, killed) = tokio::join!(burst, trouble);
        if self.kind == Kind::AnswerLost {
            let life = Duration::from_secs(self.stage.wish.token_life);
            sleep(ANSWER_TAKES + life + Duration::from_secs(1)).await;
            self.kind = Kind::AtExpiry;
            let later = self.burst(&front, visitors, &old, &firsts).await;
            self.kind = Kind::AnswerLost;
            for (calls, later) in all.iter_mut().zip(later) {
                calls.answers.extend(later.answers);
            }
        }
        self.stage.gate.release();
        let settled = join_all(visitors.iter().zip(&all).map(|(visitor, calls)| {
            let front = &front;
            async move {
                let works = unless_away(|| visitor.call(front)).await.status == 200;
                let again = unless_away(|| visitor.call_with(front, &calls.old)).await;
                (works, again, Instant::now())
            }
        }));
        for (number, (works, again, at)) in settled.await.into_iter().enumerate() {
            let asked = self.asked(first, visitors[number].family);
            let in_window = was_in_window(&asked, killed, firsts.of(number));
            count(row, self.kind, &all[number], in_window && !works);
            if works {
                // Also when nothing was amiss: a straggler's cookies are good.
                row.shown_again(all[number].refused(), &again);
            }
            let requests = (self.kind.token_requests(), self.most_requests(&asked, at));
            judge(row, &asked, requests, (works, in_window));
            if !works {
                let user = visitors[number].user.clone();
                visitors[number] = Visitor::sign_in(self.stage, &user).await;
            }
        }
    }

    /// The refreshes of a family from the `first`th on.
    fn asked(&self, first: usize, family: usize) -> Vec<TokenCall> {
        let calls = self.stage.gate.calls();
        calls.into_iter().skip(first).filter(|call| call.family == Some(family)).collect()
    }

    /// Token requests that an expiry may cost: what was fetched may be near its end again until all has settled. Its early
    /// window is a second, and the clock counts whole ones.
    fn most_requests(&self, asked: &[TokenCall], settled: Instant) -> usize {
        let requests = self.kind.token_requests();
        let delivered = asked.iter().filter_map(|call| call.delivered).nth(requests - 1);
        let age = delivered.map_or(0, |at| settled.duration_since(at).as_secs());
        requests
            + usize::try_from(age / self.stage.wish.token_life.saturating_sub(2).max(1)).unwrap()
    }

    /// All calls of all visitors, each visitor's with the same cookies. Everything is thrown before the first one starts.
    fn burst<'b>(
        &mut self,
        front: &'b Front,
        visitors: &'b [Visitor],
        old: &'b [String],
        firsts: &'b FirstAnswers,
    ) -> impl Future<Output = Vec<Calls>> + use<'b> {
        let mut all = Vec::new();
        for (number, (visitor, old)) in visitors.iter().zip(old).enumerate() {
            let mut calls = Vec::new();
            for _ in 0..self.calls {
                let after = self.dice.millis(0, 30);
                let patience = patience(self.kind, self.dice);
                calls.push(async move {
                    sleep(after).await;
                    let call = visitor.call_with(front, old);
                    // Giving up closes the socket.
                    let answered = timeout(patience, call).await.ok()?;
                    if answered.status == 200 {
                        firsts.came(number);
                    }
                    Some(answered)
                });
            }
            all.push(async move { Calls { old: old.clone(), answers: join_all(calls).await } });
        }
        join_all(all)
    }
}

/// How long a call waits for its answer.
fn patience(kind: Kind, dice: &mut Dice) -> Duration {
    match kind {
        Kind::AnswerLost | Kind::Laptop => dice.millis(150, 400),
        Kind::Aborted if dice.percent(33) => dice.millis(1, 250),
        _ => Duration::from_secs(60),
    }
}

/// Until the tokens of all have ended; or, when the calls are to come early, a second before the last one's does.
async fn wait_for_the_end(front: &Front, visitors: &[Visitor], kind: Kind) {
    let ends = join_all(visitors.iter().map(|visitor| visitor.token_ends(front))).await;
    let last = ends.into_iter().flatten().max().unwrap_or_default();
    let early = u64::from(kind == Kind::Early);
    wait_until(last.minus(Duration::from_secs(early))).await;
}

/// Looks often: the clock counts whole seconds.
async fn wait_until(time: Timestamp) {
    while Clock::system().now() < time {
        sleep(Duration::from_millis(10)).await;
    }
}

/// The answer as soon as there is no outage any more, or the last one.
async fn unless_away<F: Future<Output = Answered>>(call: impl Fn() -> F) -> Answered {
    let started = Instant::now();
    loop {
        let answered = call().await;
        if matches!(answered.status, 200 | 401) || started.elapsed() > RECOVERY {
            return answered;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Counts the answers; a session that was lost in the crash window may say so.
fn count(row: &mut Row, kind: Kind, calls: &Calls, lost_in_window: bool) {
    row.expiries += 1;
    row.calls += calls.answers.len();
    row.aborted += calls.answers.iter().filter(|answer| answer.is_none()).count();
    for answered in calls.answers.iter().flatten() {
        let is_allowed = kind.allows(&answered.outcome, answered.can_be_retried);
        row.answered(&answered.outcome, is_allowed || (lost_in_window && answered.status == 401));
    }
}

/// Whether a replica died after it had sent a request that reached the authorization server, and before anybody saw a
/// result: what it was told, or would have been, is lost with it, whatever anybody does.
fn was_in_window(asked: &[TokenCall], killed: Option<Killed>, answer: Option<Instant>) -> bool {
    killed.is_some_and(|killed| {
        let mut of_it = asked.iter().filter(|call| call.replica == killed.replica);
        // Sent before it died; it may have gone on a moment later, before the gate had noticed.
        of_it.any(|call| call.arrived <= killed.at && call.forwarded.is_some())
            && answer.is_none_or(|at| at > killed.at)
    })
}

/// Counts the token requests and the loss.
fn judge(
    row: &mut Row,
    asked: &[TokenCall],
    (least, most): (usize, usize),
    (works, in_window): (bool, bool),
) {
    let forwarded = asked.iter().filter(|call| call.forwarded.is_some()).count();
    let repeated = asked.iter().filter(|call| call.again).count();
    row.token_requests += forwarded;
    row.withheld += asked.len() - forwarded;
    if in_window {
        row.repeated_in_window += repeated;
        row.lost_in_window += usize::from(!works);
        return;
    }
    row.repeated += repeated;
    row.lost += usize::from(!works);
    let is_amiss = !(least..=most).contains(&forwarded);
    row.not_as_many += usize::from(is_amiss);
    if is_amiss {
        let first = asked.first().map(|call| call.arrived);
        let since = |at: Option<Instant>| at.zip(first).map(|(at, first)| at.duration_since(first));
        let times: Vec<_> = asked
            .iter()
            .map(|call| (call.replica, since(call.forwarded), since(call.delivered)))
            .collect();
        row.amiss
            .push(format!("{forwarded} token requests, {least} to {most} expected: {times:?}"));
    }
}

/// Signs somebody in whose laptop is shut while the next tokens are fetched: nobody hears the answer.
async fn leave(stage: &mut Stage, tally: &mut Tally) -> Visitor {
    let visitor = Visitor::sign_in(stage, "laptop").await;
    let front = stage.front.clone();
    wait_for_the_end(&front, std::slice::from_ref(&visitor), Kind::Laptop).await;
    prepare(Kind::Laptop, stage, &mut Dice::new(0));
    // The browser hears nothing: not `Visitor::call`.
    let (path, cookies) = (visitor.path(), visitor.cookies(&front));
    let gone = timeout(ANSWER_TAKES / 2, front.call("GET", &path, &cookies)).await;
    let row = tally.row(Kind::Laptop);
    row.calls += 1;
    row.aborted += usize::from(gone.is_err());
    sleep(ANSWER_TAKES).await;
    stage.gate.release();
    visitor
}

/// Opens the laptop.
async fn come_back(stage: &Stage, visitor: &Visitor, row: &mut Row) {
    let old = visitor.cookies(&stage.front);
    let answered = visitor.call_with(&stage.front, &old).await;
    count(row, Kind::Laptop, &Calls { old, answers: vec![Some(answered)] }, false);
    let works = unless_away(|| visitor.call(&stage.front)).await.status == 200;
    let asked: Vec<TokenCall> = stage.gate.calls();
    let asked: Vec<TokenCall> =
        asked.into_iter().filter(|call| call.family == Some(visitor.family)).collect();
    let requests = Kind::Laptop.token_requests();
    judge(row, &asked, (requests, requests), (works, false));
}
