//! Two processes of the real server: what `make soak` shows for long, these show for a moment. And the rig itself: it
//! notices when things go wrong.

#[expect(dead_code, reason = "some of it only the long run does")]
mod rig;

use std::path::PathBuf;
use std::time::Duration;

use rig::kinds::Kind;
use rig::stage::{Stage, Wish};
use rig::tally::Row;
use rig::{endings, races, steady, users};

fn alone() -> Wish {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_cloakroom"));
    Wish { binary, certified: true, token_life: 4, redis: false, store: "cookie" }
}

fn plan(kinds: &[Kind]) -> races::Plan {
    races::Plan {
        expiries: kinds.len(),
        time: Duration::from_secs(300),
        seed: 1,
        visitors: 1,
        calls: 50,
        kinds: kinds.to_vec(),
        laptop: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_share_nothing_sign_users_out_and_the_rig_notices() {
    let mut stage = Stage::start(alone()).await;
    let kinds = [Kind::AtExpiry, Kind::AnswerLost, Kind::AtExpiry];
    let tally = races::run(&mut stage, &plan(&kinds), |_| ()).await;
    let report = tally.report();
    assert!(tally.sum(|row| row.repeated) > 0, "{}", report.text);
    assert!(tally.sum(|row| row.unexpected) > 0, "{}", report.text);
    assert!(report.faults.iter().any(|fault| fault.contains("used refresh token")));
    // The first expiry ended the session or will: somebody was signed out at one of them.
    assert!(tally.sum(|row| row.lost) > 0, "{}", report.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_share_nothing_revive_ended_sessions_and_the_rig_notices() {
    let mut stage = Stage::start(Wish { token_life: 300, ..alone() }).await;
    let report = endings::run(&mut stage, 1).await;
    assert_eq!(report.faults.len(), 3, "{}\n{:?}", report.text, report.faults);
}

// proves: RF-03, RF-04, RF-06, RF-07, RI-01, RI-02, RI-03, RI-05
#[tokio::test(flavor = "multi_thread")]
async fn replicas_with_redis_ask_once_per_expiry_and_lose_nobody() {
    let kinds = [
        Kind::AtExpiry,
        Kind::Early,
        Kind::Aborted,
        Kind::AnswerLost,
        Kind::KillAsking,
        Kind::KillDone,
        Kind::RedisRestart,
    ];
    for store in ["cookie", "redis"] {
        let mut stage = Stage::start(Wish { redis: true, store, ..alone() }).await;
        let plan = races::Plan { visitors: 2, expiries: 2 * kinds.len(), ..plan(&kinds) };
        let report = races::run(&mut stage, &plan, |_| ()).await.report();
        assert!(report.faults.is_empty(), "{store}: {}\n{:?}", report.text, report.faults);
    }
}

// proves: LO-01, LO-16
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_at_one_replica_has_ended_at_the_other_and_after_restarts() {
    for store in ["cookie", "redis"] {
        let wish = Wish { token_life: 300, redis: true, store, ..alone() };
        let mut stage = Stage::start(wish).await;
        let report = endings::run(&mut stage, 1).await;
        assert!(report.faults.is_empty(), "{store}: {}\n{:?}", report.text, report.faults);
    }
}

// proves: RI-06
#[tokio::test(flavor = "multi_thread")]
async fn two_users_refreshed_in_one_moment_never_get_each_others_tokens() {
    let wish = Wish { certified: false, token_life: users::TOKEN_LIFE, ..alone() };
    let stage = Stage::start(wish).await;
    let plan = users::Plan { rounds: 60, time: Duration::from_secs(300), pairs: 20 };
    let report = users::run(&stage, &plan, |_| ()).await;
    assert!(report.faults.is_empty(), "{}\n{:?}", report.text, report.faults);
}

#[test]
fn a_count_that_must_be_none_is_a_fault() {
    let good = Row { expiries: 1, calls: 50, token_requests: 1, ..Row::default() };
    let faults = |row: &Row| {
        let mut tally = rig::tally::Tally::default();
        *tally.row(Kind::AtExpiry) = row.clone();
        tally.report().faults.len()
    };
    assert_eq!(faults(&good), 0);
    assert_eq!(faults(&Row::default()), 1, "nothing has happened");
    for bad in [
        Row { unexpected: 1, ..good.clone() },
        Row { not_as_many: 1, ..good.clone() },
        Row { repeated: 1, ..good.clone() },
        Row { lost: 1, ..good.clone() },
        Row { refused: 2, worked_afterwards: 1, ..good.clone() },
    ] {
        assert_eq!(faults(&bad), 1, "{bad:?}");
    }
    assert_eq!(faults(&Row { lost_in_window: 1, repeated_in_window: 1, ..good }), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_load_with_logins_refreshes_streams_and_reloads_meets_no_error() {
    let plan = steady::Plan {
        binary: PathBuf::from(env!("CARGO_BIN_EXE_cloakroom")),
        time: Duration::from_secs(14),
        users: 10,
        calls: 50,
        streams: 4,
        reload: Duration::from_secs(2),
        look: Duration::from_secs(2),
    };
    let report = steady::run(&plan, |_| ()).await;
    assert!(report.faults.is_empty(), "{:?}\n{}", report.faults, report.text);
    assert!(report.text.contains("(\"call\", 200)"), "{}", report.text);
}
