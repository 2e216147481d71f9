//! Makes happen what a kind of expiry says, while the calls are under way.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::dice::Dice;
use super::gate::Manner;
use super::kinds::Kind;
use super::stage::{STALE_AFTER, Stage};

/// A replica that was killed, and when it was dead.
#[derive(Clone, Copy, Debug)]
pub struct Killed {
    pub replica: usize,
    pub at: Instant,
}

/// When each visitor had the first good answer.
pub struct FirstAnswers(Mutex<Vec<Option<Instant>>>);

impl FirstAnswers {
    /// Nobody of so many has one.
    pub fn none(visitors: usize) -> Self {
        Self(Mutex::new(vec![None; visitors]))
    }

    /// This visitor has an answer now.
    pub fn came(&self, visitor: usize) {
        self.0.lock().unwrap()[visitor].get_or_insert_with(Instant::now);
    }

    /// When this visitor had it.
    pub fn of(&self, visitor: usize) -> Option<Instant> {
        self.0.lock().unwrap()[visitor]
    }

    async fn any(&self) -> bool {
        for _ in 0..10_000 {
            if self.0.lock().unwrap().iter().any(Option::is_some) {
                return true;
            }
            sleep(Duration::from_millis(2)).await;
        }
        false
    }
}

/// What is done before the calls set out.
pub fn prepare(kind: Kind, stage: &mut Stage, dice: &mut Dice) {
    stage.gate.set(match kind {
        Kind::KillAsking => Manner::HoldRequest,
        Kind::KillAnswered => Manner::HoldAnswer,
        Kind::AnswerLost | Kind::Laptop => Manner::Pass(ANSWER_TAKES),
        Kind::Aborted => Manner::Pass(dice.millis(200, 400)),
        _ => Manner::Pass(dice.millis(20, 300)),
    });
    if kind == Kind::RedisDown
        && let Some(redis) = &mut stage.redis
    {
        redis.kill();
    }
}

/// What is done while they are on their way; refreshes from the `first`th on are theirs.
pub async fn during(
    kind: Kind,
    stage: &mut Stage,
    first: usize,
    answers: &FirstAnswers,
    dice: &mut Dice,
) -> Option<Killed> {
    let killed = match kind {
        Kind::KillAsking | Kind::KillAnswered => {
            let replica = stage.gate.asked(first).await?;
            let killed = kill(stage, replica);
            // The gate hears that the replica has gone before it lets the others go on.
            sleep(Duration::from_millis(50)).await;
            stage.gate.release();
            killed
        }
        Kind::KillDone => {
            answers.any().await.then_some(())?;
            let calls = stage.gate.calls();
            let done = calls[first..].iter().find(|call| call.delivered.is_some())?;
            kill(stage, done.replica)
        }
        Kind::KillAny => {
            sleep(dice.millis(0, 400)).await;
            kill(stage, usize::from(dice.percent(50)))
        }
        _ => {
            hurt_redis(kind, stage, dice).await;
            return None;
        }
    };
    sleep(dice.millis(0, 600)).await;
    stage.replicas[killed.replica].start().await;
    Some(killed)
}

fn kill(stage: &mut Stage, replica: usize) -> Killed {
    stage.replicas[replica].kill();
    Killed { replica, at: Instant::now() }
}

async fn hurt_redis(kind: Kind, stage: &mut Stage, dice: &mut Dice) {
    let Some(redis) = &mut stage.redis else { return };
    match kind {
        Kind::RedisRestart => {
            sleep(dice.millis(0, 300)).await;
            redis.restart();
        }
        Kind::RedisPause => {
            sleep(dice.millis(0, 200)).await;
            redis.pause();
            sleep(STALE_AFTER + Duration::from_secs(1)).await;
            redis.resume();
        }
        Kind::RedisDown => {
            sleep(STALE_AFTER + Duration::from_secs(2)).await;
            redis.restart();
        }
        _ => {}
    }
}

/// Longer than anybody waits who goes away before the answer.
pub const ANSWER_TAKES: Duration = Duration::from_millis(800);
