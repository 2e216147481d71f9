//! What becomes of an API's word that this login is not good enough for a call (RFC 9470): a problem that says which login
//! would be, with the way to start it. Stops where such a login is there already: another one would end the same way.

use std::time::Duration;

use super::app::App;
use crate::clock::Timestamp;
use crate::edge::{Code, LoginWish, Problem};
use crate::proxy::StepUp;
use crate::session::SessionRecord;

/// A login as young as this has just been asked for, if an API does not say how old one may be.
const JUST_NOW: u64 = 60;

/// The answer to a call whose login is not good enough.
pub fn problem(wish: StepUp, record: &SessionRecord, app: &App, now: Timestamp) -> Problem {
    let StepUp { acr_values, max_age } = wish;
    let login = (record.acr.as_deref(), record.auth_time.unwrap_or(record.created));
    if is_met(acr_values.as_deref(), max_age, login, now) {
        return Problem::new(Code::StepUpFailed);
    }
    // Nothing in particular: then the user is at least asked again.
    let max_age = max_age.or_else(|| acr_values.is_none().then_some(0));
    let mut query = form_urlencoded::Serializer::new(String::new());
    let mut is_allowed = true;
    let mut ask = |name: &str, value: String| {
        is_allowed &= app.login.config.allowed_params.iter().any(|allowed| allowed == name);
        query.append_pair(name, &value);
    };
    if let Some(acr_values) = &acr_values {
        ask("acr_values", acr_values.clone());
    }
    if let Some(max_age) = max_age {
        ask("max_age", max_age.to_string());
    }
    if app.providers.are_several()
        && let Some(same) = app.providers.of(record.registration)
    {
        query.append_pair("provider", &same.id);
    }
    let login_url = format!("{}/login?{}", app.base_path, query.finish());
    let login_url = is_allowed.then_some(login_url);
    Problem::new(Code::StepUpRequired).with_login(LoginWish { acr_values, max_age, login_url })
}

/// Whether a login in the context `acr` at the time `since` has all that is asked for.
fn is_met(
    acr_values: Option<&str>,
    max_age: Option<u64>,
    (acr, since): (Option<&str>, Timestamp),
    now: Timestamp,
) -> bool {
    let has_acr = acr_values
        .is_none_or(|wanted| acr.is_some_and(|acr| wanted.split(' ').any(|one| one == acr)));
    let max_age = max_age.or_else(|| acr_values.is_none().then_some(JUST_NOW));
    let is_young = max_age.is_none_or(|age| since.plus(Duration::from_secs(age)) >= now);
    has_acr && is_young
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // proves: PX-19
    #[rstest]
    #[case::right_context(Some("gold silver"), None, true)]
    #[case::other_context(Some("platinum"), None, false)]
    #[case::part_of_a_name(Some("golden"), None, false)]
    #[case::young_enough(None, Some(100), true)]
    #[case::too_old(None, Some(99), false)]
    #[case::right_but_old(Some("gold"), Some(99), false)]
    #[case::both(Some("gold"), Some(100), true)]
    #[case::nothing_said(None, None, false)]
    fn a_login_has_what_is_asked_for_or_has_not(
        #[case] acr_values: Option<&str>,
        #[case] max_age: Option<u64>,
        #[case] expected: bool,
    ) {
        let login = (Some("gold"), Timestamp(1_000));
        assert_eq!(is_met(acr_values, max_age, login, Timestamp(1_100)), expected);
    }
}
