//! The race rig: two processes of the real server with the same keys behind nginx as plain round-robin, the certified
//! authorization server with one-time refresh tokens whose reuse ends the grant, Redis, and an API that checks every token.
//! It lets tokens end, kills and pauses what can be killed and paused, and counts. It decides what a count must be and
//! nothing about the product. `make soak` runs it for long (`benches/soak`), the tests beside it for a moment.

pub mod api;
pub mod dice;
pub mod endings;
pub mod front;
pub mod gate;
pub mod kinds;
pub mod races;
pub mod replica;
pub mod stage;
pub mod steady;
pub mod tally;
pub mod trouble;
pub mod users;
pub mod visitor;

/// What a mode of the rig has to say.
pub struct Report {
    /// Tables and numbers, for people.
    pub text: String,
    /// Counts that are not what they must be; none is a success.
    pub faults: Vec<String>,
}

/// Adds a fault when a count that must be 0 is not.
fn must_be_none(faults: &mut Vec<String>, count: usize, of_what: &str) {
    if count > 0 {
        faults.push(format!("{count} {of_what}"));
    }
}
