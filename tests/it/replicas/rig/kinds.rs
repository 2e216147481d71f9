//! What may happen while tokens end, and what the product then owes to its users.

/// One way in which an expiry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// All calls come after the end of the token.
    AtExpiry,
    /// All calls come shortly before the end.
    Early,
    /// A third of the calls is given up on the way.
    Aborted,
    /// Every call is given up while the tokens are fetched; the old cookie comes again when the new tokens, too, are over.
    AnswerLost,
    /// The replica that refreshes is killed before its request has reached the authorization server.
    KillAsking,
    /// It is killed when the authorization server has answered and the answer is on its way: the crash window.
    KillAnswered,
    /// It is killed when the first of the calls has its answer.
    KillDone,
    /// Either replica is killed at any moment.
    KillAny,
    /// Redis is killed and started again at any moment.
    RedisRestart,
    /// Redis stands still for longer than the replicas put up with.
    RedisPause,
    /// Redis is gone before the calls come, and comes back later.
    RedisDown,
    /// A laptop is shut during a refresh and opened when everything else is over.
    Laptop,
}

/// The order in which a long run goes through them, again and again: what is common comes often.
pub const ORDER: [Kind; 16] = [
    Kind::AtExpiry,
    Kind::Early,
    Kind::KillAsking,
    Kind::Aborted,
    Kind::KillAny,
    Kind::AnswerLost,
    Kind::RedisRestart,
    Kind::AtExpiry,
    Kind::KillDone,
    Kind::Aborted,
    Kind::RedisPause,
    Kind::Early,
    Kind::KillAny,
    Kind::RedisDown,
    Kind::KillAnswered,
    Kind::RedisRestart,
];

impl Kind {
    /// As a table names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AtExpiry => "at expiry",
            Self::Early => "in the early window",
            Self::Aborted => "a third given up",
            Self::AnswerLost => "answer lost, old cookie",
            Self::KillAsking => "killed before asking",
            Self::KillAnswered => "killed in the window",
            Self::KillDone => "killed right after",
            Self::KillAny => "killed at any moment",
            Self::RedisRestart => "Redis restarted",
            Self::RedisPause => "Redis paused",
            Self::RedisDown => "Redis down",
            Self::Laptop => "laptop, much later",
        }
    }

    /// Whether it needs a Redis to be hurt.
    pub fn hurts_redis(self) -> bool {
        matches!(self, Self::RedisRestart | Self::RedisPause | Self::RedisDown)
    }

    /// Whether a replica dies of it.
    pub fn kills(self) -> bool {
        matches!(self, Self::KillAsking | Self::KillAnswered | Self::KillDone | Self::KillAny)
    }

    /// Token requests that it costs each user.
    pub fn token_requests(self) -> usize {
        // The answer that was lost, and the one after it.
        if matches!(self, Self::AnswerLost | Self::Laptop) { 2 } else { 1 }
    }

    /// Whether a call may come out so. A session that lives is never 401, whatever happens.
    pub fn allows(self, outcome: &str, can_be_retried: bool) -> bool {
        match outcome {
            "200" => true,
            // An outage says so, and that it passes.
            outcome if outcome.starts_with("503/") => {
                can_be_retried && (self.kills() || self.hurts_redis())
            }
            // nginx has nobody else to ask, or had half an answer.
            "502" | "504" | "broken off" => self.kills(),
            _ => false,
        }
    }
}
