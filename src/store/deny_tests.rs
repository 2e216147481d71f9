//! What the deny list ends, whom it tells, and what it forgets.

use super::*;

fn session(id: &[u8; 16], created: u64) -> KnownAs<'_> {
    KnownAs {
        id,
        issuer: "https://op",
        op_sid: Some("s1"),
        subject: "alice",
        created: Timestamp(created),
    }
}

fn op_session(sid: &str) -> Whom<'_> {
    Whom::OpSession { issuer: "https://op", sid }
}

fn alice(created_until: Timestamp) -> Whom<'static> {
    Whom::User { issuer: "https://op", subject: "alice", created_until }
}

#[test]
fn an_ended_session_stays_ended_until_its_own_end() {
    let list = DenyList::default();
    assert!(!list.is_denied(&session(&[1; 16], 5)));
    list.deny(Whom::Session(&[1; 16]), Timestamp(100), Tokens::Revoke, Timestamp(10));
    assert!(list.is_denied(&session(&[1; 16], 5)));
    assert!(!list.is_denied(&session(&[2; 16], 5)));
}

// proves: LO-14
#[test]
fn a_sid_ends_its_sessions_whenever_made_and_a_user_those_made_before() {
    let list = DenyList::default();
    list.deny(op_session("s1"), Timestamp(900), Tokens::Revoke, Timestamp(10));
    for (issuer, sid, ended) in [
        ("https://op", Some("s1"), true),
        ("https://op", Some("s2"), false),
        ("https://op", None, false),
        ("https://other", Some("s1"), false),
    ] {
        let one = KnownAs { issuer, op_sid: sid, ..session(&[1; 16], 500) };
        assert_eq!(list.is_denied(&one), ended, "{issuer} {sid:?}");
    }
    list.deny(alice(Timestamp(20)), Timestamp(900), Tokens::Revoke, Timestamp(20));
    // An older token that comes late takes nothing back.
    list.deny(alice(Timestamp(15)), Timestamp(800), Tokens::Revoke, Timestamp(20));
    for (subject, created, ended) in
        [("alice", 1, true), ("alice", 20, true), ("alice", 21, false), ("bob", 1, false)]
    {
        let one = KnownAs { subject, op_sid: None, ..session(&[2; 16], created) };
        assert_eq!(list.is_denied(&one), ended, "{subject} {created}");
    }
}

// proves: PX-16
#[tokio::test]
async fn thousands_who_wait_are_told_by_session_and_leave_nothing_behind() {
    let list = Arc::new(DenyList::default());
    let keys = |n: u8| KnownAs { op_sid: None, ..session(&[n; 16], 5) }.keys();
    list.deny(Whom::Session(&[9; 16]), Timestamp(100), Tokens::Revoke, Timestamp(10));
    Arc::clone(&list).denied(keys(9)).await;
    let waiting: Vec<_> = (0..5_000_u32)
        .map(|n| tokio::spawn(Arc::clone(&list).denied(keys(u8::try_from(n % 2).unwrap()))))
        .collect();
    let watchers = || {
        let entries = list.lock();
        entries.watched.values().map(watch::Sender::receiver_count).sum::<usize>()
    };
    while watchers() < 10_000 {
        tokio::task::yield_now().await;
    }
    list.deny(Whom::Session(&[1; 16]), Timestamp(100), Tokens::Revoke, Timestamp(10));
    for (n, task) in waiting.into_iter().enumerate() {
        if n % 2 == 1 {
            task.await.unwrap();
        } else {
            assert!(!task.is_finished(), "another session's");
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
    }
    assert!(list.lock().watched.is_empty());
}

// proves: LO-14, PX-16
#[tokio::test]
async fn who_waits_is_told_by_any_name_of_its_session_and_not_for_an_older_one() {
    for by_sid in [true, false] {
        let list = Arc::new(DenyList::default());
        let [old, young] = [10, 30].map(|created| {
            let other =
                KnownAs { op_sid: (created == 10).then_some("s1"), ..session(&[7; 16], created) };
            tokio::spawn(Arc::clone(&list).denied(other.keys()))
        });
        while list.lock().watched.len() < 3 {
            tokio::task::yield_now().await;
        }
        if by_sid {
            list.deny(op_session("s1"), Timestamp(900), Tokens::Revoke, Timestamp(20));
        } else {
            list.deny(alice(Timestamp(20)), Timestamp(900), Tokens::Revoke, Timestamp(20));
        }
        old.await.unwrap();
        tokio::task::yield_now().await;
        assert!(!young.is_finished());
        list.deny(Whom::Session(&[7; 16]), Timestamp(900), Tokens::Revoke, Timestamp(40));
        young.await.unwrap();
        assert!(list.lock().watched.is_empty());
    }
}

#[test]
fn entries_whose_session_has_run_out_are_swept_and_live_ones_never() {
    let list = DenyList::default();
    let id = |n: u32| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_le_bytes());
        id
    };
    for n in 0..2_000_u32 {
        list.deny(Whom::Session(&id(n)), Timestamp(u64::from(n)), Tokens::Revoke, Timestamp(1_000));
    }
    assert!(list.lock().by_key.len() < 2_000, "nothing was swept");
    assert!((1_001..2_000).all(|n| list.is_denied(&session(&id(n), 5))));
}

// proves: LO-01
#[test]
fn a_hundred_thousand_entries_and_as_many_questions_are_a_matter_of_a_moment() {
    let list = DenyList::default();
    for n in 0..100_000_u32 {
        list.deny(op_session(&n.to_string()), Timestamp(900), Tokens::Revoke, Timestamp(10));
    }
    let sids = (0..100_000_u32).map(|n| n.to_string());
    let ended =
        sids.filter(|sid| list.is_denied(&KnownAs { op_sid: Some(sid), ..session(&[1; 16], 5) }));
    assert_eq!(ended.count(), 100_000);
}
