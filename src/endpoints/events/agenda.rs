//! What a stream of session events says by time alone: warnings, the end, and signs that it is still there. Pure: it is told
//! what time it is, and never says anything twice.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::session::SessionRecord;

/// Silence after which a sign of life is sent: below the idle limits of common proxies (30 s and more).
const HEARTBEAT: Duration = Duration::from_secs(25);
/// How long before an end it is announced, and the part of a short life that this may be at most.
const NOTICE: Duration = Duration::from_secs(120);
const NOTICE_PART: u64 = 5;

/// Something whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The absolute end.
    SessionExpired,
    /// Idle, unless a cookie that came later says otherwise.
    MaybeIdle,
    /// `what` ends after `left`.
    Expiring {
        what: &'static str,
        left: Duration,
    },
    Heartbeat,
}

/// The times at which one stream has something to say.
#[derive(Debug)]
pub(super) struct Agenda {
    session_ends: Timestamp,
    idle_ends: Timestamp,
    /// What is still to be announced.
    notices: [Option<Notice>; 2],
    heartbeat_at: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Notice {
    what: &'static str,
    at: Timestamp,
    ends: Timestamp,
}

impl Agenda {
    /// `idle_ends` is the session's idle end as far as is known at `now`, when the stream opens.
    pub fn of(record: &SessionRecord, idle_ends: Timestamp, now: Timestamp) -> Self {
        let session = Notice::of("session", record.created, record.expires);
        // With a refresh token the end of an access token is no event: the next call renews it.
        let token = record.refresh_token.is_none() && record.access_expires < record.expires;
        let token =
            token.then(|| Notice::of("access_token", record.sealed_at, record.access_expires));
        Self {
            session_ends: record.expires,
            idle_ends,
            notices: [token.filter(|notice| notice.ends > now), Some(session)],
            heartbeat_at: now.plus(HEARTBEAT),
        }
    }

    /// When something is due.
    pub fn next(&self) -> Timestamp {
        let ends = self.session_ends.min(self.idle_ends).min(self.heartbeat_at);
        self.notices.iter().flatten().map(|notice| notice.at).fold(ends, Timestamp::min)
    }

    /// What is due at `now`, the weightiest first; a heartbeat when nothing else is.
    pub fn due(&mut self, now: Timestamp) -> Due {
        self.heartbeat_at = now.plus(HEARTBEAT);
        if self.session_ends <= now {
            return Due::SessionExpired;
        }
        if self.idle_ends <= now {
            return Due::MaybeIdle;
        }
        for notice in &mut self.notices {
            if let Some(Notice { what, ends, .. }) = notice.take_if(|notice| notice.at <= now) {
                return Due::Expiring { what, left: Duration::from_secs(ends.seconds_after(now)) };
            }
        }
        Due::Heartbeat
    }
}

impl Notice {
    fn of(what: &'static str, begins: Timestamp, ends: Timestamp) -> Self {
        let part = Duration::from_secs(ends.seconds_after(begins) / NOTICE_PART);
        Self { what, at: ends.minus(NOTICE.min(part)), ends }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::secret::Secret;
    use crate::session::{Registration, SessionId};

    const NOW: Timestamp = Timestamp(10_000);

    fn at(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    fn record(life: u64, token_life: u64, refresh_token: bool) -> SessionRecord {
        SessionRecord {
            registration: Registration::default(),
            session_id: SessionId::new([1; 16]),
            generation: 1,
            subject: "alice".to_owned(),
            op_sid: None,
            auth_time: None,
            acr: None,
            created: NOW,
            expires: at(life),
            sealed_at: NOW,
            access_token: Secret::new("a".to_owned()),
            access_expires: at(token_life),
            refresh_token: refresh_token.then(|| Secret::new("r".to_owned())),
            proof_key: None,
            scope: None,
            claims: "{}".to_owned(),
            id_token: None,
            extensions: Vec::new(),
        }
    }

    /// Everything said until the end, with its second; heartbeats are counted.
    fn all(mut agenda: Agenda) -> (Vec<(u64, Due)>, usize) {
        let (mut said, mut beats) = (Vec::new(), 0);
        loop {
            let now = agenda.next();
            match agenda.due(now) {
                Due::Heartbeat => beats += 1,
                due => said.push((now.seconds_after(NOW), due)),
            }
            if let Some((_, Due::SessionExpired | Due::MaybeIdle)) = said.last() {
                return (said, beats);
            }
        }
    }

    fn notice(what: &'static str, left: u64) -> Due {
        Due::Expiring { what, left: Duration::from_secs(left) }
    }

    #[rstest]
    #[case::long(record(3_600, 300, true), 3_600,
        vec![(3_480, notice("session", 120)), (3_600, Due::SessionExpired)])]
    #[case::short(record(50, 20, true), 50, vec![(40, notice("session", 10)), (50, Due::SessionExpired)])]
    #[case::idle_first(record(3_600, 300, true), 900, vec![(900, Due::MaybeIdle)])]
    #[case::without_a_refresh_token(record(3_600, 300, false), 3_600,
        vec![(240, notice("access_token", 60)), (3_480, notice("session", 120)), (3_600, Due::SessionExpired)])]
    #[case::a_token_as_long_as_the_session(record(300, 300, false), 300,
        vec![(240, notice("session", 60)), (300, Due::SessionExpired)])]
    fn each_thing_is_said_once_and_in_time(
        #[case] record: SessionRecord,
        #[case] idle: u64,
        #[case] expected: Vec<(u64, Due)>,
    ) {
        let (said, beats) = all(Agenda::of(&record, at(idle), NOW));
        let last = said.last().unwrap().0;
        assert_eq!(said, expected);
        assert!(beats as u64 <= last / HEARTBEAT.as_secs(), "no beat but after silence");
        assert!(last < 60 || beats > 0);
    }

    #[test]
    fn a_stream_that_opens_late_is_warned_at_once_and_never_of_what_is_over() {
        let mut agenda = Agenda::of(&record(3_600, 300, false), at(3_600), at(3_550));
        assert!(agenda.next() <= at(3_550));
        assert_eq!(agenda.due(at(3_550)), notice("session", 50));
        assert_eq!(agenda.due(at(3_575)), Due::Heartbeat);
    }

    #[test]
    fn a_clock_that_jumps_over_everything_finds_the_end() {
        let mut agenda = Agenda::of(&record(3_600, 300, false), at(900), NOW);
        assert_eq!(agenda.due(at(9_999)), Due::SessionExpired);
    }
}
